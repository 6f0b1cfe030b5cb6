//! Metrics of the cluster: upstream's names with the same meaning, and `tocsin_…` for what only
//! Tocsin has.

use std::{sync::Arc, time::Duration};

use tocsin_cluster::{Behind, ClusterFacts, MemberState, PING_BOUNDS, SYNC_BOUNDS, View, Why};
use tocsin_service::metrics::{Counter, Family, Gauge, Histogram, Registry, Summary};

use super::float;
use crate::{engine::CountNumbers, options::Options};

pub(super) struct ClusterMetrics {
    upstream: Option<Upstream>,
    /// With `--cluster.tls-config` only, as upstream.
    transport: Vec<(Arc<Counter>, Total)>,
    own: Own,
}

impl ClusterMetrics {
    pub(super) fn new(registry: &Registry, options: &Options) -> Self {
        let enabled = !options.cluster.listen_address.is_empty();
        let help = "Indicates whether the clustering is enabled or not.";
        registry.gauge("alertmanager_cluster_enabled", help).set(f64::from(u8::from(enabled)));
        let transport = enabled && options.cluster.tls_config.is_some();
        Self {
            upstream: enabled.then(|| Upstream::new(registry)),
            transport: if transport { transport_counters(registry) } else { Vec::new() },
            own: Own::new(registry),
        }
    }

    pub(super) fn show(&self, facts: &ClusterFacts, view: &View, counts: &CountNumbers) {
        if let Some(upstream) = &self.upstream {
            upstream.show(facts, view);
        }
        for (counter, total) in &self.transport {
            counter.mirror(total(facts));
        }
        self.own.show(facts, view, counts);
    }
}

type Total = fn(&ClusterFacts) -> u64;

/// Counters that are one number of the facts.
const TOTALS: [(&str, &str, Total); 9] = [
    ("messages_pruned_total", "Total number of cluster messages pruned.", |f| f.messages_pruned),
    (
        "peer_name_conflicts_total",
        "Total number of times memberlist has noticed conflicting peer names.",
        |f| f.name_conflicts,
    ),
    ("peers_joined_total", "A counter of the number of peers that have joined.", |f| {
        f.peers_joined
    }),
    ("peers_left_total", "A counter of the number of peers that have left.", |f| f.peers_left),
    ("peers_update_total", "A counter of the number of peers that have updated metadata.", |f| {
        f.peers_updated
    }),
    ("reconnections_total", "A counter of the number of cluster peer reconnections.", |f| {
        f.reconnections
    }),
    (
        "reconnections_failed_total",
        "A counter of the number of failed cluster peer reconnection attempts.",
        |f| f.reconnections_failed,
    ),
    ("refresh_join_total", "A counter of the number of cluster peer joined via refresh.", |f| {
        f.refresh_joins
    }),
    (
        "refresh_join_failed_total",
        "A counter of the number of failed cluster peer joined attempts via refresh.",
        |f| f.refresh_joins_failed,
    ),
];

/// What upstream shows when clustering is enabled.
struct Upstream {
    members: Arc<Gauge>,
    failed: Arc<Gauge>,
    health: Arc<Gauge>,
    queued: Arc<Gauge>,
    position: Arc<Gauge>,
    info: Arc<Family<Gauge>>,
    received: Arc<Family<Counter>>,
    received_bytes: Arc<Family<Counter>>,
    sent: Arc<Family<Counter>>,
    sent_bytes: Arc<Family<Counter>>,
    alive: Arc<Family<Counter>>,
    pings: Arc<Family<Histogram>>,
    totals: Vec<(Arc<Counter>, Total)>,
}

impl Upstream {
    fn new(registry: &Registry) -> Self {
        let gauge = |name: &str, help: &str| registry.gauge(&format!("alertmanager_{name}"), help);
        let messages = |name: &str, help: &str| {
            registry.counters(&format!("alertmanager_cluster_messages_{name}"), help, &["msg_type"])
        };
        oversized(registry);
        let totals = TOTALS.into_iter().map(|(name, help, total)| {
            (registry.counter(&format!("alertmanager_cluster_{name}"), help), total)
        });
        Self {
            members: gauge(
                "cluster_members",
                "Number indicating current number of members in cluster.",
            ),
            failed: gauge(
                "cluster_failed_peers",
                "Number indicating the current number of failed peers in the cluster.",
            ),
            health: gauge(
                "cluster_health_score",
                "Health score of the cluster. Lower values are better and zero means 'totally \
                 healthy'.",
            ),
            queued: gauge(
                "cluster_messages_queued",
                "Number of cluster messages which are queued.",
            ),
            position: gauge("peer_position", "Position in the peer list."),
            info: registry.gauges(
                "alertmanager_cluster_peer_info",
                "A metric with a constant '1' value labeled by peer name.",
                &["peer"],
            ),
            received: messages("received_total", "Total number of cluster messages received."),
            received_bytes: messages(
                "received_size_total",
                "Total size of cluster messages received.",
            ),
            sent: messages("sent_total", "Total number of cluster messages sent."),
            sent_bytes: messages("sent_size_total", "Total size of cluster messages sent."),
            alive: registry.counters(
                "alertmanager_cluster_alive_messages_total",
                "Total number of received alive messages.",
                &["peer"],
            ),
            pings: registry.histograms(
                "alertmanager_cluster_pings_seconds",
                "Histogram of latencies for ping messages.",
                &["peer"],
                &PING_BOUNDS,
            ),
            totals: totals.collect(),
        }
    }

    fn show(&self, facts: &ClusterFacts, view: &View) {
        self.members.set(float(view.present().count() as u64));
        self.failed.set(float(view.failed() as u64));
        self.health.set(float(facts.health_score));
        self.queued.set(float(facts.messages_queued));
        self.position.set(float(view.position as u64));
        self.info.with(&[&view.name]).set(1.0);
        let kinds = [
            (&self.received, facts.syncs_received, facts.pushes_received),
            (&self.received_bytes, facts.sync_bytes_received, facts.push_bytes_received),
            (&self.sent, facts.syncs_sent, facts.pushes_sent),
            (&self.sent_bytes, facts.sync_bytes_sent, facts.push_bytes_sent),
        ];
        for (family, full_state, update) in kinds {
            family.with(&["full_state"]).mirror(full_state);
            family.with(&["update"]).mirror(update);
        }
        for (counter, total) in &self.totals {
            counter.mirror(total(facts));
        }
        for peer in &facts.peers {
            let pings = &peer.pings;
            self.alive.with(&[&peer.name]).mirror(pings.count);
            let buckets = apart(&pings.buckets, pings.count);
            self.pings.with(&[&peer.name]).mirror(&buckets, pings.time.as_secs_f64());
        }
    }
}

/// Updates are upstream's packets, full states its streams; both go over the same connections here.
fn transport_counters(registry: &Registry) -> Vec<(Arc<Counter>, Total)> {
    const COUNTERS: [(&str, &str, Total); 5] = [
        (
            "packet_bytes_sent_total",
            "The number of packet bytes sent to outgoing connections.",
            |f| f.push_bytes_sent,
        ),
        (
            "packet_bytes_received_total",
            "The number of packet bytes received from incoming connections.",
            |f| f.push_bytes_received,
        ),
        ("stream_connections_sent_total", "The number of stream connections sent.", |f| {
            f.streams_dialled
        }),
        ("stream_connections_received_total", "The number of stream connections received.", |f| {
            f.streams_accepted
        }),
        ("read_errors_total", "The number of errors encountered while reading.", |f| f.read_errors),
    ];
    let counters = COUNTERS.into_iter().map(|(name, help, total)| {
        (registry.counter(&format!("alertmanager_tls_transport_{name}"), help), total)
    });
    let errors = registry.counters(
        "alertmanager_tls_transport_write_errors_total",
        "The number of errors encountered while writing.",
        &["connection_type"],
    );
    // There are no packets that could fail apart.
    errors.with(&["packet"]);
    let streams: (Arc<Counter>, Total) = (errors.with(&["stream"]), |f| f.write_errors);
    counters.chain([streams]).collect()
}

/// Nothing is ever too large to be sent here; dashboards find zeros.
fn oversized(registry: &Registry) {
    for what in ["sent", "failure", "dropped"] {
        let family = registry.counters(
            &format!("alertmanager_oversized_gossip_message_{what}_total"),
            &format!("Number of oversized gossip messages: {what}."),
            &["key"],
        );
        for key in ["nfl", "sil"] {
            family.with(&[key]);
        }
    }
    let family = registry.histograms(
        "alertmanager_oversize_gossip_message_duration_seconds",
        "Duration of oversized gossip message requests.",
        &["key"],
        tocsin_service::metrics::DEFAULT_SECONDS,
    );
    for key in ["nfl", "sil"] {
        family.with(&[key]);
    }
}

/// What only Tocsin has.
struct Own {
    state: Arc<Family<Gauge>>,
    lag: Arc<Family<Gauge>>,
    queue: Arc<Family<Gauge>>,
    offset: Arc<Family<Gauge>>,
    behind: Arc<Family<Gauge>>,
    gauges: Vec<GaugeOf>,
    totals: Vec<(Arc<Counter>, Total)>,
    summaries: Vec<SummaryOf>,
    degraded: Arc<Family<Counter>>,
    rejects: Arc<Family<Counter>>,
    fsync: Arc<Histogram>,
    takeovers: Arc<Family<Counter>>,
    claims: Arc<Family<Counter>>,
}

/// Cumulative buckets up to the last bound, and the count of all, as buckets that each stand alone.
fn apart(cumulative: &[u64], count: u64) -> Vec<u64> {
    let mut below = 0;
    let totals = cumulative.iter().copied().chain([count]);
    let own = totals.map(|total| total.saturating_sub(std::mem::replace(&mut below, total)));
    own.collect()
}

fn flag(value: bool) -> f64 {
    f64::from(u8::from(value))
}

impl Own {
    fn new(registry: &Registry) -> Self {
        let total = |name: &str, help: &str, total: Total| {
            (registry.counter(&format!("tocsin_{name}"), help), total)
        };
        let degraded = registry.counters(
            "tocsin_write_degraded_total",
            "Writes answered before they were as safe as promised.",
            &["why"],
        );
        Self {
            state: registry.gauges(
                "tocsin_cluster_peer_state",
                "1 for the state of each peer: live, unreachable, dead, left.",
                &["peer", "state"],
            ),
            lag: registry.gauges(
                "tocsin_cluster_peer_lag_seconds",
                "Age of the oldest record that the peer has not acknowledged.",
                &["peer"],
            ),
            queue: registry.gauges(
                "tocsin_cluster_peer_queue_bytes",
                "Bytes waiting to be sent to the peer.",
                &["peer"],
            ),
            offset: registry.gauges(
                "tocsin_cluster_clock_offset_seconds",
                "The peer's clock minus this node's.",
                &["peer"],
            ),
            behind: registry.gauges(
                "tocsin_cluster_ranked_behind",
                "1 if this node lets others notify first, by why.",
                &["why"],
            ),
            gauges: gauges(registry),
            totals: vec![
                total("cluster_sync_runs_total", "Digest syncs finished.", |f| f.sync_runs),
                total("cluster_sync_failures_total", "Digest syncs that broke off.", |f| {
                    f.sync_failures
                }),
                total(
                    "cluster_sync_repaired_records_total",
                    "Records that digest syncs brought here.",
                    |f| f.sync_repaired,
                ),
                total(
                    "cluster_gossip_restarts_total",
                    "Times the gossip task was started again.",
                    |f| f.gossip_restarts,
                ),
                total(
                    "cluster_stalls_total",
                    "Times this process stood still for more than a second.",
                    |f| f.stalls,
                ),
                total("wal_errors_total", "Failed writes to the disk.", |f| f.store.errors),
                total("wal_appended_bytes_total", "Bytes appended to the log.", |f| {
                    f.store.appended_bytes
                }),
            ],
            summaries: vec![
                summary(registry, "cluster_sync_seconds", "Time of digest syncs.", |f| {
                    (f.sync_runs, f.sync_time)
                }),
                summary(registry, "write_seconds", "Time until a write was safe.", |f| {
                    (f.writes, f.write_time)
                }),
                summary(registry, "notify_claim_seconds", "Time of claims.", |f| {
                    (f.claims_granted + f.claims_busy + f.claims_done, f.claim_time)
                }),
            ],
            degraded,
            rejects: registry.counters(
                "tocsin_cluster_rejects_total",
                "Handshakes refused, by code.",
                &["code"],
            ),
            fsync: registry
                .histograms("tocsin_wal_fsync_seconds", "Time of disk syncs.", &[], &SYNC_BOUNDS)
                .with(&[]),
            takeovers: registry.counters(
                "tocsin_notify_takeovers_total",
                "Notifications sent in place of another node, by why.",
                &["why"],
            ),
            claims: registry.counters(
                "tocsin_notify_claims_total",
                "Claims by answer.",
                &["answer"],
            ),
        }
    }

    fn show(&self, facts: &ClusterFacts, view: &View, counts: &CountNumbers) {
        self.show_peers(facts);
        let me = view.me().and_then(|me| me.behind);
        for why in [Behind::Config, Behind::Clock, Behind::Disk] {
            self.behind.with(&[why.label()]).set(flag(me == Some(why)));
        }
        for (gauge, value) in &self.gauges {
            gauge.set(value(facts, view));
        }
        for (counter, total) in &self.totals {
            counter.mirror(total(facts));
        }
        for (summary, numbers) in &self.summaries {
            let (count, time) = numbers(facts);
            summary.mirror(count, time.as_secs_f64());
        }
        let degraded = [
            (Why::Disk, facts.degraded_disk),
            (Why::SlowDisk, facts.degraded_slow_disk),
            (Why::Peers, facts.degraded_peers),
        ];
        for (why, count) in degraded {
            self.degraded.with(&[why.label()]).mirror(count);
        }
        let store = &facts.store;
        let buckets = apart(&store.sync_buckets, store.syncs);
        self.fsync.mirror(&buckets, store.sync_time.as_secs_f64());
        for (code, count) in &facts.rejects_by_code {
            self.rejects.with(&[code]).mirror(*count);
        }
        for (why, count) in &counts.takeovers {
            self.takeovers.with(&[why]).mirror(*count);
        }
        for answer in ["granted", "busy", "done"] {
            self.claims.with(&[answer]).mirror(counts.claims.get(answer).copied().unwrap_or(0));
        }
    }

    fn show_peers(&self, facts: &ClusterFacts) {
        for family in [&self.state, &self.lag, &self.queue, &self.offset] {
            family.clear();
        }
        const STATES: [MemberState; 4] =
            [MemberState::Live, MemberState::Unreachable, MemberState::Dead, MemberState::Left];
        for peer in &facts.peers {
            for state in STATES {
                let is_it = flag(peer.state == state);
                self.state.with(&[&peer.name, state.label()]).set(is_it);
            }
            self.lag.with(&[&peer.name]).set(peer.lag.as_secs_f64());
            self.queue.with(&[&peer.name]).set(float(peer.queue_bytes as u64));
            if let Some(offset) = peer.clock_offset_ms {
                #[expect(clippy::cast_precision_loss, reason = "milliseconds fit")]
                self.offset.with(&[&peer.name]).set(offset as f64 / 1000.0);
            }
        }
    }
}

type SummaryOf = (Arc<Summary>, fn(&ClusterFacts) -> (u64, Duration));
type GaugeOf = (Arc<Gauge>, fn(&ClusterFacts, &View) -> f64);

fn gauges(registry: &Registry) -> Vec<GaugeOf> {
    let gauge = |name: &str, help: &str, value: fn(&ClusterFacts, &View) -> f64| {
        (registry.gauge(&format!("tocsin_{name}"), help), value)
    };
    vec![
        gauge("cluster_split", "1 while a member that has not left is not live.", |_, view| {
            flag(view.split)
        }),
        gauge("cluster_authenticated", "1 if strangers are kept out.", |facts, _| {
            flag(facts.authenticated)
        }),
        gauge(
            "cluster_config_leads",
            "1 if this node has the configuration of most nodes.",
            |_, view| {
                let own = view.me().and_then(|me| me.config).map(|config| config.hash);
                flag(view.leading_config.is_none() || own == view.leading_config)
            },
        ),
        gauge("wal_bytes", "Bytes of the log on disk.", |facts, _| float(facts.store.log_bytes)),
        gauge("storage_healthy", "1 if writes reach the disk.", |facts, _| {
            flag(facts.store.healthy)
        }),
        gauge("notify_claims_in_flight", "Requests written and not answered.", |facts, _| {
            float(facts.claims_in_flight as u64)
        }),
    ]
}

fn summary(
    registry: &Registry,
    name: &str,
    help: &str,
    numbers: fn(&ClusterFacts) -> (u64, Duration),
) -> SummaryOf {
    (registry.summaries(&format!("tocsin_{name}"), help, &[]).with(&[]), numbers)
}
