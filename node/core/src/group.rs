//! Groups of alerts and when each is due: a state machine without clock, timer or task.
//!
//! A group holds fingerprints only; the caller reads the records when the group is due. A group that [`Groups::insert`] made stands
//! still until [`Groups::arm`] has been told what the notification log knows about it.

mod timer;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;

pub use timer::Told;

use crate::label::{Fingerprint, Labels, Lookup};
use crate::route::{RouteIndex, Routes};
use crate::time;
use timer::Timer;

/// A group; never used again after the group is gone, also not after a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub u64);

/// What the first due time of a group depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// The alert.
    pub fingerprint: Fingerprint,
    /// Since when it fires.
    pub starts_at: Timestamp,
    /// When it came: the earlier of its record and the local time of its merge.
    pub received_at: Timestamp,
}

/// What [`Groups::insert`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a group that was made must be armed"]
pub enum Inserted {
    /// The group holds the alert already.
    Held(GroupId),
    /// The alert joined the group, whose timer stays as it is.
    Joined(GroupId),
    /// The group is new: [`Groups::arm`] it.
    Made(GroupId),
}

/// One group.
#[derive(Debug)]
pub struct Group {
    /// Who it is.
    pub id: GroupId,
    /// Its route.
    pub route: RouteIndex,
    /// Its key in the log.
    pub key: Arc<str>,
    /// Its labels.
    pub labels: Arc<Labels>,
    members: BTreeSet<Fingerprint>,
    timer: Timer,
}

impl Group {
    /// Its alerts, in the order of their fingerprints.
    pub fn members(&self) -> impl ExactSizeIterator<Item = Fingerprint> {
        self.members.iter().copied()
    }

    /// Whether it holds the alert.
    #[must_use]
    pub fn holds(&self, fingerprint: Fingerprint) -> bool {
        self.members.contains(&fingerprint)
    }

    /// When it is looked at next; `None` before it is armed, and while a late tick waits for the flush that runs.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        self.timer.due
    }

    /// The tick of the last flush, here or by another node.
    #[must_use]
    pub fn last_tick(&self) -> Option<Timestamp> {
        self.timer.last_tick
    }

    /// Whether a flush runs.
    #[must_use]
    pub fn is_flushing(&self) -> bool {
        self.timer.flushing.is_some()
    }
}

/// A group that is due, as it was at that moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Which group.
    pub id: GroupId,
    /// Its route.
    pub route: RouteIndex,
    /// Its key in the log.
    pub key: Arc<str>,
    /// Its labels.
    pub labels: Arc<Labels>,
    /// The moment this flush stands for: the due time, not the time the timer ran.
    pub tick: Timestamp,
    /// 1 for the first flush of the group.
    pub number: u64,
    /// In the order of their fingerprints.
    pub members: Vec<Fingerprint>,
}

/// All groups.
#[derive(Debug)]
pub struct Groups {
    routes: Arc<Routes>,
    groups: HashMap<GroupId, Group>,
    /// By route and the fingerprint of the group's labels.
    by_labels: HashMap<(RouteIndex, Fingerprint), GroupId>,
    /// Sibling routes with equal matchers share keys.
    by_key: HashMap<Arc<str>, Vec<GroupId>>,
    due: BTreeSet<(Timestamp, GroupId)>,
    unarmed: BTreeSet<GroupId>,
    /// The timers of before a reload.
    former: HashMap<Arc<str>, Timer>,
    last_id: u64,
}

impl Groups {
    /// No groups yet.
    #[must_use]
    pub fn new(routes: Arc<Routes>) -> Self {
        Self {
            routes,
            groups: HashMap::new(),
            by_labels: HashMap::new(),
            by_key: HashMap::new(),
            due: BTreeSet::new(),
            unarmed: BTreeSet::new(),
            former: HashMap::new(),
            last_id: 0,
        }
    }

    /// The empty successor for a new configuration: it keeps the timers of these groups by their keys until [`Groups::settle`].
    /// Insert every alert anew, then arm [`Groups::unarmed`].
    #[must_use]
    pub fn reloaded(&self, routes: Arc<Routes>) -> Self {
        let timers = self.groups.values().filter(|group| group.timer.is_armed());
        let former = timers.map(|group| (group.key.clone(), group.timer.clone())).collect();
        Self { former, last_id: self.last_id, ..Self::new(routes) }
    }

    /// Forgets the timers of before the reload.
    pub fn settle(&mut self) {
        self.former = HashMap::new();
    }

    /// The routing tree that the groups follow.
    #[must_use]
    pub fn routes(&self) -> &Arc<Routes> {
        &self.routes
    }

    /// Puts an alert into its group in a route that it matches. Cheap when the group holds it already.
    pub fn insert(&mut self, route: RouteIndex, labels: &dyn Lookup, member: Member) -> Inserted {
        let group_labels = self.group_fingerprint(route, labels);
        let known =
            self.by_labels.get(&(route, group_labels)).and_then(|id| self.groups.get_mut(id));
        let Some(group) = known else {
            return Inserted::Made(self.make(route, group_labels, labels, member));
        };
        if !group.members.insert(member.fingerprint) {
            return Inserted::Held(group.id);
        }
        group.timer.join(&member);
        Inserted::Joined(group.id)
    }

    /// Whether the alert's group in this route holds it.
    #[must_use]
    pub fn holds(&self, route: RouteIndex, labels: &dyn Lookup, fingerprint: Fingerprint) -> bool {
        self.find(route, labels).is_some_and(|group| group.holds(fingerprint))
    }

    /// The alert's group in this route.
    #[must_use]
    pub fn find(&self, route: RouteIndex, labels: &dyn Lookup) -> Option<&Group> {
        let group_labels = self.group_fingerprint(route, labels);
        self.get(*self.by_labels.get(&(route, group_labels))?)
    }

    /// The group with that identity, unless it is gone.
    #[must_use]
    pub fn get(&self, id: GroupId) -> Option<&Group> {
        self.groups.get(&id)
    }

    /// The groups that share the key.
    pub fn with_key(&self, key: &str) -> impl Iterator<Item = &Group> {
        self.by_key.get(key).into_iter().flatten().filter_map(|id| self.groups.get(id))
    }

    /// All groups, in no order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Group> {
        self.groups.values()
    }

    /// How many groups there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// The groups that wait for [`Groups::arm`].
    pub fn unarmed(&self) -> impl Iterator<Item = &Group> {
        self.unarmed.iter().filter_map(|id| self.groups.get(id))
    }

    /// Starts the timer of a group that was made. `told` is what the log knows of it: the newest entry of its integrations, if there is one.
    /// A group armed before keeps its timer.
    pub fn arm(&mut self, id: GroupId, told: Option<Told>, now: Timestamp) {
        if !self.unarmed.remove(&id) {
            return;
        }
        let Some(group) = self.groups.get_mut(&id) else { return };
        let Some(route) = self.routes.get(group.route) else { return };
        let former = self.former.get(&group.key);
        group.timer.arm(former, told, route, now);
        self.due.extend(group.timer.due.map(|due| (due, id)));
    }

    /// The log took an entry of this group key from another node: groups whose last tick is older count on from `flush_at`,
    /// which is the earlier of the entry's and the local time of its merge.
    pub fn rearm(&mut self, key: &str, flush_at: Timestamp) {
        for id in self.by_key.get(key).into_iter().flatten() {
            let Some(group) = self.groups.get_mut(id) else { continue };
            let Some(route) = self.routes.get(group.route) else { continue };
            let before = group.timer.due;
            group.timer.rearm(flush_at, route.group_interval);
            if before != group.timer.due {
                self.due.extend(group.timer.due.map(|due| (due, *id)));
                before.map(|due| self.due.remove(&(due, *id)));
            }
        }
    }

    /// When to call [`Groups::take_due`] next.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Starts a flush of every group that is due and sets its next due time, which counts from the tick. A group whose flush still runs
    /// is taken once that ends.
    pub fn take_due(&mut self, now: Timestamp) -> Vec<Batch> {
        let later = (now, GroupId(u64::MAX));
        let mut batches = Vec::new();
        while let Some(first) = self.due.first().copied().filter(|first| *first <= later) {
            self.due.remove(&first);
            let (tick, id) = first;
            let Some(group) = self.groups.get_mut(&id) else { continue };
            let Some(route) = self.routes.get(group.route) else { continue };
            if group.timer.begin(tick, route.group_interval, now) {
                batches.push(batch(group, tick));
            }
            self.due.extend(group.timer.due.map(|due| (due, id)));
        }
        batches
    }

    /// A flush has ended; `removed` are the members that were told as resolved (or need not be) and whose records have not changed since.
    /// Says whether the group was left empty and is gone.
    pub fn finish(&mut self, id: GroupId, tick: Timestamp, removed: &[Fingerprint]) -> bool {
        let Some(group) = self.groups.get_mut(&id) else { return true };
        if let Some(due) = group.timer.end(tick) {
            self.due.insert((due, id));
        }
        self.remove(id, removed)
    }

    /// Takes members out of a group, for records that are no more. Says whether the group was left empty and is gone.
    pub fn remove(&mut self, id: GroupId, members: &[Fingerprint]) -> bool {
        let Some(group) = self.groups.get_mut(&id) else { return true };
        for member in members {
            group.members.remove(member);
        }
        let gone = group.members.is_empty();
        if gone {
            self.drop_group(id);
        }
        gone
    }

    fn group_fingerprint(&self, route: RouteIndex, labels: &dyn Lookup) -> Fingerprint {
        self.routes.get(route).map_or(Fingerprint(0), |route| route.group_fingerprint(labels))
    }

    fn make(
        &mut self,
        index: RouteIndex,
        fingerprint: Fingerprint,
        labels: &dyn Lookup,
        member: Member,
    ) -> GroupId {
        self.last_id += 1;
        let id = GroupId(self.last_id);
        let route = self.routes.get(index);
        let labels = route.map(|route| route.group_labels(labels)).unwrap_or_default();
        let key: Arc<str> = route.map(|route| route.group_key(&labels)).unwrap_or_default().into();
        let members = BTreeSet::from([member.fingerprint]);
        let timer = Timer::new(&member);
        let labels = Arc::new(labels);
        self.groups
            .insert(id, Group { id, route: index, key: key.clone(), labels, members, timer });
        self.by_labels.insert((index, fingerprint), id);
        self.by_key.entry(key).or_default().push(id);
        self.unarmed.insert(id);
        id
    }

    fn drop_group(&mut self, id: GroupId) {
        let Some(group) = self.groups.remove(&id) else { return };
        self.by_labels.remove(&(group.route, group.labels.fingerprint()));
        self.unarmed.remove(&id);
        group.timer.due.map(|due| self.due.remove(&(due, id)));
        if let Some(sharing) = self.by_key.get_mut(&group.key) {
            sharing.retain(|other| *other != id);
            if sharing.is_empty() {
                self.by_key.remove(&group.key);
            }
        }
    }
}

fn batch(group: &Group, tick: Timestamp) -> Batch {
    Batch {
        id: group.id,
        route: group.route,
        key: group.key.clone(),
        labels: group.labels.clone(),
        tick,
        number: group.timer.flushes,
        members: group.members().collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::matcher::{Mode, parse_matchers};
    use crate::route::{GroupBy, RouteSpec};

    /// group_wait 30 s, group_interval 300 s; two child routes with equal matchers.
    fn routes() -> Arc<Routes> {
        let child = || RouteSpec {
            matchers: parse_matchers("twice=1", Mode::Utf8).unwrap().value,
            continues: true,
            ..RouteSpec::default()
        };
        let root = RouteSpec {
            receiver: Some("default".into()),
            group_by: Some(GroupBy::Names(vec!["g".into()])),
            routes: vec![child(), child()],
            ..RouteSpec::default()
        };
        Arc::new(Routes::new(root).unwrap())
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn labels(text: &str) -> Labels {
        text.split(',').filter_map(|pair| pair.split_once('=')).collect()
    }

    fn told(flush_at: i64) -> Option<Told> {
        Some(Told { flush_at: at(flush_at), lists_member: true, make_up: false })
    }

    const ROOT: RouteIndex = RouteIndex(2);

    struct World(Groups);

    impl World {
        fn new() -> Self {
            Self(Groups::new(routes()))
        }

        fn insert(&mut self, alert: &str, starts_at: i64, received_at: i64) -> Inserted {
            let labels = labels(alert);
            let fingerprint = labels.fingerprint();
            let member =
                Member { fingerprint, starts_at: at(starts_at), received_at: at(received_at) };
            self.0.insert(ROOT, &labels, member)
        }

        /// As a post at `now` does it.
        fn post(&mut self, alert: &str, now: i64) {
            if let Inserted::Made(id) = self.insert(alert, now, now) {
                self.0.arm(id, None, at(now));
            }
        }

        fn load(
            &mut self,
            alert: &str,
            (starts_at, received_at): (i64, i64),
            told: Option<Told>,
            now: i64,
        ) {
            let Inserted::Made(id) = self.insert(alert, starts_at, received_at) else {
                panic!("not made")
            };
            self.0.arm(id, told, at(now));
        }

        #[track_caller]
        fn due(&self, expected: i64) {
            assert_eq!(self.0.next_due(), Some(at(expected)));
        }

        /// Takes the one group that is due.
        #[track_caller]
        fn take(&mut self, now: i64) -> Batch {
            let mut batches = self.0.take_due(at(now));
            assert_eq!(batches.len(), 1);
            batches.remove(0)
        }

        fn finish(&mut self, batch: &Batch, removed: &[&str]) -> bool {
            let removed: Vec<_> = removed.iter().map(|alert| labels(alert).fingerprint()).collect();
            self.0.finish(batch.id, batch.tick, &removed)
        }
    }

    #[test]
    fn new_group_waits_and_is_then_looked_at_every_interval() {
        let mut world = World::new();
        world.post("g=1,a=1", 100);
        world.due(130);
        assert_eq!(world.0.take_due(at(129)), []);
        let batch = world.take(131); // The timer ran late; the tick did not.
        assert_eq!((batch.tick, batch.number, &*batch.key), (at(130), 1, r#"{}:{g="1"}"#));
        assert_eq!(batch.members, [labels("g=1,a=1").fingerprint()]);
        world.finish(&batch, &[]);
        world.due(430);
        let batch = world.take(430);
        assert_eq!((batch.tick, batch.number), (at(430), 2));
    }

    /// Trap 15.
    #[test]
    fn old_alert_makes_a_new_group_due_at_once_but_not_an_existing_one() {
        let mut world = World::new();
        world.load("g=1,a=1", (69, 100), None, 100);
        world.due(100);
        let mut world = World::new();
        world.load("g=1,a=1", (70, 100), None, 100);
        world.due(130);
        let _ = world.insert("g=1,a=2", 0, 105);
        world.due(130);
    }

    #[test]
    fn insert_says_what_it_did() {
        let mut world = World::new();
        let Inserted::Made(id) = world.insert("g=1,a=1", 100, 100) else { panic!("not made") };
        assert_eq!(world.insert("g=1,a=1", 100, 100), Inserted::Held(id));
        assert_eq!(world.insert("g=1,a=2", 100, 100), Inserted::Joined(id));
        assert!(matches!(world.insert("g=2,a=1", 100, 100), Inserted::Made(_)));
        assert!(world.0.holds(ROOT, &labels("g=1,a=2"), labels("g=1,a=2").fingerprint()));
        assert!(!world.0.holds(ROOT, &labels("g=1,a=3"), labels("g=1,a=3").fingerprint()));
        assert_eq!(world.0.find(ROOT, &labels("g=1,zzz=1")).map(|group| group.id), Some(id));
    }

    #[test]
    fn group_stands_still_until_it_is_armed_and_then_goes_by_its_first_member() {
        let mut world = World::new();
        let Inserted::Made(id) = world.insert("g=1,a=1", 100, 100) else { panic!("not made") };
        let _ = world.insert("g=1,a=2", 90, 90);
        assert_eq!((world.0.next_due(), world.0.unarmed().count()), (None, 1));
        world.0.arm(id, None, at(110));
        world.due(120);
        world.0.arm(id, None, at(500));
        world.due(120);
        assert_eq!(world.0.unarmed().count(), 0);
    }

    #[test]
    fn missed_first_flush_is_made_up_at_once() {
        let mut world = World::new();
        world.load("g=1", (100, 100), None, 900);
        assert_eq!(world.take(900).tick, at(900));
    }

    #[test]
    fn group_that_was_told_counts_on_from_there() {
        let mut world = World::new();
        world.load("g=1", (0, 0), told(1000), 1999);
        world.due(2200); // 1000 + 4 x 300
        let group = world.0.iter().next().unwrap();
        assert_eq!(group.last_tick(), Some(at(1000)));
    }

    #[test]
    fn flush_of_the_future_counts_as_now() {
        let mut world = World::new();
        world.load("g=1", (0, 0), told(9000), 2000);
        world.due(2300);
    }

    #[test]
    fn entry_that_lists_no_member_does_not_open_the_group() {
        let mut world = World::new();
        let other = Told { lists_member: false, ..told(1000).unwrap() };
        world.load("g=1", (1990, 1990), Some(other), 2000);
        world.due(2020);
    }

    #[test]
    fn cold_start_makes_up_what_the_log_says_is_due() {
        let mut world = World::new();
        let due = Told { make_up: true, ..told(1000).unwrap() };
        world.load("g=1", (0, 0), Some(due), 2000);
        assert_eq!(world.take(2000).tick, at(2000));
        world.due(2300);
    }

    #[test]
    fn entry_of_another_node_moves_the_timer_on() {
        let mut world = World::new();
        world.post("g=1", 100);
        world.0.rearm(r#"{}:{g="1"}"#, at(128));
        world.due(428);
        world.0.rearm(r#"{}:{g="1"}"#, at(120));
        world.due(428);
        let batch = world.take(428);
        world.0.rearm(r#"{}:{g="1"}"#, at(428));
        world.due(728);
        world.0.rearm(r#"{}:{g="1"}"#, at(429));
        world.due(729);
        assert!(!world.finish(&batch, &[]));
        world.0.rearm("other", at(999));
        world.due(729);
    }

    #[test]
    fn entry_of_an_earlier_life_moves_nothing() {
        let mut world = World::new();
        world.post("g=1", 100);
        world.0.rearm(r#"{}:{g="1"}"#, at(99));
        world.due(130);
    }

    #[test]
    fn flushes_of_a_group_never_overlap_and_a_late_one_follows_at_once() {
        let mut world = World::new();
        world.post("g=1", 100);
        let first = world.take(130);
        assert!(world.0.iter().all(Group::is_flushing));
        assert_eq!(world.0.take_due(at(430)), []);
        assert_eq!(world.0.next_due(), None);
        world.finish(&first, &[]);
        world.due(430);
        let second = world.take(1500);
        assert_eq!((second.tick, second.number), (at(430), 2));
        world.due(1630);
        world.finish(&first, &[]); // Nobody waits for this tick any more.
        assert!(world.0.iter().all(Group::is_flushing));
    }

    #[test]
    fn empty_group_is_gone_and_made_anew() {
        let mut world = World::new();
        world.post("g=1,a=1", 100);
        let _ = world.insert("g=1,a=2", 100, 100);
        let batch = world.take(130);
        assert!(!world.finish(&batch, &["g=1,a=1"]));
        assert_eq!(world.0.get(batch.id).unwrap().members().len(), 1);
        let batch = world.take(430);
        assert!(world.finish(&batch, &["g=1,a=2"]));
        assert_eq!((world.0.len(), world.0.next_due()), (0, None));
        assert_eq!(world.0.with_key(&batch.key).count(), 0);
        world.post("g=1,a=1", 500);
        world.due(530);
        assert_ne!(world.take(530).id, batch.id);
    }

    #[test]
    fn sibling_routes_with_equal_matchers_share_a_key() {
        let mut groups = Groups::new(routes());
        let alert = labels("twice=1,g=1");
        let member =
            Member { fingerprint: alert.fingerprint(), starts_at: at(0), received_at: at(0) };
        for route in groups.routes().clone().matching(&alert) {
            let Inserted::Made(id) = groups.insert(route, &alert, member) else {
                panic!("not made")
            };
            groups.arm(id, None, at(0));
        }
        assert_eq!(groups.len(), 2);
        let key = groups.iter().next().unwrap().key.clone();
        assert_eq!(groups.with_key(&key).count(), 2);
        groups.rearm(&key, at(10));
        assert_eq!(groups.take_due(at(310)).len(), 2);
    }

    #[test]
    fn reload_looks_at_once_at_what_was_told_and_keeps_other_timers() {
        let mut world = World::new();
        world.post("g=told", 100);
        world.take(130);
        world.post("g=waiting", 220);
        let mut after = World(world.0.reloaded(routes()));
        after.load("g=waiting", (220, 220), None, 240);
        after.due(250);
        after.load("g=told", (100, 100), told(130), 240);
        after.due(240);
        after.0.settle();
        after.load("g=new", (100, 239), None, 240);
        let batches = after.0.take_due(at(240));
        assert_eq!(
            batches.iter().map(|batch| (&*batch.key, batch.tick)).collect::<Vec<_>>(),
            [(r#"{}:{g="told"}"#, at(240)), (r#"{}:{g="new"}"#, at(240)),]
        );
        assert!(batches.iter().all(|batch| world.0.get(batch.id).is_none()));
    }

    #[test]
    fn reload_that_cuts_a_flush_short_looks_at_once() {
        let mut world = World::new();
        world.post("g=1", 100);
        world.take(130);
        let mut after = World(world.0.reloaded(routes()));
        after.load("g=1", (100, 100), None, 140);
        after.due(140);
    }

    proptest! {
        /// Whatever happens, each group is due, waits for its arming, or flushes with a late tick.
        #[test]
        fn no_group_is_forgotten(steps in proptest::collection::vec((0..6_u8, 0..3_u8, 0..200_i64), 1..60)) {
            let mut world = World::new();
            let (mut now, mut flying) = (0, Vec::<Batch>::new());
            for (kind, group, forward) in steps {
                now += forward;
                match kind {
                    0 | 1 => world.post(&format!("g={group},a={forward}"), now),
                    2 => flying.extend(world.0.take_due(at(now))),
                    3 => world.0.rearm(&format!(r#"{{}}:{{g="{group}"}}"#), at(now - forward / 2)),
                    4 => world.0 = world.0.reloaded(routes()),
                    _ => if let Some(batch) = flying.pop() {
                        let removed = batch.members.get(..usize::from(group)).unwrap_or_default();
                        world.0.finish(batch.id, batch.tick, removed);
                    }
                }
                for group in world.0.iter() {
                    prop_assert!(group.members().len() > 0);
                    prop_assert!(group.due().is_some() || group.is_flushing());
                    prop_assert_eq!(world.0.due.iter().filter(|due| due.1 == group.id).count(), usize::from(group.due().is_some()));
                    prop_assert!(group.due().is_none_or(|due| world.0.due.contains(&(due, group.id))));
                    prop_assert!(world.0.with_key(&group.key).any(|other| other.id == group.id));
                }
                prop_assert!(world.0.due.iter().all(|due| world.0.get(due.1).is_some()));
                prop_assert!(world.0.by_key.values().map(Vec::len).sum::<usize>() == world.0.len());
                prop_assert_eq!(world.0.by_labels.len(), world.0.len());
            }
        }
    }

    #[test]
    fn tens_of_thousands_of_groups_are_kept_in_order() {
        let mut world = World::new();
        for group in 0..20_000 {
            world.post(&format!("g={group}"), group % 100);
        }
        let mut last = at(0);
        while let Some(due) = world.0.next_due().filter(|due| *due < at(200)) {
            assert!(last < due);
            last = due;
            assert_eq!(world.0.take_due(due).len(), 200);
        }
        assert_eq!(last, at(129));
        assert_eq!(world.0.next_due(), Some(time::add(at(30), Duration::from_secs(300))));
    }
}
