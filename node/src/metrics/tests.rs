//! The list of metrics, held against upstream's.

use std::collections::BTreeSet;

use tocsin_cluster::{ClusterStatus, MemberState, PeerFacts, Pings};

use super::*;
use crate::engine::AlertStates;
use crate::events::EventNumbers;

fn snapshot() -> Snapshot {
    let numbers = Numbers { alerts: Some(AlertStates::default()), ..Numbers::default() };
    let view = View {
        status: ClusterStatus::Ready,
        name: "a".to_owned(),
        address: "127.0.0.1:9094".to_owned(),
        members: Vec::new(),
        position: 0,
        live: 1,
        known: 1,
        split: false,
        leading_config: None,
        hold_until_ms: 0,
        hold_start_ms: 0,
    };
    Snapshot {
        numbers,
        facts: ClusterFacts { peers: vec![peer()], ..ClusterFacts::default() },
        view: Arc::new(view),
        config_hash: 7,
        integrations: vec![("webhook", "ops".into())],
        started_at: Timestamp::UNIX_EPOCH,
    }
}

fn peer() -> PeerFacts {
    PeerFacts {
        name: "b".to_owned(),
        address: "127.0.0.1:9095".to_owned(),
        state: MemberState::Live,
        lag: Duration::from_millis(500),
        queue_bytes: 7,
        clock_offset_ms: Some(-250),
        round_trip: None,
        pings: Pings { count: 4, time: Duration::from_secs(2), buckets: [1, 2, 2, 2, 2, 2, 3] },
        last_contact: None,
    }
}

fn text(options: &Options) -> String {
    let metrics = Metrics::new(options);
    metrics.answered("/", &Method::GET, StatusCode::OK, Some(3), Duration::ZERO);
    metrics.show(&snapshot());
    metrics.registry.render(Format::Classic)
}

#[test]
fn the_event_recorder_has_metrics_only_with_its_feature() {
    let mut options = Options::default();
    let text = |options: &Options| {
        let metrics = Metrics::new(options);
        let mut snapshot = snapshot();
        snapshot.numbers.events = Some(EventNumbers {
            recorded: [(("notification", "stdout".into(), "success"), 3)].into(),
            bytes: [(("notification", "stdout".into()), 700)].into(),
            dropped: [("alert_created", 2)].into(),
            unwritable: [("alert_created", 1)].into(),
            output_drops: [("stdout".into(), 4)].into(),
            queued: 5,
        });
        metrics.show(&snapshot);
        metrics.registry.render(Format::Classic)
    };
    assert!(!text(&options).contains("event"));
    options.features.event_recorder = true;
    let text = text(&options);
    for line in [
        r#"events_recorded_total{event_type="notification",output="stdout",result="success"} 3"#,
        r#"event_recorder_bytes_written_total{event_type="notification",output="stdout"} 700"#,
        r#"events_dropped_total{event_type="alert_created"} 2"#,
        r#"event_serialize_errors_total{event_type="alert_created"} 1"#,
        r#"event_output_drops_total{output="stdout"} 4"#,
        "event_recorder_queue_length 5",
    ] {
        assert!(text.contains(&format!("\nalertmanager_{line}\n")), "{line}\n{text}");
    }
}

/// Upstream 0.34's families (those of the event recorder apart), without
/// their prefix, and their kinds.
const UPSTREAM: &str = "
    alerts gauge · alerts_received_total counter · alerts_invalid_total counter
    alerts_limited_total counter · alerts_per_alert_limit gauge
    alerts_subscriber_channel_writes_total counter · build_info gauge · config_hash gauge
    config_last_reload_successful gauge · config_last_reload_success_timestamp_seconds gauge
    receivers gauge · integrations gauge · inhibition_rules gauge
    dispatcher_aggregation_groups gauge
    dispatcher_alert_processing_duration_seconds summary
    dispatcher_aggregation_group_limit_reached_total counter
    dispatcher_aggregation_group_creation_retries_total counter
    dispatcher_aggregation_group_creation_given_up_total counter
    notifications_total counter · notifications_failed_total counter
    notification_requests_total counter · notification_requests_failed_total counter
    notification_latency_seconds histogram · notifications_suppressed_total counter
    http_request_duration_seconds histogram · http_response_size_bytes histogram
    http_requests_in_flight gauge · http_concurrency_limit_exceeded_total counter
    nflog_gc_duration_seconds summary · nflog_snapshot_duration_seconds summary
    nflog_snapshot_size_bytes gauge · nflog_queries_total counter
    nflog_query_errors_total counter · nflog_query_duration_seconds histogram
    nflog_gossip_messages_propagated_total counter · nflog_maintenance_total counter
    nflog_maintenance_errors_total counter · silences gauge
    silences_gc_duration_seconds summary · silences_snapshot_duration_seconds summary
    silences_snapshot_size_bytes gauge · silences_state_size gauge
    silences_matcher_index_size gauge · silences_version_index_size gauge
    silences_queries_total counter · silences_query_errors_total counter
    silences_query_silences_scanned_total counter
    silences_query_silences_skipped_total counter · silences_query_duration_seconds histogram
    silences_gc_errors_total counter · silences_maintenance_total counter
    silences_maintenance_errors_total counter
    silences_gossip_messages_propagated_total counter
    silences_matcher_compile_errors_total counter · cluster_enabled gauge
    cluster_members gauge · cluster_failed_peers gauge · cluster_health_score gauge
    cluster_messages_queued gauge · peer_position gauge · cluster_peer_info gauge
    cluster_messages_received_total counter · cluster_messages_sent_total counter
    cluster_messages_received_size_total counter · cluster_messages_sent_size_total counter
    cluster_messages_pruned_total counter · cluster_peer_name_conflicts_total counter
    cluster_peers_joined_total counter · cluster_peers_left_total counter
    cluster_peers_update_total counter · cluster_reconnections_total counter
    cluster_reconnections_failed_total counter · cluster_refresh_join_total counter
    cluster_refresh_join_failed_total counter
    oversized_gossip_message_sent_total counter
    oversized_gossip_message_failure_total counter
    oversized_gossip_message_dropped_total counter
    oversize_gossip_message_duration_seconds histogram";

/// Shown once there is a peer.
const PER_PEER: &str = "cluster_alive_messages_total counter · cluster_pings_seconds histogram";

/// With `--cluster.tls-config`.
const TRANSPORT: &str = "tls_transport_packet_bytes_sent_total counter
    tls_transport_packet_bytes_received_total counter
    tls_transport_stream_connections_sent_total counter
    tls_transport_stream_connections_received_total counter
    tls_transport_read_errors_total counter · tls_transport_write_errors_total counter";

const CLIENT: &str = "process_cpu_seconds_total counter · process_resident_memory_bytes gauge
    process_virtual_memory_bytes gauge · process_open_fds gauge · process_max_fds gauge
    process_start_time_seconds gauge · promhttp_metric_handler_requests_total counter";

fn list(text: &str, prefix: &str) -> BTreeSet<String> {
    let entries = text.split(['·', '\n']).map(str::trim).filter(|entry| !entry.is_empty());
    entries.map(|entry| format!("{prefix}{entry}")).collect()
}

#[test]
fn every_family_of_upstream_is_there_with_its_kind_from_the_start() {
    let mut options = Options::default();
    options.cluster.tls_config = Some("tls.yml".into());
    let text = text(&options);
    let shown: BTreeSet<String> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).map(str::to_owned).collect();
    let mut expected = list(UPSTREAM, "alertmanager_");
    expected.extend(list(PER_PEER, "alertmanager_"));
    expected.extend(list(TRANSPORT, "alertmanager_"));
    expected.extend(list(CLIENT, ""));
    let missing: Vec<_> = expected.difference(&shown).collect();
    assert!(missing.is_empty(), "missing: {missing:?}");
    let other: Vec<_> =
        shown.difference(&expected).filter(|name| !name.starts_with("tocsin_")).collect();
    assert!(other.is_empty(), "not upstream's and not named as ours: {other:?}");
}

#[test]
fn samples_that_dashboards_look_at_are_there_from_the_start() {
    let text = text(&Options::default());
    for line in [
        "alertmanager_alerts{state=\"suppressed\"} 0",
        "alertmanager_alerts_received_total{status=\"firing\",version=\"v2\"} 0",
        "alertmanager_alerts_invalid_total{version=\"v1\"} 0",
        "alertmanager_notifications_total{integration=\"webhook\"} 0",
        "alertmanager_notifications_failed_total{integration=\"mattermost\",reason=\"rateLimited\"} 0",
        "alertmanager_notification_latency_seconds_bucket{integration=\"email\",le=\"20\"} 0",
        "alertmanager_notifications_suppressed_total{reason=\"mute_time_interval\"} 0",
        "alertmanager_http_requests_in_flight{method=\"get\"} 0",
        "alertmanager_http_request_duration_seconds_bucket{code=\"200\",handler=\"/\",method=\"get\",le=\"0.005\"} 1",
        "alertmanager_http_response_size_bytes_sum{handler=\"/\",method=\"get\"} 3",
        "alertmanager_config_hash 7",
        "alertmanager_cluster_members 0",
        "alertmanager_cluster_peer_info{peer=\"a\"} 1",
        "alertmanager_cluster_messages_sent_total{msg_type=\"full_state\"} 0",
        "alertmanager_cluster_alive_messages_total{peer=\"b\"} 4",
        "alertmanager_cluster_pings_seconds_bucket{peer=\"b\",le=\"0.01\"} 2",
        "alertmanager_cluster_pings_seconds_bucket{peer=\"b\",le=\"0.5\"} 3",
        "alertmanager_cluster_pings_seconds_bucket{peer=\"b\",le=\"+Inf\"} 4",
        "alertmanager_cluster_pings_seconds_sum{peer=\"b\"} 2",
        "tocsin_cluster_peer_state{peer=\"b\",state=\"live\"} 1",
        "tocsin_cluster_clock_offset_seconds{peer=\"b\"} -0.25",
        "tocsin_write_degraded_total{why=\"peers\"} 0",
        "tocsin_cluster_ranked_behind{why=\"clock\"} 0",
    ] {
        assert!(text.contains(&format!("\n{line}\n")), "{line}\nin\n{text}");
    }
    let failed =
        text.lines().filter(|line| line.starts_with("alertmanager_notifications_failed_total{"));
    assert_eq!(failed.count(), 18 * 7);
}

#[test]
fn without_a_cluster_its_metrics_are_absent() {
    let mut options = Options::default();
    options.cluster.listen_address.clear();
    let text = text(&options);
    assert!(text.contains("\nalertmanager_cluster_enabled 0\n"));
    assert!(!text.contains("alertmanager_cluster_members"));
    assert!(!text.contains("alertmanager_peer_position"));
    assert!(!text.contains("alertmanager_cluster_pings_seconds"));
}

#[test]
fn features_add_labels() {
    let mut options = Options::default();
    options.features.receiver_name_in_metrics = true;
    options.features.alert_names_in_metrics = true;
    let text = text(&options);
    let line =
        "alertmanager_notifications_total{integration=\"webhook\",receiver_name=\"ops\"} 0\n";
    assert!(text.contains(line), "{text}");
    assert!(!text.contains("integration=\"email\""));
    assert!(!text.contains("alertmanager_alerts_limited_total"));
}

#[test]
fn process_start_time_is_that_of_the_node() {
    assert!(text(&Options::default()).contains("\nprocess_start_time_seconds 0\n"));
}
