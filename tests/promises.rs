//! What was answered with 200 is never lost, and is told once: where a balancer in front of Alertmanager fails.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::http::post_json;
use crate::harness::sink::Sink;
use crate::harness::tocsin::{Topology, firing};
use crate::harness::{eventually, from_now, now, pause, throughout};

fn config(sink: &Sink) -> String {
    format!(
        "global: {{resolve_timeout: 6s}}\n\
         route:\n  receiver: sink\n  group_by: [alertname]\n  group_wait: 2s\n  group_interval: 4s\n  repeat_interval: 1h\n\
         receivers:\n- name: sink\n  webhook_configs:\n  - url: {}\n",
        sink.url()
    )
}

#[test]
fn alert_survives_the_node_that_acknowledged_it() {
    let sink = Sink::start();
    let mut topology = Topology::start(&config(&sink), &[], "1s");
    for i in 0..30 {
        let body = json!([firing(&format!("Once{i}"))]).to_string();
        let answer = post_json(topology.nodes[1].port, "/api/v2/alerts", &body).expect("answers");
        assert_eq!((answer.status, answer.header("Tocsin-Write")), (200, None));
    }
    topology.nodes[1].kill();
    eventually("all thirty are told", Duration::from_secs(20), || {
        (sink.told().len() >= 30).then_some(())
    });
    throughout("none is told twice", Duration::from_secs(6), || sink.told().len() == 30);
}

#[test]
fn silence_mutes_though_the_node_that_acknowledged_it_died() {
    let sink = Sink::start();
    let mut topology = Topology::start(&config(&sink), &[], "1s");
    let silence = json!({
        "matchers": [{"name": "alertname", "value": "Quiet.*", "isRegex": true}],
        "startsAt": from_now(0), "endsAt": from_now(3600), "createdBy": "test", "comment": "test",
    });
    let answer = post_json(topology.nodes[0].port, "/api/v2/silences", &silence.to_string())
        .expect("answers");
    assert_eq!(answer.status, 200, "{}", answer.body);
    topology.nodes[0].kill();
    for i in 0..20 {
        topology.post(&json!([firing(&format!("Quiet{i}"))]));
    }
    topology.post(&json!([firing("Loud")]));
    eventually("the loud one is told", Duration::from_secs(20), || {
        (!sink.told().is_empty()).then_some(())
    });
    throughout("no quiet one is told", Duration::from_secs(8), || sink.told().len() == 1);
    assert_eq!(sink.told()[0].names("firing"), ["Loud"]);
}

#[test]
fn alert_that_is_sent_again_and_again_is_never_told_resolved() {
    let sink = Sink::start();
    let topology = Topology::start(&config(&sink), &[], "1s");
    let mut alert = firing("Flap");
    alert.as_object_mut().expect("an object").remove("endsAt");
    let end = now() + Duration::from_secs(40);
    while now() < end {
        topology.post(&json!([alert]));
        pause(Duration::from_secs(3));
    }
    let told = sink.told();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].status(), "firing");
}

#[test]
fn end_of_every_alert_is_told_once() {
    let sink = Sink::start();
    let topology = Topology::start(&config(&sink), &[], "1s");
    let names: Vec<String> = (0..12).map(|i| format!("End{i}")).collect();
    for name in &names {
        for _ in 0..4 {
            topology.post(&json!([firing(name)]));
        }
    }
    eventually("all are told firing", Duration::from_secs(20), || {
        (sink.told().len() >= 12).then_some(())
    });
    for name in &names {
        topology.post(&json!([ended(name)]));
    }
    eventually("all are told resolved", Duration::from_secs(20), || {
        (sink.told().len() >= 24).then_some(())
    });
    throughout("nothing more is told", Duration::from_secs(8), || sink.told().len() == 24);
    let mut last: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for told in sink.told() {
        last.entry(told.group_key().to_owned()).or_default().push(told.status().to_owned());
    }
    assert_eq!(last.len(), 12);
    assert!(last.values().all(|statuses| statuses == &["firing", "resolved"]), "{last:?}");
}

fn ended(name: &str) -> Value {
    let mut alert = firing(name);
    alert["endsAt"] = from_now(0).into();
    alert
}

#[test]
fn everything_survives_the_death_of_all_nodes() {
    let sink = Sink::start();
    let mut topology = Topology::start(&config(&sink), &[], "1s");
    for i in 0..10 {
        topology.post(&json!([firing(&format!("All{i}"))]));
    }
    for node in &mut topology.nodes {
        node.kill();
    }
    for node in &mut topology.nodes {
        node.restart();
    }
    eventually("all ten are told", Duration::from_secs(60), || {
        (sink.told().len() >= 10).then_some(())
    });
    throughout("none is told twice", Duration::from_secs(8), || sink.told().len() == 10);
    for node in &topology.nodes {
        assert_eq!(node.alert_names().len(), 10);
    }
}
