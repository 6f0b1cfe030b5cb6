//! Secrets stay secret: one marked value in every key that is read as a secret, then everything that a node says and shows is
//! searched for the marks. Which keys these are the reader of the configuration tells, so that a new one cannot be forgotten.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::json;
use tocsin_node::config::secret_keys;

use crate::harness::process::Process;
use crate::harness::sink::Sink;
use crate::harness::tocsin::{firing, tocsin};
use crate::harness::{eventually, http};

/// No other text of a run holds it.
const MARK: &str = "xyzzy";

/// A configuration in which `MARK` is a value that nobody may see (Alertmanager shows the `url` of incident.io), and `SINK` the address of a server that refuses all.
const CONFIG: &str = r##"
global:
  smtp_smarthost: 127.0.0.1:PORT
  smtp_from: a@example.org
  smtp_require_tls: false
  smtp_auth_username: user
  smtp_auth_password: MARK
  smtp_auth_secret: MARK
  smtp_tls_config: {KEYS}
  slack_api_url: http://SINK/MARK
  opsgenie_api_key: MARK
  opsgenie_api_url: http://SINK/
  wechat_api_secret: MARK
  wechat_api_url: http://SINK/
  wechat_api_corp_id: corp
  victorops_api_key: MARK
  victorops_api_url: http://SINK/
  telegram_bot_token: MARK
  telegram_api_url: http://SINK
  rocketchat_token: MARK
  rocketchat_token_id: MARK
  rocketchat_api_url: http://SINK
  mattermost_webhook_url: http://SINK/MARK
  http_config: {proxy_url: "http://user:MARK@SINK"}
route:
  receiver: all
  group_wait: 0s
receivers:
- name: all
  webhook_configs:
  - url: http://SINK/MARK
    http_config:
      basic_auth: {username: user, password: MARK}
      tls_config: {KEYS}
      http_headers: {X-One: {secrets: [MARK]}}
  - url: http://SINK/MARK
    http_config:
      authorization: {credentials: MARK}
      proxy_url: http://user:MARK@SINK
      proxy_connect_header: {X-Two: [MARK]}
  - url: http://SINK/MARK
    http_config:
      bearer_token: MARK
  - url: https://SINK/MARK
    http_config:
      proxy_url: http://user:MARK@SINK
      proxy_connect_header: {X-Three: [MARK]}
  - url: http://SINK/MARK
    http_config:
      oauth2:
        client_id: id
        client_secret: MARK
        token_url: http://SINK/token
        proxy_url: http://user:MARK@SINK
        proxy_connect_header: {X-Four: [MARK]}
        tls_config: {KEYS}
  - url: http://SINK/MARK
    http_config:
      oauth2:
        client_id: id
        grant_type: urn:ietf:params:oauth:grant-type:jwt-bearer
        client_certificate_key_id: id
        client_certificate_key: MARK
        token_url: http://SINK/token
  - url: http://SINK/{{ .Nothing }}MARK
  email_configs:
  - {to: b@example.org, auth_username: user, auth_password: MARK, auth_secret: MARK, tls_config: {KEYS}}
  pagerduty_configs:
  - {service_key: MARK}
  - {routing_key: MARK, url: "http://SINK/"}
  opsgenie_configs:
  - {api_key: MARK, responders: [{name: team, type: team}]}
  wechat_configs:
  - {api_secret: MARK, corp_id: corp, to_user: user}
  slack_configs:
  - {api_url: "http://SINK/MARK", channel: "#c"}
  - {app_token: MARK, app_url: "http://SINK/", channel: "#c"}
  victorops_configs:
  - {api_key: MARK, routing_key: r}
  pushover_configs:
  - {user_key: MARK, token: MARK}
  sns_configs:
  - {api_url: "http://SINK/", topic_arn: "arn:aws:sns:eu-west-1:1:t", sigv4: {region: eu-west-1, access_key: AKID, secret_key: MARK}}
  telegram_configs:
  - {bot_token: MARK, chat_id: 1}
  discord_configs:
  - {webhook_url: "http://SINK/MARK"}
  webex_configs:
  - {api_url: "http://SINK/", room_id: r, http_config: {authorization: {credentials: MARK}}}
  msteams_configs:
  - {webhook_url: "http://SINK/MARK"}
  msteamsv2_configs:
  - {webhook_url: "http://SINK/MARK"}
  jira_configs:
  - {api_url: "http://SINK/", project: P, issue_type: Bug}
  incidentio_configs:
  - {url: "http://SINK/shown", alert_source_token: MARK}
  rocketchat_configs:
  - {channel: "#c", token: MARK, token_id: MARK}
  mattermost_configs:
  - {webhook_url: "http://SINK/MARK", channel: c}
event_recorder:
  webhook_outputs:
  - url: http://SINK/MARK
"##;

/// Pages, interfaces and files of a node, secrets or not.
const PLACES: [&str; 14] = [
    "/",
    "/status",
    "/metrics",
    "/api/v2/status",
    "/api/v2/receivers",
    "/api/v2/alerts",
    "/api/v2/alerts/groups",
    "/api/v2/silences",
    "/api/v2/history",
    "/api/v1/status",
    "/api/v1/receivers",
    "/api/v2/nothing",
    "/-/ready",
    "/debug/vars",
];

/// A certificate and its key as they stand in a configuration, and a line of the key.
fn certificate() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let line = key.lines().nth(1).expect("lines").to_owned();
    let quoted = |pem: &str| format!("{:?}", pem.replace('\r', ""));
    (format!("cert: {}, key: {}", quoted(&cert), quoted(&key)), line)
}

/// The configuration, its marks numbered so that a find says where it comes from.
fn config(port: u16, keys: &str) -> String {
    let text = CONFIG.replace("KEYS", keys);
    let text =
        text.replace("SINK", &format!("127.0.0.1:{port}")).replace("PORT", &port.to_string());
    let mut marked = String::new();
    for (number, part) in text.split("MARK").enumerate() {
        if number > 0 {
            let _ = write!(marked, "{MARK}{number}");
        }
        marked += part;
    }
    marked
}

#[test]
fn no_secret_is_logged_shown_or_counted() {
    let sink = Sink::refusing();
    let (certificate, key_line) = certificate();
    let text = config(sink.port, &certificate);
    let mut keys = secret_keys(&text).expect("a good configuration");
    // Of two keys that exclude each other the second has a file of its own.
    let other = text.replacen("slack_api_url: http://", "slack_app_token: http://", 1);
    for (key, given) in secret_keys(&other).expect("a good configuration") {
        *keys.entry(key).or_default() |= given;
    }
    let missing: Vec<_> = keys.iter().filter(|(_, given)| !**given).map(|(key, _)| key).collect();
    assert!(missing.is_empty() && keys.len() > 30, "not tried: {missing:?} of {}", keys.len());

    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = |name: &str| directory.path().join(name).display().to_string();
    let write = |name: &str, text: &str| std::fs::write(path(name), text).expect("writable");
    write("alertmanager.yml", &text);
    write("cluster.secret", &format!("{MARK}-cluster-0123456789abcdef0123456789abcdef\n"));
    let mut command = tocsin();
    command.arg("node").args([
        format!("--config.file={}", path("alertmanager.yml")),
        format!("--storage.path={}", path("data")),
        format!("--cluster.secret-file={}", path("cluster.secret")),
        "--cluster.listen-address=127.0.0.1:0".to_owned(),
        "--web.listen-address=127.0.0.1:0".to_owned(),
        "--log.level=debug".to_owned(),
        "--enable-feature=event-recorder".to_owned(),
    ]);
    let mut node = Process::start("node", &mut command);
    let port = node.wait_line("the port it listens on", listening_port);
    eventually("the node is ready", Duration::from_secs(60), || {
        http::get(port, "/-/ready").ok().filter(|answer| answer.status == 200)
    });
    let posted = http::post_json(port, "/api/v2/alerts", &json!([firing("Down")]).to_string());
    assert_eq!(posted.expect("answers").status, 200);
    eventually("every integration has failed once", Duration::from_secs(60), || {
        let metrics = http::get(port, "/metrics").ok()?.body;
        untold(&metrics).is_empty().then_some(())
    });

    let mut seen = String::new();
    for place in PLACES {
        let answer = http::get(port, place).expect("answers");
        let _ = writeln!(seen, "== {place}\n{}", answer.body);
    }
    let broken = broken(&text);
    let mut check = tocsin();
    check.args(["amtool", "check-config"]).current_dir(directory.path());
    for (number, (what, text)) in broken.iter().enumerate() {
        let name = format!("{number}.yml");
        write(&name, text);
        check.arg(name);
        if number < SORTS {
            write("alertmanager.yml", text);
            let answer = http::request(port, "POST", "/-/reload", &[], "").expect("answers");
            assert_eq!(answer.status, 500, "{what}: {}", answer.body);
            let page = http::get(port, "/").expect("answers").body;
            let _ = writeln!(seen, "== {what}\n{}\n{page}", answer.body);
        }
    }
    let checked = check.output().expect("it runs");
    for text in [checked.stdout, checked.stderr] {
        let _ = writeln!(seen, "== check-config\n{}", String::from_utf8_lossy(&text));
    }
    assert!(seen.contains(&format!("failed to validate {} file(s)", broken.len())), "{seen}");
    let url = format!("--alertmanager.url=http://127.0.0.1:{port}");
    for words in
        [["config", "show"], ["config", "routes"], ["cluster", "show"], ["alert", "explain"]]
    {
        let told = tocsin()
            .args(["amtool", &url, "-v", "-o", "json"])
            .args(words)
            .output()
            .expect("it runs");
        let _ = writeln!(seen, "== {words:?}\n{}", String::from_utf8_lossy(&told.stdout));
    }
    node.signal("TERM");
    node.wait_end(Duration::from_secs(30));
    let _ = writeln!(seen, "== log\n{}", node.output().join("\n"));
    assert!(seen.contains("<secret>") && seen.contains("notification failed"), "{seen}");
    let secret = |line: &&str| line.contains(MARK) || line.contains(&key_line);
    let found: Vec<&str> = seen.lines().filter(secret).collect();
    assert!(found.is_empty(), "{} lines with a secret:\n{}", found.len(), found.join("\n"));
}

fn listening_port(line: &str) -> Option<u16> {
    let address = line.split("Listening on").nth(1)?.split("address=").nth(1)?;
    address.split_whitespace().next()?.rsplit(':').next()?.parse().ok()
}

/// Integrations that have not failed yet.
fn untold(metrics: &str) -> Vec<String> {
    let kinds = [
        "webhook",
        "email",
        "pagerduty",
        "opsgenie",
        "wechat",
        "slack",
        "victorops",
        "pushover",
        "sns",
        "telegram",
        "discord",
        "webex",
        "msteams",
        "msteamsv2",
        "jira",
        "incidentio",
        "rocketchat",
        "mattermost",
    ];
    let failed = |kind: &&str| {
        metrics.lines().any(|line| {
            line.starts_with("alertmanager_notification_requests_failed_total")
                && line.contains(&format!("integration=\"{kind}\""))
                && !line.ends_with(" 0")
        })
    };
    kinds.iter().filter(|kind| !failed(kind)).map(|kind| (*kind).to_owned()).collect()
}

/// Of mistakes.
const SORTS: usize = 4;

/// The configuration with one mistake in a line that holds a secret, of every sort of mistake for every such line of a key
/// of its own.
fn broken(text: &str) -> Vec<(String, String)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut all = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some((key, value)) = line.split_once(": ").filter(|(_, value)| value.contains(MARK))
        else {
            continue;
        };
        let sorts: [_; SORTS] = [
            ("a list", format!("{key}: [{value}]")),
            ("an open quote", format!("{key}: \"{value}")),
            ("twice", format!("{line}\n{}", line.replacen("- ", "  ", 1))),
            ("a misspelt key", format!("{key}x: {value}")),
        ];
        for (what, instead) in sorts {
            let mut changed: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
            changed[at] = instead;
            all.push((format!("line {}: {what}", at + 1), changed.join("\n")));
        }
    }
    all
}
