//! The balancer under traffic while its file changes and while a new process takes over; sockets and rights that it is given.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use tempfile::TempDir;

use crate::harness::process::Process;
use crate::harness::tocsin::tocsin;
use crate::harness::{eventually, free_port, http};

/// A server that answers every request with 200 as long as the test runs.
fn server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer_all(stream));
        }
    });
    port
}

fn answer_all(mut stream: TcpStream) {
    let mut bytes = Vec::new();
    while read_head(&mut stream, &mut bytes).is_some() {
        if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").is_err() {
            return;
        }
    }
}

/// The next header, without its end; nothing when the connection ends.
fn read_head(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<String> {
    loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            let rest = bytes.split_off(end + 4);
            let head = std::mem::replace(bytes, rest);
            return Some(String::from_utf8_lossy(&head).into_owned());
        }
        let mut space = [0; 4096];
        let n = stream.read(&mut space).ok().filter(|n| *n > 0)?;
        bytes.extend_from_slice(&space[..n]);
    }
}

/// A balancer, whose process may be replaced by another.
struct Balancer {
    directory: TempDir,
    port: u16,
    stats: u16,
    first: Process,
}

impl Balancer {
    fn config(directory: &TempDir, port: u16, stats: u16, more: &str, servers: &[u16]) -> PathBuf {
        let path = directory.path().join("lb.yml");
        let line = |(n, port): (usize, &u16)| {
            format!("      - {{name: n{n}, address: \"127.0.0.1:{port}\"}}\n")
        };
        let servers: String = servers.iter().enumerate().map(line).collect();
        let text = format!(
            "global: {{threads: 2, log: [{{to: {log}}}]{more}}}\n\
             timeouts: {{http_keep_alive: 2s}}\n\
             admin_socket: {{path: {socket}}}\n\
             frontends: [{{name: f, bind: ['127.0.0.1:{port}']}}]\n\
             stats: {{bind: ['127.0.0.1:{stats}']}}\n\
             backends:\n  - name: b\n    servers:\n{servers}",
            log = directory.path().join("log").display(),
            socket = directory.path().join("s").display(),
        );
        std::fs::write(&path, text).expect("writable");
        path
    }

    fn start(servers: &[u16]) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let (port, stats) = (free_port(), free_port());
        let file = Self::config(&directory, port, stats, "", servers);
        let first = Process::start("balancer", tocsin().args(["lb", "--config.file"]).arg(file));
        let balancer = Self { directory, port, stats, first };
        eventually("it serves", Duration::from_secs(30), || {
            http::get(port, "/").ok().filter(|a| a.status == 200)
        });
        balancer
    }

    fn configure(&self, servers: &[u16]) {
        Self::config(&self.directory, self.port, self.stats, "", servers);
    }

    fn say(&self, command: &str) -> String {
        let path = self.directory.path().join("s");
        let mut stream =
            eventually("the socket", Duration::from_secs(20), || UnixStream::connect(&path).ok());
        stream.write_all(format!("{command}\n").as_bytes()).expect("it listens");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        answer
    }

    fn pid(&self) -> u32 {
        let info = self.say("show info");
        let line = info.lines().find_map(|l| l.strip_prefix("Pid: ")).expect("a number");
        line.parse().expect("a number")
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        // The process that took over is nobody's child any more.
        let path = self.directory.path().join("s");
        let Ok(mut stream) = UnixStream::connect(path) else { return };
        let _gone = stream.write_all(b"show info\n");
        let mut info = String::new();
        let _gone = stream.read_to_string(&mut info);
        if let Some(pid) = info.lines().find_map(|l| l.strip_prefix("Pid: ")) {
            let _gone = Command::new("kill").args(["-s", "KILL", pid]).status();
        }
    }
}

/// Asks on one connection until the balancer says that it is the last answer; then on the next.
fn client(port: u16, stop: &AtomicBool, asked: &AtomicU64, failed: &AtomicU64, per: usize) {
    while !stop.load(SeqCst) {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else {
            failed.fetch_add(1, SeqCst);
            continue;
        };
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
        let mut bytes = Vec::new();
        for n in 1..=per {
            asked.fetch_add(1, SeqCst);
            let last = if n == per { "Connection: close\r\n" } else { "" };
            let request = format!("GET / HTTP/1.1\r\nHost: t\r\n{last}\r\n");
            let sent = stream.write_all(request.as_bytes());
            let head = sent.ok().and_then(|()| read_head(&mut stream, &mut bytes));
            let Some(head) = head.filter(|h| h.starts_with("HTTP/1.1 200")) else {
                failed.fetch_add(1, SeqCst);
                break;
            };
            while bytes.len() < 2 {
                let mut space = [0; 2];
                match stream.read(&mut space) {
                    Ok(n @ 1..) => bytes.extend_from_slice(&space[..n]),
                    _ => break,
                }
            }
            bytes.clear();
            if head.to_ascii_lowercase().contains("connection: close") || stop.load(SeqCst) {
                break;
            }
        }
    }
}

#[test]
fn reloads_and_handovers_fail_no_request() {
    let servers = [server(), server(), server()];
    let mut balancer = Balancer::start(&servers);
    let (stop, asked, failed) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    balancer.say("set server b/n1 state drain");
    balancer.say("set weight b/n0 7");
    let old = balancer.pid();
    std::thread::scope(|scope| {
        for per in [1, 1, 50, 50] {
            let (port, stop, asked, failed) = (balancer.port, &stop, &asked, &failed);
            scope.spawn(move || client(port, stop, asked, failed, per));
        }
        let more = |n: u64| {
            let wanted = asked.load(SeqCst) + n;
            eventually("traffic", Duration::from_secs(30), || {
                (asked.load(SeqCst) >= wanted).then_some(())
            });
        };
        for round in 0..10 {
            balancer.configure(&servers[..if round % 2 == 0 { 2 } else { 3 }]);
            assert_eq!(balancer.say("reload"), "Success=1\n\n");
            more(20);
        }
        balancer.first.signal("USR2");
        let new = eventually("another process answers", Duration::from_secs(30), || {
            Some(balancer.pid()).filter(|pid| *pid != old)
        });
        more(100);
        let end = balancer.first.wait_end(Duration::from_secs(30));
        assert!(end.success(), "{end}");
        // The one that took over hands over in its turn.
        let upgrade = tocsin()
            .args(["lb", "--upgrade", "--config.file"])
            .arg(balancer.directory.path().join("lb.yml"))
            .status();
        assert!(upgrade.expect("it runs").success());
        assert_ne!(balancer.pid(), new);
        more(100);
        stop.store(true, SeqCst);
    });
    assert_eq!(failed.load(SeqCst), 0, "of {} requests", asked.load(SeqCst));
    let rows = http::get(balancer.stats, "/stats;csv").expect("the page").body;
    let row = |name: &str| {
        rows.lines().find(|l| l.starts_with(&format!("b,{name},"))).expect("a row").to_owned()
    };
    assert!(row("n1").contains(",DRAIN"), "{}", row("n1"));
    assert_eq!(row("n0").split(',').nth(18), Some("7"), "{}", row("n0"));
    let total: u64 = row("BACKEND").split(',').nth(7).expect("stot").parse().expect("a number");
    assert!(total > asked.load(SeqCst) / 2, "counts were not handed over: {total}");
}

#[test]
fn a_new_process_that_cannot_serve_changes_nothing() {
    let servers = [server()];
    let balancer = Balancer::start(&servers);
    let pid = balancer.pid();
    let file = balancer.directory.path().join("lb.yml");
    let good = std::fs::read_to_string(&file).expect("readable");
    std::fs::write(&file, good.clone() + "nonsense: 1\n").expect("writable");
    let answer = balancer.say("upgrade");
    assert!(answer.contains("the new process did not serve"), "{answer}");
    assert_eq!(balancer.pid(), pid);
    assert_eq!(http::get(balancer.port, "/").expect("it answers").status, 200);
    std::fs::write(&file, good).expect("writable");
    assert_eq!(balancer.say("upgrade"), "\n");
    eventually("another process answers", Duration::from_secs(30), || {
        Some(balancer.pid()).filter(|now| *now != pid)
    });
}

#[test]
fn sockets_of_the_service_manager_are_used() {
    let directory = TempDir::new().expect("a temporary directory");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let servers = [server()];
    // The address of the file is another: the socket has the frontend's name.
    let file = Balancer::config(&directory, free_port(), free_port(), "", &servers);
    let binary = env!("CARGO_BIN_EXE_tocsin");
    let script = format!(
        "exec 3<&0 </dev/null; export LISTEN_FDS=1 LISTEN_FDNAMES=f LISTEN_PID=$$; exec {binary} lb --config.file={}",
        file.display()
    );
    let mut command = Command::new("sh");
    command.args(["-c", &script]).stdin(Stdio::from(OwnedFd::from(listener)));
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().expect("sh runs");
    let answer = eventually("it serves", Duration::from_secs(30), || {
        http::get(port, "/").ok().filter(|a| a.status == 200)
    });
    child.kill().expect("ours");
    child.wait().expect("ends");
    assert_eq!(answer.body, "ok");
}

#[test]
fn rights_are_given_up_where_there_are_any() {
    let directory = TempDir::new().expect("a temporary directory");
    let port = free_port();
    let user = ", user: nobody";
    let file = Balancer::config(&directory, port, free_port(), user, &[server()]);
    let process = Process::start("balancer", tocsin().args(["lb", "--config.file"]).arg(file));
    eventually("it serves", Duration::from_secs(30), || {
        http::get(port, "/").ok().filter(|a| a.status == 200)
    });
    let tasks = std::fs::read_dir(format!("/proc/{}/task", process.pid())).expect("it lives");
    let root = rustix::process::geteuid().is_root();
    for task in tasks.flatten() {
        let status = std::fs::read_to_string(task.path().join("status")).expect("readable");
        let ids = status.lines().find(|l| l.starts_with("Uid:")).expect("a line").to_owned();
        let is_nobody = ids.split_whitespace().skip(1).all(|id| id == "65534");
        assert_eq!(is_nobody, root, "{ids}");
        assert_eq!(status.contains("NoNewPrivs:\t1"), root);
    }
}
