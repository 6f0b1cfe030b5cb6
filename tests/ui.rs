//! The node's pages in a real browser: what a newcomer wants to do, in both themes, with and without JavaScript, on a
//! phone, behind the balancer, while nodes die. The scripts are in tests/browser.

use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use crate::harness::browser::{browse, browser};
use crate::harness::process::Process;
use crate::harness::sink::Sink;
use crate::harness::tocsin::{Topology, tocsin};
use crate::harness::{eventually, free_port, http};

/// Several teams; one receiver has an integration that nobody listens to.
const CONFIG: &str = r#"
route:
  receiver: ops
  group_by: [alertname, cluster]
  group_wait: 1s
  group_interval: 5s
  repeat_interval: 4h
  routes:
    - {matchers: ['severity="critical"'], receiver: pager, continue: true}
    - matchers: ['team="db"']
      receiver: db-oncall
      routes:
        - {matchers: ['severity="warning"'], receiver: db-chat, group_by: [alertname]}
    - matchers: ['team="web"']
      receiver: web-oncall
      routes:
        - {matchers: ['severity="info"'], receiver: web-chat, mute_time_intervals: [always]}
inhibit_rules:
  - {source_matchers: ['severity="critical"'], target_matchers: ['severity="warning"'], equal: [team, cluster]}
receivers:
  - {name: ops, webhook_configs: [{url: 'SINK'}]}
  - {name: pager, webhook_configs: [{url: 'SINK'}]}
  - {name: db-oncall, webhook_configs: [{url: 'SINK'}, {url: 'http://127.0.0.1:9/'}]}
  - {name: db-chat, webhook_configs: [{url: 'SINK'}]}
  - {name: web-oncall, webhook_configs: [{url: 'SINK'}]}
  - {name: web-chat, webhook_configs: [{url: 'SINK'}]}
time_intervals:
  - {name: always, time_intervals: [{}]}
"#;

fn address(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

/// Three nodes and the balancer on a bad night.
fn night() -> (Topology, Sink) {
    let sink = Sink::start();
    let topology = Topology::start(&CONFIG.replace("SINK", &sink.url()), &[], "500ms");
    browse("night", &json!({"base": address(topology.port)}));
    eventually("the night is told", Duration::from_secs(30), || {
        (sink.told().len() >= 8).then_some(())
    });
    (topology, sink)
}

/// One node without peers.
struct Solo {
    port: u16,
    _process: Process,
    _directory: TempDir,
}

impl Solo {
    fn start(flags: &[&str], ready: &str) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let file = directory.path().join("alertmanager.yml");
        std::fs::write(&file, CONFIG.replace("SINK", "http://127.0.0.1:9/")).expect("writable");
        let port = free_port();
        let mut command = tocsin();
        command
            .arg("node")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.path={}", directory.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--cluster.listen-address=")
            .args(flags);
        let process = Process::start("solo", &mut command);
        eventually("the node is ready", Duration::from_secs(60), || {
            http::get(port, ready).ok().filter(|answer| answer.status == 200)
        });
        Self { port, _process: process, _directory: directory }
    }
}

#[test]
fn every_page_is_for_everyone_and_hostile_labels_run_nothing() {
    let (topology, _sink) = night();
    browse("pages", &json!({"base": address(topology.nodes[0].port)}));
}

#[test]
fn open_pages_keep_up_and_leave_their_reader_alone() {
    let (topology, _sink) = night();
    browse("live", &json!({"base": address(topology.nodes[0].port)}));
}

#[test]
fn old_links_lead_on_under_a_prefix_and_other_sites_cannot_write() {
    let node = Solo::start(&["--web.external-url=http://tocsin.example/a/b/"], "/a/b/-/ready");
    let open = Solo::start(&["--web.cors.origin=http://localhost:.*"], "/-/ready");
    let base = format!("{}/a/b", address(node.port));
    browse("night", &json!({"base": base}));
    browse("opens", &json!({"base": base}));
    browse("links", &json!({"base": base, "other": address(open.port)}));
}

#[test]
fn banner_comes_for_a_broken_reload_a_lost_peer_and_a_dead_node() {
    let (mut topology, _sink) = night();
    let base = address(topology.nodes[0].port);
    let mut page = Process::start("browser", &mut browser("faults", &json!({"base": base})));
    let good = std::fs::read_to_string(topology.nodes[0].config_file()).expect("readable");
    for what in [
        "break the configuration",
        "mend the configuration",
        "kill a peer",
        "start the peer",
        "kill the node",
        "start the node",
    ] {
        page.wait_line(what, |line| (line == format!("do {what}")).then_some(()));
        match what {
            "break the configuration" => reload(&topology, "route: [", 500),
            "mend the configuration" => reload(&topology, &good, 200),
            "kill a peer" => topology.nodes[1].kill(),
            "start the peer" => topology.nodes[1].restart(),
            "kill the node" => topology.nodes[0].kill(),
            _ => topology.nodes[0].restart(),
        }
        page.write_line("done");
    }
    assert!(page.wait_end(Duration::from_secs(60)).success(), "{}", page.output().join("\n"));
    println!("{}", page.output().join("\n"));
}

fn reload(topology: &Topology, config: &str, status: u16) {
    let node = &topology.nodes[0];
    std::fs::write(node.config_file(), config).expect("writable");
    let answer = http::request(node.port, "POST", "/-/reload", &[], "").expect("the node answers");
    assert_eq!(answer.status, status, "{}", answer.body);
}

#[test]
fn newcomers_find_their_way_with_and_without_a_script_behind_the_balancer() {
    let (topology, _sink) = night();
    browse("tasks", &json!({"base": address(topology.port)}));
}
