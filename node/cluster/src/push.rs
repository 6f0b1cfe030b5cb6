//! What waits to be sent to one peer, and who waits for its acknowledgement. Knows no connection.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;

use crate::mono;
use crate::wait::Wait;

/// More waiting bytes than this are dropped and repaired by a digest sync.
const QUEUE_BYTES: usize = 64 * 1024 * 1024;
/// As many batches at most.
const QUEUE_BATCHES: usize = 200_000;

/// The outgoing side towards one peer.
pub(crate) struct Link {
    pub(crate) id: String,
    live: AtomicBool,
    /// Woken when something is to be sent.
    pub(crate) wake: Notify,
    /// Woken when a digest sync is owed.
    pub(crate) sync_wake: Notify,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    open: bool,
    seq: u64,
    queue: VecDeque<(u64, Bytes)>,
    bytes: usize,
    waits: VecDeque<(u64, Arc<Wait>)>,
    /// Waits whose records were dropped with a connection: only the end of the peer ends them early.
    lost: Vec<Arc<Wait>>,
    /// When what is not acknowledged yet was queued, oldest first.
    unacked: VecDeque<(u64, Duration)>,
    behind: bool,
    pruned: u64,
}

/// What a link shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LinkFacts {
    pub(crate) queued_bytes: usize,
    pub(crate) queued: usize,
    pub(crate) lag: Duration,
    pub(crate) pruned: u64,
}

impl Link {
    pub(crate) fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            live: AtomicBool::new(false),
            wake: Notify::new(),
            sync_wake: Notify::new(),
            inner: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on records are queued. Called before the connection is dialled, so that the peer misses nothing written after it saw it.
    pub(crate) fn open(&self) {
        let mut inner = self.lock();
        inner.open = true;
        inner.behind = true;
    }

    /// The connection is gone: what it carried is left to the next digest sync.
    pub(crate) fn reset(&self) {
        let mut inner = self.lock();
        inner.open = false;
        inner.forget();
    }

    pub(crate) fn set_live(&self, live: bool) {
        self.live.store(live, Ordering::Relaxed);
        if !live {
            let mut inner = self.lock();
            let waits = std::mem::take(&mut inner.waits);
            let lost = std::mem::take(&mut inner.lost);
            drop(inner);
            waits.into_iter().map(|(_, wait)| wait).chain(lost).for_each(|wait| wait.peer_gone());
        }
    }

    /// Whether a write may count on this peer: live, and not behind by more than `bound`.
    pub(crate) fn answers(&self, now: Duration, bound: Duration) -> bool {
        self.live.load(Ordering::Relaxed) && {
            let inner = self.lock();
            let lag = inner.unacked.front().map(|(_, at)| now.saturating_sub(*at));
            inner.open && lag.is_none_or(|lag| lag < bound)
        }
    }

    /// Queues encoded records; `wait` is told when the peer has them.
    pub(crate) fn push(&self, batches: &[Bytes], wait: Option<Arc<Wait>>) {
        let mut inner = self.lock();
        if !inner.open {
            inner.lost.extend(wait);
            return;
        }
        inner.seq += 1;
        let seq = inner.seq;
        for batch in batches {
            inner.bytes += batch.len();
            inner.queue.push_back((seq, batch.clone()));
        }
        inner.unacked.push_back((seq, mono::now()));
        inner.waits.extend(wait.map(|wait| (seq, wait)));
        if QUEUE_BYTES < inner.bytes || QUEUE_BATCHES < inner.queue.len() {
            inner.pruned += inner.queue.len() as u64;
            inner.forget();
            inner.behind = true;
            self.sync_wake.notify_one();
        }
        drop(inner);
        self.wake.notify_one();
    }

    /// Takes batches of about `bytes`, with the number to acknowledge.
    pub(crate) fn take(&self, bytes: usize) -> Option<(u64, Vec<Bytes>)> {
        let mut inner = self.lock();
        let mut taken = Vec::new();
        let mut size = 0;
        let mut last = 0;
        while let Some((seq, batch)) = inner.queue.front() {
            if !taken.is_empty() && bytes < size + batch.len() {
                break;
            }
            size += batch.len();
            last = *seq;
            taken.push(batch.clone());
            inner.queue.pop_front();
        }
        // A write whose last batch is still queued is not complete.
        if inner.queue.front().is_some_and(|(seq, _)| *seq == last) {
            last -= 1;
        }
        inner.bytes = inner.bytes.saturating_sub(size);
        (!taken.is_empty()).then_some((last, taken))
    }

    /// The peer has everything up to `seq`.
    pub(crate) fn acked(&self, seq: u64) {
        let mut done = Vec::new();
        {
            let mut inner = self.lock();
            while inner.unacked.front().is_some_and(|(of, _)| *of <= seq) {
                inner.unacked.pop_front();
            }
            while inner.waits.front().is_some_and(|(of, _)| *of <= seq) {
                done.extend(inner.waits.pop_front());
            }
        }
        done.into_iter().for_each(|(_, wait)| wait.acked());
    }

    /// Whether a digest sync is owed; asking takes it.
    pub(crate) fn take_behind(&self) -> bool {
        std::mem::take(&mut self.lock().behind)
    }

    /// Asks for a digest sync.
    pub(crate) fn set_behind(&self) {
        self.lock().behind = true;
        self.sync_wake.notify_one();
    }

    pub(crate) fn facts(&self, now: Duration) -> LinkFacts {
        let inner = self.lock();
        let lag = inner.unacked.front().map(|(_, at)| now.saturating_sub(*at));
        LinkFacts {
            queued_bytes: inner.bytes,
            queued: inner.queue.len(),
            lag: lag.unwrap_or_default(),
            pruned: inner.pruned,
        }
    }
}

impl Inner {
    fn forget(&mut self) {
        self.queue.clear();
        self.bytes = 0;
        self.unacked.clear();
        let waits = std::mem::take(&mut self.waits);
        self.lost.extend(waits.into_iter().map(|(_, wait)| wait));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(size: usize) -> Vec<Bytes> {
        vec![Bytes::from(vec![0; size])]
    }

    fn open() -> Link {
        let link = Link::new("b");
        link.open();
        link.set_live(true);
        link
    }

    #[test]
    fn an_ack_ends_what_it_covers() {
        let link = open();
        let (first, mut first_outcome) = Wait::new(false, 1, 1);
        let (second, mut second_outcome) = Wait::new(false, 1, 1);
        link.push(&batch(10), Some(first));
        link.push(&batch(10), Some(second));
        assert_eq!(link.take(1), Some((1, batch(10))));
        link.acked(1);
        assert!(first_outcome.try_recv().is_ok());
        assert!(second_outcome.try_recv().is_err());
    }

    #[test]
    fn a_write_in_two_batches_is_acked_with_its_second() {
        let link = open();
        link.push(&[batch(10), batch(10)].concat(), None);
        assert_eq!(link.take(15).unwrap().0, 0);
        assert_eq!(link.take(15).unwrap().0, 1);
        assert_eq!(link.take(15), None);
    }

    #[test]
    fn overflow_drops_and_owes_a_sync() {
        let link = open();
        assert!(link.take_behind());
        for _ in 0..65 {
            link.push(&batch(1024 * 1024), None);
        }
        assert!(link.take_behind());
        assert!(!link.take_behind());
        assert_eq!(link.facts(mono::now()).pruned, 65);
    }

    #[test]
    fn a_dead_peer_is_not_waited_for() {
        let link = open();
        let (wait, mut outcome) = Wait::new(false, 1, 1);
        link.push(&batch(10), Some(Arc::clone(&wait)));
        link.reset();
        assert!(outcome.try_recv().is_err());
        link.set_live(false);
        wait.disk(true);
        assert_eq!(outcome.try_recv().unwrap().degraded, None);
    }
}
