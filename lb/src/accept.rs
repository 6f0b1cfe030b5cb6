//! Worker threads: each accepts on sockets of its own and serves on its own runtime. A client that comes to a busy thread goes to the idlest.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use rustix::io::Errno;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::balancer::{Balancer, Frontend};
use crate::proxy::{self, Worker};
use crate::sockets::{Accepting, Workers};

/// Clients that may wait to be taken over by another thread; beyond it the accepting thread keeps them.
pub(crate) const HANDED: usize = 1024;
/// Between two looks whether clients come slowly enough.
const RATE_LOOK: Duration = Duration::from_millis(20);
/// Pause when the process has no descriptors left.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(100);

/// A client on its way to a thread.
#[derive(Debug)]
pub(crate) struct Accepted {
    front: Arc<Frontend>,
    bind: Arc<str>,
    stream: std::net::TcpStream,
    peer: SocketAddr,
}

/// What comes to a worker.
pub(crate) struct Inbox {
    /// Clients that another thread accepted.
    pub handed: mpsc::Receiver<Accepted>,
    /// Sockets to accept on.
    pub sockets: mpsc::Receiver<Accepting>,
}

/// Serves until `ended`: accepts on the sockets that it gets, takes clients from other threads.
pub(crate) async fn work(
    worker: Arc<Worker>,
    mut inbox: Inbox,
    peers: Workers,
    ended: tokio_util::sync::CancellationToken,
) {
    let mut expiry = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            biased;
            () = ended.cancelled() => return,
            Some(accepting) = inbox.sockets.recv() => {
                tokio::spawn(accept(worker.clone(), accepting, peers.clone()));
            }
            Some(accepted) = inbox.handed.recv() => take(&worker, accepted),
            _ = expiry.tick() => expire(&worker),
        }
    }
}

fn expire(worker: &Worker) {
    let topology = worker.lb.topology.load();
    let idle = topology.backends.iter().map(|b| b.options.pool_idle).max().unwrap_or_default();
    let idle_ms = u64::try_from(idle.as_millis()).unwrap_or(u64::MAX);
    worker.pool().expire(worker.lb.about_now_ms(), idle_ms);
}

async fn accept(worker: Arc<Worker>, accepting: Accepting, peers: Workers) {
    let lb = worker.lb.clone();
    let listener = match tokio::net::TcpListener::from_std(accepting.listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(error = %error, "listening socket cannot be watched");
            return;
        }
    };
    let frontend = accepting.owner.frontend.unwrap_or_default();
    let bind: Arc<str> = accepting.owner.bind.into();
    loop {
        let accepted = tokio::select! {
            biased;
            () = lb.closed.cancelled() => return,
            () = accepting.closed.cancelled() => return,
            accepted = next(&lb, &frontend, &listener) => accepted,
        };
        match accepted {
            Ok((stream, peer)) => spread(&worker, &peers, &frontend, &bind, stream, peer),
            Err(error) if is_shortage(&error) => {
                tracing::error!(error = %error, "no descriptors left, clients wait");
                tokio::time::sleep(OUT_OF_DESCRIPTORS).await;
            }
            // The client went away before it was accepted.
            Err(_) => {}
        }
    }
}

/// Waits until a client is there and may be served. Another thread may have taken the last place meanwhile: then the client waits here.
async fn next(
    lb: &Balancer,
    frontend: &str,
    listener: &tokio::net::TcpListener,
) -> std::io::Result<(TcpStream, SocketAddr)> {
    room(lb, frontend).await;
    let accepted = listener.accept().await?;
    room(lb, frontend).await;
    Ok(accepted)
}

/// Waits until another client may be served.
async fn room(lb: &Balancer, frontend: &str) {
    loop {
        let freed = lb.freed.notified();
        if is_full(lb, frontend) {
            lb.crowded.store(true, Relaxed);
            freed.await;
        } else if is_too_fast(lb) {
            tokio::time::sleep(RATE_LOOK).await;
        } else {
            return;
        }
    }
}

/// Whether enough clients came within the last second.
fn is_too_fast(lb: &Balancer) -> bool {
    lb.conn_rate.load(Relaxed) > 0 && lb.conn_tenths.load(Relaxed) < 10
}

fn is_shortage(error: &std::io::Error) -> bool {
    let shortage = [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::NOBUFS];
    Errno::from_io_error(error).is_some_and(|errno| shortage.contains(&errno))
}

fn is_full(lb: &Balancer, frontend: &str) -> bool {
    let topology = lb.topology.load();
    let front = topology.frontends.iter().find(|f| f.options.name == frontend);
    lb.clients() >= lb.maxconn.load(Relaxed)
        || front.is_none_or(|f| f.is_paused() || f.state.open.load(Relaxed) >= f.maxconn())
}

/// Gives a client to the thread with the fewest, preferring this one. It is counted at once, so that limits hold.
fn spread(
    worker: &Arc<Worker>,
    peers: &[mpsc::Sender<Accepted>],
    frontend: &str,
    bind: &Arc<str>,
    stream: TcpStream,
    peer: SocketAddr,
) {
    let loads = &worker.lb.loads;
    let topology = worker.lb.topology.load();
    let front = topology.frontends.iter().find(|f| f.options.name == frontend).cloned();
    let Some(front) = front else { return };
    front.state.open.fetch_add(1, Relaxed);
    if worker.lb.conn_rate.load(Relaxed) > 0 {
        worker.lb.conn_tenths.fetch_sub(10, Relaxed);
    }
    let own = loads[worker.id].load(Relaxed);
    let idlest = loads.iter().enumerate().map(|(id, load)| (load.load(Relaxed), id)).min();
    let other = idlest.filter(|(load, id)| *id != worker.id && load + 1 < own);
    let Some((id, permit)) = other.and_then(|(_, id)| Some((id, peers[id].try_reserve().ok()?)))
    else {
        loads[worker.id].fetch_add(1, Relaxed);
        return begin(worker, front, bind, stream, peer);
    };
    match stream.into_std() {
        Ok(stream) => {
            loads[id].fetch_add(1, Relaxed);
            permit.send(Accepted { front, bind: bind.clone(), stream, peer });
        }
        Err(_) => {
            front.state.open.fetch_sub(1, Relaxed);
        }
    }
}

/// Takes over a client from another thread.
fn take(worker: &Arc<Worker>, accepted: Accepted) {
    match TcpStream::from_std(accepted.stream) {
        Ok(stream) => begin(worker, accepted.front, &accepted.bind, stream, accepted.peer),
        Err(_) => {
            accepted.front.state.open.fetch_sub(1, Relaxed);
            worker.lb.loads[worker.id].fetch_sub(1, Relaxed);
        }
    }
}

/// Begins to serve a client, who is counted already.
fn begin(
    worker: &Arc<Worker>,
    front: Arc<Frontend>,
    bind: &Arc<str>,
    stream: TcpStream,
    peer: SocketAddr,
) {
    let _ = stream.set_nodelay(true);
    tokio::spawn(proxy::serve(worker.clone(), front, bind.clone(), stream, peer));
}
