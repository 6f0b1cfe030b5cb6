//! The figures: exports, the page, `show info`, after the same traffic.

use super::stage::{get, post, served};
use super::{Stage, play, scenario};
use crate::harness::*;

/// Traffic of which every figure is the same wherever it runs.
fn traffic(stage: &Stage) {
    stage.act(1, |seen| match seen.line().split(' ').nth(1) {
        Some("/404") => served(404, "none"),
        Some("/500") => served(500, "broken"),
        Some("/302") => served(302, ""),
        _ => served(200, "12345"),
    });
    let mut talk = stage.connect();
    for path in ["/", "/404", "/500", "/302", "/"] {
        talk.ask(&get(path));
    }
    talk.ask(&post("/x", "abc"));
    drop(talk);
    stage.ask("nonsense\r\n\r\n");
    stage.wait_field("FRONTEND", "scur", "0");
    stage.wait_field("alertmanager1", "scur", "0");
}

/// Fields that depend on the time, the machine, or the length of own texts.
const LOOSE: &[&str] = &[
    "pid",
    "lastchg",
    "downtime",
    "rate",
    "rate_max",
    "req_rate",
    "req_rate_max",
    "conn_rate",
    "conn_rate_max",
    "check_duration",
    "lastsess",
    "qtime",
    "ctime",
    "rtime",
    "ttime",
    "qtime_max",
    "ctime_max",
    "rtime_max",
    "ttime_max",
    "addr",
    "bin",
    "bout",
    "check_status",
    "check_code",
    "last_chk",
    "check_desc",
    "status",
    "check_health",
    "sid",
    "iid",
    "chkfail",
    "smax",
    "need_conn_est",
    "used_conn_cur",
    "idle_conn_cur",
    "safe_conn_cur",
    "srv_icur",
    "src_ilim",
];

fn columns(text: &str) -> Vec<String> {
    let first = text.lines().next().unwrap_or_default().trim_start_matches("# ");
    first.split(',').map(str::to_owned).take_while(|name| name != "-").collect()
}

/// Notes every field that is not loose of every row but those of the stats page itself.
fn note_csv(stage: &Stage, text: &str) {
    let names = columns(text);
    stage.fact(names.join(","));
    for line in text.lines().skip(1).filter(|l| !l.is_empty() && !l.starts_with("stats,")) {
        let cells: Vec<_> = line.split(',').collect();
        let tight = names.iter().zip(&cells).filter(|(name, _)| !LOOSE.contains(&name.as_str()));
        for (name, cell) in tight {
            stage.fact(format!("{} {name}={cell}", cells[1]));
        }
    }
}

#[test]
fn figures_are_haproxys() {
    play(&[
        scenario("show stat after traffic", |stage| {
            if stage.fault {
                traffic(stage);
            }
            note_csv(stage, &stage.say("show stat"));
        }),
        scenario("the CSV of the page after traffic", |stage| {
            if stage.fault {
                traffic(stage);
            }
            let reply = Talk::to(stage.stats).ask(&get("/stats;csv;norefresh"));
            stage.fact(format!(
                "{} {:?}",
                reply.status,
                reply.value("content-type").map(|t| t.split(';').next().unwrap().to_owned())
            ));
            note_csv(stage, &reply.body);
        })
        .better(
            "BACKEND algo=",
            "BACKEND algo=roundrobin",
            "the page says how it balances without being asked to",
        ),
        scenario("bytes are counted", |stage| {
            let count = if stage.fault { 10 } else { 1 };
            let mut talk = stage.connect();
            (0..count).for_each(|_| drop(talk.ask(&post("/x", "abc"))));
            drop(talk);
            stage.wait_field("FRONTEND", "scur", "0");
            stage.note_fields("alertmanager1", &["bin"]);
        })
        .better("alertmanager1: bin=580", "alertmanager1: bin=510", "bytes are those of the wire")
        .better(
            "alertmanager1: bin=58",
            "alertmanager1: bin=51",
            "bytes are those of the wire",
        ),
        scenario("show servers state", |stage| {
            if stage.fault {
                stage.say("set server alertmanager_backend/alertmanager1 state drain");
                stage.say("set weight alertmanager_backend/alertmanager2 3");
                stage.say("set server alertmanager_backend/alertmanager3 state maint");
            }
            let text = stage.say("show servers state");
            for line in text.lines() {
                let mut words: Vec<_> = line.split(' ').collect();
                if words.len() > 20 && words[0] != "#" {
                    // Ids, ports, time, and what the checks have said so far.
                    for at in [0, 9, 10, 11, 12, 13, 18] {
                        words[at] = "N";
                    }
                }
                stage.fact(words.join(" "));
            }
        })
        .servers(3),
        scenario("show info names what tools ask for", |stage| {
            let text = stage.say(if stage.fault { "show info" } else { "show version" });
            for name in [
                "Name",
                "Version",
                "Release_date",
                "Nbthread",
                "Nbproc",
                "Process_num",
                "Pid",
                "Uptime",
                "Uptime_sec",
                "Ulimit-n",
                "Maxsock",
                "Maxconn",
                "Hard_maxconn",
                "CurrConns",
                "CumConns",
                "CumReq",
                "ConnRate",
                "MaxConnRate",
                "SessRate",
                "MaxSessRate",
                "Tasks",
                "Run_queue",
                "Idle_pct",
                "node",
                "Stopping",
                "Jobs",
                "Listeners",
                "DroppedLogs",
                "TotalBytesOut",
                "BytesOutRate",
                "Start_time_sec",
            ] {
                stage.fact(format!(
                    "{name}: {}",
                    text.lines().any(|l| l.starts_with(&format!("{name}: ")))
                ));
            }
            let maxconn = text.lines().find(|l| l.starts_with("Maxconn: ")).unwrap_or_default();
            stage.fact(maxconn);
        }),
        scenario("the page refreshes itself", |stage| {
            let reply = Talk::to(stage.stats).ask(&get("/stats"));
            stage.fact(format!("{} {:?}", reply.status, reply.value("refresh")));
            stage.fact(format!("{}", reply.body.contains("alertmanager1")));
            let reply = Talk::to(stage.stats).ask(&get("/stats;norefresh"));
            stage.fact(format!("{} {:?}", reply.status, reply.value("refresh")));
        })
        .twin(&[("    stats refresh 30s\n", "")]),
        scenario("the page hides what is down when asked", |stage| {
            stage.servers[0].healthy.store(false, std::sync::atomic::Ordering::SeqCst);
            stage.wait_field("alertmanager1", "status", "DOWN");
            let path = if stage.fault { "/stats;csv;up" } else { "/stats;csv" };
            let reply = Talk::to(stage.stats).ask(&get(path));
            stage.fact(format!("{}", reply.body.contains("alertmanager1")));
            stage.fact(format!("{}", reply.body.contains("alertmanager2")));
        })
        .servers(2)
        .file(&[("inter 10s", "inter 150ms")]),
        scenario("the page's port serves nothing else", |stage| {
            let path = if stage.fault { "/other" } else { "/stats" };
            stage.fact(Talk::to(stage.stats).ask(&get(path)).status.to_string());
        })
        .better(
            "503",
            "404",
            "a page that is not there is not a server that is not there",
        ),
    ]);
}
