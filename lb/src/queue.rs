//! Requests that wait for a server, oldest first. Who waits and for how long is the caller's.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use tokio::sync::Notify;

/// A first-in, first-out line of waiting requests.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    turn: Notify,
    waiting: AtomicU32,
    most: AtomicU32,
}

/// One place in the line; leaving is dropping it.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    queue: &'a Queue,
}

impl Queue {
    /// Requests that wait now.
    pub(crate) fn len(&self) -> u32 {
        self.waiting.load(Relaxed)
    }

    /// Most that ever waited at once.
    pub(crate) fn most(&self) -> u32 {
        self.most.load(Relaxed)
    }

    /// Joins the line.
    pub(crate) fn join(&self) -> Place<'_> {
        let now = self.waiting.fetch_add(1, Relaxed) + 1;
        self.most.fetch_max(now, Relaxed);
        Place { queue: self }
    }

    /// Lets the oldest try again, if any waits.
    pub(crate) fn wake_one(&self) {
        if self.len() > 0 {
            self.turn.notify_one();
        }
    }
}

impl Place<'_> {
    /// Waits until a place may have become free.
    pub(crate) async fn turn(&self) {
        self.queue.turn.notified().await;
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.queue.waiting.fetch_sub(1, Relaxed);
        self.queue.wake_one();
    }
}
