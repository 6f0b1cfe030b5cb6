//! The data lane: push with acknowledgements, and digest sync beside it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tracing::debug;

use super::message::{Ack, Message, Push};
use super::stream::{Reader, count};
use crate::core::{Core, lock};
use crate::member;
use crate::metrics::Counts;
use crate::mono;
use crate::push::Link;
use crate::record;
use crate::store::{Notice, Stage};
use crate::sync;

/// Bytes of records in one Push.
const PUSH_BYTES: usize = 256 * 1024;
/// A round that takes longer is broken off.
const ROUND_TIME: Duration = Duration::from_secs(120);
/// Of two nodes that both owe a round one waits this long, for the other's serves both.
const DEFER: Duration = Duration::from_millis(500);

fn closed<T>(_: T) -> io::Error {
    io::ErrorKind::BrokenPipe.into()
}

fn invalid(error: prost::DecodeError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// The lane that we dialled: sends records and begins digest syncs.
pub(crate) async fn speak(
    core: &Arc<Core>,
    reader: &mut Reader,
    tx: &mpsc::Sender<Message>,
    peer: &member::Hello,
    link: &Link,
) -> io::Result<()> {
    let (sync_tx, mut sync_rx) = mpsc::channel(16);
    tokio::select! {
        ended = hear_answers(core, reader, link, &sync_tx) => ended,
        ended = push(link, tx) => ended,
        ended = sync_when_owed(core, tx, &mut sync_rx, peer, link) => ended,
        ended = watch_acks(core, link) => ended,
    }
}

async fn hear_answers(
    core: &Core,
    reader: &mut Reader,
    link: &Link,
    sync_tx: &mpsc::Sender<Message>,
) -> io::Result<()> {
    loop {
        let frame = reader.next().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let size = frame.payload.len() as u64;
        match Message::decode(frame).map_err(invalid)? {
            Message::Ack(ack) => link.acked(ack.seq),
            message if message.is_sync() => {
                count(&core.counts.syncs_received, &core.counts.sync_bytes_received, size);
                sync_tx.send(message).await.map_err(closed)?;
            }
            _ => Counts::add(&core.counts.unknown_frames, 1),
        }
    }
}

async fn push(link: &Link, tx: &mpsc::Sender<Message>) -> io::Result<()> {
    loop {
        while let Some((seq, batches)) = link.take(PUSH_BYTES) {
            tx.send(Message::Push(Push { seq, batches })).await.map_err(closed)?;
        }
        link.wake.notified().await;
    }
}

/// A peer that acknowledges nothing for the TCP timeout is dialled anew and synced.
async fn watch_acks(core: &Core, link: &Link) -> io::Result<()> {
    let mut every = tokio::time::interval(Duration::from_secs(1));
    loop {
        every.tick().await;
        if core.options.tcp_timeout < link.facts(mono::now()).lag {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
}

async fn sync_when_owed(
    core: &Arc<Core>,
    tx: &mpsc::Sender<Message>,
    rx: &mut mpsc::Receiver<Message>,
    peer: &member::Hello,
    link: &Link,
) -> io::Result<()> {
    let opened = mono::now();
    let mut first = true;
    loop {
        while link.take_behind() {
            if first {
                first = false;
                defer(core, peer, opened).await;
                if core.net.rounds.finished_since(&peer.id, opened) {
                    continue;
                }
            }
            let begun = mono::now();
            let round = timeout(ROUND_TIME, sync::begin(core.as_ref(), tx, rx)).await;
            match round {
                Ok(Ok(round)) => {
                    debug!(
                        peer = peer.id,
                        repaired = round.repaired,
                        given = round.given,
                        "digest sync done"
                    );
                    Counts::add(&core.counts.sync_runs, 1);
                    Counts::add(&core.counts.sync_repaired, round.repaired as u64);
                    Counts::add_time(&core.counts.sync_micros, mono::now().saturating_sub(begun));
                    core.net.rounds.finished(&peer.id, begun);
                }
                Ok(Err(_)) | Err(_) => {
                    Counts::add(&core.counts.sync_failures, 1);
                    return Err(io::ErrorKind::ConnectionAborted.into());
                }
            }
        }
        link.sync_wake.notified().await;
    }
}

/// Lets the one begin who needs it more: a node that is starting before one that runs, else the lesser name.
async fn defer(core: &Core, peer: &member::Hello, opened: Duration) {
    let theirs = lock(&core.members).peers.get(&peer.id).is_some_and(|peer| peer.status.ready);
    let mine = core.status().ready;
    let waits = if mine == theirs { peer.id < core.identity.id } else { mine };
    if !waits {
        return;
    }
    let mut changed = core.net.rounds.changed.subscribe();
    let done = async {
        while !core.net.rounds.finished_since(&peer.id, opened) {
            if changed.changed().await.is_err() {
                return;
            }
        }
    };
    let bound = if mine == theirs { DEFER } else { 4 * DEFER };
    // Either the other's round is done or ours begins.
    let _ = timeout(bound, done).await;
}

/// The lane that the peer dialled: takes records, acknowledges, answers digest syncs.
pub(crate) async fn hear(
    core: &Arc<Core>,
    mut reader: Reader,
    tx: &mpsc::Sender<Message>,
    peer: &member::Hello,
) -> io::Result<()> {
    let acks = Arc::new(watch::Sender::new(0));
    let mut acked = acks.subscribe();
    let mut round_begun = mono::now();
    loop {
        let frame = tokio::select! {
            frame = reader.next() => frame?.ok_or(io::ErrorKind::UnexpectedEof)?,
            _ = acked.changed() => {
                let seq = *acked.borrow_and_update();
                tx.send(Message::Ack(Ack { seq })).await.map_err(closed)?;
                continue;
            }
        };
        let size = frame.payload.len() as u64;
        match Message::decode(frame).map_err(invalid)? {
            Message::Push(push) => {
                count(&core.counts.pushes_received, &core.counts.push_bytes_received, size);
                pushed(core, push, &acks);
            }
            message if message.is_sync() => {
                count(&core.counts.syncs_received, &core.counts.sync_bytes_received, size);
                if matches!(message, Message::SyncRoots(_)) {
                    round_begun = mono::now();
                }
                if sync::answer(core.as_ref(), message, tx).await.map_err(closed)? {
                    core.net.rounds.finished(&peer.id, round_begun);
                }
            }
            _ => Counts::add(&core.counts.unknown_frames, 1),
        }
    }
}

fn pushed(core: &Core, push: Push, acks: &Arc<watch::Sender<u64>>) {
    let mut records = Vec::new();
    for batch in push.batches {
        // A batch that cannot be read is found missing by the next digest sync.
        records.extend(record::decode(batch).into_iter().flat_map(|(records, _)| records));
    }
    let acks = Arc::clone(acks);
    let seq = push.seq;
    let call = Box::new(move |_written| {
        // Also when the disk failed: this node has it in memory, and says that its disk failed.
        acks.send_modify(|acked| *acked = seq.max(*acked));
    });
    core.receive_then(records, Some(Notice { stage: Stage::Written, call }));
}
