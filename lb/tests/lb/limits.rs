//! Limits: a queue before full servers, clients that wait to be accepted.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use crate::harness::*;

/// A server that answers once the gate is open.
fn gated() -> (Fake, std::sync::Arc<std::sync::atomic::AtomicUsize>) {
    let gate = count();
    let opened = gate.clone();
    let fake = Fake::new(move |_| {
        eventually("the gate opens", || (opened.load(SeqCst) > 0).then_some(()));
        ok("done")
    });
    (fake, gate)
}

#[test]
fn requests_wait_for_a_full_server_and_are_served_in_turn() {
    let (fake, gate) = gated();
    let mut config = config(&[fake.address]);
    config.backends[0].servers[0].maxconn = 1;
    let lb = Lb::start(config);
    let get = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";
    let mut talks: Vec<_> = (1..=3)
        .map(|n| {
            let mut talk = lb.connect();
            talk.send(get);
            eventually("it is counted", || {
                (lb.field("BACKEND", "stot") == n.to_string()).then_some(())
            });
            talk
        })
        .collect();
    eventually("two wait", || (lb.field("BACKEND", "qcur") == "2").then_some(()));
    assert_eq!(lb.field("n1", "scur"), "1");
    gate.store(1, SeqCst);
    for talk in &mut talks {
        assert_eq!(talk.reply(false).body, "done");
    }
    assert_eq!(
        (lb.field("BACKEND", "qcur"), lb.field("BACKEND", "qmax")),
        ("0".into(), "2".into())
    );
    assert_eq!(lb.field("n1", "smax"), "1");
}

#[test]
fn a_wait_ends_in_time_or_with_the_client() {
    let (fake, gate) = gated();
    let mut config = config(&[fake.address]);
    config.backends[0].servers[0].maxconn = 1;
    config.backends[0].timeouts.queue = Duration::from_millis(300);
    let lb = Lb::start(config.clone());
    let get = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";
    let mut first = lb.connect();
    first.send(get);
    eventually("it runs", || (lb.field("n1", "scur") == "1").then_some(()));
    assert_eq!(lb.get("/").status, 503);
    assert!(lb.log(1)[0].contains(" sQ-- "), "{:?}", lb.log(1));
    gate.store(1, SeqCst);
    assert_eq!(first.reply(false).status, 200);
    gate.store(0, SeqCst);
    config.backends[0].timeouts.queue = Duration::from_secs(60);
    let lb = Lb::start(config);
    let mut first = lb.connect();
    first.send(get);
    eventually("it runs", || (lb.field("n1", "scur") == "1").then_some(()));
    let mut second = lb.connect();
    second.send(get);
    eventually("it waits", || (lb.field("BACKEND", "qcur") == "1").then_some(()));
    drop(second);
    eventually("it left", || (lb.field("BACKEND", "qcur") == "0").then_some(()));
    assert!(lb.log(1)[0].contains(" CQ-- "), "{:?}", lb.log(1));
    gate.store(1, SeqCst);
    assert_eq!(first.reply(false).status, 200);
}

#[test]
fn a_client_over_the_limit_is_accepted_when_another_leaves() {
    let fake = Fake::new(|_| ok("x"));
    let mut config = config(&[fake.address]);
    config.frontends[0].maxconn = 1;
    let lb = Lb::start(config);
    let get = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";
    let mut first = lb.connect();
    assert_eq!(first.ask(get).status, 200);
    let mut second = lb.connect();
    second.send(get);
    assert_eq!(first.ask(get).status, 200);
    assert_eq!(lb.field("FRONTEND", "smax"), "1");
    assert_eq!(fake.seen().len(), 2);
    drop(first);
    assert_eq!(second.reply(false).status, 200);
}

#[test]
fn clients_without_a_request_give_way_to_those_who_wait() {
    let fake = Fake::new(|_| ok("x"));
    let mut config = config(&[fake.address]);
    config.frontends[0].maxconn = 3;
    let lb = Lb::start(config);
    let get = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";
    let mut silent = lb.connect();
    let mut slow = lb.connect();
    slow.send("GET / HT");
    let mut kept = lb.connect();
    assert_eq!(kept.ask(get).status, 200);
    eventually("all places are taken", || (lb.field("FRONTEND", "scur") == "3").then_some(()));
    let began = std::time::Instant::now();
    assert_eq!(lb.get("/").status, 200);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(silent.rest(), "");
    assert!(slow.rest().starts_with("HTTP/1.1 503 "));
    let metrics = lb.page("/metrics").body;
    let line = metrics.lines().find(|l| l.starts_with("tocsin_lb_clients_let_go_total ")).unwrap();
    assert!(["2", "3"].contains(&line.rsplit(' ').next().unwrap()), "{line}");
    drop(kept);
    eventually("it is logged", || lb.whole_log().contains(" RR-- ").then_some(()));
}

#[test]
fn the_least_busy_server_is_chosen() {
    let (slow, gate) = gated();
    let fast = Fake::new(|_| ok("fast"));
    let mut config = config(&[slow.address, fast.address]);
    config.backends[0].balance = tocsin_lb::config::Balance::LeastConn;
    let lb = Lb::start(config);
    let mut held = lb.connect();
    held.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    eventually("it runs", || (lb.field("BACKEND", "stot") == "1").then_some(()));
    if lb.field("n1", "scur") == "1" {
        for _ in 0..5 {
            assert_eq!(lb.get("/").body, "fast");
        }
    }
    gate.store(1, SeqCst);
    assert_eq!(held.reply(false).status, 200);
}
