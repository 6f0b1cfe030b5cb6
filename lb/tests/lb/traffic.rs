//! Ordinary traffic: shares, headers, framing in both directions, keep-alive, pipelining.

use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use crate::harness::*;

fn echo() -> Fake {
    Fake::new(|seen| ok(&format!("{} {}", seen.line(), seen.body.len())))
}

#[test]
fn equal_servers_get_equal_shares() {
    let fakes = [echo(), echo(), echo()];
    let mut config = config(&fakes.each_ref().map(|f| f.address));
    config.global.threads = 2;
    let lb = Lb::start(config);
    let mut talk = lb.connect();
    for n in 0..300 {
        let reply =
            if n % 3 == 0 { lb.get("/x") } else { talk.ask("GET /x HTTP/1.1\r\nHost: t\r\n\r\n") };
        assert_eq!(reply.status, 200);
    }
    let counts = fakes.each_ref().map(|f| f.seen().len());
    assert_eq!(counts.iter().sum::<usize>(), 300);
    assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{counts:?}");
}

#[test]
fn the_request_goes_on_as_it_was_but_for_what_concerns_the_connection() {
    let fake = echo();
    let lb = Lb::over(&[&fake]);
    let reply = lb.ask(
        "GET /api?filter=a=\"b\"&x=%22 HTTP/1.1\r\nHost: h:1\r\nX-Forwarded-For: 9.9.9.9\r\n\
         Connection: keep-alive, X-Mine\r\nX-Mine: 1\r\nAccept: */*\r\nKeep-Alive: 5\r\n\r\n",
    );
    assert_eq!(reply.status, 200);
    let seen = &fake.seen()[0];
    assert_eq!(seen.line(), "GET /api?filter=a=%22b%22&x=%22 HTTP/1.1");
    assert_eq!(seen.values("x-forwarded-for"), ["9.9.9.9", "127.0.0.1"]);
    assert_eq!(seen.values("host"), ["h:1"]);
    assert_eq!(seen.values("accept"), ["*/*"]);
    for gone in ["connection", "x-mine", "keep-alive"] {
        assert!(seen.values(gone).is_empty(), "{gone}");
    }
}

#[test]
fn connections_are_used_again_on_both_sides() {
    let fake = echo();
    let lb = Lb::over(&[&fake]);
    let mut talk = lb.connect();
    for _ in 0..20 {
        let reply = talk.ask("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
        assert_eq!((reply.status, reply.value("connection")), (200, None));
    }
    let seen = fake.seen();
    assert!(seen.iter().all(|s| s.connection == seen[0].connection));
    assert_eq!(lb.field("n1", "reuse"), "19");
}

#[test]
fn server_close_uses_a_connection_a_request() {
    let fake = echo();
    let mut config = config(&[fake.address]);
    config.backends[0].keep_alive = false;
    let lb = Lb::start(config);
    let mut talk = lb.connect();
    for _ in 0..3 {
        assert_eq!(talk.ask("GET / HTTP/1.1\r\nHost: t\r\n\r\n").status, 200);
    }
    assert_eq!(fake.seen()[2].values("connection"), ["close"]);
    assert_eq!(lb.field("n1", "connect"), "3");
}

#[test]
fn pipelined_requests_are_all_answered_in_order() {
    let fake = echo();
    let lb = Lb::over(&[&fake]);
    let mut talk = lb.connect();
    talk.send(
        "GET /a HTTP/1.1\r\nHost: t\r\n\r\nPOST /b HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nxyz\
         GET /c?\"q\" HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n",
    );
    let bodies = [(); 3].map(|()| talk.reply(false).body);
    assert_eq!(bodies, ["GET /a HTTP/1.1 0", "POST /b HTTP/1.1 3", "GET /c?%22q%22 HTTP/1.1 0"]);
    assert_eq!(talk.rest(), "");
}

#[test]
fn chunked_bodies_pass_both_ways() {
    let fake = Fake::new(|seen| {
        let half = seen.body.len() / 2;
        let mut text = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for piece in [&seen.body[..half], &seen.body[half..]] {
            text.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            text.extend_from_slice(piece);
            text.extend_from_slice(b"\r\n");
        }
        text.extend_from_slice(b"0\r\n\r\n");
        Act::Answer(text)
    });
    let lb = Lb::over(&[&fake]);
    let body = "0123456789".repeat(30_000);
    let mut talk = lb.connect();
    talk.send("PUT /x HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n");
    for piece in body.as_bytes().chunks(70_001) {
        let text = std::str::from_utf8(piece).unwrap();
        talk.send(&format!("{:x}\r\n{text}\r\n", piece.len()));
    }
    talk.send("0\r\n\r\n");
    let reply = talk.reply(false);
    assert_eq!((reply.status, reply.value("transfer-encoding")), (200, Some("chunked")));
    assert!(reply.body == body, "{} bytes came back", reply.body.len());
    let old = lb.ask("GET /x HTTP/1.0\r\n\r\n");
    assert_eq!((old.status, old.value("connection")), (200, Some("close")));
}

#[test]
fn answers_without_a_body_have_none() {
    let fake = Fake::new(|seen| match seen.line().split(' ').nth(1) {
        Some("/304") => Act::Answer(b"HTTP/1.1 304 N\r\nETag: x\r\n\r\n".to_vec()),
        Some("/204") => Act::Answer(b"HTTP/1.1 204 N\r\n\r\n".to_vec()),
        _ => Act::Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n".to_vec()),
    });
    let lb = Lb::over(&[&fake]);
    let mut talk = lb.connect();
    for _ in 0..3 {
        let head = talk.ask("HEAD / HTTP/1.1\r\nHost: t\r\n\r\n");
        assert_eq!((head.status, head.value("content-length")), (200, Some("12")));
        for path in ["/204", "/304"] {
            let reply = talk.ask(&format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n"));
            assert!(matches!(reply.status, 204 | 304), "{reply:?}");
            assert_eq!(reply.value("content-length"), None);
        }
    }
}

#[test]
fn an_answer_that_ends_with_the_connection_is_whole() {
    let text = "x".repeat(200_000);
    let body = text.clone();
    let fake = Fake::new(move |_| {
        Act::Last(format!("HTTP/1.1 200 OK\r\nA: b\r\n\r\n{body}").into_bytes())
    });
    let lb = Lb::over(&[&fake]);
    let reply = lb.get("/");
    assert_eq!(reply.value("connection"), Some("close"));
    assert!(reply.body == text, "{}", reply.body.len());
}

#[test]
fn interim_answers_are_passed_on_and_expect_is_the_servers() {
    let fake = Fake::new(|_| {
        Act::Answer(
            b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\ny"
                .to_vec(),
        )
    });
    let lb = Lb::over(&[&fake]);
    let mut talk = lb.connect();
    talk.send("POST /s HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    assert_eq!(talk.reply(false).status, 100);
    talk.send("ab");
    let early = talk.reply(false);
    assert_eq!((early.status, early.value("link")), (103, Some("x")));
    assert_eq!(talk.reply(false).body, "y");
    assert_eq!(fake.seen()[0].body, b"ab");
}

#[test]
fn an_answer_before_the_body_reaches_the_client() {
    let fake = Fake::new(|_| {
        Act::Early(b"HTTP/1.1 413 No\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig".to_vec())
    });
    let lb = Lb::over(&[&fake]);
    let mut talk = lb.connect();
    talk.send("PUT /early HTTP/1.1\r\nHost: t\r\nContent-Length: 1000000\r\n\r\nfirst");
    let reply = talk.reply(false);
    assert_eq!((reply.status, reply.body.as_str()), (413, "big"));
    assert_eq!(reply.value("connection"), Some("close"));
}

#[test]
fn a_slow_header_gets_408_and_an_idle_client_nothing() {
    let fake = echo();
    let mut config = config(&[fake.address]);
    config.frontends[0].timeouts.http_request = Duration::from_millis(900);
    config.frontends[0].timeouts.http_keep_alive = Duration::from_millis(500);
    let lb = Lb::start(config);
    let began = Instant::now();
    let mut slow = lb.connect();
    let mut writer = slow.stream.try_clone().unwrap();
    let dripping = std::thread::spawn(move || {
        for byte in b"GET / HTTP/1.1\r\nHost: tttttttttttttttttttttttttttt" {
            if std::io::Write::write_all(&mut writer, &[*byte]).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    assert_eq!(slow.reply(false).status, 408);
    let took = began.elapsed();
    assert!((800..1800).contains(&took.as_millis()), "{took:?}");
    drop(slow);
    dripping.join().unwrap();
    let mut idle = lb.connect();
    assert_eq!(idle.ask("GET / HTTP/1.1\r\nHost: t\r\n\r\n").status, 200);
    assert_eq!(idle.rest(), "");
    let lines = lb.log(2);
    assert_eq!(lines.iter().filter(|l| l.contains(" cR-- ") && l.contains("<BADREQ>")).count(), 1);
    assert_eq!(lines.len(), 2, "{lines:?}");
}

#[test]
fn doubtful_requests_reach_no_server() {
    let fake = echo();
    let lb = Lb::over(&[&fake]);
    let bad = [
        "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: t\r\nX : y\r\n\r\n",
        "GET / HTTP/1.1\nHost: t\n\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: xchunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1, 2\r\n\r\nx",
        "GET /\u{7f} HTTP/1.1\r\nHost: t\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: t\r\n\r\n",
        "GET /\u{e9} HTTP/1.1\r\nHost: t\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: t\r\n\r\n",
        "GET / HTTP/1.1 \r\nHost: t\r\n\r\n",
        "GET /#x HTTP/1.1\r\nHost: t\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: t\r\nA: b\r\n c: d\r\n\r\n",
    ];
    for request in bad {
        let reply = lb.ask(request);
        assert_eq!((reply.status, reply.value("connection")), (400, Some("close")), "{request:?}");
    }
    assert_eq!(lb.ask("TRACE / HTTP/1.1\r\nHost: t\r\n\r\n").status, 405);
    let long = format!("GET /{} HTTP/1.1\r\nHost: t\r\n\r\n", "a".repeat(9000));
    assert_eq!(lb.ask(&long).status, 414);
    let large = format!("GET / HTTP/1.1\r\nHost: t\r\nX: {}\r\n\r\n", "a".repeat(17000));
    assert_eq!(lb.ask(&large).status, 431);
    let chunk = lb.ask("PUT / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
    assert_eq!(chunk.status, 400);
    assert!(fake.seen().is_empty(), "{:?}", fake.seen());
}

#[test]
fn drain_finishes_what_runs_and_closes_what_is_idle() {
    let gate = count();
    let opened = gate.clone();
    let fake = Fake::new(move |_| {
        eventually("the gate opens", || (opened.load(SeqCst) > 0).then_some(()));
        ok("done")
    });
    let lb = Lb::over(&[&fake]);
    let mut idle = lb.connect();
    gate.store(1, SeqCst);
    assert_eq!(idle.ask("GET / HTTP/1.1\r\nHost: t\r\n\r\n").status, 200);
    gate.store(0, SeqCst);
    let mut busy = lb.connect();
    busy.send("GET /slow HTTP/1.1\r\nHost: t\r\n\r\n");
    eventually("the request is there", || (lb.field("n1", "scur") == "1").then_some(()));
    lb.stop();
    assert_eq!(idle.rest(), "");
    assert!(!lb.has_ended());
    gate.store(1, SeqCst);
    let reply = busy.reply(false);
    assert_eq!((reply.body.as_str(), reply.value("connection")), ("done", Some("close")));
    eventually("it ends", || lb.has_ended().then_some(()));
}

#[test]
fn a_balancer_in_front_names_the_client_and_some_are_not_served() {
    let fake = echo();
    let mut config = config(&[fake.address]);
    config.frontends[0].proxy_from = vec!["127.0.0.0/8".parse().unwrap()];
    config.frontends[0].allow = vec!["192.0.2.0/24".parse().unwrap()];
    let lb = Lb::start(config);
    let get = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";
    let mut talk = lb.connect();
    talk.send("PROXY TCP4 192.0.2.7 ");
    std::thread::sleep(Duration::from_millis(60));
    assert_eq!(talk.ask(&format!("10.0.0.1 4444 9093\r\n{get}")).status, 200);
    assert_eq!(talk.ask(get).status, 200);
    assert_eq!(fake.seen()[1].values("x-forwarded-for"), ["192.0.2.7"]);
    assert!(lb.log(2)[0].starts_with("192.0.2.7:4444 "));
    assert_eq!(lb.ask(&format!("PROXY TCP4 198.51.100.1 10.0.0.1 1 9093\r\n{get}")).status, 403);
    assert_eq!(lb.ask(get).status, 0);
    assert_eq!(fake.seen().len(), 2);
}
