//! Clients that are slow, silent, malformed, or leave.

use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use super::stage::{get, served};
use super::{play, scenario};
use crate::harness::*;

#[test]
fn clients_are_treated_as_by_haproxy() {
    play(&[
        scenario("a header that does not come in time is 408", |stage| {
            let mut talk = stage.connect();
            talk.send("GET / HTTP/1.1\r\nHost: t\r\n");
            if !stage.fault {
                talk.send("\r\n");
            }
            let reply = talk.reply(false);
            stage.note(&mut talk, &reply);
            stage.note_log(1);
            stage.note_fields("FRONTEND", &["ereq", "req_tot", "hrsp_4xx"]);
        })
        .file(&[("timeout http-request 10s", "timeout http-request 300ms")]),
        scenario("bytes that trickle in do not extend the time for a header", |stage| {
            let mut talk = stage.connect();
            let mut pieces =
                "GET / HTTP/1.1\r\nHost: t\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n".split_inclusive(' ');
            talk.stream.set_nodelay(true).unwrap();
            talk.stream.set_read_timeout(Some(Duration::from_millis(250))).unwrap();
            let mut reply = Reply::default();
            while reply.status == 0 {
                // The pause between two pieces is the wait for an answer.
                if let Some(piece) = pieces.next() {
                    talk.send(piece);
                }
                reply = talk.reply(false);
            }
            talk.stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stage.note(&mut talk, &reply);
        })
        .file(&[("timeout http-request 10s", "timeout http-request 400ms")])
        .twin(&[]),
        scenario("a client that says nothing is closed, and not logged", |stage| {
            let mut talk = stage.connect();
            if !stage.fault {
                talk.send(&get("/spoken"));
            }
            let reply = talk.reply(false);
            stage.note(&mut talk, &reply);
            stage.quiet("/later");
            stage.note_log(if stage.fault { 1 } else { 2 });
        })
        .file(&[("timeout http-request 10s", "timeout http-request 300ms")]),
        scenario("a probe without a byte is not logged", |stage| {
            let mut probe = stage.connect();
            if !stage.fault {
                probe.send("GET");
            }
            drop(probe);
            eventually("it is counted", || {
                (stage.field("FRONTEND", "conn_tot") == "1").then_some(())
            });
            eventually("it is gone", || (stage.field("FRONTEND", "scur") == "0").then_some(()));
            stage.quiet("/later");
            let lines = stage.access(if stage.fault { 1 } else { 2 });
            let mut lines: Vec<_> = lines.iter().map(|l| super::stage::masked(l)).collect();
            lines.sort();
            lines.into_iter().for_each(|l| stage.fact(l));
        }),
        scenario("a probe is logged where nothing else is said", |stage| {
            let mut probe = stage.connect();
            if !stage.fault {
                probe.ask(&get("/"));
            }
            drop(probe);
            stage.note_log(1);
        })
        .file(&[("    option dontlognull\n", "")]),
        scenario("an idle connection is closed silently", |stage| {
            let mut talk = stage.connect();
            stage.ask_on(&mut talk, &get("/"));
            talk.stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
            let after = talk.reply(false);
            let closed = talk.stream.read_timeout().is_ok() && after.status == 0;
            stage.fact(format!("{} {closed}", after.status));
            let silent = matches!(std::io::Read::read(&mut talk.stream, &mut [0; 1]), Ok(0));
            stage.fact(format!("closed: {silent}"));
            stage.fact(format!("lines: {}", stage.access(1).len()));
        })
        .file(&[("timeout http-keep-alive 10s", "timeout http-keep-alive 300ms")])
        .twin(&[]),
        scenario("a body that does not come in time is 408", |stage| {
            let mut talk = stage.connect();
            talk.send("POST /x HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\nabc");
            if !stage.fault {
                talk.send("defghij");
            }
            let reply = talk.reply(false);
            stage.note(&mut talk, &reply);
            stage.note_log(1);
        })
        .file(&[
            ("timeout client 1m", "timeout client 400ms"),
            ("timeout server 1m", "timeout server 900ms"),
        ])
        .better(
            "504 own text, closed",
            "408 own text, closed",
            "who stalls in a body is told so; the server did nothing wrong",
        )
        .better(
            "alertmanager_frontend alertmanager_backend/alertmanager1 N/N/N/-1/N 504 - - sH-- retries=0 0/0 \"POST /x HTTP/1.1\"",
            "alertmanager_frontend alertmanager_backend/alertmanager1 N/N/N/-1/N 408 - - cD-- retries=0 0/0 \"POST /x HTTP/1.1\"",
            "the log names the client, who stalled",
        ),
        scenario("a client that stops reading is cut", |stage| {
            stage.act(1, |_| served(200, &"z".repeat(30_000_000)));
            let mut talk = stage.connect();
            talk.send(&get("/big"));
            if !stage.fault {
                let reply = talk.reply(false);
                stage.fact(format!("{} bytes", reply.body.len()));
            }
            let line = stage.access(1)[0].clone();
            stage.fact(if line.contains(" cD-- ") { "cD" } else { "--" });
        })
        .file(&[("timeout client 1m", "timeout client 1500ms")]),
        scenario("a client that leaves midway is noted", |stage| {
            stage.act(1, |_| served(200, &"z".repeat(30_000_000)));
            let mut talk = stage.connect();
            talk.send(&get("/big"));
            stage.wait_field("alertmanager1", "scur", "1");
            if stage.fault {
                drop(talk);
            } else {
                stage.fact(format!("{} bytes", talk.reply(false).body.len()));
            }
            let line = stage.access(1)[0].clone();
            stage.fact(if line.contains(" CD-- ") { "CD" } else { "--" });
            stage.wait_field("alertmanager1", "scur", "0");
            stage.note_fields("alertmanager1", &["cli_abrt", "srv_abrt", "eresp"]);
        }),
        scenario("a client that has half closed still gets its answer", |stage| {
            let mut talk = stage.connect();
            talk.send("GET / HTTP/1.1\r\nHost: t\r\n");
            if stage.fault {
                talk.send("\r\n");
            }
            talk.stream.shutdown(Shutdown::Write).unwrap();
            let reply = talk.reply(false);
            stage.fact(show_status(&reply));
            stage.fact(format!("closed: {}", talk.is_closed()));
            stage.note_log(1);
        }),
        scenario("a client that leaves in the middle of its header", |stage| {
            let mut talk = stage.connect();
            talk.send("GET / HTTP/1.1\r\nHost:");
            if !stage.fault {
                talk.send(" t\r\n\r\n");
                talk.reply(false);
            }
            drop(talk);
            stage.note_log(1);
            stage.note_fields("FRONTEND", &["ereq", "req_tot"]);
        }),
        scenario("a client that leaves in the middle of its body", |stage| {
            let mut talk = stage.connect();
            talk.send("POST /x HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\nabc");
            stage.wait_field("alertmanager1", "scur", "1");
            if !stage.fault {
                talk.send("defghij");
                talk.reply(false);
            }
            drop(talk);
            stage.note_log(1);
            stage.wait_field("alertmanager1", "scur", "0");
            stage.note_fields("alertmanager1", &["cli_abrt", "eresp"]);
        }),
        scenario("what is no request is 400", |stage| {
            stage.ask(if stage.fault {
                "SSH-2.0-OpenSSH_9\r\n\r\n"
            } else {
                "GET / HTTP/1.1\r\nHost: t\r\n\r\n"
            });
            stage.note_log(1);
            stage.note_counts();
            stage.note_fields("FRONTEND", &["ereq", "hrsp_4xx"]);
        }),
        scenario("control bytes in a header are 400", |stage| {
            let value = if stage.fault { "a\u{1}\0b" } else { "ab" };
            stage.ask(&format!("GET / HTTP/1.1\r\nHost: t\r\nX: {value}\r\n\r\n"));
            stage.note_counts();
        })
        .better("200 \"from 1\", kept", "400 own text, closed", "control bytes reach no server")
        .better(
            "requests at the servers: 1",
            "requests at the servers: 0",
            "control bytes reach no server",
        ),
        scenario("two different lengths are 400", |stage| {
            let second = if stage.fault { 4 } else { 3 };
            stage.ask(&format!(
                "POST /x HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\nContent-Length: {second}\r\n\r\nabc"
            ));
            stage.note_counts();
        }),
        scenario("a length beside chunks is refused", |stage| {
            let length = if stage.fault { "Content-Length: 8\r\n" } else { "" };
            stage.ask(&format!(
                "POST /x HTTP/1.1\r\nHost: t\r\n{length}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
            ));
            stage.note_counts();
        })
        .better(
            "200 \"from 1\", closed",
            "400 own text, closed",
            "two framings are refused, not chosen from",
        )
        .better(
            "requests at the servers: 1",
            "requests at the servers: 0",
            "two framings are refused, not chosen from",
        ),
        scenario("a folded line is not passed on", |stage| {
            let fold = if stage.fault { "X: a\r\n b\r\n" } else { "X: a b\r\n" };
            stage.ask(&format!("GET / HTTP/1.1\r\nHost: t\r\n{fold}\r\n"));
            stage.note_counts();
        })
        .better(
            "200 \"from 1\", kept",
            "400 own text, closed",
            "a folded line is refused, as RFC 9112 allows",
        )
        .better(
            "requests at the servers: 1",
            "requests at the servers: 0",
            "a folded line is refused, as RFC 9112 allows",
        ),
        scenario("bad chunks end the request", |stage| {
            let size = if stage.fault { "zz" } else { "3" };
            stage.ask(&format!(
                "POST /x HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n{size}\r\nabc\r\n0\r\n\r\n"
            ));
        }),
        scenario("two clients share no bytes", |stage| {
            let turn = Arc::new(AtomicUsize::new(0));
            let (now, fault) = (turn.clone(), stage.fault);
            stage.act(1, move |seen| {
                // The first answer comes last.
                if fault && seen.line().contains("/first") {
                    eventually("the second was answered", || (now.load(SeqCst) == 1).then_some(()));
                }
                served(200, seen.line())
            });
            let mut first = stage.connect();
            first.send(&get("/first"));
            if !stage.fault {
                stage.fact(first.reply(false).body);
            }
            stage.fact(stage.quiet("/second").body);
            turn.store(1, SeqCst);
            if stage.fault {
                stage.fact(first.reply(false).body);
            }
        }),
    ]);
}

fn show_status(reply: &Reply) -> String {
    super::stage::show(reply)
}
