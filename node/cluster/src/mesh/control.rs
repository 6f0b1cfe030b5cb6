//! The control lane: heartbeats, gossip, claims, goodbyes. Never bulk.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::message::{Claim, ClaimAnswer, Leave, Message, Ping, Release, WireStatus};
use super::stream::Reader;
use crate::claim::{Answer, Asked};
use crate::core::{Core, lock};
use crate::member::{self, Status};
use crate::metrics::Counts;
use crate::mono;
use crate::record;
use crate::sync::Replica;

/// The lane that we dialled: sends Pings, hears Pongs and answers.
pub(crate) async fn speak(
    core: &Arc<Core>,
    reader: &mut Reader,
    tx: &mpsc::Sender<Message>,
    peer: &member::Hello,
) -> io::Result<()> {
    let mut every = tokio::time::interval(core.options.probe_interval);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut status = core.status_changed.subscribe();
    loop {
        tokio::select! {
            frame = reader.next() => {
                let frame = frame?.ok_or(io::ErrorKind::UnexpectedEof)?;
                let message = Message::decode(frame).map_err(invalid)?;
                heard_answer(core, message, peer);
            }
            _ = every.tick() => ping(core, tx),
            _ = status.changed() => ping(core, tx),
        }
    }
}

fn invalid(error: prost::DecodeError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

fn ping(core: &Core, tx: &mpsc::Sender<Message>) {
    let ping = Ping {
        t1: core.now_ms(),
        sent_us: micros(mono::now()),
        status: Some(WireStatus::from(&core.status())),
        ..Ping::default()
    };
    // A full lane is a stuck one: the missing Pong tells.
    let _ = tx.try_send(Message::Ping(ping));
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn heard_answer(core: &Core, message: Message, peer: &member::Hello) {
    match message {
        Message::Pong(pong) => {
            let t4 = core.now_ms();
            let offset = ((pong.t2 - pong.t1) + (pong.t3 - t4)) / 2;
            let round_trip = mono::now().saturating_sub(Duration::from_micros(pong.sent_us));
            core.with_members(|members, now| {
                members.pong(&peer.id, now, round_trip, offset);
                if let Some(status) = pong.status {
                    members.told(&peer.id, peer.incarnation, Status::from(status));
                }
            });
        }
        Message::ClaimAnswer(answer) => {
            let waiting = lock(&core.net.answers).get(&answer.id).cloned();
            if let Some(waiting) = waiting {
                // Nobody waits any more when the bound is over.
                let _ = waiting.try_send((peer.id.clone(), answer));
            }
        }
        Message::LeaveAck(_) => core.net.leave_acks.notify_one(),
        _ => Counts::add(&core.counts.unknown_frames, 1),
    }
}

/// The lane that the peer dialled: answers Pings and claims.
pub(crate) async fn hear(
    core: &Arc<Core>,
    mut reader: Reader,
    tx: &mpsc::Sender<Message>,
    peer: &member::Hello,
) -> io::Result<()> {
    loop {
        let frame = reader.next().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        match Message::decode(frame).map_err(invalid)? {
            Message::Ping(ping) => pinged(core, ping, tx, peer).await?,
            Message::Gossip(bytes) => {
                if let (Some(bridge), Ok(from)) = (core.net.bridge.get(), peer.address.parse()) {
                    bridge.deliver(from, &bytes);
                }
            }
            Message::Claim(claim) => {
                let answer = answer(core, claim);
                tx.send(Message::ClaimAnswer(answer)).await.map_err(closed)?;
            }
            Message::Release(release) => released(core, release, peer),
            Message::Leave(_) => {
                core.with_members(|members, _| members.left(&peer.id));
                let ack = Message::LeaveAck(Leave::default());
                tx.send(ack).await.map_err(closed)?;
            }
            _ => Counts::add(&core.counts.unknown_frames, 1),
        }
    }
}

fn closed<T>(_: mpsc::error::SendError<T>) -> io::Error {
    io::ErrorKind::BrokenPipe.into()
}

async fn pinged(
    core: &Core,
    mut ping: Ping,
    tx: &mpsc::Sender<Message>,
    peer: &member::Hello,
) -> io::Result<()> {
    ping.t2 = core.now_ms();
    let theirs = ping.status.take();
    core.with_members(|members, now| {
        members.pinged(&peer.id, now);
        if let Some(status) = theirs {
            members.told(&peer.id, peer.incarnation, Status::from(status));
        }
    });
    ping.status = Some(WireStatus::from(&core.status()));
    ping.t3 = core.now_ms();
    tx.send(Message::Pong(ping)).await.map_err(closed)
}

fn answer(core: &Core, claim: Claim) -> ClaimAnswer {
    let known = claim.known.as_ref().map(super::message::KeyStamp::stamp);
    let current = core.state.read(claim.kind, &claim.key);
    let node = claim.node;
    let asked = Asked { kind: claim.kind, key: claim.key, score: claim.score, node, known };
    let id = claim.id;
    match core.claims.answer(&asked, current, mono::now()) {
        Answer::Grant => ClaimAnswer { id, ..ClaimAnswer::default() },
        Answer::Busy => ClaimAnswer { id, busy: true, done: None },
        Answer::Done(record) => {
            let done = record::encode(&[record]).into_iter().next();
            ClaimAnswer { id, busy: false, done }
        }
    }
}

fn released(core: &Core, release: Release, peer: &member::Hello) {
    if let Some(Ok((records, _))) = release.record.map(record::decode) {
        core.receive(records);
    }
    core.claims.released(&release.key, record::key_hash(peer.id.as_bytes()), release.failed);
}
