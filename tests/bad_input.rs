//! What is wrong is refused with a clear line, and what is right beside it is kept.

use std::net::TcpListener;
use std::process::Output;

use serde_json::json;

use crate::harness::http::{self, post_json};
use crate::harness::sink::Sink;
use crate::harness::tocsin::{Topology, firing, tocsin};

const GOOD: &str = "route: {receiver: r}\nreceivers: [{name: r}]\n";

fn run_node(config: &str, flags: &[&str]) -> Output {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("alertmanager.yml");
    std::fs::write(&file, config).expect("writable");
    tocsin()
        .arg("node")
        .arg(format!("--config.file={}", file.display()))
        .arg(format!("--storage.path={}", directory.path().join("data").display()))
        .args(["--cluster.listen-address=", "--web.listen-address=127.0.0.1:0"])
        .args(flags)
        .output()
        .expect("the binary runs")
}

/// The node ends with 1 and its standard error has all of `parts`.
#[track_caller]
fn check_refused(output: &Output, parts: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    for part in parts {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
}

#[test]
fn all_mistakes_of_a_file_are_told_at_once_with_place_and_hint() {
    let config = "global:\n  resolve_timeuot: 5m\nroute:\n  receiver: r\n  group_wait: 5 parsecs\nreceivers:\n- name: r\n";
    let parts = [
        "alertmanager.yml:2:3",
        "resolve_timeuot",
        "resolve_timeout",
        "alertmanager.yml:5:15",
        "group_wait",
    ];
    check_refused(&run_node(config, &[]), &parts);
    check_refused(&run_node(config, &["--config.check"]), &parts);
}

#[test]
fn unknown_receiver_is_named() {
    check_refused(
        &run_node("route: {receiver: nobody}\nreceivers: [{name: r}]\n", &[]),
        &["nobody"],
    );
}

#[test]
fn busy_port_is_one_clear_line() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
    let address = taken.local_addr().expect("bound").to_string();
    let output = tocsin()
        .args(["lb", "--backend=127.0.0.1:1", "--admin.socket=", "--stats.listen-address="])
        .arg(format!("--listen-address={address}"))
        .output()
        .expect("the binary runs");
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains(&address) && text.contains("in use"), "{text}");
    check_refused(
        &run_node(GOOD, &[&format!("--web.listen-address={address}")]),
        &[&address, "in use"],
    );
}

#[test]
fn unusable_directory_is_one_clear_line() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let path = file.path().display().to_string();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let config = directory.path().join("alertmanager.yml");
    std::fs::write(&config, GOOD).expect("writable");
    let output = tocsin()
        .arg("node")
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.path={path}/data"))
        .args(["--cluster.listen-address=", "--web.listen-address=127.0.0.1:0"])
        .output()
        .expect("the binary runs");
    check_refused(&output, &[&path]);
}

#[test]
fn flags_are_refused_as_upstream_does() {
    check_refused(&run_node(GOOD, &["--nope"]), &["unknown long flag '--nope', try --help"]);
    check_refused(
        &run_node(GOOD, &["--config.file=x"]),
        &["flag 'config.file' cannot be repeated"],
    );
    check_refused(&run_node(GOOD, &["extra"]), &["unexpected extra"]);
    check_refused(
        &run_node(GOOD, &["--data.retention=1d"]),
        &["unknown unit \"d\" in duration \"1d\""],
    );
}

#[test]
fn bad_alerts_are_named_and_the_good_ones_kept() {
    let sink = Sink::start();
    let config = format!(
        "route: {{receiver: r, group_wait: 1h}}\nreceivers: [{{name: r, webhook_configs: [{{url: '{}'}}]}}]\n",
        sink.url()
    );
    let topology = Topology::start(&config, &[], "1s");
    let post = |body: &str| post_json(topology.port, "/api/v2/alerts", body).expect("answers");
    let answer = post("[{\"labels\"");
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["code"], 400);
    let answer = post(&json!([{"annotations": {}}]).to_string());
    assert_eq!((answer.status, answer.json()["code"].as_i64()), (422, Some(602)));
    let answer = http::request(
        topology.port,
        "POST",
        "/api/v2/alerts",
        &[("Content-Type", "text/plain")],
        "[]",
    );
    assert_eq!(answer.expect("answers").status, 415);

    let answer = post(&json!([firing("Good1"), {"labels": {}}, firing("Good2")]).to_string());
    assert_eq!(answer.status, 400);
    assert_eq!(answer.body, "\"at least one label pair required\"\n");
    let mut names = topology.nodes[0].alert_names();
    names.sort();
    assert_eq!(names, ["Good1", "Good2"]);
}
