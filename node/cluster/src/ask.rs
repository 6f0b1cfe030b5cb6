//! Asks the other nodes before an attempt, tells them its end, and says goodbye to them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::claim::{Claim, ClaimRequest, Ended, Grant, Release};
use crate::core::{Core, lock};
use crate::mesh::message::{self, ClaimAnswer, KeyStamp, Message};
use crate::metrics::Counts;
use crate::mono;
use crate::owner;
use crate::record;
use crate::sync::Replica;

/// A leaving node waits this long for peers to have everything.
const GOODBYE_WAIT: Duration = Duration::from_secs(5);
/// And this long for answers to its goodbye.
const LEAVE_WAIT: Duration = Duration::from_secs(1);

impl Core {
    /// Claims on the crate's own runtime, whose timers are real whatever the caller's are.
    pub(crate) async fn claim(self: &Arc<Self>, request: ClaimRequest) -> Claim {
        let core = Arc::clone(self);
        match self.net.runtime.get() {
            // With nobody to ask, a hop to the other thread and back would cost more than all else here.
            Some(_) if !self.options.claim_wait.is_zero() && !self.net.has_controls() => {
                let (key, began) = (request.key.clone(), self.begin_claim(&request));
                self.judge(&key, began, Vec::new())
            }
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
    pub(crate) fn tell_release(&self, ended: Ended) {
        if !self.net.has_controls() {
            return;
        }
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
    pub(crate) async fn say_goodbye(self: &Arc<Self>) {
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
}
