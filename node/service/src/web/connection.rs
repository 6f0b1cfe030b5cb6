//! One connection from its first byte to its last.

use std::{convert::Infallible, net::SocketAddr, panic::AssertUnwindSafe, pin::Pin, sync::Arc};

use futures_util::FutureExt;
use http::{Request, Response, StatusCode, header};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::Instant,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error};

use super::{
    Body, Handler, Peer, Settings,
    pulse::{Pulse, Watched},
    shared::Shared,
};

/// HTTP/2 streams of one connection.
const STREAMS_MAX: u32 = 100;

/// What all connections of a server share.
#[derive(Clone)]
pub(super) struct Server<H> {
    pub(super) settings: Settings,
    pub(super) handler: H,
    pub(super) stop: CancellationToken,
}

impl<H: Handler> Server<H> {
    /// The pulse of a new connection.
    pub(super) fn pulse(&self) -> Arc<Pulse> {
        let limits = &self.settings.limits;
        Arc::new(Pulse::new(limits.header_timeout, limits.idle_timeout))
    }

    /// Serves requests until the client or `stop` ends the connection, it stands still, or it has
    /// to make room.
    pub(super) async fn run(&self, socket: TcpStream, address: SocketAddr, pulse: &Arc<Pulse>) {
        tokio::select! {
            () = self.talk(socket, address, pulse) => {}
            () = pulse.told_to_leave() => {
                debug!(peer = %address, "idle connection closed, there are too many");
            }
        }
    }

    async fn talk(&self, socket: TcpStream, address: SocketAddr, pulse: &Arc<Pulse>) {
        // Answers are written whole, so waiting for more to send only delays them.
        let _ = socket.set_nodelay(true);
        let socket = Arc::new(socket);
        let peer = |encrypted| Peer { address, encrypted, socket: Arc::clone(&socket) };
        let stream = Shared(Arc::clone(&socket));
        let gate = self.settings.gate.as_deref();
        let Some(config) = gate.and_then(super::Gate::tls) else {
            return self.http1(stream, peer(false), pulse).await;
        };
        let handshake = TlsAcceptor::from(config).accept(stream);
        let stream = tokio::select! {
            () = self.stop.cancelled() => return,
            done = tokio::time::timeout(self.settings.limits.header_timeout, handshake) => done,
        };
        match stream {
            Ok(Ok(stream)) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => {
                self.http2(stream, peer(true), pulse).await;
            }
            Ok(Ok(stream)) => self.http1(stream, peer(true), pulse).await,
            Ok(Err(error)) => debug!(peer = %address, %error, "TLS handshake failed"),
            Err(_) => debug!(peer = %address, "TLS handshake took too long"),
        }
    }

    async fn http1(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: Peer,
        pulse: &Arc<Pulse>,
    ) {
        let limits = &self.settings.limits;
        let stream = TokioIo::new(Watched { stream, pulse: Arc::clone(pulse) });
        let service = service_fn(|request| self.serve(request, peer.clone(), pulse));
        let connection = http1::Builder::new()
            .max_header_size(limits.header_max_bytes)
            .max_headers(limits.headers_max)
            // Go's server does both too: a client may close its sending half and still read, and
            // scripts look for `Content-Type`.
            .half_close(true)
            .title_case_headers(true)
            .serve_connection(stream, service);
        self.drive(std::pin::pin!(connection), |one| one.graceful_shutdown(), pulse, peer.address)
            .await;
    }

    async fn http2(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: Peer,
        pulse: &Arc<Pulse>,
    ) {
        let limits = &self.settings.limits;
        pulse.set_framed();
        let stream = TokioIo::new(Watched { stream, pulse: Arc::clone(pulse) });
        // Requests of HTTP/2 run as tasks of their own, so they take copies along.
        let (server, watched, from) = (self.clone(), Arc::clone(pulse), peer.clone());
        let service = service_fn(move |request| {
            let (server, pulse, peer) = (server.clone(), Arc::clone(&watched), from.clone());
            async move { server.serve(request, peer, &pulse).await }
        });
        let connection = http2::Builder::new(TokioExecutor::new())
            .max_header_list_size(u32::try_from(limits.header_max_bytes).unwrap_or(u32::MAX))
            .max_concurrent_streams(STREAMS_MAX)
            .serve_connection(stream, service);
        self.drive(std::pin::pin!(connection), |one| one.graceful_shutdown(), pulse, peer.address)
            .await;
    }

    /// Lets the connection run; ends it when it stands still, gently when the server stops.
    async fn drive<C: Future<Output = hyper::Result<()>>>(
        &self,
        mut connection: Pin<&mut C>,
        shut_down: impl Fn(Pin<&mut C>),
        pulse: &Pulse,
        peer: SocketAddr,
    ) {
        let mut stopping = false;
        loop {
            let look = pulse.deadline().min(Instant::now() + pulse.longest_sleep());
            tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        debug!(%peer, %error, "connection ended early");
                    }
                    return;
                }
                () = self.stop.cancelled(), if !stopping => {
                    stopping = true;
                    shut_down(connection.as_mut());
                }
                () = tokio::time::sleep_until(look) => {
                    if pulse.deadline() <= Instant::now() {
                        debug!(%peer, "connection closed, it stood still");
                        return;
                    }
                }
            }
        }
    }

    async fn serve(
        &self,
        request: Request<Incoming>,
        peer: Peer,
        pulse: &Arc<Pulse>,
    ) -> Result<Response<Body>, Infallible> {
        pulse.begin_answer();
        let answer = match &self.settings.gate {
            None => guarded(&self.handler, request, peer).await,
            Some(gate) => match gate.admit(&request).await {
                Err(refusal) => *refusal,
                Ok(headers) => {
                    let mut answer = guarded(&self.handler, request, peer).await;
                    answer.headers_mut().extend(headers);
                    answer
                }
            },
        };
        Ok(answer.map(|body| body.with_ending(Arc::clone(pulse))))
    }
}

/// The handler's answer; a panic takes this request along and nothing else.
async fn guarded(handler: &impl Handler, request: Request<Incoming>, peer: Peer) -> Response<Body> {
    let (path, address) = (request.uri().path().to_owned(), peer.address);
    match AssertUnwindSafe(handler.answer(request, peer)).catch_unwind().await {
        Ok(response) => response,
        Err(_) => {
            error!(peer = %address, path, "answering a request failed by a defect");
            internal_error()
        }
    }
}

fn internal_error() -> Response<Body> {
    let mut response = Response::new(Body::from("Internal Server Error\n"));
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    let text = header::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, text);
    response
}
