//! Every metric of upstream's moves when its cause occurs: two nodes do everything that is counted, and what is zero
//! everywhere afterwards must be in the list of what cannot happen here.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{
    client::{get, post},
    node::Node,
};

/// What upstream counts and cannot happen in one process's short life, or at all.
const STILL: &str = "\
alertmanager_cluster_failed_peers
alertmanager_cluster_health_score
alertmanager_cluster_messages_pruned_total
alertmanager_cluster_messages_queued
alertmanager_cluster_peers_left_total
alertmanager_cluster_peers_update_total
alertmanager_cluster_peer_name_conflicts_total
alertmanager_cluster_reconnections_failed_total
alertmanager_cluster_reconnections_total
alertmanager_cluster_refresh_join_failed_total
alertmanager_cluster_refresh_join_total
alertmanager_dispatcher_aggregation_group_creation_given_up_total
alertmanager_dispatcher_aggregation_group_creation_retries_total
alertmanager_dispatcher_aggregation_group_limit_reached_total
alertmanager_nflog_gossip_messages_propagated_total
alertmanager_nflog_maintenance_errors_total
alertmanager_oversize_gossip_message_duration_seconds
alertmanager_oversized_gossip_message_dropped_total
alertmanager_oversized_gossip_message_failure_total
alertmanager_oversized_gossip_message_sent_total
alertmanager_silences_gc_errors_total
alertmanager_silences_gossip_messages_propagated_total
alertmanager_silences_maintenance_errors_total
alertmanager_silences_matcher_compile_errors_total
alertmanager_silences_query_errors_total
alertmanager_tls_transport_read_errors_total
alertmanager_tls_transport_write_errors_total";

/// The largest value of each family, by name.
fn largest(text: &str, into: &mut BTreeMap<String, f64>) {
    for line in text.lines().filter(|line| line.starts_with("alertmanager_")) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let name = series.split('{').next().unwrap();
        let family = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|end| name.strip_suffix(end))
            .filter(|family| text.contains(&format!("# TYPE {family} ")))
            .unwrap_or(name);
        let value: f64 = value.parse().unwrap();
        let known = into.entry(family.to_owned()).or_insert(f64::MIN);
        *known = known.max(value);
    }
}

const CONFIG: &str = "
route:
  receiver: good
  group_by: [alertname]
  group_wait: 0s
  routes:
  - matchers: [alertname=\"Bad\"]
    receiver: bad
  - matchers: [alertname=\"Night\"]
    receiver: good
    mute_time_intervals: [always]
time_intervals:
- name: always
  time_intervals: [{}]
inhibit_rules:
- source_matchers: [severity=\"critical\"]
  target_matchers: [severity=\"warning\"]
receivers:
- name: good
  webhook_configs: [{url: 'http://HOOK/'}]
- name: bad
  webhook_configs: [{url: 'http://127.0.0.1:1/', timeout: 1ms}]
";

/// A configuration of mutual TLS with a certificate of our own.
fn tls(folder: &std::path::Path) -> std::path::PathBuf {
    let file = folder.join("tls.yml");
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let indented = |pem: &str| pem.trim().replace('\n', "\n    ");
    let (cert, key) = (indented(&made.cert.pem()), indented(&made.signing_key.serialize_pem()));
    let text = format!(
        "tls_server_config:\n  cert: |\n    {cert}\n  key: |\n    {key}\n  client_auth_type: \
         RequireAndVerifyClientCert\n  client_ca: |\n    {cert}\ntls_client_config:\n  cert: |\n    \
         {cert}\n  key: |\n    {key}\n  ca: |\n    {cert}\n"
    );
    std::fs::File::create(&file).unwrap().write_all(text.as_bytes()).unwrap();
    file
}

/// A receiver that is content with everything.
async fn hook() -> std::net::SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut bytes = [0; 65536];
                while socket.read(&mut bytes).await.is_ok_and(|count| 0 < count) {
                    let _ = socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
                }
            });
        }
    });
    address
}

async fn cluster_address(node: &Node) -> String {
    let status = get("/api/v2/status").to(node.address).await.json();
    status["cluster"]["peers"][0]["address"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_metric_moves_when_its_cause_occurs() {
    let shared = tempfile::tempdir().unwrap();
    let tls = tls(shared.path());
    let config = CONFIG.replace("HOOK", &hook().await.to_string());
    let start = async |peers: Vec<String>| {
        let tls = tls.clone();
        Node::start(&config, move |options, _| {
            options.cluster.listen_address = "127.0.0.1:0".to_owned();
            options.cluster.settle_timeout = std::time::Duration::from_secs(5);
            options.cluster.peers = peers;
            options.cluster.tls_config = Some(tls);
            options.alerts_per_alertname_limit = 2;
            options.web.get_concurrency = 1;
            options.data_maintenance_interval = std::time::Duration::from_millis(300);
            options.data_retention = std::time::Duration::from_secs(1);
        })
        .await
    };
    let one = start(Vec::new()).await;
    let other = start(vec![cluster_address(&one).await]).await;
    let alert = |name: &str, severity: &str| json!({"labels": {"alertname": name, "severity": severity, "n": severity}});
    let silence = json!({
        "matchers": [{"name": "alertname", "value": "Quiet", "isRegex": false}],
        "startsAt": "2020-01-01T00:00:00Z", "endsAt": "2099-01-01T00:00:00Z",
        "createdBy": "a", "comment": "c",
    });
    let id = post("/api/v2/silences", &silence).to(one.address).await.json()["silenceID"].clone();
    let soon = jiff::Timestamp::now() + std::time::Duration::from_secs(1);
    let short = silence
        .to_string()
        .replace("Quiet", "Past")
        .replace("2099-01-01T00:00:00Z", &soon.to_string());
    assert_eq!(post("/api/v2/silences", short).to(one.address).await.status, 200);
    let mut alerts = vec![alert("Loud", "critical"), alert("Low", "warning"), alert("Bad", "x")];
    alerts.extend(["Quiet", "Night"].map(|name| alert(name, "x")));
    alerts.extend(["1", "2", "3"].map(|n| alert("Many", n)));
    alerts.push(json!({"labels": {}}));
    alerts.push(json!({"labels": {"alertname": "Gone"}, "endsAt": "2020-01-01T00:00:00Z"}));
    post("/api/v2/alerts", serde_json::Value::from(alerts)).to(one.address).await;
    get(format!("/api/v2/silence/{}", id.as_str().unwrap())).to(one.address).await;
    get("/api/v2/silences?active=false").to(one.address).await;
    post("/-/reload", "").to(one.address).await;

    let still: BTreeSet<&str> = STILL.lines().collect();
    let mut seen = BTreeMap::new();
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(40);
    loop {
        // Two GETs at a time, of which one is too many.
        let scrape = get("/metrics");
        let (a, b) = tokio::join!(scrape.to(one.address), scrape.to(one.address));
        let c = scrape.to(other.address).await;
        for answer in [a, b, c].iter().filter(|answer| answer.status == 200) {
            largest(&answer.body, &mut seen);
        }
        let zero: Vec<&str> = seen
            .iter()
            .filter(|(name, value)| **value == 0.0 && !still.contains(name.as_str()))
            .map(|(name, _)| name.as_str())
            .collect();
        if zero.is_empty() && 80 < seen.len() {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "never moved: {zero:#?} of {}", seen.len());
        tokio::task::yield_now().await;
    }
    let moved: Vec<&str> =
        still.into_iter().filter(|name| seen.get(*name).is_none_or(|value| 0.0 < *value)).collect();
    let may_move = |name: &&str| name.starts_with("alertmanager_cluster_");
    assert!(moved.iter().all(may_move), "moved, or are not there: {moved:?}");
    one.stop().await;
    other.stop().await;
}
