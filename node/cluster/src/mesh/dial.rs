//! Whom we dial: one loop for each address, for ever or until nobody needs the address.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use super::frame::{FRAME_MAX, FrameReader, HELLO_MAX};
use super::message::{Message, Reject, RejectCode};
use super::net::{self, Io};
use super::stream::{self, Opened};
use super::{control, data};
use crate::core::{Core, lock};
use crate::member::{self, Line, Status};
use crate::metrics::Counts;
use crate::mono;
use crate::view::MemberState;

/// A connection must be there by then: the kernel's own back-off is not waited for.
const CONNECT_TIME: Duration = Duration::from_millis(1_500);
/// TLS and Hello must be done by then.
const HANDSHAKE_TIME: Duration = Duration::from_secs(5);
/// Without Pong for this long a second connection is tried beside the first.
const SILENCE: Duration = Duration::from_secs(2);
/// Waits after the first failures; a second refusal soon after the first proves death.
const REDIAL_MS: [u64; 5] = [100, 200, 500, 1_000, 2_000];

/// An address that its member has left for another one is dialled for this long.
const MOVED_FOR: Duration = Duration::from_secs(600);

/// Why a dial did not lead to a session.
#[derive(Debug, thiserror::Error)]
enum DialError {
    #[error("connection refused")]
    Refused,
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("timed out")]
    Timeout,
    #[error("the peer refused: {}", .0.text)]
    Rejected(Reject),
}

/// Dials `address` from now on, unless it is dialled already or our own. `kick`: try at once.
pub(crate) fn ensure(core: &Arc<Core>, address: SocketAddr, kick: bool) {
    if core.net.closing.is_cancelled() || core.net.is_own(address) {
        return;
    }
    let mut dialers = lock(&core.net.dialers);
    if let Some(dialer) = dialers.get(&address) {
        if kick {
            dialer.notify_one();
        }
        return;
    }
    let dialer = Arc::new(Notify::new());
    dialers.insert(address, Arc::clone(&dialer));
    drop(dialers);
    let (core, spawner) = (Arc::clone(core), core);
    spawner.spawn(async move {
        dial(&core, address, &dialer).await;
        lock(&core.net.dialers).remove(&address);
    });
}

async fn dial(core: &Arc<Core>, address: SocketAddr, kick: &Notify) {
    let (mut failures, mut refusals) = (0, 0);
    let mut last_ok = mono::now();
    // Who answered last.
    let mut known = None::<String>;
    loop {
        let result = connect(core, address, false).await;
        lock(&core.net.attempted).insert(address);
        match result {
            Ok(opened) => {
                core.with_members(|members, _| members.settle_address(address));
                refusals = 0;
                if opened.peer.id == core.identity.id {
                    lock(&core.net.own).insert(address);
                    return;
                }
                let open = lock(&core.members).is_open(&opened.peer.id, Line::ControlOut);
                if open {
                    // Another name of a node that is connected: looked at again later.
                    failures = REDIAL_MS.len();
                } else {
                    if known.is_some() {
                        Counts::add(&core.counts.reconnections, 1);
                    }
                    known = Some(opened.peer.id.clone());
                    let begun = mono::now();
                    hold(core, address, opened).await;
                    let brief = mono::now().saturating_sub(begun) < Duration::from_secs(1);
                    failures = usize::from(brief);
                }
                last_ok = mono::now();
            }
            Err(error) => {
                debug!(%address, error = %error, "cannot reach a peer");
                if known.is_some() {
                    Counts::add(&core.counts.reconnections_failed, 1);
                }
                failures += 1;
                refusals = if matches!(error, DialError::Refused) { refusals + 1 } else { 0 };
                if refusals >= 2 {
                    refused(core, address, known.as_ref());
                }
                if let DialError::Rejected(reject) = error {
                    rejected(core, address, &reject);
                    if reject.code() == RejectCode::NameInUse {
                        // Our own former life, most likely: its connections end soon.
                        failures = failures.min(3);
                    }
                }
            }
        }
        let idle = mono::now().saturating_sub(last_ok);
        if is_given_up(core, address, known.as_ref(), idle) {
            return;
        }
        if failures > 1 && is_heard(core, address) && core.net.may_say("one way") {
            warn!(%address, "a peer reaches this node but cannot be reached at the address that it advertises");
        }
        let rest = pause(core, failures, known.as_ref());
        tokio::select! {
            () = tokio::time::sleep(rest) => {}
            () = kick.notified() => failures = 0,
            () = core.net.closing.cancelled() => return,
        }
    }
}

/// Whether nobody needs the address: neither flags nor names lead there, and who was there is away for too long or lives elsewhere.
fn is_given_up(core: &Core, address: SocketAddr, known: Option<&String>, idle: Duration) -> bool {
    if lock(&core.net.configured).contains(&address) {
        return false;
    }
    let text = address.to_string();
    let members = lock(&core.members);
    let moved = known
        .and_then(|id| members.peers.get(id))
        .is_some_and(|peer| peer.state == MemberState::Live && peer.address != text);
    let bound = core.options.reconnect_timeout;
    idle > if moved { bound.min(MOVED_FOR) } else { bound }
}

/// Whether a peer that advertises the address has dialled us.
fn is_heard(core: &Core, address: SocketAddr) -> bool {
    let text = address.to_string();
    let members = lock(&core.members);
    let mut there = members.peers.iter().filter(|(_, peer)| peer.address == text);
    there.any(|(id, _)| {
        members.is_open(id, Line::ControlIn) && !members.is_open(id, Line::ControlOut)
    })
}

/// How long to wait after so many failures: a member is tried every 2 s, who left or never answered at the reconnect interval.
fn pause(core: &Core, failures: usize, known: Option<&String>) -> Duration {
    let Some(step) = failures.checked_sub(1) else { return Duration::ZERO };
    let interval = core.options.reconnect_interval;
    if let Some(ms) = REDIAL_MS.get(step) {
        return Duration::from_millis(*ms).min(interval);
    }
    let members = lock(&core.members);
    let state = known.and_then(|id| members.peers.get(id)).map(|peer| peer.state);
    if state.is_some_and(|state| state != MemberState::Left) {
        return interval.min(Duration::from_secs(2));
    }
    let mut random = [0; 1];
    // Without randomness all dial at once, which is harmless.
    let _ = getrandom::fill(&mut random);
    interval.mul_f64(0.9 + 0.2 * f64::from(random[0]) / 255.0)
}

/// The address refuses: whoever was there, or says that it is there, is dead.
fn refused(core: &Core, address: SocketAddr, known: Option<&String>) {
    let text = address.to_string();
    core.with_members(|members, _| {
        let there: Vec<String> = members
            .peers
            .iter()
            .filter(|(id, peer)| peer.address == text || Some(*id) == known)
            .map(|(id, _)| id.clone())
            .collect();
        there.iter().for_each(|id| members.refused(id));
    });
}

fn rejected(core: &Core, address: SocketAddr, reject: &Reject) {
    Counts::add(&core.counts.rejects, 1);
    *lock(&core.net.rejects).entry(reject.code().label()).or_default() += 1;
    if reject.code() != RejectCode::NameInUse {
        if core.net.may_say("rejected") {
            warn!(%address, reason = reject.text, "a peer refuses this node");
        }
        return;
    }
    Counts::add(&core.counts.name_conflicts, 1);
    let since = *lock(&core.net.name_in_use).get_or_insert_with(mono::now);
    if 2 * core.options.unreachable_after() < mono::now().saturating_sub(since) {
        if core.net.may_say("name") {
            error!(%address, name = core.identity.id, "another live node has this node's name");
        }
        core.net.fatal.send_replace(true);
    }
}

async fn connect(core: &Arc<Core>, address: SocketAddr, data: bool) -> Result<Opened, DialError> {
    let bound = CONNECT_TIME.min(core.options.tcp_timeout);
    let stream = match timeout(bound, core.net.network.dial(address)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            return Err(DialError::Refused);
        }
        Ok(Err(error)) => return Err(error.into()),
        Err(_) => return Err(DialError::Timeout),
    };
    let bound = HANDSHAKE_TIME.min(core.options.tcp_timeout);
    timeout(bound, handshake(core, address, stream, data)).await.map_err(|_| DialError::Timeout)?
}

async fn handshake(
    core: &Arc<Core>,
    address: SocketAddr,
    io: Io,
    data: bool,
) -> Result<Opened, DialError> {
    let io = net::secure_outgoing(core.net.tls()?, io, address).await?;
    let (read, mut writer) = tokio::io::split(io);
    let mut reader = FrameReader::new(read, HELLO_MAX);
    stream::write(&mut writer, &Message::Hello(stream::hello(core, data))).await?;
    let welcome = match stream::read(&mut reader).await? {
        Message::Welcome(welcome) => welcome,
        Message::Reject(reject) => return Err(DialError::Rejected(reject)),
        _ => return Err(io::Error::from(io::ErrorKind::InvalidData).into()),
    };
    reader.max = FRAME_MAX;
    let peer = member::Hello {
        id: welcome.node_id,
        incarnation: welcome.incarnation,
        address: dialable(&welcome.address, address),
        version: welcome.version,
    };
    Counts::add(&core.counts.streams_dialled, 1);
    Ok(Opened { reader, writer, peer, status: welcome.status })
}

/// What the peer advertises, unless that can be dialled from nowhere.
fn dialable(advertised: &str, dialled: SocketAddr) -> String {
    match advertised.parse::<SocketAddr>() {
        Ok(address) if !address.ip().is_unspecified() => advertised.to_owned(),
        _ => dialled.to_string(),
    }
}

/// Lives as long as a control connection to the peer; a silent one is replaced.
async fn hold(core: &Arc<Core>, address: SocketAddr, opened: Opened) {
    *lock(&core.net.name_in_use) = None;
    let mut next = Some(opened);
    while let Some(opened) = next.take() {
        next = session(core, address, opened).await;
    }
}

/// One control connection and the data lane beside it; answers the connection that replaces it.
async fn session(core: &Arc<Core>, address: SocketAddr, opened: Opened) -> Option<Opened> {
    let Opened { mut reader, writer, peer, status } = opened;
    let (tx, rx) = mpsc::channel(256);
    let number = core.with_members(|members, now| {
        let number = members.opened(Line::ControlOut, &peer, now)?;
        if let Some(status) = status {
            members.told(&peer.id, peer.incarnation, Status::from(status));
        }
        Some(number)
    })?;
    lock(&core.net.controls).insert(peer.id.clone(), (number, tx.clone()));
    if let (Some(bridge), Ok(logical)) = (core.net.bridge.get(), peer.address.parse()) {
        bridge.connected(logical, tx.clone());
    }
    let writing = core.spawn(stream::write_all(Arc::clone(core), writer, rx));
    let data_ends = CancellationToken::new();
    let data = core.spawn(data_lane(Arc::clone(core), address, peer.clone(), data_ends.clone()));
    let replaced = tokio::select! {
        ended = control::speak(core, &mut reader, &tx, &peer) => {
            core.counts.read_ended(&ended);
            debug!(peer = peer.id, error = ?ended.err(), "control connection ended");
            None
        }
        opened = replacement(core, address, &peer) => Some(opened),
        () = core.stop.cancelled() => None,
    };
    data_ends.cancel();
    {
        let mut controls = lock(&core.net.controls);
        if controls.get(&peer.id).is_some_and(|(of, _)| *of == number) {
            controls.remove(&peer.id);
        }
    }
    core.with_members(|members, _| members.closed(&peer.id, Line::ControlOut, number));
    drop(tx);
    // The lane's end waits for nothing.
    let _ = data.await;
    writing.abort();
    replaced
}

/// Waits until the peer is silent, then for a second connection that comes up before the first one speaks again.
async fn replacement(core: &Arc<Core>, address: SocketAddr, peer: &member::Hello) -> Opened {
    let opened = mono::now();
    let silent = || {
        let members = lock(&core.members);
        let pong = members.peers.get(&peer.id).and_then(|peer| peer.last_pong);
        let last = pong.unwrap_or(opened).max(opened);
        SILENCE < mono::now().saturating_sub(last)
    };
    loop {
        tokio::time::sleep(Duration::from_millis(250)).await;
        if silent()
            && let Ok(opened) = connect(core, address, false).await
            && silent()
            && opened.peer.id == peer.id
        {
            return opened;
        }
    }
}

/// Keeps a data connection to the peer as long as its control connection lives.
async fn data_lane(
    core: Arc<Core>,
    address: SocketAddr,
    peer: member::Hello,
    ends: CancellationToken,
) {
    let link = core.link(&peer.id);
    let mut failures = 0;
    loop {
        // Opened before the dial: the peer misses nothing that is written once it sees us.
        link.open();
        let lived = tokio::select! {
            lived = data_session(&core, address, &peer) => lived,
            () = ends.cancelled() => None,
        };
        link.reset();
        failures = if lived.is_some() { 0 } else { failures + 1 };
        let rest = Duration::from_millis(REDIAL_MS[failures.min(REDIAL_MS.len() - 1)]);
        tokio::select! {
            () = tokio::time::sleep(rest) => {}
            () = ends.cancelled() => return,
        }
    }
}

/// One data connection; `None` when there was none.
async fn data_session(core: &Arc<Core>, address: SocketAddr, peer: &member::Hello) -> Option<()> {
    let opened = connect(core, address, true).await.ok().filter(|it| it.peer.id == peer.id)?;
    let (mut reader, link) = (opened.reader, core.link(&peer.id));
    let number = core.with_members(|members, now| members.opened(Line::DataOut, peer, now))?;
    let (tx, rx) = mpsc::channel(8);
    let writing = core.spawn(stream::write_all(Arc::clone(core), opened.writer, rx));
    let _closes = Closes { core, peer, number, writing };
    let ended = data::speak(core, &mut reader, &tx, peer, &link).await;
    core.counts.read_ended(&ended);
    debug!(peer = peer.id, error = ?ended.err(), "data connection ended");
    Some(())
}

/// Notes the end of a data connection, also when its task is cancelled.
struct Closes<'a> {
    core: &'a Core,
    peer: &'a member::Hello,
    number: u64,
    writing: tokio::task::JoinHandle<()>,
}

impl Drop for Closes<'_> {
    fn drop(&mut self) {
        self.writing.abort();
        let (id, number) = (&self.peer.id, self.number);
        self.core.with_members(|members, _| members.closed(id, Line::DataOut, number));
    }
}
