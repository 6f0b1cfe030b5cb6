//! All open connections of a server, so that a full house makes room: the one that has waited
//! longest, for a request or within the head of one, gives way to the newcomer.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::pulse::Pulse;

/// The connections, by a number that is given once.
pub(super) struct Crowd {
    max: usize,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    next: u64,
    members: HashMap<u64, Arc<Pulse>>,
}

/// A place in the crowd; given back when dropped.
pub(super) struct Place {
    crowd: Arc<Crowd>,
    number: u64,
}

impl Crowd {
    /// Room for `wanted` connections, but for no more than descriptors leave: a quarter of them
    /// is for files, peers and receivers.
    pub(super) fn new(wanted: usize) -> Arc<Self> {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let descriptors =
            limit.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
        let max = wanted.min(descriptors / 4 * 3).max(1);
        Arc::new(Self { max, inner: Mutex::default() })
    }

    /// A place for the connection; nothing when all others are being answered.
    pub(super) fn enter(self: &Arc<Self>, pulse: Arc<Pulse>) -> Option<Place> {
        let mut inner = self.lock();
        if inner.members.len() >= self.max {
            let idle =
                inner.members.iter().filter_map(|(number, one)| Some((one.idle_since()?, *number)));
            let (_, number) = idle.min()?;
            inner.members.remove(&number)?.leave();
        }
        let number = inner.next;
        inner.next += 1;
        inner.members.insert(number, pulse);
        Some(Place { crowd: Arc::clone(self), number })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.crowd.lock().members.remove(&self.number);
    }
}
