//! The rules and dashboards that watch Tocsin: every metric that they name is there, and every alert has its page.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::harness::process::Process;
use crate::harness::tocsin::{Topology, tocsin};
use crate::harness::{eventually, free_port, http};

const EXPIRY: &str = "tocsin_certificate_expiry_timestamp_seconds";

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(repository(path)).expect("readable")
}

/// The names of metrics in a text, without the endings of histograms.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let prefixes = ["alertmanager_", "tocsin_", "haproxy_", "process_"];
    words
        .filter(|word| prefixes.iter().any(|prefix| word.starts_with(prefix)))
        .map(|word| {
            let ends = ["_bucket", "_sum", "_count"];
            let stem = ends.iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word);
            stem.to_owned()
        })
        .collect()
}

/// The families that a server has.
fn families(port: u16) -> BTreeSet<String> {
    let text = http::get(port, "/metrics").expect("an answer").body;
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types.filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn every_metric_that_is_watched_exists() {
    let config = "route: {receiver: a}\nreceivers: [{name: a}]\n";
    let topology = Topology::start(config, &[], "1s");
    let mut there = families(topology.nodes[0].port);
    there.extend(families(topology.stats));
    // Only with TLS; below.
    there.insert(EXPIRY.to_owned());
    for file in
        ["prometheus/rules.yml", "grafana/tocsin-nodes.json", "grafana/tocsin-balancer.json"]
    {
        let wanted = named(&read(&format!("packaging/{file}")));
        assert!(wanted.len() > 10, "{wanted:?}");
        let missing: Vec<_> = wanted.difference(&there).collect();
        assert!(missing.is_empty(), "{file}: {missing:?}");
    }
}

#[test]
fn rules_are_accepted_and_every_alert_has_a_page() {
    let rules = repository("packaging/prometheus/rules.yml");
    let checked = Command::new("promtool").args(["check", "rules"]).arg(&rules).output();
    let checked = checked.expect("promtool of Debian's prometheus");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    let pages = read("docs/runbooks.md");
    let rules = read("packaging/prometheus/rules.yml");
    let alerts: Vec<_> = rules.lines().filter_map(|l| l.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 15, "{alerts:?}");
    for alert in alerts {
        assert!(pages.contains(&format!("\n## {alert}\n")), "docs/runbooks.md has no {alert}");
    }
}

/// A certificate that ends in 2040, and its key, as PEM files.
fn certificate(directory: &Path) {
    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    params.not_after = rcgen::date_time_ymd(2040, 1, 1);
    let key = rcgen::KeyPair::generate().expect("a key");
    let pem = params.self_signed(&key).expect("signed").pem();
    std::fs::write(directory.join("c.pem"), pem).expect("writable");
    std::fs::write(directory.join("k.pem"), key.serialize_pem()).expect("writable");
}

#[test]
fn end_of_certificates_is_a_metric() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let here = directory.path();
    certificate(here);
    let tls = "tls_server_config: {cert_file: c.pem, key_file: k.pem, client_ca_file: c.pem, client_auth_type: RequireAndVerifyClientCert}\ntls_client_config: {cert_file: c.pem, key_file: k.pem, ca_file: c.pem}\n";
    std::fs::write(here.join("cluster.yml"), tls).expect("writable");
    let config = "route: {receiver: a}\nreceivers: [{name: a}]\n";
    std::fs::write(here.join("am.yml"), config).expect("writable");
    let (node, stats) = (free_port(), free_port());
    let _node = Process::start(
        "node",
        tocsin()
            .current_dir(here)
            .args(["node", "--config.file=am.yml", "--storage.path=data"])
            .args(["--cluster.tls-config=cluster.yml", "--cluster.listen-address=127.0.0.1:0"])
            .arg(format!("--web.listen-address=127.0.0.1:{node}")),
    );
    let lb = format!(
        "frontends: [{{name: f, bind: ['127.0.0.1:{}'], tls: {{cert_file: {0}/c.pem, key_file: {0}/k.pem}}}}]\n",
        here.display()
    )
    .replacen(&format!("127.0.0.1:{}", here.display()), &format!("127.0.0.1:{}", free_port()), 1);
    std::fs::write(here.join("lb.yml"), lb).expect("writable");
    let _balancer = Process::start(
        "balancer",
        tocsin()
            .current_dir(here)
            .args(["lb", "--config.file=lb.yml", "--admin.socket="])
            .arg(format!("--backend=127.0.0.1:{node}"))
            .arg(format!("--stats.listen-address=127.0.0.1:{stats}")),
    );
    for port in [node, stats] {
        let line = eventually("the metric is there", Duration::from_secs(60), || {
            let text = http::get(port, "/metrics").ok()?.body;
            text.lines().find(|line| line.starts_with(EXPIRY)).map(str::to_owned)
        });
        let value: f64 = line.split(' ').next_back().expect("a value").parse().expect("a number");
        assert!((value - 2_208_988_800.0).abs() < 0.5 && line.contains("c.pem\"}"), "{line}");
    }
}
