//! Requests and answers of every shape, with servers that behave.

use super::stage::{get, post, served, served_bytes};
use super::{Scenario, Stage, play, scenario};
use crate::harness::*;

#[test]
fn traffic_is_as_behind_haproxy() {
    play(&[
        scenario("round robin is even", |stage| {
            (0..9).for_each(|_| drop(stage.quiet("/")));
            stage.note_counts();
        })
        .servers(3)
        .twin(&[("inter 10s fall 3 rise 2\n    server alertmanager2", "inter 10s weight 7\n    server alertmanager2")]),
        scenario("weights share requests", |stage| {
            (0..16).for_each(|_| drop(stage.quiet("/")));
            stage.note_counts();
        })
        .servers(2)
        .file(&[("203.0.113.10:9093 check", "203.0.113.10:9093 weight 3 check")])
        .twin(&[("203.0.113.10:9093 check", "203.0.113.10:9093 weight 1 check")]),
        scenario("a connection carries many requests", |stage| {
            let mut talk = stage.connect();
            let close = if stage.fault { "" } else { "Connection: close\r\n" };
            let request = format!("GET /a HTTP/1.1\r\nHost: t\r\n{close}\r\n");
            stage.ask_on(&mut talk, &request);
            stage.ask_on(&mut talk, &request);
            stage.fact(format!("connections: {}", stage.field("FRONTEND", "conn_tot")));
            stage.note_log(if stage.fault { 2 } else { 1 });
        }),
        scenario("HTTP/1.0 is kept when it asks", |stage| {
            let mut talk = stage.connect();
            let keep = if stage.fault { "Connection: keep-alive\r\n" } else { "" };
            let reply = talk.ask(&format!("GET /a HTTP/1.0\r\nHost: t\r\n{keep}\r\n"));
            let kept = reply.value("connection").map(str::to_lowercase);
            stage.fact(format!("{} {} {kept:?}", reply.status, reply.body));
            if stage.fault {
                stage.ask_on(&mut talk, &get("/b"));
            } else {
                stage.fact(format!("closed: {}", talk.is_closed()));
            }
            stage.note_log(if stage.fault { 2 } else { 1 });
        }),
        scenario("pipelined requests are answered in order", |stage| {
            stage.act(1, |seen| served(200, seen.line()));
            let mut talk = stage.connect();
            let close = if stage.fault { "" } else { "Connection: close\r\n" };
            talk.send(&format!(
                "GET /1 HTTP/1.1\r\nHost: t\r\n{close}\r\n{}{}",
                get("/2"),
                get("/3")
            ));
            for _ in 0..3 {
                let reply = talk.reply(false);
                stage.fact(format!("{} {}", reply.status, reply.body));
            }
            stage.note_log(if stage.fault { 3 } else { 1 });
        }),
        scenario("a HEAD has a length and no body", |stage| {
            stage.act(1, |seen| match seen.line().starts_with("HEAD") {
                true => Act::Answer(b"HTTP/1.1 200 OK\r\nX-By: s\r\nContent-Length: 5\r\n\r\n".to_vec()),
                false => served(200, "12345"),
            });
            let method = if stage.fault { "HEAD" } else { "GET" };
            let mut talk = stage.connect();
            let reply = stage.ask_on(&mut talk, &format!("{method} / HTTP/1.1\r\nHost: t\r\n\r\n"));
            stage.fact(format!("length {:?}", reply.value("content-length")));
            stage.ask_on(&mut talk, &get("/next"));
            stage.note_log(2);
        }),
        bodyless("a 204 has no body", "204 No Content"),
        bodyless("a 304 has no body", "304 Not Modified"),
        scenario("a chunked answer stays chunked", |stage| {
            stage.act(1, |_| {
                let head = "HTTP/1.1 200 OK\r\nX-By: s\r\nTransfer-Encoding: chunked\r\n\r\n";
                Act::Answer(format!("{head}3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n").into_bytes())
            });
            if !stage.fault {
                stage.act(1, |_| served(200, "abcdefg"));
            }
            let mut talk = stage.connect();
            let reply = stage.ask_on(&mut talk, &get("/"));
            stage.fact(format!("chunked {:?}", reply.value("transfer-encoding")));
            stage.ask_on(&mut talk, &get("/next"));
        }),
        scenario("a chunked answer for HTTP/1.0 ends with the connection", |stage| {
            stage.act(1, |_| {
                let head = "HTTP/1.1 200 OK\r\nX-By: s\r\nTransfer-Encoding: chunked\r\n\r\n";
                Act::Answer(format!("{head}3\r\nabc\r\n0\r\n\r\n").into_bytes())
            });
            let version = if stage.fault { "1.0" } else { "1.1" };
            let reply = stage.ask(&format!("GET / HTTP/{version}\r\nHost: t\r\n\r\n"));
            stage.fact(format!("chunked {:?}", reply.value("transfer-encoding")));
        })
        .better("chunked Some(\"chunked\")", "chunked None", "HTTP/1.0 knows no chunks"),
        scenario("a chunked request arrives whole", |stage| {
            let body = "3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n";
            let head = "POST /x HTTP/1.1\r\nHost: t\r\n";
            match stage.fault {
                true => stage.ask(&format!("{head}Transfer-Encoding: chunked\r\n\r\n{body}")),
                false => stage.ask(&post("/x", "abcdefg")),
            };
            stage.fact(String::from_utf8_lossy(&stage.servers[0].seen()[0].body));
            stage.note_got(1, "transfer-encoding");
            stage.note_got(1, "content-length");
        }),
        scenario("a 100 is asked of the server", |stage| {
            stage.act(1, |seen| match seen.line().contains("/early") {
                true => Act::Early(served_bytes(417, "no")),
                false => served(200, &String::from_utf8_lossy(&seen.body)),
            });
            let path = if stage.fault { "/x" } else { "/early" };
            let mut talk = stage.connect();
            talk.send(&format!(
                "POST {path} HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
            ));
            let first = talk.reply(false);
            stage.fact(format!("{}", first.status));
            if first.status == 100 {
                talk.send("abc");
                let last = talk.reply(false);
                stage.note(&mut talk, &last);
            }
            drop(talk);
            stage.note_log(1);
        })
        .better(
            "alertmanager_frontend alertmanager_backend/alertmanager1 N/N/N/N/N 417 - - CD-- retries=0 0/0 \"POST /early HTTP/1.1\"",
            "alertmanager_frontend alertmanager_backend/alertmanager1 N/N/N/N/N 417 - - ---- retries=0 0/0 \"POST /early HTTP/1.1\"",
            "who leaves after a whole answer has broken nothing off",
        ),
        scenario("a 103 is passed on", |stage| {
            let early = stage.fault;
            stage.act(1, move |_| {
                let hint = if early { "HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" } else { "" };
                Act::Answer([hint.as_bytes(), &served_bytes(200, "rest")].concat())
            });
            let mut talk = stage.connect();
            let first = talk.ask(&get("/"));
            stage.fact(format!("{} {:?}", first.status, first.value("link")));
            if first.status == 103 {
                let last = talk.reply(false);
                stage.note(&mut talk, &last);
            }
            stage.note_log(1);
        }),
        scenario("a header of 14 KB passes", |stage| {
            let size = if stage.fault { 14_000 } else { 17_000 };
            let big = "x".repeat(size);
            stage.ask(&format!("GET / HTTP/1.1\r\nHost: t\r\nX-Big: {big}\r\n\r\n"));
            stage.note_counts();
        })
        .better("400 own text, closed", "431 own text, closed", "a header that is too large is named so"),
        scenario("a body of 5 MB arrives whole", |stage| {
            let size = if stage.fault { 5 << 20 } else { 10 };
            stage.ask(&post("/x", &"y".repeat(size)));
            stage.fact(format!("{} bytes", stage.servers[0].seen()[0].body.len()));
            stage.note_log(1);
        }),
        scenario("an answer of 5 MB arrives whole", |stage| {
            let size = if stage.fault { 5 << 20 } else { 10 };
            stage.act(1, move |_| served(200, &"z".repeat(size)));
            let mut talk = stage.connect();
            stage.ask_on(&mut talk, &get("/"));
            stage.note_log(1);
        }),
        scenario("an answer that ends with the connection", |stage| {
            let sized = !stage.fault;
            stage.act(1, move |_| match sized {
                true => served(200, "to the end"),
                false => Act::Last(b"HTTP/1.1 200 OK\r\nX-By: s\r\n\r\nto the end".to_vec()),
            });
            stage.get("/");
            stage.note_log(1);
        }),
        scenario("the client's address is told to the server", |stage| {
            stage.ask("GET / HTTP/1.1\r\nHost: t\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n");
            stage.note_got(1, "x-forwarded-for");
            stage.note_got(1, "connection");
            stage.note_got(1, "host");
        })
        .twin(&[("    option forwardfor\n", "")]),
        scenario("with if-none an address that is there stays alone", |stage| {
            stage.ask("GET / HTTP/1.1\r\nHost: t\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n");
            stage.note_got(1, "x-forwarded-for");
        })
        .file(&[("option forwardfor", "option forwardfor if-none")])
        .twin(&[]),
        scenario("each request has a server connection of its own", |stage| {
            let mut talk = stage.connect();
            (0..3).for_each(|_| drop(talk.ask(&get("/"))));
            let seen = stage.servers[0].seen();
            let first = seen[0].connection;
            stage.fact(format!("{:?}", seen.iter().all(|s| s.connection == first)));
        })
        .twin(&[("option http-server-close", "option http-keep-alive")]),
        scenario("an absolute target is served", |stage| {
            let target = if stage.fault { "http://t/x" } else { "/x" };
            stage.ask(&format!("GET {target} HTTP/1.1\r\nHost: t\r\n\r\n"));
            stage.note_log(1);
        }),
        scenario("quotes and brackets in a target pass", |stage| {
            let target = if stage.fault { "/?filter=a=\"b\"{}|<>" } else { "/" };
            stage.ask(&format!("GET {target} HTTP/1.1\r\nHost: t\r\n\r\n"));
            stage.note_counts();
            stage.note_log(1);
        })
        .better(
            "alertmanager_frontend alertmanager_backend/alertmanager1 N/N/N/N/N 200 - - ---- retries=0 0/0 \"GET /?filter=a=#22b#22{}|<> HTTP/1.1\"",
            "alertmanager_frontend alertmanager_backend/alertmanager1 N/N/N/N/N 200 - - ---- retries=0 0/0 \"GET /?filter=a=%22b%22{}|%3C%3E HTTP/1.1\"",
            "the target is logged as the server gets it",
        ),
        scenario("a query and odd bytes arrive as sent", |stage| {
            let target = if stage.fault { "/a%2Fb//c;d?x=%7B&y=1+2" } else { "/a" };
            stage.ask(&format!("OPTIONS {target} HTTP/1.1\r\nHost: t\r\n\r\n"));
            let seen = stage.servers[0].seen();
            stage.fact(seen[0].line());
        }),
    ]);
}

fn bodyless(name: &'static str, status: &'static str) -> Scenario {
    // A function pointer carries nothing along, so the status stands in the path.
    fn play(stage: &Stage, status: &'static str) {
        let bodyless = stage.fault;
        stage.act(1, move |seen| match seen.line().contains("/none") && bodyless {
            true => Act::Answer(format!("HTTP/1.1 {status}\r\nX-By: s\r\n\r\n").into_bytes()),
            false => served(200, "body"),
        });
        let mut talk = stage.connect();
        stage.ask_on(&mut talk, &get("/none"));
        stage.ask_on(&mut talk, &get("/next"));
        stage.note_log(2);
    }
    match &status[..3] {
        "204" => scenario(name, |stage| play(stage, "204 No Content")),
        _ => scenario(name, |stage| play(stage, "304 Not Modified")),
    }
}
