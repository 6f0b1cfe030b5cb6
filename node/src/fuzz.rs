//! What the fuzzer and the replay of its inputs do with bytes that a node gets from outside. Not for other callers.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tocsin_core::label::{Labels, Lookup};
use tocsin_service::clock::{Clock, SystemClock};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::config::{self, Config};
use crate::engine::Tables;
use crate::{api, notify, options};

pub use tocsin_cluster::fuzz::{Gossip, frames};

/// Reads a configuration; what it shows of itself is one.
pub fn config(text: &str) -> Option<Config> {
    let features = options::Features::default();
    let config = config::check(text, "fuzz.yml", features).ok()?;
    let shown = config::load_shown(&config.original, features);
    assert!(
        shown.is_ok(),
        "{}\n{}",
        shown.err().map(|e| e.to_string()).unwrap_or_default(),
        config.original
    );
    Some(config)
}

/// Reads what a POST of alerts brings, in both versions of the API.
pub fn alerts(data: &[u8]) {
    let text = api::json_text(data);
    for labels in api::alerts_of(&text) {
        assert_eq!(labels.fingerprint().0, fnv(&labels), "{labels:?}");
    }
}

/// Reads what a POST of a silence brings, in both versions of the API.
pub fn silence(data: &[u8]) {
    api::silence_of(&api::json_text(data));
}

/// Whether a link is one, and when a moment is.
pub fn links_and_moments(text: &str) {
    api::link_and_moment(text);
}

/// The other way to compute a fingerprint: Alertmanager's, over a plain sorted list.
fn fnv(labels: &Labels) -> u64 {
    let mut pairs = Vec::new();
    labels.each(&mut |name, value| pairs.push((name.to_owned(), value.to_owned())));
    pairs.sort();
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for (name, value) in pairs {
        for byte in name.bytes().chain([0xff]).chain(value.bytes()).chain([0xff]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash
}

/// Reads a log segment or snapshot and gives every record to its table.
pub fn stored(data: &[u8]) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let tables = Tables::new(&clock).by_kind();
    for record in tocsin_cluster::fuzz::stored(data) {
        for (kind, table) in &tables {
            if *kind == record.kind && table.put(&record, false).is_ok() {
                assert_eq!(table.stamp(&record.key).map(|(stamp, _)| stamp), Some(record.stamp));
                let kept = table.read(&record.key);
                assert!(kept.is_some(), "{record:?} is not in its table");
            }
        }
    }
}

/// Delivers a mail to a server that says `replies`, whatever it is told.
pub fn smtp(replies: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let Ok(runtime) = runtime else { return };
    // A line of blanks ends lettre: what mails go through catches that, and the fuzzer looks for other things.
    let blank =
        |line: &&[u8]| !line.get(4..).unwrap_or_default().iter().all(u8::is_ascii_whitespace);
    let bytes =
        replies.split_inclusive(|byte| *byte == b'\n').filter(blank).collect::<Vec<_>>().concat();
    let server = Replies { bytes, at: 0 };
    // Refusals and nonsense are errors, and all that can come of it.
    let _ = runtime.block_on(notify::converse_with(Box::new(server)));
}

/// The side of a connection where a server says what it likes.
#[derive(Debug)]
struct Replies {
    bytes: Vec<u8>,
    at: usize,
}

impl AsyncRead for Replies {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let rest = &this.bytes[this.at..];
        let most = rest.len().min(buffer.remaining());
        // A line a time: what follows answers the next command.
        let line = rest[..most].iter().position(|byte| *byte == b'\n').map_or(most, |end| end + 1);
        buffer.put_slice(&rest[..line]);
        this.at += line;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Replies {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl lettre::transport::smtp::client::AsyncTokioStream for Replies {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok((Ipv4Addr::LOCALHOST, 25).into())
    }
}
