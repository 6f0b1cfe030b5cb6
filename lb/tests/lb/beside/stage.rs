//! One balancer, ours or Debian's HAProxy, over servers that do as they are told; and what was seen of it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use super::{Change, Facts};
use crate::harness::*;

/// The guide's file.
pub(crate) const GUIDE: &str = include_str!("../../../../tests/golden/guide_haproxy.cfg");

/// Who balances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    HAProxy,
    Tocsin,
}

type Behaviour = Arc<dyn Fn(&Seen) -> Act + Send + Sync>;

/// A balancer over one to three servers.
pub(crate) struct Stage {
    /// Whether what the scenario is about happens: not in a twin that is played without it.
    pub fault: bool,
    pub servers: Vec<Fake>,
    pub stats: SocketAddr,
    pub socket: PathBuf,
    address: SocketAddr,
    behaviours: Vec<Arc<Mutex<Behaviour>>>,
    facts: Mutex<Facts>,
    running: Running,
    _directory: tempfile::TempDir,
}

enum Running {
    HAProxy(Child, Arc<Mutex<Vec<String>>>),
    Tocsin { _lb: Box<Lb>, log: PathBuf },
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Running::HAProxy(child, _) = self {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// An answer that says that it comes from a server.
pub(crate) fn served(status: u16, body: &str) -> Act {
    Act::Answer(served_bytes(status, body))
}

pub(crate) fn served_bytes(status: u16, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\nX-By: server\r\nContent-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}

impl Stage {
    /// Starts a balancer of the guide's file with `changes`, each of which must change something.
    pub(crate) fn set(subject: Subject, count: usize, changes: &[Change], fault: bool) -> Self {
        let standard =
            |n: usize| -> Behaviour { Arc::new(move |_| served(200, &format!("from {n}"))) };
        let behaviours: Vec<_> = (1..=count).map(|n| Arc::new(Mutex::new(standard(n)))).collect();
        let servers = behaviours.iter().map(|behaviour| {
            let behaviour = behaviour.clone();
            Fake::new(move |seen| {
                let act = behaviour.lock().unwrap().clone();
                act(seen)
            })
        });
        let servers: Vec<Fake> = servers.collect();
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("s");
        let text = file(&socket, &servers, changes);
        let path = directory.path().join("lb.cfg");
        let (address, stats, running) = match subject {
            Subject::HAProxy => haproxy(&path, &text),
            Subject::Tocsin => tocsin(&path, &text),
        };
        eventually("it runs", || UnixStream::connect(&socket).ok());
        let stage = Stage {
            fault,
            servers,
            stats,
            socket,
            address,
            behaviours,
            facts: Mutex::default(),
            running,
            _directory: directory,
        };
        stage.settle();
        stage
    }

    /// Waits until each server has been checked, so that nothing depends on when its first check comes.
    fn settle(&self) {
        for n in 1..=self.servers.len() {
            let name = format!("alertmanager{n}");
            eventually("the first checks", || {
                let status = self.field(&name, "status");
                (status == "UP" || status == "no check" || status == "MAINT").then_some(())
            });
        }
    }

    /// From now on server `n` of 1 to 3 does this.
    pub(crate) fn act(&self, n: usize, act: impl Fn(&Seen) -> Act + Send + Sync + 'static) {
        *self.behaviours[n - 1].lock().unwrap() = Arc::new(act);
    }

    /// Notes something that must be the same on both.
    pub(crate) fn fact(&self, text: impl Into<String>) {
        self.facts.lock().unwrap().push(text.into());
    }

    pub(crate) fn facts(self) -> Facts {
        std::mem::take(&mut self.facts.lock().unwrap())
    }

    pub(crate) fn connect(&self) -> Talk {
        Talk::to(self.address)
    }

    /// Sends bytes on a connection of their own and notes the answer and what becomes of the connection.
    pub(crate) fn ask(&self, request: &str) -> Reply {
        let mut talk = self.connect();
        self.ask_on(&mut talk, request)
    }

    pub(crate) fn ask_on(&self, talk: &mut Talk, request: &str) -> Reply {
        let reply = talk.ask(request);
        self.note(talk, &reply);
        reply
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        self.ask(&get(path))
    }

    /// Notes an answer and what becomes of the connection.
    pub(crate) fn note(&self, talk: &mut Talk, reply: &Reply) {
        let connection = match reply.value("connection") {
            Some(value) if value.eq_ignore_ascii_case("close") => {
                if talk.is_closed() {
                    "closed"
                } else {
                    "open although it said close"
                }
            }
            _ if reply.status == 0 => {
                if talk.is_closed() {
                    "closed"
                } else {
                    "open"
                }
            }
            _ => "kept",
        };
        self.fact(format!("{}, {connection}", show(reply)));
    }

    /// Asks only, without noting anything.
    pub(crate) fn quiet(&self, path: &str) -> Reply {
        self.connect().ask(&get(path))
    }

    /// What the admin socket answers.
    pub(crate) fn say(&self, command: &str) -> String {
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(format!("{command}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// A field of the statistics by the socket; `row` is `FRONTEND`, `BACKEND` or a server's name.
    pub(crate) fn field(&self, row: &str, name: &str) -> String {
        field_of(&self.say("show stat"), row, name)
    }

    /// Notes fields of a row.
    pub(crate) fn note_fields(&self, row: &str, names: &[&str]) {
        let text = self.say("show stat");
        let fields = names.iter().map(|name| format!("{name}={}", field_of(&text, row, name)));
        self.fact(format!("{row}: {}", fields.collect::<Vec<_>>().join(" ")));
    }

    pub(crate) fn wait_field(&self, row: &str, name: &str, value: &str) {
        let mut last = String::new();
        let until = std::time::Instant::now() + PATIENCE;
        while std::time::Instant::now() < until {
            last = self.field(row, name);
            if last == value {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("{name} of {row} never became {value}, it is {last}");
    }

    /// Notes how many requests each server got, for all servers.
    pub(crate) fn note_counts(&self) {
        let counts: Vec<_> = self.servers.iter().map(|s| s.seen().len().to_string()).collect();
        self.fact(format!("requests at the servers: {}", counts.join(" ")));
    }

    /// Notes the header lines of this name which server `n` got with its last request.
    pub(crate) fn note_got(&self, n: usize, name: &str) {
        let seen = eventually("a request", || self.servers[n - 1].seen().last().cloned());
        self.fact(format!("server got {name}: {:?}", seen.values(name)));
    }

    fn lines(&self) -> Vec<String> {
        match &self.running {
            Running::HAProxy(_, lines) => lines.lock().unwrap().clone(),
            Running::Tocsin { log, .. } => {
                let text = std::fs::read_to_string(log).unwrap_or_default();
                // The last line may be half written.
                let whole = text.rfind('\n').map_or("", |end| &text[..end]);
                whole.lines().map(str::to_owned).collect()
            }
        }
    }

    /// Lines of the access log, once there are `enough`.
    pub(crate) fn access(&self, enough: usize) -> Vec<String> {
        eventually("log lines", || {
            let lines = self.lines().into_iter().filter(|l| l.contains(" alertmanager_frontend "));
            let lines: Vec<_> = lines.collect();
            (lines.len() >= enough).then_some(lines)
        })
    }

    /// Notes the access log, once it has `enough` lines, without what differs from run to run.
    pub(crate) fn note_log(&self, enough: usize) {
        for line in self.access(enough) {
            self.fact(masked(&line));
        }
    }

    /// Notes what was logged of this server's state.
    pub(crate) fn note_events(&self, enough: usize) {
        let events = eventually("events", || {
            let lines = self.lines().into_iter();
            let lines = lines.filter_map(|l| Some(l[l.find("Server alert")?..].to_owned()));
            let lines: Vec<_> = lines.collect();
            (lines.len() >= enough).then_some(lines)
        });
        for event in events {
            let masked = event.split_once(" check duration: ").map_or(event.clone(), |(a, b)| {
                let rest = b.split_once("ms").map_or("", |(_, rest)| rest);
                format!("{a} check duration: Nms{rest}")
            });
            self.fact(masked);
        }
    }
}

pub(crate) fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n")
}

pub(crate) fn post(path: &str, body: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// The answer in a few words; the texts of a balancer's own answers are its own.
pub(crate) fn show(reply: &Reply) -> String {
    let body = match reply.body.len() {
        _ if reply.value("x-by").is_none() => "own text".to_owned(),
        0..60 => format!("{:?}", reply.body),
        n => format!("{n} bytes"),
    };
    format!("{} {body}", reply.status)
}

pub(crate) fn field_of(csv: &str, row: &str, name: &str) -> String {
    let mut lines = csv.lines();
    let header = lines.next().unwrap().trim_start_matches("# ");
    let at = header.split(',').position(|f| f == name).unwrap();
    let mut rows = lines.filter(|l| !l.starts_with("stats,"));
    let row = rows.find(|l| l.split(',').nth(1) == Some(row)).unwrap();
    row.split(',').nth(at).unwrap().to_owned()
}

/// A line of the log without time, port, sizes of own answers, and counts of connections.
pub(crate) fn masked(line: &str) -> String {
    let start = line.find("127.0.0.1:").unwrap_or(0);
    let words: Vec<&str> = line[start..].splitn(12, ' ').collect();
    let [_, _, frontend, place, times, status, _, c1, c2, term, connections, rest] = words[..]
    else {
        return format!("not a log line: {line}");
    };
    let times: Vec<_> = times.split('/').map(|t| if t == "-1" { "-1" } else { "N" }).collect();
    let retries = connections.rsplit('/').next().unwrap_or_default();
    let times = times.join("/");
    format!("{frontend} {place} {times} {status} {c1} {c2} {term} retries={retries} {rest}")
}

/// The guide's file for these servers, with changes.
fn file(socket: &Path, servers: &[Fake], changes: &[Change]) -> String {
    let mut text = GUIDE.to_owned();
    for line in ["daemon", "chroot /var/lib/haproxy", "user haproxy", "group haproxy"] {
        change(&mut text, &format!("    {line}\n"), "");
    }
    for (from, to) in changes {
        change(&mut text, from, to);
    }
    // So that the first check comes soon.
    if !text.contains("fastinter") {
        text = text.replace(" inter ", " fastinter 100ms inter ");
    }
    change(&mut text, "/run/haproxy/admin.sock", socket.to_str().unwrap());
    for n in 1..=3 {
        let address = format!("203.0.113.{}:9093", 9 + n);
        match servers.get(n - 1) {
            Some(server) => change(&mut text, &address, &server.address.to_string()),
            None => {
                let kept = text.lines().filter(|l| !l.contains(&address));
                text = kept.map(|l| format!("{l}\n")).collect();
            }
        }
    }
    text
}

#[track_caller]
fn change(text: &mut String, from: &str, to: &str) {
    assert!(text.contains(from), "the file has no {from:?}");
    *text = text.replace(from, to);
}

/// Only one process at a time is started, so that none inherits another's sockets.
static START: Mutex<()> = Mutex::new(());

fn haproxy(path: &Path, text: &str) -> (SocketAddr, SocketAddr, Running) {
    let bind = || TcpListener::bind("127.0.0.1:0").unwrap();
    let (front, stats) = (bind(), bind());
    let text = text
        .replace("bind *:9093", &format!("bind fd@{}", front.as_raw_fd()))
        .replace("bind *:8404", &format!("bind fd@{}", stats.as_raw_fd()));
    std::fs::write(path, text).unwrap();
    let mut command = Command::new("/usr/sbin/haproxy");
    command.arg("-f").arg(path).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = {
        let _alone = START.lock().unwrap();
        for socket in [&front, &stats] {
            rustix::io::fcntl_setfd(socket, rustix::io::FdFlags::empty()).unwrap();
        }
        let child = command.spawn().expect("Debian's haproxy; tests/run installs it");
        for socket in [&front, &stats] {
            rustix::io::fcntl_setfd(socket, rustix::io::FdFlags::CLOEXEC).unwrap();
        }
        child
    };
    let lines: Arc<Mutex<Vec<String>>> = Arc::default();
    let (out, kept) = (child.stdout.take().unwrap(), lines.clone());
    std::thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            kept.lock().unwrap().push(line);
        }
    });
    let addresses = (front.local_addr().unwrap(), stats.local_addr().unwrap());
    (addresses.0, addresses.1, Running::HAProxy(child, lines))
}

/// Ours runs what `tocsin lb convert` makes of the same file, every line of which must have an equivalent.
fn tocsin(path: &Path, text: &str) -> (SocketAddr, SocketAddr, Running) {
    let converted = tocsin_lb::convert::convert(text);
    assert!(!converted.changes_traffic(), "{:?}", converted.left);
    let log = path.with_extension("log");
    let yaml = converted.yaml.replace("to: stdout", &format!("to: {}", log.display()));
    assert_ne!(yaml, converted.yaml);
    std::fs::write(path, yaml).unwrap();
    let lb = Box::new(Lb::from_file(path));
    (lb.address, lb.stats, Running::Tocsin { _lb: lb, log })
}
