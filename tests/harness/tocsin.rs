//! The binary under test: nodes, the balancer, and the guide's topology made of them.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::process::Process;
use super::{eventually, free_port, http};

/// A `tocsin` command line.
pub(crate) fn tocsin() -> Command {
    Command::new(env!("CARGO_BIN_EXE_tocsin"))
}

/// One node: its ports and directory outlive its process.
pub(crate) struct Node {
    pub(crate) port: u16,
    gossip: u16,
    directory: PathBuf,
    peers: Vec<u16>,
    extra: Vec<String>,
    pub(crate) process: Option<Process>,
}

impl Node {
    fn start(&mut self) {
        let mut command = tocsin();
        command
            .arg("node")
            .arg(format!("--config.file={}", self.directory.join("alertmanager.yml").display()))
            .arg(format!("--storage.path={}", self.directory.join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{}", self.port))
            .arg(format!("--cluster.listen-address=127.0.0.1:{}", self.gossip))
            .arg(format!("--cluster.advertise-address=127.0.0.1:{}", self.gossip))
            .args(self.peers.iter().map(|peer| format!("--cluster.peer=127.0.0.1:{peer}")))
            .args(&self.extra);
        self.process = Some(Process::start(&format!("node :{}", self.port), &mut command));
    }

    #[track_caller]
    pub(crate) fn wait_ready(&self) {
        eventually(&format!("node :{} is ready", self.port), Duration::from_secs(60), || {
            http::get(self.port, "/-/ready").ok().filter(|answer| answer.status == 200)
        });
    }

    pub(crate) fn config_file(&self) -> PathBuf {
        self.directory.join("alertmanager.yml")
    }

    pub(crate) fn kill(&mut self) {
        self.process.take().expect("runs").kill();
    }

    pub(crate) fn restart(&mut self) {
        self.start();
    }

    /// The alerts' names as its API shows them.
    pub(crate) fn alert_names(&self) -> Vec<String> {
        let Ok(answer) = http::get(self.port, "/api/v2/alerts") else { return Vec::new() };
        answer.json().as_array().expect("a list").iter().map(name_of).collect()
    }
}

fn name_of(alert: &Value) -> String {
    alert["labels"]["alertname"].as_str().unwrap_or("").to_owned()
}

/// Three nodes behind one balancer.
pub(crate) struct Topology {
    pub(crate) nodes: Vec<Node>,
    _balancer: Process,
    pub(crate) port: u16,
    pub(crate) stats: u16,
    _directory: TempDir,
}

impl Topology {
    /// Starts all and waits until each node sees all three and the balancer answers.
    pub(crate) fn start(config: &str, node_flags: &[&str], check_interval: &str) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let gossip: Vec<u16> = (0..3).map(|_| free_port()).collect();
        let nodes: Vec<Node> = (0..3)
            .map(|i| {
                let directory = directory.path().join(format!("node{i}"));
                std::fs::create_dir(&directory).expect("writable");
                std::fs::write(directory.join("alertmanager.yml"), config).expect("writable");
                let peers = gossip.iter().copied().filter(|g| *g != gossip[i]).collect();
                let extra = node_flags.iter().map(|flag| (*flag).to_owned()).collect();
                let mut node = Node {
                    port: free_port(),
                    gossip: gossip[i],
                    directory,
                    peers,
                    extra,
                    process: None,
                };
                node.start();
                node
            })
            .collect();
        for node in &nodes {
            node.wait_ready();
        }
        for node in &nodes {
            eventually("every node lists three peers", Duration::from_secs(30), || {
                let status = http::get(node.port, "/api/v2/status").ok()?.json();
                (status["cluster"]["peers"].as_array()?.len() == 3).then_some(())
            });
        }
        let (port, stats) = (free_port(), free_port());
        let balancer = start_balancer(directory.path(), port, stats, &nodes, check_interval);
        eventually("the balancer answers", Duration::from_secs(30), || {
            http::get(port, "/-/healthy").ok().filter(|answer| answer.status == 200)
        });
        Self { nodes, _balancer: balancer, port, stats, _directory: directory }
    }

    /// Posts through the balancer; the answer must be 200.
    #[track_caller]
    pub(crate) fn post(&self, alerts: &Value) {
        let answer = http::post_json(self.port, "/api/v2/alerts", &alerts.to_string())
            .expect("the balancer answers");
        assert_eq!(answer.status, 200, "{}", answer.body);
    }

    /// The balancer's CSV as (server, status) rows.
    pub(crate) fn server_states(&self) -> Vec<(String, String)> {
        let Ok(answer) = http::get(self.stats, "/stats;csv") else { return Vec::new() };
        answer
            .body
            .lines()
            .map(|line| line.split(',').collect::<Vec<_>>())
            .filter(|cells| cells.len() > 32 && cells[32] == "2")
            .map(|cells| (cells[1].to_owned(), cells[17].to_owned()))
            .collect()
    }
}

/// Checks need the file: flags alone keep the guide's interval of 10 s.
fn start_balancer(
    directory: &std::path::Path,
    port: u16,
    stats: u16,
    nodes: &[Node],
    interval: &str,
) -> Process {
    let servers: Vec<String> = nodes
        .iter()
        .enumerate()
        .map(|(i, node)| {
            format!(
                "      - {{name: alertmanager{}, address: \"127.0.0.1:{}\"}}\n",
                i + 1,
                node.port
            )
        })
        .collect();
    let file = directory.join("lb.yml");
    let text = format!(
        "backends:\n  - name: alertmanager_backend\n    health_check: {{interval: {interval}}}\n    servers:\n{}",
        servers.concat()
    );
    std::fs::write(&file, text).expect("writable");
    Process::start(
        "balancer",
        tocsin()
            .arg("lb")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--listen-address=127.0.0.1:{port}"))
            .arg(format!("--stats.listen-address=127.0.0.1:{stats}"))
            .arg("--admin.socket="),
    )
}

/// An alert that fires for half an hour unless told otherwise.
pub(crate) fn firing(name: &str) -> Value {
    json!({
        "labels": {"alertname": name, "severity": "warning", "instance": "test-server"},
        "annotations": {"summary": format!("{name} fires"), "description": "made by a test"},
        "endsAt": super::from_now(1800),
    })
}
