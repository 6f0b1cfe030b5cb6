//! What all threads of the balancer share: proxies with their counters, the clock, the log, the registers of connections.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::access::AccessLog;
use crate::backend::{Backend, Change, Server};
use crate::config::{BasicAuth, BindOptions, Config, FrontendOptions};
use crate::errors::Errors;
use crate::flags::Flags;
use crate::health::Flip;
use crate::load::Load;
use crate::sink::Severity;
use crate::sockets::Sockets;
use crate::stats::Counters;
use crate::tls::{self, Offer};
use crate::token::Token;
use crate::users::Users;
use crate::watch::{Fired, Register};

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

/// One address of a frontend.
pub(crate) struct Bind {
    /// As configured.
    pub options: BindOptions,
    /// TLS that it offers.
    pub tls: Option<Offer>,
    /// Whether it must offer TLS: where that cannot be had, nobody is served.
    pub needs_tls: bool,
}

/// A place where clients connect, with its numbers.
#[derive(Clone)]
pub(crate) struct Frontend {
    /// Number among all proxies, as `iid`.
    pub id: u32,
    /// As configured.
    pub options: FrontendOptions,
    /// Its row of numbers; streams are connections here.
    pub counters: Arc<Counters>,
    /// Its addresses.
    pub binds: Arc<Vec<Bind>>,
    /// Who is served, if not all are.
    pub users: Option<Arc<Users>>,
    /// Headers of clients that servers must not believe.
    pub strips: Arc<Vec<String>>,
    /// Where requests go.
    pub backend: Arc<Backend>,
    /// What operators have done to it.
    pub state: Arc<FrontendState>,
}

/// What stays of a frontend when its settings change.
#[derive(Debug)]
pub(crate) struct FrontendState {
    /// Accepts nobody while set.
    paused: AtomicBool,
    /// Its addresses were given up for good.
    stopped: AtomicBool,
    /// Clients at once.
    maxconn: AtomicU32,
    /// Clients that it has accepted and that have not left.
    pub open: AtomicU32,
}

impl std::fmt::Debug for Frontend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Frontend({})", self.options.name)
    }
}

impl Frontend {
    fn new(id: u32, options: &FrontendOptions, backend: Arc<Backend>, workers: usize) -> Self {
        let bind = |bind: &BindOptions| {
            let wanted = bind.tls.as_ref().or(options.tls.as_ref());
            Bind {
                options: bind.clone(),
                tls: wanted.and_then(|t| tls::offer(t, bind.http2).ok()),
                needs_tls: wanted.is_some(),
            }
        };
        let binds: Vec<_> = options.bind.iter().map(bind).collect();
        let told = binds.iter().filter_map(|b| b.tls.as_ref()?.client_header.clone());
        let mut strips: Vec<_> = told.collect();
        if options.basic_auth.is_some() {
            strips.push("Authorization".to_owned());
        }
        let users = options.basic_auth.as_ref();
        Frontend {
            id,
            options: options.clone(),
            counters: Arc::new(Counters::new(workers)),
            binds: Arc::new(binds),
            users: users.map(load_users),
            strips: Arc::new(strips),
            backend,
            state: Arc::new(FrontendState {
                paused: AtomicBool::new(false),
                stopped: AtomicBool::new(false),
                maxconn: AtomicU32::new(options.maxconn),
                open: AtomicU32::new(0),
            }),
        }
    }

    /// These settings with the numbers and the state of the frontend as it was before.
    pub(crate) fn after(mut self, before: &Frontend, backend: Arc<Backend>) -> Self {
        self.counters = before.counters.clone();
        self.state = before.state.clone();
        self.backend = backend;
        if self.options.maxconn != before.options.maxconn {
            self.set_maxconn(self.options.maxconn);
        }
        self
    }

    /// The same frontend with another backend.
    pub(crate) fn over(&self, backend: Arc<Backend>) -> Self {
        Frontend { backend, ..self.clone() }
    }

    /// The address called `text` in the configuration, else the first.
    pub(crate) fn bind(&self, text: &str) -> Option<&Bind> {
        self.binds.iter().find(|b| b.options.address == text).or(self.binds.first())
    }

    /// Whether an operator has paused it.
    pub(crate) fn is_paused(&self) -> bool {
        self.state.paused.load(Relaxed)
    }

    /// Pauses or resumes it; false if it was so already.
    pub(crate) fn pause(&self, on: bool) -> bool {
        self.state.paused.swap(on, Relaxed) != on
    }

    /// Whether an operator has given up its addresses.
    pub(crate) fn is_stopped(&self) -> bool {
        self.state.stopped.load(Relaxed)
    }

    /// Its addresses are given up; false if they were already.
    pub(crate) fn stop(&self) -> bool {
        !self.state.stopped.swap(true, Relaxed)
    }

    /// Clients at once.
    pub(crate) fn maxconn(&self) -> u32 {
        self.state.maxconn.load(Relaxed)
    }

    /// Sets the limit of clients.
    pub(crate) fn set_maxconn(&self, maxconn: u32) {
        self.state.maxconn.store(maxconn, Relaxed);
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
    /// Who may change state on the stats page, in its mode `basic`.
    pub stats_users: Option<Arc<Users>>,
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
                Some(Arc::new(Frontend::new(id(n), options, backend.clone(), workers)))
            })
            .collect();
        let stats_id = id(first_backend + config.backends.len());
        let users = config.stats.as_ref().and_then(|s| s.users.as_ref());
        let stats_users = users.map(load_users);
        Topology { config, frontends, backends, stats_id, stats_users }
    }
}

/// Users whose file was checked before; nobody, should it have gone since.
fn load_users(options: &BasicAuth) -> Arc<Users> {
    Arc::new(Users::load(options).unwrap_or_else(|_| Users::nobody(options)))
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
    /// Listening sockets.
    pub sockets: Sockets,
    /// Clients at once, of the whole process.
    pub maxconn: AtomicU32,
    /// Clients a second, of the whole process; 0 for no limit.
    pub conn_rate: AtomicU32,
    /// Tenths of clients that may still come; every tick gives as many as the rate.
    pub conn_tenths: AtomicI64,
    /// A client waits because there are too many.
    pub crowded: AtomicBool,
    /// Clients that were let go so that others could come.
    pub let_go: AtomicU64,
    /// Another process has taken over.
    pub handed_over: CancellationToken,
    /// A process that takes over is being started.
    pub handing_over: AtomicBool,
    /// The task that accepts on the admin socket.
    pub admin_listens: Mutex<Option<tokio::task::AbortHandle>>,
    /// The program that this process runs, as it was found at its start.
    pub program: std::path::PathBuf,
    /// Whether the process is the balancer, and not a test with one in it.
    pub is_service: bool,
    /// How busy the process is.
    pub load: Mutex<Load>,
    /// What could not be read lately.
    pub errors: Errors,
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
    /// Shared state for `config`. `is_service` says that the whole process is the balancer.
    pub(crate) fn new(
        config: Config,
        flags: Option<Flags>,
        workers: usize,
        started: jiff::Timestamp,
        log: AccessLog,
        admin: Token,
        is_service: bool,
    ) -> Self {
        Balancer {
            sockets: Sockets::default(),
            maxconn: AtomicU32::new(config.global.maxconn),
            conn_rate: AtomicU32::new(0),
            conn_tenths: AtomicI64::new(0),
            crowded: AtomicBool::new(false),
            let_go: AtomicU64::new(0),
            handed_over: CancellationToken::new(),
            handing_over: AtomicBool::new(false),
            admin_listens: Mutex::default(),
            program: std::env::current_exe().unwrap_or_default(),
            is_service,
            load: Mutex::default(),
            errors: Errors::default(),
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

    /// Ends all streams that a server serves.
    pub(crate) fn end_streams(&self, backend: &Backend, server: &Server, why: Fired) {
        let serving = (u64::from(backend.id) << 32) | u64::from(server.id);
        let all = self.registers.iter().flat_map(|r| r.all());
        all.filter(|watch| watch.serves(serving)).for_each(|watch| watch.fire(why));
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
        let severity = match change.flip {
            Flip::Up => Severity::Notice,
            Flip::Down => Severity::Alert,
        };
        self.log.sentence(severity, &text);
        self.event(who, text);
        if change.flip == Flip::Down && backend.options.shut_when_down {
            self.end_streams(backend, server, Fired::ServerDown);
        }
        if pool_changed && !pool.up {
            let text = format!("backend {} has no server available!", backend.options.name);
            self.log.sentence(Severity::Emergency, &text);
            self.event(who, text);
        }
    }
}
