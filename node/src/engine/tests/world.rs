//! What the tests stand on: a clock that the test moves, a receiver that remembers, nodes that share it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tocsin_cluster::Cluster;
use tocsin_core::alert::AlertInput;
use tocsin_core::label::Labels;
use tocsin_core::matcher::MatchOp;
use tocsin_core::silence::{RawMatcher, SilenceInput};
use tocsin_core::time;
use tocsin_service::clock::Clock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::engine::{ApiVersion, Engine, Handle, Posted, Shared, Tables, reload};
use crate::notify::{Deny, Parts};
use crate::options::Options;

/// The clock of a test: wall time moves exactly as the test moves tokio's, and is the same on every thread.
pub(super) struct Steps {
    now_ns: AtomicI64,
}

/// Where every test begins.
pub(super) fn epoch() -> Timestamp {
    "2026-11-24T10:00:00Z".parse().unwrap()
}

impl Clock for Steps {
    fn now(&self) -> Timestamp {
        Timestamp::from_nanosecond(i128::from(self.now_ns.load(Ordering::SeqCst))).unwrap()
    }
}

/// What the receiver heard.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Heard {
    /// Seconds since the test began.
    pub(super) second: i64,
    /// Path of the request: which integration.
    pub(super) path: String,
    pub(super) body: Value,
}

impl Heard {
    /// `firing Down/a! Up/b`: the status, then the alerts by alertname and instance, resolved ones with an exclamation mark.
    pub(super) fn text(&self) -> String {
        let mut text = self.body["status"].as_str().unwrap().to_owned();
        for alert in self.body["alerts"].as_array().unwrap() {
            let label = |name: &str| alert["labels"][name].as_str().unwrap_or_default().to_owned();
            text += &format!(" {}", label("alertname"));
            if alert["labels"].get("instance").is_some() {
                text += &format!("/{}", label("instance"));
            }
            if alert["status"] == "resolved" {
                text += "!";
            }
        }
        text
    }
}

/// A receiver of webhooks.
pub(super) struct Sink {
    pub(super) port: u16,
    heard: Arc<Mutex<Vec<Heard>>>,
    answers: Arc<Mutex<VecDeque<u16>>>,
    task: JoinHandle<()>,
}

impl Sink {
    async fn start(clock: Arc<Steps>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (heard, answers) = (Arc::<Mutex<Vec<Heard>>>::default(), Arc::default());
        let task = tokio::spawn(accept(listener, Arc::clone(&heard), Arc::clone(&answers), clock));
        Self { port, heard, answers, task }
    }

    /// The next requests are answered with these codes, then with 200.
    pub(super) fn answer(&self, codes: impl IntoIterator<Item = u16>) {
        self.answers.lock().unwrap().extend(codes);
    }

    /// What was heard since it was taken last.
    pub(super) fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    /// What was heard since this was asked last.
    pub(super) fn take(&self) -> Vec<Heard> {
        std::mem::take(&mut self.heard.lock().unwrap())
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(
    listener: TcpListener,
    heard: Arc<Mutex<Vec<Heard>>>,
    answers: Arc<Mutex<VecDeque<u16>>>,
    clock: Arc<Steps>,
) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (heard, answers, clock) =
            (Arc::clone(&heard), Arc::clone(&answers), Arc::clone(&clock));
        tokio::spawn(async move {
            // The sender closes connections as it likes.
            let _ = converse(stream, &heard, &answers, &clock).await;
        });
    }
}

async fn converse(
    mut stream: TcpStream,
    heard: &Mutex<Vec<Heard>>,
    answers: &Mutex<VecDeque<u16>>,
    clock: &Steps,
) -> std::io::Result<()> {
    let mut buffer = Vec::new();
    loop {
        let head = loop {
            if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        };
        let text = String::from_utf8_lossy(&buffer[..head]).to_lowercase();
        let path = text.split(' ').nth(1).unwrap_or_default().to_owned();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.map_or(0, |length| length.trim().parse().unwrap());
        while buffer.len() < head + length {
            stream.read_buf(&mut buffer).await?;
        }
        let body = serde_json::from_slice(&buffer[head..head + length]).unwrap();
        buffer.drain(..head + length);
        let code = answers.lock().unwrap().pop_front().unwrap_or(200);
        let second = time::since(clock.now(), epoch()).as_secs();
        let second = i64::try_from(second).unwrap();
        if code == 200 {
            heard.lock().unwrap().push(Heard { second, path, body });
        }
        let answer = format!("HTTP/1.1 {code} X\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).await?;
    }
}

/// A running node.
pub(super) struct Node {
    pub(super) handle: Handle,
    pub(super) shared: Arc<Shared>,
    cluster: Arc<Cluster>,
    stop: CancellationToken,
    joined: CancellationToken,
    task: JoinHandle<()>,
}

/// A clock, a receiver and a directory for nodes.
pub(super) struct World {
    pub(super) clock: Arc<Steps>,
    pub(super) sink: Sink,
    pub(super) dir: tempfile::TempDir,
    /// As long as it lives, tokio's clock stands still while sockets are waited for.
    _still: mpsc::Sender<()>,
}

impl World {
    pub(super) async fn new() -> Self {
        let (still, end) = mpsc::channel::<()>();
        tokio::task::spawn_blocking(move || end.recv());
        let now_ns = i64::try_from(epoch().as_nanosecond()).unwrap();
        let clock = Arc::new(Steps { now_ns: AtomicI64::new(now_ns) });
        let sink = Sink::start(Arc::clone(&clock)).await;
        Self { clock, sink, dir: tempfile::tempdir().unwrap(), _still: still }
    }

    /// Writes the configuration; `URL` in it is the receiver's address.
    pub(super) fn configure(&self, config: &str) {
        let url = format!("http://127.0.0.1:{}", self.sink.port);
        std::fs::write(self.dir.path().join("am.yml"), config.replace("URL", &url)).unwrap();
    }

    pub(super) fn options(&self) -> Options {
        let dir = self.dir.path();
        let (config_file, storage_path) = (dir.join("am.yml"), dir.to_owned());
        let mut options = Options { config_file, storage_path, ..Options::default() };
        options.cluster.listen_address = String::new();
        options.cluster.settle_timeout = Duration::ZERO;
        options
    }

    /// A node without disk and network.
    pub(super) async fn node(&self) -> Node {
        self.node_with(self.options(), tocsin_cluster::Options::alone()).await
    }

    /// A node that keeps what it has under that name.
    pub(super) async fn node_on_disk(&self, name: &str) -> Node {
        let storage = Some(self.dir.path().join(name));
        let cluster = tocsin_cluster::Options { storage, ..tocsin_cluster::Options::alone() };
        self.node_with(self.options(), cluster).await
    }

    /// A member of a cluster on loopback, ready.
    pub(super) async fn member(&self, name: &str, peers: &[&Node]) -> Node {
        let cluster = tocsin_cluster::Options {
            listen: "127.0.0.1:0".into(),
            name: name.into(),
            peers: peers.iter().map(|peer| peer.view().address.clone()).collect(),
            version: crate::VERSION.into(),
            ..tocsin_cluster::Options::default()
        };
        let node = self.node_with(self.options(), cluster).await;
        self.until(&[&node], |node| node.handle.cluster().ready().borrow().is_ready()).await;
        node
    }

    /// Waits in real time until something holds on every node.
    pub(super) async fn until(&self, nodes: &[&Node], holds: impl Fn(&Node) -> bool) {
        for _ in 0..20_000 {
            if nodes.iter().all(|node| holds(node)) {
                return self.settle(nodes).await;
            }
            tokio::task::yield_now().await;
            pause().await;
        }
        panic!("it never came to that");
    }

    pub(super) async fn node_with(
        &self,
        options: Options,
        cluster: tocsin_cluster::Options,
    ) -> Node {
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as _;
        let deliveries = CancellationToken::new();
        let parts = {
            let clock = Arc::clone(&clock);
            move |templates| {
                let deny = Deny::parse([]).unwrap();
                Parts { templates, clock, external_url: "http://am".into(), deny }
            }
        };
        let live = reload::load(&options, parts, deliveries.child_token()).await.unwrap();
        let tables = Tables::new(&clock);
        let joined = CancellationToken::new();
        let cluster = Cluster::start(cluster, tables.by_kind(), Arc::clone(&clock), joined.clone())
            .await
            .unwrap();
        let url = "http://am".into();
        let (engine, handle) =
            Engine::new(options, clock, tables, Arc::clone(&cluster), url, live, deliveries);
        let shared = Arc::clone(&engine.shared);
        let stop = CancellationToken::new();
        let task = tokio::spawn(engine.run(stop.clone()));
        let node = Node { handle, shared, cluster, stop, joined, task };
        self.settle(&[&node]).await;
        node
    }

    /// Moves the clock and lets everything happen that falls due meanwhile, each at its time.
    pub(super) async fn run(&self, nodes: &[&Node], duration: Duration) {
        let end = time::add(self.clock.now(), duration);
        self.settle(nodes).await;
        while self.clock.now() < end {
            let now = self.clock.now();
            let next = nodes.iter().filter_map(|node| node.shared.dispatch.next_due()).min();
            let busy = nodes.iter().any(|node| !node.shared.tasks.is_empty());
            // What waits inside a flush, such as a back-off, is met to a tenth of a second.
            let step = if busy { time::add(now, Duration::from_millis(100)) } else { end };
            let next = next.map_or(step, |next| next.max(time::add(now, Duration::from_millis(1))));
            let step = time::since(step.min(next).min(end), now);
            self.clock.now_ns.fetch_add(i64::try_from(step.as_nanos()).unwrap(), Ordering::SeqCst);
            tokio::time::advance(step).await;
            self.settle(nodes).await;
        }
    }

    /// Lets sockets and tasks come to rest without moving the clock.
    async fn settle(&self, nodes: &[&Node]) {
        let mut quiet = 0;
        for _ in 0..60 {
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            pause().await;
            let busy = nodes.iter().any(|node| !node.shared.tasks.is_empty());
            quiet = if busy { 0 } else { quiet + 1 };
            if quiet == 2 {
                return;
            }
        }
    }

    /// What was heard since this was asked last, as `second path: text`.
    pub(super) fn heard(&self) -> Vec<String> {
        let line = |heard: Heard| format!("{} {}: {}", heard.second, heard.path, heard.text());
        self.sink.take().into_iter().map(line).collect()
    }
}

/// A moment of real time, in which the test's clock stands still.
async fn pause() {
    #[expect(
        clippy::disallowed_methods,
        reason = "sockets need real time, and the clock stands still"
    )]
    let sleep = || std::thread::sleep(Duration::from_micros(500));
    tokio::task::spawn_blocking(sleep).await.unwrap();
}

impl Node {
    /// The cluster as this node sees it.
    pub(super) fn view(&self) -> Arc<tocsin_cluster::View> {
        self.cluster.view()
    }

    /// Posts `Name/instance` as firing until it is posted as resolved.
    pub(super) async fn fire(&self, alerts: &[&str]) -> Posted {
        let now = self.handle.now();
        let inputs = alerts.iter().map(|alert| input(alert, now)).collect();
        self.handle.post_alerts(ApiVersion::V2, inputs).await
    }

    /// Posts `Name/instance` as resolved now.
    pub(super) async fn resolve(&self, alerts: &[&str]) {
        let now = self.handle.now();
        let resolved = |alert: &&str| AlertInput { ends_at: Some(now), ..input(alert, epoch()) };
        self.handle.post_alerts(ApiVersion::V2, alerts.iter().map(resolved).collect()).await;
    }

    /// Silences an alertname for an hour from now.
    pub(super) async fn silence(&self, alertname: &str, length: Duration) -> Box<str> {
        let matcher =
            RawMatcher { name: "alertname".into(), op: MatchOp::Equal, value: alertname.into() };
        let silence = SilenceInput {
            matcher_sets: vec![vec![matcher]],
            ends_at: Some(time::add(self.handle.now(), length)),
            ..SilenceInput::default()
        };
        self.handle.set_silence(silence).await.unwrap().id
    }

    /// Ends as at SIGTERM.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
        self.cluster.leave().await;
    }

    /// Ends as at kill -9.
    pub(super) async fn kill(self) {
        self.joined.cancel();
        self.task.abort();
        // Aborted.
        let _ = self.task.await;
    }
}

/// An alert that fires for a week: `Name`, `Name/instance` or `Name/instance severity`.
pub(super) fn input(text: &str, starts_at: Timestamp) -> AlertInput {
    let (text, severity) = text.split_once(' ').unwrap_or((text, ""));
    let (name, instance) = text.split_once('/').unwrap_or((text, ""));
    let labels = [("alertname", name), ("instance", instance), ("severity", severity)];
    AlertInput {
        labels: Labels::new(labels.into_iter().filter(|(_, value)| !value.is_empty())),
        starts_at: Some(starts_at),
        ends_at: Some(time::add(epoch(), Duration::from_secs(7 * 86_400))),
        ..AlertInput::default()
    }
}

/// Hours, minutes, seconds.
pub(super) fn hms(hours: u64, minutes: u64, seconds: u64) -> Duration {
    Duration::from_secs(hours * 3600 + minutes * 60 + seconds)
}
