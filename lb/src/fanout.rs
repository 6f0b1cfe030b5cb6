//! A post of alerts to every server at once, for nodes that do not share alerts. The best answer is passed on.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pingora_core::protocols::http::v1::client::HttpSession as ServerSide;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::backend::{Backend, Server};
use crate::balancer::us;
use crate::head::{Framing, Head};
use crate::proxy::{Client, Exchange, Keep, Visit, Worker, connect_limit, header_failure};
use crate::rule::Failure;
use crate::watch::{Phase, Watch};

/// How long the others may take once one has accepted.
const AFTER_FIRST: Duration = Duration::from_secs(1);
/// Bytes of an answer that are kept.
const ANSWER_MAX: usize = 1 << 20;

/// An answer of one server.
struct Copied {
    server: Arc<Server>,
    reused: bool,
    connect_us: u64,
    response_us: u64,
    answer: Result<(u16, Bytes, Vec<u8>), Failure>,
}

impl Copied {
    fn status(&self) -> u16 {
        match &self.answer {
            Ok((status, ..)) => *status,
            Err(Failure::Timeout | Failure::ConnectTimeout) => 504,
            Err(_) => 502,
        }
    }

    /// The first 2xx is best, then a 400, which says what is wrong with the alerts, then the highest status.
    fn rank(&self) -> (u8, u16) {
        match self.status() {
            200..=299 => (2, 0),
            400 => (1, 0),
            status => (0, status),
        }
    }
}

/// Sends the post to every server that is up and passes on the best answer.
pub(crate) async fn post(
    client: &mut Client,
    raw: &Bytes,
    backend: &Arc<Backend>,
    pieces: &[Bytes],
    x: &mut Exchange,
) -> Keep {
    let mut copies = JoinSet::new();
    for server in backend.usable().filter(|s| s.weight() > 0 && !s.options.backup) {
        send(client, raw, backend, server, pieces, &mut copies);
    }
    if copies.is_empty() {
        for server in backend.eligible() {
            send(client, raw, backend, server, pieces, &mut copies);
        }
    }
    x.queue_us = Some(0);
    let best = best(&mut copies, &mut x.copies).await;
    // What is still on its way is closed.
    copies.abort_all();
    let Some(best) = best else {
        return client.refuse(x, raw, true, 503, *b"SC").await;
    };
    x.server = Some(best.server.clone());
    x.connect_us = Some(best.connect_us);
    x.reused = best.reused;
    match best.answer {
        Ok((status, answer, body)) => {
            x.response_us = Some(best.response_us);
            pass_on(client, &answer, status, &body, x).await
        }
        Err(failure) => client.fail(x, raw, true, failure).await,
    }
}

/// Begins to send one copy.
fn send(
    client: &mut Client,
    raw: &Bytes,
    backend: &Arc<Backend>,
    server: &Arc<Server>,
    pieces: &[Bytes],
    copies: &mut JoinSet<Copied>,
) {
    let Some(slot) = backend.place(server) else { return };
    let length = pieces.iter().map(|p| p.len() as u64).sum();
    let target = server.target();
    let mut head = Vec::with_capacity(1024);
    client.head.forward(raw, &client.forward(backend, &target.text, Some(length)), &mut head);
    let visit = Visit::begin(slot, &client.worker);
    for counters in [&*backend.counters, &server.counters] {
        counters.shard(client.worker.id).chosen.add(1);
    }
    let (worker, backend, pieces) = (client.worker.clone(), backend.clone(), pieces.to_vec());
    copies.spawn(async move { copy(&worker, &backend, &visit, &head, &pieces).await });
}

/// The best answer: of all, or of those that came within a second of the first success.
async fn best(copies: &mut JoinSet<Copied>, told: &mut Vec<(String, u16, u64)>) -> Option<Copied> {
    let mut best: Option<Copied> = None;
    let mut until = None;
    loop {
        let next = async {
            match until {
                Some(until) => tokio::time::timeout_at(until, copies.join_next()).await.ok(),
                None => Some(copies.join_next().await),
            }
        };
        let Some(Some(copied)) = next.await else { return best };
        let Ok(copied) = copied else { continue };
        let took_us = copied.connect_us + copied.response_us;
        told.push((copied.server.name().to_owned(), copied.status(), took_us));
        if copied.rank().0 == 2 && until.is_none() {
            until = Some(Instant::now() + AFTER_FIRST);
        }
        if best.as_ref().is_none_or(|b| copied.rank() > b.rank()) {
            best = Some(copied);
        }
    }
}

/// Sends one copy and reads the whole answer.
async fn copy(
    worker: &Worker,
    backend: &Backend,
    visit: &Visit,
    head: &[u8],
    pieces: &[Bytes],
) -> Copied {
    let server = visit.server().clone();
    let registered = worker.lb.registers[worker.id].add();
    let watch = &registered.watch;
    let mut copied = Copied {
        server,
        reused: false,
        connect_us: 0,
        response_us: 0,
        answer: Err(Failure::Empty),
    };
    for reuse in [true, false] {
        copied.answer = exchange(worker, backend, watch, reuse, head, pieces, &mut copied).await;
        // A pooled connection may have been closed in this instant: that is no failure of the server.
        if !(copied.reused && matches!(copied.answer, Err(Failure::Empty))) {
            break;
        }
    }
    let rows = [&*backend.counters, &copied.server.counters];
    if let Err(failure) = &copied.answer {
        for shard in rows.map(|c| c.shard(worker.id)) {
            match failure.is_connect() {
                true => shard.connection_errors.add(1),
                false => shard.response_errors.add(1),
            }
        }
    }
    copied
}

async fn exchange(
    worker: &Worker,
    backend: &Backend,
    watch: &Arc<Watch>,
    reuse: bool,
    head: &[u8],
    pieces: &[Bytes],
    copied: &mut Copied,
) -> Result<(u16, Bytes, Vec<u8>), Failure> {
    let limit = || connect_limit(backend, true, 0);
    let (upstream, spent) = worker.open(backend, &copied.server, watch, reuse, limit).await?;
    copied.reused = upstream.reused;
    copied.connect_us = us(spent);
    let began = Instant::now();
    let options = &backend.options;
    watch.enter(Phase::Server, options.alerts.deadline.min(options.timeouts.server));
    // A server that answers early may cut what is sent; then its answer counts.
    let _ = upstream.wire.send(head, pieces).await;
    let mut session = ServerSide::new(Box::new(upstream.wire.clone()));
    let failed =
        |error: &pingora_core::BError| header_failure(Some(error), watch, upstream.wire.has_read());
    let status = loop {
        session.read_response().await.map_err(|e| failed(&e))?;
        match session.resp_header().map_or(0, |h| h.status.as_u16()) {
            101 => return Err(Failure::Junk),
            100..=199 => {}
            status => break status,
        }
    };
    let answer = session.get_headers_raw_bytes();
    copied.response_us = us(began.elapsed());
    let mut body = Vec::new();
    while let Some(piece) = session.read_body_ref().await.map_err(|_| Failure::Cut)? {
        body.extend_from_slice(piece);
        if body.len() > ANSWER_MAX {
            return Err(Failure::Junk);
        }
    }
    let mut read = Head::default();
    read.read_response(&answer).map_err(|_| Failure::Junk)?;
    if read.keep_alive && (read.chunked || read.content_length.is_some()) {
        worker.give_back(backend, &copied.server, upstream.wire, session).await;
    }
    Ok((status, answer, body))
}

/// Passes an answer on to the client.
async fn pass_on(
    client: &mut Client,
    answer: &Bytes,
    status: u16,
    body: &[u8],
    x: &mut Exchange,
) -> Keep {
    x.status = status;
    let keep = client.head.keep_alive && !client.worker.lb.draining.is_cancelled();
    let connection = match (keep, client.head.is_11) {
        (false, _) => Some("close"),
        (true, false) => Some("keep-alive"),
        (true, true) => None,
    };
    let framing = match status {
        204 | 304 => Framing::Nothing,
        _ => Framing::Length(body.len() as u64),
    };
    let mut out = std::mem::take(&mut client.back);
    out.clear();
    if client.answer.read_response(answer).is_ok() {
        let via = client.frontend.options.via.as_str();
        client.answer.answer(answer, framing, connection, via, &mut out);
    }
    client.watch.enter(Phase::Client, client.frontend.options.timeouts.client);
    let sent = client.wire.send(&out, &[body]).await.is_ok();
    client.back = out;
    if sent && keep { Keep::Open } else { Keep::Close }
}
