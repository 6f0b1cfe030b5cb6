//! `retry_on`, `redispatch`, `maxqueue` and `on_marked_down`: what is repeated where, and what is given up.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use tocsin_lb::config::RetryOn;

use crate::harness::*;

fn started(fakes: &[&Fake], change: impl FnOnce(&mut tocsin_lb::config::BackendOptions)) -> Lb {
    let mut config = config(&fakes.iter().map(|f| f.address).collect::<Vec<_>>());
    change(&mut config.backends[0]);
    Lb::start(config)
}

fn put(lb: &Lb, size: usize) -> Reply {
    let body = "x".repeat(size);
    lb.ask(&format!("PUT /a HTTP/1.1\r\nHost: t\r\nContent-Length: {size}\r\n\r\n{body}"))
}

/// Two servers of which the first asked says `act`, the other 200 with the size of the body.
fn pair(act: Act) -> [Fake; 2] {
    let asked = count();
    [(); 2].map(|()| {
        let (asked, act) = (asked.clone(), act.clone());
        Fake::new(move |seen| match asked.fetch_add(1, SeqCst) {
            0 => act.clone(),
            _ => ok(&seen.body.len().to_string()),
        })
    })
}

#[test]
fn what_the_rule_names_is_asked_again_elsewhere_with_its_body() {
    let cases = [
        (answer(503, "busy"), RetryOn { statuses: vec![503], ..RetryOn::nothing() }),
        (
            Act::Last(b"nonsense\r\n\r\n".to_vec()),
            RetryOn { junk_response: true, ..RetryOn::nothing() },
        ),
        (
            Act::Last(b"HTTP/1.1 200 OK\r\nA".to_vec()),
            RetryOn { junk_response: true, ..RetryOn::nothing() },
        ),
        (Act::Hang, RetryOn { response_timeout: true, ..RetryOn::nothing() }),
        (Act::Close, RetryOn::all()),
    ];
    for (act, rule) in cases {
        let fakes = pair(act.clone());
        let lb = started(&fakes.each_ref(), |backend| {
            backend.retry_on = rule.clone();
            backend.timeouts.server = Duration::from_millis(500);
        });
        let reply = put(&lb, 5000);
        assert_eq!((reply.status, reply.body.as_str()), (200, "5000"), "{act:?}");
        assert_eq!(lb.field("BACKEND", "wredis"), "1", "{act:?}");
        assert!(lb.log(1)[0].contains("/+1 0/0 "), "{:?}", lb.log(1));
    }
}

#[test]
fn what_cannot_be_sent_twice_is_not() {
    let all = RetryOn { statuses: vec![503], ..RetryOn::all() };
    for (method, size) in [("POST", 10), ("PUT", 70_000)] {
        let fakes = pair(answer(503, "busy"));
        let lb = started(&fakes.each_ref(), |backend| backend.retry_on = all.clone());
        let reply = match method {
            "POST" => lb.post("/a", &"x".repeat(size)),
            _ => put(&lb, size),
        };
        assert_eq!((reply.status, reply.body.as_str()), (503, "busy"), "{method} {size}");
        let seen: Vec<_> = fakes.iter().flat_map(Fake::seen).collect();
        assert_eq!((seen.len(), seen[0].body.len()), (1, size));
    }
}

#[test]
fn the_last_answer_is_passed_on_when_all_attempts_are_spent() {
    let fakes = [(); 2].map(|()| Fake::new(|_| answer(503, "busy")));
    let lb = started(&fakes.each_ref(), |backend| {
        backend.retry_on.statuses = vec![503];
        backend.retries = 2;
    });
    let reply = lb.get("/");
    assert_eq!((reply.status, reply.body.as_str()), (503, "busy"));
    assert_eq!(fakes.iter().map(|f| f.seen().len()).sum::<usize>(), 3);
}

#[test]
fn malformed_answers_and_requests_are_shown() {
    let fake = Fake::new(|_| Act::Last(b"HTTX\x01/1.1 200\r\n\r\n".to_vec()));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let mut config = config(&[fake.address]);
    let socket = config.admin_socket.as_mut().unwrap();
    (socket.path, socket.given) = (path.clone(), true);
    let lb = Lb::start(config);
    assert_eq!(lb.get("/").status, 502);
    assert_eq!(lb.ask("GET / HTTP/1.1\r\nHost: t\r\nX : 1\r\n\r\n").status, 400);
    let text = say(&path, "show errors");
    assert!(
        text.contains("invalid response") && text.contains("HTTX\\x01/1.1 200\\r\\n"),
        "{text}"
    );
    assert!(text.contains("invalid request") && text.contains("X : 1\\r\\n"), "{text}");
    assert!(!say(&path, "show errors alertmanager_backend").contains("invalid request"));
}

#[test]
fn without_redispatch_a_request_stays_with_its_server() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let fake = Fake::new(|_| ok("x"));
    let mut config = config(&[gone, fake.address]);
    config.backends[0].redispatch = false;
    config.backends[0].retries = 1;
    config.backends[0].timeouts.connect = Duration::from_millis(100);
    config.backends[0].servers[0].check = false;
    let lb = Lb::start(config);
    let statuses = [lb.get("/").status, lb.get("/").status];
    assert!(statuses.contains(&503) && statuses.contains(&200), "{statuses:?}");
    assert_eq!((lb.field("n1", "wretr"), lb.field("n1", "wredis")), ("1".into(), "0".into()));
}

#[test]
fn a_stream_ends_with_its_server_if_so_configured() {
    let fake = Fake::new(|_| Act::Hang);
    let lb = started(&[&fake], |backend| {
        backend.check.interval = Duration::from_millis(100);
        backend.shut_when_down = true;
    });
    eventually("it is up", || (lb.field("n1", "status") == "UP").then_some(()));
    let mut talk = lb.connect();
    talk.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    eventually("it runs", || (lb.field("n1", "scur") == "1").then_some(()));
    fake.healthy.store(false, SeqCst);
    assert_eq!(talk.reply(false).status, 502);
    assert!(lb.log(1)[0].contains(" DH-- "), "{:?}", lb.log(1));
}

#[test]
fn a_server_may_be_checked_in_its_own_way() {
    let fakes = [(); 2].map(|()| Fake::new(|_| answer(404, "none")));
    let mut config = config(&fakes.each_ref().map(|f| f.address));
    let own = tocsin_lb::config::CheckOptions {
        path: "/other".to_owned(),
        ..config.backends[0].check.clone()
    };
    config.backends[0].servers[1].health = Some(own);
    let lb = Lb::start(config);
    eventually("one passes", || (lb.field("n1", "check_status") == "L7OK").then_some(()));
    eventually("the other fails", || (lb.field("n2", "check_status") == "L7STS").then_some(()));
}
