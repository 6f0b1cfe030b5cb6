//! A webhook receiver that keeps what it was told.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::Value;

/// One delivery.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) body: Value,
}

impl Told {
    pub(crate) fn status(&self) -> &str {
        self.body["status"].as_str().unwrap_or("")
    }

    pub(crate) fn group_key(&self) -> &str {
        self.body["groupKey"].as_str().unwrap_or("")
    }

    /// The names of its alerts that are in `status`.
    pub(crate) fn names(&self, status: &str) -> Vec<String> {
        let alerts = self.body["alerts"].as_array().cloned().unwrap_or_default();
        alerts
            .iter()
            .filter(|alert| alert["status"] == status)
            .map(|alert| alert["labels"]["alertname"].as_str().unwrap_or("").to_owned())
            .collect()
    }
}

/// The receiver; it answers 200 to everything.
pub(crate) struct Sink {
    pub(crate) port: u16,
    told: Arc<Mutex<Vec<Told>>>,
}

impl Sink {
    pub(crate) fn start() -> Self {
        Self::answering("200 OK")
    }

    /// One that refuses everything.
    pub(crate) fn refusing() -> Self {
        Self::answering("400 No")
    }

    fn answering(status: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
        let port = listener.local_addr().expect("bound").port();
        let told: Arc<Mutex<Vec<Told>>> = Arc::default();
        let keep = Arc::clone(&told);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let keep = Arc::clone(&keep);
                std::thread::spawn(move || serve(&stream, &keep, status));
            }
        });
        Self { port, told }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    pub(crate) fn told(&self) -> Vec<Told> {
        self.told.lock().expect("not poisoned").clone()
    }
}

fn serve(stream: &TcpStream, keep: &Mutex<Vec<Told>>, status: &str) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let body = read_request(&mut reader)?;
        if let Ok(body) = serde_json::from_slice(&body) {
            keep.lock().expect("not poisoned").push(Told { body });
        }
        let mut writer = stream;
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
        writer.write_all(answer.as_bytes()).ok()?;
    }
}

fn read_request(reader: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(body)
}
