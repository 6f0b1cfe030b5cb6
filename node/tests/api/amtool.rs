//! Debian's `amtool` 0.25 against a node and against the server it was made for: the same lines.

use std::process::Command;

use serde_json::json;

use crate::{
    beside::Upstream,
    client::post,
    node::{CONFIG, Node},
};

/// Output and success of a command; identities and moments of now are marked.
fn amtool(server: std::net::SocketAddr, arguments: &[&str]) -> String {
    let output = Command::new("amtool")
        .arg(format!("--alertmanager.url=http://{server}"))
        // Ours says that it is 0.34.
        .arg("--no-version-check")
        .args(arguments)
        .env("TZ", "UTC")
        .output()
        .expect("package prometheus-alertmanager is installed");
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    let mut lines: Vec<String> = text.lines().map(mask).collect();
    // Rows of silences are in the order of their identities where their ends are equal.
    lines.sort_unstable();
    format!("{}\n{}", output.status.success(), lines.join("\n"))
}

fn mask(line: &str) -> String {
    let is_id = |word: &str| uuid::Uuid::try_parse(word.trim_matches('"')).is_ok();
    let words = line.split_whitespace().map(|word| if is_id(word) { "ID" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn amtool_shows_the_same() {
    let upstream = Upstream::start();
    let node = Node::start(CONFIG, |_, _| {}).await;
    let alerts = json!([
        {"labels": {"alertname": "A", "severity": "critical", "cluster": "x"}, "annotations": {"summary": "s"},
         "startsAt": "2026-01-02T03:04:05Z", "endsAt": "2099-01-01T00:00:00Z", "generatorURL": "http://p/g"},
        {"labels": {"alertname": "B", "severity": "warning", "cluster": "x"},
         "startsAt": "2026-01-02T03:04:06Z", "endsAt": "2099-01-01T00:00:00Z"},
    ]);
    for server in [upstream.address, node.address] {
        assert_eq!(post("/api/v2/alerts", &alerts).to(server).await.status, 200);
    }
    let silence = [
        "silence",
        "add",
        "--author=ann",
        "--comment=c",
        "--start=2098-01-01T00:00:00Z",
        "--end=2099-01-01T00:00:00Z",
        "alertname=C",
        "cluster=~x|y",
    ];
    for arguments in [
        &["alert", "query"][..],
        &["alert", "query", "alertname=A"],
        &["alert", "query", "--inhibited", "-o", "extended"],
        &["alert", "query", "-o", "simple", "severity=~c.*"],
        &[
            "alert",
            "add",
            "alertname=D",
            "team=db",
            "--annotation=summary=s",
            "--end=2099-01-01T00:00:00Z",
        ],
        &["alert", "query", "--receiver=pager", "-o", "simple", "alertname=D", "team=nope"],
        &["alert", "query", "nope{"],
        &silence,
        &["silence", "query"],
        &["silence", "query", "alertname=C"],
        &["silence", "query", "--created-by=bob"],
        &["silence", "query", "-q", "--expired"],
        &["silence", "add", "--author=ann", "alertname=C"],
        &["silence", "expire", "11111111-2222-4333-8444-555555555555x"],
        &["cluster", "show"],
        &["config", "routes"],
        &["config", "routes", "test", "severity=critical", "team=db"],
        &["check-config", "/nope"],
    ] {
        let theirs = amtool(upstream.address, arguments);
        let ours = amtool(node.address, arguments);
        assert_eq!(ours, theirs, "{arguments:?}");
    }
    let ids = |server| {
        let output = Command::new("amtool")
            .arg(format!("--alertmanager.url=http://{server}"))
            .args(["silence", "query", "-q"])
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    for server in [upstream.address, node.address] {
        assert_eq!(amtool(server, &["silence", "expire", &ids(server)]), "true\n");
        assert_eq!(ids(server), "");
    }
    node.stop().await;
}
