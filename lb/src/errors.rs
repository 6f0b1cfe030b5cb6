//! The last request and the last answer of each proxy that could not be read, for `show errors`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Bytes that are kept of each.
pub(crate) const KEPT: usize = 1024;

/// A thing that could not be read.
#[derive(Clone, Debug)]
pub(crate) struct Captured {
    /// When.
    pub at: Timestamp,
    /// Name and number of the proxy that read it.
    pub proxy: (String, u32),
    /// Backend and server, where it is an answer.
    pub server: Option<(String, String)>,
    /// The client.
    pub client: String,
    /// What it began with.
    pub bytes: Vec<u8>,
}

/// Captured things: one request a frontend, one answer a backend.
#[derive(Debug, Default)]
pub(crate) struct Errors(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    count: u64,
    events: BTreeMap<(String, bool), (u64, Captured)>,
}

impl Errors {
    /// Keeps one; the one before of the same proxy is forgotten.
    pub(crate) fn keep(&self, mut captured: Captured) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        captured.bytes.truncate(KEPT);
        let number = kept.count;
        kept.count += 1;
        let key = (captured.proxy.0.clone(), captured.server.is_some());
        kept.events.insert(key, (number, captured));
    }

    /// The answer to `show errors`, of the proxy called `name` only if there is one.
    pub(crate) fn text(&self, name: Option<&str>, now: Timestamp) -> String {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out = format!("Total events captured on [{}] : {}\n", date(now), kept.count);
        let wanted = |(proxy, _): &&(String, bool)| name.is_none_or(|name| name == proxy);
        for key in kept.events.keys().filter(wanted) {
            let (number, event) = &kept.events[key];
            describe(&mut out, *number, event);
        }
        out
    }
}

fn date(at: Timestamp) -> String {
    TimeZone::system().to_datetime(at).strftime("%d/%b/%Y:%H:%M:%S%.3f").to_string()
}

fn describe(out: &mut String, number: u64, event: &Captured) {
    let (name, id) = &event.proxy;
    let what = match event.server {
        Some(_) => ("backend", "response"),
        None => ("frontend", "request"),
    };
    let (backend, server) = match &event.server {
        Some((backend, server)) => (backend.as_str(), server.as_str()),
        None => ("<NONE>", "<NONE>"),
    };
    let _ = write!(
        out,
        " \n[{}] {} {name} (#{id}): invalid {}\n  backend {backend}, server {server}, event #{number}, \
         src {}\n  len {}, shown as received:\n \n",
        date(event.at),
        what.0,
        what.1,
        event.client,
        event.bytes.len()
    );
    let mut at = 0;
    for line in event.bytes.split_inclusive(|b| *b == b'\n') {
        for (part, piece) in line.chunks(60).enumerate() {
            let more = if part == 0 { ' ' } else { '+' };
            let _ = writeln!(out, "  {at:05}{more} {}", escaped(piece));
            at += piece.len();
        }
    }
}

/// Bytes with those that could end a line or drive a terminal written out.
fn escaped(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = match byte {
            b'\r' => write!(out, "\\r"),
            b'\n' => write!(out, "\\n"),
            b'\t' => write!(out, "\\t"),
            b'\\' => write!(out, "\\\\"),
            b' '..=b'~' => write!(out, "{}", char::from(*byte)),
            _ => write!(out, "\\x{byte:02X}"),
        };
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_each_proxy_is_told() {
        let errors = Errors::default();
        let captured = |name: &str, bytes: &[u8], server: bool| Captured {
            at: "2026-11-22T19:13:12Z".parse().unwrap(),
            proxy: (name.to_owned(), 2),
            server: server.then(|| ("b".to_owned(), "n1".to_owned())),
            client: "10.0.0.1:5".to_owned(),
            bytes: bytes.to_vec(),
        };
        let now = "2026-11-22T19:13:13Z".parse().unwrap();
        assert!(errors.text(None, now).ends_with(" : 0\n"));
        errors.keep(captured("f", b"old", false));
        errors.keep(captured("f", b"GET /\x01 HTTP/1.1\r\nX : 1\r\n", false));
        errors.keep(captured("b", &[b'x'; 3000], true));
        let text = errors.text(None, now);
        assert!(text.contains(" : 3\n") && !text.contains("old"), "{text}");
        assert!(text.contains("frontend f (#2): invalid request\n"), "{text}");
        assert!(
            text.contains("  00000  GET /\\x01 HTTP/1.1\\r\\n\n  00017  X : 1\\r\\n\n"),
            "{text}"
        );
        assert!(text.contains("backend b, server n1, event #2") && text.contains("len 1024"));
        assert!(!errors.text(Some("b"), now).contains("frontend f"));
    }
}
