//! What the engine counts, and the numbers as `node/metrics` shows them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tocsin_core::mute::Suppression;
use tocsin_service::metrics::{Counter, DEFAULT_SECONDS, Histogram};
use tokio::time::Instant;

use crate::notify::FailureReason;

/// Upper bounds of the buckets of `alertmanager_notification_latency_seconds`.
pub const LATENCY_BOUNDS: [f64; 5] = [1.0, 5.0, 10.0, 15.0, 20.0];

/// Through which interface alerts came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiVersion {
    /// `/api/v1`.
    V1,
    /// `/api/v2`.
    V2,
}

/// The engine's counters.
#[derive(Debug, Default)]
pub(super) struct Counts {
    received: [[Counter; 2]; 2],
    invalid: [Counter; 2],
    limited: Mutex<BTreeMap<Box<str>, u64>>,
    suppressed: [Counter; 4],
    integrations: Mutex<BTreeMap<(&'static str, Box<str>), IntegrationNumbers>>,
    pub(super) log_queries: Counter,
    pub(super) log_misses: Counter,
    pub(super) log_query_time: Times,
    pub(super) silence_query_time: Times,
    silences_scanned: Counter,
    silences_skipped: Counter,
    pub(super) stored: Counter,
    snapshots: Mutex<SnapshotNumbers>,
    reload: Mutex<ReloadNumbers>,
    pub(super) processing: Mutex<SummaryNumbers>,
    pub(super) takeovers: Mutex<BTreeMap<&'static str, u64>>,
    pub(super) claims: Mutex<BTreeMap<&'static str, u64>>,
}

/// Durations in the buckets that upstream's queries have.
#[derive(Debug)]
pub(super) struct Times(Histogram);

impl Default for Times {
    fn default() -> Self {
        Self(Histogram::new(DEFAULT_SECONDS))
    }
}

impl Times {
    /// Times one query.
    pub(super) fn of<T>(&self, query: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let found = query();
        self.0.observe(begun.elapsed().as_secs_f64());
        found
    }

    fn numbers(&self) -> QueryNumbers {
        QueryNumbers { buckets: self.0.buckets(), seconds: self.0.sum() }
    }
}

/// Queries by duration.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct QueryNumbers {
    /// Up to each of the bounds and longer, each counted once.
    pub buckets: Vec<u64>,
    /// Seconds altogether.
    pub seconds: f64,
}

impl QueryNumbers {
    /// How many.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

/// Count and sum of something that takes time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct SummaryNumbers {
    /// How often.
    pub count: u64,
    /// Seconds altogether.
    pub sum: f64,
}

/// The files that are written for Alertmanager.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct SnapshotNumbers {
    /// Rounds.
    pub rounds: u64,
    /// Rounds that failed.
    pub errors: u64,
    /// How long they took, altogether.
    pub seconds: f64,
    /// Bytes of `silences` and `nflog`.
    pub sizes: [u64; 2],
}

/// How the last reload went.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReloadNumbers {
    /// Whether it succeeded.
    pub successful: bool,
    /// Why it did not.
    pub mistake: String,
    /// When one succeeded last, in seconds since 1970.
    pub succeeded_at: f64,
}

/// What an integration has done.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct IntegrationNumbers {
    /// Notifications begun.
    pub notifications: u64,
    /// Notifications given up, in the order of [`FailureReason::ALL`].
    pub failed: [u64; FailureReason::ALL.len()],
    /// Attempts.
    pub requests: u64,
    /// Attempts that failed.
    pub requests_failed: u64,
    /// Attempts by duration: up to each of [`LATENCY_BOUNDS`] and longer, each counted once.
    pub latency: [u64; LATENCY_BOUNDS.len() + 1],
    /// Seconds of all attempts.
    pub latency_sum: f64,
}

/// The counters at one moment.
#[derive(Debug, Clone, Default)]
pub struct CountNumbers {
    /// Received alerts by version (1, 2) and then firing, resolved.
    pub received: [[u64; 2]; 2],
    /// Refused alerts by version.
    pub invalid: [u64; 2],
    /// Alerts over the limit, by alertname.
    pub limited: BTreeMap<Box<str>, u64>,
    /// Alerts taken out of notifications, in the order of [`Suppression::ALL`].
    pub suppressed: [u64; 4],
    /// By integration and receiver.
    pub integrations: BTreeMap<(&'static str, Box<str>), IntegrationNumbers>,
    /// Look-ups in the notification log.
    pub log_queries: u64,
    /// Those without an entry.
    pub log_misses: u64,
    /// The same, timed.
    pub log_query_times: QueryNumbers,
    /// Questions of flushes and readers for silences.
    pub silence_query_times: QueryNumbers,
    /// Silences that these looked at.
    pub silences_scanned: u64,
    /// Those of them that were not wanted.
    pub silences_skipped: u64,
    /// Posted alerts that were stored: what upstream writes to those who follow the alerts.
    pub stored: u64,
    /// The files for Alertmanager.
    pub snapshots: SnapshotNumbers,
    /// The last reload.
    pub reload: ReloadNumbers,
    /// Routing of changed alerts.
    pub processing: SummaryNumbers,
    /// Flushes done for another node, by why.
    pub takeovers: BTreeMap<&'static str, u64>,
    /// Claims, by answer.
    pub claims: BTreeMap<&'static str, u64>,
}

impl Counts {
    pub(super) fn received(&self, version: ApiVersion, fires: bool) {
        self.received[version as usize][usize::from(!fires)].inc();
    }

    pub(super) fn invalid(&self, version: ApiVersion) {
        self.invalid[version as usize].inc();
    }

    pub(super) fn limited(&self, alertname: &str) {
        *lock(&self.limited).entry(alertname.into()).or_default() += 1;
    }

    pub(super) fn suppressed(&self, why: Suppression, alerts: usize) {
        if let Some(place) = Suppression::ALL.iter().position(|other| *other == why) {
            self.suppressed[place].add(alerts as u64);
        }
    }

    pub(super) fn snapshot(&self, took: Duration, sizes: Option<&[u64; 2]>) {
        let mut numbers = lock(&self.snapshots);
        numbers.rounds += 1;
        numbers.seconds += took.as_secs_f64();
        match sizes {
            Some(sizes) => numbers.sizes = *sizes,
            None => numbers.errors += 1,
        }
    }

    pub(super) fn log_query(&self, found: bool) {
        self.log_queries.inc();
        if !found {
            self.log_misses.inc();
        }
    }

    /// Asks for silences: what `wanted` leaves of `all`.
    pub(super) fn silence_query<T>(
        &self,
        all: impl FnOnce() -> Vec<T>,
        wanted: impl FnMut(&T) -> bool,
    ) -> Vec<T> {
        self.silence_query_time.of(|| {
            let mut found = all();
            let scanned = found.len();
            found.retain(wanted);
            self.silences_scanned.add(scanned as u64);
            self.silences_skipped.add((scanned - found.len()) as u64);
            found
        })
    }

    pub(super) fn takeover(&self, why: &'static str) {
        *lock(&self.takeovers).entry(why).or_default() += 1;
    }

    pub(super) fn claim(&self, answer: &'static str) {
        *lock(&self.claims).entry(answer).or_default() += 1;
    }

    pub(super) fn reloaded(&self, at: Timestamp) {
        let succeeded_at = at.as_duration().as_secs_f64();
        *lock(&self.reload) =
            ReloadNumbers { successful: true, mistake: String::new(), succeeded_at };
    }

    pub(super) fn reload_failed(&self, mistake: String) {
        let mut reload = lock(&self.reload);
        reload.successful = false;
        reload.mistake = mistake;
    }

    pub(super) fn reload_mistake(&self) -> Option<String> {
        let reload = lock(&self.reload);
        (!reload.mistake.is_empty()).then(|| reload.mistake.clone())
    }

    pub(super) fn processed(&self, took: Duration) {
        let mut numbers = lock(&self.processing);
        numbers.count += 1;
        numbers.sum += took.as_secs_f64();
    }

    /// Changes the numbers of an integration.
    pub(super) fn integration(
        &self,
        kind: &'static str,
        receiver: &str,
        change: impl FnOnce(&mut IntegrationNumbers),
    ) {
        change(lock(&self.integrations).entry((kind, receiver.into())).or_default());
    }

    pub(super) fn numbers(&self) -> CountNumbers {
        CountNumbers {
            received: [0, 1].map(|version| [0, 1].map(|fires| self.received[version][fires].get())),
            invalid: [self.invalid[0].get(), self.invalid[1].get()],
            limited: lock(&self.limited).clone(),
            suppressed: [0, 1, 2, 3].map(|why| self.suppressed[why].get()),
            integrations: lock(&self.integrations).clone(),
            log_queries: self.log_queries.get(),
            log_misses: self.log_misses.get(),
            log_query_times: self.log_query_time.numbers(),
            silence_query_times: self.silence_query_time.numbers(),
            silences_scanned: self.silences_scanned.get(),
            silences_skipped: self.silences_skipped.get(),
            stored: self.stored.get(),
            snapshots: *lock(&self.snapshots),
            reload: lock(&self.reload).clone(),
            processing: *lock(&self.processing),
            takeovers: lock(&self.takeovers).clone(),
            claims: lock(&self.claims).clone(),
        }
    }
}

impl IntegrationNumbers {
    /// Counts an attempt.
    pub(super) fn attempt(&mut self, took: Duration, failed: bool) {
        self.requests += 1;
        self.requests_failed += u64::from(failed);
        let seconds = took.as_secs_f64();
        let bucket = LATENCY_BOUNDS.iter().position(|bound| seconds <= *bound);
        self.latency[bucket.unwrap_or(LATENCY_BOUNDS.len())] += 1;
        self.latency_sum += seconds;
    }

    /// Counts a notification that was given up.
    pub(super) fn failure(&mut self, reason: FailureReason) {
        if let Some(place) = FailureReason::ALL.iter().position(|other| *other == reason) {
            self.failed[place] += 1;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
