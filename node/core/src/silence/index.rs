//! Which silences match an alert, fast: by an index over their matchers, and by remembering what matched.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::sieve::{ListId, Place, Sieve};
use super::{Silence, State};
use crate::label::{Fingerprint, Lookup};

/// When fewer silences than this are new since an alert was looked at, they are tried one by one.
const FEW: usize = 16;

/// The silences that may still mute, and what is remembered of the alerts looked at.
#[derive(Debug, Default)]
pub struct Silencer {
    by_id: HashMap<Box<str>, Slot>,
    slots: Vec<Option<Filed>>,
    free: Vec<Slot>,
    sieve: Sieve,
    lists: Vec<Slot>,
    free_lists: Vec<ListId>,
    /// The slots in the order in which their identities came, with the version that brought them.
    arrivals: Vec<(u64, Slot)>,
    /// Rises with each new identity.
    version: u64,
    seen: HashMap<Fingerprint, Seen>,
}

type Slot = u32;

#[derive(Debug)]
struct Filed {
    silence: Arc<Silence>,
    /// The version that brought it; what is remembered names it, for slots are used again.
    version: u64,
    places: Vec<(ListId, Place)>,
}

/// What is remembered of an alert: which silences match, up to that version. Their states are looked at every time.
#[derive(Debug, Default)]
struct Seen {
    version: u64,
    matching: Box<[(u64, Slot)]>,
}

impl Silencer {
    /// Adds a silence. One of the same identity, whose matchers are the same, takes new times and texts.
    pub fn put(&mut self, silence: Arc<Silence>) {
        let known = self
            .by_id
            .get(&silence.id)
            .and_then(|slot| self.slots.get_mut(*slot as usize)?.as_mut());
        if let Some(filed) = known {
            if filed.silence.matcher_sets == silence.matcher_sets {
                filed.silence = silence;
                return;
            }
            self.remove(&silence.id); // Only a foreign record can do this.
        }
        self.version += 1;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            Slot::try_from(self.slots.len() - 1).unwrap_or(Slot::MAX)
        });
        let places = silence.matcher_sets.iter().map(|set| {
            let list = self.free_lists.pop().unwrap_or_else(|| {
                self.lists.push(slot);
                ListId::try_from(self.lists.len() - 1).unwrap_or(ListId::MAX)
            });
            self.lists[list as usize] = slot;
            (list, self.sieve.insert(list, set))
        });
        let places = places.collect();
        self.by_id.insert(silence.id.clone(), slot);
        self.arrivals.push((self.version, slot));
        self.slots[slot as usize] = Some(Filed { silence, version: self.version, places });
    }

    /// Forgets a silence.
    pub fn remove(&mut self, id: &str) {
        let Some(slot) = self.by_id.remove(id) else { return };
        let Some(filed) = self.slots[slot as usize].take() else { return };
        for (list, place) in &filed.places {
            self.sieve.remove(*list, place);
            self.free_lists.push(*list);
        }
        if let Ok(at) = self.arrivals.binary_search(&(filed.version, slot)) {
            self.arrivals.remove(at);
        }
        self.free.push(slot);
    }

    /// Forgets what is remembered of an alert that is no more.
    pub fn forget(&mut self, fingerprint: Fingerprint) {
        self.seen.remove(&fingerprint);
    }

    /// How many silences there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// How many alerts are remembered.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.seen.len()
    }

    /// The number of new identities so far, upstream's version.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The active silences that match the alert, ordered by identity. Labels of a fingerprint never change.
    pub fn silenced_by(
        &mut self,
        fingerprint: Fingerprint,
        labels: &dyn Lookup,
        now: Timestamp,
    ) -> Vec<Box<str>> {
        if self.is_empty() {
            return Vec::new();
        }
        let seen = self.seen.remove(&fingerprint).unwrap_or_default();
        let seen = self.brought_up(seen, labels);
        let active = seen.matching.iter().filter_map(|at| self.filed(*at)).filter_map(|filed| {
            let active = filed.silence.state(now) == State::Active;
            active.then(|| filed.silence.id.clone())
        });
        let mut ids: Vec<Box<str>> = active.collect();
        ids.sort_unstable();
        self.seen.insert(fingerprint, seen);
        ids
    }

    /// As [`Silencer::silenced_by`], for label sets that need not be remembered.
    #[must_use]
    pub fn matching(&self, labels: &dyn Lookup, now: Timestamp) -> Vec<Box<str>> {
        let found = self.search(labels);
        let filed = found.into_iter().filter_map(|at| self.filed(at));
        let active = filed.filter(|filed| filed.silence.state(now) == State::Active);
        let mut ids: Vec<Box<str>> = active.map(|filed| filed.silence.id.clone()).collect();
        ids.sort_unstable();
        ids
    }

    /// Adds the silences that came since and drops those that are gone. An ended one stays: a record that prolongs it may still come.
    fn brought_up(&self, seen: Seen, labels: &dyn Lookup) -> Seen {
        if seen.version == self.version {
            return seen;
        }
        let from = self.arrivals.partition_point(|(version, _)| *version <= seen.version);
        let new = &self.arrivals[from..];
        let matching = if new.len() <= FEW {
            let matches = |at: &(u64, Slot)| {
                self.filed(*at).is_some_and(|filed| filed.silence.matches(labels))
            };
            let kept = seen.matching.iter().filter(|at| self.filed(**at).is_some());
            kept.chain(new.iter().filter(|at| matches(at))).copied().collect()
        } else {
            self.search(labels)
        };
        Seen { version: self.version, matching: matching.into() }
    }

    /// All that match, whatever their state.
    fn search(&self, labels: &dyn Lookup) -> Vec<(u64, Slot)> {
        let mut found = Vec::new();
        self.sieve.visit(labels, &mut |list| {
            let slot = self.lists[list as usize];
            let filed = self.slots[slot as usize].as_ref();
            if let Some(filed) = filed.filter(|filed| filed.silence.matches(labels)) {
                found.push((filed.version, slot));
            }
        });
        found.sort_unstable();
        found.dedup();
        found
    }

    fn filed(&self, (version, slot): (u64, Slot)) -> Option<&Filed> {
        self.slots.get(slot as usize)?.as_ref().filter(|filed| filed.version == version)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::label::Labels;
    use crate::matcher::{Mode, parse_matchers};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn silence(id: &str, sets: &[&str], (start, end): (i64, i64)) -> Arc<Silence> {
        Arc::new(Silence {
            id: id.into(),
            matcher_sets: sets
                .iter()
                .map(|set| parse_matchers(set, Mode::Utf8).unwrap().value)
                .collect(),
            receiver_matcher_sets: Vec::new(),
            starts_at: at(start),
            ends_at: at(end),
            updated_at: at(0),
            created_by: "".into(),
            comment: "".into(),
            annotations: Labels::default(),
        })
    }

    fn labels(text: &str) -> Labels {
        text.split(',').filter_map(|pair| pair.split_once('=')).collect()
    }

    #[track_caller]
    fn check(silencer: &mut Silencer, alert: &str, now: i64, expected: &str) {
        let labels = labels(alert);
        for _ in 0..2 {
            let ids = silencer.silenced_by(labels.fingerprint(), &labels, at(now));
            assert_eq!(ids.join(" "), expected, "{alert} at {now}");
        }
        assert_eq!(silencer.matching(&labels, at(now)).join(" "), expected, "{alert} at {now}");
    }

    #[test]
    fn active_silences_that_match_are_named_once() {
        let mut silencer = Silencer::default();
        silencer.put(silence("b", &["a=1", "b=~2|3"], (0, 10)));
        silencer.put(silence("a", &["a=1"], (5, 10)));
        check(&mut silencer, "a=1,b=2", 4, "b");
        check(&mut silencer, "a=1,b=2", 5, "a b");
        check(&mut silencer, "a=2,b=3", 9, "b");
        check(&mut silencer, "a=1,b=2", 10, "");
        check(&mut silencer, "a=2", 5, "");
    }

    #[test]
    fn what_is_remembered_follows_changes() {
        let mut silencer = Silencer::default();
        silencer.put(silence("a", &[r#"host=~"web-1[.].*""#], (0, 10)));
        check(&mut silencer, "host=web-1.x", 5, "a");
        silencer.put(silence("b", &["host!=db"], (0, 10)));
        check(&mut silencer, "host=web-1.x", 5, "a b");
        silencer.put(silence("a", &[r#"host=~"web-1[.].*""#], (0, 5)));
        check(&mut silencer, "host=web-1.x", 5, "b");
        silencer.put(silence("a", &[r#"host=~"web-1[.].*""#], (0, 20)));
        check(&mut silencer, "host=web-1.x", 15, "a");
        silencer.remove("a");
        silencer.put(silence("c", &["host=db"], (0, 20)));
        check(&mut silencer, "host=web-1.x", 5, "b");
        check(&mut silencer, "host=db", 5, "c");
        assert_eq!((silencer.len(), silencer.remembered(), silencer.version()), (2, 2, 3));
        silencer.forget(labels("host=db").fingerprint());
        assert_eq!(silencer.remembered(), 1);
    }

    #[test]
    fn record_with_other_matchers_replaces() {
        let mut silencer = Silencer::default();
        silencer.put(silence("a", &["a=1"], (0, 10)));
        check(&mut silencer, "a=1", 5, "a");
        silencer.put(silence("a", &["a=2"], (0, 10)));
        check(&mut silencer, "a=1", 5, "");
        check(&mut silencer, "a=2", 5, "a");
    }

    #[test]
    fn many_new_silences_are_found_by_the_index() {
        let mut silencer = Silencer::default();
        check(&mut silencer, "host=h7.x,job=node", 5, "");
        for number in 0..100 {
            let host = format!(r#"host=~"h{number}[.].*",job=node"#);
            silencer.put(silence(&number.to_string(), &[&host], (0, 10)));
        }
        check(&mut silencer, "host=h7.x,job=node", 5, "7");
        check(&mut silencer, "host=h71.x,job=node", 5, "71");
        check(&mut silencer, "host=h7.x,job=other", 5, "");
    }

    fn set() -> impl Strategy<Value = String> {
        let one = (0..2_u8, 0..3_u8, 0..8_usize).prop_map(|(name, value, kind)| match kind {
            0 => format!("l{name}=v{value}"),
            1 => format!("l{name}!=v{value}"),
            2 => format!(r#"l{name}=~"v{value}|v1""#),
            3 => format!(r#"l{name}=~"v{value}.*""#),
            4 => format!(r#"l{name}=~"v.*""#),
            5 => format!(r#"l{name}!~"v{value}x?""#),
            6 => format!(r#"l{name}=~".*{value}""#),
            _ => format!(r#"l{name}="""#),
        });
        proptest::collection::vec(one, 1..3).prop_map(|matchers| matchers.join(","))
    }

    proptest! {
        #[test]
        fn index_agrees_with_looking_at_every_silence(
            changes in proptest::collection::vec((0..6_u8, set(), set(), any::<bool>()), 1..30),
            alerts in proptest::collection::vec((0..4_u8, 0..4_u8), 1..5),
        ) {
            let mut silencer = Silencer::default();
            let mut all = std::collections::BTreeMap::new();
            for (id, set, other, remove) in &changes {
                let id = id.to_string();
                if *remove {
                    silencer.remove(&id);
                    all.remove(&id);
                } else {
                    let silence = silence(&id, &[set, other], (0, 10));
                    silencer.put(silence.clone());
                    all.insert(id, silence);
                }
                for (a, b) in &alerts {
                    let labels = labels(&format!("l0=v{a},l1=v{b}").replace("v3", ""));
                    let expected = all.values().filter(|silence| silence.matches(&labels));
                    let expected: Vec<_> = expected.map(|silence| silence.id.clone()).collect();
                    prop_assert_eq!(silencer.silenced_by(labels.fingerprint(), &labels, at(5)), expected);
                }
            }
        }
    }
}
