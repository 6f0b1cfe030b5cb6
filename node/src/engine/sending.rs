//! Who is sending what on this node, so that a flush begun before a reload and one begun after it never tell the same
//! receiver at once; and who waits for news of a group.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tocsin_core::nflog::EntryKey;
use tokio::sync::Notify;

/// The integrations of groups that are being told.
#[derive(Clone, Default)]
pub(super) struct Sendings {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    keys: Mutex<HashSet<EntryKey>>,
    ended: Notify,
}

/// As long as it lives, nobody else on this node tells that integration of that group.
pub(super) struct Sending {
    inner: Arc<Inner>,
    key: EntryKey,
}

impl Sendings {
    /// Takes the key; `None` after waiting for the one who had it.
    pub(super) async fn begin(&self, key: &EntryKey) -> Option<Sending> {
        let ended = self.inner.ended.notified();
        tokio::pin!(ended);
        ended.as_mut().enable();
        if self.inner.lock().insert(key.clone()) {
            return Some(Sending { inner: Arc::clone(&self.inner), key: key.clone() });
        }
        ended.await;
        None
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, HashSet<EntryKey>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.inner.lock().remove(&self.key);
        self.inner.ended.notify_waiters();
    }
}

/// Flushes that wait for others, by group key.
#[derive(Default)]
pub(super) struct Waiters {
    groups: Mutex<HashMap<Box<str>, Weak<Notify>>>,
}

impl Waiters {
    /// What wakes those who wait for news of a group.
    pub(super) fn of(&self, group_key: &str) -> Arc<Notify> {
        let mut groups = self.lock();
        if let Some(known) = groups.get(group_key).and_then(Weak::upgrade) {
            return known;
        }
        let fresh = Arc::new(Notify::new());
        groups.insert(group_key.into(), Arc::downgrade(&fresh));
        fresh
    }

    /// Wakes them. One that is about to wait is woken, too.
    pub(super) fn wake(&self, group_key: &str) {
        let known = self.lock().remove(group_key).and_then(|known| known.upgrade());
        if let Some(known) = known {
            known.notify_waiters();
            known.notify_one();
        }
    }

    /// Forgets groups for which nobody waits.
    pub(super) fn sweep(&self) {
        self.lock().retain(|_, waiting| waiting.strong_count() > 0);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, Weak<Notify>>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
