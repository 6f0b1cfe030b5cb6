//! Debian's Prometheus with rules that fire while a metric of ours says so.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tempfile::TempDir;

use super::free_port;
use super::process::Process;

/// A running Prometheus that posts to one Alertmanager address.
pub(crate) struct Prometheus {
    firing: Arc<AtomicBool>,
    _process: Process,
    _directory: TempDir,
}

impl Prometheus {
    /// Rules `Rule0`… all fire from the first evaluation on.
    pub(crate) fn start(alertmanager: u16, rules: usize, resend_delay: &str) -> Self {
        let firing = Arc::new(AtomicBool::new(true));
        let target = serve_metric(&firing);
        let directory = TempDir::new().expect("a temporary directory");
        let write = |name: &str, text: String| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).expect("writable");
            path
        };
        write("rules.yml", rules_file(rules));
        let config = write("prometheus.yml", config_file(alertmanager, target));
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", directory.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{}", free_port()))
            .arg(format!("--rules.alert.resend-delay={resend_delay}"));
        let mut process = Process::start("prometheus", &mut command);
        process.wait_line("is ready", |line| {
            line.contains("ready to receive web requests").then_some(())
        });
        Self { firing, _process: process, _directory: directory }
    }

    /// From the next evaluation on no rule fires.
    pub(crate) fn calm(&self) {
        self.firing.store(false, Ordering::Relaxed);
    }
}

fn rules_file(rules: usize) -> String {
    let rules: Vec<String> = (0..rules)
        .map(|i| {
            let severity = ["critical", "warning", "info"][i % 3];
            format!(
                "  - alert: Rule{i}\n    expr: test_firing == 1\n    labels: {{severity: {severity}, cluster: c{i}}}\n    \
                 annotations: {{summary: 'rule {i} fires', description: 'as long as the metric is 1'}}\n"
            )
        })
        .collect();
    format!("groups:\n- name: test\n  rules:\n{}", rules.concat())
}

fn config_file(alertmanager: u16, target: u16) -> String {
    format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
         rule_files: [rules.yml]\n\
         alerting:\n  alertmanagers:\n  - timeout: 10s\n    api_version: v2\n    \
         static_configs: [{{targets: ['127.0.0.1:{alertmanager}']}}]\n\
         scrape_configs:\n- job_name: test\n  static_configs: [{{targets: ['127.0.0.1:{target}']}}]\n"
    )
}

fn serve_metric(firing: &Arc<AtomicBool>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
    let port = listener.local_addr().expect("bound").port();
    let firing = Arc::clone(firing);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let firing = Arc::clone(&firing);
            std::thread::spawn(move || answer_scrapes(&stream, &firing));
        }
    });
    port
}

fn answer_scrapes(stream: &TcpStream, firing: &AtomicBool) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if line.trim_end().is_empty() {
                break;
            }
        }
        let body = format!("test_firing {}\n", u8::from(firing.load(Ordering::Relaxed)));
        let mut writer = stream;
        write!(
            writer,
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .ok()?;
    }
}
