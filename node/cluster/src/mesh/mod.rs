//! Connections between nodes: two lanes in each direction, each dialled by who sends on it. Knows nothing of records' meaning.

mod accept;
mod control;
mod data;
mod dial;
pub(crate) mod frame;
pub(crate) mod message;
pub(crate) mod net;
mod stream;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::bridge::Bridge;
use crate::core::lock;
use crate::member::Change;
use crate::mono;
use crate::tls::Tls;
use crate::view::MemberState;
use message::{ClaimAnswer, Message};
use net::Network;

pub(crate) use accept::accept;
pub(crate) use dial::ensure;

/// A peer that left a claim without answer is not waited for again in this time.
const SLOW_FOR: Duration = Duration::from_secs(5);

/// What the connections of one node share.
pub(crate) struct Net {
    /// Open control lanes that we dialled, by node id, with their numbers.
    pub(crate) controls: Mutex<HashMap<String, (u64, mpsc::Sender<Message>)>>,
    /// Every address that is dialled, and what makes its next try come at once.
    dialers: Mutex<HashMap<SocketAddr, Arc<Notify>>>,
    /// Addresses that turned out to be our own.
    own: Mutex<HashSet<SocketAddr>>,
    /// Addresses that were tried at least once.
    attempted: Mutex<HashSet<SocketAddr>>,
    /// Names whose addresses are never given up.
    pub(crate) configured: Mutex<HashSet<SocketAddr>>,
    pub(crate) rounds: Rounds,
    /// Who waits for the answers to a claim.
    pub(crate) answers: Mutex<HashMap<u64, mpsc::Sender<(String, ClaimAnswer)>>>,
    pub(crate) next_claim: AtomicU64,
    /// Peers that left a claim without answer, and until when they are not waited for again.
    slow: Mutex<HashMap<String, Duration>>,
    /// Ends listening and dialling: this node is about to say goodbye.
    pub(crate) closing: CancellationToken,
    pub(crate) leave_acks: Notify,
    pub(crate) bridge: OnceLock<Arc<Bridge>>,
    tls: OnceLock<Tls>,
    pub(crate) network: Arc<dyn Network>,
    pub(crate) runtime: OnceLock<tokio::runtime::Handle>,
    /// Since when another life of our own name refuses us.
    pub(crate) name_in_use: Mutex<Option<Duration>>,
    pub(crate) fatal: watch::Sender<bool>,
    /// Refused handshakes by code, both directions.
    pub(crate) rejects: Mutex<BTreeMap<&'static str, u64>>,
    said: Mutex<HashMap<&'static str, Duration>>,
}

impl Net {
    pub(crate) fn new(network: Arc<dyn Network>) -> Self {
        Self {
            network,
            controls: Mutex::default(),
            dialers: Mutex::default(),
            own: Mutex::default(),
            attempted: Mutex::default(),
            configured: Mutex::default(),
            rounds: Rounds::default(),
            answers: Mutex::default(),
            next_claim: AtomicU64::new(1),
            slow: Mutex::default(),
            closing: CancellationToken::new(),
            leave_acks: Notify::new(),
            bridge: OnceLock::new(),
            tls: OnceLock::new(),
            runtime: OnceLock::new(),
            name_in_use: Mutex::default(),
            fatal: watch::Sender::new(false),
            rejects: Mutex::default(),
            said: Mutex::default(),
        }
    }

    /// Sends to every peer whose control lane is open; a lane that is full misses it. Answers who was told.
    pub(crate) fn tell_all(&self, message: &Message) -> Vec<String> {
        let controls = lock(&self.controls);
        let told = controls.iter().filter(|(_, (_, tx))| tx.try_send(message.clone()).is_ok());
        told.map(|(id, _)| id.clone()).collect()
    }

    /// Whether there is anybody to tell.
    pub(crate) fn has_controls(&self) -> bool {
        !lock(&self.controls).is_empty()
    }

    /// Of those asked, who is worth waiting for: not who let us wait in vain a moment ago.
    pub(crate) fn worth_waiting(&self, asked: Vec<String>) -> Vec<String> {
        let now = mono::now();
        let mut slow = lock(&self.slow);
        slow.retain(|_, until| now < *until);
        asked.into_iter().filter(|id| !slow.contains_key(id)).collect()
    }

    /// These did not answer in time.
    pub(crate) fn were_slow(&self, ids: impl Iterator<Item = String>) {
        let until = mono::now() + SLOW_FOR;
        lock(&self.slow).extend(ids.map(|id| (id, until)));
    }

    pub(crate) fn is_attempted(&self, address: SocketAddr) -> bool {
        lock(&self.attempted).contains(&address)
    }

    pub(crate) fn is_own(&self, address: SocketAddr) -> bool {
        lock(&self.own).contains(&address)
    }

    /// Set once, before anything is dialled or accepted.
    pub(crate) fn set_tls(&self, tls: Tls) {
        // A second call changes nothing.
        let _ = self.tls.set(tls);
    }

    /// What makes streams safe; `None` on a network that nobody else can reach.
    pub(crate) fn tls(&self) -> std::io::Result<Option<&Tls>> {
        match self.tls.get() {
            None if self.network.is_open() => Err(std::io::ErrorKind::NotConnected.into()),
            tls => Ok(tls),
        }
    }

    /// Whether something of this sort may be logged: once a minute.
    fn may_say(&self, what: &'static str) -> bool {
        let now = mono::now();
        let mut said = lock(&self.said);
        let due =
            said.get(what).is_none_or(|at| Duration::from_secs(60) <= now.saturating_sub(*at));
        if due {
            said.insert(what, now);
        }
        due
    }
}

/// Which peers' state this node is known to have.
#[derive(Default)]
pub(crate) struct Rounds {
    marks: Mutex<HashMap<String, Mark>>,
    /// Rises with each finished round and each change that makes one owed.
    pub(crate) changed: watch::Sender<u64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    /// When the peer's push lane to us was opened.
    pushing_since: Option<Duration>,
    /// Begin of the latest finished round with it, whoever began it.
    begun: Option<Duration>,
    /// A round begun after this is owed before anything is told.
    owed_since: Option<Duration>,
}

impl Rounds {
    fn mark(&self, id: &str, f: impl FnOnce(&mut Mark)) {
        f(lock(&self.marks).entry(id.to_owned()).or_default());
        self.changed.send_modify(|count| *count += 1);
    }

    pub(crate) fn pushing(&self, id: &str) {
        self.mark(id, |mark| mark.pushing_since = Some(mono::now()));
    }

    pub(crate) fn push_ended(&self, id: &str) {
        self.mark(id, |mark| mark.pushing_since = None);
    }

    pub(crate) fn finished(&self, id: &str, begun: Duration) {
        self.mark(id, |mark| mark.begun = mark.begun.max(Some(begun)));
    }

    pub(crate) fn owe(&self, id: &str) {
        self.mark(id, |mark| mark.owed_since = Some(mono::now()));
    }

    /// Whether a round with the member is owed from now on.
    pub(crate) fn member_changed(&self, change: &Change) -> bool {
        match (change.from, change.to) {
            (Some(MemberState::Left), MemberState::Live) => false,
            (_, MemberState::Live) => {
                self.owe(&change.id);
                true
            }
            _ => {
                self.mark(&change.id, |mark| mark.owed_since = None);
                false
            }
        }
    }

    /// Whether a round since `at` is finished.
    pub(crate) fn finished_since(&self, id: &str, at: Duration) -> bool {
        lock(&self.marks).get(id).is_some_and(|mark| Some(at) <= mark.begun)
    }

    /// Whether this node has what the peer had, and hears what it writes since.
    pub(crate) fn is_synced(&self, id: &str) -> bool {
        lock(&self.marks)
            .get(id)
            .is_some_and(|mark| mark.pushing_since.is_some() && mark.pushing_since <= mark.begun)
    }

    /// Peers with which a round is owed.
    pub(crate) fn owed(&self) -> Vec<String> {
        let marks = lock(&self.marks);
        let owed = marks
            .iter()
            .filter(|(_, mark)| mark.owed_since.is_some() && mark.begun < mark.owed_since);
        owed.map(|(id, _)| id.clone()).collect()
    }

    /// What is owed is given up: its bound is over.
    pub(crate) fn forgive(&self) {
        lock(&self.marks).values_mut().for_each(|mark| mark.owed_since = None);
    }
}
