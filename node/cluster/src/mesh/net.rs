//! Where byte streams come from: TCP, or what a simulation puts in its place. Knows no frame.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

use crate::tls::Tls;

/// Unacknowledged bytes end a connection after this.
const USER_TIMEOUT: Duration = Duration::from_secs(4);

/// Both directions of a stream.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

pub(crate) type Io = Box<dyn Stream>;

/// Makes streams.
#[async_trait]
pub(crate) trait Network: Send + Sync + 'static {
    /// Dials; [`io::ErrorKind::ConnectionRefused`] proves that nobody listens there.
    async fn dial(&self, address: SocketAddr) -> io::Result<Io>;
    /// Listens at an address of `host:port`.
    async fn listen(&self, host: &str, port: u16) -> io::Result<Box<dyn Listener>>;
    /// Whether streams must be made safe by TLS.
    fn is_open(&self) -> bool {
        true
    }
}

/// Takes streams that others dialled.
#[async_trait]
pub(crate) trait Listener: Send + 'static {
    /// Where it listens, with the real port.
    fn address(&self) -> io::Result<SocketAddr>;
    async fn accept(&mut self) -> io::Result<(Io, SocketAddr)>;
}

/// The real one.
pub(crate) struct Tcp;

#[async_trait]
impl Network for Tcp {
    async fn dial(&self, address: SocketAddr) -> io::Result<Io> {
        let stream = TcpStream::connect(address).await?;
        prepare(&stream);
        Ok(Box::new(stream))
    }

    async fn listen(&self, host: &str, port: u16) -> io::Result<Box<dyn Listener>> {
        Ok(Box::new(TcpListener::bind((host, port)).await?))
    }
}

#[async_trait]
impl Listener for TcpListener {
    fn address(&self) -> io::Result<SocketAddr> {
        self.local_addr()
    }

    async fn accept(&mut self) -> io::Result<(Io, SocketAddr)> {
        let (stream, from) = TcpListener::accept(self).await?;
        prepare(&stream);
        Ok((Box::new(stream), from))
    }
}

/// No delay, and no waiting for the kernel's own idea of a dead connection.
fn prepare(stream: &TcpStream) {
    // Best effort: without these the connection works, only slower to notice its end.
    let _ = stream.set_nodelay(true);
    let socket = socket2::SockRef::from(stream);
    let _ = socket.set_tcp_user_timeout(Some(USER_TIMEOUT));
    let keepalive = socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(2))
        .with_interval(Duration::from_secs(1));
    let _ = socket.set_tcp_keepalive(&keepalive);
}

/// The stream of who dialled us, made safe; `None` when its certificate's name is not allowed.
pub(crate) async fn secure_incoming(tls: Option<&Tls>, io: Io) -> io::Result<Option<Io>> {
    let Some(tls) = tls else { return Ok(Some(io)) };
    let io = tls.acceptor.accept(io).await?;
    let allowed = tls.allows(io.get_ref().1.peer_certificates());
    Ok(allowed.then(|| Box::new(io) as Io))
}

/// The stream that we dialled, made safe.
pub(crate) async fn secure_outgoing(
    tls: Option<&Tls>,
    io: Io,
    address: SocketAddr,
) -> io::Result<Io> {
    let Some(tls) = tls else { return Ok(io) };
    Ok(Box::new(tls.connector.connect(tls.name_for(address.ip()), io).await?))
}
