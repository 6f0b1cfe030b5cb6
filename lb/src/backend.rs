//! Pools of servers: who is in them, who may take traffic now, and who takes the next request. Time comes as milliseconds of uptime; sockets are not known here.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, ArcSwapOption};

use crate::balance::{Candidate, RoundRobin, better_of_two, least_busy};
use crate::config::{BackendOptions, Balance, CheckOptions, Observe, OnError, ServerOptions};
use crate::health::{CheckResult, CheckStatus, Flip, Health};
use crate::peer::{Node, Peer};
use crate::queue::Queue;
use crate::series::Series;
use crate::stats::Counters;
use crate::tls::{self, TlsClient};

/// Weights are multiplied by it while they are compared, so that a ramp has steps.
const SCALE: u32 = 256;

/// What the operator wants of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admin {
    /// Traffic and checks.
    Ready,
    /// No new traffic, checks go on.
    Drain,
    /// Neither.
    Maint,
}

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// `HOST:PORT` as configured or set.
    pub text: String,
    /// Its address, once the name is resolved.
    pub address: Option<SocketAddr>,
}

/// What a Tocsin node said about its cluster with its last check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClusterView {
    /// Members that live.
    pub live: u32,
    /// Members known.
    pub known: u32,
    /// Whether `/-/ready` passed.
    pub ready: bool,
}

/// A server that changed between up and down, in the words of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// Which way.
    pub flip: Flip,
    /// The check that did it.
    pub result: CheckResult,
}

/// One node of a backend.
#[derive(Debug)]
pub(crate) struct Server {
    /// Number in its backend, from 1.
    pub id: u32,
    /// As configured.
    pub options: ServerOptions,
    /// Its row of numbers.
    pub counters: Counters,
    /// Health checks, as configured.
    pub check: CheckOptions,
    target: ArcSwap<Target>,
    tls: ArcSwapOption<TlsClient>,
    weight: AtomicU32,
    maxconn: AtomicU32,
    usable: AtomicBool,
    not_ready: AtomicBool,
    live: AtomicU32,
    whole: AtomicBool,
    stranger: AtomicBool,
    active: AtomicU32,
    most_active: AtomicU32,
    /// Requests that wait for this very server.
    pub queue: Queue,
    errors_in_row: AtomicU32,
    /// Asks for a check at once.
    pub kick: tokio::sync::Notify,
    /// Rises when pooled connections are no longer wanted.
    generation: AtomicU32,
    idle: AtomicU32,
    up_since_ms: AtomicU64,
    state: Mutex<State>,
    series: Mutex<Series>,
}

#[derive(Debug)]
struct State {
    health: Health,
    admin: Admin,
    refuses_load: bool,
    checks_on: bool,
    result: CheckResult,
    running: bool,
    failed_checks: u64,
    downs: u64,
    changed_ms: u64,
    down_ms: u64,
    cluster: Option<ClusterView>,
    peer: Option<Peer>,
}

/// A server's state at one moment, for pages and sockets.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    /// `UP`, `UP 2/3`, `DOWN`, `MAINT`, `no check`.
    pub status: String,
    /// Whether it takes traffic, weight aside.
    pub usable: bool,
    /// Whether its health counts as up.
    pub up: bool,
    /// The operator's wish.
    pub admin: Admin,
    /// Health number.
    pub health: Health,
    /// Whether it is checked.
    pub checked: bool,
    /// Whether checks are on.
    pub checks_on: bool,
    /// The last check.
    pub result: CheckResult,
    /// Whether one is running.
    pub running: bool,
    /// Checks that failed while up.
    pub failed_checks: u64,
    /// Times it went down.
    pub downs: u64,
    /// Seconds since it last changed.
    pub since_change_s: u64,
    /// Seconds it was down in all.
    pub downtime_s: u64,
    /// What it says about its cluster.
    pub cluster: Option<ClusterView>,
    /// Per cent of its weight, while it ramps.
    pub throttle: Option<u32>,
}

impl Server {
    /// A server in its first state, for `workers` threads.
    pub(crate) fn new(
        id: u32,
        options: ServerOptions,
        check: CheckOptions,
        workers: usize,
    ) -> Self {
        let check = options.health.clone().unwrap_or(check);
        let address = options.address.parse().ok();
        let admin = if options.disabled { Admin::Maint } else { Admin::Ready };
        let state = State {
            health: Health::new(&check),
            admin,
            refuses_load: false,
            checks_on: options.check,
            result: CheckResult::default(),
            running: false,
            failed_checks: 0,
            downs: 0,
            changed_ms: 0,
            down_ms: 0,
            cluster: None,
            peer: None,
        };
        let server = Server {
            id,
            counters: Counters::new(workers),
            check,
            tls: ArcSwapOption::empty(),
            target: ArcSwap::from_pointee(Target { text: options.address.clone(), address }),
            weight: AtomicU32::new(options.weight),
            maxconn: AtomicU32::new(options.maxconn),
            usable: AtomicBool::new(false),
            not_ready: AtomicBool::new(false),
            live: AtomicU32::new(0),
            whole: AtomicBool::new(false),
            stranger: AtomicBool::new(false),
            active: AtomicU32::new(0),
            most_active: AtomicU32::new(0),
            queue: Queue::default(),
            errors_in_row: AtomicU32::new(0),
            kick: tokio::sync::Notify::new(),
            generation: AtomicU32::new(0),
            idle: AtomicU32::new(0),
            up_since_ms: AtomicU64::new(0),
            state: Mutex::new(state),
            series: Mutex::default(),
            options,
        };
        server.load_tls();
        server.publish(&server.lock());
        server
    }

    /// Reads the certificates for it again.
    pub(crate) fn load_tls(&self) {
        let Some(options) = &self.options.tls else { return };
        match tls::client(options, &self.options.address) {
            Ok(client) => self.tls.store(Some(Arc::new(client))),
            Err(error) => {
                tracing::error!(server = self.name(), error = %error, "TLS cannot be used");
            }
        }
    }

    /// How to speak TLS to it, if so configured.
    /// # Errors
    /// Its certificates could not be read.
    pub(crate) fn tls(&self) -> std::io::Result<Option<Arc<TlsClient>>> {
        match (&self.options.tls, self.tls.load_full()) {
            (None, _) => Ok(None),
            (Some(_), Some(client)) => Ok(Some(client)),
            (Some(_), None) => Err(std::io::Error::other("TLS cannot be used")),
        }
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.options.name
    }

    /// Where it is.
    pub(crate) fn target(&self) -> Arc<Target> {
        self.target.load_full()
    }

    /// Moves it; pooled connections are given up if the address changed.
    pub(crate) fn set_target(&self, target: Target) {
        let old = self.target.swap(Arc::new(target));
        if old.address != self.target.load().address {
            self.generation.fetch_add(1, Relaxed);
        }
        self.publish(&self.lock());
    }

    /// Weight as set by the operator or configured.
    pub(crate) fn weight(&self) -> u32 {
        self.weight.load(Relaxed)
    }

    /// Sets the weight, 0 to 256.
    pub(crate) fn set_weight(&self, weight: u32) {
        self.weight.store(weight.min(256), Relaxed);
    }

    /// Streams allowed at once, 0 for no limit.
    pub(crate) fn maxconn(&self) -> u32 {
        self.maxconn.load(Relaxed)
    }

    /// Sets the limit of streams.
    pub(crate) fn set_maxconn(&self, maxconn: u32) {
        self.maxconn.store(maxconn, Relaxed);
    }

    /// Whether one more request may wait for this very server.
    pub(crate) fn has_queue_room(&self) -> bool {
        self.options.maxqueue == 0 || self.queue.len() < self.options.maxqueue
    }

    /// Streams now.
    pub(crate) fn active(&self) -> u32 {
        self.active.load(Relaxed)
    }

    /// Number under which pooled connections may be used; another one orphans them.
    pub(crate) fn generation(&self) -> u32 {
        self.generation.load(Relaxed)
    }

    /// Idle pooled connections of all threads; the pools keep it.
    pub(crate) fn idle(&self) -> &AtomicU32 {
        &self.idle
    }

    /// Whether it takes traffic, weight aside.
    pub(crate) fn usable(&self) -> bool {
        self.usable.load(Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Copies what the request path reads into atomics.
    fn publish(&self, state: &State) {
        let up = state.health.is_up() || !self.options.check;
        let resolved = self.target.load().address.is_some();
        let usable = up && resolved && state.admin == Admin::Ready && !state.refuses_load;
        if self.usable.swap(usable, Relaxed) && !usable {
            self.generation.fetch_add(1, Relaxed);
        }
        self.not_ready.store(state.cluster.is_some_and(|c| !c.ready), Relaxed);
        self.live.store(state.cluster.map_or(0, |c| c.live), Relaxed);
        self.whole.store(state.cluster.is_some_and(|c| c.live == c.known), Relaxed);
    }

    /// Whether a check is due at all, and when it may run the next.
    pub(crate) fn wants_checks(&self) -> bool {
        let state = self.lock();
        self.options.check && state.checks_on && state.admin != Admin::Maint
    }

    /// Time between checks in the present state.
    pub(crate) fn check_interval(&self) -> std::time::Duration {
        self.lock().health.interval(&self.check)
    }

    /// A check begins.
    pub(crate) fn check_begins(&self) {
        let mut state = self.lock();
        state.running = true;
        if state.result.status == CheckStatus::Unknown {
            state.result.status = CheckStatus::Initializing;
        }
    }

    /// Takes in a check and what the node said with it.
    pub(crate) fn check_ends(
        &self,
        result: CheckResult,
        cluster: Option<ClusterView>,
        now_ms: u64,
    ) -> Option<Change> {
        let mut state = self.lock();
        state.running = false;
        let passed = result.status.passed();
        if !passed && state.health.is_up() {
            state.failed_checks += 1;
        }
        if passed {
            state.cluster = cluster;
        }
        state.refuses_load = result.status == CheckStatus::L7OkConditional;
        state.result = result;
        let flip = state.health.record(passed);
        self.flipped(&mut state, flip, now_ms)
    }

    /// Takes a step of its last hour; every ten seconds.
    pub(crate) fn step(&self) {
        let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        series.step(self.counters.raw(), self.counters.histogram());
    }

    /// Its last hour.
    pub(crate) fn series(&self) -> Series {
        self.series.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes in what it said of itself.
    pub(crate) fn set_peer(&self, peer: Peer) {
        self.stranger.store(peer == Peer::Stranger, Relaxed);
        self.lock().peer = Some(peer);
    }

    /// What it said of itself, if it is an alert node.
    pub(crate) fn node(&self) -> Option<Node> {
        match &self.lock().peer {
            Some(Peer::Node(node)) => Some(node.clone()),
            _ => None,
        }
    }

    /// Takes in how traffic went. Too many errors in a row are a finding, which does what the rule says.
    pub(crate) fn observe(&self, rule: &Observe, good: bool, now_ms: u64) -> Option<Change> {
        if good {
            self.errors_in_row.store(0, Relaxed);
            return None;
        }
        let errors = self.errors_in_row.fetch_add(1, Relaxed) + 1;
        if errors < rule.error_limit {
            return None;
        }
        self.errors_in_row.store(0, Relaxed);
        let mut state = self.lock();
        if rule.on_error != OnError::FastInter && state.health.is_up() {
            let info = format!("{errors} errors in a row");
            state.result =
                CheckResult { status: CheckStatus::Observed, http: None, duration_ms: 0, info };
        }
        let flip = match rule.on_error {
            OnError::FastInter => None,
            OnError::FailCheck => state.health.record(false),
            OnError::SuddenDeath if state.health.is_up() => state.health.restart(),
            OnError::SuddenDeath => None,
            OnError::MarkDown => state.health.force(false),
        };
        self.kick.notify_one();
        self.flipped(&mut state, flip, now_ms)
    }

    /// Forces health as an operator does: the next check may change it.
    pub(crate) fn force_health(&self, up: bool, refuses_load: bool, now_ms: u64) -> Option<Change> {
        let mut state = self.lock();
        state.refuses_load = refuses_load;
        let flip = state.health.force(up);
        self.flipped(&mut state, flip, now_ms)
    }

    fn flipped(&self, state: &mut State, flip: Option<Flip>, now_ms: u64) -> Option<Change> {
        if let Some(flip) = flip {
            let spent = now_ms.saturating_sub(state.changed_ms);
            state.changed_ms = now_ms;
            match flip {
                Flip::Down => state.downs += 1,
                Flip::Up => {
                    state.down_ms += spent;
                    self.up_since_ms.store(now_ms, Relaxed);
                }
            }
        }
        self.publish(state);
        flip.map(|flip| Change { flip, result: state.result.clone() })
    }

    /// Sets the operator's wish; returns the old one. Back from maintenance, health starts again.
    pub(crate) fn set_admin(&self, admin: Admin, now_ms: u64) -> Admin {
        let mut state = self.lock();
        let old = std::mem::replace(&mut state.admin, admin);
        if old == admin {
            return old;
        }
        state.changed_ms = now_ms;
        if old == Admin::Maint {
            state.health.restart();
            state.refuses_load = false;
            self.kick.notify_one();
        }
        self.publish(&state);
        old
    }

    /// What a process that takes over should know of its health.
    pub(crate) fn remembered(&self, now_ms: u64) -> serde_json::Value {
        let state = self.lock();
        let result = &state.result;
        serde_json::json!({
            "value": state.health.value(), "checked": state.health.is_checked(),
            "thresholds": state.health.thresholds(),
            "status": result.status.number(), "http": result.http,
            "duration_ms": result.duration_ms, "info": result.info,
            "refuses_load": state.refuses_load, "checks_on": state.checks_on,
            "failed_checks": state.failed_checks, "downs": state.downs,
            "age_ms": now_ms.saturating_sub(state.changed_ms), "down_ms": state.down_ms,
            "cluster": state.cluster.map(|c| (c.live, c.known, c.ready)),
            "stranger": self.stranger.load(Relaxed),
        })
    }

    /// Takes up the health that a process before knew. Counts and health as they were; time since the change begins anew.
    pub(crate) fn recall(&self, known: &serde_json::Value) {
        let number = |key: &str| known[key].as_u64().unwrap_or(0);
        let small = |key: &str| u32::try_from(number(key)).unwrap_or(0);
        let mut state = self.lock();
        if known["thresholds"] == serde_json::json!(state.health.thresholds()) {
            state.health.recall(small("value"), known["checked"] == true);
            state.result = CheckResult {
                status: CheckStatus::of_number(number("status")).unwrap_or_default(),
                http: known["http"].as_u64().and_then(|n| u16::try_from(n).ok()),
                duration_ms: number("duration_ms"),
                info: known["info"].as_str().unwrap_or_default().to_owned(),
            };
            state.refuses_load = known["refuses_load"] == true;
            let cluster = serde_json::from_value::<(u32, u32, bool)>(known["cluster"].clone());
            state.cluster =
                cluster.ok().map(|(live, known, ready)| ClusterView { live, known, ready });
            self.stranger.store(known["stranger"] == true, Relaxed);
        }
        state.checks_on = known["checks_on"] == true && self.options.check;
        state.failed_checks = number("failed_checks");
        state.downs = number("downs");
        state.down_ms = number("down_ms");
        self.publish(&state);
    }

    /// Sets what an operator wanted of it before; unlike a change made now it does not touch health.
    pub(crate) fn restore_admin(&self, admin: Admin) {
        let mut state = self.lock();
        state.admin = admin;
        self.publish(&state);
    }

    /// Stops or resumes checks.
    pub(crate) fn set_checks(&self, on: bool) {
        self.lock().checks_on = on;
    }

    /// Its state now.
    pub(crate) fn snapshot(&self, now_ms: u64) -> Snapshot {
        let state = self.lock();
        let checked = self.options.check;
        let up = state.health.is_up() || !checked;
        let resolved = self.target.load().address.is_some();
        let status = match state.admin {
            Admin::Maint => "MAINT".to_owned(),
            _ if !resolved => "MAINT (resolution)".to_owned(),
            Admin::Drain if up => state.health.text("DRAIN"),
            _ if !checked || (up && !state.checks_on) => "no check".to_owned(),
            _ if state.refuses_load => state.health.text("NOLB"),
            _ => state.health.text("UP"),
        };
        let since_ms = now_ms.saturating_sub(state.changed_ms);
        let down_now = if up && state.admin != Admin::Maint { 0 } else { since_ms };
        Snapshot {
            status,
            usable: self.usable(),
            up,
            admin: state.admin,
            health: state.health,
            checked,
            checks_on: state.checks_on,
            result: state.result.clone(),
            running: state.running,
            failed_checks: state.failed_checks,
            downs: state.downs,
            since_change_s: since_ms / 1000,
            downtime_s: (state.down_ms + down_now) / 1000,
            cluster: state.cluster,
            throttle: self.throttle(now_ms),
        }
    }

    /// Per cent of its weight while it ramps after coming up.
    pub(crate) fn throttle(&self, now_ms: u64) -> Option<u32> {
        let ramp_ms = u64::try_from(self.options.slow_start.as_millis()).unwrap_or(u64::MAX);
        let since_ms = self.up_since_ms.load(Relaxed);
        let spent_ms = now_ms.saturating_sub(since_ms);
        if ramp_ms == 0 || since_ms == 0 || spent_ms >= ramp_ms {
            return None;
        }
        u32::try_from(spent_ms * 100 / ramp_ms).ok().map(|p| p.max(1))
    }

    fn scaled_weight(&self, now_ms: u64) -> u32 {
        let weight = self.weight() * SCALE;
        match self.throttle(now_ms) {
            Some(percent) => (weight * percent / 100).max(u32::from(weight > 0)),
            None => weight,
        }
    }

    /// Streams allowed now, ramp counted; 0 for no limit.
    fn limit(&self, now_ms: u64) -> u32 {
        match (self.maxconn(), self.throttle(now_ms)) {
            (0, _) => 0,
            (max, Some(percent)) => (max * percent / 100).max(1),
            (max, None) => max,
        }
    }

    fn is_full(&self, now_ms: u64) -> bool {
        let limit = self.limit(now_ms);
        limit > 0 && self.active() >= limit
    }
}

/// A stream's place on a server; given back when dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    /// The server.
    pub server: Arc<Server>,
    backend: Arc<Backend>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.server.active.fetch_sub(1, Relaxed);
        // Whoever finds the place taken by the other goes on waiting.
        self.server.queue.wake_one();
        self.backend.queue.wake_one();
    }
}

/// Answer to "who takes this request?".
#[derive(Debug)]
pub(crate) enum Choice {
    /// This one, and whether another could have.
    Server(Slot, bool),
    /// All that could are at their limit.
    Full,
    /// Nobody is up.
    Nobody,
}

/// A pool of servers.
#[derive(Debug)]
pub(crate) struct Backend {
    /// Number among all proxies, as `iid`.
    pub id: u32,
    /// As configured.
    pub options: BackendOptions,
    /// The servers in configured order.
    pub servers: Vec<Arc<Server>>,
    /// Its row of numbers.
    pub counters: Arc<Counters>,
    /// Requests that wait for a server.
    pub queue: Arc<Queue>,
    turns: Mutex<RoundRobin>,
    draws: AtomicU64,
    state: Arc<Mutex<PoolState>>,
}

#[derive(Debug, Default)]
struct PoolState {
    down: bool,
    downs: u64,
    changed_ms: u64,
    down_ms: u64,
}

/// A backend's state at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PoolSnapshot {
    /// Whether a server takes traffic.
    pub up: bool,
    /// Usable servers that are not backups.
    pub active: u32,
    /// Usable backups.
    pub backup: u32,
    /// Weight of those in use.
    pub weight: u32,
    /// Times it went down.
    pub downs: u64,
    /// Seconds since it last changed.
    pub since_change_s: u64,
    /// Seconds it was down in all.
    pub downtime_s: u64,
}

impl Backend {
    /// A pool with fresh servers, for `workers` threads.
    pub(crate) fn new(id: u32, options: BackendOptions, workers: usize) -> Self {
        let servers = (1..).zip(&options.servers);
        let servers = servers
            .map(|(id, o)| Arc::new(Server::new(id, o.clone(), options.check.clone(), workers)))
            .collect();
        Backend {
            id,
            options,
            servers,
            counters: Arc::new(Counters::new(workers)),
            queue: Arc::default(),
            turns: Mutex::default(),
            draws: AtomicU64::new(0x9e37_79b9_7f4a_7c15),
            state: Arc::default(),
        }
    }

    /// This pool with other settings and servers. Its numbers go on, and whoever waits is woken by old streams and new ones.
    pub(crate) fn replaced(
        &self,
        id: u32,
        options: BackendOptions,
        servers: Vec<Arc<Server>>,
    ) -> Self {
        Backend {
            id,
            options,
            servers,
            counters: self.counters.clone(),
            queue: self.queue.clone(),
            turns: Mutex::default(),
            draws: AtomicU64::new(self.draw()),
            state: self.state.clone(),
        }
    }

    /// Takes a place on the next server. Servers in `tried` are taken only if no other is eligible.
    pub(crate) fn choose(self: &Arc<Self>, tried: &[u32], now_ms: u64) -> Choice {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let tier = Tier::of(self);
        let may = |s: &Server| tier.holds(s);
        let fresh = |s: &Server| may(s) && !tried.contains(&s.id);
        let eligible = self.servers.iter().filter(|s| may(s)).count();
        if eligible == 0 {
            return Choice::Nobody;
        }
        let wanted = self.servers.iter().any(|s| fresh(s));
        let candidates = self.servers.iter().enumerate().filter_map(|(position, s)| {
            let takes = if wanted { fresh(s) } else { may(s) };
            (takes && !s.is_full(now_ms)).then(|| Candidate {
                position,
                weight: s.scaled_weight(now_ms),
                active: s.active(),
            })
        });
        let position = match self.options.balance {
            Balance::RoundRobin => turns.next(candidates),
            Balance::LeastConn => least_busy(&mut turns, candidates),
            Balance::Random => better_of_two(self.draw(), candidates),
            Balance::First => candidates.map(|c| c.position).next(),
        };
        match position {
            Some(position) => Choice::Server(self.slot(position), eligible > 1),
            None => Choice::Full,
        }
    }

    /// Takes a place on this very server, whatever its limit.
    pub(crate) fn place(self: &Arc<Self>, server: &Server) -> Option<Slot> {
        let position = self.servers.iter().position(|s| std::ptr::eq(s.as_ref(), server))?;
        Some(self.slot(position))
    }

    /// Takes a place on this very server if it serves and has room.
    pub(crate) fn choose_bound(self: &Arc<Self>, id: u32, now_ms: u64) -> Choice {
        let _one_at_a_time = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let position = self.servers.iter().position(|s| s.id == id && s.usable());
        match position {
            None => Choice::Nobody,
            Some(at) if self.servers[at].is_full(now_ms) => Choice::Full,
            Some(at) => Choice::Server(self.slot(at), false),
        }
    }

    fn slot(self: &Arc<Self>, position: usize) -> Slot {
        let server = self.servers[position].clone();
        let now = server.active.fetch_add(1, Relaxed) + 1;
        if now > server.most_active.load(Relaxed) {
            server.most_active.fetch_max(now, Relaxed);
        }
        Slot { server, backend: self.clone() }
    }

    /// The next number of a splitmix sequence.
    fn draw(&self) -> u64 {
        let mut z = self.draws.fetch_add(0x9e37_79b9_7f4a_7c15, Relaxed);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Servers that take traffic, best tier only.
    pub(crate) fn eligible(&self) -> impl Iterator<Item = &Arc<Server>> {
        let tier = Tier::of(self);
        self.servers.iter().filter(move |s| tier.holds(s))
    }

    /// Servers that are up, whatever the tier.
    pub(crate) fn usable(&self) -> impl Iterator<Item = &Arc<Server>> {
        self.servers.iter().filter(|s| s.usable())
    }

    /// Whether every usable server said with its last check that its cluster is whole, or is no alert node at all.
    pub(crate) fn is_one_cluster(&self) -> bool {
        let mut any = false;
        let whole = self.usable().all(|s| {
            any = true;
            s.whole.load(Relaxed) || s.stranger.load(Relaxed)
        });
        any && whole
    }

    /// Looks whether the pool as a whole went up or down; true for a change.
    pub(crate) fn refresh(&self, now_ms: u64) -> bool {
        let down = self.usable().next().is_none();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.down == down {
            return false;
        }
        state.down = down;
        if down {
            state.downs += 1;
        } else {
            state.down_ms += now_ms.saturating_sub(state.changed_ms);
        }
        state.changed_ms = now_ms;
        true
    }

    /// Its state now.
    pub(crate) fn snapshot(&self, now_ms: u64) -> PoolSnapshot {
        let count = |backup: bool| {
            let n = self.usable().filter(|s| s.options.backup == backup && s.weight() > 0).count();
            u32::try_from(n).unwrap_or(u32::MAX)
        };
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let since_ms = now_ms.saturating_sub(state.changed_ms);
        let down_now = if state.down { since_ms } else { 0 };
        let tier = Tier::of(self);
        PoolSnapshot {
            up: self.usable().next().is_some(),
            active: count(false),
            backup: count(true),
            weight: self.servers.iter().filter(|s| tier.holds(s)).map(|s| s.weight()).sum(),
            downs: state.downs,
            since_change_s: since_ms / 1000,
            downtime_s: (state.down_ms + down_now) / 1000,
        }
    }
}

/// The best kind of server to be had: no backup before a backup, ready before not ready, the largest live cluster first.
#[derive(Clone, Copy, Debug)]
struct Tier {
    backup: bool,
    only: Option<u32>,
    ready: bool,
    live: u32,
}

impl Tier {
    fn of(backend: &Backend) -> Self {
        let takes = |s: &&Arc<Server>| s.usable() && s.weight() > 0;
        let all = || backend.servers.iter().filter(takes);
        let backup = all().all(|s| s.options.backup);
        let first = all().next().map(|s| s.id);
        let only = if backup && !backend.options.all_backups { first } else { None };
        let here = || all().filter(|s| s.options.backup == backup);
        let ready = here().any(|s| !s.not_ready.load(Relaxed));
        let in_ready = |s: &&Arc<Server>| !ready || !s.not_ready.load(Relaxed);
        let live = here().filter(in_ready).map(|s| s.live.load(Relaxed)).max().unwrap_or(0);
        Tier { backup, only, ready, live }
    }

    fn holds(&self, server: &Server) -> bool {
        let live = server.live.load(Relaxed);
        server.usable()
            && server.weight() > 0
            && server.options.backup == self.backup
            && self.only.is_none_or(|id| id == server.id)
            && (!self.ready || !server.not_ready.load(Relaxed))
            && (live == 0 || live == self.live)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(servers: &[(&str, bool)]) -> Arc<Backend> {
        let mut options = BackendOptions::named("b");
        options.servers = servers
            .iter()
            .map(|(name, backup)| ServerOptions {
                backup: *backup,
                ..ServerOptions::new(name, "127.0.0.1:1")
            })
            .collect();
        Arc::new(Backend::new(3, options, 1))
    }

    fn result(status: CheckStatus) -> CheckResult {
        CheckResult { status, ..CheckResult::default() }
    }

    fn names(pool: &Arc<Backend>, count: usize) -> String {
        let name = |choice| match choice {
            Choice::Server(slot, _) => slot.server.name().to_owned(),
            Choice::Full => "full".to_owned(),
            Choice::Nobody => "-".to_owned(),
        };
        (0..count).map(|_| name(pool.choose(&[], 0))).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn backups_serve_when_no_other_is_up() {
        let pool = pool(&[("a", false), ("b", true), ("c", true)]);
        assert_eq!(names(&pool, 2), "a a");
        let change = pool.servers[0].check_ends(result(CheckStatus::L4Connection), None, 5);
        assert_eq!(change.unwrap().flip, Flip::Down);
        assert_eq!(names(&pool, 2), "b b");
        pool.servers[1].set_admin(Admin::Drain, 6);
        pool.servers[2].set_admin(Admin::Maint, 6);
        assert_eq!(names(&pool, 1), "-");
        assert!(pool.refresh(7) && !pool.snapshot(7).up);
    }

    #[test]
    fn a_tried_server_is_the_last_choice() {
        let pool = pool(&[("a", false), ("b", false)]);
        for tried in [[1u32].as_slice(), &[1, 2]] {
            let Choice::Server(slot, others) = pool.choose(tried, 0) else { unreachable!() };
            assert!(others);
            assert!(tried.len() == 2 || slot.server.name() == "b");
        }
    }

    #[test]
    fn limit_counts_streams() {
        let pool = pool(&[("a", false)]);
        pool.servers[0].set_maxconn(1);
        let held = pool.choose(&[], 0);
        assert!(matches!(pool.choose(&[], 0), Choice::Full));
        drop(held);
        assert!(matches!(pool.choose(&[], 0), Choice::Server(_, false)));
    }

    #[test]
    fn ready_nodes_of_the_larger_cluster_are_preferred_and_foreign_ones_left_alone() {
        let pool = pool(&[("a", false), ("b", false), ("c", false)]);
        let view = |live, ready| Some(ClusterView { live, known: 3, ready });
        pool.servers[0].check_ends(result(CheckStatus::L7Ok), view(3, false), 1);
        pool.servers[1].check_ends(result(CheckStatus::L7Ok), view(1, true), 1);
        assert_eq!(names(&pool, 2), "b c");
        pool.servers[2].check_ends(result(CheckStatus::L7Ok), view(2, true), 1);
        assert_eq!(names(&pool, 2), "c c");
        assert!(!pool.is_one_cluster());
        pool.servers[1].set_admin(Admin::Maint, 2);
        pool.servers[2].set_admin(Admin::Maint, 2);
        assert_eq!(names(&pool, 1), "a");
        assert!(pool.is_one_cluster());
    }

    #[test]
    fn maintenance_keeps_and_return_restarts_health() {
        let pool = pool(&[("a", false)]);
        let server = &pool.servers[0];
        server.check_ends(result(CheckStatus::L7Ok), None, 0);
        server.set_admin(Admin::Maint, 1000);
        assert_eq!(server.snapshot(3000).status, "MAINT");
        assert!(!server.wants_checks());
        server.set_admin(Admin::Ready, 4000);
        assert_eq!(server.snapshot(5000).status, "UP 1/3");
        server.set_admin(Admin::Drain, 5000);
        assert_eq!(server.snapshot(6000).status, "DRAIN 1/3");
        assert_eq!(server.snapshot(6000).since_change_s, 1);
    }

    #[test]
    fn errors_in_a_row_do_what_the_rule_says() {
        let rule = |on_error| Observe {
            mode: crate::config::ObserveMode::Layer4,
            error_limit: 3,
            on_error,
        };
        let pool = pool(&[("a", false)]);
        let server = &pool.servers[0];
        server.check_ends(result(CheckStatus::L7Ok), None, 0);
        let fail =
            |on_error| (0..3).filter_map(|_| server.observe(&rule(on_error), false, 1)).count();
        server.observe(&rule(OnError::MarkDown), false, 1);
        server.observe(&rule(OnError::MarkDown), true, 1);
        assert_eq!(fail(OnError::FailCheck), 0);
        assert_eq!(server.snapshot(1).status, "UP 2/3");
        assert_eq!(fail(OnError::SuddenDeath), 0);
        assert_eq!(server.snapshot(1).status, "UP 1/3");
        assert_eq!(fail(OnError::MarkDown), 1);
        assert_eq!(server.snapshot(1).result.status, CheckStatus::Observed);
    }

    #[test]
    fn a_server_ramps_after_it_came_up() {
        let options = ServerOptions {
            slow_start: std::time::Duration::from_secs(10),
            ..ServerOptions::new("a", "127.0.0.1:1")
        };
        let server = Server::new(1, options, CheckOptions::default(), 1);
        assert_eq!(server.throttle(0), None);
        server.force_health(false, false, 100);
        server.force_health(true, false, 1000);
        assert_eq!(server.throttle(1000), Some(1));
        assert_eq!(server.throttle(6000), Some(50));
        assert_eq!(server.throttle(11000), None);
    }
}
