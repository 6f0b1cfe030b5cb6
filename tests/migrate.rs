//! `tocsin migrate` from what Debian's Alertmanager left behind and the guide's haproxy.cfg.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::json;

use crate::harness::process::Process;
use crate::harness::tocsin::tocsin;
use crate::harness::{eventually, free_port, from_now, http};

/// A file that Alertmanager 0.25 takes too: it knows no `subject` and `body` of mails.
const CONFIG: &str = "route: {receiver: a, group_by: [alertname]}
receivers: [{name: a, webhook_configs: [{url: 'http://127.0.0.1:9/'}]}]
templates: ['mine/*.tmpl']
";

const HAPROXY: &str = include_str!("golden/guide_haproxy.cfg");

/// A host with both installed, as a directory.
struct Host {
    root: tempfile::TempDir,
}

impl Host {
    fn new() -> Self {
        let host = Self { root: tempfile::tempdir().expect("a temporary directory") };
        host.put("etc/prometheus/alertmanager.yml", CONFIG);
        host.put("etc/prometheus/mine/one.tmpl", "{{ define \"one\" }}1{{ end }}\n");
        host.put("etc/haproxy/haproxy.cfg", HAPROXY);
        host.put(
            "lib/systemd/system/prometheus-alertmanager.service",
            "[Service]\nExecStart=/usr/bin/prometheus-alertmanager $ARGS\n",
        );
        host.put(
            "etc/default/prometheus-alertmanager",
            "ARGS=\"--cluster.peer=203.0.113.11:9094 --storage.path=/var/lib/prometheus/alertmanager --nonsense=1\"\n",
        );
        host.put("etc/default/tocsin-node", "# Mine.\nARGS=\"\"\n");
        host
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    fn put(&self, path: &str, text: &str) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().expect("below the root")).expect("writable");
        std::fs::write(path, text).expect("writable");
    }

    fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.path(path)).unwrap_or_default()
    }

    fn migrate(&self, arguments: &[&str]) -> Output {
        let mut command = tocsin();
        command.arg("migrate").arg("--root").arg(self.root.path()).args(arguments);
        command.output().expect("the binary runs")
    }

    /// Every file below the root with its text; settings as text, the rest by length.
    fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let (mut files, mut waiting) = (Vec::new(), vec![self.root.path().to_owned()]);
        while let Some(directory) = waiting.pop() {
            for entry in std::fs::read_dir(directory).expect("readable").flatten() {
                match entry.path() {
                    path if path.is_dir() => waiting.push(path),
                    path => files.push((path.clone(), std::fs::read(&path).expect("readable"))),
                }
            }
        }
        files.sort();
        files
    }
}

/// Any node on a storage directory.
fn serve(mut command: Command, config: &Path, storage: &Path) -> (Process, u16) {
    let port = free_port();
    command
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.path={}", storage.display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .arg("--cluster.listen-address=");
    let process = Process::start("node", &mut command);
    eventually("the node is ready", Duration::from_secs(60), || {
        http::get(port, "/-/ready").ok().filter(|answer| answer.status == 200)
    });
    (process, port)
}

fn node() -> Command {
    let mut command = tocsin();
    command.arg("node");
    command
}

fn silence(port: u16, comment: &str) -> String {
    let body = json!({
        "matchers": [{"name": "alertname", "value": "A", "isRegex": false, "isEqual": true}],
        "startsAt": from_now(0), "endsAt": from_now(3600), "createdBy": "me", "comment": comment,
    });
    let answer = http::post_json(port, "/api/v2/silences", &body.to_string()).expect("an answer");
    answer.json()["silenceID"].as_str().expect("an id").to_owned()
}

fn states(port: u16) -> Vec<(String, String)> {
    let silences = http::get(port, "/api/v2/silences").expect("an answer").json();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or("").to_owned();
    let list = silences.as_array().expect("a list").iter();
    list.map(|s| (text(&s["comment"]), text(&s["status"]["state"]))).collect()
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn debian_installation_is_taken_over_and_given_back() {
    let host = Host::new();
    let storage = host.path("var/lib/prometheus/alertmanager");
    std::fs::create_dir_all(&storage).expect("writable");
    let config = host.path("etc/prometheus/alertmanager.yml");
    let (mut old, port) = serve(Command::new("prometheus-alertmanager"), &config, &storage);
    let id = silence(port, "from the old one");
    old.signal("TERM");
    old.wait_end(Duration::from_secs(30));

    let before = host.files();
    let looked = host.migrate(&["--check"]);
    assert!(looked.status.success(), "{}", said(&looked));
    assert_eq!(host.files(), before, "--check changes nothing");

    let done = host.migrate(&[]);
    let text = said(&done);
    assert!(done.status.success(), "{text}");
    for part in [
        "silences: 1 entries, 1 not expired",
        "left out: --nonsense=1: unknown long flag '--nonsense'",
        "line 5: left out: the service's unit",
        "the admin socket is /run/tocsin-lb/lb.sock",
    ] {
        assert!(text.contains(part), "{part:?} in {text}");
    }
    assert_eq!(
        host.read("etc/tocsin/alertmanager.yml"),
        host.read("etc/prometheus/alertmanager.yml")
    );
    assert!(host.path("etc/tocsin/mine/one.tmpl").exists());
    assert_eq!(
        host.read("etc/default/tocsin-node"),
        "# Mine.\nARGS=\"--cluster.peer=203.0.113.11:9094\"\n"
    );
    let balancer = host.read("etc/tocsin/lb.yml");
    assert!(balancer.contains("203.0.113.12:9093") && !balancer.contains("daemon"), "{balancer}");

    let again = said(&host.migrate(&[]));
    assert!(!again.contains(" written"), "{again}");

    let copy = host.path("var/lib/tocsin");
    let (mut new, port) = serve(node(), &host.path("etc/tocsin/alertmanager.yml"), &copy);
    let there = http::get(port, &format!("/api/v2/silence/{id}")).expect("an answer");
    assert_eq!(there.json()["status"]["state"], "active", "{}", there.body);
    new.kill();

    std::fs::remove_dir_all(&copy).expect("the node's own files go");
    let back = host.migrate(&["--undo"]);
    assert!(back.status.success(), "{}", said(&back));
    assert_eq!(host.files(), before, "--undo leaves what was there");
}

#[test]
fn lines_that_change_traffic_need_a_word() {
    let host = Host::new();
    host.put(
        "etc/haproxy/haproxy.cfg",
        &HAPROXY.replace(
            "    balance roundrobin\n",
            "    balance roundrobin\n    http-request deny if TRUE\n",
        ),
    );
    let output = host.migrate(&[]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(!host.path("etc/tocsin/lb.yml").exists());
    let accepted = host.migrate(&["--accept-unsupported"]);
    assert!(
        accepted.status.success() && host.path("etc/tocsin/lb.yml").exists(),
        "{}",
        said(&accepted)
    );
}

#[test]
fn configuration_with_a_mistake_is_refused_with_its_line() {
    let host = Host::new();
    host.put("etc/prometheus/alertmanager.yml", "route: {receiver: a}\nreceivers: [{name: b}]\n");
    let output = host.migrate(&[]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("alertmanager.yml:1:"), "{}", said(&output));
    assert!(!host.path("etc/tocsin/alertmanager.yml").exists());
}

#[test]
fn silences_are_followed_while_both_run() {
    let host = Host::new();
    let config = host.path("etc/prometheus/alertmanager.yml");
    let (_old, from) = serve(Command::new("prometheus-alertmanager"), &config, &host.path("old"));
    let (_new, to) = serve(node(), &config, &host.path("new"));
    let id = silence(from, "followed");
    let mut command = tocsin();
    command.args(["migrate", "--follow", &format!("http://127.0.0.1:{from}")]);
    command.args(["--to", &format!("http://127.0.0.1:{to}")]);
    let follower = Process::start("follower", &mut command);
    let limit = Duration::from_secs(60);
    let shows = |state: &str| states(to).contains(&("followed".into(), state.into())).then_some(());
    eventually("the silence is copied", limit, || shows("active"));
    let ended = http::request(from, "DELETE", &format!("/api/v2/silence/{id}"), &[], "");
    assert_eq!(ended.expect("an answer").status, 200);
    eventually("its copy ends", limit, || shows("expired"));
    drop(follower);
}
