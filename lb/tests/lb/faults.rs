//! Servers that die, hang, reset, or say nothing: what the client sees, and what is counted.

use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use crate::harness::*;

fn fast_checks(servers: &[std::net::SocketAddr]) -> tocsin_lb::Config {
    let mut config = config(servers);
    config.backends[0].check.interval = Duration::from_millis(200);
    config
}

#[test]
fn killing_a_server_under_load_fails_no_request() {
    let fakes = [Fake::new(|_| ok("1")), Fake::new(|_| ok("2")), Fake::new(|_| ok("3"))];
    let mut config = fast_checks(&fakes.each_ref().map(|f| f.address));
    config.global.threads = 2;
    let lb = Lb::start(config);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let mut talk = lb.connect();
                    let mut served = 0;
                    while !stop.load(SeqCst) {
                        let reply = talk.ask("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
                        assert_eq!(reply.status, 200, "after {served}");
                        served += 1;
                    }
                    served
                })
            })
            .collect();
        eventually("traffic", || (fakes[1].seen().len() > 50).then_some(()));
        fakes[1].kill();
        eventually("it is seen down", || (lb.field("n2", "status") == "DOWN").then_some(()));
        fakes[1].revive(|_| ok("again"));
        let before = fakes[1].seen().len();
        eventually("it serves again", || (fakes[1].seen().len() > before + 50).then_some(()));
        stop.store(true, SeqCst);
        let served: usize = clients.into_iter().map(|c| c.join().unwrap()).sum();
        assert!(served > 300, "{served}");
    });
    assert_ne!(lb.field("n2", "wredis"), "0");
    assert_eq!(lb.field("BACKEND", "hrsp_5xx"), "0");
}

#[test]
fn states_pass_in_haproxys_order() {
    let fake = Fake::new(|_| ok("x"));
    let mut config = config(&[fake.address]);
    config.backends[0].check.interval = Duration::from_millis(300);
    let lb = Lb::start(config);
    let mut states = vec![];
    let mut watch = |until: &str| {
        eventually(until, || {
            let state = lb.field("n1", "status");
            if states.last() != Some(&state) {
                states.push(state.clone());
            }
            (state == until).then_some(())
        });
    };
    watch("UP");
    fake.healthy.store(false, SeqCst);
    watch("DOWN");
    fake.healthy.store(true, SeqCst);
    watch("UP");
    let order = ["UP 1/3", "UP", "UP 2/3", "UP 1/3", "DOWN", "DOWN 1/2", "UP"];
    let order = if states[0] == "UP" { &order[1..] } else { &order[..] };
    assert_eq!(states, order);
    assert_eq!(lb.field("n1", "chkdown"), "1");
    assert_eq!(lb.field("n1", "check_code"), "200");
    let log = lb.whole_log();
    let down = "Server alertmanager_backend/n1 is DOWN, reason: Layer7 wrong status, code: 500, \
                info: \"X\", check duration: ";
    assert!(log.contains(down), "{log}");
    assert!(log.contains("backend alertmanager_backend has no server available!"), "{log}");
    assert!(log.contains("n1 is UP, reason: Layer7 check passed, code: 200, check duration: "));
}

#[test]
fn a_refusing_server_costs_a_redispatch_and_nobody_is_503() {
    let fake = Fake::new(|_| ok("x"));
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut config = config(&[gone, fake.address]);
    config.backends[0].check.init = tocsin_lb::config::InitialHealth::FullyUp;
    let lb = Lb::start(config);
    let began = Instant::now();
    for _ in 0..4 {
        assert_eq!(lb.post("/api/v2/silences", "{}").status, 200);
    }
    assert!(began.elapsed() < Duration::from_secs(1));
    assert_eq!(fake.seen().len(), 4);
    assert_ne!(lb.field("n1", "wredis"), "0");
    let line = lb.log(1)[0].clone();
    assert!(line.contains("alertmanager_backend/n2 ") && line.contains("/+1 0/0 \"POST"), "{line}");
    fake.kill();
    eventually("nobody is up", || (lb.get("/").status == 503).then_some(()));
}

#[test]
fn all_down_is_503_at_once() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let lb = Lb::start(fast_checks(&[gone]));
    eventually("it is down", || (lb.field("n1", "status") == "DOWN").then_some(()));
    let mut talk = lb.connect();
    let began = Instant::now();
    let reply = talk.ask("GET /api/v2/alerts HTTP/1.1\r\nHost: t\r\n\r\n");
    assert!(began.elapsed() < Duration::from_millis(500));
    assert_eq!((reply.status, reply.body.as_str()), (503, "\"no server is available\"\n"));
    assert_eq!(talk.ask("GET / HTTP/1.1\r\nHost: t\r\n\r\n").body, "no server is available\n");
    assert_eq!(lb.page("/-/ready").status, 503);
    let line = &lb.log(1)[0];
    let times = line.split(" alertmanager_backend/<NOSRV> 0/-1/-1/-1/").nth(1).unwrap();
    let (took_ms, rest) = times.split_once(' ').unwrap();
    assert!(took_ms.parse::<u32>().unwrap() < 100 && rest.starts_with("503 "), "{line}");
    assert!(line.contains(" - - SC-- 1/1/0/0/0 0/0 "), "{line}");
}

#[test]
fn a_black_hole_costs_less_than_three_seconds() {
    // A listener whose backlog is full answers no further connection.
    let hole = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    hole.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    hole.listen(0).unwrap();
    let address = hole.local_addr().unwrap().as_socket().unwrap();
    let fill: Vec<_> = (0..4)
        .filter_map(|_| {
            std::net::TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok()
        })
        .collect();
    let fake = Fake::new(|_| ok("x"));
    let lb = Lb::start(config(&[address, fake.address]));
    for ask in [|lb: &Lb| lb.get("/"), |lb: &Lb| lb.post("/api/v2/alerts", "[]")] {
        for _ in 0..2 {
            let began = Instant::now();
            assert_eq!(ask(&lb).status, 200);
            assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
        }
    }
    assert_ne!(lb.field("n1", "wredis"), "0");
    drop(fill);
}

#[test]
fn a_stale_pooled_connection_is_replaced() {
    let fake = Fake::new(|seen| if seen.line().contains("last") { Act::Close } else { ok("x") });
    let mut config = config(&[fake.address]);
    // A cut may hit a check, too.
    config.backends[0].check.init = tocsin_lb::config::InitialHealth::FullyUp;
    let lb = Lb::start(config);
    // The server closes in the instant the connection is used again: only the request tells.
    for path in ["/a", "/b", "/c"] {
        assert_eq!(lb.get(path).status, 200);
        fake.cut();
    }
    let reply = lb.ask("DELETE /x HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(reply.status, 200);
    assert_eq!(lb.field("n1", "eresp"), "0");
}

#[test]
fn what_was_sent_and_may_harm_is_not_repeated() {
    let fakes = [Fake::new(|_| Act::Close), Fake::new(|_| Act::Close)];
    let lb = Lb::over(&[&fakes[0], &fakes[1]]);
    let reply = lb.post("/api/v2/silences", "{\"x\":1}");
    assert_eq!(reply.status, 502);
    assert!(reply.body.contains("the silence may have been created"), "{}", reply.body);
    assert_eq!(fakes.iter().map(|f| f.seen().len()).sum::<usize>(), 1);
    let line = &lb.log(1)[0];
    assert!(line.contains(" 502 ") && line.contains(" SH-- "), "{line}");
}

#[test]
fn an_empty_answer_to_a_get_goes_elsewhere() {
    let fakes = [Fake::new(|_| Act::Close), Fake::new(|_| ok("x"))];
    let lb = Lb::over(&[&fakes[0], &fakes[1]]);
    for _ in 0..4 {
        assert_eq!(lb.get("/").status, 200);
    }
    assert_eq!(fakes[1].seen().len(), 4);
}

#[test]
fn a_silent_server_is_504_and_junk_is_502() {
    let fake = Fake::new(|seen| match seen.line().split(' ').nth(1) {
        Some("/hang") => Act::Hang,
        Some("/cut") => Act::Last(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc".to_vec()),
        Some("/half") => Act::Last(b"HTTP/1.1 200 OK\r\nConte".to_vec()),
        _ => Act::Last(b"SSH-2.0-OpenSSH\r\n\r\n".to_vec()),
    });
    let mut config = config(&[fake.address]);
    config.backends[0].timeouts.server = Duration::from_millis(400);
    let lb = Lb::start(config);
    assert_eq!(lb.get("/hang").status, 504);
    assert_eq!(lb.get("/junk").status, 502);
    assert_eq!(lb.get("/half").status, 502);
    assert_eq!(lb.get("/cut").body, "<cut>");
    let lines = lb.log(4);
    for (line, term) in lines.iter().zip([" 504 ", " 502 ", " 502 ", " 200 "]) {
        assert!(line.contains(term), "{line}");
    }
    for (line, term) in lines.iter().zip([" sH-- ", " PH-- ", " SH-- ", " SD-- "]) {
        assert!(line.contains(term), "{line}");
    }
    assert_eq!(lb.field("n1", "srv_abrt"), "1");
}

#[test]
fn a_client_that_leaves_is_noted_and_the_server_freed() {
    let fake = Fake::new(|_| {
        let body = "x".repeat(40_000_000);
        ok(&body)
    });
    let lb = Lb::over(&[&fake]);
    let mut talk = lb.connect();
    talk.send("GET /big HTTP/1.1\r\nHost: t\r\n\r\n");
    eventually("it runs", || (lb.field("n1", "scur") == "1").then_some(()));
    drop(talk);
    let line = lb.log(1)[0].clone();
    assert!(line.contains(" CD-- "), "{line}");
    assert_eq!(lb.field("n1", "scur"), "0");
    assert_eq!(lb.field("BACKEND", "cli_abrt"), "1");
}

#[test]
fn a_node_that_is_not_ready_gets_no_traffic_while_another_is() {
    let fakes = [Fake::new(|_| ok("1")), Fake::new(|_| ok("2"))];
    for fake in &fakes {
        *fake.check_header.lock().unwrap() = "Tocsin-Cluster: live=2 known=2\r\n".to_owned();
    }
    fakes[0].ready.store(false, SeqCst);
    let lb = Lb::start(fast_checks(&fakes.each_ref().map(|f| f.address)));
    eventually("its state is known", || (lb.field("n1", "tocsin_ready") == "0").then_some(()));
    let before = fakes[0].seen().len();
    (0..6).for_each(|_| assert_eq!(lb.get("/").body, "2"));
    assert_eq!(fakes[0].seen().len(), before);
    fakes[0].ready.store(true, SeqCst);
    eventually("it serves", || (lb.get("/").body == "1").then_some(()));
}
