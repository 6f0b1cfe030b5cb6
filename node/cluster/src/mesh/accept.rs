//! Who dials us: handshake, checks, and which session follows.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::{debug, warn};

use super::frame::{FRAME_MAX, FrameReader, HELLO_MAX};
use super::message::{Hello, Message, PROTO_MAX, PROTO_MIN, Reject, RejectCode};
use super::net::{self, Io, Listener};
use super::{control, data, dial, stream};
use crate::core::{Core, lock};
use crate::member::{self, Line, Status};
use crate::metrics::Counts;
use crate::ready::Ready;
use crate::record::key_hash;

/// Handshakes that may be under way at once; more connections are closed.
const PENDING_MAX: usize = 64;
/// And of one address, so that one stranger cannot keep the others out.
const PENDING_OF_ONE: usize = 16;
/// A handshake must be done by then.
const HANDSHAKE_TIME: Duration = Duration::from_secs(5);

/// Listens until this node is about to leave.
pub(crate) async fn accept(core: Arc<Core>, mut listener: Box<dyn Listener>) {
    let pending = Arc::new(Mutex::new(HashMap::new()));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = core.net.closing.cancelled() => return,
        };
        match accepted {
            Ok((stream, from)) => {
                let Some(permit) = Pending::begin(&pending, from.ip()) else {
                    reject(&core, RejectCode::TooMany, &from.to_string());
                    continue;
                };
                let (core, spawner) = (Arc::clone(&core), &core);
                spawner.spawn(async move {
                    let opened = timeout(HANDSHAKE_TIME, handshake(&core, stream, from)).await;
                    drop(permit);
                    match opened {
                        Ok(Ok(Some(session))) => session.run(core).await,
                        Ok(Ok(None)) => {}
                        Ok(Err(error)) => debug!(%from, error = %error, "handshake failed"),
                        Err(_) => debug!(%from, "handshake timed out"),
                    }
                });
            }
            Err(error) => {
                // Out of descriptors or the like: others may end meanwhile.
                warn!(error = %error, "cannot accept on the cluster port");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Handshakes under way, by address.
type AllPending = Arc<Mutex<HashMap<IpAddr, usize>>>;

/// One handshake under way.
struct Pending {
    all: AllPending,
    of: IpAddr,
}

impl Pending {
    fn begin(all: &AllPending, of: IpAddr) -> Option<Self> {
        let mut counts = lock(all);
        let full = PENDING_MAX <= counts.values().sum();
        if full || counts.get(&of).is_some_and(|count| PENDING_OF_ONE <= *count) {
            return None;
        }
        *counts.entry(of).or_default() += 1;
        Some(Self { all: Arc::clone(all), of })
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let mut counts = lock(&self.all);
        if let Some(count) = counts.get_mut(&self.of) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.of);
            }
        }
    }
}

struct Session {
    opened: stream::Opened,
    data: bool,
}

async fn handshake(core: &Arc<Core>, io: Io, from: SocketAddr) -> io::Result<Option<Session>> {
    let Some(io) = net::secure_incoming(core.net.tls()?, io).await? else {
        reject(core, RejectCode::Unauthorised, &from.to_string());
        return Ok(None);
    };
    let (read, mut write) = tokio::io::split(io);
    let mut reader = FrameReader::new(read, HELLO_MAX);
    let Message::Hello(hello) = stream::read(&mut reader).await? else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let peer = peer(&hello, from);
    if let Some((code, text)) = objection(core, &hello, &peer) {
        reject(core, code, &hello.node_id);
        let answer = Message::Reject(Reject { code: code.into(), text });
        stream::write(&mut write, &answer).await?;
        return Ok(None);
    }
    stream::write(&mut write, &Message::Welcome(stream::welcome(core))).await?;
    if peer.id == core.identity.id {
        // We dialled ourselves; the dialling side has learnt that from the answer.
        return Ok(None);
    }
    Counts::add(&core.counts.streams_accepted, 1);
    reader.max = FRAME_MAX;
    let data = hello.data;
    let opened = stream::Opened { reader, writer: write, peer, status: hello.status };
    Ok(Some(Session { opened, data }))
}

/// The peer with an address that can be dialled: an unspecified one is replaced by where it comes from.
fn peer(hello: &Hello, from: SocketAddr) -> member::Hello {
    let address = match hello.address.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_unspecified() => {
            SocketAddr::new(from.ip(), address.port()).to_string()
        }
        _ => hello.address.clone(),
    };
    member::Hello {
        id: hello.node_id.clone(),
        incarnation: hello.incarnation,
        address,
        version: hello.version.clone(),
    }
}

fn objection(core: &Core, hello: &Hello, peer: &member::Hello) -> Option<(RejectCode, String)> {
    if hello.label_hash != key_hash(core.options.label.as_bytes()) {
        return Some((RejectCode::Label, "the cluster label is another one".into()));
    }
    if hello.proto_max < PROTO_MIN || PROTO_MAX < hello.proto_min {
        let text = format!("this node speaks protocol {PROTO_MIN} to {PROTO_MAX}");
        return Some((RejectCode::Protocol, text));
    }
    if peer.id == core.identity.id {
        let same = peer.incarnation == core.identity.generation;
        return (!same).then(|| (RejectCode::NameInUse, "this node has that name".into()));
    }
    let conflict = core.with_members(|members, now| members.conflicts(peer, now));
    conflict.then(|| (RejectCode::NameInUse, "a live node has that name".into()))
}

fn reject(core: &Core, code: RejectCode, peer: &str) {
    Counts::add(&core.counts.rejects, 1);
    *lock(&core.net.rejects).entry(code.label()).or_default() += 1;
    if code == RejectCode::NameInUse {
        Counts::add(&core.counts.name_conflicts, 1);
    }
    if core.net.may_say(code.label()) {
        warn!(peer, code = code.label(), "connection of a peer refused");
    }
}

impl Session {
    async fn run(self, core: Arc<Core>) {
        let Self { opened, data } = self;
        let peer = opened.peer;
        let line = if data { Line::DataIn } else { Line::ControlIn };
        let number = core.with_members(|members, now| {
            let number = members.opened(line, &peer, now)?;
            if let Some(status) = opened.status {
                members.told(&peer.id, peer.incarnation, Status::from(status));
            }
            Some(number)
        });
        let Some(number) = number else { return };
        if let Ok(address) = peer.address.parse() {
            dial::ensure(&core, address, true);
        }
        let (tx, rx) = mpsc::channel(64);
        let writer = core.spawn(stream::write_all(Arc::clone(&core), opened.writer, rx));
        let session = async {
            if data {
                core.net.rounds.pushing(&peer.id);
                if !matches!(*core.ready.borrow(), Ready::Yes) {
                    // The first sync must begin after this, or it might miss what was written meanwhile.
                    core.link(&peer.id).set_behind();
                }
                data::hear(&core, opened.reader, &tx, &peer).await
            } else {
                control::hear(&core, opened.reader, &tx, &peer).await
            }
        };
        let ended = tokio::select! {
            ended = session => ended,
            () = core.stop.cancelled() => Ok(()),
        };
        drop(tx);
        core.counts.read_ended(&ended);
        if let Err(error) = ended {
            debug!(peer = peer.id, error = %error, "connection of a peer ended");
        }
        let current = core.with_members(|members, _| members.closed(&peer.id, line, number));
        if data && current {
            core.net.rounds.push_ended(&peer.id);
        }
        // What is queued has its chance to leave, unless the connection is gone.
        let _ = timeout(Duration::from_secs(1), writer).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_take_all_places() {
        let all = AllPending::default();
        let ip = |last| IpAddr::from([10, 0, 0, last]);
        let of_one: Vec<_> = (0..20).filter_map(|_| Pending::begin(&all, ip(1))).collect();
        assert_eq!(of_one.len(), PENDING_OF_ONE);
        let others: Vec<_> = (2..200).filter_map(|last| Pending::begin(&all, ip(last))).collect();
        assert_eq!(of_one.len() + others.len(), PENDING_MAX);
        drop((of_one, others));
        assert!(lock(&all).is_empty());
    }
}
