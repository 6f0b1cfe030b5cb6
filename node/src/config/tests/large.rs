//! Files as large as they come, and bytes of any kind.

use std::fmt::Write;

use proptest::prelude::*;

use super::{good, mistakes, read, stable};

/// A file of about that many lines: half routes, half receivers.
fn file(lines: usize) -> String {
    let mut text =
        "global: {smtp_from: a, smtp_smarthost: 'h:25'}\nroute:\n  receiver: r0\n  routes:\n"
            .to_owned();
    let count = lines / 25;
    for at in 0..count {
        let _ = write!(
            text,
            "  - matchers:\n    - team = \"team {at}\"\n    - severity =~ \"critical|warning\"\n    receiver: r{at}\n    group_by: [alertname, instance]\n    group_wait: 30s\n    repeat_interval: 4h\n    routes:\n    - match: {{severity: critical}}\n      continue: true\n    - match_re:\n        service: ^(foo|bar)$\n"
        );
    }
    text.push_str("receivers:\n");
    for at in 0..count {
        let _ = write!(
            text,
            "- name: r{at}\n  webhook_configs:\n  - url: https://example.com/hook/{at}\n    send_resolved: true\n    http_config:\n      basic_auth:\n        username: user\n        password: pass{at}\n  email_configs:\n  - to: team{at}@example.com\n    headers:\n      Subject: '{{{{ .CommonLabels.alertname }}}}'\n    text: |\n      Hello\n"
        );
    }
    text
}

#[test]
fn a_large_file_is_read_in_one_go() {
    let text = file(5_000);
    assert!((4_900..5_400).contains(&text.lines().count()), "{} lines", text.lines().count());
    let config = good(&text);
    assert_eq!(config.receivers.len(), 200);
    assert_eq!(config.routes.iter().count(), 601);
    stable(&config);
}

#[test]
fn all_mistakes_of_a_large_file_are_found() {
    let text =
        file(5_000).replace("group_wait: 30s", "group_wait: 30").replace("to: team", "too: team");
    assert_eq!(mistakes(&text).len(), 200 + 2 * 200);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// A file with a piece cut out, doubled or replaced.
    #[test]
    fn no_edit_panics(from in 0..1_500_usize, length in 0..60_usize, with in "[-a-z0-9:{}\\[\\],&*!|>'\"%@# \n]{0,12}") {
        let guide = include_str!("guide.yml");
        let mut letters: Vec<char> = guide.chars().collect();
        let from = from.min(letters.len());
        let to = (from + length).min(letters.len());
        letters.splice(from..to, with.chars());
        let text: String = letters.into_iter().collect();
        if let Err(mistakes) = read(&text) {
            prop_assert!(!mistakes.is_empty());
            let _ = mistakes.to_string();
        }
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&String::from_utf8_lossy(&bytes));
    }

    /// Keys of the format with values of any shape.
    #[test]
    fn no_value_panics(key in key(), value in value()) {
        let _ = read(&format!("global:\n  {key}: {value}\nroute:\n  receiver: r\n  {key}: {value}\nreceivers:\n- name: r\n  {key}: {value}\n  email_configs: [{{{key}: {value}}}]\n  slack_configs: [{{{key}: {value}}}]\n{key}: {value}\n"));
    }
}

fn key() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "route",
        "receivers",
        "routes",
        "matchers",
        "match",
        "match_re",
        "group_by",
        "labels",
        "http_config",
        "tls_config",
        "time_intervals",
        "inhibit_rules",
        "smtp_smarthost",
        "headers",
        "fields",
        "actions",
        "api_url",
        "timeout",
        "templates",
        "tracing",
        "event_recorder",
        "webhook_configs",
        "jira_configs",
        "sns_configs",
        "to",
        "subject",
        "body",
        "<<",
    ])
}

fn value() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "", "~", "a", "'5'", "5", "-1", "1.5", "yes", "5m", "http://a", "'{{ .X'", "a=b",
        "<secret>", "é", "09:00",
    ]);
    leaf.prop_map(str::to_owned).prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3)
                .prop_map(|items| format!("[{}]", items.join(", "))),
            prop::collection::vec((key(), inner), 0..3).prop_map(|entries| {
                let entries: Vec<_> =
                    entries.iter().map(|(key, value)| format!("{key}: {value}")).collect();
                format!("{{{}}}", entries.join(", "))
            }),
        ]
    })
}
