//! Programs that talk to an Alertmanager, with a node in its place: Debian's Prometheus as sender and scraper; the
//! requests of Grafana's Alertmanager data source and of karma, with the headers that they and the browsers behind them
//! send.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::http::{Answer, get, request};
use crate::harness::process::Process;
use crate::harness::tocsin::{firing, tocsin};
use crate::harness::{eventually, free_port, from_now};

const CONFIG: &str = "route: {receiver: nobody, group_by: [alertname], group_wait: 0s}\nreceivers: [{name: nobody}]\n";

/// `prometheus` may write, `scraper` may not; the password of both is `secret`.
const USERS: &str = "basic_auth_users:
  prometheus: $2b$04$EuYWkSc3zHrNVgvPQsyUj.bV.n0UFIiERoHi7KpHx4f6LX52lvh2.
  scraper: $2b$04$EuYWkSc3zHrNVgvPQsyUj.bV.n0UFIiERoHi7KpHx4f6LX52lvh2.
read_only_users: [scraper]
";
/// `scraper:secret`
const SCRAPER: (&str, &str) = ("Authorization", "Basic c2NyYXBlcjpzZWNyZXQ=");

type Headers<'a> = &'a [(&'a str, &'a str)];

/// What the data source's proxy makes of a request of Grafana's page.
const GRAFANA: Headers<'_> = &[
    ("User-Agent", "Grafana/11.6.0"),
    ("Accept", "application/json, text/plain, */*"),
    ("Accept-Encoding", "gzip, deflate"),
    ("Accept-Language", "en-GB,en;q=0.9"),
    ("X-Forwarded-For", "192.0.2.7"),
    ("X-Grafana-Org-Id", "1"),
    ("X-Grafana-Device-Id", "0f3c"),
    ("X-Grafana-Referer", "http://grafana.example:3000/alerting/silences"),
    ("Via", "1.1 grafana"),
];

/// karma's own client.
const KARMA: Headers<'_> =
    &[("User-Agent", "karma/v0.121"), ("Accept", "application/json"), ("Accept-Encoding", "gzip")];

/// What karma's proxy makes of a request of its page on plain HTTP: `Origin` stays, `Host` is the node's.
const KARMA_PAGE: Headers<'_> = &[
    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
    ("Accept", "*/*"),
    ("Origin", "http://karma.example:8080"),
    ("Referer", "http://karma.example:8080/"),
    ("X-Forwarded-For", "192.0.2.7"),
];

struct Node {
    port: u16,
    _process: Process,
    _directory: TempDir,
}

impl Node {
    /// A node on its own, when it is ready.
    fn start(web: &str, flags: &[&str]) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let here = directory.path();
        std::fs::write(here.join("alertmanager.yml"), CONFIG).expect("writable");
        std::fs::write(here.join("web.yml"), web).expect("writable");
        let port = free_port();
        let mut command = tocsin();
        command
            .current_dir(here)
            .args(["node", "--config.file=alertmanager.yml", "--storage.path=data"])
            .args(["--web.config.file=web.yml", "--cluster.listen-address="])
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .args(flags);
        let process = Process::start("node", &mut command);
        eventually("the node is ready", Duration::from_secs(60), || {
            let answer = request(port, "GET", "/-/ready", &[SCRAPER], "").ok()?;
            (answer.status == 200).then_some(())
        });
        Self { port, _process: process, _directory: directory }
    }

    #[track_caller]
    fn ask(&self, method: &str, path: &str, headers: Headers<'_>, body: &str) -> Answer {
        let mut headers = headers.to_vec();
        if !body.is_empty() {
            headers.push(("Content-Type", "application/json"));
        }
        request(self.port, method, path, &headers, body).expect("the node answers")
    }

    /// A JSON answer with 200.
    #[track_caller]
    fn read(&self, path: &str, headers: Headers<'_>) -> Value {
        let answer = self.ask("GET", path, headers, "");
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        assert_eq!(answer.header("Content-Type"), Some("application/json"), "{path}");
        answer.json()
    }

    #[track_caller]
    fn fire(&self, name: &str) {
        let answer = self.ask("POST", "/api/v2/alerts", &[], &json!([firing(name)]).to_string());
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
}

/// A silence as both pages post it.
fn silence(name: &str) -> String {
    json!({
        "matchers": [{"name": "alertname", "value": name, "isRegex": false, "isEqual": true}],
        "startsAt": from_now(0), "endsAt": from_now(7200),
        "createdBy": "ann", "comment": "replacing the disk",
    })
    .to_string()
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

/// All groups' alerts as (receiver, name, state).
fn shown(groups: &Value) -> Vec<(&str, &str, &str)> {
    let groups = groups.as_array().expect("a list");
    let alerts = groups.iter().flat_map(|group| {
        let receiver = group["receiver"]["name"].as_str().expect("a name");
        group["alerts"].as_array().expect("a list").iter().map(move |alert| (receiver, alert))
    });
    alerts
        .map(|(receiver, alert)| {
            (receiver, text(&alert["labels"]["alertname"]), text(&alert["status"]["state"]))
        })
        .collect()
}

/// A Prometheus that sends as one user and scrapes as the other; its port.
fn prometheus(node: u16, directory: &TempDir) -> (u16, Process) {
    let here = directory.path();
    let rules = "groups:\n- name: t\n  rules:\n  - {alert: Always, expr: vector(1), labels: {severity: critical}}\n";
    std::fs::write(here.join("rules.yml"), rules).expect("writable");
    let user = |name: &str| format!("basic_auth: {{username: {name}, password: secret}}");
    let target = format!("static_configs: [{{targets: ['127.0.0.1:{node}']}}]");
    let config = format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [rules.yml]\n\
         alerting: {{alertmanagers: [{{{}, {target}}}]}}\n\
         scrape_configs: [{{job_name: tocsin, {}, {target}}}]\n",
        user("prometheus"),
        user("scraper"),
    );
    std::fs::write(here.join("prometheus.yml"), config).expect("writable");
    let port = free_port();
    let mut command = Command::new("prometheus");
    command
        .current_dir(here)
        .args(["--config.file=prometheus.yml", "--storage.tsdb.path=tsdb"])
        .args([&format!("--web.listen-address=127.0.0.1:{port}"), "--rules.alert.resend-delay=1s"]);
    (port, Process::start("prometheus", &mut command))
}

/// The value of a query's only series.
fn value(prometheus: u16, query: &str) -> Option<f64> {
    let answer = get(prometheus, &format!("/api/v1/query?query={query}")).ok()?;
    let answer: Value = serde_json::from_str(&answer.body).ok()?;
    answer["data"]["result"][0]["value"][1].as_str()?.parse().ok()
}

#[test]
fn prometheus_sends_as_one_user_and_scrapes_as_another_who_may_only_read() {
    let node = Node::start(USERS, &[]);
    let directory = TempDir::new().expect("a temporary directory");
    let (port, _process) = prometheus(node.port, &directory);
    let limit = Duration::from_secs(60);
    eventually("the alert is there", limit, || {
        let groups = node.read("/api/v2/alerts/groups", &[SCRAPER]);
        (shown(&groups) == [("nobody", "Always", "active")]).then_some(())
    });
    // The node's own figures, by the eyes of Prometheus.
    let wanted = [
        ("up{job=\"tocsin\"}", 1.0),
        ("alertmanager_alerts{state=\"active\"}", 1.0),
        ("count(alertmanager_build_info)", 1.0),
        ("alertmanager_config_last_reload_successful", 1.0),
    ];
    for (query, expected) in wanted {
        eventually(&format!("{query} is {expected}"), limit, || {
            value(port, query).filter(|found| (found - expected).abs() < 0.5)
        });
    }
    let metrics = get(port, "/metrics").expect("Prometheus answers").body;
    let count = |name: &str| -> f64 {
        let lines = metrics.lines().filter(|line| line.starts_with(name));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    };
    assert!(count("prometheus_notifications_sent_total{") >= 1.0, "{metrics}");
    assert!(count("prometheus_notifications_errors_total{") < 0.5, "{metrics}");
    let refused = node.ask("POST", "/api/v2/alerts", &[SCRAPER], "[]");
    let said = "Forbidden: user \"scraper\" may only read (read_only_users of web.yml)\n";
    assert_eq!((refused.status, refused.body.as_str()), (403, said));
}

#[test]
fn grafana_finds_alertmanager_and_silences() {
    let node = Node::start("", &[]);
    node.fire("Disk");
    // The health check of the data source: the paths of others must not be there.
    for path in ["/alertmanager/api/v2/status", "/api/v1/status/buildinfo"] {
        assert_eq!(node.ask("GET", path, GRAFANA, "").status, 404, "{path}");
    }
    let status = node.read("/api/v2/status", GRAFANA);
    assert!(status["config"]["original"].is_string(), "{status}");
    assert_eq!(status["cluster"]["peers"], json!([]));
    assert_eq!(shown(&node.read("/api/v2/alerts/groups", GRAFANA)), [("nobody", "Disk", "active")]);
    assert_eq!(node.read("/api/v2/silences", GRAFANA), json!([]));

    let made = node.ask("POST", "/api/v2/silences", GRAFANA, &silence("Disk"));
    assert_eq!(made.status, 200, "{}", made.body);
    let id = made.json()["silenceID"].as_str().expect("an id").to_owned();
    let silences = node.read("/api/v2/silences", GRAFANA);
    assert_eq!(
        (&silences[0]["id"], &silences[0]["status"]["state"]),
        (&json!(id), &json!("active"))
    );
    let groups = node.read("/api/v2/alerts/groups", GRAFANA);
    assert_eq!(groups[0]["alerts"][0]["status"]["silencedBy"], json!([id]));
    assert_eq!(shown(&groups), [("nobody", "Disk", "suppressed")]);

    let ended = node.ask("DELETE", &format!("/api/v2/silence/{id}"), GRAFANA, "");
    assert_eq!((ended.status, ended.body.as_str()), (200, ""));
    let silences = node.read("/api/v2/silences", GRAFANA);
    assert_eq!(silences[0]["status"]["state"], "expired");
    assert_eq!(shown(&node.read("/api/v2/alerts/groups", GRAFANA)), [("nobody", "Disk", "active")]);
}

#[test]
fn karma_reads_and_its_page_silences_where_its_origin_is_listed() {
    let node = Node::start("", &["--web.cors.origin=http://karma\\.example:8080"]);
    node.fire("Disk");
    karma_reads(&node);
    let made = node.ask("POST", "/api/v2/silences", KARMA_PAGE, &silence("Disk"));
    assert_eq!(made.status, 200, "{}", made.body);
    let id = made.json()["silenceID"].as_str().expect("an id").to_owned();
    let silences = node.read("/api/v2/silences", KARMA);
    let matcher = json!({"name": "alertname", "value": "Disk", "isRegex": false, "isEqual": true});
    assert_eq!(silences[0]["matchers"], json!([matcher]));
    for key in ["id", "startsAt", "endsAt", "createdBy", "comment"] {
        assert!(silences[0][key].is_string(), "{key} of {silences}");
    }
    let ended = node.ask("DELETE", &format!("/api/v2/silence/{id}"), KARMA_PAGE, "");
    assert_eq!(ended.status, 200, "{}", ended.body);
}

#[test]
fn karma_on_plain_http_is_told_which_flag_it_needs() {
    let node = Node::start("", &[]);
    node.fire("Disk");
    karma_reads(&node);
    let refused = node.ask("POST", "/api/v2/silences", KARMA_PAGE, &silence("Disk"));
    assert_eq!(refused.status, 403);
    assert!(refused.body.contains("--web.cors.origin"), "{}", refused.body);
    // On HTTPS the browser itself says that the page and karma are of one origin.
    let mut secure = KARMA_PAGE.to_vec();
    secure.extend([("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Mode", "cors")]);
    let made = node.ask("POST", "/api/v2/silences", &secure, &silence("Disk"));
    assert_eq!(made.status, 200, "{}", made.body);
}

/// What karma asks for at every look.
#[track_caller]
fn karma_reads(node: &Node) {
    let metrics = node.ask("GET", "/metrics", &[("User-Agent", "karma/v0.121")], "").body;
    let build = metrics.lines().find(|line| line.starts_with("alertmanager_build_info{"));
    let build = build.expect("karma reads the version there");
    let (_, version) = build.split_once(",version=\"").expect("a version");
    let status = node.read("/api/v2/status", KARMA);
    assert_eq!(version.split('"').next(), status["versionInfo"]["version"].as_str());
    // Three numbers, as karma's choice of an API goes by them.
    let number = version.split(['+', '"']).next().unwrap_or_default();
    let numbers: Vec<u32> = number.split('.').filter_map(|part| part.parse().ok()).collect();
    assert!(numbers.len() == 3 && numbers >= vec![0, 22, 0], "{version}");
    for key in ["status", "peers"] {
        assert!(!status["cluster"][key].is_null(), "{key} of {status}");
    }
    let groups = node.read("/api/v2/alerts/groups", KARMA);
    assert_eq!(shown(&groups), [("nobody", "Disk", "active")]);
    let alert = &groups[0]["alerts"][0];
    for key in ["fingerprint", "startsAt", "endsAt", "updatedAt"] {
        assert!(alert[key].is_string(), "{key} of {alert}");
    }
    for key in ["silencedBy", "inhibitedBy"] {
        assert_eq!(alert["status"][key], json!([]));
    }
    assert_eq!(groups[0]["labels"], json!({"alertname": "Disk"}));
    assert_eq!(node.read("/api/v2/silences", KARMA), json!([]));
}
