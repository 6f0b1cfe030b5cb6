//! One TLS connection: socket options, the handshake of Hello and Welcome, and the task that writes.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tracing::error;

use super::frame::{self, FRAME_MAX, FrameReader};
use super::message::{Hello, Message, PROTO_MAX, PROTO_MIN, Welcome, WireStatus};
use super::net::Io;
use crate::core::{Core, lock};
use crate::member;
use crate::metrics::Counts;
use crate::record::key_hash;
use crate::sync::Replica;

/// Bytes gathered for one write.
const WRITE_BYTES: usize = 256 * 1024;

pub(crate) type Reader = FrameReader<ReadHalf<Io>>;

/// A connection whose handshake is done.
pub(crate) struct Opened {
    pub(crate) reader: Reader,
    pub(crate) writer: WriteHalf<Io>,
    pub(crate) peer: member::Hello,
    pub(crate) status: Option<WireStatus>,
}

/// What this node says of itself first.
pub(crate) fn hello(core: &Core, data: bool) -> Hello {
    Hello {
        proto_min: PROTO_MIN,
        proto_max: PROTO_MAX,
        label_hash: key_hash(core.options.label.as_bytes()),
        node_id: core.identity.id.clone(),
        incarnation: core.identity.generation,
        data,
        address: address(core),
        version: core.options.version.clone(),
        wall_ms: core.now_ms(),
        status: Some(WireStatus::from(&core.status())),
    }
}

/// What this node answers.
pub(crate) fn welcome(core: &Core) -> Welcome {
    Welcome {
        proto: PROTO_MAX,
        node_id: core.identity.id.clone(),
        incarnation: core.identity.generation,
        wall_ms: core.now_ms(),
        address: address(core),
        version: core.options.version.clone(),
        status: Some(WireStatus::from(&core.status())),
    }
}

fn address(core: &Core) -> String {
    lock(&core.members).me.address.clone()
}

/// Writes one message, before the connection has a writer task.
pub(crate) async fn write(io: &mut (impl AsyncWrite + Unpin), message: &Message) -> io::Result<()> {
    let mut buffer = BytesMut::new();
    let (kind, payload) = message.encode();
    frame::put(kind, &payload, &mut buffer);
    io.write_all(&buffer).await?;
    io.flush().await
}

/// Reads one message, before the connection has a session.
pub(crate) async fn read<R: AsyncRead + Unpin>(reader: &mut FrameReader<R>) -> io::Result<Message> {
    let frame = reader.next().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
    Message::decode(frame).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Writes what comes through the channel until it is closed or the connection is gone.
pub(crate) async fn write_all(
    core: Arc<Core>,
    mut io: WriteHalf<Io>,
    mut messages: mpsc::Receiver<Message>,
) {
    let mut buffer = BytesMut::new();
    while let Some(message) = messages.recv().await {
        put(&core, &message, &mut buffer);
        while buffer.len() < WRITE_BYTES
            && let Ok(message) = messages.try_recv()
        {
            put(&core, &message, &mut buffer);
        }
        if io.write_all(&buffer).await.is_err() || io.flush().await.is_err() {
            Counts::add(&core.counts.write_errors, 1);
            return;
        }
        buffer.clear();
    }
    // The other side sees the end of the stream at once; if not, the process ends soon anyway.
    let _ = io.shutdown().await;
}

fn put(core: &Core, message: &Message, buffer: &mut BytesMut) {
    let (kind, payload) = message.encode();
    if FRAME_MAX < payload.len() {
        if core.net.may_say("frame") {
            error!(bytes = payload.len(), "record is too large to be replicated");
        }
        return;
    }
    let size = payload.len() as u64;
    let counts = &core.counts;
    if matches!(message, Message::Push(_)) {
        count(&counts.pushes_sent, &counts.push_bytes_sent, size);
    } else if message.is_sync() {
        count(&counts.syncs_sent, &counts.sync_bytes_sent, size);
    }
    frame::put(kind, &payload, buffer);
}

pub(crate) fn count(messages: &AtomicU64, bytes: &AtomicU64, size: u64) {
    Counts::add(messages, 1);
    Counts::add(bytes, size);
}
