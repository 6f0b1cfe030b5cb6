//! What the end-to-end tests stand on: real processes of the built binary, real peers from Debian, real sockets.
//! A wait is always for a condition, with a limit that only a failing test reaches.

pub(crate) mod browser;
pub(crate) mod http;
pub(crate) mod process;
pub(crate) mod prometheus;
pub(crate) mod sink;
pub(crate) mod smtp;
pub(crate) mod tocsin;

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// Asks until there is an answer; panics with `what` when the limit is over.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = now() + limit;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(now() < end, "not within {limit:?}: {what}");
        pause(Duration::from_millis(20));
    }
}

/// Holds that something stays true for a while, for what must *not* happen.
#[track_caller]
pub(crate) fn throughout(what: &str, time: Duration, mut holds: impl FnMut() -> bool) {
    let end = now() + time;
    while now() < end {
        assert!(holds(), "no longer true: {what}");
        pause(Duration::from_millis(50));
    }
}

#[expect(clippy::disallowed_methods, reason = "end-to-end tests live in real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The rhythm of a sender, or between two looks; never a wait for something to have happened.
#[expect(clippy::disallowed_methods, reason = "end-to-end tests live in real time")]
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// A port below those that the kernel hands out, so that a killed server can come back to it.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = 20_000 + u16::try_from(std::process::id() % 80).expect("below 80") * 150;
    loop {
        let port = start + NEXT.fetch_add(1, Ordering::Relaxed) % 150;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// The moment `seconds` from now as RFC 3339, for alert bodies.
pub(crate) fn from_now(seconds: i64) -> String {
    #[expect(clippy::disallowed_methods, reason = "end-to-end tests live in real time")]
    let now = std::time::SystemTime::now();
    let now = jiff::Timestamp::try_from(now).expect("a sane clock");
    (now + jiff::SignedDuration::from_secs(seconds)).to_string()
}
