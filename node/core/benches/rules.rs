//! What the rules cost with many of them: `cargo bench -p tocsin-core`. Prints the best of five runs.

#![expect(clippy::disallowed_methods, reason = "a bench measures the real time")]
#![expect(clippy::print_stdout, reason = "a bench prints its result")]
#![expect(clippy::unwrap_used, reason = "the inputs are fixed")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tocsin_core::alert::{Hold, Times};
use tocsin_core::group::{Groups, Inserted, Member};
use tocsin_core::inhibit::{Inhibitor, Rule};
use tocsin_core::label::{Fingerprint, Labels};
use tocsin_core::matcher::{MatchOp, Matcher, Matchers, Mode, parse_matchers};
use tocsin_core::nflog::{Entry, needs_update};
use tocsin_core::route::{GroupBy, RouteSpec, Routes};
use tocsin_core::silence::{Silence, Silencer};

const ALERTS: usize = 20_000;

fn main() {
    let alerts: Vec<(Fingerprint, Labels)> = (0..ALERTS).map(alert).collect();
    labels(&alerts);
    merge(&alerts);
    inhibit(&alerts);
    silences(&alerts);
    routes(&alerts);
}

fn report(what: &str, count: usize, mut run: impl FnMut()) {
    let time = |run: &mut dyn FnMut()| {
        let start = Instant::now();
        run();
        start.elapsed()
    };
    let best = (0..5).map(|_| time(&mut run)).min().unwrap_or_default();
    let each = best.as_nanos() / u128::try_from(count).unwrap_or(1);
    println!("{what:<50} {:>9.3} ms {each:>7} ns each", best.as_secs_f64() * 1e3);
}

fn alert(number: usize) -> (Fingerprint, Labels) {
    let severity = ["critical", "warning", "info", "warning"][number % 4];
    let labels = Labels::from([
        ("alertname", format!("Alert{}", number % 50)),
        ("cluster", format!("cluster-{}", number % 5)),
        ("instance", format!("host-{number}.example.com:9100")),
        ("job", "node".to_owned()),
        ("namespace", format!("ns-{}", number % 40)),
        ("pod", format!("pod-{number}-abcdef")),
        ("severity", severity.to_owned()),
        ("team", format!("team{}", number % 7)),
    ]);
    (labels.fingerprint(), labels)
}

fn matchers(text: &str) -> Matchers {
    parse_matchers(text, Mode::Utf8).unwrap().value
}

fn labels(alerts: &[(Fingerprint, Labels)]) {
    report("fingerprint", ALERTS, || {
        for (_, labels) in alerts {
            black_box(labels.fingerprint());
        }
    });
    report("hash of the log", ALERTS, || {
        for (_, labels) in alerts {
            black_box(labels.hash_xx());
        }
    });
}

/// What a post does to the times of what is there, and what a flush asks the log.
fn merge(alerts: &[(Fingerprint, Labels)]) {
    let now = Timestamp::UNIX_EPOCH + Duration::from_secs(1000);
    let post = |now| Times::of_post(None, None, now, Duration::from_secs(300)).unwrap();
    let current = post(now - Duration::from_secs(60));
    report("merge: a repeat on top of what is there", ALERTS, || {
        for _ in alerts {
            black_box(post(black_box(now)).over(black_box(&current), now));
        }
    });
    let hashes: Vec<u64> = alerts.iter().take(50).map(|(_, labels)| labels.hash_xx()).collect();
    let entry = Entry {
        timestamp: now,
        flush_at: now,
        firing: hashes.clone(),
        resolved: Vec::new(),
        data: Default::default(),
    };
    let repeat = Duration::from_secs(4 * 3600);
    report("log: is a group of 50 told, nothing new", ALERTS, || {
        for _ in alerts {
            black_box(needs_update(Some(&entry), black_box(&hashes), &[], true, repeat, now));
        }
    });
}

fn inhibit(alerts: &[(Fingerprint, Labels)]) {
    let rule = |number: usize| Rule {
        name: "".into(),
        source: matchers(&format!("severity=critical,team=team{}", number % 7)),
        target: matchers(r#"severity=~"warning|info""#),
        equal: ["cluster", "namespace"]
            .map(Box::from)
            .into_iter()
            .chain([format!("zone{number}").into()])
            .collect(),
    };
    let mut inhibitor = Inhibitor::new((0..50).map(rule).collect());
    let now = Timestamp::UNIX_EPOCH;
    let times = Times {
        starts_at: now,
        ends_at: now + Duration::from_secs(300),
        updated_at: now,
        received_at: now,
        timeout: false,
        explicit_end: false,
    };
    report("inhibit: 50 rules, first and further updates", ALERTS, || {
        alerts
            .iter()
            .for_each(|(fingerprint, labels)| inhibitor.update(*fingerprint, labels, &times));
    });
    report("inhibit: 50 rules, each alert asked", ALERTS, || {
        for (_, labels) in alerts {
            black_box(inhibitor.inhibited_by(labels, now, &Hold::default()));
        }
    });
}

fn silences(alerts: &[(Fingerprint, Labels)]) {
    let now = Timestamp::UNIX_EPOCH;
    let silence = |number: usize| {
        let host = Matcher::new("instance", MatchOp::Regex, format!("host-{number}[.].*")).unwrap();
        Arc::new(Silence {
            id: format!("{number:036}").into(),
            matcher_sets: vec![[host, Matcher::equal("job", "node")].into_iter().collect()],
            receiver_matcher_sets: Vec::new(),
            starts_at: now,
            ends_at: now + Duration::from_secs(300),
            updated_at: now,
            created_by: "bench".into(),
            comment: "bench".into(),
            annotations: Labels::default(),
        })
    };
    let mut silencer = Silencer::default();
    report("silences: 3,000 with an expression made and put", 3000, || {
        silencer = Silencer::default();
        (0..3000).for_each(|number| silencer.put(silence(number)));
    });
    let ask = |forget: bool, silencer: &mut Silencer| {
        for (fingerprint, labels) in alerts {
            if forget {
                silencer.forget(*fingerprint);
            }
            black_box(silencer.silenced_by(*fingerprint, labels, now));
        }
    };
    report("silences: 3,000, each alert for the first time", ALERTS, || ask(true, &mut silencer));
    report("silences: 3,000, each alert again", ALERTS, || ask(false, &mut silencer));
    let mut number = 100_000;
    report("silences: 3,000, each alert after a new silence", ALERTS, || {
        number += 1;
        silencer.put(silence(number));
        ask(false, &mut silencer);
    });
}

fn routes(alerts: &[(Fingerprint, Labels)]) {
    let child = |number: usize| RouteSpec {
        matchers: matchers(&format!("team=team{number},severity=~\"critical|warning\"")),
        ..RouteSpec::default()
    };
    let root = RouteSpec {
        receiver: Some("default".into()),
        group_by: Some(GroupBy::Names(vec!["alertname".into(), "instance".into()])),
        routes: (0..100).rev().map(child).collect(),
        ..RouteSpec::default()
    };
    let routes = Arc::new(Routes::new(root).unwrap());
    report("routes: 100 children, each alert matched", ALERTS, || {
        alerts.iter().for_each(|(_, labels)| drop(black_box(routes.matching(labels))));
    });
    let now = Timestamp::UNIX_EPOCH;
    let mut groups = Groups::new(routes.clone());
    report("groups: each alert into its own, first and again", ALERTS, || {
        for (fingerprint, labels) in alerts {
            let member = Member { fingerprint: *fingerprint, starts_at: now, received_at: now };
            if let Inserted::Made(id) = groups.insert(routes.root(), labels, member) {
                groups.arm(id, None, now);
            }
        }
    });
    report("groups: all due", ALERTS, || {
        let due = groups.next_due().unwrap_or(now);
        for batch in groups.take_due(due) {
            groups.finish(batch.id, batch.tick, &[]);
        }
    });
}
