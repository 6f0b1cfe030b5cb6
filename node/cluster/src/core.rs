//! What all parts of one node's cluster share. Holds no loop and no socket.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tocsin_service::clock::Clock;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::claim::Claims;
use crate::member::{Change, Members, Status};
use crate::mesh::Net;
use crate::metrics::Counts;
use crate::mono;
use crate::options::Options;
use crate::push::Link;
use crate::ready::Ready;
use crate::record::{self, Record};
use crate::state::{State, Writer};
use crate::store::{Identity, Notice, Stage, Store};
use crate::sync::Replica;
use crate::view::{MemberState, View};
use crate::wait::{Deadlines, Need, Outcome, Wait};

/// The shared parts.
pub(crate) struct Core {
    pub(crate) options: Options,
    pub(crate) identity: Identity,
    /// Hash of this node's id.
    pub(crate) node: u64,
    pub(crate) state: Arc<State>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) deadlines: Deadlines,
    pub(crate) members: Mutex<Members>,
    pub(crate) links: Mutex<HashMap<String, Arc<Link>>>,
    pub(crate) view: watch::Sender<Arc<View>>,
    pub(crate) ready: watch::Sender<Ready>,
    /// False while this node must not notify because it may have missed something.
    pub(crate) caught_up: watch::Sender<bool>,
    /// Counts the ticks that find stalls.
    pub(crate) ticks: watch::Sender<u64>,
    /// When the last long stall of a node alone began, in wall milliseconds; 0 if there was none.
    pub(crate) slept_from_ms: AtomicI64,
    /// Rises at each change of this node's own status, so that it is told at once.
    pub(crate) status_changed: watch::Sender<u64>,
    pub(crate) claims: Arc<Claims>,
    pub(crate) counts: Counts,
    pub(crate) net: Net,
    pub(crate) stop: CancellationToken,
}

impl Replica for Core {
    fn state(&self) -> &State {
        &self.state
    }

    fn now_ms(&self) -> i64 {
        self.clock.now().as_millisecond()
    }

    fn receive(&self, records: Vec<Record>) -> usize {
        self.receive_then(records, None)
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Core {
    /// Runs beside everything else, until this node stops.
    pub(crate) fn spawn(
        &self,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> tokio::task::JoinHandle<()> {
        let stop = self.stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = task => {}
                () = stop.cancelled() => {}
            }
        })
    }

    /// The links towards all peers that were ever connected.
    pub(crate) fn links(&self) -> Vec<Arc<Link>> {
        lock(&self.links).values().cloned().collect()
    }

    /// The link towards one peer.
    pub(crate) fn link(&self, id: &str) -> Arc<Link> {
        let mut links = lock(&self.links);
        Arc::clone(links.entry(id.to_owned()).or_insert_with(|| Arc::new(Link::new(id))))
    }

    /// Writes, stores and pushes; answers what to wait for.
    pub(crate) fn write<R>(
        &self,
        need: Need,
        f: impl FnOnce(&mut Writer<'_>) -> R,
    ) -> (R, Option<oneshot::Receiver<Outcome>>) {
        let (value, put) = self.state.write(self.now_ms(), f);
        if put.is_empty() {
            return (value, None);
        }
        (value, self.spread(need, &put))
    }

    fn spread(&self, need: Need, put: &[Record]) -> Option<oneshot::Receiver<Outcome>> {
        let batches = record::encode(put);
        let (needed, bound) = match need {
            Need::Alerts => (self.options.write_acks, self.options.write_timeout),
            Need::Silences => (usize::MAX, self.options.silence_timeout),
            Need::Log => (1, self.options.write_timeout),
            Need::History => (0, Duration::ZERO),
        };
        let links = self.links();
        if need == Need::History {
            links.iter().for_each(|link| link.push(&batches, None));
            self.store.append(&batches, None);
            return None;
        }
        let now = mono::now();
        let answering: Vec<bool> = links.iter().map(|link| link.answers(now, bound)).collect();
        let asked = answering.iter().filter(|answers| **answers).count();
        let (wait, outcome) = Wait::new(need != Need::Log, asked, needed);
        for (link, answers) in links.iter().zip(answering) {
            link.push(&batches, answers.then(|| Arc::clone(&wait)));
        }
        let waiting = Arc::clone(&wait);
        let call = Box::new(move |done| waiting.disk(done));
        self.store.append(&batches, Some(Notice { stage: Stage::Synced, call }));
        self.deadlines.add(&wait, bound);
        Some(outcome)
    }

    /// Merges what a peer sent and stores what won. `written` is told, in the order of the calls, when it is safe from the end of this process.
    pub(crate) fn receive_then(&self, records: Vec<Record>, written: Option<Notice>) -> usize {
        let won = self.state.merge_all(records, self.now_ms());
        self.store.append(&record::encode(&won), written);
        won.len()
    }

    /// Changes members, brings their states up to date, publishes what came of it.
    pub(crate) fn with_members<R>(&self, f: impl FnOnce(&mut Members, Duration) -> R) -> R {
        let now = mono::now();
        // Published under the lock, so that no older view follows a newer one.
        let mut members = lock(&self.members);
        if self.counts.is_stalled(now) {
            // Nothing could be heard meanwhile; the clockwork will find that a catch-up is owed.
            members.forgive(now);
        }
        let value = f(&mut members, now);
        members.tick(now).iter().for_each(|change| self.member_changed(change));
        let view = members.view(now);
        self.view.send_if_modified(|current| {
            let differs = **current != view;
            if differs {
                *current = Arc::new(view);
            }
            differs
        });
        value
    }

    fn member_changed(&self, change: &Change) {
        self.link(&change.id).set_live(change.to == MemberState::Live);
        self.counts.member_changed(change);
        if self.net.rounds.member_changed(change) {
            // At once, so that nobody sees the peer live and this node caught up.
            self.caught_up.send_replace(false);
        }
        let peer = change.id.as_str();
        match (change.from, change.to) {
            (None, MemberState::Live) => info!(peer, "peer joined"),
            (_, MemberState::Live) => info!(peer, "peer is back"),
            (_, MemberState::Left) => info!(peer, "peer left"),
            (_, MemberState::Dead) => warn!(peer, "peer is dead, its address refuses connections"),
            (_, MemberState::Unreachable) => warn!(peer, "peer is unreachable"),
        }
        if change.to != MemberState::Live {
            self.claims.something_changed();
        }
    }

    /// Changes what this node says of itself, and says it.
    pub(crate) fn set_status(&self, f: impl FnOnce(&mut Status)) {
        let changed = self.with_members(|members, _| {
            let mut status = members.my_status.clone();
            f(&mut status);
            let changed = status != members.my_status;
            if changed {
                status.version += 1;
                members.my_status = status;
            }
            changed
        });
        if changed {
            self.status_changed.send_modify(|count| *count += 1);
        }
    }

    /// What this node says of itself now.
    pub(crate) fn status(&self) -> Status {
        lock(&self.members).my_status.clone()
    }

    /// Sets readiness, here and for the others.
    /// The process stood still for long, and no peer lives that could have gone on hearing: what ends by expiry is held as
    /// after a cold start.
    pub(crate) fn woke_alone(&self, length: Duration) {
        let now_ms = self.now_ms();
        let ms = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        self.slept_from_ms.store(now_ms.saturating_sub(ms(length)), Ordering::Relaxed);
        let until_ms = now_ms.saturating_add(ms(self.options.expiry_hold));
        self.set_status(|status| {
            status.hold_until_ms = until_ms;
            status.hold_start_ms = now_ms;
        });
    }

    pub(crate) fn set_ready(&self, ready: Ready) {
        let is_ready = ready.is_ready();
        self.set_status(|status| status.ready = is_ready);
        self.ready.send_replace(ready);
    }
}
