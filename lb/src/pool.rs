//! Idle connections of one worker to servers. The newest is used first; one that is old, closed or of a past generation is not used at all.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::backend::Server;
use crate::wire::Wire;

/// Idle connections by server.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    servers: Vec<(Arc<Server>, VecDeque<Idle>)>,
    len: usize,
}

#[derive(Debug)]
struct Idle {
    wire: Wire,
    since_ms: u64,
    generation: u32,
}

impl Pool {
    /// A connection to `server` that may be used again at `now_ms`.
    pub(crate) fn take(&mut self, server: &Arc<Server>, now_ms: u64, idle_ms: u64) -> Option<Wire> {
        let (_, idle) = self.servers.iter_mut().find(|(s, _)| Arc::ptr_eq(s, server))?;
        while let Some(kept) = idle.pop_back() {
            self.len -= 1;
            server.idle().fetch_sub(1, Relaxed);
            let young = now_ms.saturating_sub(kept.since_ms) < idle_ms;
            if young && kept.generation == server.generation() && kept.wire.is_fresh() {
                return Some(kept.wire);
            }
        }
        None
    }

    /// Keeps a connection, unless the pool is full.
    pub(crate) fn put(&mut self, server: &Arc<Server>, wire: Wire, now_ms: u64, size: usize) {
        if self.len >= size {
            return;
        }
        let kept = Idle { wire, since_ms: now_ms, generation: server.generation() };
        self.len += 1;
        server.idle().fetch_add(1, Relaxed);
        match self.servers.iter_mut().find(|(s, _)| Arc::ptr_eq(s, server)) {
            Some((_, idle)) => idle.push_back(kept),
            None => self.servers.push((server.clone(), VecDeque::from([kept]))),
        }
    }

    /// Closes what is too old, ended or no longer wanted.
    pub(crate) fn expire(&mut self, now_ms: u64, idle_ms: u64) {
        for (server, idle) in &mut self.servers {
            let before = idle.len();
            let generation = server.generation();
            idle.retain(|kept| {
                now_ms.saturating_sub(kept.since_ms) < idle_ms
                    && kept.generation == generation
                    && kept.wire.is_fresh()
            });
            let gone = before - idle.len();
            self.len -= gone;
            server.idle().fetch_sub(u32::try_from(gone).unwrap_or(0), Relaxed);
        }
        self.servers.retain(|(_, idle)| !idle.is_empty());
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        for (server, idle) in &self.servers {
            server.idle().fetch_sub(u32::try_from(idle.len()).unwrap_or(0), Relaxed);
        }
    }
}
