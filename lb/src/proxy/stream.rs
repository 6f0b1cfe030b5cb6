//! A request that is streamed: a server is chosen, the attempt made, and repeated only where nothing was sent or nothing can be harmed.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pingora_core::protocols::http::v1::client::HttpSession as ServerSide;
use pingora_core::protocols::http::v1::server::HttpSession;
use tokio::time::Instant;

use super::attempt::{Body, Outcome, Plan, Upstream};
use super::{Client, Exchange, Keep, Visit, Worker, poll_once};
use crate::alerts::{self, Read};
use crate::backend::{Backend, Choice, Server};
use crate::balancer::us;
use crate::config::ObserveMode;
use crate::rule::{self, Attempt, Failure};
use crate::watch::{Fired, Phase, Watch};
use crate::wire::{self, Wire};

/// Longest pause before the same server is tried again.
const PAUSE: Duration = Duration::from_secs(1);

impl Worker {
    /// Gets a connection to a server, pooled if `reuse` allows, and says how long that took.
    pub(crate) async fn open(
        &self,
        backend: &Backend,
        server: &Arc<Server>,
        watch: &Arc<Watch>,
        reuse: bool,
        limit: impl FnOnce() -> Duration,
    ) -> Result<(Upstream, Duration), Failure> {
        let shard = server.counters.shard(self.id);
        let backend_shard = backend.counters.shard(self.id);
        if reuse && backend.options.keep_alive {
            let idle_ms = u64::try_from(backend.options.pool_idle.as_millis()).unwrap_or(u64::MAX);
            let pooled = self.pool().take(server, self.lb.about_now_ms(), idle_ms);
            if let Some(wire) = pooled {
                wire.watched_by(watch);
                wire.take_counts();
                shard.reuses.add(1);
                backend_shard.reuses.add(1);
                return Ok((Upstream { wire, reused: true }, Duration::ZERO));
            }
        }
        let address = server.target().address.ok_or(Failure::Refused)?;
        watch.enter(Phase::Free, Duration::ZERO);
        let began = Instant::now();
        let connected = match server.tls() {
            Ok(tls) => wire::connect(address, tls, limit(), watch).await,
            Err(error) => Err(error),
        };
        shard.connects.add(1);
        backend_shard.connects.add(1);
        self.observe(backend, server, ObserveMode::Layer4, connected.is_ok());
        let wire = connected.map_err(|error| match error.kind() {
            std::io::ErrorKind::TimedOut => Failure::ConnectTimeout,
            _ => Failure::Refused,
        })?;
        Ok((Upstream { wire, reused: false }, began.elapsed()))
    }

    /// Lets a server's health learn from traffic, if it is to.
    pub(crate) fn observe(
        &self,
        backend: &Backend,
        server: &Arc<Server>,
        layer: ObserveMode,
        good: bool,
    ) {
        let rule = &backend.options.observe;
        // At layer 7 a connection alone says nothing good.
        if rule.mode == ObserveMode::None
            || (rule.mode != layer && (good || rule.mode == ObserveMode::Layer4))
        {
            return;
        }
        if !good {
            server.counters.shard(self.id).observed_failures.add(1);
        }
        if let Some(change) = server.observe(rule, good, self.lb.about_now_ms()) {
            self.lb.server_changed(backend, server, &change, "traffic");
        }
    }

    /// Puts a connection back into the pool, if its server keeps it open.
    pub(crate) async fn give_back(
        &self,
        backend: &Backend,
        server: &Arc<Server>,
        wire: Wire,
        mut session: ServerSide,
    ) {
        session.respect_keepalive();
        if backend.options.keep_alive && session.reuse().await.is_some() {
            let size = backend.options.pool_size;
            self.pool().put(server, wire, self.lb.about_now_ms(), size);
        }
    }
}

impl Client {
    /// Serves a request by streaming it; `first` are pieces of its body that were read already.
    pub(crate) async fn stream(
        &mut self,
        session: &mut HttpSession,
        raw: &Bytes,
        backend: &Arc<Backend>,
        x: &mut Exchange,
        first: Vec<Bytes>,
    ) -> Keep {
        let method = self.head.method(raw);
        let bodyless = session.is_body_empty();
        let options = &backend.options;
        let rule = &options.retry_on;
        let harmless = rule::is_idempotent(method);
        let mut kept = None;
        let mut first = first;
        if rule.keeps_requests() && harmless && !bodyless && first.is_empty() {
            let mut room = KEPT_MAX;
            match alerts::read(self, session, |n| take(&mut room, n)).await {
                Read::All(pieces) => kept = Some(pieces),
                Read::Some(pieces) => first = pieces,
                Read::Failed(failure) => return self.fail(x, raw, false, failure).await,
            }
        }
        let replayable = bodyless || kept.is_some();
        let mut reuse = rule::may_reuse(method);
        let mut tried = Vec::new();
        let mut bound = None;
        let mut repeated_stale = false;
        loop {
            let (visit, others) = match self.place(session, backend, &tried, bound, x).await {
                Ok(place) => place,
                Err((status, term)) => return self.refuse(x, raw, replayable, status, term).await,
            };
            let limit = || connect_limit(backend, others, tried.len());
            let upstream = self.connection(backend, &visit, reuse, limit, x).await;
            let (failure, reused) = match upstream {
                Err(failure) => (failure, false),
                Ok(upstream) => {
                    let reused = upstream.reused;
                    let body = match &kept {
                        _ if bodyless => Body::Nothing,
                        Some(pieces) => Body::Kept(pieces),
                        None => Body::Stream(&first),
                    };
                    let more = harmless && replayable && x.retries < options.retries;
                    let repeat: &[u16] = if more { &rule.statuses } else { &[] };
                    let plan = Plan { body, limit: options.timeouts.server, repeat };
                    match self.attempt(session, raw, backend, &visit, upstream, plan, x).await {
                        Outcome::Done(keep) => return keep,
                        Outcome::Failed(failure) => (failure, reused),
                    }
                }
            };
            let attempt = Attempt { method, replayable, reused, repeated_stale, rule };
            let stale = failure == Failure::Empty && reused;
            let may = attempt.may_repeat(failure) && !self.is_client_gone(session, failure);
            match self.again(backend, &visit, failure, may, x) {
                Some(pause) if !stale => {
                    tried.push(visit.server().id);
                    bound = (!options.redispatch).then(|| visit.server().id);
                    drop(visit);
                    tokio::time::sleep(pause).await;
                }
                Some(_) => (reuse, repeated_stale) = (false, true),
                None => {
                    // A body in disorder counts as done, but what follows it is no request.
                    let whole = replayable || (session.is_body_done() && !failure.is_clients());
                    return self.fail(x, raw, whole, failure).await;
                }
            }
        }
    }

    /// Takes a place on a server, waiting in the queue where all are full.
    pub(crate) async fn place(
        &mut self,
        session: &mut HttpSession,
        backend: &Arc<Backend>,
        tried: &[u32],
        bound: Option<u32>,
        x: &mut Exchange,
    ) -> Result<(Visit, bool), (u16, [u8; 2])> {
        let worker = self.worker.clone();
        let own = bound.and_then(|id| backend.servers.iter().find(|s| s.id == id));
        // Where too many wait for it already, any other will do.
        let own = own.filter(|s| s.has_queue_room());
        let choose = || {
            let now_ms = worker.lb.about_now_ms();
            let choice = match own {
                Some(server) => backend.choose_bound(server.id, now_ms),
                None => backend.choose(tried, now_ms),
            };
            match choice {
                Choice::Server(slot, others) => Some(Ok((Visit::begin(slot, &worker), others))),
                Choice::Nobody => Some(Err((503, *b"SC"))),
                Choice::Full => None,
            }
        };
        let queue = own.map_or(&*backend.queue, |s| &s.queue);
        let mut chosen = if queue.len() == 0 { choose() } else { None };
        let mut waited = Duration::ZERO;
        if chosen.is_none() {
            // Itself among them, as HAProxy counts.
            x.ahead = match own {
                Some(server) => (server.queue.len() + 1, 0),
                None => (0, backend.queue.len() + 1),
            };
            let began = Instant::now();
            let line = queue.join();
            let turn = async {
                loop {
                    line.turn().await;
                    if let Some(chosen) = choose() {
                        return chosen;
                    }
                }
            };
            self.watch.enter(Phase::Free, Duration::ZERO);
            let waiting = tokio::time::timeout(backend.options.timeouts.queue, turn);
            chosen = Some(tokio::select! {
                biased;
                turn = waiting => turn.unwrap_or(Err((503, *b"sQ"))),
                () = client_end(session) => Err((400, *b"CQ")),
            });
            waited = began.elapsed();
        }
        let chosen = chosen.unwrap_or(Err((503, *b"SC")));
        if let Ok((visit, _)) = &chosen {
            x.queue_us = Some(x.queue_us.unwrap_or(0) + us(waited));
            let before = x.server.replace(visit.server().clone());
            // Once, however often the same server is tried.
            if before.is_none_or(|s| s.id != visit.server().id) {
                visit.server().counters.shard(worker.id).chosen.add(1);
                backend.counters.shard(worker.id).chosen.add(1);
            }
        } else if x.ahead != (0, 0) {
            x.queue_us = Some(x.queue_us.unwrap_or(0) + us(waited));
        }
        if matches!(chosen, Err((503, _))) {
            backend.counters.shard(worker.id).connection_errors.add(1);
        }
        chosen
    }

    /// Gets a connection to the server: a pooled one if that will do, else a new one.
    pub(crate) async fn connection(
        &mut self,
        backend: &Backend,
        visit: &Visit,
        reuse: bool,
        limit: impl FnOnce() -> Duration,
        x: &mut Exchange,
    ) -> Result<Upstream, Failure> {
        let server = visit.server();
        let (upstream, spent) =
            self.worker.open(backend, server, &self.watch, reuse, limit).await?;
        x.connect_us = Some(x.connect_us.unwrap_or(0) + us(spent));
        Ok(upstream)
    }

    /// Counts a failed attempt. Says how long to wait before the next, if there is to be one.
    pub(crate) fn again(
        &self,
        backend: &Backend,
        visit: &Visit,
        failure: Failure,
        may: bool,
        x: &mut Exchange,
    ) -> Option<Duration> {
        let id = self.worker.id;
        let rows = [&*backend.counters, &visit.server().counters];
        if !may || x.retries >= backend.options.retries {
            for shard in rows.map(|c| c.shard(id)) {
                if failure.is_connect() {
                    shard.connection_errors.add(1);
                } else if failure.is_clients() {
                    shard.client_aborts.add(1);
                } else {
                    shard.response_errors.add(1);
                }
            }
            return None;
        }
        x.retries += 1;
        self.watch.forgive(Fired::Timeout);
        let others = backend.eligible().any(|s| s.id != visit.server().id);
        if backend.options.redispatch && others {
            x.redispatched = true;
            rows.iter().for_each(|c| c.shard(id).redispatches.add(1));
            return Some(Duration::ZERO);
        }
        rows.iter().for_each(|c| c.shard(id).retries.add(1));
        let connect = failure.is_connect();
        Some(if connect { PAUSE.min(backend.options.timeouts.connect) } else { Duration::ZERO })
    }

    /// Whether the client closed its side since it sent the request.
    pub(crate) fn is_client_gone(&self, session: &mut HttpSession, failure: Failure) -> bool {
        self.watch.forgive(Fired::Timeout);
        failure.is_clients()
            || (session.is_body_done() && poll_once(session.read_body_or_idle(true)).is_ready())
            || matches!(self.watch.fired(), Some(Fired::Killed))
    }

    /// Answers that the request cannot be served now.
    pub(crate) async fn refuse(
        &mut self,
        x: &mut Exchange,
        raw: &[u8],
        keep: bool,
        status: u16,
        term: [u8; 2],
    ) -> Keep {
        x.term = term;
        let keep = keep && self.head.keep_alive && !self.worker.lb.draining.is_cancelled();
        let text = match term {
            [b'C', _] => "client went away",
            [_, b'Q'] => "no server became free in time",
            _ => "no server is available",
        };
        let sent = self.reply(x, raw, status, text, keep).await;
        match (sent, keep) {
            (true, true) => Keep::Open,
            (true, false) => Keep::Linger,
            (false, _) => Keep::Close,
        }
    }

    /// Answers that the attempt failed for good.
    pub(crate) async fn fail(
        &mut self,
        x: &mut Exchange,
        raw: &[u8],
        keep: bool,
        failure: Failure,
    ) -> Keep {
        let (status, mut term) = failure.answer();
        match self.watch.fired() {
            Some(Fired::Killed) => term = *b"KD",
            Some(Fired::ServerDown) => term = *b"DH",
            _ => {}
        }
        self.watch.forgive(Fired::Timeout);
        x.term = term;
        if failure == Failure::Client {
            return Keep::Close;
        }
        let silence = self.head.method(raw) == "POST"
            && self.head.target(raw).starts_with("/api/v2/silences")
            && !failure.is_connect();
        let text = match failure {
            _ if silence && !failure.is_clients() => {
                "the server failed after the request was sent: the silence may have been created, \
                 list silences before repeating"
            }
            Failure::Refused | Failure::ConnectTimeout => "no server could be reached",
            Failure::Timeout => "the server did not answer in time",
            Failure::Client => "the request was cut short",
            Failure::ClientTimeout => "the request body did not come in time",
            Failure::ClientBody => "the request body is malformed",
            Failure::TooLarge => "request body too large",
            _ => "the server closed the connection without a valid answer",
        };
        let keep = keep
            && self.head.keep_alive
            && self.watch.fired().is_none()
            && !self.worker.lb.draining.is_cancelled();
        let sent = self.reply(x, raw, status, text, keep).await;
        match (sent, keep) {
            (true, true) => Keep::Open,
            (true, false) => Keep::Linger,
            (false, _) => Keep::Close,
        }
    }
}

/// Bytes of a body that are kept so that it can be sent again.
const KEPT_MAX: u64 = 64 << 10;

/// Takes `n` of what is left, if it is that much.
fn take(room: &mut u64, n: u64) -> bool {
    let left = room.checked_sub(n);
    *room = left.unwrap_or(*room);
    left.is_some()
}

/// Longest wait for a connection: short while a server that was not tried is eligible.
pub(crate) fn connect_limit(backend: &Backend, others: bool, tried: usize) -> Duration {
    let connect = backend.options.timeouts.connect;
    let spare = others && tried + 1 < backend.eligible().count();
    if spare { connect.min(backend.options.connect_try) } else { connect }
}

/// Waits until the client closes its side; for ever while its body is still unread.
async fn client_end(session: &mut HttpSession) {
    if !session.is_body_done() {
        return std::future::pending().await;
    }
    let _ = session.read_body_or_idle(true).await;
}
