//! Health checks: every way to fail, the states on the way, and what they do to traffic.

use super::stage::served;
use super::{Change, Stage, play, scenario};
use crate::harness::*;

const FAST: Change = ("inter 10s", "inter 150ms");

/// Slow enough for every state to be seen.
const SEEN: Change = ("inter 10s", "inter 600ms fastinter 600ms");

/// Makes server 1's checks act so until it is down, and notes what is told of it.
fn failing(stage: &Stage, act: Act) {
    if stage.fault {
        *stage.servers[0].check.lock().unwrap() = Some(act);
        stage.wait_field("alertmanager1", "status", "DOWN");
        stage.note_events(1);
    } else {
        stage.wait_field("alertmanager1", "check_status", "L7OK");
    }
    let fields =
        ["status", "check_status", "check_code", "last_chk", "check_desc", "chkdown", "act"];
    // The last check may be running; its star says no more than that.
    let text = stage.say("show stat");
    let row = fields.map(|f| {
        let value = super::stage::field_of(&text, "alertmanager1", f);
        format!("{f}={}", value.trim_start_matches("* "))
    });
    stage.fact(row.join(" "));
    stage.note_fields("BACKEND", &["status", "act", "bck", "chkdown", "weight"]);
    let replies: Vec<_> = (0..4).map(|_| stage.quiet("/").body).collect();
    stage.fact(format!("from 1: {}", replies.iter().filter(|b| *b == "from 1").count()));
}

#[test]
fn checks_judge_as_haproxys() {
    play(&[
        scenario("a check answered with 500", |stage| failing(stage, served(500, "ill")))
            .servers(2)
            .file(&[FAST]),
        scenario("a check answered with 204 is not 200", |stage| failing(stage, served(204, "")))
            .servers(2)
            .file(&[FAST]),
        scenario("without expect any 2xx and 3xx passes", |stage| {
            *stage.servers[0].check.lock().unwrap() = Some(served(302, ""));
            eventually("it was checked", || {
                Some(stage.field("alertmanager1", "check_code")).filter(|c| c.ends_with("302"))
            });
            let status = eventually("it is full or down", || {
                Some(stage.field("alertmanager1", "status")).filter(|s| s == "UP" || s == "DOWN")
            });
            stage.fact(status);
        })
        .file(&[FAST, ("    http-check expect status 200\n", "")])
        .twin(&[FAST]),
        scenario("a check without an answer", |stage| failing(stage, Act::Hang))
            .servers(2)
            .file(&[FAST, ("timeout check 10s", "timeout check 1s")]),
        scenario("a check that is closed without a byte", |stage| failing(stage, Act::Close))
        .servers(2)
        .file(&[FAST])
        .better(
            "Server alertmanager_backend/alertmanager1 is DOWN, reason: Layer7 invalid response, check duration: Nms. 1 active and 0 backup servers left. 0 sessions active, 0 requeued, 0 remaining in queue.",
            "Server alertmanager_backend/alertmanager1 is DOWN, reason: Layer7 invalid response, info: \"answer ends within its header\", check duration: Nms. 1 active and 0 backup servers left. 0 sessions active, 0 requeued, 0 remaining in queue.",
            "it is said what is wrong with the answer",
        )
        .better(
            "status=DOWN check_status=L7RSP check_code= last_chk= check_desc=Layer7 invalid response chkdown=1 act=1",
            "status=DOWN check_status=L7RSP check_code= last_chk=answer ends within its header check_desc=Layer7 invalid response chkdown=1 act=1",
            "it is said what is wrong with the answer",
        ),
        scenario("a check answered with nonsense", |stage| {
            failing(stage, Act::Last(b"SSH-2.0-OpenSSH_9\r\n\r\n".to_vec()));
        })
        .servers(2)
        .file(&[FAST])
        .better(
            "Server alertmanager_backend/alertmanager1 is DOWN, reason: Layer7 invalid response, check duration: Nms. 1 active and 0 backup servers left. 0 sessions active, 0 requeued, 0 remaining in queue.",
            "Server alertmanager_backend/alertmanager1 is DOWN, reason: Layer7 invalid response, info: \"not an HTTP answer\", check duration: Nms. 1 active and 0 backup servers left. 0 sessions active, 0 requeued, 0 remaining in queue.",
            "it is said what is wrong with the answer",
        )
        .better(
            "status=DOWN check_status=L7RSP check_code= last_chk= check_desc=Layer7 invalid response chkdown=1 act=1",
            "status=DOWN check_status=L7RSP check_code= last_chk=not an HTTP answer check_desc=Layer7 invalid response chkdown=1 act=1",
            "it is said what is wrong with the answer",
        ),
        scenario("a check that is refused", |stage| {
            if stage.fault {
                stage.servers[0].kill();
                stage.wait_field("alertmanager1", "status", "DOWN");
                stage.note_events(1);
            } else {
                stage.wait_field("alertmanager1", "check_status", "L7OK");
            }
            let last = stage.field("alertmanager1", "last_chk");
            stage.fact(last.trim_start_matches("* "));
            let status = stage.field("alertmanager1", "check_status");
            stage.fact(status.trim_start_matches("* "));
        })
        .servers(2)
        .file(&[FAST]),
        scenario("three failures bring it down, two passes up", |stage| {
            stage.wait_field("alertmanager1", "status", "UP");
            let mut states = vec![];
            let mut watch = |until: &str| {
                eventually(until, || {
                    let state = stage.field("alertmanager1", "status");
                    if states.last() != Some(&state) {
                        states.push(state.clone());
                    }
                    (state == until).then_some(())
                });
            };
            stage.servers[0].healthy.store(false, std::sync::atomic::Ordering::SeqCst);
            watch("DOWN");
            stage.servers[0].healthy.store(true, std::sync::atomic::Ordering::SeqCst);
            watch("UP");
            stage.fact(states.join(", "));
            stage.note_fields(
                "alertmanager1",
                &["chkdown", "check_rise", "check_fall", "check_health"],
            );
            stage.note_events(2);
        })
        .servers(2)
        .file(&[SEEN])
        .twin(&[SEEN, ("fall 3 rise 2", "fall 1 rise 1")]),
        scenario("a server that fell serves again after its checks", |stage| {
            stage.servers[0].healthy.store(!stage.fault, std::sync::atomic::Ordering::SeqCst);
            if stage.fault {
                stage.wait_field("alertmanager1", "status", "DOWN");
                stage.fact(format!("{}", stage.quiet("/").status));
                stage.servers[0].healthy.store(true, std::sync::atomic::Ordering::SeqCst);
            }
            stage.wait_field("alertmanager1", "status", "UP");
            stage.get("/");
        })
        .file(&[FAST]),
        scenario("with all down it is 503 at once", |stage| {
            stage.servers[0].healthy.store(!stage.fault, std::sync::atomic::Ordering::SeqCst);
            if stage.fault {
                stage.wait_field("alertmanager1", "status", "DOWN");
            }
            stage.get("/");
            stage.note_log(1);
            stage.note_fields("BACKEND", &["status", "hrsp_5xx", "econ", "stot", "lbtot"]);
        })
        .file(&[FAST]),
        scenario("a backup serves when no other is up", |stage| {
            if stage.fault {
                stage.servers[0].healthy.store(false, std::sync::atomic::Ordering::SeqCst);
                stage.wait_field("alertmanager1", "status", "DOWN");
            }
            (0..4).for_each(|_| drop(stage.quiet("/")));
            stage.note_counts();
            stage.note_fields("BACKEND", &["act", "bck", "status"]);
            stage.note_fields("alertmanager2", &["act", "bck"]);
        })
        .servers(2)
        .file(&[FAST, ("203.0.113.11:9093 check", "203.0.113.11:9093 backup check")]),
        scenario("a second backup waits for the first to fall", |stage| {
            stage.servers[0].healthy.store(false, std::sync::atomic::Ordering::SeqCst);
            stage.wait_field("alertmanager1", "status", "DOWN");
            (0..4).for_each(|_| drop(stage.quiet("/")));
            stage.note_counts();
        })
        .servers(3)
        .file(&[
            FAST,
            ("203.0.113.11:9093 check", "203.0.113.11:9093 backup check"),
            ("203.0.113.12:9093 check", "203.0.113.12:9093 backup check"),
        ])
        .twin(&[FAST, ("203.0.113.11:9093 check", "203.0.113.11:9093 backup check")]),
        scenario("a server without checks is never down", |stage| {
            stage.servers[0].healthy.store(false, std::sync::atomic::Ordering::SeqCst);
            stage.wait_field("alertmanager2", "status", "UP");
            let status = eventually("its state", || {
                let status = stage.field("alertmanager1", "status");
                (status == "DOWN" || status == "no check").then_some(status)
            });
            stage.fact(status);
            stage.note_fields("alertmanager1", &["check_status", "chkfail", "chkdown"]);
        })
        .servers(2)
        .file(&[("203.0.113.10:9093 check inter 10s fall 3 rise 2", "203.0.113.10:9093"), FAST])
        .twin(&[FAST]),
        scenario("a disabled server starts in maintenance", |stage| {
            (0..4).for_each(|_| drop(stage.quiet("/")));
            stage.note_counts();
            stage.note_fields("alertmanager1", &["status", "weight", "act"]);
            stage.note_fields("BACKEND", &["act", "weight"]);
        })
        .servers(2)
        .file(&[("203.0.113.10:9093 check", "203.0.113.10:9093 disabled check")])
        .twin(&[]),
    ]);
}
