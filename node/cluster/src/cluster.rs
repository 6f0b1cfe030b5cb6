//! What the rest of the node uses: one handle over state, disk and peers.

use std::sync::Arc;
use std::time::Duration;

use tocsin_service::clock::Clock;
#[cfg(test)]
use tokio::sync::oneshot;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::claim::{Claim, ClaimRequest, Claims};
use crate::core::Core;
use crate::mesh::Net;
use crate::mesh::net::{Network, Tcp};
use crate::metrics::ClusterFacts;
use crate::mono;
use crate::options::{Options, Trust};
use crate::owner::{self, Rank};
use crate::ready::Ready;
use crate::record::{Kind, key_hash};
use crate::start::{core_of, identify, open_store};
use crate::state::{State, Table, Writer};
use crate::store::{Lock, Store, StoreError};
use crate::sync::Replica;
use crate::view::{ConfigHash, View};
use crate::wait::{Need, Outcome, Why};

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
        crate::core::lock(&self.core.members).lines(mono::now())
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

    /// Waits until this node is caught up, and no stall is about to be found that says otherwise. Answers whether there was something to wait for: then what
    /// was decided before is no longer good.
    pub async fn wait_caught_up(&self) -> bool {
        let mut caught_up = self.core.caught_up.subscribe();
        let mut waited = false;
        while !self.core.stop.is_cancelled() {
            let is_caught_up = *caught_up.borrow_and_update();
            if self.core.counts.is_stalled(mono::now()) {
                // This thread woke before the clockwork did.
                tokio::select! {
                    () = self.awake() => {}
                    () = self.core.stop.cancelled() => {}
                }
            } else if is_caught_up || caught_up.changed().await.is_err() {
                break;
            }
            waited = true;
        }
        waited
    }

    /// Times that this process stood still for more than a second: a guard compares it before and after.
    #[must_use]
    pub fn stalls(&self) -> u64 {
        self.core.counts.stalls(mono::now())
    }

    /// How long ago the last stall began and ended that is over and has been counted.
    #[must_use]
    pub fn last_stall(&self) -> Option<(Duration, Duration)> {
        self.core.counts.last_stall(mono::now())
    }

    /// Ends once no stall is going on that its tick has not found yet: what follows from it is known then.
    pub async fn awake(&self) {
        let mut ticks = self.core.ticks.subscribe();
        while self.core.counts.is_stalled(mono::now()) {
            if ticks.changed().await.is_err() {
                return;
            }
        }
    }

    /// When the last stall began, in wall milliseconds, of those that were long and that no peer was there to hear meanwhile.
    #[must_use]
    pub fn slept_from_ms(&self) -> Option<i64> {
        let from = self.core.slept_from_ms.load(std::sync::atomic::Ordering::Relaxed);
        (from != 0).then_some(from)
    }

    /// Publishes the hash of the configuration in use.
    pub fn set_config_hash(&self, hash: u64) {
        let loaded_hlc = self.core.state.next_hlc(self.core.now_ms());
        self.core.set_status(|status| status.config = Some(ConfigHash { hash, loaded_hlc }));
    }

    /// Publishes until when alerts that end by expiry count as firing, and the start that this belongs to; wall milliseconds.
    pub fn set_hold(&self, until_ms: i64, start_ms: i64) {
        self.core.set_status(|status| status.take_hold(until_ms, start_ms));
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
    async fn what_ends_during_a_long_sleep_alone_is_held() {
        let options = Options { name: "a".into(), ..Options::alone() };
        let hold_ms = i64::try_from(options.expiry_hold.as_millis()).unwrap();
        let (cluster, _) = start(options).await;
        assert_eq!((cluster.slept_from_ms(), cluster.view().hold_until_ms), (None, 0));
        let before = cluster.core.now_ms();
        cluster.core.woke_alone(Duration::from_secs(90));
        let view = cluster.view();
        assert_eq!(view.hold_until_ms - view.hold_start_ms, hold_ms);
        assert_eq!(cluster.slept_from_ms(), Some(view.hold_start_ms - 90_000));
        assert!(before <= view.hold_start_ms);
        cluster.awake().await;
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
