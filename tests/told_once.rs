//! Prometheus behind the balancer: every alert is told once, and its end once.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::guide::guide_with;
use crate::harness::prometheus::Prometheus;
use crate::harness::sink::{Sink, Told};
use crate::harness::smtp::Smtp;
use crate::harness::tocsin::Topology;
use crate::harness::{eventually, throughout};

const RULES: usize = 20;

#[test]
fn twenty_rules_through_the_balancer_are_told_once_and_resolved_once() {
    let (smtp, sink) = (Smtp::start(), Sink::start());
    let webhook = format!("    webhook_configs: [{{url: '{}'}}]\n", sink.url());
    let config = guide_with(&[
        ("'localhost:587'", &format!("'127.0.0.1:{}'\n  smtp_require_tls: false", smtp.port)),
        ("group_wait: 30s", "group_wait: 2s"),
        ("group_interval: 5m", "group_interval: 5s"),
        ("- name: 'default'\n", &format!("- name: 'default'\n{webhook}")),
        ("- name: 'critical-alerts'\n", &format!("- name: 'critical-alerts'\n{webhook}")),
        ("- name: 'warning-alerts'\n", &format!("- name: 'warning-alerts'\n{webhook}")),
    ]);
    let topology = Topology::start(&config, &[], "1s");
    let prometheus = Prometheus::start(topology.port, RULES, "5s");

    eventually("all rules are told to the webhook", Duration::from_secs(60), || {
        (sink.told().len() >= RULES).then_some(())
    });
    eventually("all rules are told by mail", Duration::from_secs(10), || {
        (smtp.mails().len() >= RULES).then_some(())
    });
    throughout("nothing is told twice", Duration::from_secs(120), || {
        sink.told().len() == RULES && smtp.mails().len() == RULES
    });
    assert_eq!(count(&sink.told(), "firing").into_values().collect::<Vec<_>>(), vec![1; RULES]);
    check_mails(&smtp.mails());

    prometheus.calm();
    eventually("all ends are told", Duration::from_secs(60), || {
        (count(&sink.told(), "resolved").len() == RULES).then_some(())
    });
    throughout("no end is told twice", Duration::from_secs(20), || sink.told().len() == 2 * RULES);
    assert_eq!(count(&sink.told(), "resolved").into_values().collect::<Vec<_>>(), vec![1; RULES]);
}

/// How often each group was told with that status.
fn count(told: &[Told], status: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for one in told.iter().filter(|one| one.status() == status) {
        *counts.entry(one.group_key().to_owned()).or_default() += 1;
    }
    counts
}

/// Each rule by one mail, with the guide's subject and body.
fn check_mails(mails: &[Value]) {
    let mut expected: Vec<String> = (0..RULES)
        .map(|i| match i % 3 {
            0 => format!("CRITICAL: Rule{i}"),
            1 => format!("WARNING: Rule{i}"),
            _ => "Alertmanager notification".to_owned(),
        })
        .collect();
    let mut subjects: Vec<String> =
        mails.iter().map(|mail| mail["subject"].as_str().unwrap_or("").to_owned()).collect();
    expected.sort();
    subjects.sort();
    assert_eq!(subjects, expected);
    let first = mails.iter().find(|mail| mail["subject"] == "CRITICAL: Rule0").expect("just seen");
    let lines: Vec<&str> =
        first["parts"]["text/plain"].as_str().expect("a text part").lines().collect();
    for line in
        ["Alert: rule 0 fires", "Severity: critical", "Description: as long as the metric is 1"]
    {
        assert!(lines.contains(&line), "{lines:?}");
    }
    assert_eq!(first["to"][0], "critical@example.com");
    assert_eq!(first["from"], "alertmanager@example.com");
}
