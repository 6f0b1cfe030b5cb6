//! The groups behind a lock, with what flushes leave for readers: which intervals mute a group, which of its alerts are
//! suppressed. The loop alone changes them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tocsin_core::alert::Hold;
use tocsin_core::group::{Batch, Group, GroupId, Groups, Inserted, Member, Told};
use tocsin_core::label::Fingerprint;
use tocsin_core::nflog::{EntryKey, needs_update};
use tocsin_core::route::Routes;

use super::alerts::Alerts;
use super::live::Live;
use super::log::{Log, Logged};
use super::record;
use super::slot::AlertRef;
use crate::events::Recorder;

/// The groups.
pub(super) struct Dispatch {
    inner: Mutex<Inner>,
}

pub(super) struct Inner {
    pub(super) groups: Groups,
    pub(super) marks: HashMap<GroupId, Marks>,
}

/// What the last flush of a group saw.
#[derive(Debug, Clone, Default)]
pub(super) struct Marks {
    /// Names of the time intervals that mute the group.
    pub(super) muted_by: Vec<String>,
    /// Alerts that are told.
    pub(super) active: Vec<Fingerprint>,
    /// Alerts that are silenced or inhibited.
    pub(super) suppressed: Vec<Fingerprint>,
}

impl Marks {
    pub(super) fn sort(&mut self) {
        self.active.sort_unstable();
        self.suppressed.sort_unstable();
    }

    /// 2 suppressed, 1 active, 0 not seen.
    pub(super) fn rank(&self, alert: Fingerprint) -> u8 {
        if self.suppressed.binary_search(&alert).is_ok() {
            return 2;
        }
        u8::from(self.active.binary_search(&alert).is_ok())
    }
}

/// What the insertion of alerts needs to know.
pub(super) struct Known<'a> {
    pub(super) alerts: &'a Alerts,
    pub(super) log: &'a Log,
    pub(super) live: &'a Live,
    pub(super) now: Timestamp,
    pub(super) hold: Hold,
    /// No ready peer was found at the start: what the log says is due is made up at once.
    pub(super) cold: bool,
    pub(super) recorder: &'a Recorder,
}

impl Dispatch {
    pub(super) fn new(routes: Arc<Routes>) -> Self {
        let inner = Inner { groups: Groups::new(routes), marks: HashMap::new() };
        Self { inner: Mutex::new(inner) }
    }

    pub(super) fn read<R>(&self, read: impl FnOnce(&Inner) -> R) -> R {
        read(&self.lock())
    }

    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.lock().groups.next_due()
    }

    pub(super) fn take_due(&self, now: Timestamp) -> Vec<Batch> {
        self.lock().groups.take_due(now)
    }

    pub(super) fn rearm(&self, key: &str, flush_at: Timestamp) {
        self.lock().groups.rearm(key, flush_at);
    }

    /// The members of a group as they are now; none when it is gone.
    pub(super) fn members(&self, group: GroupId) -> Vec<Fingerprint> {
        let inner = self.lock();
        inner.groups.get(group).map(|group| group.members().collect()).unwrap_or_default()
    }

    pub(super) fn mark(&self, group: GroupId, marks: Marks) {
        let mut inner = self.lock();
        if inner.groups.get(group).is_some() {
            inner.marks.insert(group, marks);
        }
    }

    /// Puts up to `max` changed alerts into their groups and starts the timers of new ones. Answers whether there were as
    /// many.
    pub(super) fn insert_changed(&self, known: &Known<'_>, max: usize) -> bool {
        let mut inner = self.lock();
        let groups = &mut inner.groups;
        let taken = known.alerts.take_changed(max, |alert| {
            insert(groups, alert, |groups, id| {
                known.recorder.record(|| record::grouped_event(known, groups, id, alert));
            })
        });
        arm(groups, known);
        taken == max
    }

    /// Makes all groups anew for a configuration: everything is inserted before the first timer starts. Resolved alerts
    /// join only if the log says that the receiver still thinks they fire.
    pub(super) fn rebuild(&self, known: &Known<'_>) {
        let mut inner = self.lock();
        let mut groups = inner.groups.reloaded(Arc::clone(known.live.routes()));
        known.alerts.regroup(|alert| {
            let resolved = known.hold.is_resolved(&alert.times(), known.now);
            if resolved && !is_told_as_firing(&groups, alert, known) {
                return 0;
            }
            insert(&mut groups, alert, |_, _| {})
        });
        arm(&mut groups, known);
        groups.settle();
        *inner = Inner { groups, marks: HashMap::new() };
    }

    /// Ends a flush. `removed` leave if nothing was heard of them since; each with the stamp that was seen.
    pub(super) fn finish(
        &self,
        alerts: &Alerts,
        recorder: &Recorder,
        group: GroupId,
        tick: Timestamp,
        removed: &[(Fingerprint, Option<tocsin_cluster::Stamp>)],
    ) {
        let mut inner = self.lock();
        let Some(held) = inner.groups.get(group) else { return };
        for (alert, _) in removed.iter().filter(|_| recorder.is_on()) {
            alerts.with(*alert, |alert| {
                recorder.record(|| record::resolved_event(recorder, &inner.groups, held, &alert));
            });
        }
        let gone: Vec<_> = removed
            .iter()
            .filter(|(alert, stamp)| alerts.ungroup(*alert, *stamp))
            .map(|(alert, _)| *alert)
            .collect();
        if inner.groups.finish(group, tick, &gone) {
            inner.marks.remove(&group);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Puts an alert into the groups it belongs to; answers how many of them did not hold it before.
fn insert(groups: &mut Groups, alert: &AlertRef<'_>, joins: impl Fn(&Groups, GroupId)) -> u16 {
    let times = alert.times();
    let member = Member {
        fingerprint: alert.fingerprint(),
        starts_at: times.starts_at,
        received_at: times.received_at,
    };
    let routes = Arc::clone(groups.routes());
    let mut joined = 0;
    for route in routes.matching(alert) {
        match groups.insert(route, alert, member) {
            Inserted::Held(_) => {}
            Inserted::Joined(id) | Inserted::Made(id) => {
                joined += 1;
                joins(groups, id);
            }
        }
    }
    joined
}

fn is_told_as_firing(groups: &Groups, alert: &AlertRef<'_>, known: &Known<'_>) -> bool {
    let hash = alert.hash_xx();
    groups.routes().matching(alert).into_iter().filter_map(|index| groups.routes().get(index)).any(
        |route| {
            let key = route.group_key(&route.group_labels(alert));
            let mut entries = entries(&key, &route.receiver, known.live, known.log);
            entries.any(|logged| logged.entry.lists_firing(hash))
        },
    )
}

fn arm(groups: &mut Groups, known: &Known<'_>) {
    let told: Vec<_> =
        groups.unarmed().map(|group| (group.id, told(groups, group, known))).collect();
    for (group, told) in told {
        groups.arm(group, told, known.now);
    }
}

/// What the log knows of a group: its newest entry among the integrations of its receiver.
fn told(groups: &Groups, group: &Group, known: &Known<'_>) -> Option<Told> {
    let route = groups.routes().get(group.route)?;
    let newest = entries(&group.key, &route.receiver, known.live, known.log)
        .max_by_key(|logged| logged.entry.timestamp)?;
    let mut firing = Vec::new();
    let mut resolved = Vec::new();
    let members: Vec<_> = group.members().collect();
    known.alerts.each(&members, |alert| {
        let ended = known.hold.is_resolved(&alert.times(), known.now);
        let list = if ended { &mut resolved } else { &mut firing };
        list.push(alert.hash_xx());
    });
    let lists = |hash: &u64| newest.entry.lists_firing(*hash);
    let repeat = route.repeat_interval;
    let entry = Some(&newest.entry);
    let due = || needs_update(entry, &firing, &resolved, true, repeat, known.now).is_some();
    Some(Told {
        flush_at: newest.entry.flush_at,
        lists_member: firing.iter().chain(&resolved).any(lists),
        make_up: known.cold && due(),
    })
}

/// The log's entries of a group, one for each integration that was told.
pub(super) fn entries<'a>(
    group_key: &'a str,
    receiver: &'a str,
    live: &'a Live,
    log: &'a Log,
) -> impl Iterator<Item = Arc<Logged>> + 'a {
    live.integrations(receiver).iter().filter_map(move |integration| {
        log.get(&EntryKey {
            group_key: group_key.into(),
            receiver: receiver.into(),
            integration: integration.kind.into(),
            index: integration.index,
        })
    })
}
