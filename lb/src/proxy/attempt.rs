//! One attempt at one server: the request goes there while the answer is awaited, then the answer goes to the client, both directions at once.

use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use pingora_core::protocols::http::v1::client::HttpSession as ServerSide;
use pingora_core::protocols::http::v1::server::HttpSession;
use pingora_core::{BError, InvalidHTTPHeader};
use tokio::time::Instant;

use super::{Client, Exchange, Keep, Visit, poll_once};
use crate::backend::Backend;
use crate::balancer::us;
use crate::config::ObserveMode;
use crate::errors::Captured;
use crate::head::{Forward, Framing, Head, push_chunk_size};
use crate::rule::Failure;
use crate::watch::{Fired, Phase, Watch};
use crate::wire::Wire;

/// Bytes of an answer that are gathered before they are sent.
const GATHER: usize = 64 << 10;

/// A connection to a server for one request.
pub(crate) struct Upstream {
    /// Its bytes.
    pub wire: Wire,
    /// Whether it was used before.
    pub reused: bool,
}

/// The request's body.
#[derive(Clone, Copy)]
pub(crate) enum Body<'a> {
    /// There is none.
    Nothing,
    /// It was read: this is all of it.
    Kept(&'a [Bytes]),
    /// It comes from the client, after these pieces.
    Stream(&'a [Bytes]),
}

/// How an attempt is made.
pub(crate) struct Plan<'a> {
    /// What is sent.
    pub body: Body<'a>,
    /// Longest wait for the header of the answer.
    pub limit: Duration,
    /// Statuses that count as a failure which is tried elsewhere.
    pub repeat: &'a [u16],
}

/// How an attempt ended.
pub(crate) enum Outcome {
    /// The client has its answer.
    Done(Keep),
    /// The client has nothing yet.
    Failed(Failure),
}

/// Which side ended a copy.
enum Broken {
    Client(bool),
    Server,
    Body(Failure),
}

impl Client {
    /// Makes one attempt.
    #[expect(clippy::too_many_arguments, reason = "the two sides, what is sent, what is noted")]
    pub(crate) async fn attempt(
        &mut self,
        session: &mut HttpSession,
        raw: &Bytes,
        backend: &Backend,
        visit: &Visit,
        upstream: Upstream,
        plan: Plan<'_>,
        x: &mut Exchange,
    ) -> Outcome {
        x.reused = upstream.reused;
        self.watch.served_by(backend.id, visit.server().id);
        self.request_head(raw, backend, visit, &plan);
        let began = Instant::now();
        let timeouts = self.frontend.options.timeouts;
        let head = std::mem::take(&mut self.out);
        let mut out = std::mem::take(&mut self.back);
        let is_head = self.head.method(raw) == "HEAD";
        let mut server = ServerSide::new(Box::new(upstream.wire.clone()));
        let (keep, body_follows, framing, uploaded, copied) = {
            let upload = Upload {
                to: &upstream.wire,
                watch: &self.watch,
                client: timeouts.client,
                server: plan.limit,
                most: self.frontend.options.limits.body_bytes,
                chunked: self.head.chunked,
            };
            let mut uploading = pin!(upload.run(session, &head, plan.body));
            // Most requests are sent in one go; only then is the wait for the answer simple.
            let first =
                |cx: &mut std::task::Context<'_>| Poll::Ready(Future::poll(uploading.as_mut(), cx));
            let mut uploaded = match std::future::poll_fn(first).await {
                Poll::Ready(result) => Some(result),
                Poll::Pending => None,
            };
            let header = {
                let is_11 = self.head.is_11;
                let to = &self.wire;
                let mut reading = pin!(read_header(&mut server, to, &mut self.answer, is_11));
                loop {
                    if let Some(Err(Broken::Body(failure))) = uploaded {
                        return Outcome::Failed(failure);
                    }
                    if let Some(sent) = &uploaded {
                        if sent.is_ok() {
                            self.watch.enter(Phase::Server, plan.limit);
                        }
                        break reading.as_mut().await;
                    }
                    tokio::select! {
                        biased;
                        result = &mut uploading => uploaded = Some(result),
                        header = &mut reading => break header,
                    }
                }
            };
            let (status, answer_raw) = match header {
                Ok(header) => header,
                Err(error) => {
                    let some = upstream.wire.has_read();
                    let failure = header_failure(error.as_ref(), &self.watch, some);
                    if matches!(failure, Failure::Junk | Failure::Cut) {
                        self.capture_answer(backend, visit, upstream.wire.seen());
                    }
                    if failure != Failure::Killed && !(failure == Failure::Empty && upstream.reused)
                    {
                        let (worker, server) = (&self.worker, visit.server());
                        worker.observe(backend, server, ObserveMode::Layer7, false);
                    }
                    return Outcome::Failed(failure);
                }
            };
            x.response_us = Some(us(began.elapsed()));
            let good = matches!(status, 100..=499 | 501 | 505);
            self.worker.observe(backend, visit.server(), ObserveMode::Layer7, good);
            if plan.repeat.contains(&status) {
                return Outcome::Failed(Failure::Unable);
            }
            x.status = status;
            let framing = framing(&self.answer, status, is_head, self.head.is_11);
            let sent_all = matches!(uploaded, Some(Ok(())));
            let draining = self.worker.lb.draining.is_cancelled();
            let keep =
                self.head.keep_alive && framing != Framing::UntilClose && sent_all && !draining;
            let connection = match (keep, self.head.is_11) {
                (false, _) => Some("close"),
                (true, false) => Some("keep-alive"),
                (true, true) => None,
            };
            out.clear();
            let via = &self.frontend.options.via;
            self.answer.answer(&answer_raw, framing, connection, via, &mut out);
            let body_follows = !is_head && !matches!(status, 204 | 304);
            let copy = Copy {
                to: &self.wire,
                watch: &self.watch,
                client: timeouts.client,
                server: backend.options.timeouts.server,
                chunked: framing == Framing::Chunked,
            };
            let mut copying = pin!(copy.run(&mut server, &mut out, body_follows));
            let copied = loop {
                if uploaded.is_some() {
                    break copying.as_mut().await;
                }
                tokio::select! {
                    biased;
                    copied = &mut copying => break copied,
                    result = &mut uploading => uploaded = Some(result),
                }
            };
            (keep, body_follows, framing, matches!(uploaded, Some(Ok(()))), copied)
        };
        (self.out, self.back) = (head, out);
        if let Err(broken) = copied {
            self.cut(backend, visit, &broken, x);
            return Outcome::Done(Keep::Close);
        }
        let whole = uploaded && body_follows != is_head && framing != Framing::UntilClose;
        if whole && self.answer.keep_alive {
            self.worker.give_back(backend, visit.server(), upstream.wire, server).await;
        }
        Outcome::Done(match (keep, uploaded) {
            (true, _) => Keep::Open,
            (false, true) => Keep::Close,
            (false, false) => Keep::Linger,
        })
    }

    /// Writes the request's header into `out`.
    fn request_head(&mut self, raw: &Bytes, backend: &Backend, visit: &Visit, plan: &Plan<'_>) {
        let kept = match plan.body {
            Body::Kept(pieces) => Some(pieces.iter().map(|p| p.len() as u64).sum()),
            Body::Nothing | Body::Stream(_) => None,
        };
        let target = visit.server().target();
        let mut out = std::mem::take(&mut self.out);
        out.clear();
        self.head.forward(raw, &self.forward(backend, &target.text, kept), &mut out);
        self.out = out;
    }

    /// How the request goes on to a server at `host`; `kept` is the length of a body that was read here.
    pub(crate) fn forward<'a>(
        &'a self,
        backend: &Backend,
        host: &'a str,
        kept: Option<u64>,
    ) -> Forward<'a> {
        let rule = &self.frontend.options;
        let hidden = rule.forward_for.except.iter().any(|b| b.holds(self.origin.address));
        let identity = self.origin.identity.as_ref();
        Forward {
            client: (!hidden).then_some(&self.origin.ip),
            host,
            forward_for: &rule.forward_for,
            proto: rule.forwarded_proto.then_some(if self.origin.tls { "https" } else { "http" }),
            close: !backend.options.keep_alive,
            length: kept,
            drop_expect: kept.is_some() || self.continued,
            strips: &self.frontend.strips,
            identity: identity.map(|(name, value)| (name.as_str(), value.as_str())),
            via: &rule.via,
        }
    }

    /// Keeps an answer that could not be read, for `show errors`.
    fn capture_answer(&self, backend: &Backend, visit: &Visit, bytes: Vec<u8>) {
        let lb = &self.worker.lb;
        let name = &backend.options.name;
        lb.errors.keep(Captured {
            at: lb.now(),
            proxy: (name.clone(), backend.id),
            server: Some((name.clone(), visit.server().name().to_owned())),
            client: format!("{}:{}", self.origin.ip, self.origin.port),
            bytes,
        });
    }

    /// Notes an answer that was cut midway.
    fn cut(&self, backend: &Backend, visit: &Visit, broken: &Broken, x: &mut Exchange) {
        let id = self.worker.id;
        let rows = [backend.counters.shard(id), visit.server().counters.shard(id)];
        x.term = match (broken, self.watch.fired()) {
            (_, Some(Fired::Killed)) => *b"KD",
            (_, Some(Fired::ServerDown)) => *b"DD",
            (Broken::Server, Some(Fired::Timeout)) => *b"sD",
            (Broken::Server, _) => *b"SD",
            (Broken::Client(_), Some(Fired::Timeout)) => *b"cD",
            (Broken::Client(true), _) => *b"PD",
            (Broken::Client(false) | Broken::Body(_), _) => *b"CD",
        };
        match broken {
            Broken::Server => {
                rows.iter().for_each(|r| r.server_aborts.add(1));
                // As in HAProxy: one that stalls has not broken its answer.
                if self.watch.fired() != Some(Fired::Timeout) {
                    rows.iter().for_each(|r| r.response_errors.add(1));
                }
            }
            Broken::Client(_) | Broken::Body(_) => {
                rows.iter().for_each(|r| r.client_aborts.add(1));
            }
        }
    }
}

/// Why there is no header of an answer.
pub(crate) fn header_failure(error: Option<&BError>, watch: &Watch, some_bytes: bool) -> Failure {
    match (error, watch.fired()) {
        (_, Some(Fired::Killed | Fired::ServerDown)) => Failure::Killed,
        (_, Some(_)) => Failure::Timeout,
        (Some(error), _) if error.etype() == &InvalidHTTPHeader => Failure::Junk,
        (Some(_), _) if some_bytes => Failure::Cut,
        (Some(_), _) => Failure::Empty,
        (None, _) => Failure::Junk,
    }
}

/// How the body of an answer goes to the client.
fn framing(answer: &Head, status: u16, is_head: bool, is_11: bool) -> Framing {
    if status == 204 {
        return Framing::Nothing;
    }
    if is_head || status == 304 {
        return answer
            .content_length
            .filter(|_| !answer.chunked)
            .map_or(Framing::Nothing, Framing::Length);
    }
    match (answer.chunked, answer.content_length) {
        (true, _) if is_11 => Framing::Chunked,
        (false, Some(length)) => Framing::Length(length),
        _ => Framing::UntilClose,
    }
}

/// Reads the final header of an answer, passing on what comes before it. An error of none is an answer that cannot be passed.
async fn read_header(
    server: &mut ServerSide,
    client: &Wire,
    head: &mut Head,
    is_11: bool,
) -> Result<(u16, Bytes), Option<BError>> {
    loop {
        server.read_response().await.map_err(Some)?;
        let status = server.resp_header().map_or(0, |h| h.status.as_u16());
        let raw = server.get_headers_raw_bytes();
        head.read_response(&raw).map_err(|_| None)?;
        match status {
            101 => return Err(None),
            100..=199 if is_11 => {
                let mut out = Vec::new();
                head.answer(&raw, Framing::Nothing, None, "", &mut out);
                client.send::<&[u8]>(&out, &[]).await.map_err(|_| None)?;
            }
            100..=199 => {}
            _ => return Ok((status, raw)),
        }
    }
}

/// A request on its way to a server.
struct Upload<'a> {
    to: &'a Wire,
    watch: &'a Watch,
    client: Duration,
    server: Duration,
    most: u64,
    chunked: bool,
}

impl Upload<'_> {
    async fn run(
        &self,
        session: &mut HttpSession,
        head: &[u8],
        body: Body<'_>,
    ) -> Result<(), Broken> {
        self.watch.enter(Phase::Server, self.server);
        match body {
            Body::Nothing => self.send::<&[u8]>(head, &[]).await,
            Body::Kept(pieces) => self.send(head, pieces).await,
            Body::Stream(first) => self.stream(session, head, first).await,
        }
    }

    async fn send<P: AsRef<[u8]>>(&self, head: &[u8], pieces: &[P]) -> Result<(), Broken> {
        self.to.send(head, pieces).await.map_err(|_| Broken::Server)
    }

    async fn stream(
        &self,
        session: &mut HttpSession,
        head: &[u8],
        first: &[Bytes],
    ) -> Result<(), Broken> {
        let mut out = head.to_vec();
        let mut sent = 0;
        for piece in first {
            sent += piece.len() as u64;
            self.piece(&mut out, piece);
        }
        loop {
            // What is at hand goes out before more is waited for.
            let piece = match poll_once(session.read_body_bytes()) {
                Poll::Ready(piece) => piece,
                Poll::Pending => {
                    self.flush(&mut out).await?;
                    self.watch.enter(Phase::Client, self.client);
                    session.read_body_bytes().await
                }
            };
            match piece {
                Ok(Some(piece)) => {
                    sent += piece.len() as u64;
                    if sent > self.most {
                        return Err(Broken::Body(Failure::TooLarge));
                    }
                    self.piece(&mut out, &piece);
                    if out.len() >= GATHER {
                        self.flush(&mut out).await?;
                    }
                }
                Ok(None) => {
                    if self.chunked {
                        out.extend_from_slice(b"0\r\n\r\n");
                    }
                    return self.flush(&mut out).await;
                }
                Err(error) => return Err(Broken::Body(body_failure(&error, self.watch))),
            }
        }
    }

    fn piece(&self, out: &mut Vec<u8>, piece: &[u8]) {
        push_piece(out, piece, self.chunked);
    }

    async fn flush(&self, out: &mut Vec<u8>) -> Result<(), Broken> {
        self.watch.enter(Phase::Server, self.server);
        self.send::<&[u8]>(out, &[]).await?;
        out.clear();
        Ok(())
    }
}

/// Why a request's body could not be read.
pub(crate) fn body_failure(error: &BError, watch: &Watch) -> Failure {
    use pingora_core::ErrorType::{ConnectionClosed, ReadError};
    match (watch.fired(), error.etype()) {
        (Some(Fired::Timeout), _) => Failure::ClientTimeout,
        (Some(_), _) => Failure::Killed,
        (None, ConnectionClosed | ReadError) => Failure::Client,
        (None, _) => Failure::ClientBody,
    }
}

/// Appends a piece of a body; an empty chunk would end it.
fn push_piece(out: &mut Vec<u8>, piece: &[u8], chunked: bool) {
    if piece.is_empty() {
        return;
    }
    if chunked {
        push_chunk_size(out, piece.len());
    }
    out.extend_from_slice(piece);
    if chunked {
        out.extend_from_slice(b"\r\n");
    }
}

/// An answer on its way to the client.
struct Copy<'a> {
    to: &'a Wire,
    watch: &'a Watch,
    client: Duration,
    server: Duration,
    chunked: bool,
}

impl Copy<'_> {
    async fn run(
        &self,
        server: &mut ServerSide,
        out: &mut Vec<u8>,
        body_follows: bool,
    ) -> Result<(), Broken> {
        if !body_follows {
            return self.flush(out).await;
        }
        loop {
            let piece = match poll_once(server.read_body_ref()) {
                Poll::Ready(piece) => piece,
                Poll::Pending => {
                    self.flush(out).await?;
                    self.watch.enter(Phase::Server, self.server);
                    server.read_body_ref().await
                }
            };
            match piece {
                Ok(Some(piece)) => push_piece(out, piece, self.chunked),
                Ok(None) => break,
                Err(error) => {
                    let malformed = !matches!(
                        error.etype(),
                        pingora_core::ErrorType::ConnectionClosed
                            | pingora_core::ErrorType::ReadError
                    );
                    let _ = self.flush(out).await;
                    return Err(if malformed { Broken::Client(true) } else { Broken::Server });
                }
            }
            if out.len() >= GATHER {
                self.flush(out).await?;
            }
        }
        if self.chunked {
            out.extend_from_slice(b"0\r\n\r\n");
        }
        self.flush(out).await
    }

    async fn flush(&self, out: &mut Vec<u8>) -> Result<(), Broken> {
        if out.is_empty() {
            return Ok(());
        }
        self.watch.enter(Phase::Client, self.client);
        self.to.send::<&[u8]>(out, &[]).await.map_err(|_| Broken::Client(false))?;
        out.clear();
        Ok(())
    }
}
