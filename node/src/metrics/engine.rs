//! Metrics of alerts, notifications, silences, the notification log and the configuration.

use std::{collections::BTreeMap, sync::Arc};

use tocsin_cluster::{Kind, kind};
use tocsin_core::mute::Suppression;
use tocsin_service::metrics::{
    Counter, DEFAULT_SECONDS, Family, Gauge, Histogram, Registry, Summary,
};

use super::{Snapshot, float};
use crate::{
    engine::{
        AlertStates, CountNumbers, IntegrationNumbers, LATENCY_BOUNDS, Numbers, QueryNumbers,
    },
    notify::FailureReason,
    options::{Features, Options},
};

/// Integrations by their names in metrics, those that are there from the start.
pub(super) const INTEGRATIONS: [&str; 18] = [
    "email",
    "pagerduty",
    "wechat",
    "pushover",
    "slack",
    "opsgenie",
    "webhook",
    "victorops",
    "sns",
    "telegram",
    "discord",
    "webex",
    "msteams",
    "msteamsv2",
    "incidentio",
    "jira",
    "rocketchat",
    "mattermost",
];

pub(super) struct EngineMetrics {
    features: Features,
    alerts: Arc<Family<Gauge>>,
    received: Arc<Family<Counter>>,
    invalid: Arc<Family<Counter>>,
    limited: Arc<Family<Counter>>,
    groups: Arc<Gauge>,
    processing: Arc<Summary>,
    notifications: Notifications,
    suppressed: Arc<Family<Counter>>,
    configuration: Configuration,
    silences: Arc<Family<Gauge>>,
    silence_sizes: [Arc<Gauge>; 3],
    silence_queries: [Arc<Counter>; 3],
    writes: Arc<Family<Counter>>,
    log_queries: Arc<Counter>,
    log_misses: Arc<Counter>,
    maintenance: [Maintenance; 2],
}

impl EngineMetrics {
    pub(super) fn new(registry: &Registry, options: &Options) -> Self {
        let features = options.features;
        let limit_labels: &[&str] =
            if features.alert_names_in_metrics { &["alertname"] } else { &[] };
        let alerts_labels: &[&str] =
            if features.group_key_in_metrics { &["state", "group_key"] } else { &["state"] };
        registry
            .gauge(
                "alertmanager_alerts_per_alert_limit",
                "Current limit on number of alerts per alert name",
            )
            .set(float(options.alerts_per_alertname_limit as u64));
        constant_zeros(registry);
        let metrics = Self {
            features,
            alerts: registry.gauges(
                "alertmanager_alerts",
                "How many alerts by state.",
                alerts_labels,
            ),
            received: registry.counters(
                "alertmanager_alerts_received_total",
                "The total number of received alerts.",
                &["status", "version"],
            ),
            invalid: registry.counters(
                "alertmanager_alerts_invalid_total",
                "The total number of received alerts that were invalid.",
                &["version"],
            ),
            limited: registry.counters(
                "alertmanager_alerts_limited_total",
                "Total number of alerts that were dropped due to per alert name limit",
                limit_labels,
            ),
            groups: registry.gauge(
                "alertmanager_dispatcher_aggregation_groups",
                "Number of active aggregation groups",
            ),
            processing: registry
                .summaries(
                    "alertmanager_dispatcher_alert_processing_duration_seconds",
                    "Summary of latencies for the processing of alerts.",
                    &[],
                )
                .with(&[]),
            notifications: Notifications::new(registry, features.receiver_name_in_metrics),
            suppressed: registry.counters(
                "alertmanager_notifications_suppressed_total",
                "The total number of notifications suppressed for being silenced, inhibited, \
                 outside of active time intervals or within muted time intervals.",
                &["reason"],
            ),
            configuration: Configuration::new(registry),
            silences: registry.gauges(
                "alertmanager_silences",
                "How many silences by state.",
                &["state"],
            ),
            silence_sizes: [
                ("state_size", "The number of silences in the state map."),
                ("version_index_size", "The number of entries in the version index."),
                ("matcher_index_size", "The number of entries in the matcher cache index."),
            ]
            .map(|(name, help)| registry.gauge(&format!("alertmanager_silences_{name}"), help)),
            silence_queries: [
                ("queries_total", "How many silence queries were received."),
                (
                    "query_silences_scanned_total",
                    "How many silences were scanned during query evaluation.",
                ),
                (
                    "query_silences_skipped_total",
                    "How many silences were skipped during query evaluation.",
                ),
            ]
            .map(|(name, help)| registry.counter(&format!("alertmanager_silences_{name}"), help)),
            writes: registry.counters(
                "alertmanager_alerts_subscriber_channel_writes_total",
                "Number of times alerts were written to subscriber channels.",
                &["subscriber"],
            ),
            log_queries: registry.counter(
                "alertmanager_nflog_queries_total",
                "Number of notification log queries were received.",
            ),
            log_misses: registry.counter(
                "alertmanager_nflog_query_errors_total",
                "Number notification log received queries that failed.",
            ),
            maintenance: ["nflog", "silences"].map(|part| Maintenance::new(registry, part)),
        };
        if !features.alert_names_in_metrics {
            metrics.limited.with(&[]);
        }
        metrics
    }

    pub(super) fn show(&self, snapshot: &Snapshot) {
        let numbers = &snapshot.numbers;
        let counts = &numbers.counts;
        self.show_alerts(numbers);
        for (version, label) in ["v1", "v2"].into_iter().enumerate() {
            for (status, name) in ["firing", "resolved"].into_iter().enumerate() {
                self.received.with(&[name, label]).mirror(counts.received[version][status]);
            }
            self.invalid.with(&[label]).mirror(counts.invalid[version]);
        }
        self.show_limited(counts);
        self.groups.set(float(numbers.groups));
        self.processing.mirror(counts.processing.count, counts.processing.sum);
        self.notifications.show(&counts.integrations, &snapshot.integrations);
        for (reason, count) in Suppression::ALL.into_iter().zip(counts.suppressed) {
            self.suppressed.with(&[reason.as_str()]).mirror(count);
        }
        self.configuration.show(numbers, snapshot.config_hash);
        for (state, count) in ["active", "pending", "expired"].into_iter().zip(numbers.silences) {
            self.silences.with(&[state]).set(float(count));
        }
        let stored = numbers.silences.iter().sum();
        for (size, count) in
            self.silence_sizes.iter().zip([stored, stored, numbers.silences_indexed])
        {
            size.set(float(count));
        }
        let queries = counts.silence_query_times.count();
        for (counter, count) in self.silence_queries.iter().zip([
            queries,
            counts.silences_scanned,
            counts.silences_skipped,
        ]) {
            counter.mirror(count);
        }
        for subscriber in ["dispatcher", "inhibitor"] {
            self.writes.with(&[subscriber]).mirror(counts.stored);
        }
        self.log_queries.mirror(counts.log_queries);
        self.log_misses.mirror(counts.log_misses);
        let [log, silences] = &self.maintenance;
        log.show(snapshot, kind::LOG, &counts.log_query_times);
        silences.show(snapshot, kind::SILENCE, &counts.silence_query_times);
    }

    /// Absent until the groups have been made, as upstream's are until its dispatcher runs.
    fn show_alerts(&self, numbers: &Numbers) {
        self.alerts.clear();
        let Some(all) = numbers.alerts else { return };
        if self.features.group_key_in_metrics {
            for (key, states) in &numbers.alerts_by_group {
                each_state(*states, |state, count| {
                    self.alerts.with(&[state, key]).set(float(count));
                });
            }
            return;
        }
        each_state(all, |state, count| self.alerts.with(&[state]).set(float(count)));
    }

    fn show_limited(&self, counts: &CountNumbers) {
        if self.features.alert_names_in_metrics {
            for (alertname, count) in &counts.limited {
                self.limited.with(&[alertname]).mirror(*count);
            }
        } else {
            self.limited.with(&[]).mirror(counts.limited.values().sum());
        }
    }
}

fn each_state(states: AlertStates, mut show: impl FnMut(&'static str, u64)) {
    show("active", states.active);
    show("suppressed", states.suppressed);
    show("unprocessed", states.unprocessed);
}

struct Notifications {
    by_receiver: bool,
    total: Arc<Family<Counter>>,
    failed: Arc<Family<Counter>>,
    requests: Arc<Family<Counter>>,
    requests_failed: Arc<Family<Counter>>,
    latency: Arc<Family<Histogram>>,
}

impl Notifications {
    fn new(registry: &Registry, by_receiver: bool) -> Self {
        let labels: &[&str] =
            if by_receiver { &["integration", "receiver_name"] } else { &["integration"] };
        let failed_labels: Vec<&str> = labels.iter().copied().chain(["reason"]).collect();
        Self {
            by_receiver,
            total: registry.counters(
                "alertmanager_notifications_total",
                "The total number of attempted notifications.",
                labels,
            ),
            failed: registry.counters(
                "alertmanager_notifications_failed_total",
                "The total number of failed notifications.",
                &failed_labels,
            ),
            requests: registry.counters(
                "alertmanager_notification_requests_total",
                "The total number of attempted notification requests.",
                labels,
            ),
            requests_failed: registry.counters(
                "alertmanager_notification_requests_failed_total",
                "The total number of failed notification requests.",
                labels,
            ),
            latency: registry.histograms(
                "alertmanager_notification_latency_seconds",
                "The latency of notifications in seconds.",
                labels,
                &LATENCY_BOUNDS,
            ),
        }
    }

    fn show(
        &self,
        numbers: &BTreeMap<(&'static str, Box<str>), IntegrationNumbers>,
        configured: &[(&'static str, Box<str>)],
    ) {
        if self.by_receiver {
            for key in configured {
                let known = numbers.get(key).cloned().unwrap_or_default();
                self.show_one(&[key.0, &key.1], &known);
            }
            return;
        }
        for name in INTEGRATIONS {
            let mut sum = IntegrationNumbers::default();
            for (_, one) in numbers.iter().filter(|((kind, _), _)| *kind == name) {
                add(&mut sum, one);
            }
            self.show_one(&[name], &sum);
        }
    }

    fn show_one(&self, labels: &[&str], numbers: &IntegrationNumbers) {
        self.total.with(labels).mirror(numbers.notifications);
        self.requests.with(labels).mirror(numbers.requests);
        self.requests_failed.with(labels).mirror(numbers.requests_failed);
        self.latency.with(labels).mirror(&numbers.latency, numbers.latency_sum);
        for (reason, count) in FailureReason::ALL.into_iter().zip(numbers.failed) {
            let labels: Vec<&str> = labels.iter().copied().chain([reason.as_str()]).collect();
            self.failed.with(&labels).mirror(count);
        }
    }
}

fn add(sum: &mut IntegrationNumbers, one: &IntegrationNumbers) {
    sum.notifications += one.notifications;
    sum.requests += one.requests;
    sum.requests_failed += one.requests_failed;
    sum.latency_sum += one.latency_sum;
    for (total, part) in sum.failed.iter_mut().zip(one.failed) {
        *total += part;
    }
    for (total, part) in sum.latency.iter_mut().zip(one.latency) {
        *total += part;
    }
}

struct Configuration {
    hash: Arc<Gauge>,
    successful: Arc<Gauge>,
    succeeded_at: Arc<Gauge>,
    receivers: Arc<Gauge>,
    integrations: Arc<Gauge>,
    rules: Arc<Gauge>,
}

impl Configuration {
    fn new(registry: &Registry) -> Self {
        Self {
            hash: registry.gauge(
                "alertmanager_config_hash",
                "Hash of the currently loaded alertmanager configuration. Note that this is not \
                 a cryptographically strong hash.",
            ),
            successful: registry.gauge(
                "alertmanager_config_last_reload_successful",
                "Whether the last configuration reload attempt was successful.",
            ),
            succeeded_at: registry.gauge(
                "alertmanager_config_last_reload_success_timestamp_seconds",
                "Timestamp of the last successful configuration reload.",
            ),
            receivers: registry.gauge("alertmanager_receivers", "Number of configured receivers."),
            integrations: registry
                .gauge("alertmanager_integrations", "Number of configured integrations."),
            rules: registry
                .gauge("alertmanager_inhibition_rules", "Number of configured inhibition rules."),
        }
    }

    fn show(&self, numbers: &Numbers, config_hash: u64) {
        let reload = &numbers.counts.reload;
        self.hash.set(float(config_hash));
        self.successful.set(f64::from(u8::from(reload.successful)));
        self.succeeded_at.set(reload.succeeded_at);
        self.receivers.set(float(numbers.receivers));
        self.integrations.set(float(numbers.integrations));
        self.rules.set(float(numbers.inhibition_rules));
    }
}

/// Queries, sweeping and snapshots of one part. The snapshots are the files for Alertmanager, both written in one round.
struct Maintenance {
    sweeps: Arc<Summary>,
    queries: Arc<Histogram>,
    snapshot: Arc<Summary>,
    snapshot_bytes: Arc<Gauge>,
    rounds: Arc<Counter>,
    errors: Arc<Counter>,
}

impl Maintenance {
    fn new(registry: &Registry, part: &str) -> Self {
        let name = |rest: &str| format!("alertmanager_{part}_{rest}");
        let what = if part == "nflog" { "notification log" } else { "silence" };
        // Those who receive records never pass them on here.
        registry.counter(
            &name("gossip_messages_propagated_total"),
            &format!("Number of received {what} gossip messages that have been further gossiped."),
        );
        Self {
            sweeps: registry
                .summaries(
                    &name("gc_duration_seconds"),
                    &format!("Duration of the last {what} garbage collection cycle."),
                    &[],
                )
                .with(&[]),
            queries: registry
                .histograms(
                    &name("query_duration_seconds"),
                    &format!("Duration of {what} query evaluation."),
                    &[],
                    DEFAULT_SECONDS,
                )
                .with(&[]),
            snapshot: registry
                .summaries(
                    &name("snapshot_duration_seconds"),
                    &format!("Duration of the last {what} snapshot."),
                    &[],
                )
                .with(&[]),
            snapshot_bytes: registry.gauge(
                &name("snapshot_size_bytes"),
                &format!("Size of the last {what} snapshot in bytes."),
            ),
            rounds: registry.counter(
                &name("maintenance_total"),
                &format!("How many maintenances were executed for the {what}s."),
            ),
            errors: registry.counter(
                &name("maintenance_errors_total"),
                &format!("How many maintenances were executed for the {what}s that failed."),
            ),
        }
    }

    fn show(&self, snapshot: &Snapshot, kind: Kind, queries: &QueryNumbers) {
        self.queries.mirror(&queries.buckets, queries.seconds);
        let facts = &snapshot.facts;
        if let Some((_, count, time)) = facts.sweeps.iter().find(|(of, ..)| *of == kind) {
            self.sweeps.mirror(*count, time.as_secs_f64());
        }
        let files = &snapshot.numbers.counts.snapshots;
        self.snapshot.mirror(files.rounds, files.seconds);
        self.snapshot_bytes.set(float(files.sizes[usize::from(kind == kind::LOG)]));
        self.rounds.mirror(files.rounds);
        self.errors.mirror(files.errors);
    }
}

/// What upstream counts and cannot happen here: dashboards find zeros.
fn constant_zeros(registry: &Registry) {
    for (name, help) in [
        (
            "alertmanager_dispatcher_aggregation_group_limit_reached_total",
            "Number of times when dispatcher failed to create new aggregation group due to limit.",
        ),
        (
            "alertmanager_dispatcher_aggregation_group_creation_retries_total",
            "Number of times the creation of an aggregation group was tried again.",
        ),
        (
            "alertmanager_dispatcher_aggregation_group_creation_given_up_total",
            "Number of times the creation of an aggregation group was given up.",
        ),
        ("alertmanager_silences_gc_errors_total", "How many silence GC errors were encountered."),
        (
            "alertmanager_silences_query_errors_total",
            "How many silence received queries did not succeed.",
        ),
    ] {
        registry.counter(name, help);
    }
    let errors = registry.counters(
        "alertmanager_silences_matcher_compile_errors_total",
        "How many silence matcher compilations failed.",
        &["stage"],
    );
    for stage in ["index", "load_snapshot"] {
        errors.with(&[stage]);
    }
}
