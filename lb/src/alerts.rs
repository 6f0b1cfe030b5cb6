//! Posts of alerts: the body is read first, then sent to one server after the other while the sender waits.
//! After the sender has gone nothing is repeated: a body repeated then could undo a newer resolve.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use pingora_core::protocols::http::v1::server::HttpSession;
use tokio::time::Instant;

use crate::backend::Backend;
use crate::config::AlertMode;
use crate::fanout;
use crate::proxy::{Body, Client, Exchange, Keep, Outcome, Plan, body_failure, connect_limit};
use crate::rule::Failure;
use crate::watch::Phase;

/// Bytes of bodies that are kept; given back when dropped.
struct Kept<'a> {
    all: &'a AtomicU64,
    limit: u64,
    bytes: u64,
}

impl Kept<'_> {
    /// Takes `n` more, if all bodies together leave room.
    fn reserve(&mut self, n: u64) -> bool {
        let before = self.all.fetch_add(n, Relaxed);
        let fits = before.saturating_add(n) <= self.limit;
        if fits {
            self.bytes += n;
        } else {
            self.all.fetch_sub(n, Relaxed);
        }
        fits
    }
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Relaxed);
    }
}

/// What became of reading a body.
pub(crate) enum Read {
    /// All of it.
    All(Vec<Bytes>),
    /// Memory is short: these pieces, the rest is still to come.
    Some(Vec<Bytes>),
    /// It cannot be read.
    Failed(Failure),
}

/// Serves a post of alerts.
pub(crate) async fn post(
    client: &mut Client,
    session: &mut HttpSession,
    raw: &Bytes,
    backend: &Arc<Backend>,
    x: &mut Exchange,
) -> Keep {
    let lb = client.worker.lb.clone();
    lb.posted_ms.store(lb.about_now_ms(), Relaxed);
    let limit = backend.options.alerts.memory;
    let mut kept = Kept { all: &lb.kept_bytes, limit, bytes: 0 };
    match read(client, session, |n| kept.reserve(n)).await {
        Read::All(pieces) if goes_to_all(backend) => {
            fanout::post(client, raw, backend, &pieces, x).await
        }
        Read::All(pieces) => repeat(client, session, raw, backend, &pieces, x).await,
        Read::Some(pieces) => {
            drop(kept);
            client.stream(session, raw, backend, x, pieces).await
        }
        Read::Failed(failure) => {
            backend.counters.shard(client.worker.id).client_aborts.add(1);
            client.fail(x, raw, false, failure).await
        }
    }
}

/// Whether every server gets the post: asked for, or because the nodes do not share what they get.
fn goes_to_all(backend: &Backend) -> bool {
    match backend.options.alerts.mode {
        AlertMode::Balance => false,
        AlertMode::Fanout => true,
        AlertMode::Auto => !backend.is_one_cluster(),
    }
}

/// Reads a request's body as long as `reserve` finds room for it.
pub(crate) async fn read(
    client: &mut Client,
    session: &mut HttpSession,
    mut reserve: impl FnMut(u64) -> bool,
) -> Read {
    let limits = client.frontend.options.limits;
    let announced = client.head.content_length;
    if announced.is_some_and(|n| !reserve(n)) {
        return Read::Some(Vec::new());
    }
    client.watch.enter(Phase::Client, client.frontend.options.timeouts.client);
    if client.head.expects_continue && client.head.is_11 {
        let go_on = client.wire.send::<&[u8]>(b"HTTP/1.1 100 Continue\r\n\r\n", &[]).await;
        if go_on.is_err() {
            return Read::Failed(Failure::Client);
        }
        client.continued = true;
    }
    let mut pieces = Vec::new();
    let mut size = 0;
    loop {
        match session.read_body_bytes().await {
            Ok(Some(piece)) if piece.is_empty() => {}
            Ok(Some(piece)) => {
                let n = piece.len() as u64;
                size += n;
                pieces.push(piece);
                if size > limits.body_bytes {
                    return Read::Failed(Failure::TooLarge);
                }
                if announced.is_none() && !reserve(n) {
                    return Read::Some(pieces);
                }
            }
            Ok(None) => return Read::All(pieces),
            Err(error) => return Read::Failed(body_failure(&error, &client.watch)),
        }
    }
}

/// Tries one server after the other until one answers for good.
async fn repeat(
    client: &mut Client,
    session: &mut HttpSession,
    raw: &Bytes,
    backend: &Arc<Backend>,
    pieces: &[Bytes],
    x: &mut Exchange,
) -> Keep {
    let options = backend.options.alerts;
    let began = Instant::now();
    let mut tried = Vec::new();
    let mut reuse = true;
    loop {
        let (visit, others) = match client.place(session, backend, &tried, None, x).await {
            Ok(place) => place,
            Err((status, term)) => return client.refuse(x, raw, true, status, term).await,
        };
        let left = options.deadline.saturating_sub(began.elapsed());
        let limit = || connect_limit(backend, others, tried.len()).min(left.max(SHORTEST));
        let upstream = client.connection(backend, &visit, reuse, limit, x).await;
        let stale_possible = upstream.as_ref().is_ok_and(|u| u.reused);
        let failure = match upstream {
            Err(failure) => failure,
            Ok(upstream) => {
                let left = options.deadline.saturating_sub(began.elapsed());
                let more = x.retries < backend.options.retries && !left.is_zero();
                let spare = others && tried.len() + 1 < backend.eligible().count();
                // With nowhere else to go, waiting is better than asking again.
                let limit = if spare { options.try_timeout } else { left.max(options.try_timeout) };
                let limit = limit.min(backend.options.timeouts.server);
                let repeat: &[u16] = if more { &UNABLE } else { &[] };
                let plan = Plan { body: Body::Kept(pieces), limit, repeat };
                match client.attempt(session, raw, backend, &visit, upstream, plan, x).await {
                    Outcome::Done(keep) => return keep,
                    Outcome::Failed(failure) => failure,
                }
            }
        };
        let time = began.elapsed() < options.deadline;
        let may = time && !client.is_client_gone(session, failure);
        let Some(pause) = client.again(backend, &visit, failure, may, x) else {
            return client.fail(x, raw, true, failure).await;
        };
        if !failure.is_connect() {
            visit.server().counters.shard(client.worker.id).replays.add(1);
        }
        if failure == Failure::Empty && stale_possible {
            reuse = false;
        } else {
            tried.push(visit.server().id);
        }
        drop(visit);
        tokio::time::sleep(pause.min(options.deadline.saturating_sub(began.elapsed()))).await;
    }
}

/// What a node says that cannot take alerts now.
const UNABLE: [u16; 2] = [502, 503];
/// A connect gets at least this long.
const SHORTEST: Duration = Duration::from_millis(100);
