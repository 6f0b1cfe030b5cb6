//! What all parts of the engine see: the tables, the configuration in effect, the groups.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use tocsin_cluster::{Cluster, Need, Writer};
use tocsin_core::alert::{Hold, NameLimit};
use tocsin_core::history::{Attempt, History};
use tocsin_core::label::{Fingerprint, Labels};
use tocsin_core::nflog::{self, Entry, EntryKey};
use tocsin_service::clock::Clock;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::alerts::Alerts;
use super::counts::Counts;
use super::dispatch::Dispatch;
use super::history::Histories;
use super::live::Live;
use super::log::Log;
use super::sending::{Sendings, Waiters};
use super::silences::Silences;
use super::{Event, history, hold, log, snapshot};
use crate::events::Recorder;
use crate::options::Options;

/// What all parts of the engine see.
pub(super) struct Shared {
    pub(super) options: Options,
    pub(super) clock: Arc<dyn Clock>,
    /// As it is shown.
    pub(super) started_at: Timestamp,
    pub(super) started: Instant,
    /// The last that the disk knows of: what had ended by then was told in its time.
    pub(super) up_until: Timestamp,
    pub(super) external_url: Arc<str>,
    pub(super) alerts: Arc<Alerts>,
    pub(super) silences: Arc<Silences>,
    pub(super) log: Arc<Log>,
    pub(super) history: Arc<Histories>,
    pub(super) cluster: Arc<Cluster>,
    pub(super) live: ArcSwap<Live>,
    pub(super) dispatch: Dispatch,
    /// Whether the groups have been made.
    pub(super) dispatching: watch::Sender<bool>,
    pub(super) sendings: Sendings,
    pub(super) waiters: Waiters,
    pub(super) counts: Counts,
    pub(super) recorder: Recorder,
    pub(super) limit: Mutex<NameLimit>,
    pub(super) last_post_ms: AtomicI64,
    /// One reload at a time.
    pub(super) reloading: Semaphore,
    pub(super) inbox: mpsc::Sender<Event>,
    /// The flushes on their way.
    pub(super) tasks: TaskTracker,
    /// Ends all deliveries.
    pub(super) stop: CancellationToken,
}

impl Shared {
    /// How much longer alerts count as firing now.
    pub(super) fn hold(&self) -> Hold {
        let last_post = Timestamp::from_millisecond(self.last_post_ms.load(Ordering::Relaxed));
        let slept_from = self.cluster.slept_from_ms();
        let slept_from = slept_from.and_then(|from| Timestamp::from_millisecond(from).ok());
        let facts = hold::Facts {
            expiry_hold: self.options.cluster.expiry_hold,
            now: self.clock.now(),
            last_post: last_post.unwrap_or(self.started_at),
            up_until: slept_from.map_or(self.up_until, |from| from.max(self.up_until)),
        };
        hold::hold(&self.cluster.view(), &facts)
    }

    pub(super) fn admits(
        &self,
        labels: &Labels,
        alert: Fingerprint,
        ends_at: Timestamp,
        now: Timestamp,
    ) -> bool {
        let name = labels.get("alertname");
        let mut limit = self.limit.lock().unwrap_or_else(PoisonError::into_inner);
        let admitted = limit.admits(name, alert, ends_at, now);
        drop(limit);
        if !admitted {
            self.counts.limited(name);
        }
        admitted
    }

    pub(super) fn posted_at(&self, now: Timestamp) {
        self.last_post_ms.store(now.as_millisecond(), Ordering::Relaxed);
    }

    pub(super) fn replace_live(&self, live: Arc<Live>) -> Arc<Live> {
        self.take_effect(&live);
        self.live.swap(live)
    }

    /// What other parts must know of a configuration.
    pub(super) fn take_effect(&self, live: &Live) {
        self.recorder.apply(live.config.event_recorder.as_ref(), live.parts());
        self.alerts.set_rules(live.config.inhibit.clone());
        self.cluster.set_config_hash(live.config.cfg_hash);
        self.counts.reloaded(self.clock.now());
    }

    /// Writes what an integration was told, with the attempt for the history if it counts as one.
    pub(super) async fn write_log(
        &self,
        key: &EntryKey,
        entry: &Entry,
        moment: u64,
        repeat: Duration,
        told: Option<Attempt>,
    ) {
        let expires_at = nflog::expires_at(self.clock.now(), self.options.data_retention, repeat);
        let draft = log::draft(key, entry, expires_at);
        let ((), outcome) = self
            .cluster
            .write(Need::Log, |writer| {
                writer.put_at(draft, moment);
                if let Some(told) = told {
                    self.add_to_history(writer, key, told);
                }
            })
            .await;
        if let Some(why) = outcome.degraded {
            debug!(group_key = %key.group_key, why = why.label(), "log entry is not yet safe");
        }
    }

    pub(super) fn write_history(&self, key: &EntryKey, attempt: Attempt) {
        self.cluster.put(|writer| self.add_to_history(writer, key, attempt));
    }

    fn add_to_history(&self, writer: &mut Writer<'_>, key: &EntryKey, attempt: Attempt) {
        let before = self.history.get(key);
        let mut history = before.map_or_else(History::default, |history| (*history).clone());
        history.push(attempt);
        if let Some(draft) = history::draft(key, &history) {
            writer.put(draft);
        }
    }

    /// Writes the files that Alertmanager reads, on a thread of its own.
    pub(super) fn snapshot(self: &Arc<Self>) -> JoinHandle<()> {
        let shared = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            let (silences, log) = (&shared.silences, &shared.log);
            let begun = tokio::time::Instant::now();
            let directory = &shared.options.storage_path;
            let sizes = snapshot::export(directory, silences, log, shared.clock.now());
            shared.counts.snapshot(begun.elapsed(), sizes.as_ref().ok());
            if let Err(error) = sizes {
                warn!(directory = %directory.display(), %error, "snapshot for Alertmanager cannot be written");
            }
        })
    }

    pub(super) fn sweep(&self) {
        self.waiters.sweep();
        for alert in self.alerts.take_gone() {
            self.silences.forget(alert);
        }
        self.limit.lock().unwrap_or_else(PoisonError::into_inner).sweep(self.clock.now());
    }
}
