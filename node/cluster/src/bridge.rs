//! Carries chitchat's datagrams inside our control connections. chitchat's wire encoding is private, so it speaks UDP to a loopback socket of
//! its own, and one connected loopback socket (a shim) stands there for each peer.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use chitchat::ChitchatEnvelope;
use chitchat::transport::{RecvOutcome, SendOutcome, Socket, Transport, UdpTransport};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

use crate::core::lock;
use crate::mesh::message::Message;

/// No datagram is longer.
const DATAGRAM_MAX: usize = 65_507;

/// Peer addresses on one side, loopback sockets on the other.
#[derive(Default)]
pub(crate) struct Bridge {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Where our own chitchat listens.
    listens: Option<SocketAddr>,
    /// Where what chitchat sends to a peer goes.
    outs: HashMap<SocketAddr, mpsc::Sender<Message>>,
    shims: HashMap<SocketAddr, Shim>,
}

struct Shim {
    /// What chitchat knows the peer as: the local address of `socket`.
    local: SocketAddr,
    socket: Arc<UdpSocket>,
    reader: tokio::task::JoinHandle<()>,
}

impl Drop for Shim {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Bridge {
    /// A control connection to `peer` is open: from now on gossip to it goes there.
    pub(crate) fn connected(self: &Arc<Self>, peer: SocketAddr, out: mpsc::Sender<Message>) {
        let mut inner = lock(&self.inner);
        inner.outs.insert(peer, out);
        if !inner.shims.contains_key(&peer)
            && let Some(listens) = inner.listens
            && let Ok(shim) = self.shim(peer, listens)
        {
            inner.shims.insert(peer, shim);
        }
    }

    /// chitchat listens at `address` from now on: every peer gets a new shim.
    fn listens(self: &Arc<Self>, address: SocketAddr) {
        let mut inner = lock(&self.inner);
        inner.listens = Some(address);
        let peers: Vec<SocketAddr> = inner.outs.keys().copied().collect();
        inner.shims.clear();
        for peer in peers {
            // Without a socket the peer is missing from the gossip until its next connection.
            if let Ok(shim) = self.shim(peer, address) {
                inner.shims.insert(peer, shim);
            }
        }
    }

    fn shim(self: &Arc<Self>, peer: SocketAddr, listens: SocketAddr) -> std::io::Result<Shim> {
        let socket = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect(listens)?;
        socket.set_nonblocking(true)?;
        let local = socket.local_addr()?;
        let socket = Arc::new(UdpSocket::from_std(socket)?);
        let (bridge, heard) = (Arc::clone(self), Arc::clone(&socket));
        let reader = tokio::spawn(async move {
            let mut buffer = vec![0; DATAGRAM_MAX];
            while let Ok(length) = heard.recv(&mut buffer).await {
                let message = Message::Gossip(Bytes::copy_from_slice(&buffer[..length]));
                if let Some(out) = lock(&bridge.inner).outs.get(&peer) {
                    // Gossip repeats itself; a full lane may lose it.
                    let _ = out.try_send(message);
                }
            }
        });
        Ok(Shim { local, socket, reader })
    }

    /// Gossip of `peer` has come in.
    pub(crate) fn deliver(&self, peer: SocketAddr, bytes: &[u8]) {
        let socket = lock(&self.inner).shims.get(&peer).map(|shim| Arc::clone(&shim.socket));
        if let Some(socket) = socket {
            // Lost gossip comes again.
            let _ = socket.try_send(bytes);
        }
    }

    /// Peers that gossip can reach now.
    pub(crate) fn peers(&self) -> Vec<SocketAddr> {
        lock(&self.inner).shims.keys().copied().collect()
    }
}

/// chitchat's transport over the bridge.
pub(crate) struct BridgeTransport(pub(crate) Arc<Bridge>);

#[async_trait]
impl Transport for BridgeTransport {
    async fn open(&self, _listen: SocketAddr) -> anyhow::Result<Box<dyn Socket>> {
        let socket = UdpTransport.open((Ipv4Addr::LOCALHOST, 0).into()).await?;
        self.0.listens(socket.local_addr()?);
        Ok(Box::new(BridgeSocket { bridge: Arc::clone(&self.0), socket }))
    }
}

struct BridgeSocket {
    bridge: Arc<Bridge>,
    socket: Box<dyn Socket>,
}

#[async_trait]
impl Socket for BridgeSocket {
    fn local_addr(&self) -> anyhow::Result<SocketAddr> {
        self.socket.local_addr()
    }

    async fn send(
        &mut self,
        to: SocketAddr,
        envelope: ChitchatEnvelope,
    ) -> anyhow::Result<SendOutcome> {
        let shim = lock(&self.bridge.inner).shims.get(&to).map(|shim| shim.local);
        match shim {
            Some(shim) => self.socket.send(shim, envelope).await,
            None => Ok(SendOutcome { num_bytes_sent: 0 }),
        }
    }

    async fn recv(&mut self) -> anyhow::Result<RecvOutcome> {
        loop {
            let outcome = self.socket.recv().await?;
            let from = lock(&self.bridge.inner)
                .shims
                .iter()
                .find(|(_, shim)| shim.local == outcome.from_addr)
                .map(|(peer, _)| *peer);
            // Whoever else sends to our loopback port is a stranger.
            if let Some(from_addr) = from {
                return Ok(RecvOutcome { from_addr, ..outcome });
            }
        }
    }
}
