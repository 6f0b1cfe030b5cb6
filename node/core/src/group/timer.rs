//! When one group is due: the rules of ha.md 7 (1).

use std::time::Duration;

use jiff::Timestamp;

use super::{Member, time};
use crate::route::Route;

/// What the notification log knows of a group when it is armed: its newest entry among the group's integrations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// The tick that led to the entry, or the local time of its merge or load if that is earlier.
    pub flush_at: Timestamp,
    /// The entry lists a present member of the group as firing: the receiver has heard of what is going on.
    pub lists_member: bool,
    /// The log says that there is something to tell, and nobody else is there to do it (a cold start): look at once.
    pub make_up: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Timer {
    pub(super) due: Option<Timestamp>,
    pub(super) last_tick: Option<Timestamp>,
    /// The tick of the flush that runs.
    pub(super) flushing: Option<Timestamp>,
    /// A tick that came while a flush ran.
    late: Option<Timestamp>,
    pub(super) flushes: u64,
    /// The member that came first.
    earliest: Member,
}

impl Timer {
    pub(super) fn new(member: &Member) -> Self {
        Self {
            due: None,
            last_tick: None,
            flushing: None,
            late: None,
            flushes: 0,
            earliest: *member,
        }
    }

    pub(super) fn is_armed(&self) -> bool {
        self.due.or(self.late).is_some()
    }

    /// A member joins: it counts for the first due time only as long as that has not been set.
    pub(super) fn join(&mut self, member: &Member) {
        let comes_first = |member: &Member| (member.received_at, member.fingerprint);
        if !self.is_armed() && comes_first(member) < comes_first(&self.earliest) {
            self.earliest = *member;
        }
    }

    pub(super) fn arm(
        &mut self,
        former: Option<&Self>,
        told: Option<Told>,
        route: &Route,
        now: Timestamp,
    ) {
        let told = told.filter(|told| told.lists_member);
        self.last_tick = told.map(|told| told.flush_at.min(now));
        let due = match (told, former) {
            (Some(_), Some(_)) => now, // A reload looks at once at what has been told.
            (Some(told), None) if told.make_up => now,
            (Some(told), None) => {
                time::next_step(told.flush_at.min(now), route.group_interval, now)
            }
            // What the reload cut short was not told.
            (None, Some(former)) if former.flushing.is_some() => now,
            (None, Some(former)) => former.due.unwrap_or(now),
            (None, None) => self.first_due(route.group_wait),
        };
        self.due = Some(due.max(now));
    }

    /// An alert that had been firing for longer than the wait when it came makes its group due at once.
    fn first_due(&self, group_wait: Duration) -> Timestamp {
        let Member { starts_at, received_at, .. } = self.earliest;
        if time::add(starts_at, group_wait) < received_at {
            return received_at;
        }
        time::add(received_at, group_wait)
    }

    /// Another node has flushed.
    pub(super) fn rearm(&mut self, flush_at: Timestamp, group_interval: Duration) {
        let last = self.last_tick.unwrap_or(self.earliest.received_at);
        if self.due.is_some() && last < flush_at {
            self.last_tick = Some(flush_at);
            self.due = Some(time::add(flush_at, group_interval));
        }
    }

    /// The due time has come; false when a flush still runs.
    pub(super) fn begin(
        &mut self,
        tick: Timestamp,
        group_interval: Duration,
        now: Timestamp,
    ) -> bool {
        if self.flushing.is_some() {
            self.due = None;
            self.late = Some(tick);
            return false;
        }
        self.due = Some(time::next_step(tick, group_interval, now));
        self.late = None;
        self.last_tick = Some(tick);
        self.flushing = Some(tick);
        self.flushes += 1;
        true
    }

    /// The flush of that tick has ended; the due time of one that came meanwhile.
    pub(super) fn end(&mut self, tick: Timestamp) -> Option<Timestamp> {
        if self.flushing != Some(tick) {
            return None;
        }
        self.flushing = None;
        let late = self.late.take();
        self.due = self.due.or(late);
        late
    }
}
