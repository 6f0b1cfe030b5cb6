//! A node dies without a word: nobody who posts notices, and nothing is lost or told twice.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;

use crate::harness::http::post_json;
use crate::harness::sink::Sink;
use crate::harness::tocsin::{Topology, firing};
use crate::harness::{eventually, pause, throughout};

fn config(sink: &Sink, group_wait: &str) -> String {
    format!(
        "route:\n  receiver: sink\n  group_by: [alertname]\n  group_wait: {group_wait}\n  group_interval: 10s\n\
         receivers:\n- name: sink\n  webhook_configs:\n  - url: {}\n",
        sink.url()
    )
}

#[test]
fn killed_node_costs_no_request_and_is_shown_down_then_up() {
    let sink = Sink::start();
    let mut topology = Topology::start(&config(&sink, "1s"), &[], "500ms");
    let (port, done) = (topology.port, AtomicBool::new(false));
    let failures = std::thread::scope(|scope| {
        let sender = scope.spawn(|| post_until(&done, port));
        pause(Duration::from_secs(1));
        topology.nodes[0].kill();
        wait_state(&topology, "alertmanager1", "DOWN");
        topology.nodes[0].restart();
        wait_state(&topology, "alertmanager1", "UP");
        pause(Duration::from_secs(1));
        done.store(true, Ordering::Relaxed);
        sender.join().expect("the sender does not panic")
    });
    assert_eq!(failures, Vec::<String>::new());
}

/// Fifty requests a second until told to stop; what went wrong comes back.
fn post_until(done: &AtomicBool, port: u16) -> Vec<String> {
    let mut failures = Vec::new();
    let mut i = 0;
    while !done.load(Ordering::Relaxed) {
        let body = json!([firing(&format!("Load{}", i % 10))]).to_string();
        match post_json(port, "/api/v2/alerts", &body) {
            Ok(answer) if answer.status == 200 => {}
            Ok(answer) => failures.push(format!("{}: {}", answer.status, answer.body)),
            Err(error) => failures.push(error.to_string()),
        }
        i += 1;
        pause(Duration::from_millis(20));
    }
    assert!(i > 50, "only {i} requests were sent");
    failures
}

#[track_caller]
fn wait_state(topology: &Topology, server: &str, state: &str) {
    eventually(&format!("{server} is {state}"), Duration::from_secs(30), || {
        topology.server_states().contains(&(server.to_owned(), state.to_owned())).then_some(())
    });
}

#[test]
fn node_dead_before_group_wait_loses_nothing_and_tells_once() {
    for dead in 0..3 {
        let sink = Sink::start();
        let mut topology = Topology::start(&config(&sink, "3s"), &[], "1s");
        for i in 0..20 {
            topology.post(&json!([firing(&format!("Alert{i}"))]));
        }
        topology.nodes[dead].kill();
        eventually("all twenty are told", Duration::from_secs(30), || {
            (sink.told().len() >= 20).then_some(())
        });
        throughout("none is told twice", Duration::from_secs(12), || sink.told().len() == 20);
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for told in sink.told() {
            for name in told.names("firing") {
                *counts.entry(name).or_default() += 1;
            }
        }
        assert_eq!(counts.len(), 20, "{counts:?}");
        assert!(counts.values().all(|n| *n == 1), "{counts:?}");
    }
}

#[test]
fn posted_alert_reaches_every_node() {
    let sink = Sink::start();
    let topology = Topology::start(&config(&sink, "1s"), &[], "1s");
    // To one node, past the balancer: it may send a post to all as long as it does not know them.
    let body = json!([firing("Everywhere")]).to_string();
    let answer = post_json(topology.nodes[0].port, "/api/v2/alerts", &body).expect("answers");
    assert_eq!(answer.status, 200, "{}", answer.body);
    for node in &topology.nodes {
        eventually("each node shows the alert", Duration::from_secs(5), || {
            (node.alert_names() == ["Everywhere"]).then_some(())
        });
    }
}
