//! Requests that waited while this process stood still.
//!
//! After a stall their senders may have given up and posted elsewhere; what they said then is
//! older than what others know by now, and an old firing would undo a newer resolve. So for a
//! while after each stall a post is looked at again: nobody waiting, nothing taken. A balancer may
//! wait although its client does not: an alert that was to fire until a moment of the stall was not
//! over when it was sent, and would end here what its source has repeated elsewhere; one that is to
//! fire for less long than others have heard since would end it soon. Neither can be told from what
//! its source does mean; refused, that is repeated, here or on another node.

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use tocsin_core::{alert::Times, time};
use tocsin_service::web::Peer;
use tokio::time::{Duration, Instant};

/// What came in during a stall is read well within this time after it.
const SUSPICION: Duration = Duration::from_secs(10);

/// What waited in the kernel has mostly been read by then.
const READ: Duration = Duration::from_secs(1);

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

/// A stall that is over, but not for long.
pub(super) struct Late {
    began: Timestamp,
    /// Until then, what waited is read.
    ended: Timestamp,
    now: Timestamp,
}

impl Late {
    /// The pair: how long ago it began and ended.
    pub(super) fn of((began, ended): (Duration, Duration), now: Timestamp) -> Option<Self> {
        (ended < SUSPICION).then(|| Self {
            began: time::sub(now, began),
            ended: time::add(time::sub(now, ended), READ),
            now,
        })
    }

    /// Whether a post may be older than what is known: its alert's end came during the stall, or is
    /// to come earlier than a source has said since the stall began.
    pub(super) fn overtook(&self, end: Timestamp, known: impl FnOnce() -> Option<Times>) -> bool {
        if end <= self.now.max(self.ended) {
            return self.began < end && end <= self.ended;
        }
        known().is_some_and(|known| self.began < known.updated_at && end < known.ends_at)
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

    #[test]
    fn what_a_stall_overtook_is_old() {
        let at = |second: i64| Timestamp::from_second(1_700_000_000 + second).unwrap();
        let late = |began, ended| {
            Late::of((Duration::from_secs(began), Duration::from_secs(ended)), at(100))
        };
        let stall = late(33, 3).unwrap();
        let old = |end| stall.overtook(at(end), || None);
        assert!(old(68) && old(98));
        assert!(!old(67) && !old(99) && !old(101));
        let beside = |updated, known, end| {
            let known = Times::of_post(None, Some(at(known)), at(updated), Duration::ZERO).unwrap();
            stall.overtook(at(end), || Some(known))
        };
        assert!(beside(80, 120, 110));
        assert!(!beside(60, 120, 110) && !beside(80, 110, 120) && !beside(80, 120, 99));
        assert!(late(40, 10).is_none());
    }
}
