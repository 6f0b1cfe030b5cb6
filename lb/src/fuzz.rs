//! What the fuzzer and the replay of its inputs do with bytes that the balancer gets from outside. Not for other callers.

use crate::access;
use crate::config::{ForwardFor, Limits};
use crate::head::{Forward, Head};

/// What was read in a request header.
#[derive(Debug)]
pub struct Seen {
    /// As it was sent.
    pub method: String,
    /// As it was sent.
    pub target: String,
    /// How many.
    pub fields: usize,
}

/// Reads a request header. What goes on to a server is taken again, with one end of the body, and nothing of the connection travels.
pub fn request(data: &[u8]) -> Option<Seen> {
    let limits = Limits::default();
    let mut head = Head::default();
    let _ = head.read_response(data);
    if head.read_request(data, &limits).is_err() {
        return None;
    }
    let forward_for = ForwardFor {
        enabled: true,
        header: "X-Forwarded-For".into(),
        if_none: false,
        except: Vec::new(),
    };
    let to = Forward {
        client: Some("192.0.2.1"),
        host: "node:9093",
        forward_for: &forward_for,
        proto: Some("https"),
        close: true,
        length: None,
        drop_expect: true,
        strips: &[],
        identity: None,
        via: "",
    };
    let mut sent = Vec::new();
    head.forward(data, &to, &mut sent);
    let larger = Limits { header_bytes: sent.len(), headers: 256, ..limits };
    let mut again = Head::default();
    let taken = again.read_request(&sent, &larger);
    assert!(taken.is_ok(), "{taken:?} of {:?}", String::from_utf8_lossy(&sent));
    assert_eq!(again.chunked, head.chunked);
    assert_eq!(again.content_length, head.content_length);
    assert!(!again.keep_alive && !again.expects_continue);
    for name in ["te", "upgrade", "keep-alive", "proxy-connection", "trailer"] {
        assert_eq!(again.values(&sent, name).count(), 0, "{name}");
    }
    let (method, target) = (head.method(data).to_owned(), head.target(data).to_owned());
    Some(Seen { method, target, fields: head.len() })
}

/// Writes an access line of a request in both formats: each is one line of printable characters.
pub fn access_line(data: &[u8]) {
    for line in access::both_forms(data) {
        let text = String::from_utf8_lossy(&line);
        let text = text.strip_suffix('\n').unwrap_or_else(|| unreachable!("no end of line"));
        assert!(!text.chars().any(|c| c.is_control() || reorders(c)), "{text:?}");
    }
}

/// Characters that change the order in which a terminal shows others.
fn reorders(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}
