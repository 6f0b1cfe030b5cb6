//! Requests that waited while this process stood still.
//!
//! After a stall their senders may have given up and posted elsewhere; what they said then is
//! older than what others know by now, and an old firing would undo a newer resolve. So for a
//! while after each stall a post is looked at again: nobody waiting, nothing taken.

use std::sync::{Mutex, PoisonError};

use tocsin_service::web::Peer;
use tokio::time::{Duration, Instant};

/// What came in during a stall is read well within this time after it.
const SUSPICION: Duration = Duration::from_secs(10);

/// When this process last woke from standing still.
#[derive(Default)]
pub(super) struct Stalls(Mutex<State>);

#[derive(Default)]
struct State {
    seen: u64,
    suspicious_until: Option<Instant>,
}

impl Stalls {
    /// Whether a post must not be taken: there was a stall, of which `count` have been seen since
    /// the start, and its sender has closed the connection.
    pub(super) fn abandoned(&self, count: u64, peer: &Peer) -> bool {
        self.is_suspicious(count, Instant::now()) && peer.has_closed()
    }

    fn is_suspicious(&self, count: u64, now: Instant) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if count != state.seen {
            state.seen = count;
            state.suspicious_until = Some(now + SUSPICION);
        }
        state.suspicious_until.is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_stall_is_followed_by_a_time_of_suspicion() {
        let stalls = Stalls::default();
        let start = Instant::now();
        let after = |seconds: u64| start + Duration::from_secs(seconds);
        assert!(!stalls.is_suspicious(0, after(0)));
        assert!(stalls.is_suspicious(1, after(5)));
        assert!(stalls.is_suspicious(1, after(14)));
        assert!(!stalls.is_suspicious(1, after(15)));
        assert!(stalls.is_suspicious(2, after(60)));
    }
}
