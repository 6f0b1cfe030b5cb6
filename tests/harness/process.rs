//! A child process whose output is kept and which never outlives its test.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::eventually;

/// One child and the lines that it has printed so far.
pub(crate) struct Process {
    child: Child,
    name: String,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Process {
    pub(crate) fn start(name: &str, command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| {
                panic!("cannot start {command:?}: {e}; tests/run installs what the tests need")
            });
        let lines = Arc::default();
        collect(child.stdout.take().expect("piped"), &lines);
        collect(child.stderr.take().expect("piped"), &lines);
        Self { child, name: name.to_owned(), lines }
    }

    pub(crate) fn output(&self) -> Vec<String> {
        self.lines.lock().expect("not poisoned").clone()
    }

    /// The first line that `pick` makes something of.
    #[track_caller]
    pub(crate) fn wait_line<T>(&mut self, what: &str, pick: impl Fn(&str) -> Option<T>) -> T {
        eventually(&format!("{}: {what}", self.name), Duration::from_secs(60), || {
            let found = self.output().iter().find_map(|line| pick(line));
            if found.is_none()
                && let Ok(Some(status)) = self.child.try_wait()
            {
                panic!(
                    "{} ended with {status} before {what}:\n{}",
                    self.name,
                    self.output().join("\n")
                );
            }
            found
        })
    }

    pub(crate) fn write_line(&mut self, line: &str) {
        use std::io::Write as _;
        let stdin = self.child.stdin.as_mut().expect("piped");
        writeln!(stdin, "{line}").expect("the child reads its input");
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args(["-s", name, &self.pid().to_string()])
            .status()
            .expect("kill runs");
        assert!(status.success(), "kill -s {name} {}", self.name);
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("still ours to kill");
        self.child.wait().expect("ends when killed");
    }

    #[track_caller]
    pub(crate) fn wait_end(&mut self, limit: Duration) -> ExitStatus {
        eventually(&format!("{} ends", self.name), limit, || {
            self.child.try_wait().expect("is our child")
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _reaped = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- {} said:\n{}", self.name, self.output().join("\n"));
        }
    }
}

fn collect(pipe: impl Read + Send + 'static, lines: &Arc<Mutex<Vec<String>>>) {
    let lines = Arc::clone(lines);
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines() {
            let Ok(line) = line else { return };
            lines.lock().expect("not poisoned").push(line);
        }
    });
}
