//! Deadlines without a timer a read: each connection says in which phase it is, one sweep ten times a second finds those that stay too long and wakes them.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    /// Nothing that is limited here.
    Free = 0,
    /// The first byte of the next request.
    Idle,
    /// The rest of a request header; bytes do not extend it.
    Head,
    /// More of the client: its body, or room to write to it.
    Client,
    /// More of the server.
    Server,
}

/// Why a wait was cut short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Fired {
    /// Its limit passed.
    Timeout = 1,
    /// An operator ended it.
    Killed,
    /// The balancer stops, and the connection was idle.
    Drained,
    /// The server was marked down.
    ServerDown,
    /// Others wait for the place of a client that sends no request.
    Crowded,
}

/// One connection as the sweep sees it. Only the connection's own thread writes phase and progress.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// Phase in the low byte, progress above.
    state: AtomicU64,
    limit_ms: AtomicU32,
    fired: AtomicU8,
    /// Backend above, server below; zero while none serves it.
    serving: AtomicU64,
    waker: Mutex<Option<Waker>>,
    about: Mutex<About>,
}

/// A connection in words, for `show sess`.
#[derive(Clone, Debug, Default)]
pub(crate) struct About {
    /// Number of the connection.
    pub id: u64,
    /// The client.
    pub client: String,
    /// The frontend.
    pub frontend: String,
    /// Uptime in ms at which it came.
    pub since_ms: u64,
    /// `h1` or `h2`.
    pub protocol: &'static str,
}

impl Watch {
    /// What an operator sees of it.
    pub(crate) fn about(&self) -> About {
        lock(&self.about).clone()
    }

    /// Says who it is.
    pub(crate) fn introduce(&self, about: About) {
        *lock(&self.about) = about;
    }

    /// Says which backend and server serve it, zero for none.
    pub(crate) fn served_by(&self, backend: u32, server: u32) {
        self.serving.store((u64::from(backend) << 32) | u64::from(server), Relaxed);
    }

    /// The number of the backend above, of the server below.
    pub(crate) fn serving(&self) -> u64 {
        self.serving.load(Relaxed)
    }

    /// Whether this server serves it.
    pub(crate) fn serves(&self, serving: u64) -> bool {
        self.serving() == serving
    }

    /// Begins a phase with its limit.
    pub(crate) fn enter(&self, phase: Phase, limit: Duration) {
        let limit_ms = u32::try_from(limit.as_millis()).unwrap_or(u32::MAX);
        self.limit_ms.store(limit_ms, Relaxed);
        let progress = (self.state.load(Relaxed) >> 8) + 1;
        self.state.store((progress << 8) | u64::from(phase as u8), Relaxed);
    }

    /// Some bytes moved. A header's deadline does not care.
    pub(crate) fn progress(&self) {
        let state = self.state.load(Relaxed);
        if state & 0xff > Phase::Head as u64 {
            self.state.store(state.wrapping_add(0x100), Relaxed);
        }
    }

    /// Whether it waits for the first byte of a request.
    pub(crate) fn is_idle(&self) -> bool {
        self.state.load(Relaxed) & 0xff == Phase::Idle as u64
    }

    /// Why it was woken, if it was.
    pub(crate) fn fired(&self) -> Option<Fired> {
        match self.fired.load(Relaxed) {
            0 => None,
            1 => Some(Fired::Timeout),
            2 => Some(Fired::Killed),
            3 => Some(Fired::Drained),
            4 => Some(Fired::ServerDown),
            _ => Some(Fired::Crowded),
        }
    }

    /// Goes on after having been woken, if for `only` this reason.
    pub(crate) fn forgive(&self, only: Fired) {
        if self.fired() == Some(only) {
            self.fired.store(0, Relaxed);
        }
    }

    /// Ends its wait now; the first reason stays.
    pub(crate) fn fire(&self, why: Fired) {
        if self.fired.compare_exchange(0, why as u8, Relaxed, Relaxed).is_ok() {
            let waker = lock(&self.waker).clone();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    /// Remembers whom to wake.
    pub(crate) fn register(&self, waker: &Waker) {
        let mut kept = lock(&self.waker);
        if kept.as_ref().is_none_or(|k| !k.will_wake(waker)) {
            *kept = Some(waker.clone());
        }
    }
}

/// All connections of one worker.
#[derive(Debug, Default)]
pub(crate) struct Register {
    entries: Mutex<Vec<Option<Entry>>>,
    free: Mutex<Vec<usize>>,
}

#[derive(Debug)]
struct Entry {
    watch: Arc<Watch>,
    state: u64,
    since_ms: u64,
}

/// A connection's place in the register; left when dropped.
#[derive(Debug)]
pub(crate) struct Registered {
    register: Arc<Register>,
    place: usize,
    /// The connection.
    pub watch: Arc<Watch>,
}

impl Register {
    /// Adds a connection.
    pub(crate) fn add(self: &Arc<Self>) -> Registered {
        let watch = Arc::new(Watch::default());
        let entry = Entry { watch: watch.clone(), state: 0, since_ms: 0 };
        let mut entries = lock(&self.entries);
        let place = match lock(&self.free).pop() {
            Some(place) => {
                entries[place] = Some(entry);
                place
            }
            None => {
                entries.push(Some(entry));
                entries.len() - 1
            }
        };
        Registered { register: self.clone(), place, watch }
    }

    /// Wakes every connection that is too long in its phase, at `now_ms` of uptime.
    pub(crate) fn sweep(&self, now_ms: u64) {
        for entry in lock(&self.entries).iter_mut().flatten() {
            let state = entry.watch.state.load(Relaxed);
            if state != entry.state {
                entry.state = state;
                entry.since_ms = now_ms;
            } else if state & 0xff != Phase::Free as u64 {
                let limit_ms = u64::from(entry.watch.limit_ms.load(Relaxed));
                if limit_ms > 0 && now_ms.saturating_sub(entry.since_ms) >= limit_ms {
                    entry.watch.fire(Fired::Timeout);
                }
            }
        }
    }

    /// Lets clients go that have been waited for `patience_ms` for a whole request header. Says how many.
    pub(crate) fn make_room(&self, now_ms: u64, patience_ms: u64) -> u64 {
        let mut gone = 0;
        for entry in lock(&self.entries).iter().flatten() {
            let state = entry.watch.state.load(Relaxed);
            let phase = state & 0xff;
            let waits = phase == Phase::Idle as u64 || phase == Phase::Head as u64;
            let stays = state != entry.state
                || now_ms.saturating_sub(entry.since_ms) < patience_ms
                || entry.watch.fired().is_some();
            if waits && !stays {
                entry.watch.fire(Fired::Crowded);
                gone += 1;
            }
        }
        gone
    }

    /// Wakes every idle connection because the balancer stops.
    pub(crate) fn drain(&self) {
        for entry in lock(&self.entries).iter().flatten().filter(|e| e.watch.is_idle()) {
            entry.watch.fire(Fired::Drained);
        }
    }

    /// Every connection.
    pub(crate) fn all(&self) -> Vec<Arc<Watch>> {
        lock(&self.entries).iter().flatten().map(|e| e.watch.clone()).collect()
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        lock(&self.register.entries)[self.place] = None;
        lock(&self.register.free).push(self.place);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fired_at(register: &Arc<Register>, watch: &Watch, moves: &[u64]) -> Option<u64> {
        (0..100).map(|tick| tick * 100).find(|now| {
            if moves.contains(now) {
                watch.progress();
            }
            register.sweep(*now);
            watch.fired().is_some()
        })
    }

    #[test]
    fn progress_extends_inactivity_but_no_header_deadline() {
        let register = Arc::new(Register::default());
        let head = register.add();
        head.watch.enter(Phase::Head, Duration::from_secs(1));
        assert_eq!(fired_at(&register, &head.watch, &[300, 800]), Some(1000));
        let body = register.add();
        body.watch.enter(Phase::Client, Duration::from_secs(1));
        assert_eq!(fired_at(&register, &body.watch, &[300, 800]), Some(1800));
    }

    #[test]
    fn room_is_made_by_those_who_send_no_request() {
        let register = Arc::new(Register::default());
        let (idle, busy) = (register.add(), register.add());
        idle.watch.enter(Phase::Idle, Duration::from_secs(10));
        busy.watch.enter(Phase::Server, Duration::from_secs(10));
        register.sweep(0);
        assert_eq!(register.make_room(900, 1000), 0);
        let late = register.add();
        late.watch.enter(Phase::Head, Duration::from_secs(10));
        register.sweep(900);
        assert_eq!(register.make_room(1000, 1000), 1);
        assert_eq!((idle.watch.fired(), busy.watch.fired()), (Some(Fired::Crowded), None));
        assert_eq!((register.make_room(1000, 1000), late.watch.fired()), (0, None));
    }

    #[test]
    fn drain_wakes_only_the_idle() {
        let register = Arc::new(Register::default());
        let (idle, busy) = (register.add(), register.add());
        idle.watch.enter(Phase::Idle, Duration::from_secs(1));
        busy.watch.enter(Phase::Server, Duration::from_secs(1));
        register.drain();
        assert_eq!((idle.watch.fired(), busy.watch.fired()), (Some(Fired::Drained), None));
        drop(idle);
        assert_eq!(register.all().len(), 1);
    }
}
