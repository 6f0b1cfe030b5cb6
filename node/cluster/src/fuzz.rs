//! What the fuzzer and the replay of its inputs do with bytes from the cluster port and the disk. Not for other callers.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chitchat::{
    ChitchatConfig, ChitchatHandle, ChitchatId, FailureDetectorConfig, ProtocolVersion,
    spawn_chitchat,
};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use crate::bridge::{Bridge, BridgeTransport};
use crate::mesh::frame::{self, FRAME_MAX};
use crate::mesh::message::Message;
use crate::record::{self, Record};
use crate::store::segment;

/// Reads frames and messages; what is read is the same after it was written.
pub fn frames(data: &[u8]) {
    let mut buffer = BytesMut::from(data);
    while let Ok(Some(read)) = frame::parse(&mut buffer, FRAME_MAX) {
        let Ok(message) = Message::decode(read) else { continue };
        if let Message::Push(push) = &message {
            push.batches.iter().for_each(|batch| drop(record::decode(batch.clone())));
        }
        let (kind, payload) = message.encode();
        let mut bytes = BytesMut::new();
        frame::put(kind, &payload, &mut bytes);
        let again = frame::parse(&mut bytes, FRAME_MAX).ok().flatten();
        let again = again.and_then(|frame| Message::decode(frame).ok());
        assert!(
            again.as_ref() == Some(&message) || matches!(message, Message::Unknown(_)),
            "{message:?} is read as {again:?}"
        );
    }
}

/// Reads a log segment or a snapshot, whose checksums hold; gives its records, which are the same after they were written.
pub fn stored(data: &[u8]) -> Vec<Record> {
    let mut found = Vec::new();
    let _ = segment::read(data, |_| true);
    let mut file = segment::MAGIC.to_vec();
    // The fuzzer finds no checksums: the entries are given theirs, each after two bytes of length.
    let mut rest = data;
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let (batch, left) =
            after.split_at(after.len().min(usize::from(u16::from_le_bytes(*length))));
        segment::frame(batch, &mut file);
        rest = left;
    }
    let _ = segment::read(&file[..], |bytes| {
        let Ok((records, _)) = record::decode(bytes) else { return false };
        found.extend(records);
        true
    });
    let mut again = Vec::new();
    for batch in record::encode(&found) {
        again.extend(record::decode(batch).map(|(records, _)| records).unwrap_or_default());
    }
    assert_eq!(again, found);
    found
}

/// A chitchat that hears one peer over the bridge.
pub struct Gossip {
    runtime: Runtime,
    hearer: Option<Hearer>,
    /// What a healthy peer says first.
    greeting: Bytes,
}

struct Hearer {
    bridge: Arc<Bridge>,
    chitchat: ChitchatHandle,
    said: mpsc::Receiver<Message>,
    left: u32,
}

/// Datagrams that one chitchat hears before it is replaced.
const LIFE: u32 = 256;
/// It may be busy with an answer to one that is no answer to us.
const PATIENCE: Duration = Duration::from_millis(500);
const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 1);

impl Gossip {
    /// Starts one and hears what such a one says first.
    /// # Errors
    /// Without a runtime or a socket.
    pub fn new() -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut gossip = Self { runtime, hearer: None, greeting: Bytes::new() };
        let mut hearer = gossip.runtime.block_on(Hearer::new())?;
        let first = gossip.runtime.block_on(async {
            let _ = hearer.chitchat.gossip(PEER);
            hearer.said.recv().await
        });
        if let Some(Message::Gossip(greeting)) = first {
            gossip.greeting = greeting;
        }
        Ok(gossip)
    }

    /// Lets it hear `data`, which must not end it.
    /// # Errors
    /// Without a socket; and when it has ended.
    pub fn hear(&mut self, data: &[u8]) -> anyhow::Result<()> {
        let Self { runtime, hearer, greeting } = self;
        runtime.block_on(async {
            let mut now = match hearer.take().filter(|hearer| hearer.left > 0) {
                Some(hearer) => hearer,
                None => {
                    let mut fresh = Hearer::new().await?;
                    fresh.wait_hears(greeting).await;
                    fresh
                }
            };
            now.bridge.deliver(PEER, data);
            now.bridge.deliver(PEER, greeting);
            now.left -= 1;
            match tokio::time::timeout(PATIENCE, now.said.recv()).await {
                Ok(_) => {
                    while now.said.try_recv().is_ok() {}
                    *hearer = Some(now);
                }
                // An answer beyond a datagram is never sent; a task that has ended is another matter.
                Err(_) => now.chitchat.shutdown().await?,
            }
            Ok(())
        })
    }
}

impl Hearer {
    /// A socket that is new takes nothing yet.
    async fn wait_hears(&mut self, greeting: &[u8]) {
        for _ in 0..100 {
            self.bridge.deliver(PEER, greeting);
            if tokio::time::timeout(Duration::from_millis(20), self.said.recv()).await.is_ok() {
                return;
            }
        }
    }

    async fn new() -> anyhow::Result<Self> {
        let bridge = Arc::new(Bridge::default());
        let (out, said) = mpsc::channel(16);
        bridge.connected(PEER, out);
        let own = SocketAddr::from((Ipv4Addr::LOCALHOST, 2));
        let config = ChitchatConfig {
            chitchat_id: ChitchatId::new("self", 1, own),
            cluster_id: String::new(),
            gossip_interval: Duration::from_secs(3600),
            listen_addr: own,
            seed_nodes: Vec::new(),
            failure_detector_config: FailureDetectorConfig::default(),
            marked_for_deletion_grace_period: Duration::from_secs(60),
            catchup_callback: None,
            extra_liveness_predicate: None,
            protocol_version: ProtocolVersion::V1,
        };
        let facts = vec![("ver".to_owned(), "1".to_owned())];
        let chitchat = spawn_chitchat(config, facts, &BridgeTransport(Arc::clone(&bridge))).await?;
        Ok(Self { bridge, chitchat, said, left: LIFE })
    }
}
