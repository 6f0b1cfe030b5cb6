//! `tocsin demo`: three nodes, a balancer and a receiver on loopback, to try and to break.
//! The nodes are processes of this same binary, so that one can really be killed.

use std::io::{BufRead as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::cli::DemoFlags;
use crate::fail;

/// Longest wait for a node to be ready, and for a process to end.
const PATIENCE: Duration = Duration::from_secs(30);
/// The largest notification that the receiver reads, in bytes.
const NOTIFICATION_MAX_BYTES: u64 = 1 << 20;

const KEYS: &str = "\
Enter   send an alert through the balancer        r    resolve it
k N     kill node N (1-3) with SIGKILL            s N  start it again
q       end everything (as Ctrl-C does)";

/// Runs the demo until it is told to stop.
pub(crate) fn run(flags: DemoFlags) -> ExitCode {
    let ports = Ports { base: flags.port_base };
    let done = ports.check().and_then(|()| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| format!("cannot start: {error}"))?;
        runtime.block_on(play(ports))
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => fail(&format!("tocsin demo: error: {text}\n")),
    }
}

/// Which port is whose, counted from `--port-base`.
#[derive(Clone, Copy)]
struct Ports {
    base: u16,
}

impl Ports {
    fn balancer(self) -> u16 {
        self.base
    }

    /// `node` counts from 1.
    fn node(self, node: u16) -> u16 {
        self.base + node
    }

    fn stats(self) -> u16 {
        self.base + 4
    }

    fn cluster(self, node: u16) -> u16 {
        self.base + 4 + node
    }

    fn receiver(self) -> u16 {
        self.base + 8
    }

    fn check(self) -> Result<(), String> {
        for port in self.base..=self.receiver() {
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|error| match error.kind() {
                std::io::ErrorKind::AddrInUse => format!(
                    "port {port} is in use ({}); choose nine free ones with --port-base",
                    self.owner(port)
                ),
                _ => format!("port {port}: {error}"),
            })?;
        }
        Ok(())
    }

    fn owner(self, port: u16) -> String {
        match port - self.base {
            0 => "the balancer's".to_owned(),
            4 => "the stats page's".to_owned(),
            8 => "the receiver's".to_owned(),
            node @ 1..=3 => format!("node {node}'s"),
            cluster => format!("node {}'s for its peers", cluster - 4),
        }
    }
}

/// What the demo waits for.
enum Event {
    Key(String),
    Notification(Value),
    Stop,
}

async fn play(ports: Ports) -> Result<(), String> {
    let directory = TempDir::new().map_err(|error| format!("no temporary directory: {error}"))?;
    let (events, mut inbox) = mpsc::channel(64);
    watch_signals(events.clone())?;
    receive(ports.receiver(), events.clone()).await?;
    say("starting three nodes and a balancer ...");
    let mut stage = Stage::start(ports, directory.path()).await?;
    let played = tokio::select! {
        ready = stage.wait_ready() => ready,
        stopped = inbox.recv() => Err(match stopped { Some(Event::Key(_)) => "input before ready", _ => "stopped" }.to_owned()),
    };
    if played.is_ok() {
        say(&stage.tour());
        read_keys(events);
        while let Some(event) = inbox.recv().await {
            match event {
                Event::Key(key) if key == "q" => break,
                Event::Key(key) => say(&stage.key(&key).await),
                Event::Notification(body) => say(&notification(&body)),
                Event::Stop => break,
            }
        }
    }
    say("ending all ...");
    stage.end().await;
    played
}

/// The processes of the demo.
struct Stage {
    ports: Ports,
    directory: std::path::PathBuf,
    nodes: [Option<Child>; 3],
    balancer: Child,
    alerts: usize,
}

impl Stage {
    async fn start(ports: Ports, directory: &Path) -> Result<Self, String> {
        write(&directory.join("alertmanager.yml"), &node_file(ports)).await?;
        write(&directory.join("lb.yml"), &balancer_file(ports)).await?;
        let node = |n| start_node(ports, directory, n);
        let nodes = [Some(node(1)?), Some(node(2)?), Some(node(3)?)];
        let balancer = spawn(
            directory,
            "lb",
            &[
                "lb".to_owned(),
                format!("--config.file={}", directory.join("lb.yml").display()),
                format!("--listen-address=127.0.0.1:{}", ports.balancer()),
                format!("--stats.listen-address=127.0.0.1:{}", ports.stats()),
                "--admin.socket=".to_owned(),
            ],
        )?;
        Ok(Self { ports, directory: directory.to_owned(), nodes, balancer, alerts: 0 })
    }

    async fn wait_ready(&mut self) -> Result<(), String> {
        let answers = async {
            for port in
                [self.ports.node(1), self.ports.node(2), self.ports.node(3), self.ports.balancer()]
            {
                while !matches!(request(port, "GET", "/-/ready", "").await, Ok(200)) {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        };
        if tokio::time::timeout(PATIENCE, answers).await.is_ok() {
            return Ok(());
        }
        let mut text = format!("not ready within {PATIENCE:?}; the last lines of the logs:");
        for name in ["node1", "node2", "node3", "lb"] {
            let log = std::fs::read_to_string(self.directory.join(format!("{name}.log")))
                .unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            text.push_str(&format!(
                "\n{name}: {}",
                lines[lines.len().saturating_sub(3)..].join("\n")
            ));
        }
        Err(text)
    }

    fn tour(&self) -> String {
        let pids = self.nodes.iter().flatten().filter_map(Child::id).map(|pid| pid.to_string());
        let url = |port| format!("http://127.0.0.1:{port}");
        format!(
            "ready.\n  balancer  {}   (point Prometheus here)\n  stats     {}/stats\n  nodes     {}  {}  {}   pids {}\n  logs      {}\n\n{KEYS}\n",
            url(self.ports.balancer()),
            url(self.ports.stats()),
            url(self.ports.node(1)),
            url(self.ports.node(2)),
            url(self.ports.node(3)),
            pids.collect::<Vec<_>>().join(" "),
            self.directory.display(),
        )
    }

    /// Does what a line of input asks for and tells what it did.
    async fn key(&mut self, line: &str) -> String {
        let mut words = line.split_whitespace();
        let node = |words: &mut std::str::SplitWhitespace<'_>| {
            words.next().and_then(|word| word.parse::<u16>().ok()).filter(|n| (1..=3).contains(n))
        };
        match (words.next(), node(&mut words)) {
            (None, _) => {
                self.alerts += 1;
                self.post("firing").await
            }
            (Some("r"), _) if self.alerts == 0 => "nothing fires yet: press Enter first".to_owned(),
            (Some("r"), _) => self.post("resolved").await,
            (Some("k"), Some(n)) => self.kill(n).await,
            (Some("s"), Some(n)) => self.restart(n),
            _ => KEYS.to_owned(),
        }
    }

    /// Sends the latest alert, firing for an hour or ending now.
    async fn post(&self, state: &str) -> String {
        let mut alert = json!({
            "labels": {"alertname": "DemoAlert", "number": self.alerts.to_string(), "severity": "warning"},
            "annotations": {"summary": format!("demo alert number {}", self.alerts)},
        });
        if state == "resolved" {
            #[expect(clippy::disallowed_methods, reason = "the demo is a sender of its own")]
            let now = jiff::Timestamp::try_from(std::time::SystemTime::now()).unwrap_or_default();
            alert["endsAt"] = now.to_string().into();
        }
        let body = json!([alert]).to_string();
        match request(self.ports.balancer(), "POST", "/api/v2/alerts", &body).await {
            Ok(status) => format!("posted DemoAlert {} as {state}: answered {status}", self.alerts),
            Err(error) => format!("posting failed: {error}"),
        }
    }

    async fn kill(&mut self, n: u16) -> String {
        let Some(mut child) = self.nodes[usize::from(n - 1)].take() else {
            return format!("node {n} does not run");
        };
        match child.kill().await {
            Ok(()) => {
                format!(
                    "killed node {n}; the others go on, see http://127.0.0.1:{}/stats",
                    self.ports.stats()
                )
            }
            Err(error) => format!("cannot kill node {n}: {error}"),
        }
    }

    fn restart(&mut self, n: u16) -> String {
        let slot = &mut self.nodes[usize::from(n - 1)];
        if slot.is_some() {
            return format!("node {n} runs already");
        }
        match start_node(self.ports, &self.directory, n) {
            Ok(child) => {
                *slot = Some(child);
                format!("started node {n} again")
            }
            Err(error) => error,
        }
    }

    /// Stops every process as a service manager would, and kills what does not end in time.
    async fn end(&mut self) {
        for child in self.nodes.iter_mut().flatten().chain([&mut self.balancer]) {
            terminate(child);
        }
        for child in self.nodes.iter_mut().flatten().chain([&mut self.balancer]) {
            if tokio::time::timeout(PATIENCE, child.wait()).await.is_err() {
                let _gone_meanwhile = child.kill().await;
            }
        }
    }
}

fn terminate(child: &Child) {
    let pid =
        child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        let _gone_already = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
}

fn start_node(ports: Ports, directory: &Path, n: u16) -> Result<Child, String> {
    let mut flags = vec![
        "node".to_owned(),
        format!("--config.file={}", directory.join("alertmanager.yml").display()),
        format!("--storage.path={}", directory.join(format!("data{n}")).display()),
        format!("--web.listen-address=127.0.0.1:{}", ports.node(n)),
        format!("--cluster.listen-address=127.0.0.1:{}", ports.cluster(n)),
        format!("--cluster.peer-name=node{n}"),
    ];
    let peers = (1..=3).filter(|peer| *peer != n);
    flags.extend(peers.map(|peer| format!("--cluster.peer=127.0.0.1:{}", ports.cluster(peer))));
    spawn(directory, &format!("node{n}"), &flags)
}

/// Starts this binary once more, in a process group of its own so that Ctrl-C reaches only the demo.
fn spawn(directory: &Path, name: &str, flags: &[String]) -> Result<Child, String> {
    let wrong = |error: std::io::Error| format!("cannot start {name}: {error}");
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(directory.join(format!("{name}.log")))
        .map_err(wrong)?;
    Command::new(std::env::current_exe().map_err(wrong)?)
        .args(flags)
        .stdin(Stdio::null())
        .stdout(log.try_clone().map_err(wrong)?)
        .stderr(log)
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(wrong)
}

fn node_file(ports: Ports) -> String {
    format!(
        "route:\n  receiver: demo\n  group_by: [alertname, number]\n  group_wait: 1s\n  group_interval: 5s\n  repeat_interval: 4h\n\
         receivers:\n- name: demo\n  webhook_configs:\n  - url: http://127.0.0.1:{}/\n",
        ports.receiver()
    )
}

fn balancer_file(ports: Ports) -> String {
    let servers: Vec<String> = (1..=3)
        .map(|n| format!("  - {{name: node{n}, address: \"127.0.0.1:{}\"}}\n", ports.node(n)))
        .collect();
    format!(
        "backends:\n- name: alertmanager_backend\n  health_check: {{interval: 1s}}\n  servers:\n{}",
        servers.concat()
    )
}

async fn write(path: &Path, text: &str) -> Result<(), String> {
    tokio::fs::write(path, text).await.map_err(|error| format!("{}: {error}", path.display()))
}

fn watch_signals(events: mpsc::Sender<Event>) -> Result<(), String> {
    let watch = |kind| signal(kind).map_err(|error| format!("cannot watch signals: {error}"));
    let (mut interrupt, mut terminate, mut hangup) = (
        watch(SignalKind::interrupt())?,
        watch(SignalKind::terminate())?,
        watch(SignalKind::hangup())?,
    );
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
        let _ended_already = events.send(Event::Stop).await;
    });
    Ok(())
}

/// Lines of standard input become keys; its end is no reason to stop.
fn read_keys(events: mpsc::Sender<Event>) {
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if events.blocking_send(Event::Key(line)).is_err() {
                return;
            }
        }
    });
}

/// The receiver: every JSON body posted to it is an event.
async fn receive(port: u16, events: mpsc::Sender<Event>) -> Result<(), String> {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .await
        .map_err(|error| format!("port {port}: {error}"))?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(read_notifications(stream, events.clone()));
        }
    });
    Ok(())
}

async fn read_notifications(stream: TcpStream, events: mpsc::Sender<Event>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if (&mut stream).take(NOTIFICATION_MAX_BYTES).read_line(&mut line).await? == 0 {
                return Ok(());
            }
            if line.trim_end().is_empty() {
                break;
            }
            if let Some(("content-length", value)) = line.to_ascii_lowercase().split_once(':') {
                length = value.trim().parse::<u64>().unwrap_or(0).min(NOTIFICATION_MAX_BYTES);
            }
        }
        let mut body = Vec::new();
        (&mut stream).take(length).read_to_end(&mut body).await?;
        if let Ok(body) = serde_json::from_slice(&body) {
            let _demo_ended = events.send(Event::Notification(body)).await;
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await?;
    }
}

fn notification(body: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    let alerts = body["alerts"].as_array().map(Vec::as_slice).unwrap_or_default();
    let alerts: Vec<String> = alerts
        .iter()
        .map(|alert| {
            format!(
                "{} number {}: {}",
                text(&alert["labels"]["alertname"]),
                text(&alert["labels"]["number"]),
                text(&alert["annotations"]["summary"])
            )
        })
        .collect();
    format!("<<< notification, {}: {}", text(&body["status"]), alerts.join(", "))
}

/// One request on a connection of its own; the answer's status.
async fn request(port: u16, method: &str, path: &str, body: &str) -> std::io::Result<u16> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    let mut line = String::new();
    BufReader::new(stream).take(1024).read_line(&mut line).await?;
    line.split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .ok_or_else(|| std::io::Error::other("not an HTTP answer"))
}

/// Prints for the person at the terminal.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _closed_pipe = writeln!(out, "{text}").and_then(|()| out.flush());
}
