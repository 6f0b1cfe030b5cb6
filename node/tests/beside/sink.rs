//! A webhook that keeps what it is told, and when.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

/// One delivery.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    /// Since the scripts began.
    pub(crate) at: Duration,
    /// With the number of its webhook.
    pub(crate) receiver: String,
    pub(crate) group_key: String,
    /// Status, alerts in order with their states, how many were left out.
    pub(crate) text: String,
}

pub(crate) struct Sink {
    port: u16,
    told: Kept,
}

/// When, to which path, what.
type Kept = Arc<Mutex<Vec<(Instant, String, Value)>>>;

impl Sink {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let told: Kept = Arc::default();
        let keep = Arc::clone(&told);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let keep = Arc::clone(&keep);
                // Who sends closes as it likes.
                tokio::spawn(async move { drop(serve(stream, &keep).await) });
            }
        });
        Self { port, told }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    pub(crate) fn take(self, start: Instant) -> Vec<Told> {
        let told = std::mem::take(&mut *self.told.lock().unwrap());
        told.iter().map(|(at, path, body)| told_of(at.duration_since(start), path, body)).collect()
    }
}

fn told_of(at: Duration, path: &str, body: &Value) -> Told {
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    let mut text = word(&body["status"]);
    for alert in body["alerts"].as_array().unwrap() {
        let labels = alert["labels"].as_object().unwrap();
        let values: Vec<_> = labels
            .iter()
            .filter(|(name, _)| *name != "script")
            .map(|(_, value)| word(value))
            .collect();
        text += &format!(" {}", values.join("/"));
        if alert["status"] == "resolved" {
            text += "!";
        }
    }
    match body["truncatedAlerts"].as_u64().unwrap() {
        0 => {}
        truncated => text += &format!(" +{truncated}"),
    }
    Told { at, receiver: word(&body["receiver"]) + path, group_key: word(&body["groupKey"]), text }
}

async fn serve(mut stream: TcpStream, keep: &Kept) -> std::io::Result<()> {
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
        let at = Instant::now();
        let text = String::from_utf8_lossy(&buffer[..head]).to_lowercase();
        let path = text.split(' ').nth(1).unwrap_or_default().to_owned();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.map_or(0, |length| length.trim().parse().unwrap());
        while buffer.len() < head + length {
            stream.read_buf(&mut buffer).await?;
        }
        let body = serde_json::from_slice(&buffer[head..head + length]).unwrap();
        buffer.drain(..head + length);
        keep.lock().unwrap().push((at, path, body));
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await?;
    }
}
