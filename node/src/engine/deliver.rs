//! What happens to a due group: its members are looked at, and each integration of its receiver is told what it does not
//! know yet, by one node of the cluster.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use tocsin_cluster::{Busy, Claim, ClaimRequest, Grant, Rank, Release, Stamp, kind};
use tocsin_core::group::Batch;
use tocsin_core::history;
use tocsin_core::nflog::{Entry, EntryKey, Reason, needs_update};
use tocsin_core::route::Route;
use tocsin_core::time;
use tokio::sync::{Notify, SemaphorePermit};
use tokio::time::Instant;
use tracing::{debug, error};

use super::counts::IntegrationNumbers;
use super::live::{Integration, Live};
use super::log::Logged;
use super::look::{Ended, Look, look};
use super::sending::Sending;
use super::{Flushed, Shared, record};
use crate::events::{self, EventData, GroupedAlert};
use crate::message::Kv;
use crate::notify::{self, Attempt, Attempts, Context, Outcome, ReceiverData, SendError, Sent};
use crate::trace::{Kind, Span};

/// No flush has less time than this.
const DEADLINE_MIN: Duration = Duration::from_secs(10);

/// How often a flush that waits asks whether those before it have failed.
const GLANCE: Duration = Duration::from_millis(300);

/// A flush on its way.
pub(super) struct Flush {
    shared: Arc<Shared>,
    live: Arc<Live>,
    route: Arc<Route>,
    batch: Batch,
    began: Instant,
    /// Stalls of the process until then.
    stalls: u64,
}

/// How one integration ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// It was told, or there was nothing to tell it.
    Told,
    /// Another node has told it at this tick; what it did not tell yet is told at the next one.
    ByAnother,
    /// It could not be told; the group keeps what has ended.
    Failed,
}

impl Flush {
    /// A flush of that batch; `None` when its route is gone.
    pub(super) fn new(shared: Arc<Shared>, live: Arc<Live>, batch: Batch) -> Option<Self> {
        let route = live.routes().get(batch.route)?.clone();
        let stalls = shared.cluster.stalls();
        Some(Self { shared, live, route, batch, began: Instant::now(), stalls })
    }

    /// What the loop must know when this flush comes to nothing.
    pub(super) fn nothing(&self) -> Flushed {
        Flushed { group: self.batch.id, tick: self.batch.tick, removed: Vec::new() }
    }

    /// Tells everybody; answers what the loop must know.
    pub(super) async fn run(self) -> Flushed {
        let mut span = Span::root(self.live.spans(), "dispatch.AggregationGroup.flush")
            .with("alerting.aggregation_group.key", &*self.batch.key)
            .with("alerting.alerts.count", self.batch.members.len());
        let (flushed, failed) = span.scope(self.stages()).await;
        if failed {
            span.fail("notification failed");
        }
        flushed
    }

    /// Answers also whether somebody could not be told.
    async fn stages(&self) -> (Flushed, bool) {
        let mut first = {
            let _span = Span::child("notify.MuteStage.Exec", Kind::Internal)
                .with("alerting.alerts.count", self.batch.members.len());
            self.look(&self.batch.members)
        };
        for (why, alerts) in &first.taken_out {
            self.shared.counts.suppressed(*why, *alerts);
        }
        self.shared.dispatch.mark(self.batch.id, first.marks.clone());
        for event in std::mem::take(&mut first.events) {
            self.shared.recorder.record(|| event);
        }
        debug!(group_key = %self.batch.key, alerts = first.alerts.len(), "flushing group");
        let ended = std::mem::take(&mut first.ended);
        if first.alerts.is_empty() {
            return (self.flushed(&ended, &[]), false);
        }
        let first = Arc::new(first);
        let integrations = self.live.integrations(&self.route.receiver).iter();
        let told = join_all(integrations.map(|one| self.tell(one, Arc::clone(&first))));
        // A receiver that is down for long must not keep copies of its alerts in memory.
        drop(first);
        let ends = told.await;
        (self.flushed(&ended, &ends), ends.contains(&End::Failed))
    }

    fn flushed(&self, ended: &[Ended], ends: &[End]) -> Flushed {
        let removed = if ends.contains(&End::Failed) {
            Vec::new()
        } else {
            let all_told = !ends.contains(&End::ByAnother);
            let leaves = |hash| all_told || !self.is_listed_firing(hash);
            let ended = ended.iter().filter(|ended| leaves(ended.hash));
            ended.map(|ended| (ended.alert, ended.stamp)).collect()
        };
        Flushed { group: self.batch.id, tick: self.batch.tick, removed }
    }

    fn is_listed_firing(&self, hash: u64) -> bool {
        let (live, log) = (&self.live, &self.shared.log);
        super::dispatch::entries(&self.batch.key, &self.route.receiver, live, log)
            .any(|logged| logged.entry.lists_firing(hash))
    }

    fn look(&self, members: &[tocsin_core::label::Fingerprint]) -> Look {
        let now = self.shared.clock.now();
        look(&self.shared, &self.live, &self.route, members, self.batch.tick, now)
    }

    async fn tell(&self, integration: &Integration, first: Arc<Look>) -> End {
        let receiver = &self.route.receiver;
        let counts = &self.shared.counts;
        let mut delivery = Delivery {
            flush: self,
            integration,
            key: EntryKey {
                group_key: self.batch.key.as_ref().into(),
                receiver: receiver.clone(),
                integration: integration.kind.into(),
                index: integration.index,
            },
            context: self.context(&first),
            first: Some(first),
            pending: None,
            patience: Patience::default(),
            end: End::Told,
            counted: false,
            span: Span::default(),
        };
        let deadline = self.deadline();
        let outcome =
            notify::deliver(&integration.name, &mut delivery, deadline, &self.live.stop).await;
        match outcome {
            Outcome::Nothing => delivery.end,
            Outcome::Sent { .. } => End::Told,
            Outcome::Failed(failure) => {
                delivery.count_begin();
                counts.integration(integration.kind, receiver, |n| n.failure(failure.reason));
                if self.live.stop.is_cancelled() {
                    debug!(receiver = %receiver, group_key = %self.batch.key, error = %failure, "notification abandoned");
                } else {
                    error!(receiver = %receiver, group_key = %self.batch.key, error = %failure, "notification failed");
                }
                End::Failed
            }
        }
    }

    fn context(&self, first: &Look) -> Context {
        let group_labels: Kv = self.batch.labels.iter().collect();
        let route_labels = self.live.route_labels(&self.route, &group_labels, &first.alerts);
        Context::new(self.batch.key.as_ref().to_owned(), group_labels, route_labels)
    }

    fn deadline(&self) -> Instant {
        let cluster = &self.shared.cluster;
        let waits = cluster.rank_wait(cluster.rank(self.batch.key.as_bytes()).own);
        self.began + self.route.group_interval.max(DEADLINE_MIN) + waits
    }
}

/// One integration on its way to be told.
struct Delivery<'a> {
    flush: &'a Flush,
    integration: &'a Integration,
    key: EntryKey,
    context: Context,
    /// The look of the tick, as long as nothing can have changed since.
    first: Option<Arc<Look>>,
    pending: Option<Pending<'a>>,
    /// How long to wait for another node that is at it.
    patience: Patience,
    end: End,
    counted: bool,
    /// From the first attempt to the last.
    span: Span,
}

/// An attempt that may be made now.
struct Pending<'a> {
    plan: Plan,
    /// The stamp of the moment when its request was written.
    moment: u64,
    /// The alerts, for the recorder; empty unless it is on.
    told: Vec<GroupedAlert>,
    grant: Grant,
    _sending: Sending,
    _permit: SemaphorePermit<'a>,
}

/// What the others say to an attempt.
enum Answer {
    /// Make it.
    Go(Grant),
    /// Something has changed.
    LookAgain,
    /// One of them is at it.
    Wait(Busy),
}

/// What the coming attempt tells.
struct Plan {
    reason: Reason,
    firing: Vec<u64>,
    resolved: Vec<u64>,
    muted: Vec<u64>,
    data: ReceiverData,
    /// The entry that this is based on.
    known: Option<Stamp>,
}

impl Delivery<'_> {
    /// What there is to tell now, if anything; `end` says why not.
    fn plan(&mut self) -> Option<(Plan, Arc<Look>)> {
        let flush = self.flush;
        let shared = &flush.shared;
        let look = self
            .first
            .take()
            .unwrap_or_else(|| Arc::new(flush.look(&shared.dispatch.members(flush.batch.id))));
        let _span = Span::child("notify.DedupStage.Exec", Kind::Internal)
            .with("alerting.group.key", &*flush.batch.key)
            .with("alerting.alerts.count", look.alerts.len());
        let logged = shared.counts.log_query_time.of(|| shared.log.get(&self.key));
        shared.counts.log_query(logged.is_some());
        if logged.as_ref().is_some_and(|logged| self.is_done_by(logged)) {
            self.end = End::ByAnother;
            return None;
        }
        self.end = End::Told;
        if look.alerts.is_empty() {
            return None;
        }
        let entry = logged.as_ref().map(|logged| &logged.entry);
        let reason = needs_update(
            entry,
            &look.firing,
            &look.resolved,
            self.integration.send_resolved,
            flush.route.repeat_interval,
            flush.batch.tick,
        )?;
        let data = match (reason, entry) {
            (Reason::First, _) | (_, None) => ReceiverData::new(),
            (_, Some(entry)) => entry.data.clone(),
        };
        let (firing, resolved) = (look.firing.clone(), look.resolved.clone());
        let muted = look.muted.clone();
        let known = logged.as_ref().map(|logged| logged.stamp);
        Some((Plan { reason, firing, resolved, muted, data, known }, look))
    }

    fn is_done_by(&self, logged: &Logged) -> bool {
        let Flush { route, batch, .. } = self.flush;
        logged.entry.covers(logged.arrived_at, batch.tick, route.group_interval)
    }

    /// Whether this node goes now: it is the first, or has waited long enough, or those before it have failed.
    fn is_our_turn(&self) -> bool {
        let Flush { shared, batch, .. } = self.flush;
        let rank = shared.cluster.rank(batch.key.as_bytes());
        if rank.is_owner() {
            return true;
        }
        let waited = self.patience_ends(&rank) <= Instant::now();
        let failed = || shared.cluster.all_better_failed(self.key.to_string().as_bytes(), &rank);
        let turn = waited || failed();
        if turn && !self.counted {
            shared.counts.takeover(if waited { "waited" } else { "failed" });
        }
        turn
    }

    /// When a node of that rank goes at the latest.
    fn patience_ends(&self, rank: &Rank) -> Instant {
        self.flush.began + self.flush.shared.cluster.rank_wait(rank.own)
    }

    /// Waits for news of those who go first; everything must be looked at again afterwards.
    async fn wait_for_others(&self, told: &Notify) {
        let cluster = &self.flush.shared.cluster;
        let mut view = cluster.watch();
        let rank = cluster.rank(self.flush.batch.key.as_bytes());
        let until = self.patience_ends(&rank);
        let key = self.key.to_string();
        // Failures are asked for now and then: news of every claim would wake every flush that waits.
        while !cluster.all_better_failed(key.as_bytes(), &rank) && Instant::now() < until {
            tokio::select! {
                () = tokio::time::sleep_until(until.min(Instant::now() + GLANCE)) => {}
                _ = view.changed() => return,
                () = told.notified() => return,
            }
        }
    }

    /// Asks the others. `stalls`: those until the plan was made.
    async fn claim(&self, plan: &Plan, look: &Look, stalls: u64) -> Answer {
        let Flush { shared, batch, .. } = self.flush;
        let request = ClaimRequest {
            kind: kind::LOG,
            key: self.key.to_string().into(),
            group_key: batch.key.as_bytes().to_vec().into(),
            known: plan.known,
            hold: self.claim_hold(),
        };
        match shared.cluster.claim(request).await {
            Claim::Granted(grant) => {
                shared.counts.claim("grant");
                let same = look.silences_version == shared.silences.version();
                let awake = stalls == shared.cluster.stalls();
                if same && awake && !grant.is_lost() {
                    Answer::Go(grant)
                } else {
                    Answer::LookAgain
                }
            }
            Claim::Busy(busy) => {
                shared.counts.claim("busy");
                Answer::Wait(busy)
            }
            Claim::Done => {
                shared.counts.claim("done");
                Answer::LookAgain
            }
        }
    }

    fn claim_hold(&self) -> Duration {
        let twice = self.flush.shared.options.cluster.peer_timeout * 2;
        twice.max(self.integration.notifier.timeout().unwrap_or_default())
    }

    fn count_begin(&mut self) {
        if !self.counted {
            self.counted = true;
            let receiver = &*self.flush.route.receiver;
            let (kind, alerts) = (self.integration.kind, self.flush.batch.members.len());
            self.span = Span::child("notify.RetryStage.Exec", Kind::Internal)
                .with("alerting.group.name", receiver)
                .with("alerting.integration.name", kind)
                .with("alerting.label.values", [kind, receiver].as_slice())
                .with("alerting.alerts.count", alerts);
            let change = |numbers: &mut IntegrationNumbers| numbers.notifications += 1;
            self.flush.shared.counts.integration(self.integration.kind, receiver, change);
        }
    }

    fn notification_event(&self, plan: &Plan, alerts: Vec<GroupedAlert>) -> EventData {
        let Flush { shared, route, batch, .. } = self.flush;
        let group = record::group(&shared.recorder, route, batch.id, &batch.key, &batch.labels);
        EventData::Notification(Box::new(events::Notification {
            alerts,
            firing_alerts: GroupedAlert::hashes(&plan.firing),
            resolved_alerts: GroupedAlert::hashes(&plan.resolved),
            muted_alerts: GroupedAlert::hashes(&plan.muted),
            group_info: group,
            repeat_interval: events::Seconds(route.repeat_interval),
            reason: events::reason(plan.reason),
            flush_id: events::Number(batch.number),
            integration: events::Integration {
                name: self.integration.kind,
                index: events::Number(self.integration.index.into()),
            },
        }))
    }

    fn entry(&self, plan: &Plan, sent: &Sent, at: Timestamp) -> Entry {
        Entry {
            timestamp: at,
            flush_at: self.flush.batch.tick,
            firing: plan.firing.clone(),
            resolved: plan.resolved.clone(),
            data: sent.receiver_data.clone().unwrap_or_else(|| plan.data.clone()),
        }
    }
}

impl Attempts for Delivery<'_> {
    async fn next(&mut self, _attempt: u32) -> Option<notify::Batch> {
        let shared = Arc::clone(&self.flush.shared);
        let mut permit = None;
        loop {
            let told = shared.waiters.of(&self.flush.batch.key);
            let waited = shared.cluster.wait_caught_up().await;
            let stalls = shared.cluster.stalls();
            if waited || stalls != self.flush.stalls {
                // Seen before what was missed came in.
                self.first = None;
            }
            let (plan, look) = self.plan()?;
            // Copies of alerts are for those who may go on: whoever waits looks again afterwards.
            if !self.is_our_turn() {
                drop((plan, look, permit.take()));
                self.wait_for_others(&told).await;
                continue;
            }
            let free = permit.take().or_else(|| self.integration.permits.try_acquire().ok());
            let Some(free) = free else {
                drop((plan, look));
                // Closed never: the semaphore lives as long as the integration.
                permit = self.integration.permits.acquire().await.ok();
                continue;
            };
            let Some(sending) = shared.sendings.begin(&self.key).await else { continue };
            let grant = match self.claim(&plan, &look, stalls).await {
                Answer::Go(grant) => grant,
                Answer::LookAgain => continue,
                Answer::Wait(busy) => {
                    drop((plan, look, sending, free));
                    busy.wait(self.patience.next()).await;
                    continue;
                }
            };
            self.count_begin();
            let batch = notify::Batch {
                alerts: Arc::try_unwrap(look)
                    .map_or_else(|look| look.alerts.clone(), |look| look.alerts),
                reason: plan.reason.as_str(),
                receiver_data: plan.data.clone(),
            };
            let recording = shared.recorder.is_on();
            let told = batch.alerts.iter().filter(|_| recording).map(record::told).collect();
            self.pending =
                Some(Pending { plan, moment: 0, told, grant, _sending: sending, _permit: free });
            return Some(batch);
        }
    }

    async fn send(&mut self, batch: notify::Batch) -> Result<Sent, SendError> {
        if let Some(pending) = &mut self.pending {
            pending.moment = self.flush.shared.cluster.put(|writer| writer.moment());
            pending.grant.sending();
        }
        let kind = self.integration.kind;
        let mut span = self
            .span
            .inner("notify.Integration.Notify", Kind::Client)
            .with("alerting.notify.integration.name", kind)
            .with("alerting.alerts.count", batch.alerts.len())
            .telling(kind);
        let result = span.scope(self.integration.notifier.send(&self.context, &batch)).await;
        let retry = result.as_ref().is_err_and(SendError::retry);
        span.set("alerting.notify.error.recoverable", retry);
        if let Err(error) = &result {
            span.fail(notify::report(error));
        }
        result
    }

    async fn done(&mut self, attempt: &Attempt<'_>) {
        let Some(mut pending) = self.pending.take() else { return };
        let Flush { shared, route, .. } = self.flush;
        let at = time::sub(shared.clock.now(), attempt.began.elapsed());
        let skipped = matches!(attempt.result, Some(Ok(Sent { skipped: true, .. })));
        let mut told = None;
        if !skipped {
            let failed = !matches!(attempt.result, Some(Ok(_)));
            let count = |numbers: &mut IntegrationNumbers| numbers.attempt(attempt.took, failed);
            shared.counts.integration(self.integration.kind, &route.receiver, count);
            told = Some(self.flush.told(&pending.plan, attempt, at));
        }
        let Some(Ok(sent)) = attempt.result else {
            if let Some(told) = told {
                shared.write_history(&self.key, told);
            }
            pending.grant.release(Release::Failed);
            return;
        };
        if !skipped {
            let alerts = std::mem::take(&mut pending.told);
            shared.recorder.record(|| self.notification_event(&pending.plan, alerts));
        }
        let entry = self.entry(&pending.plan, sent, at);
        let _span = Span::child("notify.SetNotifiesStage.Exec", Kind::Internal)
            .with("alerting.group.key", &*self.flush.batch.key)
            .with("alerting.alerts.count", entry.firing.len() + entry.resolved.len());
        let moment = pending.moment;
        shared.write_log(&self.key, &entry, moment, route.repeat_interval, told).await;
        pending.grant.release(Release::Ok);
    }
}

impl Flush {
    /// An attempt as the history keeps it.
    fn told(&self, plan: &Plan, attempt: &Attempt<'_>, at: Timestamp) -> history::Attempt {
        let (outcome, text) = match attempt.result {
            Some(Ok(_)) => (history::Outcome::Sent, String::new()),
            Some(Err(error)) if error.retry() => (history::Outcome::Retried, notify::report(error)),
            Some(Err(error)) => (history::Outcome::Failed, notify::report(error)),
            None => (history::Outcome::Failed, "no answer in time".to_owned()),
        };
        history::Attempt {
            at,
            node: self.shared.cluster.name().into(),
            reason: plan.reason,
            outcome,
            text: text.into(),
            firing: u32::try_from(plan.firing.len()).unwrap_or(u32::MAX),
            resolved: u32::try_from(plan.resolved.len()).unwrap_or(u32::MAX),
        }
    }
}

/// 200 ms, doubling to 5 s, give or take a quarter.
#[derive(Debug, Default)]
struct Patience {
    waits: u32,
}

impl Patience {
    fn next(&mut self) -> Duration {
        let wait = Duration::from_millis(200 << self.waits.min(5)).min(Duration::from_secs(5));
        self.waits += 1;
        let part = getrandom::u32().map_or(0.5, |bits| f64::from(bits) / f64::from(u32::MAX));
        wait.mul_f64(0.75 + part / 2.0)
    }
}
