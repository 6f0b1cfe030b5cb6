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
