//! Who is there: a pure state machine over what connections tell. It decides live, unreachable, dead and left; it opens and closes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use crate::metrics::Pings;
use crate::owner;
use crate::view::{ClusterStatus, ConfigHash, Member, MemberState, View};

/// A member that is not live makes the cluster split for this long.
const SPLIT_FOR: Duration = Duration::from_secs(3600);

/// What a node says of itself; the greater `version` of one incarnation is newer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) version: u64,
    pub(crate) ready: bool,
    pub(crate) leaving: bool,
    pub(crate) config: Option<ConfigHash>,
    pub(crate) disk_failed: bool,
    pub(crate) hold_until_ms: i64,
    pub(crate) hold_start_ms: i64,
    pub(crate) clock_offset_ms: i64,
}

impl Status {
    /// The hold that ends last is everybody's, and everybody tells it: so it reaches nodes that do not see where it comes from.
    pub(crate) fn take_hold(&mut self, until_ms: i64, start_ms: i64) {
        if self.hold_until_ms < until_ms {
            self.hold_until_ms = until_ms;
            self.hold_start_ms = start_ms;
        }
    }
}

/// Which of the four connections between two nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Line {
    ControlOut,
    ControlIn,
    DataOut,
    DataIn,
}

/// What a handshake told about the other side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hello {
    pub(crate) id: String,
    pub(crate) incarnation: u64,
    pub(crate) address: String,
    pub(crate) version: String,
}

/// A node other than this one.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) node: u64,
    pub(crate) incarnation: u64,
    pub(crate) address: String,
    pub(crate) software: String,
    pub(crate) status: Status,
    pub(crate) state: MemberState,
    /// Numbers of its open connections. There may be two of a line: a dialler tries a second one beside a silent first, and drops either.
    lines: BTreeSet<(Line, u64)>,
    pub(crate) last_pong: Option<Duration>,
    last_ping: Option<Duration>,
    /// When it was last live, or first heard of.
    pub(crate) last_live: Duration,
    refused: bool,
    left: bool,
    pub(crate) offset_ms: Option<i64>,
    pub(crate) round_trip: Option<Duration>,
    pub(crate) pings: Pings,
    /// Rises each time it becomes live.
    pub(crate) lives: u64,
}

/// An address that was configured or stored and belongs to no known member yet.
#[derive(Clone, Debug, Default)]
struct Unnamed {
    /// Who was there in our former life.
    id: Option<String>,
    since: Duration,
    reached: bool,
}

/// What happened to a member, for logs, counters and those who react.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) id: String,
    pub(crate) node: u64,
    pub(crate) from: Option<MemberState>,
    pub(crate) to: MemberState,
}

/// All that this node knows of the others.
pub(crate) struct Members {
    pub(crate) me: Member,
    pub(crate) my_status: Status,
    network: bool,
    unreachable_after: Duration,
    forget_after: Duration,
    pub(crate) peers: BTreeMap<String, Peer>,
    unnamed: BTreeMap<SocketAddr, Unnamed>,
    next_line: u64,
    /// Former lives of restarted members that the next tick tells of.
    died: Vec<Change>,
}

impl Members {
    pub(crate) fn new(me: Member, network: bool, unreachable: Duration, forget: Duration) -> Self {
        Self {
            me,
            my_status: Status::default(),
            network,
            unreachable_after: unreachable,
            forget_after: forget,
            peers: BTreeMap::new(),
            unnamed: BTreeMap::new(),
            next_line: 0,
            died: Vec::new(),
        }
    }

    /// An address from flags or disk that should belong to a member; `id`: to whom it belonged in our former life.
    pub(crate) fn expect(&mut self, address: SocketAddr, id: Option<&str>, now: Duration) {
        let id = id.map(str::to_owned);
        self.unnamed.entry(address).or_insert(Unnamed { id, since: now, reached: false });
    }

    /// The address belongs to a member, to this node, or to nobody any more.
    pub(crate) fn settle_address(&mut self, address: SocketAddr) {
        if let Some(unnamed) = self.unnamed.get_mut(&address) {
            unnamed.reached = true;
        }
    }

    /// Whether the connection may be opened: an older incarnation whose connections are alive keeps the name.
    pub(crate) fn conflicts(&self, hello: &Hello, now: Duration) -> bool {
        if hello.id == self.me.name {
            return true;
        }
        self.peers.get(&hello.id).is_some_and(|peer| {
            let fresh = |at: Option<Duration>| {
                at.is_some_and(|at| now.saturating_sub(at) < self.unreachable_after)
            };
            let open = peer.has(Line::ControlIn);
            peer.incarnation != hello.incarnation && open && fresh(peer.last_ping)
        })
    }

    /// A connection passed its handshake; answers its number. `None`: what a former life sent has only now arrived, and its later life is connected.
    pub(crate) fn opened(&mut self, line: Line, hello: &Hello, now: Duration) -> Option<u64> {
        let stale = self.peers.get(&hello.id).is_some_and(|peer| {
            hello.incarnation < peer.incarnation
                && (peer.has(Line::ControlIn) || peer.has(Line::ControlOut))
        });
        if stale {
            return None;
        }
        self.next_line += 1;
        let number = self.next_line;
        // Who is met elsewhere is not missing where it was.
        let former = self.unnamed.values_mut().filter(|it| it.id.as_ref() == Some(&hello.id));
        former.for_each(|unnamed| unnamed.reached = true);
        let peer = self.peers.entry(hello.id.clone()).or_insert_with(|| Peer::new(hello, now));
        if peer.incarnation != hello.incarnation {
            // A restart: nothing that its former life said holds.
            let lives = peer.lives;
            let pings = peer.pings.clone();
            let state = peer.state;
            *peer = Peer::new(hello, now);
            peer.lives = lives;
            peer.pings = pings;
            peer.state = state;
            if state == MemberState::Live {
                peer.state = MemberState::Dead;
                let (id, node) = (hello.id.clone(), peer.node);
                self.died.push(Change { id, node, from: Some(state), to: MemberState::Dead });
            }
        }
        peer.left = false;
        peer.refused = false;
        peer.address.clone_from(&hello.address);
        peer.software.clone_from(&hello.version);
        peer.lines.insert((line, number));
        if line == Line::ControlIn {
            peer.last_ping = Some(now);
        }
        Some(number)
    }

    /// The connection is gone; says whether it was the last of its line.
    pub(crate) fn closed(&mut self, id: &str, line: Line, number: u64) -> bool {
        let Some(peer) = self.peers.get_mut(id) else { return false };
        peer.lines.remove(&(line, number)) && !peer.has(line)
    }

    pub(crate) fn is_open(&self, id: &str, line: Line) -> bool {
        self.peers.get(id).is_some_and(|peer| peer.has(line))
    }

    pub(crate) fn pong(&mut self, id: &str, now: Duration, round_trip: Duration, offset_ms: i64) {
        if let Some(peer) = self.peers.get_mut(id) {
            peer.last_pong = Some(now);
            peer.round_trip = Some(round_trip);
            peer.pings.add(round_trip);
            peer.offset_ms = Some(offset_ms);
        }
    }

    pub(crate) fn pinged(&mut self, id: &str, now: Duration) {
        if let Some(peer) = self.peers.get_mut(id) {
            peer.last_ping = Some(now);
        }
    }

    /// Takes what a node says of itself, unless something newer is known. `incarnation` guards against a former life.
    pub(crate) fn told(&mut self, id: &str, incarnation: u64, status: Status) {
        if let Some(peer) = self.peers.get_mut(id)
            && peer.incarnation == incarnation
            && peer.status.version < status.version
        {
            peer.status = status;
        }
    }

    /// The member's address refuses connections, twice.
    pub(crate) fn refused(&mut self, id: &str) {
        if let Some(peer) = self.peers.get_mut(id) {
            peer.refused = !peer.has(Line::ControlOut);
        }
    }

    pub(crate) fn left(&mut self, id: &str) {
        if let Some(peer) = self.peers.get_mut(id) {
            peer.left = true;
        }
    }

    /// After a stall nothing that should have been heard was: all timers start anew.
    pub(crate) fn forgive(&mut self, now: Duration) {
        for peer in self.peers.values_mut() {
            peer.last_pong = peer.last_pong.map(|_| now);
            peer.last_ping = peer.last_ping.map(|_| now);
        }
    }

    /// Brings every state up to `now`; answers what changed.
    pub(crate) fn tick(&mut self, now: Duration) -> Vec<Change> {
        let mut changes = std::mem::take(&mut self.died);
        let (bound, forget) = (self.unreachable_after, self.forget_after);
        for (id, peer) in &mut self.peers {
            let before =
                (peer.lives > 0 || peer.state != MemberState::Unreachable).then_some(peer.state);
            let after = peer.state_at(now, bound);
            if after == MemberState::Live {
                peer.last_live = now;
                peer.lives += u64::from(peer.state != MemberState::Live);
            }
            if before != Some(after) && (before.is_some() || after != MemberState::Unreachable) {
                let (id, node) = (id.clone(), peer.node);
                changes.push(Change { id, node, from: before, to: after });
            }
            peer.state = after;
        }
        self.peers.retain(|_, peer| {
            peer.state == MemberState::Live || now.saturating_sub(peer.last_live) < forget
        });
        self.unnamed.retain(|_, unnamed| now.saturating_sub(unnamed.since) < SPLIT_FOR);
        changes
    }

    /// Open lines and ages of what was heard, for a failed simulation.
    #[cfg(test)]
    pub(crate) fn lines(&self, now: Duration) -> String {
        let age = |at: Option<Duration>| at.map(|at| now.saturating_sub(at));
        let line = |(id, peer): (&String, &Peer)| {
            format!(
                "{id} {:?} pong {:?} ping {:?}",
                peer.lines,
                age(peer.last_pong),
                age(peer.last_ping)
            )
        };
        self.peers.iter().map(line).collect::<Vec<_>>().join("; ")
    }

    /// The present as plain values.
    pub(crate) fn view(&self, now: Duration) -> View {
        let mut members: Vec<Member> =
            self.peers.iter().map(|(id, peer)| peer.member(id)).collect();
        let mut me = self.me.clone();
        me.apply(&self.my_status);
        members.push(me);
        members.sort_by(|a, b| a.name.cmp(&b.name));
        let leading_config = owner::mark_behind(&mut members);
        let live: Vec<_> =
            members.iter().filter(|member| member.state == MemberState::Live).collect();
        let position = live.iter().position(|member| member.me).unwrap_or(0);
        let unreached = self.unreached().count();
        let staying = members.iter().filter(|member| member.state != MemberState::Left).count();
        let missing = |peer: &Peer| {
            !matches!(peer.state, MemberState::Live | MemberState::Left)
                && now.saturating_sub(peer.last_live) < SPLIT_FOR
        };
        let status = match (self.network, self.my_status.ready) {
            (false, _) => ClusterStatus::Disabled,
            (true, false) => ClusterStatus::Settling,
            (true, true) => ClusterStatus::Ready,
        };
        let held = self.peers.values().map(|peer| &peer.status).chain([&self.my_status]);
        let hold = held.max_by_key(|status| status.hold_until_ms);
        View {
            status,
            name: self.me.name.clone(),
            address: self.me.address.clone(),
            position,
            live: live.len(),
            known: staying + unreached,
            split: unreached > 0 || self.peers.values().any(missing),
            leading_config,
            hold_until_ms: hold.map_or(0, |status| status.hold_until_ms),
            hold_start_ms: hold.map_or(0, |status| status.hold_start_ms),
            members,
        }
    }

    /// Addresses that nobody has answered at yet.
    pub(crate) fn unreached(&self) -> impl Iterator<Item = SocketAddr> {
        self.unnamed.iter().filter(|(_, unnamed)| !unnamed.reached).map(|(address, _)| *address)
    }
}

impl Peer {
    fn new(hello: &Hello, now: Duration) -> Self {
        Self {
            node: crate::record::key_hash(hello.id.as_bytes()),
            incarnation: hello.incarnation,
            address: hello.address.clone(),
            software: hello.version.clone(),
            status: Status::default(),
            state: MemberState::Unreachable,
            lines: BTreeSet::new(),
            last_pong: None,
            last_ping: None,
            last_live: now,
            refused: false,
            left: false,
            offset_ms: None,
            round_trip: None,
            pings: Pings::default(),
            lives: 0,
        }
    }

    fn has(&self, line: Line) -> bool {
        self.lines.range((line, 0)..=(line, u64::MAX)).next().is_some()
    }

    fn state_at(&self, now: Duration, bound: Duration) -> MemberState {
        let fresh = |at: Option<Duration>| at.is_some_and(|at| now.saturating_sub(at) < bound);
        let heard = fresh(self.last_pong) && fresh(self.last_ping);
        let both = self.has(Line::ControlOut) && self.has(Line::ControlIn);
        if self.left {
            MemberState::Left
        } else if self.refused && !self.has(Line::ControlOut) {
            MemberState::Dead
        } else if heard && (both || self.state == MemberState::Live) {
            // A live member whose connection broke has its time to come back.
            MemberState::Live
        } else if self.state == MemberState::Dead && !both {
            MemberState::Dead
        } else {
            MemberState::Unreachable
        }
    }

    fn member(&self, id: &str) -> Member {
        let mut member = Member {
            name: id.to_owned(),
            node: self.node,
            address: self.address.clone(),
            me: false,
            state: self.state,
            ready: false,
            leaving: false,
            version: self.software.clone(),
            config: None,
            disk_ok: true,
            clock_offset_ms: 0,
            behind: None,
        };
        member.apply(&self.status);
        member
    }
}

impl Member {
    fn apply(&mut self, status: &Status) {
        self.ready = status.ready;
        self.leaving = status.leaving;
        self.config = status.config;
        self.disk_ok = !status.disk_failed;
        self.clock_offset_ms = status.clock_offset_ms;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Duration = Duration::from_secs(4);

    fn secs(n: u64) -> Duration {
        Duration::from_secs(100 + n)
    }

    fn me() -> Member {
        Peer::new(&Hello { id: "me".into(), ..Hello::default() }, secs(0)).member("me")
    }

    fn members() -> Members {
        let me = Member { me: true, state: MemberState::Live, ..me() };
        Members::new(me, true, BOUND, Duration::from_secs(6 * 3600))
    }

    fn hello(incarnation: u64) -> Hello {
        Hello { id: "b".into(), incarnation, address: "127.0.0.1:2".into(), version: "1".into() }
    }

    fn state(members: &Members) -> Option<MemberState> {
        members.peers.get("b").map(|peer| peer.state)
    }

    /// A peer with both control connections and a Pong.
    fn live() -> (Members, u64) {
        let mut members = members();
        let out = members.opened(Line::ControlOut, &hello(1), secs(0)).unwrap();
        members.opened(Line::ControlIn, &hello(1), secs(0));
        members.pong("b", secs(0), Duration::from_millis(1), 0);
        members.tick(secs(0));
        assert_eq!(state(&members), Some(MemberState::Live));
        (members, out)
    }

    #[test]
    fn live_needs_both_directions_and_a_pong() {
        let mut members = members();
        members.opened(Line::ControlOut, &hello(1), secs(0));
        members.pong("b", secs(0), Duration::from_millis(1), 0);
        members.tick(secs(0));
        assert_eq!(state(&members), Some(MemberState::Unreachable));
        members.opened(Line::ControlIn, &hello(1), secs(0));
        let changes = members.tick(secs(0));
        assert_eq!(state(&members), Some(MemberState::Live));
        assert_eq!((changes[0].from, changes[0].to), (None, MemberState::Live));
    }

    #[test]
    fn silence_makes_unreachable_after_four_seconds() {
        let (mut members, _) = live();
        members.tick(secs(3));
        assert_eq!(state(&members), Some(MemberState::Live));
        members.tick(secs(4));
        assert_eq!(state(&members), Some(MemberState::Unreachable));
        assert!(members.view(secs(4)).split);
        assert_eq!(members.view(secs(4)).known, 2);
    }

    #[test]
    fn a_refused_connection_is_death_only_after_the_old_one_closed() {
        let (mut members, out) = live();
        members.refused("b");
        members.tick(secs(1));
        assert_eq!(state(&members), Some(MemberState::Live));
        assert!(members.closed("b", Line::ControlOut, out));
        members.refused("b");
        members.tick(secs(1));
        assert_eq!(state(&members), Some(MemberState::Dead));
    }

    #[test]
    fn a_broken_connection_alone_is_no_death() {
        let (mut members, out) = live();
        members.closed("b", Line::ControlOut, out);
        members.tick(secs(1));
        assert_eq!(state(&members), Some(MemberState::Live));
    }

    #[test]
    fn of_two_connections_of_a_line_either_may_close() {
        let (mut members, first) = live();
        let second = members.opened(Line::ControlOut, &hello(1), secs(1)).unwrap();
        assert!(!members.closed("b", Line::ControlOut, second));
        assert!(members.is_open("b", Line::ControlOut));
        assert!(members.closed("b", Line::ControlOut, first));
        assert!(!members.is_open("b", Line::ControlOut));
    }

    #[test]
    fn who_left_is_no_split() {
        let (mut members, _) = live();
        members.left("b");
        members.tick(secs(1));
        let view = members.view(secs(1));
        assert!(!view.split);
        assert_eq!((view.live, view.known), (1, 1));
    }

    #[test]
    fn a_second_life_conflicts_only_while_the_first_is_heard() {
        let (mut members, _) = live();
        assert!(members.conflicts(&hello(2), secs(1)));
        assert!(!members.conflicts(&hello(1), secs(1)));
        assert!(!members.conflicts(&hello(2), secs(9)));
        members.opened(Line::ControlIn, &hello(2), secs(9));
        members.tick(secs(9));
        assert_ne!(state(&members), Some(MemberState::Live));
    }

    #[test]
    fn a_late_connection_of_a_former_life_changes_nothing() {
        let (mut members, _) = live();
        members.opened(Line::ControlOut, &hello(2), secs(5));
        members.opened(Line::ControlIn, &hello(2), secs(5));
        assert_eq!(members.opened(Line::ControlOut, &hello(1), secs(6)), None);
        assert!(members.is_open("b", Line::ControlIn));
    }

    #[test]
    fn what_a_former_life_says_is_ignored() {
        let (mut members, _) = live();
        let status = Status { version: 9, ready: true, ..Status::default() };
        members.told("b", 0, status.clone());
        assert!(!members.peers["b"].status.ready);
        members.told("b", 1, status);
        assert!(members.peers["b"].status.ready);
    }

    #[test]
    fn configured_addresses_count_as_known_until_reached() {
        let mut members = members();
        let address = "127.0.0.1:9".parse().unwrap();
        members.expect(address, None, secs(0));
        assert_eq!((members.view(secs(0)).known, members.view(secs(0)).split), (2, true));
        members.settle_address(address);
        assert_eq!((members.view(secs(0)).known, members.view(secs(0)).split), (1, false));
    }

    #[test]
    fn who_moved_is_not_missing_at_its_old_address() {
        let mut members = members();
        members.expect("127.0.0.1:9".parse().unwrap(), Some("b"), secs(0));
        assert!(members.view(secs(0)).split);
        members.opened(Line::ControlIn, &hello(1), secs(1));
        assert_eq!(members.unreached().count(), 0);
    }

    #[test]
    fn a_quick_restart_is_told_as_a_death() {
        let (mut members, _) = live();
        members.opened(Line::ControlOut, &hello(2), secs(1));
        members.opened(Line::ControlIn, &hello(2), secs(1));
        members.pong("b", secs(1), Duration::from_millis(1), 0);
        let told: Vec<_> = members.tick(secs(1)).iter().map(|change| change.to).collect();
        assert_eq!(told, vec![MemberState::Dead, MemberState::Live]);
    }

    #[test]
    fn position_is_by_name_among_the_live() {
        let (mut members, _) = live();
        assert_eq!(members.view(secs(0)).position, 1);
        members.left("b");
        members.tick(secs(1));
        assert_eq!(members.view(secs(1)).position, 0);
    }
}
