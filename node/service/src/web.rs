//! The web server: HTTP/1.1 over given listeners, with limits on everything a stranger can make
//! large or slow, and a graceful stop. What is answered is the handler's business.

mod body;
mod connection;
mod crowd;
mod gate;
mod pulse;
mod san;
mod settings;
mod shared;
mod tls;
mod users;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use http::{Request, Response};
use hyper::body::Incoming;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crowd::Crowd;

pub use body::{Body, BodyError, read_body};
pub use gate::{Gate, GateError};
pub use settings::{ClientAuth, RateLimit, TlsSettings, WebSettings};
pub use tls::TlsError;
pub use users::{Passwords, UserList, hash, is_hash, users};

/// What a client may cost. The defaults are those of the node and of the balancer's pages.
#[derive(Debug, Clone)]
pub struct Limits {
    /// From the first byte of a request's head to its last.
    pub header_timeout: Duration,
    /// Without a byte moving: between requests, within a body, or while writing an answer.
    pub idle_timeout: Duration,
    /// Bytes of a request's head; more is answered 431.
    pub header_max_bytes: usize,
    /// Header lines; more is answered 431.
    pub headers_max: usize,
    /// Open connections, and no more than three quarters of the process's descriptors: for a
    /// further one the longest idle one is closed, or itself when none is idle.
    pub connections_max: usize,
    /// Open connections from one address, so that nobody takes all places; a balancer is one address.
    pub connections_of_one_max: usize,
    /// What running requests get when the server stops; then they are cut off.
    pub stop_grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(120),
            header_max_bytes: 64 * 1024,
            headers_max: 128,
            connections_max: 20_000,
            connections_of_one_max: 15_000,
            stop_grace: Duration::from_secs(5),
        }
    }
}

/// How a server treats its clients.
#[derive(Clone, Default)]
pub struct Settings {
    /// What they may cost.
    pub limits: Limits,
    /// TLS, users, headers and rate limit of `web.yml`; absent: plain HTTP for everybody.
    pub gate: Option<Arc<Gate>>,
}

impl From<Limits> for Settings {
    fn from(limits: Limits) -> Self {
        Self { limits, gate: None }
    }
}

/// The other end of a request's connection.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Where the connection comes from; a balancer's address if there is one in between.
    pub address: SocketAddr,
    /// Whether the connection is TLS.
    pub encrypted: bool,
    socket: Arc<TcpStream>,
}

impl Peer {
    /// Whether the client has closed the connection, so that nobody waits for the answer.
    /// Bytes that it sent behind the request hide that.
    #[must_use]
    pub fn has_closed(&self) -> bool {
        shared::has_closed(&self.socket)
    }
}

/// Answers requests. Implemented by every suitable async function or closure.
pub trait Handler: Clone + Send + Sync + 'static {
    /// One request, one answer. A panic inside is caught, logged and answered 500.
    fn answer(
        &self,
        request: Request<Incoming>,
        peer: Peer,
    ) -> impl Future<Output = Response<Body>> + Send;
}

impl<F, A> Handler for F
where
    F: Fn(Request<Incoming>, Peer) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Response<Body>> + Send,
{
    fn answer(
        &self,
        request: Request<Incoming>,
        peer: Peer,
    ) -> impl Future<Output = Response<Body>> + Send {
        self(request, peer)
    }
}

/// Binds an address such as `:9093`, `127.0.0.1:0` or `[::]:9093`; no host means all of them.
///
/// # Errors
/// When the address cannot be read or bound.
pub async fn bind(address: &str) -> io::Result<TcpListener> {
    match address.strip_prefix(':') {
        // A dual-stack socket where the machine has IPv6, as Go's listeners are.
        Some(port) => match TcpListener::bind(format!("[::]:{port}")).await {
            Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
                TcpListener::bind(format!("0.0.0.0:{port}")).await
            }
            bound => bound,
        },
        None => TcpListener::bind(address).await,
    }
}

/// Serves until `stop` is cancelled and the running requests have ended, or were cut off after
/// [`Limits::stop_grace`]. Listeners close as soon as `stop` is cancelled.
pub async fn serve(
    listeners: Vec<TcpListener>,
    settings: impl Into<Settings>,
    handler: impl Handler,
    stop: CancellationToken,
) {
    let settings = settings.into();
    let limits = &settings.limits;
    let crowd = Crowd::new(limits.connections_max, limits.connections_of_one_max);
    let mut acceptors = JoinSet::new();
    for listener in listeners {
        let server = connection::Server {
            settings: settings.clone(),
            handler: handler.clone(),
            stop: stop.clone(),
        };
        acceptors.spawn(accept_all(listener, server, Arc::clone(&crowd)));
    }
    while acceptors.join_next().await.is_some() {}
}

async fn accept_all<H: Handler>(
    listener: TcpListener,
    server: connection::Server<H>,
    crowd: Arc<Crowd>,
) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = server.stop.cancelled() => break,
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
        };
        match accepted {
            Ok((socket, address)) => {
                let pulse = server.pulse();
                let Some(place) = crowd.enter(Arc::clone(&pulse), address.ip()) else {
                    debug!(peer = %address, "connection refused, too many are open");
                    continue;
                };
                let server = server.clone();
                connections.spawn(async move {
                    server.run(socket, address, &pulse).await;
                    drop(place);
                });
            }
            Err(error) => pause_after(&error).await,
        }
    }
    drop(listener);
    let all_ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(server.settings.limits.stop_grace, all_ended).await.is_err() {
        debug!("requests cut off, the server stops");
    }
}

/// Running out of descriptors passes when connections end; a client that went away is no error.
async fn pause_after(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        warn!(%error, "accepting connections failed, will retry");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod tls_tests;
