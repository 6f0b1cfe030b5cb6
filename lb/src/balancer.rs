//! What all threads of the balancer share: proxies with their counters, the clock, the log, the registers of connections.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::access::AccessLog;
use crate::backend::{Backend, Change, Server};
use crate::config::{Config, FrontendOptions};
use crate::flags::Flags;
use crate::health::Flip;
use crate::stats::Counters;
use crate::tls;
use crate::token::Token;
use crate::watch::Register;

/// Events that are remembered.
const EVENTS: usize = 1000;

/// Time since the start, for everything that is not shown to people.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Uptime(Instant);

impl Uptime {
    /// Milliseconds since the start.
    pub(crate) fn now_ms(self) -> u64 {
        self.us_of(Instant::now()) / 1000
    }

    /// Microseconds from the start to `instant`.
    pub(crate) fn us_of(self, instant: Instant) -> u64 {
        us(instant.saturating_duration_since(self.0))
    }
}

/// A duration in microseconds.
pub(crate) fn us(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// A place where clients connect, with its numbers.
pub(crate) struct Frontend {
    /// Number among all proxies, as `iid`.
    pub id: u32,
    /// As configured.
    pub options: FrontendOptions,
    /// Its row of numbers; streams are connections here.
    pub counters: Arc<Counters>,
    /// TLS that it offers.
    pub tls: Option<TlsAcceptor>,
    /// Where requests go.
    pub backend: Arc<Backend>,
    /// Accepts nobody while set.
    pub paused: Arc<AtomicBool>,
    /// Clients that it has accepted and that have not left.
    pub open: Arc<AtomicU32>,
}

impl std::fmt::Debug for Frontend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Frontend({})", self.options.name)
    }
}

impl Frontend {
    /// Whether an operator has paused it.
    pub(crate) fn is_paused(&self) -> bool {
        self.paused.load(Relaxed)
    }

    /// Pauses or resumes it; false if it was so already.
    pub(crate) fn pause(&self, on: bool) -> bool {
        self.paused.swap(on, Relaxed) != on
    }
}

/// All proxies at one moment; replaced as a whole.
#[derive(Debug)]
pub(crate) struct Topology {
    /// What was configured.
    pub config: Config,
    /// Frontends in configured order.
    pub frontends: Vec<Arc<Frontend>>,
    /// Backends in configured order.
    pub backends: Vec<Arc<Backend>>,
    /// Number of the stats proxy.
    pub stats_id: u32,
}

impl Topology {
    /// Fresh proxies for `workers` threads. HAProxy numbers its proxies from 2.
    pub(crate) fn new(config: Config, workers: usize) -> Self {
        let first_backend = 2 + config.frontends.len();
        let id = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let backends: Vec<_> = (first_backend..)
            .zip(&config.backends)
            .map(|(n, options)| Arc::new(Backend::new(id(n), options.clone(), workers)))
            .collect();
        let frontends = (2..)
            .zip(&config.frontends)
            .filter_map(|(n, options)| {
                let wanted = |b: &&Arc<Backend>| b.options.name == options.default_backend;
                let backend = backends.iter().find(wanted).or(backends.first())?;
                Some(Arc::new(Frontend {
                    id: id(n),
                    options: options.clone(),
                    counters: Arc::new(Counters::new(workers)),
                    tls: options.tls.as_ref().and_then(|t| tls::acceptor(t).ok()),
                    backend: backend.clone(),
                    paused: Arc::default(),
                    open: Arc::default(),
                }))
            })
            .collect();
        let stats_id = id(first_backend + config.backends.len());
        Topology { config, frontends, backends, stats_id }
    }
}

/// Something that changed, for the page and the API.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    /// When.
    pub at: jiff::Timestamp,
    /// Who did it: a check, an address, a user.
    pub who: String,
    /// What happened.
    pub text: String,
}

/// The shared state.
#[derive(Debug)]
pub(crate) struct Balancer {
    /// The proxies.
    pub topology: ArcSwap<Topology>,
    /// Time since the start.
    pub clock: Uptime,
    /// Milliseconds of uptime at the last tick, for what need not be exact.
    pub tick_ms: AtomicU64,
    /// Wall time of the start.
    pub started: jiff::Timestamp,
    /// Worker threads.
    pub workers: usize,
    /// Connections of each worker.
    pub registers: Vec<Arc<Register>>,
    /// Clients of each worker.
    pub loads: Vec<AtomicU32>,
    /// The access log.
    pub log: AccessLog,
    /// The stats listener's row of numbers.
    pub stats: Counters,
    /// Clients of the stats listener.
    pub stats_register: Arc<Register>,
    /// Drain has begun: no keep-alive, not ready.
    pub draining: CancellationToken,
    /// No connection is accepted any more.
    pub closed: CancellationToken,
    /// A client went, so another may be accepted.
    pub freed: Notify,
    /// Bytes of alert posts that are kept.
    pub kept_bytes: AtomicU64,
    /// Where the configuration came from, if it can be read again.
    pub flags: Option<Flags>,
    /// Whether the last reload succeeded.
    pub reloaded: AtomicBool,
    /// Servers came or went: checks must follow.
    pub changed: Notify,
    /// The admin token.
    pub admin: Token,
    changing: Mutex<()>,
    /// Uptime in ms at the last post of alerts.
    pub posted_ms: AtomicU64,
    /// Numbers of connections.
    pub next_id: AtomicU64,
    events: Mutex<std::collections::VecDeque<Event>>,
}

impl Balancer {
    /// Shared state for `config`.
    pub(crate) fn new(
        config: Config,
        flags: Option<Flags>,
        workers: usize,
        started: jiff::Timestamp,
        log: AccessLog,
        admin: Token,
    ) -> Self {
        Balancer {
            topology: ArcSwap::from_pointee(Topology::new(config, workers)),
            clock: Uptime(Instant::now()),
            tick_ms: AtomicU64::new(0),
            started,
            workers,
            registers: (0..workers).map(|_| Arc::default()).collect(),
            loads: (0..workers).map(|_| AtomicU32::new(0)).collect(),
            log,
            stats: Counters::new(workers),
            stats_register: Arc::default(),
            draining: CancellationToken::new(),
            closed: CancellationToken::new(),
            freed: Notify::new(),
            kept_bytes: AtomicU64::new(0),
            posted_ms: AtomicU64::new(0),
            flags,
            reloaded: AtomicBool::new(true),
            changed: Notify::new(),
            admin,
            changing: Mutex::default(),
            next_id: AtomicU64::new(0),
            events: Mutex::default(),
        }
    }

    /// The backend that a server is in now.
    pub(crate) fn backend_of(&self, server: &Arc<Server>) -> Option<Arc<Backend>> {
        let topology = self.topology.load();
        let mine = |b: &&Arc<Backend>| b.servers.iter().any(|s| Arc::ptr_eq(s, server));
        topology.backends.iter().find(mine).cloned()
    }

    /// Milliseconds of uptime, at most a tick old.
    pub(crate) fn about_now_ms(&self) -> u64 {
        self.tick_ms.load(Relaxed)
    }

    /// Client connections now.
    pub(crate) fn clients(&self) -> u32 {
        self.loads.iter().map(|l| l.load(Relaxed)).sum()
    }

    /// Wall time now, by the uptime.
    pub(crate) fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::now()
    }

    /// Held while the proxies are replaced.
    pub(crate) fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers an event.
    pub(crate) fn event(&self, who: &str, text: String) {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        if events.len() == EVENTS {
            events.pop_front();
        }
        events.push_back(Event { at: self.now(), who: who.to_owned(), text });
    }

    /// Remembered events, the newest first.
    pub(crate) fn events(&self) -> Vec<Event> {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.iter().rev().cloned().collect()
    }

    /// Says in HAProxy's words that a server went up or down.
    pub(crate) fn server_changed(
        &self,
        backend: &Backend,
        server: &Server,
        change: &Change,
        who: &str,
    ) {
        let now_ms = self.clock.now_ms();
        let pool_changed = backend.refresh(now_ms);
        let pool = backend.snapshot(now_ms);
        let (word, kept) = match change.flip {
            Flip::Up => ("UP", "online"),
            Flip::Down => ("DOWN", "left"),
        };
        let result = &change.result;
        let code = result.http.map(|c| format!(", code: {c}")).unwrap_or_default();
        let info = match result.info.as_str() {
            "" => String::new(),
            info => format!(", info: \"{info}\""),
        };
        let tail = match change.flip {
            Flip::Up => format!("0 sessions requeued, {} total in queue", backend.queue.len()),
            Flip::Down => format!(
                "{} sessions active, 0 requeued, {} remaining in queue",
                server.active(),
                backend.queue.len()
            ),
        };
        let text = format!(
            "Server {}/{} is {word}, reason: {}{code}{info}, check duration: {}ms. {} active and {} \
             backup servers {kept}. {tail}.",
            backend.options.name,
            server.name(),
            result.status.description(),
            result.duration_ms,
            pool.active,
            pool.backup,
        );
        self.log.sentence(&text);
        self.event(who, text);
        if pool_changed && !pool.up {
            let text = format!("backend {} has no server available!", backend.options.name);
            self.log.sentence(&text);
            self.event(who, text);
        }
    }
}
