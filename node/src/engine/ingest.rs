//! What a posted batch does: each alert is checked, merged with its current record under the lock of the state, stamped and
//! spread. Answers once it is as safe as it must be.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use tocsin_cluster::{Draft, Need, Writer, kind};
use tocsin_core::alert::{Alert, AlertInput, InvalidAlert, Times, check_texts};
use tocsin_core::label::Fingerprint;
use tocsin_core::matcher::NameRule;
use tocsin_core::time;
use tracing::warn;

use super::Shared;
use super::body::AlertParts;
use super::counts::ApiVersion;
use super::record;

/// The least time for which a resolved alert is remembered, so that nothing older brings it back.
pub(super) const TOMBSTONE_MIN: Duration = Duration::from_secs(90 * 60);

/// What became of a posted batch.
#[derive(Debug, Default)]
pub struct Posted {
    /// Why alerts were refused, in the order of the batch; the others are stored.
    pub invalid: Vec<String>,
    /// The batch is in memory, but not as safe as promised.
    pub degraded: bool,
}

/// An alert that passed the checks.
struct Checked {
    fingerprint: Fingerprint,
    input: AlertInput,
    times: Times,
}

/// Takes a batch in.
pub(super) async fn post(shared: &Shared, version: ApiVersion, inputs: Vec<AlertInput>) -> Posted {
    let now = shared.clock.now();
    let live = shared.live.load_full();
    let names = shared.matcher_mode().names();
    let mut posted = Posted::default();
    let mut good = Vec::with_capacity(inputs.len());
    for input in inputs {
        let fires = input.ends_at.is_none_or(|end| now < end);
        shared.counts.received(version, fires);
        match check(input, now, live.config.resolve_timeout, names) {
            Ok(checked) => good.push(checked),
            Err(invalid) => {
                shared.counts.invalid(version);
                posted.invalid.push(invalid.to_string());
            }
        }
    }
    shared.posted_at(now);
    if good.is_empty() {
        return posted;
    }
    let keep = tombstone(live.largest_group_interval, shared.options.data_retention);
    let write = |writer: &mut Writer<'_>| {
        for checked in good {
            put(shared, writer, checked, now, keep);
        }
    };
    let ((), outcome) = shared.cluster.write(Need::Alerts, write).await;
    posted.degraded = outcome.degraded.is_some();
    posted
}

fn check(
    input: AlertInput,
    now: Timestamp,
    resolve_timeout: Duration,
    names: NameRule,
) -> Result<Checked, InvalidAlert> {
    let labels = input.labels.without_empty();
    let times = Times::of_post(input.starts_at, input.ends_at, now, resolve_timeout)?;
    check_texts(&labels, &input.annotations, names)?;
    let fingerprint = labels.fingerprint();
    Ok(Checked { fingerprint, input: AlertInput { labels, ..input }, times })
}

fn put(shared: &Shared, writer: &mut Writer<'_>, checked: Checked, now: Timestamp, keep: Duration) {
    let Checked { fingerprint, input, times } = checked;
    let current = shared.alerts.with(fingerprint, |alert| alert.times());
    let times = current.map_or(times, |current| times.over(&current, now));
    if !shared.admits(&input.labels, fingerprint, times.ends_at, now) {
        let alertname = input.labels.get("alertname");
        warn!(alertname, %fingerprint, "alert refused: too many alerts of that name");
        return;
    }
    let alert = Alert {
        labels: input.labels,
        annotations: input.annotations,
        generator_url: input.generator_url,
        starts_at: times.starts_at,
        ends_at: times.ends_at,
        updated_at: times.updated_at,
        received_at: times.received_at,
        timeout: times.timeout,
        explicit_end: times.explicit_end,
    };
    // What had ended that long ago is forgotten, as far as the reader of events is concerned.
    let forgotten = time::sub(now, shared.options.alerts_gc_interval);
    if current.is_none_or(|current| current.ends_at < forgotten) {
        shared.recorder.record(|| record::created_event(fingerprint, &alert, now));
    }
    let draft = draft(fingerprint, &alert, keep);
    shared.alerts.stage(alert);
    shared.counts.stored.inc();
    writer.put(draft);
}

fn draft(fingerprint: Fingerprint, alert: &Alert, keep: Duration) -> Draft {
    let expires_at = time::add(alert.ends_at.max(alert.updated_at), keep);
    Draft {
        kind: kind::ALERT,
        key: Bytes::copy_from_slice(&fingerprint.0.to_be_bytes()),
        rank: 0,
        expires_at_ms: expires_at.as_millisecond(),
        body: encode(alert),
    }
}

/// The stored form of an alert.
pub(super) fn encode(alert: &Alert) -> Bytes {
    let (labels, annotations) = (alert.labels.iter(), alert.annotations.iter());
    let generator_url = &alert.generator_url;
    AlertParts { labels, annotations, generator_url, times: alert.times() }.encode()
}

/// How long a record outlives its alert.
fn tombstone(largest_group_interval: Duration, retention: Duration) -> Duration {
    TOMBSTONE_MIN.max(largest_group_interval * 2).min(retention)
}
