//! One connection from its first byte to its last.

use std::{convert::Infallible, panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt;
use http::{Request, Response, StatusCode, header};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error};

use super::{
    Body, Handler, Limits, Peer,
    pulse::{Pulse, Watched},
};

/// Serves requests until the client or `stop` ends the connection, or it stands still.
pub(super) async fn run(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Peer,
    limits: &Limits,
    handler: impl Handler,
    stop: CancellationToken,
) {
    let pulse = Arc::new(Pulse::new(limits.header_timeout, limits.idle_timeout));
    let stream = TokioIo::new(Watched { stream, pulse: Arc::clone(&pulse) });
    let service = service_fn(|request| {
        pulse.begin_answer();
        let pulse = Arc::clone(&pulse);
        let answer = guarded(&handler, request, peer);
        async move { Ok::<_, Infallible>(answer.await.map(|body| body.with_ending(pulse))) }
    });
    let connection = http1::Builder::new()
        .max_header_size(limits.header_max_bytes)
        .max_headers(limits.headers_max)
        // Go's server does so too: a client may close its sending half and still read.
        .half_close(true)
        .serve_connection(stream, service);
    let mut connection = std::pin::pin!(connection);
    let mut stopping = false;
    loop {
        let look = pulse.deadline().min(tokio::time::Instant::now() + pulse.longest_sleep());
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    debug!(peer = %peer.address, %error, "connection ended early");
                }
                return;
            }
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
            () = tokio::time::sleep_until(look) => {
                if pulse.deadline() <= tokio::time::Instant::now() {
                    debug!(peer = %peer.address, "connection closed, it stood still");
                    return;
                }
            }
        }
    }
}

/// The handler's answer; a panic takes this request along and nothing else.
async fn guarded(handler: &impl Handler, request: Request<Incoming>, peer: Peer) -> Response<Body> {
    let path = request.uri().path().to_owned();
    match AssertUnwindSafe(handler.answer(request, peer)).catch_unwind().await {
        Ok(response) => response,
        Err(_) => {
            error!(peer = %peer.address, path, "answering a request failed by a defect");
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
