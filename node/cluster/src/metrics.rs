//! What the cluster counts, as plain values; whoever prints metrics gives them their names.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::member::Change;
use crate::record::Kind;
use crate::store::StoreFacts;
use crate::view::MemberState;

/// Counters that parts of the cluster raise.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) joined: AtomicU64,
    pub(crate) left: AtomicU64,
    pub(crate) updates: AtomicU64,
    pub(crate) reconnections: AtomicU64,
    pub(crate) reconnections_failed: AtomicU64,
    pub(crate) refresh_joins: AtomicU64,
    pub(crate) refresh_joins_failed: AtomicU64,
    pub(crate) name_conflicts: AtomicU64,
    pub(crate) pushes_sent: AtomicU64,
    pub(crate) push_bytes_sent: AtomicU64,
    pub(crate) pushes_received: AtomicU64,
    pub(crate) push_bytes_received: AtomicU64,
    pub(crate) syncs_sent: AtomicU64,
    pub(crate) sync_bytes_sent: AtomicU64,
    pub(crate) syncs_received: AtomicU64,
    pub(crate) sync_bytes_received: AtomicU64,
    pub(crate) sync_runs: AtomicU64,
    pub(crate) sync_failures: AtomicU64,
    pub(crate) sync_repaired: AtomicU64,
    pub(crate) sync_micros: AtomicU64,
    pub(crate) rejects: AtomicU64,
    pub(crate) unknown_frames: AtomicU64,
    pub(crate) gossip_restarts: AtomicU64,
    pub(crate) claims_granted: AtomicU64,
    pub(crate) claims_busy: AtomicU64,
    pub(crate) claims_done: AtomicU64,
    pub(crate) claim_micros: AtomicU64,
    pub(crate) degraded_disk: AtomicU64,
    pub(crate) degraded_slow_disk: AtomicU64,
    pub(crate) degraded_peers: AtomicU64,
    pub(crate) writes: AtomicU64,
    pub(crate) write_micros: AtomicU64,
    pub(crate) streams_dialled: AtomicU64,
    pub(crate) streams_accepted: AtomicU64,
    pub(crate) read_errors: AtomicU64,
    pub(crate) write_errors: AtomicU64,
    stalls: AtomicU64,
    /// Monotonic milliseconds of the last one's begin and end; the end is 0 if there was none.
    stall_from_ms: AtomicU64,
    stall_to_ms: AtomicU64,
    /// Monotonic milliseconds of the last tick.
    tick_ms: AtomicU64,
}

/// A tick that comes this late was a stall.
const STALL: Duration = Duration::from_millis(1_200);

impl Counts {
    pub(crate) fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn add_time(counter: &AtomicU64, time: Duration) {
        Self::add(counter, u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// A connection's reader ended; that the other side closed it is no error.
    pub(crate) fn read_ended(&self, ended: &std::io::Result<()>) {
        if let Err(error) = ended
            && error.kind() != std::io::ErrorKind::UnexpectedEof
        {
            Self::add(&self.read_errors, 1);
        }
    }

    /// The clockwork ticks; answers for how long it stood still since the last tick, if it did.
    pub(crate) fn ticked(&self, now: Duration) -> Option<Duration> {
        let stalled = self.is_stalled(now);
        self.stalls.fetch_add(u64::from(stalled), Ordering::Relaxed);
        let now_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let last_ms = self.tick_ms.load(Ordering::Relaxed);
        if stalled {
            self.stall_from_ms.store(last_ms, Ordering::Relaxed);
            self.stall_to_ms.store(now_ms, Ordering::Relaxed);
        }
        // Who sees by this tick that the stall is over sees when it was.
        self.tick_ms.store(now_ms, Ordering::Release);
        stalled.then(|| Duration::from_millis(now_ms.saturating_sub(last_ms)))
    }

    /// How long ago the last stall that a tick has found began and ended.
    pub(crate) fn last_stall(&self, now: Duration) -> Option<(Duration, Duration)> {
        let ago =
            |ms: &AtomicU64| now.saturating_sub(Duration::from_millis(ms.load(Ordering::Relaxed)));
        let found = self.stall_to_ms.load(Ordering::Relaxed) != 0;
        found.then(|| (ago(&self.stall_from_ms), ago(&self.stall_to_ms)))
    }

    /// Whether the clockwork should have ticked long ago.
    pub(crate) fn is_stalled(&self, now: Duration) -> bool {
        match self.tick_ms.load(Ordering::Acquire) {
            0 => false,
            last => STALL < now.saturating_sub(Duration::from_millis(last)),
        }
    }

    /// Stalls until now; one that the next tick will find counts already.
    pub(crate) fn stalls(&self, now: Duration) -> u64 {
        self.stalls.load(Ordering::Relaxed) + u64::from(self.is_stalled(now))
    }

    pub(crate) fn member_changed(&self, change: &Change) {
        let counter = match change.to {
            MemberState::Live => &self.joined,
            MemberState::Left | MemberState::Dead | MemberState::Unreachable
                if change.from == Some(MemberState::Live) =>
            {
                &self.left
            }
            _ => &self.updates,
        };
        Self::add(counter, 1);
    }
}

/// Everything the cluster counts and measures, at one moment. Totals are since start.
#[derive(Clone, Debug, Default)]
pub struct ClusterFacts {
    /// Times a member became live.
    pub peers_joined: u64,
    /// Times a live member left, died or became unreachable.
    pub peers_left: u64,
    /// Other changes of members.
    pub peers_updated: u64,
    /// Dials that brought a known member back, and those that failed.
    pub reconnections: u64,
    /// See `reconnections`.
    pub reconnections_failed: u64,
    /// Addresses newly found by resolving names, and lookups that failed.
    pub refresh_joins: u64,
    /// See `refresh_joins`.
    pub refresh_joins_failed: u64,
    /// Handshakes with a name that is in use.
    pub name_conflicts: u64,
    /// Connections made by this node, whose handshake succeeded.
    pub streams_dialled: u64,
    /// Connections made by others, whose handshake succeeded.
    pub streams_accepted: u64,
    /// Connections that ended with an error while they were read.
    pub read_errors: u64,
    /// The same while they were written.
    pub write_errors: u64,
    /// Pushes (`update`) sent, in messages and bytes.
    pub pushes_sent: u64,
    /// See `pushes_sent`.
    pub push_bytes_sent: u64,
    /// Pushes received, in messages and bytes.
    pub pushes_received: u64,
    /// See `pushes_received`.
    pub push_bytes_received: u64,
    /// Messages of digest syncs (`full_state`) sent, in messages and bytes.
    pub syncs_sent: u64,
    /// See `syncs_sent`.
    pub sync_bytes_sent: u64,
    /// Messages of digest syncs received, in messages and bytes.
    pub syncs_received: u64,
    /// See `syncs_received`.
    pub sync_bytes_received: u64,
    /// Digest syncs that this node began and finished; those that broke off; their time; records they brought here.
    pub sync_runs: u64,
    /// See `sync_runs`.
    pub sync_failures: u64,
    /// See `sync_runs`.
    pub sync_time: Duration,
    /// See `sync_runs`.
    pub sync_repaired: u64,
    /// Handshakes refused, by either side.
    pub rejects: u64,
    /// The same by code, in the order of the codes' names.
    pub rejects_by_code: Vec<(&'static str, u64)>,
    /// Frames of a type this version does not know.
    pub unknown_frames: u64,
    /// Times the gossip task ended and was started again.
    pub gossip_restarts: u64,
    /// Claims by answer, and their time.
    pub claims_granted: u64,
    /// See `claims_granted`.
    pub claims_busy: u64,
    /// See `claims_granted`.
    pub claims_done: u64,
    /// See `claims_granted`.
    pub claim_time: Duration,
    /// Waited-for writes and their time.
    pub writes: u64,
    /// See `writes`.
    pub write_time: Duration,
    /// Degraded writes by [`crate::Why`].
    pub degraded_disk: u64,
    /// See `degraded_disk`.
    pub degraded_slow_disk: u64,
    /// See `degraded_disk`.
    pub degraded_peers: u64,
    /// Times this process stood still for more than a second.
    pub stalls: u64,
    /// Records refused as malformed, from far ahead of the local clock, expired and dropped.
    pub records_malformed: u64,
    /// See `records_malformed`.
    pub records_ahead: u64,
    /// See `records_malformed`.
    pub records_expired: u64,
    /// For each kind how often records were looked through for expired ones, and the time of that.
    pub sweeps: Vec<(Kind, u64, Duration)>,
    /// Whether strangers are kept out.
    pub authenticated: bool,
    /// How many late or lagging peers: upstream's health score.
    pub health_score: u64,
    /// Records waiting to be sent, all peers together, and dropped by overflow.
    pub messages_queued: u64,
    /// See `messages_queued`.
    pub messages_pruned: u64,
    /// Attempts whose request is written and not answered.
    pub claims_in_flight: usize,
    /// One for each peer that is not forgotten.
    pub peers: Vec<PeerFacts>,
    /// Root digest of each kind.
    pub digests: Vec<(Kind, u64)>,
    /// The disk.
    pub store: StoreFacts,
}

/// Upper bounds of [`Pings::buckets`], in seconds.
pub const PING_BOUNDS: [f64; 7] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5];

/// Round trips of Pings to one peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pings {
    /// How many were answered.
    pub count: u64,
    /// Their time in total.
    pub time: Duration,
    /// By duration, cumulative, bounds [`PING_BOUNDS`].
    pub buckets: [u64; PING_BOUNDS.len()],
}

impl Pings {
    pub(crate) fn add(&mut self, round_trip: Duration) {
        self.count += 1;
        self.time += round_trip;
        let seconds = round_trip.as_secs_f64();
        for (bound, count) in PING_BOUNDS.into_iter().zip(self.buckets.iter_mut()) {
            *count += u64::from(seconds <= bound);
        }
    }
}

/// One peer's figures.
#[derive(Clone, Debug)]
pub struct PeerFacts {
    /// Node id.
    pub name: String,
    /// `host:port`.
    pub address: String,
    /// Live, unreachable, dead or left.
    pub state: MemberState,
    /// Age of the oldest record that it has not acknowledged.
    pub lag: Duration,
    /// Bytes waiting to be sent to it.
    pub queue_bytes: usize,
    /// Its clock minus ours, in milliseconds.
    pub clock_offset_ms: Option<i64>,
    /// Of the last Ping.
    pub round_trip: Option<Duration>,
    /// All answered Pings of this process to it; also what upstream calls its alive messages.
    pub pings: Pings,
    /// Since its last Pong.
    pub last_contact: Option<Duration>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_counts_once_before_and_after_its_tick() {
        let counts = Counts::default();
        let at = |ms: u64| Duration::from_millis(5_000 + ms);
        assert_eq!(counts.ticked(at(0)), None);
        assert_eq!(counts.stalls(at(1_100)), 0);
        assert_eq!(counts.stalls(at(1_300)), 1);
        assert_eq!(counts.ticked(at(1_300)), Some(Duration::from_millis(1_300)));
        assert_eq!(counts.stalls(at(1_301)), 1);
    }
}
