//! All open connections of a server, so that a full house makes room: the one that has waited
//! longest, for a request or within the head of one, gives way to the newcomer. An address that has
//! its share makes room among its own.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::pulse::Pulse;

/// The connections, by a number that is given once.
pub(super) struct Crowd {
    max: usize,
    /// From one address.
    of_one: usize,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    next: u64,
    members: HashMap<u64, (IpAddr, Arc<Pulse>)>,
    by_address: HashMap<IpAddr, usize>,
}

/// A place in the crowd; given back when dropped.
pub(super) struct Place {
    crowd: Arc<Crowd>,
    number: u64,
}

impl Crowd {
    /// Room for `wanted` connections, but for no more than descriptors leave: a quarter of them
    /// is for files, peers and receivers.
    pub(super) fn new(wanted: usize, of_one: usize) -> Arc<Self> {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let descriptors =
            limit.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
        let max = wanted.min(descriptors / 4 * 3).max(1);
        let of_one = of_one.min(max / 4 * 3).max(1);
        Arc::new(Self { max, of_one, inner: Mutex::default() })
    }

    /// A place for the connection; nothing when all others are being answered.
    pub(super) fn enter(self: &Arc<Self>, pulse: Arc<Pulse>, address: IpAddr) -> Option<Place> {
        let mut inner = self.lock();
        let full_of_one = self.of_one <= inner.by_address.get(&address).copied().unwrap_or(0);
        if full_of_one || self.max <= inner.members.len() {
            let others = inner.members.iter().filter(|(_, (of, _))| !full_of_one || *of == address);
            let idle = others.filter_map(|(number, (_, one))| Some((one.idle_since()?, *number)));
            let (_, number) = idle.min()?;
            inner.remove(number)?.leave();
        }
        let number = inner.next;
        inner.next += 1;
        inner.members.insert(number, (address, pulse));
        *inner.by_address.entry(address).or_default() += 1;
        Some(Place { crowd: Arc::clone(self), number })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn remove(&mut self, number: u64) -> Option<Arc<Pulse>> {
        let (address, pulse) = self.members.remove(&number)?;
        if let Some(count) = self.by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&address);
            }
        }
        Some(pulse)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.crowd.lock().remove(self.number);
    }
}
