//! Asks the others before each attempt of a notification, so that two nodes that can talk never send the same one at once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

use crate::mono;
use crate::record::{Kind, Record, Stamp};

/// One attempt that this node wants to make.
#[derive(Clone, Debug)]
pub struct ClaimRequest {
    /// Kind of the record that tells of its success.
    pub kind: Kind,
    /// Key of that record; what is claimed.
    pub key: Bytes,
    /// The group's key: decides who goes first, as in [`crate::Cluster::rank`].
    pub group_key: Bytes,
    /// Stamp of that record as the decision to send saw it.
    pub known: Option<Stamp>,
    /// How long others hear that this attempt is in flight after its request was written.
    pub hold: Duration,
}

/// What the others said.
#[derive(Debug)]
pub enum Claim {
    /// Nobody objects: send now, then release.
    Granted(Grant),
    /// Somebody sends it or goes first: wait, then look again.
    Busy(Busy),
    /// Somebody has done it; the record is merged: look again.
    Done,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// Sent; the record is written.
    Ok,
    /// The receiver failed: another node may try.
    Failed,
    /// Not tried, or stopped.
    Abandoned,
}

/// Permission for one attempt. Dropping it abandons the attempt.
#[derive(Debug)]
pub struct Grant {
    pub(crate) claims: Arc<Claims>,
    pub(crate) key: Bytes,
    pub(crate) number: u64,
    pub(crate) ended: bool,
}

impl Grant {
    /// The request is about to be written: from now on others are told `Busy`, for the hold time.
    pub fn sending(&self) {
        self.claims.sending(&self.key, self.number);
    }

    /// Whether a peer with a higher score took the claim over while it was pending; then look again instead of sending.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        !self.claims.holds(&self.key, self.number)
    }

    /// Ends the attempt and tells the others.
    pub fn release(mut self, how: Release) {
        self.ended = true;
        self.claims.release(&self.key, self.number, how);
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        if !self.ended {
            self.claims.release(&self.key, self.number, Release::Abandoned);
        }
    }
}

/// Somebody else is at it.
#[derive(Debug)]
pub struct Busy {
    /// Node id of who said so.
    pub by: String,
    pub(crate) changed: watch::Receiver<u64>,
}

impl Busy {
    /// Waits until any peer releases a claim or dies, at most `bound`.
    pub async fn wait(mut self, bound: Duration) {
        // Elapsed or changed: the caller looks again in both cases.
        let _ = tokio::time::timeout(bound, self.changed.changed()).await;
    }
}

/// What this node wants to tell the others about an ended claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) key: Bytes,
    pub(crate) kind: Kind,
    pub(crate) how: Release,
}

/// Failures that are remembered; beyond this the oldest keys go.
const FAILURES_MAX: usize = 10_000;

/// The claims of this node.
pub(crate) struct Claims {
    open: Mutex<HashMap<Bytes, Open>>,
    /// Nodes that released a key as failed and have not claimed it since, with the time of the last.
    failures: Mutex<Failures>,
    next: AtomicU64,
    /// Rises at each release and death, wherever.
    changed: watch::Sender<u64>,
    /// Takes what ended, to be told.
    tell: Box<dyn Fn(Ended) + Send + Sync>,
}

impl std::fmt::Debug for Claims {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Claims").finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Open {
    number: u64,
    kind: Kind,
    score: u64,
    node: u64,
    hold: Duration,
    /// Once the request is being written.
    sent_at: Option<Duration>,
}

/// A peer's question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) kind: Kind,
    pub(crate) key: Bytes,
    pub(crate) score: u64,
    pub(crate) node: u64,
    pub(crate) known: Option<Stamp>,
}

/// The answer to a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Grant,
    Busy,
    Done(Record),
}

impl Claims {
    pub(crate) fn new(tell: Box<dyn Fn(Ended) + Send + Sync>) -> Self {
        Self {
            open: Mutex::default(),
            failures: Mutex::default(),
            next: AtomicU64::new(1),
            changed: watch::Sender::new(0),
            tell,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Bytes, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what this node is about to ask; a claim of the same key that this node still has open is replaced.
    pub(crate) fn begin(&self, request: &ClaimRequest, score: u64, node: u64) -> u64 {
        let mut open = self.lock();
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (kind, hold) = (request.kind, request.hold);
        let claim = Open { number, kind, score, node, hold, sent_at: None };
        open.insert(request.key.clone(), claim);
        number
    }

    /// What this node answers to a peer; gives up its own pending claim of a lower score.
    pub(crate) fn answer(&self, asked: &Asked, current: Option<Record>, now: Duration) -> Answer {
        if let Some(record) = current
            && asked.known.is_none_or(|known| known < record.stamp)
        {
            return Answer::Done(record);
        }
        self.tries_again(&asked.key, asked.node);
        let mut open = self.lock();
        let Some(claim) = open.get(&asked.key) else { return Answer::Grant };
        let in_flight = claim.sent_at.is_some_and(|at| now.saturating_sub(at) < claim.hold);
        let before =
            claim.sent_at.is_none() && (claim.score, claim.node) > (asked.score, asked.node);
        if in_flight || before {
            return Answer::Busy;
        }
        if claim.sent_at.is_none() {
            open.remove(&asked.key);
        }
        Answer::Grant
    }

    fn sending(&self, key: &Bytes, number: u64) {
        if let Some(claim) = self.lock().get_mut(key).filter(|claim| claim.number == number) {
            claim.sent_at = Some(mono::now());
        }
    }

    pub(crate) fn holds(&self, key: &Bytes, number: u64) -> bool {
        self.lock().get(key).is_some_and(|claim| claim.number == number)
    }

    pub(crate) fn release(&self, key: &Bytes, number: u64, how: Release) {
        let ended = {
            let mut open = self.lock();
            let ours = open.get(key).is_some_and(|claim| claim.number == number);
            if ours { open.remove(key) } else { None }
        };
        if let Some(claim) = ended {
            (self.tell)(Ended { key: key.clone(), kind: claim.kind, how });
            self.something_changed();
        }
    }

    /// A release was heard or a peer died: whoever waits looks again.
    pub(crate) fn something_changed(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    /// A peer released `key`.
    pub(crate) fn released(&self, key: &Bytes, node: u64, failed: bool) {
        if failed {
            let mut failures = lock_failures(&self.failures);
            if FAILURES_MAX <= failures.len()
                && let Some(oldest) = failures.iter().min_by_key(|(_, (at, _))| *at)
            {
                let oldest = oldest.0.clone();
                failures.remove(&oldest);
            }
            let (at, nodes) = failures.entry(key.clone()).or_default();
            *at = mono::now();
            nodes.retain(|of| *of != node);
            nodes.push(node);
        } else {
            self.tries_again(key, node);
        }
        self.something_changed();
    }

    fn tries_again(&self, key: &Bytes, node: u64) {
        let mut failures = lock_failures(&self.failures);
        if let Some((_, nodes)) = failures.get_mut(key) {
            nodes.retain(|of| *of != node);
            if nodes.is_empty() {
                failures.remove(key);
            }
        }
    }

    /// Whether all of `nodes` released `key` as failed and have not claimed it since.
    pub(crate) fn all_failed(&self, key: &[u8], nodes: &[u64]) -> bool {
        let failures = lock_failures(&self.failures);
        let failed = failures.get(key).map_or(&[][..], |(_, nodes)| nodes);
        nodes.iter().all(|node| failed.contains(node))
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub(crate) fn busy(&self, by: String) -> Busy {
        Busy { by, changed: self.changed.subscribe() }
    }

    /// Attempts whose request is written and not answered yet.
    pub(crate) fn in_flight(&self) -> usize {
        self.lock().values().filter(|claim| claim.sent_at.is_some()).count()
    }
}

type Failures = HashMap<Bytes, (Duration, Vec<u64>)>;

fn lock_failures(failures: &Mutex<Failures>) -> MutexGuard<'_, Failures> {
    failures.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims() -> Arc<Claims> {
        Arc::new(Claims::new(Box::new(|_| {})))
    }

    fn request() -> ClaimRequest {
        ClaimRequest {
            kind: 3,
            key: Bytes::from("key"),
            group_key: Bytes::from("group"),
            known: None,
            hold: Duration::from_secs(30),
        }
    }

    fn asked(score: u64) -> Asked {
        Asked { kind: 3, key: Bytes::from("key"), score, node: 2, known: None }
    }

    fn grant(claims: &Arc<Claims>, number: u64) -> Grant {
        Grant { claims: Arc::clone(claims), key: Bytes::from("key"), number, ended: false }
    }

    #[test]
    fn of_two_pending_claims_the_higher_score_goes() {
        let claims = claims();
        let number = claims.begin(&request(), 10, 1);
        assert_eq!(claims.answer(&asked(9), None, mono::now()), Answer::Busy);
        assert!(!grant(&claims, number).is_lost());
        let number = claims.begin(&request(), 10, 1);
        assert_eq!(claims.answer(&asked(11), None, mono::now()), Answer::Grant);
        assert!(grant(&claims, number).is_lost());
    }

    #[test]
    fn an_attempt_in_flight_is_busy_until_its_hold_ends() {
        let claims = claims();
        let number = claims.begin(&request(), 10, 1);
        let grant = grant(&claims, number);
        grant.sending();
        let now = mono::now();
        assert_eq!(claims.answer(&asked(99), None, now), Answer::Busy);
        let later = now + Duration::from_secs(31);
        assert_eq!(claims.answer(&asked(9), None, later), Answer::Grant);
        assert_eq!(claims.in_flight(), 1);
        grant.release(Release::Ok);
        assert_eq!(claims.answer(&asked(9), None, now), Answer::Grant);
    }

    #[test]
    fn a_newer_record_is_the_answer() {
        let record = Record {
            kind: 3,
            key: Bytes::from("key"),
            stamp: Stamp { rank: 0, hlc: 5, node: 1 },
            expires_at_ms: 9,
            body: Bytes::new(),
        };
        let knows = Asked { known: Some(record.stamp), ..asked(1) };
        let claims = claims();
        let now = mono::now();
        assert_eq!(claims.answer(&knows, Some(record.clone()), now), Answer::Grant);
        assert_eq!(claims.answer(&asked(1), Some(record.clone()), now), Answer::Done(record));
    }

    #[test]
    fn a_failure_stands_until_its_node_tries_again() {
        let claims = claims();
        let key = Bytes::from("key");
        assert!(claims.all_failed(b"key", &[]));
        claims.released(&key, 2, true);
        assert!(claims.all_failed(b"key", &[2]));
        assert!(!claims.all_failed(b"key", &[2, 3]));
        claims.answer(&asked(1), None, mono::now());
        assert!(!claims.all_failed(b"key", &[2]));
    }

    #[test]
    fn a_dropped_grant_is_abandoned_and_wakes_who_waits() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&told);
        let claims = Arc::new(Claims::new(Box::new(move |ended| {
            sink.lock().unwrap().push(ended.how);
        })));
        let number = claims.begin(&request(), 10, 1);
        let busy = claims.busy("b".into());
        drop(grant(&claims, number));
        assert_eq!(*told.lock().unwrap(), vec![Release::Abandoned]);
        assert!(busy.changed.has_changed().unwrap());
    }
}
