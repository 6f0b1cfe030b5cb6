//! What the rest of the node uses: one handle over state, disk and peers.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tocsin_service::clock::Clock;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::warn;

use crate::claim::{Claim, ClaimRequest, Claims, Ended, Grant, Release};
use crate::core::{Core, lock};
use crate::member::Members;
use crate::mesh::Net;
use crate::mesh::message::{self, ClaimAnswer, KeyStamp, Message};
use crate::mesh::net::{Network, Tcp};
use crate::metrics::{ClusterFacts, Counts, PeerFacts};
use crate::mono;
use crate::options::{Options, Trust};
use crate::owner::{self, Rank};
use crate::ready::Ready;
use crate::record::{self, Kind, key_hash};
use crate::state::{State, Table, Writer};
use crate::store::{Identity, Lock, Log, NoStore, Source, Store, StoreError};
use crate::sync::Replica;
use crate::view::{ConfigHash, Member, MemberState, View};
use crate::wait::{Need, Outcome, Why};

/// A leaving node waits this long for peers to have everything.
const GOODBYE_WAIT: Duration = Duration::from_secs(5);
/// And this long for answers to its goodbye.
const LEAVE_WAIT: Duration = Duration::from_secs(1);

/// Why a cluster cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The data directory.
    #[error("storage cannot be used")]
    Store(#[from] StoreError),
    /// The cluster port.
    #[error("cannot listen on {address} for the cluster")]
    Listen {
        /// As given.
        address: String,
        /// Why.
        source: std::io::Error,
    },
    /// An address that is none.
    #[error("{flag}: {value:?} is no host:port")]
    Address {
        /// Which flag.
        flag: &'static str,
        /// What it says.
        value: String,
    },
    /// Secrets or certificates.
    #[error("cluster security: {0}")]
    Trust(String),
    /// The crate's own thread.
    #[error("cannot start the cluster's thread")]
    Thread(#[source] std::io::Error),
    /// Another live node has this node's name.
    #[error("the name {name:?} is in use by another live node of the cluster")]
    NameInUse {
        /// The name.
        name: String,
    },
}

/// This node's part in the cluster. Dropping it stops its thread without a goodbye; [`Cluster::leave`] says it.
pub struct Cluster {
    core: Arc<Core>,
    _life: DropGuard,
    _lock: Option<Lock>,
}

impl Cluster {
    /// Loads the disk into `tables`, listens, and goes on joining in a thread of its own: see [`Cluster::ready`].
    /// `stop` ends everything at once; call [`Cluster::leave`] before.
    /// # Errors
    /// When the directory or the port cannot be used, or secrets are wrong.
    pub async fn start(
        options: Options,
        tables: Vec<(Kind, Arc<dyn Table>)>,
        clock: Arc<dyn Clock>,
        stop: CancellationToken,
    ) -> Result<Arc<Self>, ClusterError> {
        let cluster = Self::build(options, tables, clock, &stop, Arc::new(Tcp), None)?;
        cluster.core.start_thread().await?;
        Ok(cluster)
    }

    /// As [`Cluster::start`], on the caller's runtime and clock, with a network and a disk that are not real.
    #[cfg(test)]
    pub(crate) async fn simulate(
        options: Options,
        tables: Vec<(Kind, Arc<dyn Table>)>,
        clock: Arc<dyn Clock>,
        stop: &CancellationToken,
        network: Arc<dyn Network>,
        disk: (Vec<crate::Record>, Arc<dyn Store>),
    ) -> Result<Arc<Self>, ClusterError> {
        let cluster = Self::build(options, tables, clock, stop, network, Some(disk))?;
        let (started, start) = oneshot::channel();
        let core = Arc::clone(&cluster.core);
        tokio::spawn(async move { crate::ready::run(&core, started).await });
        start.await.map_err(|_| ClusterError::Trust("it ended at once".into()))??;
        Ok(cluster)
    }

    /// What connections look like, for a failed simulation.
    #[cfg(test)]
    pub(crate) fn lines(&self) -> String {
        lock(&self.core.members).lines(mono::now())
    }

    fn build(
        options: Options,
        tables: Vec<(Kind, Arc<dyn Table>)>,
        clock: Arc<dyn Clock>,
        stop: &CancellationToken,
        network: Arc<dyn Network>,
        disk: Option<(Vec<crate::Record>, Arc<dyn Store>)>,
    ) -> Result<Arc<Self>, ClusterError> {
        if options.require_auth
            && matches!(options.trust, Trust::Anyone)
            && !options.listen.is_empty()
        {
            let why = "--cluster.require-auth needs --cluster.secret-file or --cluster.tls-config";
            return Err(ClusterError::Trust(why.into()));
        }
        let now_ms = clock.now().as_millisecond();
        let dir = options.storage.as_deref().map(|path| path.join("tocsin"));
        let (lock, identity) = identify(dir.as_deref(), &options.name, now_ms)?;
        let node = key_hash(identity.id.as_bytes());
        let state = Arc::new(State::new(node, tables));
        let store = match disk {
            Some((records, store)) => {
                state.merge_all(records, now_ms);
                store
            }
            None => open_store(dir.as_deref(), &options, &state, &clock)?,
        };
        let life = stop.child_token();
        let core = Arc::new_cyclic(|core| {
            let core: std::sync::Weak<Core> = core.clone();
            let tell = move |ended| {
                if let Some(core) = core.upgrade() {
                    core.tell_release(ended);
                }
            };
            let claims = Claims::new(Box::new(tell));
            let net = Net::new(network);
            core_of(options, identity, state, store, clock, life.clone(), claims, net)
        });
        Ok(Arc::new(Self { core, _life: life.drop_guard(), _lock: lock }))
    }

    /// One critical section over all records: `f` sees no change by others while it runs; each [`Writer::put`] gets the next stamp and is stored, logged and pushed.
    /// Then waits for what `need` says; the bound of the wait is kept by this crate's own thread.
    pub async fn write<R>(&self, need: Need, f: impl FnOnce(&mut Writer<'_>) -> R) -> (R, Outcome) {
        let begun = mono::now();
        let (value, waiting) = self.core.write(need, f);
        let Some(waiting) = waiting else { return (value, Outcome::NOTHING) };
        let lost = Outcome { degraded: Some(Why::Disk), on_disk: false, peers: 0 };
        let outcome = waiting.await.unwrap_or(lost);
        self.core.counts.wrote(begun, &outcome);
        (value, outcome)
    }

    /// As [`Cluster::write`] without waiting: for records that nobody's answer depends on.
    pub fn put<R>(&self, f: impl FnOnce(&mut Writer<'_>) -> R) -> R {
        self.core.write(Need::History, f).0
    }

    /// The cluster as it is now.
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        Arc::clone(&self.core.view.borrow())
    }

    /// Tells each change of the view.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<View>> {
        self.core.view.subscribe()
    }

    /// Who goes first for a group, as this node sees it now.
    #[must_use]
    pub fn rank(&self, group_key: &[u8]) -> Rank {
        owner::rank(&self.view(), group_key)
    }

    /// How long a node of rank `own` waits at most before it acts for those before it.
    #[must_use]
    pub fn rank_wait(&self, own: usize) -> Duration {
        self.core.options.peer_timeout.saturating_mul(u32::try_from(own).unwrap_or(u32::MAX))
    }

    /// Asks all peers before an attempt to send. Alone, or with claims switched off: granted at once.
    pub async fn claim(&self, request: ClaimRequest) -> Claim {
        self.core.claim(request).await
    }

    /// Whether all that rank before this node released `key` (a [`ClaimRequest::key`]) as failed and have not claimed it since: then it is this node's turn.
    #[must_use]
    pub fn all_better_failed(&self, key: &[u8], rank: &Rank) -> bool {
        !rank.better.is_empty() && self.core.claims.all_failed(key, &rank.better)
    }

    /// Tells each release of a claim, here or elsewhere, and each end of a member.
    #[must_use]
    pub fn claims_changed(&self) -> watch::Receiver<u64> {
        self.core.claims.changes()
    }

    /// Whether this node may notify.
    #[must_use]
    pub fn ready(&self) -> watch::Receiver<Ready> {
        self.core.ready.subscribe()
    }

    /// False while this node may have missed something (a start, a stall, a returned peer): no flush may start and no request be written until it is true again. Bounded by itself.
    #[must_use]
    pub fn caught_up(&self) -> watch::Receiver<bool> {
        self.core.caught_up.subscribe()
    }

    /// Times that this process stood still for more than a second: a guard compares it before and after.
    #[must_use]
    pub fn stalls(&self) -> u64 {
        self.core.counts.stalls(mono::now())
    }

    /// Publishes the hash of the configuration in use.
    pub fn set_config_hash(&self, hash: u64) {
        let loaded_hlc = self.core.state.next_hlc(self.core.now_ms());
        self.core.set_status(|status| status.config = Some(ConfigHash { hash, loaded_hlc }));
    }

    /// Publishes until when alerts that end by expiry count as firing, and the start that this belongs to; wall milliseconds.
    pub fn set_hold(&self, until_ms: i64, start_ms: i64) {
        self.core.set_status(|status| {
            status.hold_until_ms = until_ms;
            status.hold_start_ms = start_ms;
        });
    }

    /// Says that this node is on its way out: it leaves the ranks at once and goes on answering. [`Cluster::leave`] ends it.
    pub fn set_leaving(&self) {
        self.core.set_status(|status| status.leaving = true);
        self.core.ready.send_replace(Ready::No("stopping".into()));
    }

    /// Waits until this node cannot stay in the cluster: another live one has its name.
    pub async fn failed(&self) -> ClusterError {
        let mut fatal = self.core.net.fatal.subscribe();
        if fatal.wait_for(|fatal| *fatal).await.is_err() {
            // The sender lives in the core, which this handle holds.
            std::future::pending::<()>().await;
        }
        ClusterError::NameInUse { name: self.core.identity.id.clone() }
    }

    /// Waits until peers have everything (at most 5 s), says goodbye, writes the disk, stops.
    pub async fn leave(&self) {
        self.set_leaving();
        self.core.say_goodbye().await;
        self.core.stop.cancel();
        let store = Arc::clone(&self.core.store);
        // The log's thread writes what is queued and ends.
        let _ = tokio::task::spawn_blocking(move || store.close()).await;
    }

    /// Figures for metrics and status.
    #[must_use]
    pub fn facts(&self) -> ClusterFacts {
        self.core.facts()
    }

    /// This node's id.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.core.identity.id
    }

    /// A record as it is stored, of any kind.
    #[must_use]
    pub fn read(&self, kind: Kind, key: &[u8]) -> Option<crate::Record> {
        self.core.state.read(kind, key)
    }
}

fn identify(
    dir: Option<&Path>,
    name: &str,
    now_ms: i64,
) -> Result<(Option<Lock>, Identity), StoreError> {
    let name = (!name.is_empty()).then_some(name);
    let now_ms = u64::try_from(now_ms).unwrap_or(0);
    let Some(dir) = dir else { return Ok((None, Identity::unstored(name, now_ms))) };
    let lock = Lock::take(dir)?;
    Ok((Some(lock), Identity::next(dir, name, now_ms)?))
}

fn open_store(
    dir: Option<&Path>,
    options: &Options,
    state: &Arc<State>,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<dyn Store>, StoreError> {
    let Some(dir) = dir else { return Ok(Arc::new(NoStore)) };
    let now_ms = clock.now().as_millisecond();
    let (live, wall) = (Arc::clone(state), Arc::clone(clock));
    let source: Source = Arc::new(move |visit| live.each_live(wall.now().as_millisecond(), visit));
    let mut load = |record| {
        state.merge(&record, now_ms);
    };
    let log = Log::open(dir, options.sync, &mut load, source)?;
    let loaded = log.loaded();
    if loaded.corrupt_files > 0 {
        warn!(
            files = loaded.corrupt_files,
            "part of the storage is damaged, what peers have is fetched again"
        );
    }
    Ok(Arc::new(log))
}

#[expect(clippy::too_many_arguments, reason = "the one place where all parts meet")]
fn core_of(
    options: Options,
    identity: Identity,
    state: Arc<State>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
    claims: Claims,
    net: Net,
) -> Core {
    let node = key_hash(identity.id.as_bytes());
    let network = !options.listen.is_empty();
    let me = Member {
        name: identity.id.clone(),
        node,
        address: String::new(),
        me: true,
        state: MemberState::Live,
        ready: false,
        leaving: false,
        version: options.version.clone(),
        config: None,
        disk_ok: true,
        clock_offset_ms: 0,
        behind: None,
    };
    let members = Members::new(me, network, options.unreachable_after(), options.reconnect_timeout);
    let view = watch::Sender::new(Arc::new(members.view(mono::now())));
    Core {
        options,
        identity,
        node,
        state,
        store,
        clock,
        deadlines: crate::wait::Deadlines::default(),
        members: Mutex::new(members),
        links: Mutex::new(HashMap::new()),
        view,
        ready: watch::Sender::new(Ready::No("starting".into())),
        caught_up: watch::Sender::new(true),
        status_changed: watch::Sender::new(0),
        claims: Arc::new(claims),
        counts: Counts::default(),
        net,
        stop,
    }
}

impl Core {
    /// Starts the thread on which everything of the cluster runs.
    async fn start_thread(self: &Arc<Self>) -> Result<(), ClusterError> {
        let (started, start) = oneshot::channel();
        let core = Arc::clone(self);
        std::thread::Builder::new()
            .name("tocsin-mesh".into())
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                match runtime {
                    Ok(runtime) => runtime.block_on(crate::ready::run(&core, started)),
                    Err(error) => {
                        // Nobody waits any more only when the caller was dropped.
                        let _ = started.send(Err(ClusterError::Thread(error)));
                    }
                }
            })
            .map_err(ClusterError::Thread)?;
        let ended = || ClusterError::Thread(std::io::Error::other("it ended at once"));
        start.await.map_err(|_| ended())?
    }

    /// Claims on the crate's own runtime, whose timers are real whatever the caller's are.
    async fn claim(self: &Arc<Self>, request: ClaimRequest) -> Claim {
        let core = Arc::clone(self);
        match self.net.runtime.get() {
            Some(runtime) if !self.options.claim_wait.is_zero() => {
                let (key, began) = (request.key.clone(), self.begin_claim(&request));
                let asked = runtime.spawn(async move { core.ask(request).await });
                // Without an answer nobody objects.
                self.judge(&key, began, asked.await.unwrap_or_default())
            }
            _ => Claim::Granted(self.begin_claim(&request)),
        }
    }

    fn begin_claim(&self, request: &ClaimRequest) -> Grant {
        let score = owner::score(self.node, &request.group_key);
        let number = self.claims.begin(request, score, self.node);
        let claims = Arc::clone(&self.claims);
        Grant { claims, key: request.key.clone(), number, ended: false }
    }

    /// Asks every peer whose control lane is open; answers what came back in time.
    async fn ask(&self, request: ClaimRequest) -> Vec<(String, ClaimAnswer)> {
        let begun = mono::now();
        let id = self.net.next_claim.fetch_add(1, Ordering::Relaxed);
        let (tx, mut rx) = mpsc::channel(64);
        lock(&self.net.answers).insert(id, tx);
        let question = Message::Claim(message::Claim {
            id,
            kind: request.kind,
            key: request.key,
            score: owner::score(self.node, &request.group_key),
            known: request.known.map(|stamp| KeyStamp::new(Bytes::new(), stamp)),
            node: self.node,
        });
        let mut waited = self.net.worth_waiting(self.net.tell_all(&question));
        let mut answers = Vec::new();
        let all = async {
            while !waited.is_empty()
                && let Some((by, answer)) = rx.recv().await
            {
                waited.retain(|id| *id != by);
                answers.push((by, answer));
            }
        };
        // Who does not answer in time does not object.
        let _ = tokio::time::timeout(self.options.claim_wait, all).await;
        self.net.were_slow(waited.into_iter());
        lock(&self.net.answers).remove(&id);
        Counts::add_time(&self.counts.claim_micros, mono::now().saturating_sub(begun));
        answers
    }

    fn judge(&self, key: &Bytes, grant: Grant, answers: Vec<(String, ClaimAnswer)>) -> Claim {
        let mut busy = None;
        let mut done = false;
        for (by, answer) in answers {
            if let Some(Ok((records, _))) = answer.done.map(record::decode) {
                self.receive(records);
                done = true;
            } else if answer.busy {
                busy = Some(by);
            }
        }
        if done {
            Counts::add(&self.counts.claims_done, 1);
            return Claim::Done;
        }
        if busy.is_none() && self.claims.holds(key, grant.number) {
            Counts::add(&self.counts.claims_granted, 1);
            return Claim::Granted(grant);
        }
        Counts::add(&self.counts.claims_busy, 1);
        // The own claim is given up first: its release is not what is waited for.
        drop(grant);
        Claim::Busy(self.claims.busy(busy.unwrap_or_default()))
    }

    /// Tells all peers that a claim of ours ended.
    fn tell_release(&self, ended: Ended) {
        let record = (ended.how == Release::Ok)
            .then(|| self.state.read(ended.kind, &ended.key))
            .flatten()
            .and_then(|record| record::encode(&[record]).into_iter().next());
        self.net.tell_all(&Message::Release(message::Release {
            kind: ended.kind,
            key: ended.key,
            failed: ended.how == Release::Failed,
            record,
        }));
    }

    /// Waits until peers have everything, then says goodbye to all whose lane is open.
    async fn say_goodbye(self: &Arc<Self>) {
        let Some(runtime) = self.net.runtime.get() else { return };
        let core = Arc::clone(self);
        let goodbye = runtime.spawn(async move {
            let now = mono::now;
            let until = now() + GOODBYE_WAIT;
            let lags = || {
                core.links().iter().any(|link| {
                    link.answers(now(), GOODBYE_WAIT) && !link.facts(now()).lag.is_zero()
                })
            };
            while lags() && now() < until {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            core.net.closing.cancel();
            let leave = message::Leave { reason: "stopping".into() };
            let told = core.net.tell_all(&Message::Leave(leave));
            let acked = async {
                for _ in told {
                    core.net.leave_acks.notified().await;
                }
            };
            // Who does not answer finds out by itself.
            let _ = tokio::time::timeout(LEAVE_WAIT, acked).await;
        });
        // Cancelled only when the runtime ends, and then nothing is left to say.
        let _ = goodbye.await;
    }

    fn facts(&self) -> ClusterFacts {
        let now = mono::now();
        let links: HashMap<String, _> =
            self.links().into_iter().map(|link| (link.id.clone(), link.facts(now))).collect();
        let peers: Vec<PeerFacts> = lock(&self.members)
            .peers
            .iter()
            .map(|(name, peer)| {
                let link = links.get(name).cloned().unwrap_or_default();
                PeerFacts {
                    name: name.clone(),
                    address: peer.address.clone(),
                    state: peer.state,
                    lag: link.lag,
                    queue_bytes: link.queued_bytes,
                    clock_offset_ms: peer.offset_ms,
                    round_trip: peer.round_trip,
                    pings: peer.pings.clone(),
                    last_contact: peer.last_pong.map(|at| now.saturating_sub(at)),
                }
            })
            .collect();
        let late = |peer: &&PeerFacts| {
            peer.state == MemberState::Unreachable || Duration::from_secs(1) < peer.lag
        };
        let mut facts = self.counts.facts();
        facts.records_malformed = self.state.counts.malformed.load(Ordering::Relaxed);
        facts.records_ahead = self.state.counts.ahead.load(Ordering::Relaxed);
        facts.records_expired = self.state.counts.expired.load(Ordering::Relaxed);
        facts.rejects_by_code =
            lock(&self.net.rejects).iter().map(|(code, n)| (*code, *n)).collect();
        facts.authenticated = !matches!(self.options.trust, Trust::Anyone);
        facts.health_score = peers.iter().filter(late).count() as u64;
        facts.messages_queued = links.values().map(|link| link.queued as u64).sum();
        facts.messages_pruned = links.values().map(|link| link.pruned).sum();
        facts.claims_in_flight = self.claims.in_flight();
        facts.digests = self.state.roots();
        facts.store = self.store.facts();
        facts.peers = peers;
        facts
    }
}

impl Counts {
    fn wrote(&self, begun: Duration, outcome: &Outcome) {
        Self::add(&self.writes, 1);
        Self::add_time(&self.write_micros, mono::now().saturating_sub(begun));
        let Some(why) = outcome.degraded else { return };
        let counter = match why {
            Why::Disk => &self.degraded_disk,
            Why::SlowDisk => &self.degraded_slow_disk,
            Why::Peers => &self.degraded_peers,
        };
        Self::add(counter, 1);
    }

    fn facts(&self) -> ClusterFacts {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let time = |counter: &AtomicU64| Duration::from_micros(get(counter));
        ClusterFacts {
            peers_joined: get(&self.joined),
            peers_left: get(&self.left),
            peers_updated: get(&self.updates),
            reconnections: get(&self.reconnections),
            reconnections_failed: get(&self.reconnections_failed),
            refresh_joins: get(&self.refresh_joins),
            refresh_joins_failed: get(&self.refresh_joins_failed),
            name_conflicts: get(&self.name_conflicts),
            pushes_sent: get(&self.pushes_sent),
            push_bytes_sent: get(&self.push_bytes_sent),
            pushes_received: get(&self.pushes_received),
            push_bytes_received: get(&self.push_bytes_received),
            syncs_sent: get(&self.syncs_sent),
            sync_bytes_sent: get(&self.sync_bytes_sent),
            syncs_received: get(&self.syncs_received),
            sync_bytes_received: get(&self.sync_bytes_received),
            sync_runs: get(&self.sync_runs),
            sync_failures: get(&self.sync_failures),
            sync_time: time(&self.sync_micros),
            sync_repaired: get(&self.sync_repaired),
            rejects: get(&self.rejects),
            unknown_frames: get(&self.unknown_frames),
            gossip_restarts: get(&self.gossip_restarts),
            claims_granted: get(&self.claims_granted),
            claims_busy: get(&self.claims_busy),
            claims_done: get(&self.claims_done),
            claim_time: time(&self.claim_micros),
            writes: get(&self.writes),
            write_time: time(&self.write_micros),
            degraded_disk: get(&self.degraded_disk),
            degraded_slow_disk: get(&self.degraded_slow_disk),
            degraded_peers: get(&self.degraded_peers),
            stalls: self.stalls(mono::now()),
            ..ClusterFacts::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::kind;
    use crate::{Bag, Draft};
    use bytes::Bytes;
    use tocsin_service::clock::SystemClock;

    async fn start(options: Options) -> (Arc<Cluster>, Arc<Bag>) {
        let bag = Arc::new(Bag::new(kind::ALERT));
        let table: Arc<dyn Table> = Arc::clone(&bag) as _;
        let tables = vec![(kind::ALERT, table)];
        let stop = CancellationToken::new();
        let cluster = Cluster::start(options, tables, Arc::new(SystemClock), stop).await;
        (cluster.unwrap(), bag)
    }

    fn draft(key: &'static str) -> Draft {
        let key = Bytes::from(key);
        let body = Bytes::from_static(b"body");
        Draft { kind: kind::ALERT, key, rank: 0, expires_at_ms: i64::MAX, body }
    }

    #[tokio::test]
    async fn a_node_alone_writes_and_finds_it_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let options = || Options { storage: Some(dir.path().into()), ..Options::alone() };
        let (cluster, _) = start(options()).await;
        let (stamp, outcome) = cluster.write(Need::Alerts, |writer| writer.put(draft("a"))).await;
        assert_eq!(outcome, Outcome { degraded: None, on_disk: true, peers: 0 });
        let id = cluster.name().to_owned();
        cluster.leave().await;
        drop(cluster);
        let (cluster, bag) = start(options()).await;
        assert_eq!(bag.stamp(b"a"), Some((stamp, i64::MAX)));
        assert_eq!(cluster.name(), id);
    }

    #[tokio::test]
    async fn a_node_alone_is_ready_and_owns_everything() {
        let (cluster, _) = start(Options { name: "a".into(), ..Options::alone() }).await;
        assert!(cluster.ready().borrow().is_ready());
        assert!(cluster.rank(b"any").is_owner());
        assert_eq!((cluster.view().live, cluster.view().known), (1, 1));
        assert_eq!(cluster.view().status.label(), "disabled");
    }

    #[tokio::test]
    async fn a_directory_in_use_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let options = || Options { storage: Some(dir.path().into()), ..Options::alone() };
        let _first = start(options()).await;
        let second =
            Cluster::start(options(), Vec::new(), Arc::new(SystemClock), CancellationToken::new());
        assert!(matches!(second.await.err(), Some(ClusterError::Store(StoreError::Locked { .. }))));
    }
}
