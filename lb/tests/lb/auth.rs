//! Users: of a frontend, of the stats page, and who may change state there.

use tocsin_lb::config::{AdminMode, BasicAuth, Config};
use tocsin_service::secret::Secret;

use crate::harness::*;

/// `ann:secret` and `ann:wrong` in base64.
const RIGHT: &str = "Authorization: Basic YW5uOnNlY3JldA==\r\n";
const WRONG: &str = "Authorization: Basic YW5uOndyb25n\r\n";

fn users() -> BasicAuth {
    let hash = tocsin_service::web::hash("secret").unwrap();
    let users = vec![("ann".to_owned(), Secret::new(hash))];
    BasicAuth { users_file: None, users, realm: "ops".to_owned() }
}

fn ask(lb: &Lb, fields: &str) -> Reply {
    lb.ask(&format!("GET /a HTTP/1.1\r\nHost: t\r\n{fields}\r\n"))
}

#[test]
fn a_frontend_serves_its_users_and_keeps_their_passwords() {
    let fake = Fake::new(|_| ok("x"));
    let mut config = config(&[fake.address]);
    config.frontends[0].basic_auth = Some(users());
    let lb = Lb::start(config);
    for fields in ["", WRONG, "Authorization: Bearer x\r\n", "Authorization: Basic !\r\n"] {
        let reply = ask(&lb, fields);
        assert_eq!(reply.status, 401, "{fields}");
        let challenge = reply.value("www-authenticate");
        assert_eq!(challenge, Some("Basic realm=\"ops\", charset=\"UTF-8\""));
    }
    let mut talk = lb.connect();
    for _ in 0..3 {
        let reply = talk.ask(&format!("GET /a HTTP/1.1\r\nHost: t\r\n{RIGHT}\r\n"));
        assert_eq!(reply.status, 200);
    }
    // A refusal leaves the connection open for the password.
    assert_eq!(talk.ask("GET /a HTTP/1.1\r\nHost: t\r\n\r\n").status, 401);
    assert_eq!(talk.ask(&format!("GET /a HTTP/1.1\r\nHost: t\r\n{RIGHT}\r\n")).status, 200);
    assert_eq!(fake.seen().len(), 4);
    assert!(fake.seen().iter().all(|seen| seen.values("authorization").is_empty()));
    assert_eq!(lb.field("FRONTEND", "dreq"), "5");
    assert!(
        lb.log(9)[0].contains("/<NOSRV> ") && lb.log(9)[0].contains(" 401 "),
        "{:?}",
        lb.log(9)
    );
}

#[test]
fn without_users_a_password_is_passed_on() {
    let fake = Fake::new(|_| ok("x"));
    let lb = Lb::over(&[&fake]);
    assert_eq!(ask(&lb, RIGHT).status, 200);
    assert_eq!(fake.seen()[0].values("authorization"), ["Basic YW5uOnNlY3JldA=="]);
}

fn with_page(fake: &Fake, change: impl FnOnce(&mut tocsin_lb::config::StatsOptions)) -> Lb {
    let mut config: Config = config(&[fake.address]);
    let stats = config.stats.as_mut().unwrap();
    stats.users = Some(users());
    change(stats);
    Lb::start(config)
}

#[test]
fn users_may_change_state_where_the_page_asks_for_them() {
    let fake = Fake::new(|_| ok("x"));
    let lb = with_page(&fake, |stats| stats.admin = AdminMode::Basic);
    let form = "b=alertmanager_backend&s=n1&action=drain&force=1";
    let post = |fields: &str| lb.tell("POST /stats", fields, form);
    assert_eq!(lb.page("/stats").status, 200);
    let reply = post(WRONG);
    assert_eq!((reply.status, lb.field("n1", "status").as_str()), (401, "UP"));
    assert!(reply.value("www-authenticate").is_some());
    let foreign = post(&format!("{RIGHT}Origin: http://evil.example\r\n"));
    assert_eq!(foreign.value("location"), Some("/stats;st=DENY"));
    assert_eq!(post(RIGHT).value("location"), Some("/stats;st=DONE"));
    assert!(lb.field("n1", "status").starts_with("DRAIN"));
    assert!(lb.page("/api/v1/events").body.contains("ann at 127.0.0.1"));
    let patch = "PATCH /api/v1/backends/alertmanager_backend/servers/n1";
    assert_eq!(lb.tell(patch, WRONG, "{\"state\":\"ready\"}").status, 401);
    assert_eq!(lb.tell(patch, RIGHT, "{\"state\":\"ready\"}").status, 200);
}

#[test]
fn the_whole_page_may_be_for_users_only() {
    let fake = Fake::new(|_| ok("x"));
    let lb = with_page(&fake, |stats| stats.users_only = true);
    for path in ["/stats", "/stats;csv", "/metrics", "/api/v1/status"] {
        assert_eq!(lb.page(path).status, 401, "{path}");
    }
    assert_eq!((lb.page("/-/healthy").status, lb.page("/-/ready").status), (200, 200));
    let page = Talk::to(lb.stats).ask(&format!("GET /stats HTTP/1.1\r\nHost: t\r\n{RIGHT}\r\n"));
    assert_eq!(page.status, 200);
}

#[test]
fn the_page_has_aliases_and_knows_its_names() {
    let fake = Fake::new(|_| ok("x"));
    let lb = with_page(&fake, |stats| {
        stats.users = None;
        stats.alias = vec!["/haproxy?stats".to_owned()];
        stats.hosts = vec!["t".to_owned()];
    });
    assert!(lb.page("/haproxy?stats").body.contains("<html"));
    assert!(lb.page("/haproxy?stats;csv").body.starts_with("# pxname,"));
    let other = Talk::to(lb.stats).ask("GET /stats HTTP/1.1\r\nHost: evil.example\r\n\r\n");
    assert_eq!(other.status, 403);
}
