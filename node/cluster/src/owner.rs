//! Who notifies: ranks of members for a group by rendezvous hashing. Pure; knows no connection.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::view::{ConfigHash, Member, MemberState, View};

/// A member whose clock is further than this from the median ranks behind.
const CLOCK_OUTLIER_MS: i64 = 5_000;

/// Why a member ranks behind the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Behind {
    /// Its configuration is not the one that most hold.
    Config,
    /// Its clock is far from the median.
    Clock,
    /// Its disk has failed.
    Disk,
}

impl Behind {
    /// The label value of `tocsin_cluster_ranked_behind`.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Clock => "clock",
            Self::Disk => "disk",
        }
    }
}

/// The order of members for one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rank {
    /// Members before this node: 0 is the owner.
    pub own: usize,
    /// Who they are ([`Member::node`]), best first.
    pub better: Vec<u64>,
}

impl Rank {
    /// Whether this node goes at once.
    #[must_use]
    pub fn is_owner(&self) -> bool {
        self.own == 0
    }
}

/// A node's score for a key: the same on every node, so the order needs no common view.
pub(crate) fn score(node: u64, key: &[u8]) -> u64 {
    xxh3_64_with_seed(key, node)
}

/// Ranks the live, ready, not leaving members for `group_key`. This node comes last when it is not among them, so that there is always somebody.
pub(crate) fn rank(view: &View, group_key: &[u8]) -> Rank {
    let eligible =
        |member: &&Member| member.state == MemberState::Live && member.ready && !member.leaving;
    let place = |member: &Member| {
        let score = score(member.node, group_key);
        (member.behind.is_some(), std::cmp::Reverse((score, member.node)))
    };
    let own = view.me().filter(eligible).map(place);
    let others = view.members.iter().filter(|member| !member.me).filter(eligible);
    let mut better: Vec<_> = others
        .map(|member| (place(member), member.node))
        .filter(|(place, _)| own.is_none_or(|own| *place < own))
        .collect();
    better.sort_unstable();
    let better: Vec<u64> = better.into_iter().map(|(_, node)| node).collect();
    Rank { own: better.len(), better }
}

/// The configuration that most live ready members hold; of equally frequent ones that which was loaded last.
pub(crate) fn leading_config(members: &[Member]) -> Option<u64> {
    let held: Vec<ConfigHash> = members
        .iter()
        .filter(|member| member.state == MemberState::Live && member.ready)
        .filter_map(|member| member.config)
        .collect();
    let weight = |config: &ConfigHash| {
        let same = held.iter().filter(|other| other.hash == config.hash);
        let latest = same.clone().map(|other| other.loaded_hlc).max();
        (same.count(), latest)
    };
    held.iter().max_by_key(|config| weight(config)).map(|config| config.hash)
}

/// Fills in why each member ranks behind; answers the leading configuration.
pub(crate) fn mark_behind(members: &mut [Member]) -> Option<u64> {
    let leading = leading_config(members);
    let live = members.iter().filter(|member| member.state == MemberState::Live).count();
    for member in members {
        let foreign = member.config.is_some_and(|config| Some(config.hash) != leading);
        let outlier = live >= 3 && CLOCK_OUTLIER_MS < member.clock_offset_ms.abs();
        member.behind = if !member.disk_ok {
            Some(Behind::Disk)
        } else if outlier {
            Some(Behind::Clock)
        } else if foreign && leading.is_some() {
            Some(Behind::Config)
        } else {
            None
        };
    }
    leading
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::ClusterStatus;
    use proptest::prelude::*;

    fn member(name: &str) -> Member {
        Member {
            name: name.into(),
            node: crate::record::key_hash(name.as_bytes()),
            address: String::new(),
            me: false,
            state: MemberState::Live,
            ready: true,
            leaving: false,
            version: String::new(),
            config: None,
            disk_ok: true,
            clock_offset_ms: 0,
            behind: None,
        }
    }

    fn view(mut members: Vec<Member>, me: usize) -> View {
        members[me].me = true;
        let leading_config = mark_behind(&mut members);
        View {
            status: ClusterStatus::Ready,
            name: members[me].name.clone(),
            address: String::new(),
            position: me,
            live: members.len(),
            known: members.len(),
            split: false,
            leading_config,
            hold_until_ms: 0,
            hold_start_ms: 0,
            members,
        }
    }

    fn owner(members: &[Member], key: &[u8]) -> Option<String> {
        (0..members.len())
            .find(|me| rank(&view(members.to_vec(), *me), key).is_owner())
            .map(|me| members[me].name.clone())
    }

    proptest! {
        #[test]
        fn all_agree_on_an_order(key in proptest::collection::vec(any::<u8>(), 0..20)) {
            let members: Vec<_> = ["a", "b", "c", "d"].map(member).into();
            let mut ranks: Vec<_> = (0..4).map(|me| rank(&view(members.clone(), me), &key).own).collect();
            ranks.sort_unstable();
            prop_assert_eq!(ranks, vec![0, 1, 2, 3]);
        }

        #[test]
        fn a_removal_moves_only_the_groups_of_the_removed(key in proptest::collection::vec(any::<u8>(), 0..20), gone in 0usize..4) {
            let mut members: Vec<_> = ["a", "b", "c", "d"].map(member).into();
            let before = owner(&members, &key).unwrap();
            let removed = members.remove(gone);
            let after = owner(&members, &key).unwrap();
            prop_assert!(before == removed.name || before == after);
        }
    }

    #[test]
    fn groups_are_spread() {
        let members: Vec<_> = ["a", "b", "c"].map(member).into();
        let owned = (0..3000u32)
            .filter(|key| owner(&members, &key.to_be_bytes()).as_deref() == Some("a"))
            .count();
        assert!((850..1150).contains(&owned), "{owned}");
    }

    #[test]
    fn a_minority_configuration_ranks_behind_even_if_newer() {
        let mut members: Vec<_> = ["a", "b", "c"].map(member).into();
        for (member, (hash, loaded_hlc)) in members.iter_mut().zip([(1, 1), (1, 2), (2, 3)]) {
            member.config = Some(ConfigHash { hash, loaded_hlc });
        }
        let view = view(members, 2);
        assert_eq!(view.members[2].behind, Some(Behind::Config));
        assert!((0..50u32).all(|key| rank(&view, &key.to_be_bytes()).own == 2));
    }

    #[test]
    fn of_two_configurations_the_later_leads() {
        let mut members: Vec<_> = ["a", "b"].map(member).into();
        members[0].config = Some(ConfigHash { hash: 1, loaded_hlc: 1 });
        members[1].config = Some(ConfigHash { hash: 2, loaded_hlc: 2 });
        assert_eq!(leading_config(&members), Some(2));
    }

    #[test]
    fn there_is_always_somebody() {
        let mut alone = member("a");
        alone.disk_ok = false;
        alone.ready = false;
        assert!(rank(&view(vec![alone], 0), b"key").is_owner());
    }

    #[test]
    fn a_clock_outlier_needs_three_to_be_seen() {
        let mut members: Vec<_> = ["a", "b", "c"].map(member).into();
        members[0].clock_offset_ms = -6_000;
        assert_eq!(view(members.clone(), 1).members[0].behind, Some(Behind::Clock));
        members.pop();
        assert_eq!(view(members, 1).members[0].behind, None);
    }
}
