//! Clients that speak HTTP/2: the h2 crate reads their frames, and each stream is served like a connection of its own, by the
//! same code as HTTP/1 over a pipe in memory. So headers, limits, retries, counts and log lines cannot differ.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::server::{Connection, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderName, Method, Request, Response, header};
use pingora_core::protocols::http::v1::client::HttpSession as ServerSide;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::server::TlsStream;

use super::{Client, LINGER, Origin, Worker};
use crate::balancer::Frontend;
use crate::head::push_chunk_size;
use crate::watch::{Phase, Registered};
use crate::wire::Wire;

/// Streams of one connection at once.
const STREAMS_MAX: u32 = 100;
/// Streams that a client has reset and that are still being served; over it no stream is begun.
const SERVED_MAX: usize = 200;
/// Streams that a client may reset, unless it lets at least as many end.
const RESETS_MAX: u32 = 100;
/// Bytes on their way between a stream and the code that serves it, each way.
const PIPE: usize = 64 << 10;
/// Bytes of all streams of a connection that may come unasked.
const WINDOW: u32 = 1 << 20;

/// Serves a client until its connection ends.
pub(super) async fn serve(
    worker: Arc<Worker>,
    frontend: Arc<Frontend>,
    stream: TlsStream<TcpStream>,
    origin: Origin,
    registered: Registered,
) {
    let options = &frontend.options;
    let mut builder = h2::server::Builder::new();
    builder
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(u32::try_from(options.limits.header_bytes).unwrap_or(u32::MAX))
        .initial_connection_window_size(WINDOW)
        .max_send_buffer_size(PIPE);
    let limit = options.timeouts.http_request;
    let shaken = tokio::time::timeout(limit, builder.handshake(stream)).await;
    let Ok(Ok(connection)) = shaken else { return };
    let origin = Arc::new(origin);
    Talk { worker, frontend, origin, registered, resets: 0, ended: 0 }.run(connection).await;
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// With its answer.
    Whole,
    /// The client did not want it any more.
    Reset,
}

/// A connection and what is counted of it.
struct Talk {
    worker: Arc<Worker>,
    frontend: Arc<Frontend>,
    origin: Arc<Origin>,
    registered: Registered,
    resets: u32,
    ended: u32,
}

impl Talk {
    async fn run(mut self, mut connection: Connection<TlsStream<TcpStream>, Bytes>) {
        let idle = self.frontend.options.timeouts.http_keep_alive;
        let draining = self.worker.lb.draining.clone();
        let watch = self.registered.watch.clone();
        let mut streams = JoinSet::new();
        let mut closing = false;
        loop {
            if watch.fired().is_some() {
                connection.abrupt_shutdown(Reason::NO_ERROR);
            }
            let is_idle = streams.is_empty();
            watch.enter(if is_idle { Phase::Idle } else { Phase::Free }, Duration::ZERO);
            tokio::select! {
                accepted = connection.accept(), if streams.len() < SERVED_MAX => match accepted {
                    Some(Ok((request, respond))) => {
                        streams.spawn(self.stream(request, respond));
                    }
                    // Frames that cannot be read, or the end.
                    Some(Err(_)) | None => break,
                },
                Some(end) = streams.join_next(), if !is_idle => {
                    if self.is_flood(end.unwrap_or(End::Reset)) {
                        connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                    }
                }
                () = draining.cancelled(), if !closing => {
                    connection.graceful_shutdown();
                    closing = true;
                }
                () = tokio::time::sleep(idle), if is_idle => {
                    if closing {
                        break;
                    }
                    connection.graceful_shutdown();
                    closing = true;
                }
            }
        }
        // Each notices by itself that nobody listens, and is logged.
        while streams.join_next().await.is_some() {}
    }

    /// Counts a stream that ended; true when the client resets far more than it lets end.
    fn is_flood(&mut self, end: End) -> bool {
        match end {
            End::Whole => self.ended += 1,
            End::Reset => self.resets += 1,
        }
        self.resets > RESETS_MAX && self.resets > self.ended
    }

    /// Serves one stream.
    fn stream(
        &self,
        request: Request<RecvStream>,
        respond: SendResponse<Bytes>,
    ) -> impl Future<Output = End> + Send + use<> {
        let (worker, frontend, origin) =
            (self.worker.clone(), self.frontend.clone(), self.origin.clone());
        Box::pin(async move {
            let (ours, theirs) = tokio::io::duplex(PIPE);
            let registered = worker.lb.registers[worker.id].add();
            let wire = Wire::other(theirs, registered.watch.clone());
            let client = Client::new(worker, frontend, wire, origin, &registered);
            let pumping = pump(request, respond, Wire::other(ours, Arc::default()));
            tokio::join!(client.run(), pumping).1
        })
    }
}

/// Carries a request to the code that serves it, and its answer back.
async fn pump(request: Request<RecvStream>, mut respond: SendResponse<Bytes>, pipe: Wire) -> End {
    let is_head = request.method() == Method::HEAD;
    let (parts, body) = request.into_parts();
    let bodyless = body.is_end_stream();
    let chunked = !bodyless && !parts.headers.contains_key(header::CONTENT_LENGTH);
    let head = head(&parts, chunked);
    let mut sent = None;
    let answered = {
        let mut uploading = std::pin::pin!(upload(&pipe, &head, body, chunked));
        let mut answering = std::pin::pin!(answer(&pipe, is_head, &mut respond, &mut sent));
        let mut uploaded = false;
        loop {
            tokio::select! {
                biased;
                answered = &mut answering => {
                    // A client that is cut while it sends may not read the answer.
                    if !uploaded && answered.is_ok() {
                        let _ = tokio::time::timeout(LINGER, &mut uploading).await;
                    }
                    break answered;
                }
                alive = &mut uploading, if !uploaded => {
                    uploaded = true;
                    if !alive {
                        return End::Reset;
                    }
                }
            }
        }
    };
    match answered {
        Ok(()) => End::Whole,
        Err(Broken::Client) => End::Reset,
        Err(Broken::Server) => {
            match sent {
                Some(mut stream) => stream.send_reset(Reason::INTERNAL_ERROR),
                None => respond.send_reset(Reason::INTERNAL_ERROR),
            }
            End::Whole
        }
    }
}

/// The request's header as HTTP/1. What it says is judged where all headers are.
fn head(parts: &http::request::Parts, chunked: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    let uri = &parts.uri;
    let target = match uri.path_and_query() {
        Some(path) if parts.method != Method::CONNECT => path.as_str(),
        _ => uri.authority().map_or("/", |a| a.as_str()),
    };
    out.extend_from_slice(format!("{} {target} HTTP/1.1\r\n", parts.method).as_bytes());
    let host = parts.headers.get_all(header::HOST).iter().map(http::HeaderValue::as_bytes);
    let authority = uri.authority().map(|a| a.as_str().as_bytes());
    // One that differs from the authority makes two, which are refused.
    for host in authority.into_iter().chain(host.filter(|h| Some(*h) != authority)) {
        field(&mut out, "host", host);
    }
    for (name, value) in &parts.headers {
        if !is_ours(name) && name != header::COOKIE {
            field(&mut out, name.as_str(), value.as_bytes());
        }
    }
    let cookies: Vec<_> = parts.headers.get_all(header::COOKIE).iter().collect();
    if !cookies.is_empty() {
        let crumbs: Vec<_> = cookies.iter().map(|c| c.as_bytes()).collect();
        field(&mut out, "cookie", &crumbs.join(&b"; "[..]));
    }
    if chunked {
        field(&mut out, "transfer-encoding", b"chunked");
    }
    out.extend_from_slice(b"connection: close\r\n\r\n");
    out
}

/// Fields that are said otherwise in HTTP/2, or not at all.
fn is_ours(name: &HeaderName) -> bool {
    let names =
        ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "host"];
    names.contains(&name.as_str())
}

fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Sends a request on. False when the client gave it up. What nobody takes any more is read and forgotten.
async fn upload(pipe: &Wire, head: &[u8], mut body: RecvStream, chunked: bool) -> bool {
    let mut taken = pipe.send::<&[u8]>(head, &[]).await.is_ok();
    while let Some(piece) = body.data().await {
        let Ok(piece) = piece else { return false };
        let _ = body.flow_control().release_capacity(piece.len());
        if piece.is_empty() || !taken {
            continue;
        }
        let mut size = Vec::new();
        let end: &[u8] = if chunked { b"\r\n" } else { b"" };
        if chunked {
            push_chunk_size(&mut size, piece.len());
        }
        taken = pipe.send(&size, &[&piece, end]).await.is_ok();
    }
    if chunked && taken {
        let _ = pipe.send::<&[u8]>(b"0\r\n\r\n", &[]).await;
    }
    true
}

/// Which side broke off.
enum Broken {
    Client,
    Server,
}

/// Reads the answer and gives it to the client; `sent` is its stream once the header is out.
async fn answer(
    pipe: &Wire,
    is_head: bool,
    respond: &mut SendResponse<Bytes>,
    sent: &mut Option<SendStream<Bytes>>,
) -> Result<(), Broken> {
    let mut server = ServerSide::new(Box::new(pipe.clone()));
    loop {
        tokio::select! {
            read = server.read_response() => { read.map_err(|_| Broken::Server)?; }
            _ = poll_fn(|cx| respond.poll_reset(cx)) => return Err(Broken::Client),
        }
        // What comes before the answer is for clients that wait for it, which these do not.
        if server.resp_header().is_some_and(|h| h.status.as_u16() >= 200) {
            break;
        }
    }
    let header = server.resp_header().ok_or(Broken::Server)?;
    let status = header.status;
    let mut response = Response::new(());
    *response.status_mut() = status;
    for (name, value) in &header.headers {
        if !is_ours(name) {
            response.headers_mut().append(name, value.clone());
        }
    }
    let empty = is_head || matches!(status.as_u16(), 204 | 304);
    let stream = respond.send_response(response, empty).map_err(|_| Broken::Client)?;
    let stream = sent.insert(stream);
    if empty {
        return Ok(());
    }
    while let Some(piece) = server.read_body_ref().await.map_err(|_| Broken::Server)? {
        send(stream, Bytes::copy_from_slice(piece)).await?;
    }
    stream.send_data(Bytes::new(), true).map_err(|_| Broken::Client)
}

/// Sends a piece as fast as the client takes it.
async fn send(stream: &mut SendStream<Bytes>, mut piece: Bytes) -> Result<(), Broken> {
    while !piece.is_empty() {
        stream.reserve_capacity(piece.len());
        let room = poll_fn(|cx| stream.poll_capacity(cx)).await;
        let room = room.and_then(Result::ok).ok_or(Broken::Client)?;
        let part = piece.split_to(room.min(piece.len()));
        stream.send_data(part, false).map_err(|_| Broken::Client)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(request: http::request::Builder, chunked: bool, expected: &str) {
        let (parts, ()) = request.body(()).unwrap().into_parts();
        assert_eq!(String::from_utf8(head(&parts, chunked)).unwrap(), expected);
    }

    #[test]
    fn a_request_becomes_an_ordinary_one() {
        let get = || Request::builder().uri("https://h:1/a?b");
        check(get(), false, "GET /a?b HTTP/1.1\r\nhost: h:1\r\nconnection: close\r\n\r\n");
        let same = get().header("host", "h:1").header("te", "trailers");
        let text = "GET /a?b HTTP/1.1\r\nhost: h:1\r\nte: trailers\r\nconnection: close\r\n\r\n";
        check(same, false, text);
        let crumbs = get().method("POST").header("cookie", "a=1").header("cookie", "b=2");
        let text = "POST /a?b HTTP/1.1\r\nhost: h:1\r\ncookie: a=1; b=2\r\n\
                    transfer-encoding: chunked\r\nconnection: close\r\n\r\n";
        check(crumbs, true, text);
    }

    #[test]
    fn two_names_stay_two_so_that_they_are_refused() {
        let other = Request::builder().uri("https://h/").header("host", "g");
        let text = "GET / HTTP/1.1\r\nhost: h\r\nhost: g\r\nconnection: close\r\n\r\n";
        check(other, false, text);
        let tunnel = Request::builder().method("CONNECT").uri("h:1");
        check(tunnel, false, "CONNECT h:1 HTTP/1.1\r\nhost: h:1\r\nconnection: close\r\n\r\n");
    }
}
