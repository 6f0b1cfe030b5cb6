//! A balancer on free ports, servers that do as they are told, and a client that sees every byte.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tocsin_lb::config::{AlertMode, Config, LogTo, ServerOptions};
use tocsin_lb::{Flags, LbError, Listeners, serve, serve_flags};
use tokio_util::sync::CancellationToken;

/// Longest wait for anything in these tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What a server does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Sends these bytes and goes on with the connection.
    Answer(Vec<u8>),
    /// Sends these bytes and closes.
    Last(Vec<u8>),
    /// Closes without a byte.
    Close,
    /// Resets the connection.
    Reset,
    /// Answers before the body is read, then closes.
    Early(Vec<u8>),
    /// Says nothing.
    Hang,
    /// Sends these bytes and nothing more, but keeps the connection.
    Stall(Vec<u8>),
    /// Sends these bytes and closes its own side only.
    HalfClose(Vec<u8>),
}

/// An answer of 200 with a body.
pub(crate) fn ok(body: &str) -> Act {
    answer(200, body)
}

/// An answer with a status and a body.
pub(crate) fn answer(status: u16, body: &str) -> Act {
    let text = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    Act::Answer(text.into_bytes())
}

/// A request as a server got it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub head: String,
    pub body: Vec<u8>,
    /// Number of the connection it came on.
    pub connection: usize,
}

impl Seen {
    pub(crate) fn line(&self) -> &str {
        self.head.lines().next().unwrap()
    }

    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        let fields = self.head.lines().skip(1).filter_map(|l| l.split_once(": "));
        fields.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v).collect()
    }
}

type Behaviour = Box<dyn Fn(&Seen) -> Act + Send + Sync>;

/// A server; its health checks pass unless told otherwise.
pub(crate) struct Fake {
    pub address: SocketAddr,
    pub healthy: Arc<AtomicBool>,
    /// What it does with a health check, if not what `healthy` says.
    pub check: Arc<Mutex<Option<Act>>>,
    /// Added to the answer of a health check.
    pub check_header: Arc<Mutex<String>>,
    pub ready: Arc<AtomicBool>,
    /// What it says of itself.
    pub status: Arc<Mutex<Act>>,
    /// Resets the connection after so many bytes of a body.
    pub reset_at: Arc<AtomicUsize>,
    seen: Arc<Mutex<Vec<Seen>>>,
    stop: Arc<AtomicBool>,
    connections: Connections,
}

/// Connections of a server by number; a reset takes its own out, so that none is left open.
type Connections = Arc<Mutex<Vec<(usize, TcpStream)>>>;

impl Fake {
    pub(crate) fn new(behaviour: impl Fn(&Seen) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let fake = Fake {
            address: listener.local_addr().unwrap(),
            healthy: Arc::new(AtomicBool::new(true)),
            check: Arc::default(),
            check_header: Arc::default(),
            ready: Arc::new(AtomicBool::new(true)),
            status: Arc::new(Mutex::new(answer(404, "none"))),
            reset_at: Arc::new(AtomicUsize::new(usize::MAX)),
            seen: Arc::default(),
            stop: Arc::default(),
            connections: Arc::default(),
        };
        fake.accept(listener, Arc::new(Box::new(behaviour)));
        fake
    }

    fn accept(&self, listener: TcpListener, behaviour: Arc<Behaviour>) {
        let (seen, stop, kept) = (self.seen.clone(), self.stop.clone(), self.connections.clone());
        let (healthy, header, ready) =
            (self.healthy.clone(), self.check_header.clone(), self.ready.clone());
        let (reset_at, status, check) =
            (self.reset_at.clone(), self.status.clone(), self.check.clone());
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let Ok(stream) = stream else { return };
                if stop.load(SeqCst) {
                    return;
                }
                kept.lock().unwrap().push((number, stream.try_clone().unwrap()));
                let (kept, reset_at, status) = (kept.clone(), reset_at.clone(), status.clone());
                let check = check.clone();
                let (seen, behaviour) = (seen.clone(), behaviour.clone());
                let (healthy, header, ready) = (healthy.clone(), header.clone(), ready.clone());
                std::thread::spawn(move || {
                    let act = |request: &Seen| match request.line().split(' ').nth(1) {
                        Some("/-/healthy") if check.lock().unwrap().is_some() => {
                            check.lock().unwrap().clone().unwrap()
                        }
                        Some("/-/healthy") if !healthy.load(SeqCst) => answer(500, "ill"),
                        Some("/-/healthy") => {
                            let text = format!(
                                "HTTP/1.1 200 OK\r\n{}Content-Length: 0\r\n\r\n",
                                header.lock().unwrap()
                            );
                            Act::Answer(text.into_bytes())
                        }
                        Some("/api/v2/status") => status.lock().unwrap().clone(),
                        Some("/-/ready") => answer(if ready.load(SeqCst) { 200 } else { 503 }, ""),
                        _ => {
                            let act = behaviour(request);
                            seen.lock().unwrap().push(request.clone());
                            act
                        }
                    };
                    let limit = reset_at.load(SeqCst);
                    converse(stream, number, limit, &act);
                    kept.lock().unwrap().retain(|(n, _)| *n != number);
                });
            }
        });
    }

    /// Requests so far, health checks aside.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Dies: refuses connections and cuts those it has.
    pub(crate) fn kill(&self) {
        self.stop.store(true, SeqCst);
        let _ = TcpStream::connect(self.address);
        self.cut();
        eventually("it refuses", || TcpStream::connect(self.address).is_err().then_some(()));
    }

    /// Closes all connections it has.
    pub(crate) fn cut(&self) {
        for (_, stream) in self.connections.lock().unwrap().drain(..) {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }

    /// Lives again on the same port.
    pub(crate) fn revive(&self, behaviour: impl Fn(&Seen) -> Act + Send + Sync + 'static) {
        self.stop.store(false, SeqCst);
        let listener = eventually("the port is free", || TcpListener::bind(self.address).ok());
        self.accept(listener, Arc::new(Box::new(behaviour)));
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Reads requests from `stream` and acts on each.
fn converse(mut stream: TcpStream, connection: usize, limit: usize, act: &dyn Fn(&Seen) -> Act) {
    let mut bytes = Vec::new();
    loop {
        let Some(head) = read_head(&mut stream, &mut bytes) else { return };
        let seen = Seen { head, body: Vec::new(), connection };
        let length = seen.values("content-length").first().and_then(|v| v.parse().ok());
        let chunked = !seen.values("transfer-encoding").is_empty();
        let early = act_early(&seen, act);
        if let Some(text) = early {
            let _ = stream.write_all(&text);
            let _ = stream.shutdown(std::net::Shutdown::Write);
            std::thread::sleep(Duration::from_millis(50));
            return;
        }
        if !seen.values("expect").is_empty() {
            let _ = stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        let body = match (chunked, length) {
            (true, _) => read_chunked(&mut stream, &mut bytes),
            (false, Some(n)) => read_sized(&mut stream, &mut bytes, n, limit),
            _ => Some(Vec::new()),
        };
        let Some(body) = body else { return };
        match act(&Seen { body, ..seen }) {
            Act::Answer(text) => {
                if stream.write_all(&text).is_err() {
                    return;
                }
            }
            Act::Last(text) | Act::Early(text) => {
                let _ = stream.write_all(&text);
                let _ = stream.shutdown(std::net::Shutdown::Both);
                return;
            }
            Act::Close => {
                let _ = stream.shutdown(std::net::Shutdown::Both);
                return;
            }
            Act::Reset => {
                let socket = socket2::SockRef::from(&stream);
                let _ = socket.set_linger(Some(Duration::ZERO));
                return;
            }
            Act::Hang => return wait_for_end(&mut stream),
            Act::Stall(text) => {
                let _ = stream.write_all(&text);
                return wait_for_end(&mut stream);
            }
            Act::HalfClose(text) => {
                let _ = stream.write_all(&text);
                let _ = stream.shutdown(std::net::Shutdown::Write);
                return wait_for_end(&mut stream);
            }
        }
    }
}

fn wait_for_end(stream: &mut TcpStream) {
    while stream.read(&mut [0; 4096]).is_ok_and(|n| n > 0) {}
}

/// An early answer is asked for by the path, since the body is not there yet.
fn act_early(seen: &Seen, act: &dyn Fn(&Seen) -> Act) -> Option<Vec<u8>> {
    if !seen.line().contains("/early") {
        return None;
    }
    match act(seen) {
        Act::Early(text) => Some(text),
        _ => None,
    }
}

fn read_more(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<()> {
    let mut space = [0; 16384];
    let n = stream.read(&mut space).ok().filter(|n| *n > 0)?;
    bytes.extend_from_slice(&space[..n]);
    Some(())
}

fn read_head(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<String> {
    loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            let rest = bytes.split_off(end + 4);
            let head = std::mem::replace(bytes, rest);
            return Some(String::from_utf8_lossy(&head).into_owned());
        }
        read_more(stream, bytes)?;
    }
}

fn read_sized(
    stream: &mut TcpStream,
    bytes: &mut Vec<u8>,
    n: usize,
    limit: usize,
) -> Option<Vec<u8>> {
    while bytes.len() < n {
        if bytes.len() >= limit {
            let _ = socket2::SockRef::from(&*stream).set_linger(Some(Duration::ZERO));
            return None;
        }
        read_more(stream, bytes)?;
    }
    let rest = bytes.split_off(n);
    Some(std::mem::replace(bytes, rest))
}

fn read_chunked(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = loop {
            if let Some(end) = bytes.windows(2).position(|w| w == b"\r\n") {
                let rest = bytes.split_off(end + 2);
                break std::mem::replace(bytes, rest);
            }
            read_more(stream, bytes)?;
        };
        let size = usize::from_str_radix(std::str::from_utf8(&line).ok()?.trim(), 16).ok()?;
        let piece = read_sized(stream, bytes, size + 2, usize::MAX)?;
        body.extend_from_slice(&piece[..size]);
        if size == 0 {
            return Some(body);
        }
    }
}

/// A balancer that ends with the test.
pub(crate) struct Lb {
    pub address: SocketAddr,
    pub stats: SocketAddr,
    log: tempfile::NamedTempFile,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

/// The guide's set-up before `servers`, with one worker thread.
pub(crate) fn config(servers: &[SocketAddr]) -> Config {
    let mut config = Config::default();
    config.global.threads = 1;
    config.backends[0].alerts.mode = AlertMode::Balance;
    config.backends[0].servers = (1..)
        .zip(servers)
        .map(|(n, address)| ServerOptions::new(&format!("n{n}"), &address.to_string()))
        .collect();
    config
}

impl Lb {
    pub(crate) fn start(mut config: Config) -> Self {
        let log = tempfile::NamedTempFile::new().unwrap();
        config.log[0].to = LogTo::File(log.path().to_owned());
        config.admin_socket = config.admin_socket.filter(|s| s.given);
        Lb::with(log, move |listeners, token| serve(config, listeners, token))
    }

    /// Starts from a file, which can be read again.
    pub(crate) fn from_file(path: &std::path::Path) -> Self {
        let log = tempfile::NamedTempFile::new().unwrap();
        let flags = Flags { config_file: Some(path.to_owned()), ..Flags::default() };
        Lb::with(log, move |listeners, token| serve_flags(flags, listeners, token))
    }

    fn with(
        log: tempfile::NamedTempFile,
        serve: impl FnOnce(Listeners, CancellationToken) -> Result<(), LbError> + Send + 'static,
    ) -> Self {
        let bind = || TcpListener::bind("127.0.0.1:0").unwrap();
        let (front, stats) = (bind(), bind());
        let (address, stats_address) = (front.local_addr().unwrap(), stats.local_addr().unwrap());
        let listeners = Listeners { frontends: vec![(0, front)], stats: vec![stats] };
        let stop = CancellationToken::new();
        let token = stop.clone();
        let thread = std::thread::spawn(move || serve(listeners, token).unwrap());
        Lb { address, stats: stats_address, log, stop, thread: Some(thread) }
    }

    pub(crate) fn over(fakes: &[&Fake]) -> Self {
        Lb::start(config(&fakes.iter().map(|f| f.address).collect::<Vec<_>>()))
    }

    pub(crate) fn connect(&self) -> Talk {
        Talk::to(self.address)
    }

    /// Sends one request on a connection of its own.
    pub(crate) fn ask(&self, request: &str) -> Reply {
        self.connect().ask(request)
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n"))
    }

    pub(crate) fn post(&self, path: &str, body: &str) -> Reply {
        let length = body.len();
        let head = format!("POST {path} HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\n\r\n");
        self.ask(&(head + body))
    }

    /// A page of the stats listener.
    pub(crate) fn page(&self, path: &str) -> Reply {
        Talk::to(self.stats).ask(&format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n"))
    }

    /// Sends something to the stats listener.
    pub(crate) fn tell(&self, request: &str, fields: &str, body: &str) -> Reply {
        let length = body.len();
        let text = format!(
            "{request} HTTP/1.1\r\nHost: t\r\n{fields}Content-Length: {length}\r\n\r\n{body}"
        );
        Talk::to(self.stats).ask(&text)
    }

    /// A field of a row of the CSV.
    pub(crate) fn field(&self, row: &str, name: &str) -> String {
        let text = self.page("/stats;csv").body;
        let mut lines = text.lines();
        let header = lines.next().unwrap().trim_start_matches("# ");
        let at = header.split(',').position(|f| f == name).unwrap();
        let row = lines.find(|l| l.split(',').nth(1) == Some(row)).unwrap();
        row.split(',').nth(at).unwrap().to_owned()
    }

    /// Lines of the access log, once `enough` of them.
    pub(crate) fn log(&self, enough: usize) -> Vec<String> {
        eventually("log lines", || {
            let text = std::fs::read_to_string(self.log.path()).unwrap();
            let streams = text.lines().filter(|l| l.contains(" alertmanager_frontend"));
            let lines: Vec<_> = streams.map(str::to_owned).collect();
            (lines.len() >= enough).then_some(lines)
        })
    }

    /// Everything that was logged.
    pub(crate) fn whole_log(&self) -> String {
        std::fs::read_to_string(self.log.path()).unwrap()
    }

    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for Lb {
    fn drop(&mut self) {
        self.stop.cancel();
        let ended = self.thread.take().unwrap().join();
        if !std::thread::panicking() {
            ended.unwrap();
        }
    }
}

/// An answer as a client got it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reply {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Reply {
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.lines().skip(1).filter_map(|l| l.split_once(": "));
        fields.find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v)
    }
}

/// A client's connection.
pub(crate) struct Talk {
    pub stream: TcpStream,
    bytes: Vec<u8>,
}

impl Talk {
    pub(crate) fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Talk { stream, bytes: Vec::new() }
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).unwrap();
    }

    pub(crate) fn ask(&mut self, request: &str) -> Reply {
        // The answer may come before all was sent; then the rest does not matter.
        let _ = self.stream.write_all(request.as_bytes());
        self.reply(request.starts_with("HEAD"))
    }

    /// Reads one answer, 1xx included. A connection that ends before one gives status 0.
    pub(crate) fn reply(&mut self, is_head: bool) -> Reply {
        let Some(head) = read_head(&mut self.stream, &mut self.bytes) else {
            return Reply::default();
        };
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut reply = Reply { status, head, body: String::new() };
        if is_head || status < 200 || status == 204 || status == 304 {
            return reply;
        }
        let length = reply.value("content-length").and_then(|v| v.parse().ok());
        let body = match (reply.value("transfer-encoding"), length) {
            (Some(_), _) => read_chunked(&mut self.stream, &mut self.bytes),
            (None, Some(n)) => read_sized(&mut self.stream, &mut self.bytes, n, usize::MAX),
            _ => {
                while read_more(&mut self.stream, &mut self.bytes).is_some() {}
                Some(std::mem::take(&mut self.bytes))
            }
        };
        reply.body = body.map_or("<cut>".to_owned(), |b| String::from_utf8_lossy(&b).into_owned());
        reply
    }

    /// Whether the balancer closes, at the latest when patience ends.
    pub(crate) fn is_closed(&mut self) -> bool {
        loop {
            match self.stream.read(&mut [0; 4096]) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return error.kind() == std::io::ErrorKind::ConnectionReset,
            }
        }
    }

    /// Everything until the balancer closes.
    pub(crate) fn rest(&mut self) -> String {
        while read_more(&mut self.stream, &mut self.bytes).is_some() {}
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

/// What the admin socket at `path` answers.
pub(crate) fn say(path: &std::path::Path, command: &str) -> String {
    let connect = || std::os::unix::net::UnixStream::connect(path).ok();
    let mut stream = eventually("the socket", connect);
    stream.write_all(format!("{command}\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Waits until `look` finds something.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        if let Some(found) = look() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("never came: {what}");
}

/// Counts across threads.
pub(crate) fn count() -> Arc<AtomicUsize> {
    Arc::default()
}
