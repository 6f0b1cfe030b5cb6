//! A client that sends what it is told and shows what it got.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// An answer, taken apart.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case; values of a repeated name joined by `, `.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {} {:?}", self.status, self.body))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Option<String>,
}

pub(crate) fn get(path: impl Into<String>) -> Ask {
    ask("GET", path)
}

pub(crate) fn ask(method: &'static str, path: impl Into<String>) -> Ask {
    Ask { method, path: path.into(), headers: Vec::new(), body: None }
}

/// A POST of JSON.
pub(crate) fn post(path: impl Into<String>, body: impl ToString) -> Ask {
    ask("POST", path).header("Content-Type", "application/json").body(body)
}

impl Ask {
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn body(mut self, body: impl ToString) -> Self {
        self.body = Some(body.to_string());
        self
    }

    pub(crate) async fn to(&self, server: SocketAddr) -> Answer {
        let mut text = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        if !self.headers.iter().any(|(name, _)| *name == "Host") {
            text += &format!("Host: {server}\r\n");
        }
        for (name, value) in &self.headers {
            text += &format!("{name}: {value}\r\n");
        }
        if let Some(body) = &self.body {
            text += &format!("Content-Length: {}\r\n", body.len());
        }
        text += "Connection: close\r\n\r\n";
        text += self.body.as_deref().unwrap_or("");
        let bytes = exchange(server, text.as_bytes(), false).await;
        parse(&bytes, self.method).unwrap_or_else(|| {
            panic!("no answer to {self:?}: {:?}", String::from_utf8_lossy(&bytes))
        })
    }
}

/// Sends bytes, says that no more will come, and reads to the end.
pub(crate) async fn talk(server: SocketAddr, request: &[u8]) -> Vec<u8> {
    exchange(server, request, true).await
}

/// Upstream gives up a request whose sender has closed its half, so that is left to the caller.
async fn exchange(server: SocketAddr, request: &[u8], half_close: bool) -> Vec<u8> {
    let exchange = async {
        let mut socket = TcpStream::connect(server).await.unwrap();
        let (mut reads, mut writes) = socket.split();
        let mut answer = Vec::new();
        // A server may answer and close before it has read everything.
        let send = async {
            let _ = writes.write_all(request).await;
            if half_close {
                let _ = writes.shutdown().await;
            }
        };
        let receive = async {
            let _ = reads.read_to_end(&mut answer).await;
        };
        tokio::join!(send, receive);
        answer
    };
    tokio::time::timeout(Duration::from_secs(30), exchange).await.expect("server answers")
}

fn parse(bytes: &[u8], method: &str) -> Option<Answer> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let mut headers: BTreeMap<String, String> = BTreeMap::new();
    for line in lines {
        let (name, value) = line.split_once(':')?;
        let known = headers.entry(name.to_ascii_lowercase()).or_default();
        if !known.is_empty() {
            known.push_str(", ");
        }
        known.push_str(value.trim());
    }
    let rest = &bytes[end + 4..];
    let chunked = headers.get("transfer-encoding").is_some_and(|coding| coding == "chunked");
    let body = if chunked && method != "HEAD" { unchunk(rest)? } else { rest.to_vec() };
    let body = String::from_utf8_lossy(&body).into_owned();
    Some(Answer { status, headers, body })
}

fn unchunk(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = bytes.windows(2).position(|window| window == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).ok()?, 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(bytes.get(end + 2..end + 2 + size)?);
        bytes = bytes.get(end + 4 + size..)?;
    }
}
