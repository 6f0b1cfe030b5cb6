//! What a group has to say at one moment: its members as their records are now, without those that are inhibited, out of
//! hours or silenced.

use jiff::Timestamp;
use tocsin_cluster::Stamp;
use tocsin_core::label::Fingerprint;
use tocsin_core::mute::{Suppression, out_of_hours};
use tocsin_core::route::Route;

use super::Shared;
use super::dispatch::Marks;
use super::live::Live;
use super::record;
use super::slot::AlertRef;
use crate::events::EventData;
use crate::message::{self, AlertStatus};

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// What is to be told, in order.
    pub(super) alerts: Vec<message::Alert>,
    /// Hashes of those that fire.
    pub(super) firing: Vec<u64>,
    /// Hashes of those that have ended.
    pub(super) resolved: Vec<u64>,
    /// Every member that has ended, muted or not.
    pub(super) ended: Vec<Ended>,
    /// What readers see of it.
    pub(super) marks: Marks,
    /// How many alerts were taken out, and why.
    pub(super) taken_out: Vec<(Suppression, usize)>,
    /// The silences that were asked.
    pub(super) silences_version: u64,
    /// Hashes of those that are inhibited, out of hours or silenced.
    pub(super) muted: Vec<u64>,
    /// Why, for the recorder; empty unless it is on.
    pub(super) events: Vec<EventData>,
}

/// A member that leaves once that has been told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ended {
    pub(super) alert: Fingerprint,
    /// `None`: its record is gone.
    pub(super) stamp: Option<Stamp>,
    pub(super) hash: u64,
}

/// Looks at the members. `tick` is what the time intervals are asked about, `now` is what ends alerts.
pub(super) fn look(
    shared: &Shared,
    live: &Live,
    route: &Route,
    members: &[Fingerprint],
    tick: Timestamp,
    now: Timestamp,
) -> Look {
    let hold = shared.hold();
    let closed = out_of_hours(route, &live.config.intervals, tick);
    let mut look = Look { silences_version: shared.silences.version(), ..Look::default() };
    let recording = shared.recorder.is_on();
    let mut counts = [0; Suppression::ALL.len()];
    let mut found = Vec::with_capacity(members.len());
    let query = &shared.counts.silence_query_time;
    shared.alerts.each_ordered(members, |alert| {
        let fingerprint = alert.fingerprint();
        found.push(fingerprint);
        let hash = alert.hash_xx();
        let ended = hold.is_resolved(&alert.times(), now);
        if ended {
            look.ended.push(Ended { alert: fingerprint, stamp: Some(alert.stamp()), hash });
        }
        let why = if let Some((rule, source)) = alert.inhibited_under(now, &hold) {
            if recording {
                look.events.push(record::inhibited_event(rule, source, &alert));
            }
            Some(Suppression::Inhibition)
        } else if let Some(closed) = &closed {
            Some(closed.why)
        } else if let silences = query.of(|| shared.silences.silenced_by(fingerprint, &alert, now))
            && !silences.is_empty()
        {
            if recording {
                let silences = silences.iter().filter_map(|id| shared.silences.get(id));
                look.events.extend(silences.map(|one| record::silenced_event(&one, &alert)));
            }
            Some(Suppression::Silence)
        } else {
            let hashes = if ended { &mut look.resolved } else { &mut look.firing };
            hashes.push(hash);
            look.alerts.push(message(&alert, ended));
            None
        };
        if let Some(place) = why.and_then(|why| Suppression::ALL.iter().position(|w| *w == why)) {
            counts[place] += 1;
            look.muted.push(hash);
        }
        match why {
            Some(Suppression::Inhibition | Suppression::Silence) => {
                look.marks.suppressed.push(fingerprint);
            }
            _ => look.marks.active.push(fingerprint),
        }
    });
    found.sort_unstable();
    look.marks.sort();
    let gone = members.iter().filter(|member| found.binary_search(member).is_err());
    look.ended.extend(gone.map(|&alert| Ended { alert, stamp: None, hash: 0 }));
    look.marks.muted_by = closed.map(|closed| closed.by).unwrap_or_default();
    look.taken_out = Suppression::ALL.into_iter().zip(counts).filter(|(_, n)| *n > 0).collect();
    look
}

/// An alert as notifications tell it.
pub(super) fn message(alert: &AlertRef<'_>, ended: bool) -> message::Alert {
    let times = alert.times();
    message::Alert {
        status: if ended { AlertStatus::Resolved } else { AlertStatus::Firing },
        labels: alert.labels().collect(),
        annotations: alert.annotations().collect(),
        starts_at: times.starts_at,
        ends_at: ended.then_some(times.ends_at),
        generator_url: alert.generator_url().to_owned(),
        fingerprint: alert.fingerprint().to_string(),
    }
}
