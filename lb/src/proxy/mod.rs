//! One client connection: requests are read by pingora's HTTP/1 session, one after the other, each is answered, then the next is waited for.

mod answer;
mod attempt;
mod h2;
mod stream;

use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use pingora_core::protocols::Stream;
use pingora_core::protocols::http::v1::server::HttpSession;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::server::TlsStream;

use crate::access::Line;
use crate::backend::{Server, Slot};
use crate::balancer::{Balancer, Bind, Frontend, us};
use crate::cidr::{self, Proxied};
use crate::errors::Captured;
use crate::head::{Head, Refusal, client_text};
use crate::pool::Pool;
use crate::stats::Times;
use crate::tls::Offer;
use crate::users::Users;
use crate::watch::{About, Fired, Phase, Registered, Watch};
use crate::wire::Wire;
use crate::{alerts, rule, subject};

pub(crate) use answer::reason;
pub(crate) use attempt::{Body, Outcome, Plan, body_failure, header_failure};
pub(crate) use stream::connect_limit;

/// How long a balancer in front has for its PROXY header.
const PROXY_LIMIT: Duration = Duration::from_secs(5);
/// Pause between two looks at a PROXY header that is not complete.
const PEEK_AGAIN: Duration = Duration::from_millis(20);
/// How long a client whose request was refused midway may go on sending.
const LINGER: Duration = Duration::from_secs(2);

/// One thread that serves clients.
#[derive(Debug)]
pub(crate) struct Worker {
    /// Its number.
    pub id: usize,
    /// What all share.
    pub lb: Arc<Balancer>,
    pool: Mutex<Pool>,
}

impl Worker {
    /// A worker with an empty pool.
    pub(crate) fn new(id: usize, lb: Arc<Balancer>) -> Self {
        Worker { id, lb, pool: Mutex::default() }
    }

    /// Its idle connections to servers.
    pub(crate) fn pool(&self) -> std::sync::MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What becomes of the connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Another request may come.
    Open,
    /// It is closed.
    Close,
    /// It is closed, but the client may still be sending.
    Linger,
}

/// A client connection.
pub(crate) struct Client {
    /// The thread that serves it.
    pub worker: Arc<Worker>,
    /// Where it connected.
    pub frontend: Arc<Frontend>,
    /// Its bytes.
    pub wire: Wire,
    /// Its waits.
    pub watch: Arc<Watch>,
    /// Who it is.
    pub origin: Arc<Origin>,
    /// Number of the connection or, over HTTP/2, of the stream.
    id: u64,
    /// Requests so far.
    served: u32,
    /// Whether the client was told to go on with its body.
    pub continued: bool,
    /// The request's header.
    pub head: Head,
    /// The answer's header.
    pub answer: Head,
    /// Bytes about to be sent to a server, or as an own answer.
    pub out: Vec<u8>,
    /// Bytes about to be sent back.
    pub back: Vec<u8>,
}

/// The other end of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    /// Its address as text.
    pub ip: String,
    /// Its address.
    pub address: IpAddr,
    port: u16,
    /// Whether it speaks TLS.
    pub tls: bool,
    /// Whether it speaks HTTP/2.
    pub h2: bool,
    /// A header with the name in its certificate.
    pub identity: Option<(String, String)>,
    denied: bool,
}

/// One request and its answer, as the log and the counters see it.
#[derive(Debug)]
pub(crate) struct Exchange {
    first_byte: Instant,
    header_us: Option<u64>,
    /// Time spent waiting for a server.
    pub queue_us: Option<u64>,
    /// Time spent connecting.
    pub connect_us: Option<u64>,
    /// Time from the connection to the header of the answer.
    pub response_us: Option<u64>,
    /// The last server tried.
    pub server: Option<Arc<Server>>,
    /// Whether a backend was asked.
    pub reached: bool,
    /// Status told to the client.
    pub status: u16,
    /// Whether the answer was made here.
    pub own: bool,
    /// How it ended.
    pub term: [u8; 2],
    /// Further attempts.
    pub retries: u32,
    /// Whether another server took it.
    pub redispatched: bool,
    /// Whether the server connection was used before.
    pub reused: bool,
    /// Requests ahead when it was queued, in the server's line and in the backend's.
    pub ahead: (u32, u32),
    /// Who the client proved to be.
    pub user: Option<String>,
    /// Where copies went: server, status, microseconds.
    pub copies: Vec<(String, u16, u64)>,
}

impl Exchange {
    fn begin(first_byte: Instant) -> Self {
        Exchange {
            first_byte,
            header_us: None,
            queue_us: None,
            connect_us: None,
            response_us: None,
            server: None,
            reached: false,
            status: 0,
            own: false,
            term: *b"--",
            retries: 0,
            redispatched: false,
            reused: false,
            ahead: (0, 0),
            user: None,
            copies: Vec::new(),
        }
    }
}

/// A stream's stay at a server, counted from choice to end.
#[derive(Debug)]
pub(crate) struct Visit {
    /// Its place there.
    pub slot: Slot,
    worker: Arc<Worker>,
}

impl Visit {
    /// Begins a stay.
    pub(crate) fn begin(slot: Slot, worker: &Arc<Worker>) -> Self {
        slot.server.counters.begin(worker.id);
        Visit { slot, worker: worker.clone() }
    }

    /// The server.
    pub(crate) fn server(&self) -> &Arc<Server> {
        &self.slot.server
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let now_ms = self.worker.lb.about_now_ms();
        self.slot.server.counters.end(self.worker.id, now_ms);
    }
}

/// A connection that counts; given back when dropped.
struct Counted {
    worker: Arc<Worker>,
    frontend: Arc<Frontend>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        let lb = &self.worker.lb;
        self.frontend.counters.end(self.worker.id, lb.about_now_ms());
        self.frontend.state.open.fetch_sub(1, Relaxed);
        lb.loads[self.worker.id].fetch_sub(1, Relaxed);
        lb.freed.notify_waiters();
    }
}

/// Serves a client until its connection ends.
pub(crate) async fn serve(
    worker: Arc<Worker>,
    frontend: Arc<Frontend>,
    bind: Arc<str>,
    stream: TcpStream,
    peer: SocketAddr,
) {
    frontend.counters.begin(worker.id);
    let _counted = Counted { worker: worker.clone(), frontend: frontend.clone() };
    let registered = worker.lb.registers[worker.id].add();
    let Some(bind) = frontend.bind(&bind) else { return };
    let Some(peer) = client_of(&frontend, bind, &stream, peer).await else { return };
    let allowed = &frontend.options.allow;
    let mut origin = Origin {
        ip: client_text(peer.ip()),
        address: peer.ip(),
        port: peer.port(),
        tls: bind.needs_tls,
        h2: false,
        identity: None,
        denied: !allowed.is_empty() && !allowed.iter().any(|block| block.holds(peer.ip())),
    };
    let wire = match &bind.tls {
        // An address whose certificates cannot be read must not speak plainly.
        None if bind.needs_tls => return,
        None => Wire::tcp(stream, registered.watch.clone()),
        Some(offer) => {
            let Some(stream) = shake_hands(&frontend, offer, stream).await else { return };
            let (_, session) = stream.get_ref();
            origin.identity = offer.client_header.as_ref().and_then(|header| {
                let leaf = session.peer_certificates()?.first()?;
                Some((header.clone(), subject::common_name(leaf)?))
            });
            if session.alpn_protocol() == Some(b"h2") {
                origin.h2 = true;
                return Box::pin(h2::serve(worker, frontend, stream, origin, registered)).await;
            }
            Wire::other(stream, registered.watch.clone())
        }
    };
    Client::new(worker, frontend, wire, Arc::new(origin), &registered).run().await;
}

/// The client: the peer itself, or whom a balancer in front names in its PROXY header, which it must send.
async fn client_of(
    frontend: &Frontend,
    bind: &Bind,
    stream: &TcpStream,
    peer: SocketAddr,
) -> Option<SocketAddr> {
    let proxies = &frontend.options.proxy_from;
    if !bind.options.accept_proxy || !proxies.iter().any(|block| block.holds(peer.ip())) {
        return Some(peer);
    }
    let mut space = [0; cidr::PROXY_MAX];
    let header = async {
        let mut seen = 0;
        loop {
            // It is only looked at: what follows it must stay for the parser.
            let n = stream.peek(&mut space).await.ok()?;
            match cidr::proxied(&space[..n]) {
                Proxied::From(len, client) => return Some((len, client)),
                Proxied::More if n > seen && n < space.len() => seen = n,
                // More bytes wake nobody who has only looked.
                Proxied::More if n > 0 => tokio::time::sleep(PEEK_AGAIN).await,
                _ => return None,
            }
        }
    };
    let (mut len, client) = tokio::time::timeout(PROXY_LIMIT, header).await.ok()??;
    while len > 0 {
        stream.readable().await.ok()?;
        len -= stream.try_read(&mut space[..len]).ok().filter(|n| *n > 0)?;
    }
    Some(client.unwrap_or(peer))
}

/// The connection after the TLS handshake. One that fails or lasts too long ends it.
async fn shake_hands(
    frontend: &Frontend,
    offer: &Offer,
    stream: TcpStream,
) -> Option<TlsStream<TcpStream>> {
    let limit = frontend.options.timeouts.http_request;
    tokio::time::timeout(limit, offer.acceptor.accept(stream)).await.ok()?.ok()
}

/// Polls a future once; what it has not done is forgotten, so only futures that lose nothing may be given.
pub(crate) fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

impl Client {
    /// A client on `wire`, which the register shows from now on.
    fn new(
        worker: Arc<Worker>,
        frontend: Arc<Frontend>,
        wire: Wire,
        origin: Arc<Origin>,
        registered: &Registered,
    ) -> Self {
        let id = worker.lb.next_id.fetch_add(1, Relaxed);
        registered.watch.introduce(About {
            id,
            client: format!("{}:{}", origin.ip, origin.port),
            frontend: frontend.options.name.clone(),
            since_ms: worker.lb.about_now_ms(),
            protocol: if origin.h2 { "h2" } else { "h1" },
        });
        Client {
            wire,
            watch: registered.watch.clone(),
            origin,
            id,
            served: 0,
            continued: false,
            head: Head::default(),
            answer: Head::default(),
            out: Vec::with_capacity(2048),
            back: Vec::with_capacity(2048),
            worker,
            frontend,
        }
    }

    async fn run(mut self) {
        let mut stream: Stream = Box::new(self.wire.clone());
        let mut prefix = None;
        let mut served = 0u32;
        loop {
            let mut session = HttpSession::new(stream);
            let Some(first_byte) = self.request(&mut session, prefix, served).await else {
                return;
            };
            served = served.saturating_add(1);
            (self.served, self.continued) = (served, false);
            let raw = session.get_headers_raw_bytes();
            let mut exchange = Exchange::begin(first_byte);
            let keep = self.exchange(&mut session, &raw, &mut exchange, served).await;
            self.finish(&exchange, &raw);
            match keep {
                Keep::Open => match session.reuse().await {
                    Ok(Some(reusable)) => (stream, prefix) = reusable.into_parts(),
                    _ => return,
                },
                Keep::Close => return self.wire.close().await,
                Keep::Linger => return self.linger().await,
            }
        }
    }

    /// Reads the next request's header, or answers what cannot be read and ends.
    async fn request(
        &mut self,
        session: &mut HttpSession,
        mut prefix: Option<BytesMut>,
        served: u32,
    ) -> Option<Instant> {
        let timeouts = self.frontend.options.timeouts;
        let limit = self.frontend.options.limits.header_bytes;
        match served {
            0 => self.watch.enter(Phase::Head, timeouts.http_request),
            _ => self.watch.enter(Phase::Idle, timeouts.http_keep_alive),
        }
        let lb = &self.worker.lb;
        let ends = lb.draining.is_cancelled() && !lb.handed_over.is_cancelled();
        if ends && served > 0 && prefix.is_none() {
            return None;
        }
        let accepted = Instant::now();
        session.set_read_timeout(None);
        session.set_pipelining_enabled(true);
        self.wire.begin_head(limit, timeouts.http_request, prefix.as_mut());
        if let Some(prefix) = prefix {
            session.set_pipelined_prefix(prefix);
        }
        let read = session.read_request().await;
        let illegal = self.wire.head_illegal();
        if let (Ok(Some(_)), false) = (&read, illegal) {
            return Some(self.wire.end_head().unwrap_or(accepted));
        }
        let parsed = |e: pingora_core::BError| e.etype() == &pingora_core::InvalidHTTPHeader;
        let malformed = illegal || read.is_err_and(parsed);
        self.unreadable(malformed, served, accepted).await;
        None
    }

    /// Ends a connection whose request header did not come or cannot be read.
    async fn unreadable(&mut self, malformed: bool, served: u32, accepted: Instant) {
        let (bytes, first_byte) = self.wire.head_progress();
        let fired = self.watch.fired();
        let silent = bytes == 0 && (served > 0 || fired != Some(Fired::Timeout));
        if silent && (served > 0 || self.frontend.options.dont_log_null) {
            return;
        }
        let mut x = Exchange::begin(first_byte.unwrap_or(accepted));
        let (refusal, term) = match fired {
            Some(Fired::Timeout) => (Some((408, "request header did not come in time")), *b"cR"),
            Some(Fired::Crowded) => (Some((503, "too many clients wait")), *b"RR"),
            Some(_) => (None, *b"KR"),
            None if self.wire.head_too_large() => (Some(Refusal::HeaderTooLarge.answer()), *b"PR"),
            None if malformed => (Some((400, "bad request")), *b"PR"),
            None if bytes > 0 => (Some((400, "the request ends within its header")), *b"CR"),
            None => (None, *b"CR"),
        };
        x.term = term;
        self.watch.forgive(Fired::Timeout);
        self.watch.forgive(Fired::Crowded);
        let shard = self.frontend.counters.shard(self.worker.id);
        shard.request_errors.add(1);
        if bytes > 0 {
            shard.requests.add(1);
        }
        if term == *b"PR" {
            self.capture(self.wire.seen());
        }
        match refusal {
            Some((status, text)) => {
                self.reply(&mut x, b"", status, text, false).await;
            }
            None => x.status = 400,
        }
        if bytes > 0 || !self.frontend.options.dont_log_null {
            self.finish(&x, b"");
        }
        match fired {
            // Somebody waits for the place.
            Some(Fired::Crowded) => self.wire.close().await,
            _ if refusal.is_some() => self.linger().await,
            _ => {}
        }
    }

    /// Answers one request.
    async fn exchange(
        &mut self,
        session: &mut HttpSession,
        raw: &Bytes,
        x: &mut Exchange,
        served: u32,
    ) -> Keep {
        self.watch.enter(Phase::Free, Duration::ZERO);
        x.header_us = Some(us(x.first_byte.elapsed()));
        let limits = self.frontend.options.limits;
        let counters = self.frontend.counters.clone();
        let shard = counters.shard(self.worker.id);
        shard.requests.add(1);
        if let Err(refusal) = self.judge(session, raw) {
            let (status, text) = refusal.answer();
            shard.request_errors.add(1);
            self.capture(raw.to_vec());
            x.term = *b"PR";
            self.reply(x, raw, status, text, false).await;
            return Keep::Linger;
        }
        if self.origin.denied {
            shard.denied_requests.add(1);
            x.term = *b"PR";
            self.reply(x, raw, 403, "this client is not served", false).await;
            return Keep::Linger;
        }
        if let Some(users) = self.frontend.users.clone() {
            let given = self.head.values(raw, "authorization").next();
            let Some(user) = users.who(given).await else {
                return self.challenge(session, raw, x, &users).await;
            };
            x.user = Some(user.to_owned());
        }
        if limits.requests_per_connection != 0 && served >= limits.requests_per_connection {
            self.head.keep_alive = false;
        }
        if self.head.content_length.is_some_and(|n| n > limits.body_bytes) {
            shard.denied_requests.add(1);
            tracing::warn!(client = %self.origin.ip, "request body over the limit was refused");
            x.term = *b"PR";
            self.reply(x, raw, 413, "request body too large", false).await;
            return Keep::Linger;
        }
        let frontends = self.worker.lb.topology.load();
        if let Some(now) = frontends.frontends.iter().find(|f| f.id == self.frontend.id)
            && !Arc::ptr_eq(now, &self.frontend)
        {
            self.frontend = now.clone();
        }
        drop(frontends);
        let backend = self.frontend.backend.clone();
        x.reached = true;
        backend.counters.begin(self.worker.id);
        backend.counters.shard(self.worker.id).requests.add(1);
        let (method, target) = (self.head.method(raw), self.head.target(raw));
        let keep = if rule::is_alert_post(method, target) {
            alerts::post(self, session, raw, &backend, x).await
        } else {
            self.stream(session, raw, &backend, x, Vec::new()).await
        };
        self.watch.served_by(0, 0);
        backend.counters.end(self.worker.id, self.worker.lb.about_now_ms());
        keep
    }

    /// Refuses what is doubtful, and what we and the parser read differently.
    fn judge(&mut self, session: &HttpSession, raw: &Bytes) -> Result<(), Refusal> {
        self.head.read_request(raw, &self.frontend.options.limits)?;
        let parsed = &session.req_header().headers;
        let chunked = parsed.contains_key("transfer-encoding");
        if parsed.len() != self.head.len() || chunked != self.head.chunked {
            return Err(Refusal::Bad("ambiguous header"));
        }
        Ok(())
    }

    /// Asks the client to prove who it is.
    async fn challenge(
        &mut self,
        session: &mut HttpSession,
        raw: &Bytes,
        x: &mut Exchange,
        users: &Users,
    ) -> Keep {
        let shard = self.frontend.counters.shard(self.worker.id);
        shard.denied_requests.add(1);
        x.term = *b"PR";
        let keep = session.is_body_empty()
            && self.head.keep_alive
            && !self.worker.lb.draining.is_cancelled();
        let field = format!("WWW-Authenticate: {}\r\n", users.challenge());
        let sent = self.reply_with(x, raw, 401, "unauthorized", keep, &field).await;
        match (sent, keep) {
            (true, true) => Keep::Open,
            (true, false) => Keep::Linger,
            (false, _) => Keep::Close,
        }
    }

    /// Keeps a request that could not be read, for `show errors`.
    fn capture(&self, bytes: Vec<u8>) {
        let lb = &self.worker.lb;
        lb.errors.keep(Captured {
            at: lb.now(),
            proxy: (self.frontend.options.name.clone(), self.frontend.id),
            server: None,
            client: format!("{}:{}", self.origin.ip, self.origin.port),
            bytes,
        });
    }

    /// Reads what the client still sends for a while, so that it gets to read the answer.
    async fn linger(&self) {
        self.watch.enter(Phase::Free, Duration::ZERO);
        self.wire.end_head();
        self.wire.close().await;
        let _ = tokio::time::timeout(LINGER, self.wire.discard()).await;
    }

    /// Counts and logs a finished stream.
    fn finish(&mut self, x: &Exchange, raw: &[u8]) {
        let (lb, id) = (&self.worker.lb, self.worker.id);
        let (bytes_in, bytes_out) = self.wire.take_counts();
        let total_us = us(x.first_byte.elapsed());
        let times = Times {
            queue: x.queue_us.unwrap_or(0),
            connect: x.connect_us.unwrap_or(0),
            response: x.response_us.unwrap_or(0),
            total: total_us,
        };
        let server = x.server.as_ref().filter(|_| x.connect_us.is_some());
        let rows = [
            Some(&*self.frontend.counters),
            x.reached.then_some(&*self.frontend.backend.counters),
            server.map(|s| &s.counters),
        ];
        for counters in rows.into_iter().flatten() {
            let shard = counters.shard(id);
            shard.bytes_in.add(bytes_in);
            shard.bytes_out.add(bytes_out);
            let servers = server.is_some_and(|s| std::ptr::eq(&s.counters, counters));
            if x.status > 0 && !(servers && x.own) {
                counters.answer(id, x.status);
            }
        }
        for counters in rows.into_iter().skip(1).flatten() {
            counters.times(id, times);
        }
        let request = if raw.is_empty() { raw } else { self.head.first_line(raw) };
        let h2_line = self.origin.h2.then(|| as_h2(request));
        let request = h2_line.as_deref().unwrap_or(request);
        let (frontend, backend) = (&self.frontend.options.name, &self.frontend.backend);
        lb.log.line(
            id,
            &Line {
                client: (&self.origin.ip, self.origin.port),
                at_us: lb.clock.us_of(x.first_byte),
                frontend: (frontend, self.origin.tls),
                backend: if x.reached { &backend.options.name } else { frontend },
                server: x.server.as_ref().map_or("<NOSRV>", |s| s.name()),
                times: [x.header_us, x.queue_us, x.connect_us, x.response_us, Some(total_us)],
                status: x.status,
                bytes_in,
                bytes_out,
                term: x.term,
                active: [
                    u64::from(lb.clients()),
                    self.frontend.counters.current(),
                    backend.counters.current(),
                    x.server.as_ref().map_or(0, |s| u64::from(s.active())),
                ],
                retries: x.retries,
                redispatched: x.redispatched,
                reused: x.reused,
                queue: (u64::from(x.ahead.0), u64::from(x.ahead.1)),
                request,
                user: x.user.as_deref(),
                id: (self.id, self.served),
                copies: &x.copies,
            },
        );
    }
}

/// The request line of a client that speaks HTTP/2, as HAProxy logs it.
fn as_h2(line: &[u8]) -> Vec<u8> {
    let mut line = line.to_vec();
    if line.ends_with(b" HTTP/1.1") {
        line.truncate(line.len() - 3);
        line.extend_from_slice(b"2.0");
    }
    line
}
