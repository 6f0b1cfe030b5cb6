//! Servers that die, hang, answer nonsense, or take their time.

use std::time::Duration;

use super::stage::{post, served, served_bytes};
use super::{Stage, play, scenario};
use crate::harness::*;

/// A short time for a server, and no check while the scenario lasts.
const QUICK: &[super::Change] = &[("timeout server 1m", "timeout server 1500ms")];
/// Why fewer requests than at HAProxy have to be sent on.
const FEWER: &str = "a repeat takes no other request's turn, so fewer meet the dead server";
const QUICK_CONNECT: &[super::Change] = &[("timeout connect 10s", "timeout connect 300ms")];

/// Plays a POST, which neither balancer repeats, at a server that acts so.
fn posted(stage: &Stage, act: Act) {
    if stage.fault {
        stage.act(1, move |_| act.clone());
    }
    let mut talk = stage.connect();
    let reply = stage.ask_on(&mut talk, &post("/x", "abc"));
    stage.fact(format!("cut: {}", reply.body == "<cut>"));
    stage.note_log(1);
    stage.note_counts();
    stage.note_fields(
        "alertmanager1",
        &["econ", "eresp", "wretr", "wredis", "srv_abrt", "hrsp_5xx"],
    );
}

#[test]
fn failing_servers_are_met_as_by_haproxy() {
    play(&[
        scenario("a server that says nothing is 504", |stage| posted(stage, Act::Hang)).file(QUICK),
        scenario("a longer time waits for a slow server", |stage| {
            let mut talk = stage.connect();
            stage.act(1, |_| {
                std::thread::sleep(Duration::from_millis(500));
                served(200, "late")
            });
            stage.ask_on(&mut talk, &post("/x", "abc"));
            stage.note_log(1);
        })
        .twin(&[("timeout server 1m", "timeout server 100ms")]),
        scenario("a server that stalls midway is cut", |stage| {
            let head = b"HTTP/1.1 200 OK\r\nX-By: s\r\nContent-Length: 9\r\n\r\nabc";
            posted(stage, Act::Stall(head.to_vec()));
        })
        .file(QUICK),
        scenario("a server that dies midway cuts the answer", |stage| {
            let head = b"HTTP/1.1 200 OK\r\nX-By: s\r\nContent-Length: 9\r\n\r\nabc";
            posted(stage, Act::Last(head.to_vec()));
        }),
        scenario("a server that dies within a chunk cuts the answer", |stage| {
            let head = b"HTTP/1.1 200 OK\r\nX-By: s\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc";
            posted(stage, Act::Last(head.to_vec()));
        }),
        scenario("a server that dies within its header is 502", |stage| {
            posted(stage, Act::Last(b"HTTP/1.1 200 OK\r\nConte".to_vec()));
        }),
        scenario("a server that closes without a byte is 502", |stage| posted(stage, Act::Close)),
        scenario("a server that resets is 502", |stage| posted(stage, Act::Reset)).better(
            "alertmanager1: econ=0 eresp=2 wretr=0 wredis=0 srv_abrt=0 hrsp_5xx=0",
            "alertmanager1: econ=0 eresp=1 wretr=0 wredis=0 srv_abrt=0 hrsp_5xx=0",
            "one failed answer counts once",
        ),
        scenario("a server that half closes after its answer has answered", |stage| {
            posted(stage, Act::HalfClose(b"HTTP/1.1 200 OK\r\nX-By: s\r\n\r\nhalf".to_vec()));
        }),
        scenario("what is no answer is 502", |stage| {
            posted(stage, Act::Last(b"SSH-2.0-OpenSSH_9\r\n\r\n".to_vec()));
        }),
        scenario("two lengths in an answer are 502", |stage| {
            let head = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd";
            posted(stage, Act::Last(head.to_vec()));
        }),
        scenario("a 500 is passed on", |stage| posted(stage, served(500, "broken"))),
        scenario("a 503 of a server is passed on", |stage| posted(stage, served(503, "busy"))),
        scenario("a 400 of a server is passed on", |stage| posted(stage, served(400, "bad alert"))),
        scenario("an early answer to a body that still comes", |stage| {
            stage.act(1, |seen| match seen.line().contains("/early") {
                true => Act::Early(served_bytes(413, "too much")),
                false => served(200, "read"),
            });
            let path = if stage.fault { "/early" } else { "/x" };
            let mut talk = stage.connect();
            let half = "x".repeat(1000);
            talk.send(&format!(
                "POST {path} HTTP/1.1\r\nHost: t\r\nContent-Length: 2000\r\n\r\n{half}"
            ));
            if !stage.fault {
                talk.send(&half);
            }
            let reply = talk.reply(false);
            stage.fact(super::stage::show(&reply));
        }),
        scenario("a GET at a server that closes without a byte", |stage| {
            if stage.fault {
                stage.act(1, |_| Act::Close);
                stage.act(2, |_| Act::Close);
            }
            let failed = (0..6).filter(|_| stage.quiet("/").status != 200).count();
            stage.fact(format!("failed: {failed}"));
            stage.note_counts();
        })
        .servers(3)
        .better("failed: 4", "failed: 0", "a GET without an answer is asked elsewhere")
        .better(
            "requests at the servers: 2 2 2",
            "requests at the servers: 3 3 6",
            "a GET without an answer is asked elsewhere",
        ),
        scenario("an alert at a server that closes without a byte", |stage| {
            if stage.fault {
                stage.act(1, |_| Act::Close);
            }
            let alert = post("/api/v2/alerts", "[]");
            let failed = (0..6).filter(|_| stage.connect().ask(&alert).status != 200).count();
            stage.fact(format!("failed: {failed}"));
            stage.note_counts();
            stage.note_fields("alertmanager1", &["eresp"]);
        })
        .servers(3)
        .better("failed: 2", "failed: 0", "an alert is repeated while its sender waits")
        .better(
            "requests at the servers: 2 2 2",
            "requests at the servers: 6 6 6",
            "an alert goes to every server",
        )
        .better(
            "alertmanager1: eresp=2",
            "alertmanager1: eresp=6",
            "an alert goes to every server",
        ),
        scenario("a refused connection is tried elsewhere", |stage| {
            if stage.fault {
                stage.servers[0].kill();
            }
            let replies: Vec<_> =
                (0..4).map(|_| stage.connect().ask(&post("/x", "abc")).body).collect();
            let mut replies = replies;
            replies.sort();
            stage.fact(replies.join(", "));
            stage.note_fields("alertmanager1", &["wretr", "wredis", "econ", "eresp"]);
            let lines = stage.access(4);
            let again = lines.iter().filter(|l| l.contains("/+1 0/0 ")).count();
            stage.fact(format!("redispatched: {again}"));
        })
        .servers(2)
        .better(
            "alertmanager1: wretr=0 wredis=4 econ=0 eresp=0",
            "alertmanager1: wretr=0 wredis=2 econ=0 eresp=0",
            FEWER,
        )
        .better("redispatched: 4", "redispatched: 2", FEWER),
        scenario("without redispatch a refused connection is 503", |stage| {
            stage.servers[0].kill();
            let failed = (0..4).filter(|_| stage.quiet("/").status != 200).count();
            stage.fact(format!("failed: {failed}"));
            stage.note_fields("alertmanager1", &["wretr", "wredis", "econ"]);
        })
        .servers(2)
        .file(&[
            ("    option redispatch\n    retries 3\n", "    retries 1\n"),
            ("timeout connect 10s", "timeout connect 100ms"),
        ])
        .twin(&[("retries 3", "retries 1")])
        .better(
            "alertmanager1: wretr=0 wredis=4 econ=0",
            "alertmanager1: wretr=0 wredis=2 econ=0",
            FEWER,
        ),
        scenario("the only server is tried again after a while", |stage| {
            stage.servers[0].kill();
            std::thread::scope(|scope| {
                let asking = scope.spawn(|| stage.quiet("/").status);
                eventually("it was tried", || {
                    (stage.field("BACKEND", "stot") == "1").then_some(())
                });
                stage.servers[0].revive(|_| served(200, "again"));
                stage.fact(asking.join().unwrap().to_string());
            });
        })
        .file(QUICK_CONNECT)
        .twin(&[("retries 3", "retries 0")]),
        scenario("all refuse: 503 after all retries", |stage| {
            if stage.fault {
                stage.servers[0].kill();
            }
            stage.get("/");
            stage.note_log(1);
            stage.note_fields(
                "alertmanager1",
                &["econ", "wretr", "wredis", "eresp", "stot", "lbtot"],
            );
            stage.note_fields("BACKEND", &["econ", "wretr", "wredis", "hrsp_5xx"]);
        })
        .file(&[("timeout connect 10s", "timeout connect 50ms")]),
        scenario("a server that never accepts costs a redispatch", |stage| {
            let hole = stage.fault.then(|| black_hole(stage));
            let statuses: Vec<_> = (0..2).map(|_| stage.quiet("/").status.to_string()).collect();
            stage.fact(statuses.join(" "));
            stage.note_fields("alertmanager1", &["wredis", "econ"]);
            drop(hole);
        })
        .servers(2)
        .file(QUICK_CONNECT)
        .better("alertmanager1: wredis=2 econ=0", "alertmanager1: wredis=1 econ=0", FEWER),
        scenario("a server that never accepts, alone: 503", |stage| {
            let hole = stage.fault.then(|| black_hole(stage));
            stage.get("/");
            stage.note_log(1);
            stage.note_fields("alertmanager1", &["econ", "wretr"]);
            drop(hole);
        })
        .file(&[("timeout connect 10s", "timeout connect 100ms"), ("retries 3", "retries 1")]),
        scenario("a body survives a refused connection", |stage| {
            if stage.fault {
                stage.servers[0].kill();
            }
            let body = "b".repeat(200_000);
            (0..2).for_each(|_| drop(stage.connect().ask(&post("/x", &body))));
            let sizes =
                |n: usize| stage.servers[n].seen().iter().map(|s| s.body.len()).collect::<Vec<_>>();
            stage.fact(format!("{:?} {:?}", sizes(0), sizes(1)));
        })
        .servers(2),
        scenario("an answer of HTTP/1.0 is passed on", |stage| {
            let old = stage.fault;
            stage.act(1, move |_| match old {
                true => Act::Last(b"HTTP/1.0 200 OK\r\nX-By: s\r\n\r\nold".to_vec()),
                false => served(200, "new"),
            });
            stage.get("/");
        })
        .better(
            "200 \"old\", kept",
            "200 \"old\", closed",
            "an answer whose end nobody announced is not presented as whole",
        ),
    ]);
}

/// Server 1 as a listener whose backlog is full: it answers no further connection.
fn black_hole(stage: &Stage) -> (socket2::Socket, Vec<std::net::TcpStream>) {
    stage.servers[0].kill();
    let address = stage.servers[0].address;
    let hole = eventually("the port is free", || {
        let hole =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        hole.set_reuse_address(true).unwrap();
        hole.bind(&address.into()).ok()?;
        Some(hole)
    });
    hole.listen(0).unwrap();
    let connect =
        || std::net::TcpStream::connect_timeout(&address, Duration::from_millis(150)).ok();
    let fill = std::iter::from_fn(connect).take(8).collect();
    (hole, fill)
}
