//! What an answer waits for: the disk, and peers that have the records. Always ended by this crate's own thread, whatever runtime the caller is on.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};

use crate::mono;

/// What a write waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The local disk and `write_acks` live peers, at most `write_timeout`.
    Alerts,
    /// The local disk and all live peers, at most `silence_timeout`.
    Silences,
    /// One live peer; without any, the local disk. At most `write_timeout`.
    Log,
    /// Nothing.
    History,
}

/// Why a write is not as safe as promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The disk failed.
    Disk,
    /// The disk took too long.
    SlowDisk,
    /// Not enough peers answered in time.
    Peers,
}

impl Why {
    /// The label value of `tocsin_write_degraded_total`.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::SlowDisk => "disk_timeout",
            Self::Peers => "peers",
        }
    }
}

/// What came of the wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// `None`: all that was needed is done.
    pub degraded: Option<Why>,
    /// Whether the local disk has it; true without a disk, false when it was not waited for to the end.
    pub on_disk: bool,
    /// How many peers said that they have it.
    pub peers: usize,
}

impl Outcome {
    pub(crate) const NOTHING: Self = Self { degraded: None, on_disk: true, peers: 0 };
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Disk {
    Pending,
    Done,
    Failed,
}

/// One write's wait, shared by all who can end it.
pub(crate) struct Wait {
    inner: Mutex<Inner>,
}

struct Inner {
    disk: Disk,
    needs_disk: bool,
    acked: usize,
    asked: usize,
    needed: usize,
    answer: Option<oneshot::Sender<Outcome>>,
}

impl Wait {
    /// `asked` peers will answer, `needed` of them must. Without a needed peer the disk is needed always.
    pub(crate) fn new(
        needs_disk: bool,
        asked: usize,
        needed: usize,
    ) -> (Arc<Self>, oneshot::Receiver<Outcome>) {
        let (answer, outcome) = oneshot::channel();
        let needed = needed.min(asked);
        let needs_disk = needs_disk || needed == 0;
        let inner = Inner {
            disk: Disk::Pending,
            needs_disk,
            acked: 0,
            asked,
            needed,
            answer: Some(answer),
        };
        (Arc::new(Self { inner: Mutex::new(inner) }), outcome)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn disk(&self, done: bool) {
        let mut inner = self.lock();
        inner.disk = if done { Disk::Done } else { Disk::Failed };
        inner.settle(false);
    }

    pub(crate) fn acked(&self) {
        let mut inner = self.lock();
        inner.acked += 1;
        inner.settle(false);
    }

    /// A peer that was asked is no longer live: it is not waited for.
    pub(crate) fn peer_gone(&self) {
        let mut inner = self.lock();
        inner.asked = inner.asked.saturating_sub(1);
        inner.needed = inner.needed.min(inner.asked);
        inner.needs_disk |= inner.needed == 0;
        inner.settle(false);
    }

    /// The time is over.
    pub(crate) fn expire(&self) {
        self.lock().settle(true);
    }

    fn is_over(&self) -> bool {
        self.lock().answer.is_none()
    }
}

impl Inner {
    fn settle(&mut self, late: bool) {
        let disk_open = self.needs_disk && self.disk == Disk::Pending;
        let peers_open = self.acked < self.needed;
        if !late && (disk_open || peers_open) {
            return;
        }
        let degraded = if self.needs_disk && self.disk == Disk::Failed {
            Some(Why::Disk)
        } else if peers_open {
            Some(Why::Peers)
        } else if disk_open {
            Some(Why::SlowDisk)
        } else {
            None
        };
        if let Some(answer) = self.answer.take() {
            let on_disk = self.disk == Disk::Done;
            // The caller may have gone away; then nobody wants to know.
            let _ = answer.send(Outcome { degraded, on_disk, peers: self.acked });
        }
    }
}

/// A bound, and the waits that have it with their ends.
type Bounded = (Duration, VecDeque<(Duration, Weak<Wait>)>);

/// Ends waits whose time is over.
#[derive(Default)]
pub(crate) struct Deadlines {
    /// One queue for each bound, so that each is in order.
    queues: Mutex<Vec<Bounded>>,
    added: Notify,
}

impl Deadlines {
    pub(crate) fn add(&self, wait: &Arc<Wait>, bound: Duration) {
        let entry = (mono::now() + bound, Arc::downgrade(wait));
        let was_empty = {
            let mut queues = self.lock();
            let was_empty = queues.iter().all(|(_, queue)| queue.is_empty());
            match queues.iter_mut().find(|(of, _)| *of == bound) {
                Some((_, queue)) => queue.push_back(entry),
                None => queues.push((bound, VecDeque::from([entry]))),
            }
            was_empty
        };
        if was_empty {
            self.added.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Bounded>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends what is due at `now`; answers when to look again.
    fn sweep(&self, now: Duration) -> Option<Duration> {
        let mut due = Vec::new();
        let mut next = None::<Duration>;
        for (_, queue) in self.lock().iter_mut() {
            while let Some((at, wait)) = queue.front() {
                let Some(wait) = wait.upgrade().filter(|wait| !wait.is_over()) else {
                    queue.pop_front();
                    continue;
                };
                if now < *at {
                    next = Some(next.map_or(*at, |next| next.min(*at)));
                    break;
                }
                due.push(wait);
                queue.pop_front();
            }
        }
        due.iter().for_each(|wait| wait.expire());
        next
    }

    /// Runs for ever on this crate's own runtime.
    pub(crate) async fn run(&self) {
        loop {
            match self.sweep(mono::now()) {
                Some(at) => {
                    let rest = at.saturating_sub(mono::now()).max(Duration::from_millis(5));
                    tokio::time::sleep(rest).await;
                }
                None => self.added.notified().await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(wait: (bool, usize, usize), steps: &str, expected: Option<(Option<Why>, usize)>) {
        let (wait, mut outcome) = Wait::new(wait.0, wait.1, wait.2);
        for step in steps.chars() {
            match step {
                'd' => wait.disk(true),
                'f' => wait.disk(false),
                'a' => wait.acked(),
                'g' => wait.peer_gone(),
                _ => wait.expire(),
            }
        }
        let outcome = outcome.try_recv().ok().map(|outcome| (outcome.degraded, outcome.peers));
        assert_eq!(outcome, expected, "{steps}");
    }

    #[test]
    fn alone_only_the_disk_counts() {
        check((true, 0, 1), "d", Some((None, 0)));
        check((true, 0, 1), "f", Some((Some(Why::Disk), 0)));
        check((true, 0, 1), "x", Some((Some(Why::SlowDisk), 0)));
        check((false, 0, 1), "", None);
        check((false, 0, 1), "d", Some((None, 0)));
    }

    #[test]
    fn an_alert_waits_for_disk_and_one_peer() {
        check((true, 2, 1), "d", None);
        check((true, 2, 1), "a", None);
        check((true, 2, 1), "da", Some((None, 1)));
        check((true, 2, 1), "dx", Some((Some(Why::Peers), 0)));
        check((true, 2, 1), "ggd", Some((None, 0)));
        check((true, 2, 1), "af", Some((Some(Why::Disk), 1)));
    }

    #[test]
    fn a_silence_waits_for_all_live_peers() {
        check((true, 2, usize::MAX), "da", None);
        check((true, 2, usize::MAX), "dag", Some((None, 1)));
        check((true, 2, usize::MAX), "aad", Some((None, 2)));
    }

    #[tokio::test]
    async fn a_wait_ends_at_its_deadline() {
        let deadlines = Arc::new(Deadlines::default());
        let (wait, outcome) = Wait::new(true, 1, 1);
        deadlines.add(&wait, Duration::from_millis(10));
        let running = Arc::clone(&deadlines);
        let task = tokio::spawn(async move { running.run().await });
        assert_eq!(outcome.await.unwrap().degraded, Some(Why::Peers));
        task.abort();
    }
}
