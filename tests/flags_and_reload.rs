//! A node's command line and log lines as tools read them, and what a reload changes: all or nothing, told everywhere.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::process::Process;
use crate::harness::tocsin::tocsin;
use crate::harness::{eventually, http};

const GOOD: &str = "route: {receiver: r}\nreceivers: [{name: r}]\n";
const OTHER: &str = "route: {receiver: s, group_wait: 7s}\nreceivers: [{name: s}]\n";
const BAD: &str = "route:\n  receiver: nobody\n  group_wiat: 1s\nreceivers:\n- name: r\n";

/// A node on a port of the kernel's choice.
struct Node {
    directory: TempDir,
    process: Process,
    port: u16,
}

impl Node {
    /// Starts it with its flags in a file that the command line names.
    fn start(extra: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        write(&directory, "alertmanager.yml", GOOD);
        let flags = [
            &format!("--config.file={}", path(&directory, "alertmanager.yml")),
            &format!("--storage.path={}", path(&directory, "data")),
            "--cluster.listen-address=",
            "--web.listen-address=127.0.0.1:0",
        ];
        write(&directory, "flags", &[&flags, extra].concat().join("\n"));
        let mut command = tocsin();
        command.args(["node", &format!("@{}", path(&directory, "flags"))]);
        let mut process = Process::start("node", &mut command);
        let port = process.wait_line("the port it listens on", listening_port);
        eventually("the node is ready", Duration::from_secs(60), || {
            http::get(port, "/-/ready").ok().filter(|answer| answer.status == 200)
        });
        Self { directory, process, port }
    }

    fn configure(&self, text: &str) {
        write(&self.directory, "alertmanager.yml", text);
    }

    fn get(&self, path: &str) -> http::Answer {
        http::get(self.port, path).expect("answers")
    }

    /// The running configuration as the API shows it.
    fn shown(&self) -> Value {
        self.get("/api/v2/status").json()["config"].clone()
    }

    fn metric(&self, name: &str) -> f64 {
        let body = self.get("/metrics").body;
        let value = body.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {name} in\n{body}")).parse().expect("a number")
    }

    /// Whether the page says that the file is not what is in effect.
    fn page_warns(&self) -> bool {
        self.get("/").body.contains("The configuration file could not be loaded")
    }

    fn reload(&self) -> http::Answer {
        http::request(self.port, "POST", "/-/reload", &[], "").expect("answers")
    }

    /// The first line with the text; the process writes it before it answers, but we may read it later.
    #[track_caller]
    fn wait_line(&mut self, text: &str) -> String {
        self.process
            .wait_line(&format!("{text:?}"), |line| line.contains(text).then(|| line.to_owned()))
    }
}

fn path(directory: &TempDir, name: &str) -> String {
    directory.path().join(name).display().to_string()
}

fn write(directory: &TempDir, name: &str, text: &str) {
    std::fs::write(directory.path().join(name), text).expect("writable");
}

/// The port in the line that upstream's tests look for, in either format.
fn listening_port(line: &str) -> Option<u16> {
    if !line.contains("Listening on") {
        return None;
    }
    let address = match serde_json::from_str::<Value>(line) {
        Ok(event) => event["address"].as_str()?.to_owned(),
        Err(_) => line.split("address=").nth(1)?.split_whitespace().next()?.to_owned(),
    };
    address.rsplit(':').next()?.parse().ok().filter(|port| *port != 0)
}

const SUCCESSFUL: &str = "alertmanager_config_last_reload_successful";
const HASH: &str = "alertmanager_config_hash";

/// Nothing has changed, and the metric says that something was wrong.
#[track_caller]
fn check_unchanged(node: &Node, shown: &Value, hash: f64) {
    assert_eq!(node.metric(SUCCESSFUL), 0.0);
    assert_eq!(node.metric(HASH), hash);
    assert_eq!(&node.shown(), shown);
    assert_eq!(node.get("/-/ready").status, 200);
    assert!(node.page_warns(), "the page says nothing of the failed reload");
}

/// Trap 40 of the server's description.
#[test]
fn bad_file_changes_nothing_and_a_good_one_all_by_request() {
    let mut node = Node::start(&[]);
    let (shown, hash) = (node.shown(), node.metric(HASH));
    assert_eq!(node.metric(SUCCESSFUL), 1.0);
    assert!(!node.page_warns());

    node.configure(BAD);
    let answer = node.reload();
    assert_eq!(answer.status, 500);
    let start = format!("failed to reload config: {}:", path(&node.directory, "alertmanager.yml"));
    assert!(answer.body.starts_with(&start), "{}", answer.body);
    assert!(answer.body.contains("and 1 more mistake"), "{}", answer.body);
    check_unchanged(&node, &shown, hash);
    let told = node.wait_line("Loading configuration file failed");
    for part in ["level=ERROR", "component=configuration", "alertmanager.yml:", "1 more mistake"] {
        assert!(told.contains(part), "no {part} in {told}");
    }

    node.configure(OTHER);
    assert_eq!(node.reload().status, 200);
    check_changed(&mut node, &shown, hash);
}

#[track_caller]
fn check_changed(node: &mut Node, shown: &Value, hash: f64) {
    assert_eq!(node.metric(SUCCESSFUL), 1.0);
    assert!(!node.page_warns());
    assert_ne!(node.metric(HASH), hash);
    assert_ne!(&node.shown(), shown);
    let original = node.shown()["original"].as_str().expect("a text").to_owned();
    assert!(original.contains("group_wait: 7s"), "{original}");
    node.wait_line("Completed loading of configuration file");
}

#[test]
fn bad_file_changes_nothing_and_a_good_one_all_by_signal() {
    let mut node = Node::start(&[]);
    let (shown, hash) = (node.shown(), node.metric(HASH));
    node.configure(BAD);
    node.process.signal("HUP");
    node.wait_line("Loading configuration file failed");
    check_unchanged(&node, &shown, hash);

    node.configure(OTHER);
    node.process.signal("HUP");
    node.wait_line("Completed loading of configuration file");
    check_changed(&mut node, &shown, hash);
    node.process.signal("TERM");
    assert!(node.process.wait_end(Duration::from_secs(30)).success());
}

#[test]
fn json_lines_have_the_keys_of_every_line() {
    let mut node = Node::start(&["--log.format=json", "--log.level=debug"]);
    assert_eq!(node.reload().status, 200);
    node.process.signal("TERM");
    assert!(node.process.wait_end(Duration::from_secs(30)).success());
    let lines = node.process.output();
    assert!(lines.len() > 3, "{lines:?}");
    for line in lines {
        let event: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e} in {line}"));
        for key in ["time", "level", "source", "msg"] {
            assert!(event[key].as_str().is_some_and(|text| !text.is_empty()), "{key} in {line}");
        }
        let start = ["{\"time\":", ",\"level\":", ",\"source\":", ",\"msg\":"];
        let places: Vec<_> = start.iter().map(|key| line.find(key)).collect();
        assert!(places.is_sorted() && places[0] == Some(0), "{line}");
    }
}

#[test]
fn unknown_feature_is_refused_in_upstreams_words() {
    let (code, text) = refused(&["node", "--enable-feature=nope"]);
    assert_eq!(code, Some(1), "{text}");
    for part in [
        "level=ERROR",
        "msg=\"error parsing the feature flag list\"",
        "err=\"unknown option 'nope' for --enable-feature\"",
    ] {
        assert!(text.contains(part), "no {part} in {text}");
    }
    let (code, text) = refused(&["node", "--enable-feature=classic-mode,utf8-strict-mode"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("cannot have both classic and UTF-8 modes enabled"), "{text}");
}

fn refused(flags: &[&str]) -> (Option<i32>, String) {
    let output = tocsin().args(flags).output().expect("the binary runs");
    assert!(output.stdout.is_empty(), "{output:?}");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn missing_argument_file_is_one_clear_line() {
    let (code, text) = refused(&["node", "@/nonexistent/flags"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("/nonexistent/flags") && text.lines().count() == 1, "{text}");
}

#[test]
fn events_are_lines_of_standard_output() {
    let mut node = Node::start(&["--enable-feature=event-recorder"]);
    node.configure(&format!("{GOOD}event_recorder: {{stdout_outputs: [{{}}]}}\n"));
    let reloaded = http::request(node.port, "POST", "/-/reload", &[], "").expect("answers");
    assert_eq!(reloaded.status, 200, "{}", reloaded.body);
    let alert = serde_json::json!([{"labels": {"alertname": "Down"}}]);
    let posted = http::post_json(node.port, "/api/v2/alerts", &alert.to_string()).expect("answers");
    assert_eq!(posted.status, 200, "{}", posted.body);
    let created: Value = node.process.wait_line("the event of the alert", |line| {
        let event: Value = serde_json::from_str(line).ok()?;
        event["data"].get("alertCreated").cloned()
    });
    assert_eq!(created["alert"]["name"], "Down");
}

/// Calls the binary by another name.
fn call_as(directory: &Path, name: &str, flags: &[&str]) -> Output {
    let link = directory.join(name);
    symlink(env!("CARGO_BIN_EXE_tocsin"), &link).expect("a link");
    Command::new(link).args(flags).output().expect("the binary runs")
}

#[test]
fn version_has_upstreams_form_under_upstreams_name() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let output = call_as(directory.path(), "alertmanager", &["--version"]);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(text.starts_with("alertmanager, version "), "{text}");
    for part in ["(branch: ", ", revision: ", "\n  build user: ", "\n  platform: "] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    let output = call_as(directory.path(), "prometheus-alertmanager", &["--nope"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "alertmanager: error: unknown long flag '--nope', try --help\n"
    );
}
