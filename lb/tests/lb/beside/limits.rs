//! Limits and queues.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use super::stage::{get, served, show};
use super::{Change, Stage, play, scenario};
use crate::harness::*;

const ONE_AT_A_TIME: Change = ("203.0.113.10:9093 check", "203.0.113.10:9093 maxconn 1 check");

/// Server 1 answers once the latch is open, and counts who has come.
fn latched(stage: &Stage) -> (Arc<AtomicBool>, Arc<AtomicUsize>) {
    let (open, come) = (Arc::<AtomicBool>::default(), count());
    let (may, counted) = (open.clone(), come.clone());
    stage.act(1, move |_| {
        counted.fetch_add(1, SeqCst);
        eventually("the latch", || may.load(SeqCst).then_some(()));
        served(200, "let through")
    });
    (open, come)
}

fn wait_come(come: &AtomicUsize, n: usize) {
    eventually("requests at the server", || (come.load(SeqCst) >= n).then_some(()));
}

#[test]
fn limits_hold_as_haproxys() {
    play(&[
        scenario("a second request waits for its turn", |stage| {
            let (open, come) = latched(stage);
            let (mut one, mut two) = (stage.connect(), stage.connect());
            one.send(&get("/1"));
            wait_come(&come, 1);
            two.send(&get("/2"));
            stage.wait_field("BACKEND", "scur", "2");
            if stage.field("alertmanager1", "slim").is_empty() {
                wait_come(&come, 2);
            }
            stage.note_fields("alertmanager1", &["scur", "slim", "qlimit"]);
            stage.note_fields("BACKEND", &["qcur", "scur"]);
            stage.fact(format!("at the server: {}", come.load(SeqCst)));
            open.store(true, SeqCst);
            stage.fact(show(&one.reply(false)));
            stage.fact(show(&two.reply(false)));
            // Both at the server at once are logged in any order.
            let mut lines: Vec<_> =
                stage.access(2).iter().map(|l| super::stage::masked(l)).collect();
            lines.sort_by_key(|l| l.contains("\"GET /2"));
            lines.into_iter().for_each(|l| stage.fact(l));
            stage.note_fields("BACKEND", &["qcur", "qmax"]);
        })
        .file(&[ONE_AT_A_TIME])
        .twin(&[]),
        scenario("a wait that lasts too long is 503", |stage| {
            let (open, come) = latched(stage);
            let (mut one, mut two) = (stage.connect(), stage.connect());
            one.send(&get("/1"));
            wait_come(&come, 1);
            if !stage.fault {
                open.store(true, SeqCst);
            }
            let reply = two.ask(&get("/2"));
            stage.note(&mut two, &reply);
            open.store(true, SeqCst);
            stage.fact(show(&one.reply(false)));
            let mut lines: Vec<_> =
                stage.access(2).iter().map(|l| super::stage::masked(l)).collect();
            lines.sort_by_key(|l| l.contains("\"GET /2"));
            lines.into_iter().for_each(|l| stage.fact(l));
        })
        .file(&[ONE_AT_A_TIME, ("timeout queue 1m", "timeout queue 300ms")]),
        scenario("a full server hands its share to the others", |stage| {
            let (open, come) = latched(stage);
            let mut one = stage.connect();
            one.send(&get("/1"));
            if come.load(SeqCst) == 0 {
                // The first request may have gone to the other.
                eventually("a request somewhere", || {
                    (come.load(SeqCst) + stage.servers[1].seen().len() > 0).then_some(())
                });
            }
            let mut held = vec![one];
            while come.load(SeqCst) == 0 {
                held.push(stage.connect());
                held.last_mut().unwrap().send(&get("/1"));
                let before = stage.servers[1].seen().len();
                eventually("it came", || {
                    (come.load(SeqCst) > 0 || stage.servers[1].seen().len() > before).then_some(())
                });
            }
            let clients: Vec<_> = (0..4)
                .map(|_| {
                    let mut talk = stage.connect();
                    talk.send(&get("/n"));
                    talk
                })
                .collect();
            stage.wait_field("FRONTEND", "req_tot", &(4 + held.len()).to_string());
            eventually("all came somewhere", || {
                let served = stage.servers[1].seen().len();
                (served + come.load(SeqCst) >= 4 + held.len()).then_some(())
            });
            stage.fact(format!("at the full one: {}", come.load(SeqCst)));
            open.store(true, SeqCst);
            let answers: Vec<_> = clients.into_iter().map(|mut t| t.reply(false).status).collect();
            stage.fact(format!("{answers:?}"));
        })
        .servers(2)
        .file(&[ONE_AT_A_TIME])
        .twin(&[]),
        scenario("a frontend takes no more than its share of connections", |stage| {
            let (mut one, mut two) = (stage.connect(), stage.connect());
            // Both are being served: one that is idle would give way.
            let (open, come) = latched(stage);
            one.send(&get("/1"));
            two.send(&get("/2"));
            wait_come(&come, 2);
            let mut three = stage.connect();
            three.send(&get("/3"));
            if stage.field("FRONTEND", "slim") == "2" {
                three.stream.set_read_timeout(Some(std::time::Duration::from_millis(400))).unwrap();
                stage.fact(format!("the third: {}", three.reply(false).status));
                three.stream.set_read_timeout(Some(PATIENCE)).unwrap();
            } else {
                wait_come(&come, 3);
            }
            stage.fact(format!("at the server: {}", come.load(SeqCst)));
            stage.note_fields("FRONTEND", &["slim", "scur"]);
            open.store(true, SeqCst);
            stage.fact(show(&one.reply(false)));
            stage.fact(show(&two.reply(false)));
            drop((one, two));
            stage.fact(show(&three.reply(false)));
        })
        .file(&[(
            "frontend alertmanager_frontend\n",
            "frontend alertmanager_frontend\n    maxconn 2\n",
        )])
        .twin(&[]),
        scenario("a server's limit changes while it runs", |stage| {
            if stage.fault {
                stage.fact(stage.say("set maxconn server alertmanager_backend/alertmanager1 1"));
            }
            let (open, come) = latched(stage);
            let (mut one, mut two) = (stage.connect(), stage.connect());
            one.send(&get("/1"));
            wait_come(&come, 1);
            two.send(&get("/2"));
            stage.wait_field("BACKEND", "scur", "2");
            if !stage.fault {
                wait_come(&come, 2);
            }
            stage.fact(format!("at the server: {}", come.load(SeqCst)));
            open.store(true, SeqCst);
            stage.fact(show(&one.reply(false)));
            stage.fact(show(&two.reply(false)));
            stage.note_fields("alertmanager1", &["slim"]);
        }),
        scenario("fewest connections first", |stage| {
            let (open, come) = latched(stage);
            let mut held = vec![];
            // Until one request is held by the first server.
            while come.load(SeqCst) == 0 {
                let mut talk = stage.connect();
                talk.send(&get("/held"));
                held.push(talk);
                let n = held.len();
                eventually("it came", || {
                    (come.load(SeqCst) + stage.servers[1].seen().len() >= n).then_some(())
                });
                stage.wait_field("alertmanager2", "scur", "0");
            }
            let before = stage.servers[1].seen().len();
            for _ in 0..6 {
                let mut talk = stage.connect();
                talk.send(&get("/n"));
                held.push(talk);
                let n = held.len();
                eventually("it came", || {
                    (come.load(SeqCst) + stage.servers[1].seen().len() >= n).then_some(())
                });
                stage.wait_field("alertmanager2", "scur", "0");
            }
            stage.fact(format!(
                "all to the idle one: {}",
                stage.servers[1].seen().len() - before == 6
            ));
            open.store(true, SeqCst);
        })
        .servers(2)
        .file(&[("balance roundrobin", "balance leastconn")])
        .twin(&[]),
    ]);
}
