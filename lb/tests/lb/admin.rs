//! Changes at run time: the socket, the form, the API, and who may make them.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use tocsin_lb::config::{AdminMode, AdminSocket, Level};

use crate::harness::*;

struct Managed {
    lb: Lb,
    path: PathBuf,
    _fakes: Vec<Fake>,
    _directory: tempfile::TempDir,
}

fn managed(mode: AdminMode, level: Level) -> Managed {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("lb.sock");
    let fakes = vec![Fake::new(|_| ok("1")), Fake::new(|_| ok("2"))];
    let mut config = config(&fakes.iter().map(|f| f.address).collect::<Vec<_>>());
    config.stats.as_mut().unwrap().admin = mode;
    config.admin_socket =
        Some(AdminSocket { path: path.clone(), given: true, level, ..AdminSocket::default() });
    let lb = Lb::start(config);
    eventually("the socket is there", || path.exists().then_some(()));
    Managed { lb, path, _fakes: fakes, _directory: directory }
}

fn socket(path: &Path, commands: &str) -> String {
    let mut stream = UnixStream::connect(path).unwrap();
    stream.write_all(format!("{commands}\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn the_socket_answers_as_haproxys() {
    let m = managed(AdminMode::Token, Level::Admin);
    let say = |commands: &str| socket(&m.path, commands);
    assert_eq!(say("set server alertmanager_backend/nope state drain"), "No such server.\n\n");
    assert_eq!(say("set server nope/n1 state drain"), "No such backend.\n\n");
    assert_eq!(say("get weight alertmanager_backend/n1"), "1 (initial 1)\n\n");
    assert_eq!(say("set server alertmanager_backend/n1 state drain"), "\n");
    assert!(m.lb.field("n1", "status").starts_with("DRAIN"));
    assert_eq!(m.lb.get("/").body, "2");
    assert_eq!(m.lb.get("/").body, "2");
    assert_eq!(say("set server alertmanager_backend/n1 state maint;show cli level"), "\nadmin\n\n");
    assert_eq!(m.lb.field("n1", "status"), "MAINT");
    assert_eq!(say("enable server alertmanager_backend/n1"), "\n");
    assert_eq!(say("set weight alertmanager_backend/n1 50%"), "\n");
    assert_eq!(m.lb.field("n1", "weight"), "0");
    assert_eq!(
        say("set weight alertmanager_backend/n1 300"),
        "Absolute weight can only be between 0 and 256 inclusive.\n\n"
    );
    assert_eq!(say("set server alertmanager_backend/n1 weight 10"), "\n");
    assert!(
        say("set server alertmanager_backend/n1 addr 127.0.0.1")
            .starts_with("no need to change the addr, no need to change the port by")
    );
    assert!(
        say("set server alertmanager_backend/n1 addr 127.0.0.2 port 9")
            .starts_with("IP changed from '127.0.0.1' to '127.0.0.2', port changed from '")
    );
    assert!(say("show map").contains("not applicable"));
    assert!(say("nonsense").starts_with("Unknown command."));
    let info = say("show info");
    assert!(info.starts_with("Name: HAProxy\nVersion: 2.6.12-tocsin\n"), "{info}");
    let stat = say("show stat -1 4 -1");
    assert_eq!(stat.lines().filter(|l| l.starts_with("alertmanager_backend,n")).count(), 2);
    assert!(!stat.contains("BACKEND"), "{stat}");
    assert!(say("show stat typed").contains("S.3.1.17.status.1:SGP:str:"));
    let state = say("show servers state");
    let row = state.lines().nth(2).unwrap();
    assert_eq!(row.split(' ').count(), 25, "{row}");
    assert!(row.starts_with("3 alertmanager_backend 1 n1 127.0.0.2 "), "{row}");
    assert!(say("show events").contains("socket uid"));
}

#[test]
fn a_prompt_stays_and_levels_are_kept() {
    let m = managed(AdminMode::Token, Level::Operator);
    assert_eq!(
        socket(&m.path, "set server alertmanager_backend/n1 state maint"),
        "Permission denied\n\n"
    );
    assert_eq!(socket(&m.path, "clear counters"), "\n");
    assert_eq!(socket(&m.path, "show admin-token"), "Permission denied\n\n");
    assert_eq!(
        socket(&m.path, "prompt\nuser\nclear counters\nquit"),
        "\n> \n> Permission denied\n\n> \n"
    );
}

#[test]
fn servers_come_and_go_and_sessions_end() {
    let m = managed(AdminMode::Token, Level::Admin);
    let say = |commands: &str| socket(&m.path, commands);
    let extra = Fake::new(|_| ok("3"));
    let add = format!("add server alertmanager_backend/x {} check weight 2", extra.address);
    assert_eq!(say(&add), "New server registered.\n\n");
    assert_eq!(m.lb.field("x", "status"), "MAINT");
    assert_eq!(say("enable server alertmanager_backend/x"), "\n");
    eventually("it is checked", || (m.lb.field("x", "status") == "UP").then_some(()));
    eventually("it serves", || (m.lb.get("/").body == "3").then_some(()));
    assert!(say("del server alertmanager_backend/x").starts_with("Only servers in maintenance"));
    assert_eq!(say("disable server alertmanager_backend/x"), "\n");
    eventually("it is idle and goes", || {
        (say("del server alertmanager_backend/x") == "Server deleted.\n\n").then_some(())
    });
    assert_eq!(m.lb.get("/").status, 200);

    let hanging = Fake::new(|_| Act::Hang);
    say(&format!("add server alertmanager_backend/h {}", hanging.address));
    say(
        "enable server alertmanager_backend/h; disable server alertmanager_backend/n1; disable server alertmanager_backend/n2",
    );
    let mut talk = m.lb.connect();
    talk.send("GET /hang HTTP/1.1\r\nHost: t\r\n\r\n");
    eventually("it hangs", || (!hanging.seen().is_empty()).then_some(()));
    assert!(say("show sess").contains("srv=h "));
    assert_eq!(say("shutdown sessions server alertmanager_backend/h"), "\n");
    assert_eq!(talk.reply(false).status, 502);
    eventually("it is logged", || m.lb.whole_log().contains(" KD-- ").then_some(()));
}

#[test]
fn a_form_without_the_token_changes_nothing() {
    let m = managed(AdminMode::Token, Level::Admin);
    let form = "s=n1&action=drain&b=%233";
    let status = || m.lb.field("n1", "status");
    let before = eventually("it is up", || Some(status()).filter(|s| s == "UP"));
    let reply = m.lb.tell("POST /stats", "", form);
    assert_eq!((reply.status, reply.value("location")), (303, Some("/stats;st=DENY")));
    assert_eq!(status(), before);
    assert!(m.lb.page("/stats;st=DENY").body.contains("The change was refused"));
    let token = socket(&m.path, "show admin-token").trim().to_owned();
    let bearer = format!("Authorization: Bearer {token}\r\n");
    let foreign = m.lb.tell("POST /stats", &format!("{bearer}Origin: http://evil\r\n"), form);
    assert_eq!(foreign.value("location"), Some("/stats;st=DENY"));
    assert_eq!(m.lb.tell("POST /stats", &bearer, form).value("location"), Some("/stats;st=DONE"));
    assert!(status().starts_with("DRAIN"));
    assert_eq!(m.lb.tell("POST /stats", &bearer, form).value("location"), Some("/stats;st=NONE"));
    let bogus = m.lb.tell("POST /stats", &bearer, "s=n1&action=bogus&b=alertmanager_backend");
    assert_eq!(bogus.value("location"), Some("/stats;st=ERRP"));
    let last = "s=n2&action=maint&b=alertmanager_backend";
    assert_eq!(m.lb.tell("POST /stats", &bearer, last).value("location"), Some("/stats;st=DENY"));
    let forced = format!("{last}&force=1");
    assert_eq!(
        m.lb.tell("POST /stats", &bearer, &forced).value("location"),
        Some("/stats;st=DONE")
    );
}

#[test]
fn a_browser_signs_in_once_and_its_forms_carry_a_key() {
    let m = managed(AdminMode::Token, Level::Admin);
    let token = socket(&m.path, "show admin-token").trim().to_owned();
    let origin = "Origin: http://t\r\n";
    assert!(m.lb.page("/stats").body.contains("name=\"token\""));
    let wrong = m.lb.tell("POST /stats", origin, "token=wrong");
    assert_eq!(
        (wrong.value("location"), wrong.value("set-cookie")),
        (Some("/stats;st=DENY"), None)
    );
    let signed = m.lb.tell("POST /stats", origin, &format!("token={token}"));
    let cookie = signed.value("set-cookie").unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"));
    let cookie = format!("Cookie: a=b; {}\r\n{origin}", cookie.split(';').next().unwrap());
    let page = m.lb.tell("GET /stats", &cookie, "").body;
    let key = page.split("name=\"key\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    let form = "s=n1&action=maint&b=alertmanager_backend";
    assert_eq!(m.lb.tell("POST /stats", &cookie, form).value("location"), Some("/stats;st=DENY"));
    let form = format!("{form}&key={key}");
    assert_eq!(m.lb.tell("POST /stats", &cookie, &form).value("location"), Some("/stats;st=DONE"));
    assert_eq!(m.lb.field("n1", "status"), "MAINT");
}

#[test]
fn any_is_haproxys_and_off_is_off() {
    let any = managed(AdminMode::Any, Level::Admin);
    let form = "s=n1&s=n2&action=maint&b=alertmanager_backend";
    assert_eq!(any.lb.tell("POST /stats", "", form).value("location"), Some("/stats;st=DONE"));
    let foreign = any.lb.tell("POST /stats", "Origin: http://evil\r\n", form);
    assert_eq!(foreign.value("location"), Some("/stats;st=DENY"));
    assert!(any.lb.page("/stats").body.contains("Everybody who reaches this page"));
    let off = managed(AdminMode::Off, Level::Admin);
    assert_eq!(off.lb.tell("POST /stats", "", form).value("location"), Some("/stats;st=DENY"));
    assert!(!off.lb.page("/stats").body.contains("<form method=\"post\""));
}

#[test]
fn the_api_reads_for_all_and_writes_for_the_token() {
    let m = managed(AdminMode::Any, Level::Admin);
    let status = m.lb.page("/api/v1/status").body;
    assert!(
        status.contains("\"name\":\"n1\"") && status.contains("\"uptime_seconds\":"),
        "{status}"
    );
    let path = "/api/v1/backends/alertmanager_backend/servers/n1";
    assert_eq!(m.lb.tell(&format!("PATCH {path}"), "", "{\"weight\":7}").status, 401);
    let token = socket(&m.path, "show admin-token").trim().to_owned();
    let bearer = format!("Authorization: Bearer {token}\r\n");
    let patch = |body: &str| m.lb.tell(&format!("PATCH {path}"), &bearer, body).status;
    assert_eq!(patch("{\"weight\":7,\"state\":\"drain\"}"), 200);
    assert_eq!(patch("{\"wieght\":7}"), 400);
    assert_eq!(patch("{\"state\":\"gone\"}"), 400);
    let server = m.lb.page(path).body;
    assert!(server.contains("\"weight\":7") && server.contains("\"state\":\"drain\""), "{server}");
    assert_eq!(m.lb.page("/api/v1/nothing").status, 404);
    assert!(m.lb.page("/api/v1/events").body.contains("enters drain state"));
    let rows = m.lb.page("/stats;json").body;
    assert!(rows.starts_with("[[{\"objType\":\"Frontend\",\"proxyId\":2,\"id\":0,\"field\":{\"pos\":0,\"name\":\"pxname\"}"));
}

#[test]
fn limits_are_set_and_frontends_stopped() {
    let m = managed(AdminMode::Token, Level::Admin);
    let say = |commands: &str| socket(&m.path, commands);
    assert_eq!(say("set maxconn frontend alertmanager_frontend 7"), "\n");
    assert_eq!(m.lb.field("FRONTEND", "slim"), "7");
    assert_eq!(say("set maxconn global 9"), "\n");
    let info = say("show info");
    assert!(info.contains("\nMaxconn: 9\n") && info.contains("\nHard_maxconn: 4096\n"), "{info}");
    assert!(say("set maxconn global 5000").contains("out of range"));
    assert!(say("set maxconn frontend nope 1").contains("No such frontend."));
    assert_eq!(say("set rate-limit connections global 5"), "\n");
    assert!(say("show info").contains("\nConnRateLimit: 5\n"));
    let began = std::time::Instant::now();
    for _ in 0..10 {
        assert_eq!(m.lb.get("/").status, 200);
    }
    assert!(began.elapsed().as_millis() > 700, "{:?}", began.elapsed());
    assert_eq!(say("set rate-limit connections global 0"), "\n");
    assert_eq!(say("disable frontend alertmanager_frontend"), "\n");
    assert_eq!(m.lb.field("FRONTEND", "status"), "PAUSED");
    assert_eq!(say("enable frontend alertmanager_frontend"), "\n");
    let mut kept = m.lb.connect();
    let get = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";
    assert_eq!(kept.ask(get).status, 200);
    assert_eq!(say("shutdown frontend alertmanager_frontend"), "\n");
    assert_eq!(m.lb.field("FRONTEND", "status"), "STOP");
    eventually("nobody listens", || std::net::TcpStream::connect(m.lb.address).err());
    assert_eq!(kept.ask(get).status, 200);
    assert!(say("enable frontend alertmanager_frontend").contains("cannot enable"));
    assert!(say("show schema json").contains("objType"));
    let shown = say("show config");
    assert!(shown.contains("default_backend: \"alertmanager_backend\""), "{shown}");
    assert_eq!(m.lb.page("/api/v1/config").status, 401);
    let token = format!("Authorization: Bearer {}\r\n", say("show admin-token").trim());
    let config =
        Talk::to(m.lb.stats).ask(&format!("GET /api/v1/config HTTP/1.1\r\nHost: t\r\n{token}\r\n"));
    assert!(config.body.contains("\"default_backend\": \"alertmanager_backend\""));
    assert!(say("show peers").starts_with("# be_name srv_name version"));
    assert!(
        say("show env HOME").starts_with("HOME=") || say("show env HOME").contains("not found")
    );
}

#[test]
fn idle_and_bytes_are_measured() {
    let m = managed(AdminMode::Token, Level::User);
    let value = |name: &str| {
        let text = socket(&m.path, "show info");
        let line = text.lines().find(|l| l.starts_with(name)).unwrap().to_owned();
        line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()
    };
    eventually("bytes are counted", || {
        for _ in 0..20 {
            m.lb.get("/");
        }
        (value("BytesOutRate:") > 0).then_some(())
    });
    eventually("it has been idle", || (value("Idle_pct:") > 50).then_some(()));
}
