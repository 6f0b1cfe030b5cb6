//! Posts of alerts: one server after the other while the sender waits, exactly once at the one that takes them.

use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use tocsin_lb::config::AlertMode;

use crate::harness::*;

fn body(bytes: usize) -> String {
    "[".to_owned() + &" ".repeat(bytes - 2) + "]"
}

#[test]
fn a_server_that_resets_within_the_body_loses_nothing() {
    for size in [45_000, 5_000_000] {
        let fakes = [Fake::new(|_| ok("{}")), Fake::new(|_| ok("{}"))];
        fakes[0].reset_at.store(size / 2, SeqCst);
        let lb = Lb::over(&[&fakes[0], &fakes[1]]);
        let text = body(size);
        for n in 1..=3 {
            assert_eq!(lb.post("/api/v2/alerts", &text).status, 200);
            assert_eq!((fakes[0].seen().len(), fakes[1].seen().len()), (0, n));
            assert!(fakes[1].seen()[n - 1].body == text.as_bytes());
        }
        assert_ne!(lb.field("n1", "wredis"), "0");
        let silence = lb.post("/api/v2/silences", &text).status;
        let again = lb.post("/api/v2/silences", &text).status;
        assert_eq!(silence.min(again), 200);
        assert_eq!(silence.max(again), 502);
        assert_eq!(fakes[1].seen().len(), 4);
    }
}

#[test]
fn a_post_that_fails_at_one_server_is_taken_once_by_another() {
    for bad in [
        Act::Close,
        Act::Reset,
        answer(502, "no"),
        answer(503, "no"),
        Act::Last(b"junk\r\n\r\n".to_vec()),
    ] {
        let shown = format!("{bad:?}");
        let fakes = [Fake::new(move |_| bad.clone()), Fake::new(|_| ok("{}"))];
        let lb = Lb::over(&[&fakes[0], &fakes[1]]);
        let text = body(45_000);
        for n in 1..=4 {
            assert_eq!(lb.post("/api/v2/alerts", &text).status, 200, "{shown}");
            assert_eq!(fakes[1].seen().len(), n, "{shown}");
            assert_eq!(fakes[1].seen()[n - 1].body, text.as_bytes());
        }
        assert_ne!(lb.field("n1", "wredis"), "0");
    }
}

#[test]
fn a_frozen_server_costs_one_try() {
    let fakes = [Fake::new(|_| Act::Hang), Fake::new(|_| ok("{}"))];
    let mut config = config(&fakes.each_ref().map(|f| f.address));
    config.backends[0].alerts.try_timeout = Duration::from_millis(500);
    let lb = Lb::start(config);
    for _ in 0..2 {
        let began = Instant::now();
        assert_eq!(lb.post("/api/v1/alerts", "[]").status, 200);
        assert!(began.elapsed() < Duration::from_millis(1500), "{:?}", began.elapsed());
    }
    assert_eq!(fakes[1].seen().len(), 2);
}

#[test]
fn a_refusal_of_the_api_is_final() {
    let fakes = [Fake::new(|_| answer(400, "\"bad\"")), Fake::new(|_| answer(400, "\"bad\""))];
    let lb = Lb::over(&[&fakes[0], &fakes[1]]);
    let reply = lb.post("/api/v2/alerts", "[{}]");
    assert_eq!((reply.status, reply.body.as_str()), (400, "\"bad\""));
    assert_eq!(fakes.iter().map(|f| f.seen().len()).sum::<usize>(), 1);
}

#[test]
fn when_all_fail_the_last_answer_is_told() {
    let fakes = [Fake::new(|_| answer(503, "full")), Fake::new(|_| answer(503, "full"))];
    let lb = Lb::over(&[&fakes[0], &fakes[1]]);
    let reply = lb.post("/api/v2/alerts", "[]");
    assert_eq!((reply.status, reply.body.as_str()), (503, "full"));
    assert_eq!(fakes.iter().map(|f| f.seen().len()).sum::<usize>(), 4);
}

#[test]
fn nothing_is_repeated_after_the_sender_has_gone() {
    let fakes = [Fake::new(|_| Act::Hang), Fake::new(|_| Act::Hang)];
    let mut config = config(&fakes.each_ref().map(|f| f.address));
    config.backends[0].alerts.try_timeout = Duration::from_millis(300);
    let lb = Lb::start(config);
    let mut talk = lb.connect();
    talk.send("POST /api/v2/alerts HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\n[]");
    eventually("it is sent", || {
        (fakes.iter().map(|f| f.seen().len()).sum::<usize>() == 1).then_some(())
    });
    drop(talk);
    let line = lb.log(1)[0].clone();
    assert!(line.contains("/0 0/0 \"POST"), "{line}");
    assert_eq!(fakes.iter().map(|f| f.seen().len()).sum::<usize>(), 1);
}

#[test]
fn whoever_keeps_the_body_says_continue() {
    let fake = Fake::new(|_| ok("{}"));
    let lb = Lb::over(&[&fake]);
    let mut talk = lb.connect();
    talk.send(
        "POST /api/v2/alerts HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    assert_eq!(talk.reply(false).status, 100);
    talk.send("1\r\n[\r\n1\r\n]\r\n0\r\n\r\n");
    assert_eq!(talk.reply(false).status, 200);
    let seen = &fake.seen()[0];
    assert_eq!((seen.body.as_slice(), seen.values("content-length")), (&b"[]"[..], vec!["2"]));
    assert!(seen.values("expect").is_empty() && seen.values("transfer-encoding").is_empty());
}

#[test]
fn without_memory_a_body_is_streamed_not_refused() {
    let fake = Fake::new(|_| ok("{}"));
    let mut config = config(&[fake.address]);
    config.backends[0].alerts.memory = 1000;
    config.frontends[0].limits.body_bytes = 100_000;
    let lb = Lb::start(config);
    let text = body(50_000);
    assert_eq!(lb.post("/api/v2/alerts", &text).status, 200);
    assert_eq!(fake.seen()[0].body, text.as_bytes());
    let mut talk = lb.connect();
    talk.send("POST /api/v2/alerts HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n");
    for _ in 0..50 {
        talk.send(&format!("3e8\r\n{}\r\n", "y".repeat(1000)));
    }
    talk.send("0\r\n\r\n");
    assert_eq!(talk.reply(false).status, 200);
    assert_eq!(fake.seen()[1].body.len(), 50_000);
    assert_eq!(lb.post("/api/v2/alerts", &body(200_000)).status, 413);
    assert_eq!(fake.seen().len(), 2);
}

#[test]
fn foreign_nodes_all_get_every_post_and_the_best_answer_is_told() {
    let fakes = [
        Fake::new(|_| answer(500, "ill")),
        Fake::new(|_| answer(202, "fine")),
        Fake::new(|_| Act::Hang),
        Fake::new(|_| Act::Close),
    ];
    let mut config = config(&fakes.each_ref().map(|f| f.address));
    config.backends[0].alerts.mode = AlertMode::Fanout;
    let lb = Lb::start(config);
    let mut talk = lb.connect();
    for n in 1..=2 {
        let began = Instant::now();
        let reply =
            talk.ask("POST /api/v2/alerts HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\n[]");
        assert_eq!((reply.status, reply.body.as_str()), (202, "fine"));
        assert!((900..1900).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
        assert_eq!(fakes[1].seen()[n - 1].values("x-forwarded-for"), ["127.0.0.1"]);
    }
    assert_eq!(fakes.each_ref().map(|f| f.seen().len()), [2, 2, 2, 2]);
    assert!(lb.log(2)[0].contains("alertmanager_backend/n2 "), "{:?}", lb.log(2));
}

#[test]
fn without_success_a_400_is_told_before_a_failure() {
    let fakes = [Fake::new(|_| answer(500, "ill")), Fake::new(|_| answer(400, "bad"))];
    let mut config = config(&fakes.each_ref().map(|f| f.address));
    config.backends[0].alerts.mode = AlertMode::Fanout;
    let lb = Lb::start(config);
    assert_eq!(lb.post("/api/v2/alerts", "[]").body, "bad");
    let dead = [Fake::new(|_| Act::Close), Fake::new(|_| answer(500, "ill"))];
    let mut config = crate::harness::config(&dead.each_ref().map(|f| f.address));
    config.backends[0].alerts.mode = AlertMode::Fanout;
    assert_eq!(Lb::start(config).post("/api/v2/alerts", "[]").status, 502);
}

#[test]
fn nodes_of_one_whole_cluster_get_a_post_once() {
    let fakes = [Fake::new(|_| ok("{}")), Fake::new(|_| ok("{}"))];
    let mut config = config(&fakes.each_ref().map(|f| f.address));
    config.backends[0].alerts.mode = AlertMode::Auto;
    config.backends[0].check.interval = Duration::from_millis(200);
    let tell = |text: &str| {
        for fake in &fakes {
            *fake.check_header.lock().unwrap() = format!("Tocsin-Cluster: {text}\r\n");
        }
    };
    tell("live=2 known=2");
    let lb = Lb::start(config);
    let got = || fakes.each_ref().map(|f| f.seen().len()).iter().sum::<usize>();
    let cost = |lb: &Lb| {
        let before = got();
        assert_eq!(lb.post("/api/v2/alerts", "[]").status, 200);
        got() - before
    };
    eventually("one copy is enough", || (cost(&lb) == 1).then_some(()));
    tell("live=1 known=2");
    eventually("a split cluster gets it everywhere", || (cost(&lb) == 2).then_some(()));
}

#[test]
fn servers_that_are_no_alert_nodes_get_a_post_once() {
    let fakes = [Fake::new(|_| ok("{}")), Fake::new(|_| ok("{}"))];
    let node = "{\"versionInfo\":{\"version\":\"0.25.0\"},\"config\":{\"original\":\"x\"}}";
    *fakes[0].status.lock().unwrap() = ok("a page");
    *fakes[1].status.lock().unwrap() = ok("a page");
    let mut config = config(&fakes.each_ref().map(|f| f.address));
    config.backends[0].alerts.mode = AlertMode::Auto;
    let got = || fakes.each_ref().map(|f| f.seen().len()).iter().sum::<usize>();
    let cost = |lb: &Lb| {
        let before = got();
        assert_eq!(lb.post("/api/v2/alerts", "[]").status, 200);
        got() - before
    };
    let lb = Lb::start(config.clone());
    eventually("one copy is enough", || (cost(&lb) == 1).then_some(()));
    drop(lb);
    *fakes[1].status.lock().unwrap() = ok(node);
    let lb = Lb::start(config);
    eventually("it is known", || {
        lb.page("/metrics").body.contains("version=\"0.25.0\"").then_some(())
    });
    assert_eq!(cost(&lb), 2);
}

#[test]
fn the_watchdog_calls_when_no_alerts_come() {
    let (node, called) = (Fake::new(|_| ok("{}")), Fake::new(|_| ok("noted")));
    let mut config = config(&[node.address]);
    let url = format!("http://{}/dead?x", called.address);
    config.global.watchdog =
        Some(tocsin_lb::config::Watchdog { after: Duration::from_secs(1), url });
    let lb = Lb::start(config);
    eventually("it is called", || (!called.seen().is_empty()).then_some(()));
    let seen = &called.seen()[0];
    assert_eq!(seen.line(), "POST /dead?x HTTP/1.1");
    let body = String::from_utf8(seen.body.clone()).unwrap();
    assert!(body.starts_with("{\"reason\":\"no alerts were posted\",\"at\":\""), "{body}");
    assert!(lb.page("/api/v1/events").body.contains("no alerts were posted"));
}
