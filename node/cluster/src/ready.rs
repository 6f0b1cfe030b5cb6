//! The order of a start, readiness, and the clockwork that keeps members, digests and expiry going.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tracing::{info, warn};

use crate::address;
use crate::bridge::Bridge;
use crate::cluster::ClusterError;
use crate::core::{Core, lock};
use crate::gossip;
use crate::mesh::{self, net::Listener};
use crate::metrics::Counts;
use crate::mono;
use crate::options::Trust;
use crate::sync::Replica;
use crate::tls::Tls;
use crate::view::MemberState;

/// Without any answer from configured peers a node goes alone after this.
const ALONE_AFTER: Duration = Duration::from_secs(10);
/// Names are resolved this often, for ever.
const RESOLVE_EVERY: Duration = Duration::from_secs(15);
/// The tick that finds members silent and this process stalled.
const TICK: Duration = Duration::from_millis(200);
/// A catch-up may hold notifications back for this long, within `CATCH_UP_WINDOW`.
const CATCH_UP: Duration = Duration::from_secs(5);
const CATCH_UP_WINDOW: Duration = Duration::from_secs(30);
/// While the cluster is split each live peer is synced with in turn this often.
const SPLIT_SYNC: Duration = Duration::from_secs(2);

/// The answer of `/-/ready`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ready {
    /// Not yet, or not any more; the text says why.
    No(String),
    /// All steps are done.
    Yes,
}

impl Ready {
    /// Whether it is [`Ready::Yes`].
    #[must_use]
    pub fn is_ready(&self) -> bool {
        *self == Self::Yes
    }

    /// What is waited for; empty when ready.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::No(reason) => reason,
            Self::Yes => "",
        }
    }
}

/// Everything of the cluster that runs, until it is stopped.
pub(crate) async fn run(core: &Arc<Core>, started: oneshot::Sender<Result<(), ClusterError>>) {
    // Set once, here.
    let _ = core.net.runtime.set(tokio::runtime::Handle::current());
    let network = !core.options.listen.is_empty();
    let listener = if network {
        match listen(core).await {
            Ok(listener) => Some(listener),
            Err(error) => {
                // Only a caller that was dropped hears nothing.
                let _ = started.send(Err(error));
                return;
            }
        }
    } else {
        None
    };
    let stored = stored_peers(core);
    let nobody = core.options.peers.is_empty() && stored.is_empty();
    if !network || nobody || core.options.settle_timeout.is_zero() {
        core.set_ready(Ready::Yes);
    }
    let _ = started.send(Ok(()));
    tokio::select! {
        () = core.stop.cancelled() => {}
        () = core.deadlines.run() => {}
        () = expire(core) => {}
        () = tick(core) => {}
        () = join(core, listener, stored) => {}
    }
}

/// Binds the port and makes everything that a handshake needs.
async fn listen(core: &Arc<Core>) -> Result<Box<dyn Listener>, ClusterError> {
    let options = &core.options;
    let bad = |flag, value: &str| ClusterError::Address { flag, value: value.to_owned() };
    for peer in &options.peers {
        address::split(peer).ok_or_else(|| bad("--cluster.peer", peer))?;
    }
    let (host, port) = address::split(&options.listen)
        .ok_or_else(|| bad("--cluster.listen-address", &options.listen))?;
    let failed = |source| ClusterError::Listen { address: options.listen.clone(), source };
    if core.net.network.is_open() {
        core.net.set_tls(Tls::new(&options.trust, &options.label)?);
    }
    let listener = core.net.network.listen(host, port).await.map_err(failed)?;
    let bound = listener.address().map_err(failed)?;
    let mine = advertise(core, bound).await?;
    if core.net.network.is_open() {
        // Set once, here. A simulated network carries no gossip: chitchat's sockets are real.
        let _ = core.net.bridge.set(Arc::new(Bridge::default()));
    }
    core.with_members(|members, now| {
        members.me.address = mine.to_string();
        // Names follow once they are resolved.
        let literal = options.peers.iter().filter_map(|peer| peer.parse().ok());
        literal.filter(|peer| *peer != mine).for_each(|peer| members.expect(peer, None, now));
    });
    warn_of_trust(core);
    info!(address = %bound, advertise = %mine, name = core.identity.id, "cluster listens");
    Ok(listener)
}

async fn advertise(core: &Core, bound: SocketAddr) -> Result<SocketAddr, ClusterError> {
    let given = core.options.advertise.as_str();
    if !given.is_empty() {
        let flag = "--cluster.advertise-address";
        let bad = || ClusterError::Address { flag, value: given.to_owned() };
        let found = address::resolve(given, core.options.resolve_timeout).await;
        let mut found = found.map_err(|_| bad())?.into_iter().next().ok_or_else(bad)?;
        if found.port() == 0 {
            found.set_port(bound.port());
        }
        return Ok(found);
    }
    let mut towards = None;
    if bound.ip().is_unspecified() {
        for peer in &core.options.peers {
            let bound = core.options.resolve_timeout.min(Duration::from_secs(2));
            let found = address::resolve(peer, bound).await.unwrap_or_default();
            towards = towards.or(found.first().copied());
        }
    }
    Ok(address::advertised(bound, towards))
}

fn warn_of_trust(core: &Core) {
    if matches!(core.options.trust, Trust::Anyone) {
        warn!(
            "cluster connections are encrypted but not authenticated: whoever reaches the cluster port can change alerts and silences; use --cluster.secret-file or --cluster.tls-config"
        );
    }
}

/// Joins, becomes ready, and keeps the connections of this node going.
async fn join(
    core: &Arc<Core>,
    listener: Option<Box<dyn Listener>>,
    stored: Vec<(String, SocketAddr)>,
) {
    let Some(listener) = listener else { return std::future::pending().await };
    let mine = lock(&core.members).me.address.parse::<SocketAddr>().ok();
    let accept = core.spawn(mesh::accept(Arc::clone(core), listener));
    for (id, address) in &stored {
        expect(core, *address, Some(id));
    }
    resolve_once(core).await;
    let gossip = async {
        match (core.net.bridge.get(), mine) {
            (Some(bridge), Some(mine)) => gossip::run(core, bridge, mine).await,
            _ => std::future::pending().await,
        }
    };
    tokio::select! {
        () = gossip => {}
        () = resolve(core) => {}
        () = become_ready(core) => {}
        () = sync_from_time_to_time(core) => {}
        () = remember_peers(core) => {}
    }
    accept.abort();
}

fn expect(core: &Arc<Core>, address: SocketAddr, id: Option<&str>) {
    let mine = lock(&core.members).me.address == address.to_string();
    if !mine && !core.net.is_own(address) {
        core.with_members(|members, now| members.expect(address, id, now));
        mesh::ensure(core, address, false);
    }
}

async fn resolve(core: &Arc<Core>) {
    let mut said = mono::now();
    loop {
        tokio::time::sleep(RESOLVE_EVERY).await;
        resolve_once(core).await;
        if Duration::from_secs(3600) <= mono::now().saturating_sub(said) {
            said = mono::now();
            warn_of_trust(core);
        }
    }
}

async fn resolve_once(core: &Arc<Core>) {
    for peer in &core.options.peers {
        match address::resolve(peer, core.options.resolve_timeout).await {
            Ok(found) => {
                for address in found {
                    if lock(&core.net.configured).insert(address) {
                        Counts::add(&core.counts.refresh_joins, 1);
                        expect(core, address, None);
                    }
                    mesh::ensure(core, address, false);
                }
            }
            Err(error) => {
                Counts::add(&core.counts.refresh_joins_failed, 1);
                warn!(peer, error = %error, "cannot resolve the address of a peer");
            }
        }
    }
}

/// What is still waited for; `None`: ready.
fn lacks(core: &Core, elapsed: Duration) -> Option<String> {
    let settle = core.options.settle_timeout;
    if settle <= elapsed {
        if !settle.is_zero() {
            warn!("not settled within the settle timeout, going on");
        }
        return None;
    }
    let patient = elapsed < ALONE_AFTER.min(settle);
    let members = lock(&core.members);
    let live: Vec<_> =
        members.peers.iter().filter(|(_, peer)| peer.state == MemberState::Live).collect();
    let synced = |id: &String| core.net.rounds.is_synced(id);
    if live.iter().any(|(id, peer)| peer.status.ready && synced(id)) {
        return None;
    }
    if let Some((id, _)) = live.iter().find(|(id, peer)| peer.status.ready && !synced(id)) {
        return Some(format!("first digest sync with {id}"));
    }
    let unreached: Vec<SocketAddr> = members.unreached().collect();
    if patient && let Some(address) = unreached.iter().find(|it| !core.net.is_attempted(**it)) {
        return Some(format!("joining {address}"));
    }
    let half = members
        .peers
        .iter()
        .find(|(_, peer)| peer.lives == 0 && peer.state == MemberState::Unreachable);
    if patient && let Some((id, _)) = half {
        return Some(format!("joining {id}"));
    }
    if let Some((id, _)) = live.iter().find(|(id, _)| !synced(id)) {
        return Some(format!("first digest sync with {id}, which is starting too"));
    }
    if live.is_empty() && patient && !unreached.is_empty() {
        return Some("no configured peer answers yet".into());
    }
    None
}

/// Loads nothing and syncs nothing itself: waits until all that was asked for is there, then keeps watch over catch-ups.
async fn become_ready(core: &Arc<Core>) {
    let begun = mono::now();
    let mut view = core.view.subscribe();
    let mut rounds = core.net.rounds.changed.subscribe();
    while !core.status().ready
        && let Some(reason) = lacks(core, mono::now().saturating_sub(begun))
    {
        let reason = Ready::No(reason);
        core.ready.send_if_modified(|ready| {
            let differs = *ready != reason;
            *ready = reason;
            differs
        });
        tokio::select! {
            _ = view.changed() => {}
            _ = rounds.changed() => {}
            () = tokio::time::sleep(Duration::from_millis(100)) => {}
        }
    }
    core.net.rounds.forgive();
    core.caught_up.send_replace(true);
    core.set_ready(Ready::Yes);
    let took = mono::now().saturating_sub(begun).as_millis();
    let live = core.view.borrow().live;
    info!(millis = u64::try_from(took).unwrap_or(u64::MAX), live, "cluster is ready");
    catch_up(core).await;
}

/// Holds notifications back while something may have been missed, 5 s in any 30 s at most.
async fn catch_up(core: &Core) {
    let mut rounds = core.net.rounds.changed.subscribe();
    let (mut window, mut spent) = (mono::now(), Duration::ZERO);
    loop {
        let owed = core.net.rounds.owed();
        let now = mono::now();
        if CATCH_UP_WINDOW <= now.saturating_sub(window) {
            (window, spent) = (now, Duration::ZERO);
        }
        if owed.is_empty() {
            core.caught_up.send_if_modified(|caught_up| !std::mem::replace(caught_up, true));
            // The sender lives as long as this task.
            let _ = rounds.changed().await;
            continue;
        }
        if spent < CATCH_UP {
            core.caught_up.send_replace(false);
            owed.iter().for_each(|id| core.link(id).set_behind());
            let done = async {
                while !core.net.rounds.owed().is_empty() && rounds.changed().await.is_ok() {}
            };
            if tokio::time::timeout(CATCH_UP - spent, done).await.is_err() {
                warn!("no digest sync with a peer in time, going on");
            }
            spent += mono::now().saturating_sub(now);
        }
        core.net.rounds.forgive();
        core.caught_up.send_replace(true);
    }
}

async fn sync_from_time_to_time(core: &Core) {
    let mut turn = 0;
    let mut last = mono::now();
    loop {
        tokio::time::sleep(SPLIT_SYNC.min(core.options.pushpull_interval)).await;
        let due = core.options.pushpull_interval <= mono::now().saturating_sub(last);
        if !due && !core.view.borrow().split {
            continue;
        }
        last = mono::now();
        let live: Vec<String> = lock(&core.members)
            .peers
            .iter()
            .filter(|(_, peer)| peer.state == MemberState::Live)
            .map(|(id, _)| id.clone())
            .collect();
        turn += 1;
        if let Some(id) = live.get(turn % live.len().max(1)) {
            core.link(id).set_behind();
        }
    }
}

async fn expire(core: &Core) {
    let mut every = tokio::time::interval(Duration::from_secs(1));
    loop {
        every.tick().await;
        core.state.expire(core.now_ms());
        let healthy = core.store.facts().healthy;
        let offset = clock_offset(core);
        let hold = (core.view.borrow().hold_until_ms, core.view.borrow().hold_start_ms);
        core.set_status(|status| {
            status.disk_failed = !healthy;
            status.take_hold(hold.0, hold.1);
            if let Some(offset) = offset.filter(|at| 100 <= (status.clock_offset_ms - at).abs()) {
                status.clock_offset_ms = offset;
            }
        });
        show_disk(core, healthy);
    }
}

/// This node's clock minus the median of all live ones, in milliseconds; `None` when there are too few to say whose is wrong.
fn clock_offset(core: &Core) -> Option<i64> {
    let members = lock(&core.members);
    let live = members.peers.values().filter(|peer| peer.state == MemberState::Live);
    let mut offsets: Vec<i64> = live.filter_map(|peer| peer.offset_ms).chain([0]).collect();
    offsets.sort_unstable();
    let median = offsets.get(offsets.len() / 2).filter(|_| 3 <= offsets.len());
    median.map(|median| -median)
}

/// A node whose disk failed answers 503 while another one can take its place.
fn show_disk(core: &Core, healthy: bool) {
    let failed = Ready::No("storage failed".into());
    let status = core.status();
    if !status.ready || status.leaving {
        return;
    }
    let view = core.view.borrow().clone();
    let other = view.members.iter().any(|member| {
        !member.me && member.state == MemberState::Live && member.ready && member.disk_ok
    });
    let wanted = if !healthy && other { failed } else { Ready::Yes };
    core.ready.send_if_modified(|ready| {
        let differs = *ready != wanted;
        *ready = wanted;
        differs
    });
}

/// After a stall this long nobody can know what the sources of alerts would have said.
const LONG_STALL: Duration = Duration::from_secs(60);

/// Finds silent members, and that this process itself stood still.
async fn tick(core: &Core) {
    let mut every = tokio::time::interval(TICK);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        let stalled = core.counts.ticked(mono::now());
        if let Some(length) = stalled {
            warn!(?length, "process stood still, catching up");
        }
        let live: Vec<String> = core.with_members(|members, now| {
            if stalled.is_none() {
                return Vec::new();
            }
            members.forgive(now);
            let live = members.peers.iter().filter(|(_, peer)| peer.state == MemberState::Live);
            live.map(|(id, _)| id.clone()).collect()
        });
        if core.status().ready && !live.is_empty() {
            core.caught_up.send_replace(false);
        }
        live.iter().for_each(|id| core.net.rounds.owe(id));
        if let Some(length) = stalled.filter(|length| LONG_STALL <= *length && live.is_empty()) {
            core.woke_alone(length);
        }
        core.ticks.send_modify(|ticks| *ticks += 1);
    }
}

fn peers_file(core: &Core) -> Option<std::path::PathBuf> {
    core.options.storage.as_deref().map(|path| path.join("tocsin").join("peers"))
}

/// Members and their addresses as this node's former life knew them.
fn stored_peers(core: &Core) -> Vec<(String, SocketAddr)> {
    let text = peers_file(core).and_then(|path| std::fs::read_to_string(path).ok());
    let read = |line: &str| {
        let (address, id) = line.split_once(' ')?;
        Some((id.to_owned(), address.parse().ok()?)).filter(|(id, _)| *id != core.identity.id)
    };
    text.iter().flat_map(|text| text.lines()).filter_map(read).collect()
}

/// Keeps the addresses of members for the next life.
async fn remember_peers(core: &Core) {
    let mut view = core.view.subscribe();
    let mut stored = None;
    loop {
        let addresses: String = view
            .borrow_and_update()
            .members
            .iter()
            .filter(|member| !member.me && member.state != MemberState::Left)
            .map(|member| format!("{} {}\n", member.address, member.name))
            .collect();
        if stored.as_ref() != Some(&addresses)
            && let Some(path) = peers_file(core)
        {
            // Without the file the next start knows the configured peers only.
            let _ = crate::store::replace(&path, addresses.as_bytes());
            stored = Some(addresses);
        }
        if view.changed().await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
