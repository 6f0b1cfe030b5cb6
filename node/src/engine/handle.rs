//! What the API, the pages and the metrics get of the engine.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use tocsin_cluster::Cluster;
use tocsin_core::alert::{AlertInput, Times};
use tocsin_core::label::Fingerprint;
use tocsin_core::matcher::Mode;
use tocsin_core::silence::{Silence, SilenceInput};

use super::Shared;
use super::counts::{ApiVersion, CountNumbers};
use super::edit::{self, SilenceError, SilenceSet, Written};
use super::history::Histories;
use super::ingest::{self, Posted};
use super::log::Log;
use super::query::{self, AlertQuery, AlertView, GroupQuery, GroupsView};
use super::reload::{self, ReloadError};
use super::trial::{self, Trial};
use crate::config::Config;
use crate::events::EventNumbers;
use crate::options::Options;
use crate::trace::Sink;

/// How long a reader of groups waits until they are made.
const GROUPS_WAIT: std::time::Duration = std::time::Duration::from_secs(10);

/// A reference to the engine; cheap to clone.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

/// How many alerts in groups are in which state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AlertStates {
    /// Told.
    pub active: u64,
    /// Silenced or inhibited.
    pub suppressed: u64,
    /// No flush has seen them yet.
    pub unprocessed: u64,
}

/// Figures for the metrics.
#[derive(Debug, Clone, Default)]
pub struct Numbers {
    /// What was counted.
    pub counts: CountNumbers,
    /// Alerts in groups; `None` until the groups are made.
    pub alerts: Option<AlertStates>,
    /// The same for each group, by key, when `group-key-in-metrics` is on.
    pub alerts_by_group: Vec<(Arc<str>, AlertStates)>,
    /// Groups.
    pub groups: u64,
    /// Silences: active, pending, expired.
    pub silences: [u64; 3],
    /// Silences filed by a matcher, for those who ask whether an alert is silenced.
    pub silences_indexed: u64,
    /// Entries of the notification log.
    pub log_entries: u64,
    /// Alerts stored, resolved ones too.
    pub stored_alerts: u64,
    /// Receivers that routes name, and their integrations.
    pub receivers: u64,
    /// See `receivers`.
    pub integrations: u64,
    /// Rules of inhibition.
    pub inhibition_rules: u64,
    /// The event recorder's, when its feature is on.
    pub events: Option<EventNumbers>,
}

impl Handle {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Takes a posted batch in: answers once it is as safe as it must be.
    pub async fn post_alerts(&self, version: ApiVersion, alerts: Vec<AlertInput>) -> Posted {
        ingest::post(&self.shared, version, alerts).await
    }

    /// When an alert starts, ends and was last told, if it is known.
    #[must_use]
    pub fn alert_times(&self, alert: Fingerprint) -> Option<Times> {
        self.shared.alerts.with(alert, |alert| alert.times())
    }

    /// The alerts that are wanted, by fingerprint. Read them in chunks with [`Handle::each_alert`].
    #[must_use]
    pub fn find_alerts(&self, query: &AlertQuery) -> Vec<Fingerprint> {
        query::alerts(&self.shared, query)
    }

    /// Shows alerts with their status, under one lock; those that have ended meanwhile are left out.
    pub fn each_alert(&self, alerts: &[Fingerprint], mut visit: impl FnMut(&AlertView<'_>)) {
        query::each(&self.shared, alerts, None, &mut visit);
    }

    /// The groups that are wanted. Waits until they have been made, but not for ever.
    pub async fn groups(&self, query: &GroupQuery) -> GroupsView {
        let mut dispatching = self.shared.dispatching.subscribe();
        let made = dispatching.wait_for(|made| *made);
        // Too long: what is there is shown.
        let _ = tokio::time::timeout(GROUPS_WAIT, made).await;
        query::groups(&self.shared, query)
    }

    /// The groups that are wanted, as many as have been made.
    #[must_use]
    pub fn groups_now(&self, query: &GroupQuery) -> GroupsView {
        query::groups(&self.shared, query)
    }

    /// As [`Handle::each_alert`], with the receivers that [`GroupsView::receivers`] has.
    pub fn each_group_alert(
        &self,
        alerts: &[Fingerprint],
        receivers: &HashMap<Fingerprint, Vec<Box<str>>>,
        mut visit: impl FnMut(&AlertView<'_>),
    ) {
        query::each(&self.shared, alerts, Some(receivers), &mut visit);
    }

    /// Where spans go, if the configuration says.
    pub(crate) fn spans(&self) -> Option<Arc<Sink>> {
        self.shared.live.load().spans().cloned()
    }

    /// The silences that are wanted, in no order.
    #[must_use]
    pub fn find_silences(&self, mut wanted: impl FnMut(&Silence) -> bool) -> Vec<Arc<Silence>> {
        let shared = &self.shared;
        shared.counts.silence_query(|| shared.silences.all(), |silence| wanted(silence))
    }

    /// The silence with that identity.
    #[must_use]
    pub fn silence(&self, id: &str) -> Option<Arc<Silence>> {
        let find = || self.shared.silences.get(id).into_iter().collect();
        self.shared.counts.silence_query(find, |_| true).pop()
    }

    /// Creates a silence or edits one.
    /// # Errors
    /// [`SilenceError`].
    pub async fn set_silence(&self, input: SilenceInput) -> Result<SilenceSet, SilenceError> {
        edit::set(&self.shared, input).await
    }

    /// Ends a silence; one that has ended stays as it is.
    /// # Errors
    /// [`SilenceError`].
    pub async fn expire_silence(&self, id: &str) -> Result<Written, SilenceError> {
        edit::expire(&self.shared, id).await
    }

    /// The configuration in effect.
    #[must_use]
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.shared.live.load().config)
    }

    /// A number for each table that differs when the table has changed: alerts (a repeated post changes nothing), silences,
    /// history.
    #[must_use]
    pub fn versions(&self) -> [u64; 3] {
        let shared = &self.shared;
        [shared.alerts.version(), shared.silences.version(), shared.history.version()]
    }

    /// The flags.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.shared.options
    }

    /// Members, readiness, figures of the cluster.
    #[must_use]
    pub fn cluster(&self) -> &Arc<Cluster> {
        &self.shared.cluster
    }

    /// When the process started.
    #[must_use]
    pub fn started_at(&self) -> Timestamp {
        self.shared.started_at
    }

    /// The present.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// Where people find this server, without a slash at the end.
    #[must_use]
    pub fn external_url(&self) -> &str {
        &self.shared.external_url
    }

    /// How matchers are read.
    #[must_use]
    pub fn matcher_mode(&self) -> Mode {
        self.shared.matcher_mode()
    }

    /// The notification log.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.shared.log
    }

    /// The last attempts of each integration for each group.
    #[must_use]
    pub fn history(&self) -> &Histories {
        &self.shared.history
    }

    /// Loads the configuration file again. When this answers, the new configuration is in effect.
    /// # Errors
    /// [`ReloadError`]; everything goes on as before then.
    pub async fn reload(&self) -> Result<(), ReloadError> {
        reload::reload(&self.shared).await
    }

    /// Sends a test notification to every integration of a receiver, answers how each went; `None` when no route names the
    /// receiver.
    pub async fn test_receiver(&self, receiver: &str) -> Option<Vec<Trial>> {
        trial::test(&self.shared, receiver).await
    }

    /// Why the configuration file is not the configuration in effect, when the last reload failed.
    #[must_use]
    pub fn reload_mistake(&self) -> Option<String> {
        self.shared.counts.reload_mistake()
    }

    /// Figures for the metrics.
    #[must_use]
    pub fn numbers(&self) -> Numbers {
        self.shared.numbers()
    }
}

impl Shared {
    pub(super) fn matcher_mode(&self) -> Mode {
        if self.options.features.classic_mode {
            Mode::Classic
        } else if self.options.features.utf8_strict_mode {
            Mode::Utf8
        } else {
            Mode::Fallback
        }
    }

    fn numbers(&self) -> Numbers {
        let live = self.live.load_full();
        let (receivers, integrations) = live.counts();
        let made = *self.dispatching.borrow();
        let (alerts, alerts_by_group) = if made { self.alert_states() } else { Default::default() };
        Numbers {
            counts: self.counts.numbers(),
            alerts: made.then_some(alerts),
            alerts_by_group,
            groups: self.dispatch.read(|inner| inner.groups.len() as u64),
            silences: self.silences.counts(self.clock.now()).map(|count| count as u64),
            silences_indexed: self.silences.indexed() as u64,
            log_entries: self.log.len() as u64,
            stored_alerts: self.alerts.len() as u64,
            receivers: receivers as u64,
            integrations: integrations as u64,
            inhibition_rules: live.config.inhibit.len() as u64,
            events: self.recorder.numbers(),
        }
    }

    /// Alerts that fire by the most telling state that a group gives them.
    fn alert_states(&self) -> (AlertStates, Vec<(Arc<str>, AlertStates)>) {
        let by_key = self.options.features.group_key_in_metrics;
        let (now, hold) = (self.clock.now(), self.hold());
        self.dispatch.read(|inner| {
            let mut ranks: HashMap<Fingerprint, u8> = HashMap::new();
            let mut groups = Vec::new();
            for group in inner.groups.iter() {
                let mut states = AlertStates::default();
                let marks = inner.marks.get(&group.id);
                let members: Vec<_> = group.members().collect();
                self.alerts.each(&members, |alert| {
                    if hold.is_resolved(&alert.times(), now) {
                        return;
                    }
                    let alert = alert.fingerprint();
                    let rank = marks.map_or(0, |marks| marks.rank(alert));
                    states.add(rank);
                    let known = ranks.entry(alert).or_default();
                    *known = rank.max(*known);
                });
                if by_key {
                    groups.push((Arc::clone(&group.key), states));
                }
            }
            let mut all = AlertStates::default();
            ranks.into_values().for_each(|rank| all.add(rank));
            (all, groups)
        })
    }
}

impl AlertStates {
    fn add(&mut self, rank: u8) {
        match rank {
            0 => self.unprocessed += 1,
            1 => self.active += 1,
            _ => self.suppressed += 1,
        }
    }
}
