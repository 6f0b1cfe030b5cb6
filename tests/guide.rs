//! The guide's file as it stands, and every command of its "Verify your setup".

use std::process::Command;
use std::time::Duration;

use crate::harness::smtp::Smtp;
use crate::harness::tocsin::{Topology, tocsin};
use crate::harness::{eventually, throughout};

/// The guide's alertmanager.yml, byte for byte.
pub(crate) const GUIDE: &str = include_str!("golden/guide_alertmanager.yml");

/// The guide's file with the changes given, each of which must change something; prints them.
#[track_caller]
pub(crate) fn guide_with(changes: &[(&str, &str)]) -> String {
    let mut text = GUIDE.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "the guide's file has no {from:?}");
        println!("the guide's file, changed: {from:?} -> {to:?}");
        text = text.replacen(from, to, 1);
    }
    text
}

#[test]
fn guide_file_loads_byte_for_byte() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("alertmanager.yml");
    std::fs::write(&file, GUIDE).expect("writable");
    let output = tocsin()
        .args(["node", "--config.check", "--config.file"])
        .arg(&file)
        .output()
        .expect("the binary runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn every_command_of_verify_your_setup_answers() {
    let smtp = Smtp::start();
    let config = guide_with(&[
        ("'localhost:587'", &format!("'127.0.0.1:{}'\n  smtp_require_tls: false", smtp.port)),
        ("group_wait: 30s", "group_wait: 1s"),
        ("group_interval: 5m", "group_interval: 2s"),
    ]);
    let topology = Topology::start(&config, &[], "1s");
    for node in &topology.nodes {
        let url = format!("http://127.0.0.1:{}/api/v1/status", node.port);
        assert_eq!(shell(&format!("curl -s {url} | jq '.data.cluster.status'")), "\"ready\"");
        assert_eq!(shell(&format!("curl -s {url} | jq '.data.cluster.peers | length'")), "3");
    }
    let head = shell(&format!("curl -sI http://127.0.0.1:{}/-/healthy", topology.port));
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let page = shell(&format!("curl -s http://127.0.0.1:{}/stats", topology.stats));
    assert!(page.contains("alertmanager1") && page.contains("</html>"), "{page}");

    let posted = shell(&format!(
        "curl -s -X POST http://127.0.0.1:{}/api/v1/alerts {TEST_ALERT}",
        topology.port
    ));
    assert_eq!(posted, r#"{"status":"success"}"#);
    let mails = eventually("the test alert arrives by mail", Duration::from_secs(30), || {
        Some(smtp.mails()).filter(|mails| !mails.is_empty())
    });
    assert_eq!(mails[0]["to"][0], "warnings@example.com");
    assert_eq!(mails[0]["subject"], "WARNING: TestAlert");
    let text = mails[0]["parts"]["text/plain"].as_str().expect("a text part");
    assert!(text.contains("Alert: Test alert for cluster verification"), "{text}");
    throughout("told once", Duration::from_secs(6), || smtp.mails().len() == 1);
}

const TEST_ALERT: &str = r#"-H 'Content-Type: application/json' -d '[{
  "labels": {"alertname": "TestAlert", "severity": "warning", "instance": "test-server"},
  "annotations": {
    "summary": "Test alert for cluster verification",
    "description": "This is a test alert to verify cluster functionality"
  }
}]'"#;

fn shell(command: &str) -> String {
    let output = Command::new("sh").args(["-c", command]).output().expect("a shell");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
