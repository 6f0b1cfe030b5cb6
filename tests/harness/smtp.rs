//! Debian's aiosmtpd as the mail server, in a process of its own.

use std::process::Command;

use serde_json::Value;

use super::process::Process;

/// A running server and the mails it has accepted.
pub(crate) struct Smtp {
    process: Process,
    pub(crate) port: u16,
}

impl Smtp {
    pub(crate) fn start() -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/harness/smtp_server.py");
        let mut process =
            Process::start("smtp server", Command::new("/usr/bin/python3").arg(script));
        let port =
            process.wait_line("tells its port", |line| line.strip_prefix("port ")?.parse().ok());
        Self { process, port }
    }

    pub(crate) fn mails(&self) -> Vec<Value> {
        self.process.output().iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}
