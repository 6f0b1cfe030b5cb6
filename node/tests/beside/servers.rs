//! The two servers, and a client for both.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use serde_json::Value;
use tocsin_node::Options;
use tocsin_service::clock::SystemClock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

/// Where one of them listens.
pub(crate) struct Server {
    address: SocketAddr,
}

impl Server {
    /// Posts JSON; the answer's JSON, or null when it has none.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Value {
        self.ask("POST", path, &body.to_string()).await
    }

    pub(crate) async fn delete(&self, path: &str) {
        self.ask("DELETE", path, "").await;
    }

    async fn ask(&self, method: &str, path: &str, body: &str) -> Value {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{method} {path} {body}: {answer}");
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        serde_json::from_str(body).unwrap_or(Value::Null)
    }
}

/// Debian's.
pub(crate) struct Debian {
    pub(crate) server: Server,
    child: Child,
    _folder: tempfile::TempDir,
}

impl Debian {
    pub(crate) async fn start(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("am.yml");
        std::fs::write(&file, config).unwrap();
        let mut child = Command::new("prometheus-alertmanager")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.path={}", folder.path().join("data").display()))
            .args(["--web.listen-address=127.0.0.1:0", "--cluster.listen-address="])
            .stderr(Stdio::piped())
            .spawn()
            .expect("package prometheus-alertmanager is installed");
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let address = lines
            .find_map(|line| {
                let line = line.contains("Listening on").then_some(line)?;
                line.split("address=").nth(1)?.split(' ').next()?.parse().ok()
            })
            .expect("it listens");
        // It must not stop at a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self { server: Server { address }, child, _folder: folder }
    }
}

impl Drop for Debian {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ours, in this process.
pub(crate) struct Node {
    pub(crate) server: Server,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl Node {
    pub(crate) async fn start(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config_file = folder.path().join("am.yml");
        std::fs::write(&config_file, config).unwrap();
        let storage_path = folder.path().join("data");
        let mut options = Options { config_file, storage_path, ..Options::default() };
        options.cluster.listen_address.clear();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let run = tocsin_node::run(options, vec![listener], Arc::new(SystemClock), stop.clone());
        let task = tokio::spawn(async move {
            if let Err(error) = run.await {
                panic!("{error}: {:?}", std::error::Error::source(&error));
            }
        });
        while TcpStream::connect(address).await.is_err() {
            tokio::task::yield_now().await;
        }
        Self { server: Server { address }, stop, task, _folder: folder }
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}
