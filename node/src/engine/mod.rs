//! The engine: the tables, what posts do to them, and one loop that looks at groups when they are due.
//!
//! Records change only inside [`Cluster::write`], which calls the tables. The loop is woken by a closed set of events; each
//! due group becomes a task of its own that ends with `Event::Flushed`. Readers go through [`Handle`].

mod alerts;
mod body;
mod counts;
mod deliver;
mod dispatch;
mod edit;
mod handle;
mod history;
mod hold;
mod ingest;
mod live;
mod log;
mod look;
mod pairs;
mod query;
mod record;
mod reload;
mod sending;
mod shared;
mod silences;
mod slot;
mod snapshot;
#[cfg(test)]
mod tests;
mod trial;

use std::panic::AssertUnwindSafe;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::FutureExt;
use jiff::Timestamp;
use tocsin_cluster::{Cluster, Kind, Stamp, Table, kind};
use tocsin_core::alert::NameLimit;
use tocsin_core::group::GroupId;
use tocsin_core::label::Fingerprint;
use tocsin_core::time;
use tocsin_service::clock::Clock;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, error, info};

pub use alerts::Alerts;
pub use counts::{
    ApiVersion, CountNumbers, IntegrationNumbers, LATENCY_BOUNDS, QueryNumbers, ReloadNumbers,
    SnapshotNumbers, SummaryNumbers,
};
pub use edit::{SilenceError, SilenceSet, Written};
pub use handle::{AlertStates, Handle, Numbers};
pub use history::Histories;
pub use ingest::Posted;
pub use log::{Log, Logged};
pub use pairs::Iter as PairIter;
pub use query::{AlertQuery, AlertView, GroupQuery, GroupView, GroupsView};
pub use reload::ReloadError;
pub(crate) use reload::load;
pub use silences::Silences;
pub use slot::AlertRef;
pub use snapshot::{Counted, counted};
pub use trial::Trial;

use counts::Counts;
use deliver::Flush;
use dispatch::{Dispatch, Known};
use live::Live;
use sending::{Sendings, Waiters};
use shared::Shared;

use crate::events::{EventData, Recorder};
use crate::options::Options;

/// How many changed alerts are put into groups before the loop looks at other events.
const INSERT_MAX: usize = 256;
/// How often that many are put into groups before a flush.
const FLUSH_INSERTS: usize = 400;
/// How many events may wait; who sends one then waits.
const INBOX: usize = 1024;
/// How long requests already written may go on when the node stops.
const GRACE: Duration = Duration::from_secs(11);

/// The tables: made before the cluster, which fills them.
#[derive(Clone)]
pub struct Tables {
    alerts: Arc<Alerts>,
    silences: Arc<Silences>,
    log: Arc<Log>,
    history: Arc<Histories>,
}

impl Tables {
    /// Empty tables.
    #[must_use]
    pub fn new(clock: &Arc<dyn Clock>) -> Self {
        let log = Arc::new(Log::new(Arc::clone(clock)));
        Self {
            alerts: Arc::new(Alerts::new(Arc::clone(clock), Arc::clone(&log))),
            silences: Arc::default(),
            log,
            history: Arc::default(),
        }
    }

    /// For [`Cluster::start`].
    #[must_use]
    pub fn by_kind(&self) -> Vec<(Kind, Arc<dyn Table>)> {
        vec![
            (kind::ALERT, Arc::clone(&self.alerts) as Arc<dyn Table>),
            (kind::SILENCE, Arc::clone(&self.silences) as _),
            (kind::LOG, Arc::clone(&self.log) as _),
            (kind::HISTORY, Arc::clone(&self.history) as _),
        ]
    }
}

/// Everything that wakes the loop.
enum Event {
    /// Alerts have changed.
    Alerts,
    /// Peers have written to the notification log.
    Log,
    /// A group is due.
    Due,
    /// A flush has ended.
    Flushed(Flushed),
    /// A configuration takes effect; the sender waits for it.
    Reload(Arc<Live>, oneshot::Sender<()>),
    /// Time to sweep up.
    Maintenance,
    /// Time to write the files that Alertmanager reads.
    Snapshot,
}

/// What a flush leaves to the loop.
#[derive(Debug)]
struct Flushed {
    group: GroupId,
    tick: Timestamp,
    /// Members that leave if nothing was heard of them since.
    removed: Vec<(Fingerprint, Option<Stamp>)>,
}

/// The loop. `Engine::new` makes it with the handle that readers use.
pub struct Engine {
    shared: Arc<Shared>,
    inbox: mpsc::Receiver<Event>,
}

/// What the loop does every now and then.
struct Ticks {
    maintenance: Interval,
    snapshots: Interval,
}

impl Engine {
    /// An engine over filled tables; nothing is told before [`Engine::run`].
    pub(crate) fn new(
        options: Options,
        clock: Arc<dyn Clock>,
        tables: Tables,
        cluster: Arc<Cluster>,
        external_url: Arc<str>,
        live: Live,
        stop: CancellationToken,
    ) -> (Self, Handle) {
        let (sender, inbox) = mpsc::channel(INBOX);
        let Tables { alerts, silences, log, history } = tables;
        let shared = Arc::new(Shared {
            up_until: alerts.last_update().unwrap_or_else(|| clock.now()),
            last_post_ms: AtomicI64::new(clock.now().as_millisecond()),
            started_at: clock.now(),
            started: Instant::now(),
            limit: Mutex::new(NameLimit::new(options.alerts_per_alertname_limit)),
            recorder: Recorder::new(options.features.event_recorder, &cluster, &clock),
            options,
            clock,
            external_url,
            dispatch: Dispatch::new(Arc::clone(live.routes())),
            stop,
            live: ArcSwap::from_pointee(live),
            alerts,
            silences,
            log,
            history,
            cluster,
            dispatching: watch::Sender::new(false),
            sendings: Sendings::default(),
            waiters: Waiters::default(),
            counts: Counts::default(),
            reloading: Semaphore::new(1),
            inbox: sender,
            tasks: TaskTracker::new(),
        });
        shared.take_effect(&shared.live.load_full());
        let handle = Handle::new(Arc::clone(&shared));
        (Self { shared, inbox }, handle)
    }

    /// Waits until the cluster lets this node notify, makes the groups, and tells what is due until `stop`. Then requests
    /// already written may finish.
    pub async fn run(mut self, stop: CancellationToken) {
        self.shared.recorder.record(record::startup);
        snapshot::import(&self.shared.options.storage_path, &self.shared.cluster);
        if self.settle(&stop).await {
            self.make_groups();
            let mut ticks = Ticks {
                maintenance: every(self.shared.options.dispatch_maintenance_interval),
                snapshots: every(self.shared.options.data_maintenance_interval),
            };
            while let Some(event) = self.next(&mut ticks, &stop).await {
                self.apply(event);
            }
        }
        self.shared.stop.cancel();
        let shared = Arc::clone(&self.shared);
        self.drain().await;
        // A panic in there was logged, and the state is on disk anyway.
        let _ = shared.snapshot().await;
        shared.recorder.record(|| EventData::AlertmanagerShutdownEvent {});
        shared.recorder.close().await;
    }

    /// Until ready; answers whether that came before `stop`. Configurations are taken over meanwhile.
    async fn settle(&mut self, stop: &CancellationToken) -> bool {
        let mut ready = self.shared.cluster.ready();
        loop {
            if ready.borrow_and_update().is_ready() {
                return true;
            }
            tokio::select! {
                () = stop.cancelled() => return false,
                changed = ready.changed() => if changed.is_err() { return false },
                Some(event) = self.inbox.recv() => if let Event::Reload(live, done) = event {
                    self.shared.replace_live(live);
                    // Who asked may have gone.
                    let _ = done.send(());
                },
            }
        }
    }

    fn make_groups(&self) {
        let view = self.shared.cluster.view();
        let cold = !view.members.iter().any(|member| !member.me && member.ready);
        if cold && !self.shared.alerts.is_empty() {
            let until = time::add(self.shared.clock.now(), self.shared.options.cluster.expiry_hold);
            // By the clock as it is known to be now.
            let start = time::sub(self.shared.clock.now(), self.shared.started.elapsed());
            let start = start.as_millisecond();
            self.shared.cluster.set_hold(until.as_millisecond(), start);
        }
        self.rebuild(cold);
        // What the disk held is no news.
        self.shared.log.take_changed();
        self.shared.dispatching.send_replace(true);
        let groups = self.shared.dispatch.read(|inner| inner.groups.len());
        info!(alerts = self.shared.alerts.len(), groups, "groups made");
    }

    fn rebuild(&self, cold: bool) {
        let live = self.shared.live.load_full();
        self.shared.dispatch.rebuild(&self.known(&live, cold));
    }

    fn known<'a>(&'a self, live: &'a Live, cold: bool) -> Known<'a> {
        let shared = &self.shared;
        let (alerts, log) = (&*shared.alerts, &*shared.log);
        let recorder = &shared.recorder;
        Known { alerts, log, live, now: shared.clock.now(), hold: shared.hold(), cold, recorder }
    }

    async fn next(&mut self, ticks: &mut Ticks, stop: &CancellationToken) -> Option<Event> {
        let due = self.due();
        tokio::select! {
            biased;
            () = stop.cancelled() => None,
            event = self.inbox.recv() => event,
            () = due => Some(Event::Due),
            () = self.shared.log.wait_changed() => Some(Event::Log),
            () = self.shared.alerts.wait_changed() => Some(Event::Alerts),
            _ = ticks.maintenance.tick() => Some(Event::Maintenance),
            _ = ticks.snapshots.tick() => Some(Event::Snapshot),
        }
    }

    /// Ends when a group is due and may be told.
    fn due(&self) -> impl Future<Output = ()> + use<> {
        let shared = Arc::clone(&self.shared);
        async move {
            let Some(due) = shared.dispatch.next_due() else { return std::future::pending().await };
            let begin = shared.started + shared.options.dispatch_start_delay;
            let wait = Instant::now() + time::since(due, shared.clock.now());
            tokio::time::sleep_until(wait.max(begin)).await;
            shared.cluster.wait_caught_up().await;
        }
    }

    fn apply(&self, event: Event) {
        match event {
            Event::Alerts => drop(self.insert()),
            Event::Log => self.heed_log(),
            Event::Due => self.flush(),
            Event::Flushed(Flushed { group, tick, removed }) => {
                let Shared { alerts, recorder, dispatch, .. } = &*self.shared;
                dispatch.finish(alerts, recorder, group, tick, &removed);
            }
            Event::Reload(live, done) => {
                let old = self.shared.replace_live(live);
                self.rebuild(false);
                old.stop.cancel();
                // Who asked may have gone.
                let _ = done.send(());
            }
            Event::Maintenance => self.shared.sweep(),
            Event::Snapshot => drop(self.shared.snapshot()),
        }
    }

    /// Answers whether there were as many as fit.
    fn insert(&self) -> bool {
        let begun = Instant::now();
        let live = self.shared.live.load_full();
        let full = self.shared.dispatch.insert_changed(&self.known(&live, false), INSERT_MAX);
        self.shared.counts.processed(begun.elapsed());
        full
    }

    /// Other nodes have told something: their ticks count for our groups, too, and who waits for them looks again.
    fn heed_log(&self) {
        let live = self.shared.live.load_full();
        for key in self.shared.log.take_changed() {
            let receivers = self.shared.dispatch.read(|inner| {
                let routes = inner.groups.with_key(&key).map(|group| group.route);
                routes
                    .filter_map(|index| Some(live.routes().get(index)?.receiver.clone()))
                    .collect::<Vec<_>>()
            });
            let entries = receivers
                .iter()
                .flat_map(|receiver| dispatch::entries(&key, receiver, &live, &self.shared.log));
            if let Some(flush_at) = entries.map(|logged| logged.entry.flush_at).max() {
                self.shared.dispatch.rearm(&key, flush_at);
            }
            self.shared.waiters.wake(&key);
        }
    }

    fn flush(&self) {
        // What was acknowledged before the tick is part of it. More than that many came within a moment.
        for _ in 0..FLUSH_INSERTS {
            if !self.insert() {
                break;
            }
        }
        self.heed_log();
        let live = self.shared.live.load_full();
        for batch in self.shared.dispatch.take_due(self.shared.clock.now()) {
            let Some(flush) = Flush::new(Arc::clone(&self.shared), Arc::clone(&live), batch) else {
                continue;
            };
            let inbox = self.shared.inbox.clone();
            self.shared.tasks.spawn(async move {
                let nothing = flush.nothing();
                let flushed = AssertUnwindSafe(flush.run()).catch_unwind().await;
                let flushed = flushed.unwrap_or_else(|_| {
                    error!(
                        group = nothing.group.0,
                        "flush panicked, the group goes on at its next interval"
                    );
                    nothing
                });
                // The loop has gone: the node stops.
                let _ = inbox.send(Event::Flushed(flushed)).await;
            });
        }
    }

    /// Lets requests already written end.
    async fn drain(mut self) {
        self.shared.tasks.close();
        let ended = async {
            let drop_events = async { while self.inbox.recv().await.is_some() {} };
            tokio::select! {
                () = self.shared.tasks.wait() => {}
                () = drop_events => {}
            }
        };
        if tokio::time::timeout(GRACE, ended).await.is_err() {
            debug!("requests under way were given up");
        }
    }
}

/// Ticks of that period, the first one period from now.
fn every(period: Duration) -> Interval {
    let mut ticks = tokio::time::interval_at(Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
