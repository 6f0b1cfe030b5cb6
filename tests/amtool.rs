//! The same command lines for Debian's amtool 0.25 and for ours, each on a server of its own: the same exit codes and
//! the same output, but for times, ids and the differences in a list.

mod files;
mod lines;
mod ours;
mod plain;

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::harness::process::Process;
use crate::harness::tocsin::tocsin;
use crate::harness::{eventually, free_port, http};

use lines::{Case, DIFFERENCES, LINES};
use plain::Transcript;

/// Which program answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Debian,
    Ours,
}

/// A server with the files that command lines name.
struct Server {
    port: u16,
    directory: TempDir,
    _process: Process,
}

impl Server {
    fn start(kind: Kind) -> Self {
        Self::start_in(kind, files::directory())
    }

    /// Starts it on the `am.yml` of a directory.
    fn start_in(kind: Kind, directory: TempDir) -> Self {
        let port = free_port();
        let mut command = match kind {
            Kind::Debian => Command::new("prometheus-alertmanager"),
            Kind::Ours => tocsin(),
        };
        if kind == Kind::Ours {
            command.arg("node");
        }
        command
            .current_dir(directory.path())
            .arg("--config.file=am.yml")
            .arg(format!("--storage.path={}", directory.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--cluster.listen-address=");
        let process = Process::start(&format!("{kind:?} server"), &mut command);
        eventually("the server answers", Duration::from_secs(60), || {
            http::get(port, "/api/v2/status").ok().filter(|answer| answer.status == 200)
        });
        Self { port, directory, _process: process }
    }
}

/// What a tool has said and with which code, made plain.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

/// A tool, its server, and the ids that it has been told.
struct Tool {
    kind: Kind,
    server: Server,
    transcript: Transcript,
}

impl Tool {
    fn new(kind: Kind, server: Kind) -> Self {
        let server = Server::start(server);
        let transcript = Transcript::new(server.port);
        Self { kind, server, transcript }
    }

    fn run(&mut self, case: &Case) -> Said {
        let words = self.transcript.words(case.words());
        let directory = self.server.directory.path();
        let mut command = match self.kind {
            Kind::Debian => Command::new("amtool"),
            Kind::Ours => tocsin(),
        };
        if self.kind == Kind::Ours {
            command.arg("amtool");
        }
        if case.with_server() {
            command.arg(format!("--alertmanager.url=http://127.0.0.1:{}", self.server.port));
        }
        let output = command
            .args(words)
            .current_dir(directory)
            .env("HOME", directory.join(case.home()))
            .stdin(stdin(directory, case))
            .output()
            .expect("both tools run; tests/run installs Debian's");
        self.plain(&output)
    }

    fn plain(&mut self, output: &Output) -> Said {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("tools print UTF-8");
        Said {
            code: output.status.code(),
            out: self.transcript.out(&text(&output.stdout)),
            err: self.transcript.err(&text(&output.stderr)),
        }
    }
}

fn stdin(directory: &Path, case: &Case) -> Stdio {
    case.stdin().map_or_else(Stdio::null, |name| {
        File::open(directory.join(name)).expect("one of our files").into()
    })
}

/// Runs all lines with both tools and compares.
fn compare(server: Kind) {
    let (mut theirs, mut ours) = (Tool::new(Kind::Debian, server), Tool::new(Kind::Ours, server));
    let mut unknown = String::new();
    let mut seen = BTreeSet::new();
    for line in LINES {
        let case = Case::new(line);
        let (theirs, ours) = (theirs.run(&case), ours.run(&case));
        if theirs == ours {
            continue;
        }
        let known = DIFFERENCES.iter().position(|known| known.line == *line);
        match known {
            Some(at)
                if DIFFERENCES[at].allows(theirs.code == ours.code, theirs.out == ours.out) =>
            {
                seen.insert(at);
            }
            None if cannot_read(server, &theirs) => {}
            _ => unknown.push_str(&format!("{line}\n  amtool: {theirs:?}\n    ours: {ours:?}\n")),
        }
    }
    assert!(unknown.is_empty(), "differences nobody has explained:\n{unknown}");
    for (at, known) in DIFFERENCES.iter().enumerate() {
        let shown = known.sometimes || seen.contains(&at);
        assert!(shown, "no longer a difference: {}: {}", known.line, known.reason);
    }
}

/// What a node shows of its configuration has keys that 0.25 does not know, as that of upstream's 0.34 has.
fn cannot_read(server: Kind, theirs: &Said) -> bool {
    server == Kind::Ours && theirs.err.contains("not found in type config.plain")
}

#[test]
fn each_command_has_its_lines() {
    assert!(LINES.len() >= 150, "{} lines", LINES.len());
    let unique: BTreeSet<&str> = LINES.iter().copied().collect();
    for known in DIFFERENCES {
        assert!(unique.contains(known.line), "no such line: {}", known.line);
    }
}

#[test]
fn both_tools_agree_on_debians_server() {
    compare(Kind::Debian);
}

#[test]
fn both_tools_agree_on_our_node() {
    compare(Kind::Ours);
}
