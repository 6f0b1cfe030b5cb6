//! Builds the parts in order, keeps time, and takes them down again: threads, checks, the sweep, drain.

use std::io::Write;
use std::net::ToSocketAddrs;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tocsin_service::systemd::Notifier;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::backend::{Server, Target};
use crate::balancer::Balancer;
use crate::config::{AdminSocket, Config, LogTo};
use crate::flags::Flags;
use crate::proxy::Worker;
use crate::token::Token;
use crate::watch::Fired;
use crate::{
    LbError, Listeners, accept, access, admin, page, peer, probe, reload, threads, watchdog,
};

/// Between two sweeps, samples and flushes of the log.
const TICK: Duration = Duration::from_millis(100);
/// How often a drain looks whether all clients have gone.
const DRAIN_LOOK: Duration = Duration::from_millis(20);

/// Serves until `stop` or, with `signals`, until SIGTERM or SIGINT. With `flags` the configuration can be read again.
pub(crate) fn serve(
    config: Config,
    listeners: Listeners,
    stop: CancellationToken,
    flags: Option<Flags>,
    signals: bool,
) -> Result<(), LbError> {
    let workers = threads(&config);
    let started = jiff::Timestamp::now();
    let to = open_log(&config.log.to)?;
    let (log, writer) =
        access::start(config.log.clone(), workers, started, to).map_err(LbError::Start)?;
    let token = Token::load(config.stats.as_ref())?;
    let socket = bind_admin(&config)?;
    let lb = Arc::new(Balancer::new(config, flags, workers, started, log, token));
    lb.topology.load().backends.iter().flat_map(|b| &b.servers).for_each(|s| resolve(s));
    let control = runtime()?;
    let ended = CancellationToken::new();
    let served = std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for start in starts(&lb, listeners.frontends, &ended)? {
            let runtime = runtime()?;
            let name = format!("worker-{}", threads.len());
            let thread = std::thread::Builder::new().name(name);
            let thread = thread.spawn_scoped(scope, move || runtime.block_on(start));
            threads.push(thread.map_err(LbError::Start)?);
        }
        control.block_on(control_loop(&lb, listeners.stats, socket, &stop, signals));
        ended.cancel();
        Ok(())
    });
    // A failed start must end the threads that did start.
    ended.cancel();
    lb.log.flush();
    drop(control);
    drop(lb);
    writer.join();
    served
}

fn open_log(to: &LogTo) -> Result<Box<dyn Write + Send>, LbError> {
    Ok(match to {
        LogTo::Stdout => Box::new(std::io::stdout()),
        LogTo::Stderr => Box::new(std::io::stderr()),
        LogTo::File(path) => {
            let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
            Box::new(file.map_err(|source| LbError::File { path: path.clone(), source })?)
        }
    })
}

fn runtime() -> Result<Runtime, LbError> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(LbError::Start)
}

/// What each worker thread is to run, with its share of the sockets.
fn starts(
    lb: &Arc<Balancer>,
    listeners: Vec<(usize, std::net::TcpListener)>,
    ended: &CancellationToken,
) -> Result<Vec<impl Future<Output = ()> + Send + use<>>, LbError> {
    let mut shares: Vec<Vec<_>> = (0..lb.workers).map(|_| Vec::new()).collect();
    for (n, (frontend, socket)) in listeners.into_iter().enumerate() {
        socket.set_nonblocking(true).map_err(LbError::Start)?;
        shares[n % lb.workers].push((frontend, socket));
    }
    let (senders, receivers): (Vec<_>, Vec<_>) =
        (0..lb.workers).map(|_| mpsc::channel(accept::HANDED)).unzip();
    let peers = Arc::new(senders);
    let start = |(id, (share, handed)): (usize, (Vec<_>, _))| {
        let worker = Arc::new(Worker::new(id, lb.clone()));
        accept::work(worker, share, handed, peers.clone(), ended.clone())
    };
    Ok(shares.into_iter().zip(receivers).enumerate().map(start).collect())
}

/// Looks up a server that is named. One that has no address yet is looked up again before each check.
pub(crate) fn resolve(server: &Server) {
    let target = server.target();
    if target.address.is_none() {
        let found = target.text.to_socket_addrs().ok().and_then(|mut found| found.next());
        server.set_target(Target { text: target.text.clone(), address: found });
    }
}

/// Keeps time until told to stop, then drains.
async fn control_loop(
    lb: &Arc<Balancer>,
    stats: Vec<std::net::TcpListener>,
    socket: Option<(std::os::unix::net::UnixListener, AdminSocket)>,
    stop: &CancellationToken,
    signals: bool,
) {
    let checks = tokio::spawn(keep_checks(lb.clone()));
    let path = socket.as_ref().map(|(_, options)| options.path.clone());
    if let Some((listener, options)) = socket {
        tokio::spawn(admin::listen(lb.clone(), listener, options));
    }
    if signals {
        tokio::spawn(reload_on_signal(lb.clone()));
    }
    for listener in stats {
        tokio::spawn(page::listen(lb.clone(), listener));
    }
    let ticking = tokio::spawn(tick(lb.clone()));
    if let Some(options) = lb.topology.load().config.global.watchdog.clone() {
        tokio::spawn(watchdog::watch(lb.clone(), options));
    }
    let system = if signals { Notifier::from_environment() } else { Notifier::silent() };
    system.ready();
    tokio::select! {
        () = stop.cancelled() => {}
        () = told_to_stop(), if signals => {}
        () = show_life(&system) => {}
    }
    system.stopping();
    drain(lb, signals).await;
    ticking.abort();
    checks.abort();
    if let Some(path) = path {
        admin::unlink(&path);
    }
}

/// Ten times a second: deadlines, rates, the log.
async fn tick(lb: Arc<Balancer>) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
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
        if count.is_multiple_of(10) {
            let uptime = Duration::from_millis(now_ms);
            lb.log.anchor(lb.now() - jiff::SignedDuration::try_from(uptime).unwrap_or_default());
        }
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
async fn reload_on_signal(lb: Arc<Balancer>) {
    let Ok(mut hangup) = signal(SignalKind::hangup()) else { return };
    while hangup.recv().await.is_some() {
        // The reason is logged where it is found.
        let _ = reload::reload(&lb, "SIGHUP");
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

/// Waits for SIGTERM, SIGINT, SIGQUIT or, as HAProxy's soft stop, SIGUSR1.
async fn told_to_stop() {
    let kinds = [
        SignalKind::terminate(),
        SignalKind::interrupt(),
        SignalKind::quit(),
        SignalKind::user_defined1(),
    ];
    let signals: Result<Vec<_>, _> = kinds.into_iter().map(signal).collect();
    let Ok(mut signals) = signals else {
        tracing::error!("signals cannot be watched");
        return std::future::pending().await;
    };
    let mut any = tokio::task::JoinSet::new();
    for mut one in signals.drain(..) {
        any.spawn(async move { one.recv().await });
    }
    any.join_next().await;
}

/// Stops accepting, closes idle clients, lets running streams finish, and ends what is left at the limit.
async fn drain(lb: &Balancer, signals: bool) {
    lb.draining.cancel();
    let topology = lb.topology.load_full();
    let delay = topology.frontends.iter().map(|f| f.options.shutdown_delay).max();
    tokio::time::sleep(delay.unwrap_or_default()).await;
    lb.closed.cancel();
    let gone = async {
        while lb.clients() > 0 {
            lb.registers.iter().for_each(|r| r.drain());
            tokio::time::sleep(DRAIN_LOOK).await;
        }
    };
    let limit = topology.config.global.hard_stop_after;
    let drained = tokio::select! {
        drained = tokio::time::timeout(limit, gone) => drained.is_ok(),
        () = told_to_stop(), if signals => false,
    };
    if !drained {
        tracing::warn!(clients = lb.clients(), "clients were cut at the end of the drain");
        for watch in lb.registers.iter().flat_map(|r| r.all()) {
            watch.fire(Fired::Killed);
        }
        tokio::time::sleep(DRAIN_LOOK).await;
    }
}
