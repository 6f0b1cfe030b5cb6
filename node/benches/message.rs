//! What it costs to say something to many: `cargo bench -p tocsin-node`. Prints the best of five runs.

#![expect(clippy::disallowed_methods, reason = "a bench measures the real time")]
#![expect(clippy::print_stdout, reason = "a bench prints its result")]
#![expect(clippy::unwrap_used, reason = "the inputs are fixed")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tocsin_node::message::{Alert, AlertStatus, Data, Group, Templates};

/// The texts of a Slack message with nothing configured.
const SLACK: [&str; 11] = [
    "title",
    "username",
    "fallback",
    "callbackid",
    "pretext",
    "titlelink",
    "iconemoji",
    "iconurl",
    "text",
    "footer",
    "color",
];

fn main() {
    let templates = Templates::load(&[]).unwrap();
    for count in [1, 100, 5_000] {
        let data = data(count);
        let now = Timestamp::UNIX_EPOCH;
        let rounds = 2_000 / count + 1;
        report(&format!("slack, {count} alerts"), rounds, || {
            let over = templates.over(&data, now);
            for name in SLACK {
                let text = format!("{{{{ template \"slack.default.{name}\" . }}}}");
                black_box(over.text(&text).unwrap());
            }
        });
        report(&format!("msteams text, {count} alerts"), rounds, || {
            let text = "{{ template \"msteams.default.text\" . }}";
            black_box(templates.text(text, &data, now).unwrap());
        });
        report(&format!("e-mail as HTML, {count} alerts"), rounds, || {
            let text = "{{ template \"email.default.html\" . }}";
            black_box(templates.html(text, &data, now).unwrap());
        });
    }
}

fn data(count: usize) -> Data {
    let group = Group {
        receiver: "ops".to_owned(),
        labels: [("alertname", "DiskFull")].into_iter().collect(),
        external_url: "http://am.example:9093".to_owned(),
        ..Group::default()
    };
    Data::new(&group, (0..count).map(alert).collect(), "first notification")
}

fn alert(number: usize) -> Alert {
    let instance = format!("node{number}:9100");
    let labels = [
        ("alertname", "DiskFull"),
        ("cluster", "eu-1"),
        ("instance", &instance),
        ("job", "node"),
        ("severity", "critical"),
    ];
    let annotations = [("description", "less than 5 % left"), ("summary", "disk full")];
    Alert {
        status: AlertStatus::Firing,
        labels: labels.into_iter().collect(),
        annotations: annotations.into_iter().collect(),
        starts_at: Timestamp::UNIX_EPOCH,
        ends_at: None,
        generator_url: "http://prom.example/graph?g0.expr=up".to_owned(),
        fingerprint: "22b692ed704ee014".to_owned(),
    }
}

fn report(what: &str, rounds: usize, mut run: impl FnMut()) {
    let time = |run: &mut dyn FnMut()| {
        let start = Instant::now();
        for _ in 0..rounds {
            run();
        }
        start.elapsed()
    };
    let best = (0..5).map(|_| time(&mut run)).min().unwrap_or(Duration::ZERO);
    let each = best.as_secs_f64() * 1e6 / f64::from(u32::try_from(rounds).unwrap());
    println!("{what:<30} {each:>12.1} us");
}
