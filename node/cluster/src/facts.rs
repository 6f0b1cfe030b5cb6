//! Gathers what all parts count into one plain value.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::core::{Core, lock};
use crate::metrics::{ClusterFacts, Counts, PeerFacts};
use crate::mono;
use crate::options::Trust;
use crate::view::MemberState;
use crate::wait::{Outcome, Why};

impl Core {
    pub(crate) fn facts(&self) -> ClusterFacts {
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
        facts.sweeps = self.state.sweeps();
        facts.store = self.store.facts();
        facts.peers = peers;
        facts
    }
}

impl Counts {
    pub(crate) fn wrote(&self, begun: Duration, outcome: &Outcome) {
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

    pub(crate) fn facts(&self) -> ClusterFacts {
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
            streams_dialled: get(&self.streams_dialled),
            streams_accepted: get(&self.streams_accepted),
            read_errors: get(&self.read_errors),
            write_errors: get(&self.write_errors),
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
