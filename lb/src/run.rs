//! Builds the parts in order, keeps time, and takes them down again: threads, checks, the sweep, drain.

use std::net::ToSocketAddrs;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tocsin_service::systemd::Notifier;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::access::AccessLog;
use crate::backend::{Server, Target};
use crate::balancer::Balancer;
use crate::config::{AdminSocket, Config};
use crate::flags::Flags;
use crate::handover::HandoverError;
use crate::inherit::Inherited;
use crate::proxy::Worker;
use crate::sink::Sink;
use crate::sockets::{self, Accepting};
use crate::token::Token;
use crate::watch::Fired;
use crate::{
    LbError, Listeners, accept, admin, handover, load, page, peer, privileges, probe, reload, sink,
    state, threads, watchdog,
};

/// Between two sweeps, samples and flushes of the log.
const TICK: Duration = Duration::from_millis(100);
/// How long a client may hold a place without a request while others wait for it.
const PATIENCE_MS: u64 = 1000;
/// How often a drain looks whether all clients have gone.
const DRAIN_LOOK: Duration = Duration::from_millis(20);

/// With what a balancer starts.
pub(crate) struct Start {
    /// What it does.
    pub config: Config,
    /// Where clients come.
    pub listeners: Listeners,
    /// Where the configuration comes from, if it can be read again.
    pub flags: Option<Flags>,
    /// What the process before gave, if it took over.
    pub inherited: Inherited,
    /// Whether the whole process is the balancer: it heeds signals and gives up its rights.
    pub is_service: bool,
}

/// Serves until `stop` or, as a service, until SIGTERM or SIGINT.
pub(crate) fn serve(start: Start, stop: CancellationToken) -> Result<(), LbError> {
    let Start { config, listeners, flags, mut inherited, is_service } = start;
    let workers = threads(&config);
    let started = jiff::Timestamp::now();
    let token = Token::load(config.stats.as_ref())?;
    let socket = bind_admin(&config)?;
    let outlets = sink::outlets(&config.log)?;
    if is_service {
        privileges::drop(&config.global)?;
    }
    let (sink, writer) = Sink::start(&config.log, outlets)?;
    let log = AccessLog::new(sink, writer, workers, started);
    let owned = listeners.owned(&config);
    let lb = Balancer::new(config, flags, workers, started, log, token, is_service);
    let lb = Arc::new(lb);
    if let Some(known) = inherited.state() {
        state::restore(&lb, &known);
    }
    lb.topology.load().backends.iter().flat_map(|b| &b.servers).for_each(|s| resolve(s));
    let control = runtime()?;
    let ended = CancellationToken::new();
    let served = std::thread::scope(|scope| {
        let mut threads = Vec::new();
        let (starts, sockets) = starts(&lb, &ended);
        lb.sockets.workers(sockets);
        let stats = lb.sockets.open(owned)?;
        for start in starts {
            let runtime = runtime()?;
            let name = format!("worker-{}", threads.len());
            let thread = std::thread::Builder::new().name(name);
            let thread = thread.spawn_scoped(scope, move || runtime.block_on(start));
            threads.push(thread.map_err(LbError::Start)?);
        }
        control.block_on(control_loop(&lb, stats, socket, inherited, &stop));
        ended.cancel();
        Ok(())
    });
    // A failed start must end the threads that did start.
    ended.cancel();
    lb.log.flush();
    drop(control);
    let writer = lb.log.take_writer();
    drop(lb);
    if let Some(writer) = writer {
        writer.join();
    }
    served
}

fn runtime() -> Result<Runtime, LbError> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(LbError::Start)
}

/// What each worker thread is to run, and where each takes sockets from.
fn starts(
    lb: &Arc<Balancer>,
    ended: &CancellationToken,
) -> (Vec<impl Future<Output = ()> + Send + use<>>, Vec<mpsc::Sender<Accepting>>) {
    let mut senders = Vec::new();
    let mut inboxes = Vec::new();
    let mut sockets = Vec::new();
    for _ in 0..lb.workers {
        let (sender, handed) = mpsc::channel(accept::HANDED);
        let (socket, accepting) = mpsc::channel(sockets::WAITING);
        senders.push(sender);
        sockets.push(socket);
        inboxes.push(accept::Inbox { handed, sockets: accepting });
    }
    let peers = Arc::new(senders);
    let start = |(id, inbox)| {
        let worker = Arc::new(Worker::new(id, lb.clone()));
        accept::work(worker, inbox, peers.clone(), ended.clone())
    };
    (inboxes.into_iter().enumerate().map(start).collect(), sockets)
}

/// Looks up a server that is named. One that has no address yet is looked up again before each check.
pub(crate) fn resolve(server: &Server) {
    let target = server.target();
    if target.address.is_none() {
        let found = target.text.to_socket_addrs().ok().and_then(|mut found| found.next());
        server.set_target(Target { text: target.text.clone(), address: found });
    }
}

/// Keeps time until told to stop or another process has taken over, then drains.
async fn control_loop(
    lb: &Arc<Balancer>,
    stats: Vec<Accepting>,
    socket: Option<(std::os::unix::net::UnixListener, AdminSocket)>,
    mut inherited: Inherited,
    stop: &CancellationToken,
) {
    let checks = tokio::spawn(keep_checks(lb.clone()));
    if let Some((listener, options)) = socket {
        admin::serve_on(lb, listener, options);
    }
    let signals = lb.is_service;
    let system = if signals { Notifier::from_environment() } else { Notifier::silent() };
    let system = Arc::new(system);
    if signals {
        tokio::spawn(reload_on_signal(lb.clone(), system.clone()));
        tokio::spawn(hand_over_on_signal(lb.clone()));
    }
    for accepting in stats {
        tokio::spawn(page::listen(lb.clone(), accepting));
    }
    let ticking = tokio::spawn(tick(lb.clone()));
    if let Some(options) = lb.topology.load().config.global.watchdog.clone() {
        tokio::spawn(watchdog::watch(lb.clone(), options));
    }
    system.ready();
    inherited.ready();
    let at_once = tokio::select! {
        () = stop.cancelled() => false,
        kind = told_to_stop(&STOPS), if signals => kind == SignalKind::quit(),
        () = lb.handed_over.cancelled() => false,
        () = show_life(&system) => false,
    };
    if lb.handed_over.is_cancelled() {
        lb.sockets.close(|_| true);
    } else {
        system.stopping();
    }
    if !at_once {
        drain(lb).await;
    }
    ticking.abort();
    checks.abort();
    let path = lb.topology.load().config.admin_socket.as_ref().map(|s| s.path.clone());
    // The path is the new process's, if there is one.
    if let Some(path) = path.filter(|_| !lb.handed_over.is_cancelled()) {
        admin::unlink(&path);
    }
}

/// Lets a new process take over on each SIGUSR2.
async fn hand_over_on_signal(lb: Arc<Balancer>) {
    let Ok(mut wanted) = signal(SignalKind::user_defined2()) else { return };
    while wanted.recv().await.is_some() {
        // The reason is logged where it is found.
        let _ = hand_over(&lb, "SIGUSR2").await;
    }
}

/// Starts a process that takes over; once it serves, this one ends.
/// # Errors
/// Why everything is as before.
pub(crate) async fn hand_over(lb: &Arc<Balancer>, who: &str) -> Result<u32, HandoverError> {
    let pid = handover::start(lb, who).await?;
    if lb.is_service {
        Notifier::from_environment().main_process(pid);
    }
    lb.handed_over.cancel();
    Ok(pid)
}

/// Ten times a second: deadlines, rates, the log.
async fn tick(lb: Arc<Balancer>) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut told = 0;
    for count in 0u64.. {
        ticks.tick().await;
        let now_ms = lb.clock.now_ms();
        lb.tick_ms.store(now_ms, Relaxed);
        for register in &lb.registers {
            register.sweep(now_ms);
        }
        lb.stats_register.sweep(now_ms);
        let topology = lb.topology.load_full();
        topology.frontends.iter().for_each(|f| f.counters.sample());
        for backend in &topology.backends {
            backend.counters.sample();
            backend.servers.iter().for_each(|s| s.counters.sample());
        }
        if count.is_multiple_of(100) && count > 0 {
            topology.backends.iter().flat_map(|b| &b.servers).for_each(|s| s.step());
        }
        lb.stats.sample();
        lb.log.flush();
        make_room(&lb, now_ms);
        let rate = i64::from(lb.conn_rate.load(Relaxed));
        let left = lb.conn_tenths.load(Relaxed);
        lb.conn_tenths.fetch_add(rate.min(rate * 10 - left), Relaxed);
        if count.is_multiple_of(600) {
            let gone = lb.let_go.load(Relaxed);
            if gone > told {
                let clients = gone - told;
                tracing::warn!(clients, "idle clients were let go, so that others could come");
                lb.event("limits", format!("{clients} idle clients were let go"));
            }
            told = gone;
        }
        if count.is_multiple_of(10) {
            let bytes = topology.frontends.iter().map(|f| f.counters.raw().bytes_out).sum();
            let mut load = lb.load.lock().unwrap_or_else(PoisonError::into_inner);
            load.sample(now_ms, load::cpu_us(), lb.workers as u64, bytes);
            drop(load);
            let uptime = Duration::from_millis(now_ms);
            lb.log.anchor(lb.now() - jiff::SignedDuration::try_from(uptime).unwrap_or_default());
        }
    }
}

/// Where a client waits for a place, those give theirs up who hold one without a request.
fn make_room(lb: &Balancer, now_ms: u64) {
    if lb.crowded.load(Relaxed) {
        let gone = lb.registers.iter().map(|r| r.make_room(now_ms, PATIENCE_MS)).sum();
        lb.let_go.fetch_add(gone, Relaxed);
        // Whoever still waits says so again.
        lb.crowded.store(false, Relaxed);
        lb.freed.notify_waiters();
    }
}

/// Keeps a task of checks for each server, as servers come and go. A server that stays keeps its own.
async fn keep_checks(lb: Arc<Balancer>) {
    let mut checks: Vec<(Arc<Server>, tokio::task::JoinHandle<()>)> = Vec::new();
    loop {
        let topology = lb.topology.load_full();
        let mut wanted = Vec::new();
        for backend in &topology.backends {
            let checked = backend.servers.iter().filter(|s| s.options.check);
            let count = u32::try_from(checked.clone().count()).unwrap_or(u32::MAX);
            wanted.extend((0..).zip(checked).map(|(n, s)| (s.clone(), n, count)));
        }
        checks.retain(|(server, task)| {
            let stays = wanted.iter().any(|(s, ..)| Arc::ptr_eq(s, server));
            if !stays {
                task.abort();
            }
            stays
        });
        for (server, n, count) in wanted {
            if !checks.iter().any(|(s, _)| Arc::ptr_eq(s, &server)) {
                let probing = probe::watch(lb.clone(), server.clone(), n, count);
                let looking = peer::watch(lb.clone(), server.clone());
                let task = tokio::spawn(async { tokio::join!(probing, looking).0 });
                checks.push((server, task));
            }
        }
        lb.changed.notified().await;
    }
}

/// Binds the admin socket. One that was not asked for may be missing.
fn bind_admin(
    config: &Config,
) -> Result<Option<(std::os::unix::net::UnixListener, AdminSocket)>, LbError> {
    let Some(options) = &config.admin_socket else { return Ok(None) };
    match admin::bind(options) {
        Ok(listener) => Ok(Some((listener, options.clone()))),
        Err(error) if options.given => Err(error),
        Err(error) => {
            tracing::info!(error = %error, "no admin socket");
            Ok(None)
        }
    }
}

/// Reads the configuration again on each SIGHUP.
async fn reload_on_signal(lb: Arc<Balancer>, system: Arc<Notifier>) {
    let Ok(mut hangup) = signal(SignalKind::hangup()) else { return };
    while hangup.recv().await.is_some() {
        system.reloading();
        // The reason is logged where it is found.
        let _ = reload::reload(&lb, "SIGHUP");
        system.ready();
    }
}

/// Tells systemd that the process lives, for ever.
async fn show_life(system: &Notifier) {
    let Some(period) = system.watchdog_period() else { return std::future::pending().await };
    let mut beats = tokio::time::interval(period);
    loop {
        beats.tick().await;
        system.alive();
    }
}

/// What ends the process: SIGUSR1 is HAProxy's soft stop, SIGQUIT does not wait for anybody.
const STOPS: [SignalKind; 4] = [
    SignalKind::terminate(),
    SignalKind::interrupt(),
    SignalKind::quit(),
    SignalKind::user_defined1(),
];
/// What ends a drain.
const HURRIES: [SignalKind; 2] = [SignalKind::interrupt(), SignalKind::quit()];

/// Waits for one of these signals.
async fn told_to_stop(kinds: &[SignalKind]) -> SignalKind {
    let signals: Result<Vec<_>, _> = kinds.iter().map(|kind| Ok((*kind, signal(*kind)?))).collect();
    let signals: Result<Vec<_>, std::io::Error> = signals;
    let Ok(signals) = signals else {
        tracing::error!("signals cannot be watched");
        return std::future::pending().await;
    };
    let mut any = tokio::task::JoinSet::new();
    for (kind, mut one) in signals {
        any.spawn(async move {
            one.recv().await;
            kind
        });
    }
    match any.join_next().await {
        Some(Ok(kind)) => kind,
        _ => std::future::pending().await,
    }
}

/// Stops accepting, closes idle clients, lets running streams finish, and ends what is left at the limit.
async fn drain(lb: &Balancer) {
    lb.draining.cancel();
    let topology = lb.topology.load_full();
    if !lb.handed_over.is_cancelled() {
        let delay = topology.frontends.iter().map(|f| f.options.shutdown_delay).max();
        tokio::time::sleep(delay.unwrap_or_default()).await;
    }
    lb.closed.cancel();
    lb.sockets.close(|owner| owner.frontend.is_some());
    let gone = async {
        while lb.clients() > 0 {
            // A client may be about to send its next request: after a handover, which nobody should notice, it gets an
            // answer that says it is the last.
            if !lb.handed_over.is_cancelled() {
                lb.registers.iter().for_each(|r| r.drain());
            }
            tokio::time::sleep(DRAIN_LOOK).await;
        }
    };
    let limit = topology.config.global.hard_stop_after;
    let drained = tokio::select! {
        drained = tokio::time::timeout(limit, gone) => drained.is_ok(),
        _ = told_to_stop(&HURRIES), if lb.is_service => false,
    };
    if !drained {
        tracing::warn!(clients = lb.clients(), "clients were cut at the end of the drain");
        for watch in lb.registers.iter().flat_map(|r| r.all()) {
            watch.fire(Fired::Killed);
        }
        tokio::time::sleep(DRAIN_LOOK).await;
    }
}
