//! The time that engine and API reckon with: this machine's, unless the cluster agrees that it is wrong. Ends of alerts and
//! silences are moments of their senders, so a node whose clock is minutes off would tell ends late and firing again after
//! them, however rarely it is asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tocsin_cluster::{Cluster, View};
use tocsin_service::clock::Clock;
use tokio::time::Instant;
use tracing::{info, warn};

/// A clock further than this from the cluster's median is wrong, in milliseconds.
const WRONG_MS: i64 = 5_000;
/// Fewer live nodes cannot say whose clock it is.
const JUDGES: usize = 3;
/// How often this machine's clock is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The machine's clock and what is added to it.
pub(crate) struct ClusterClock {
    machine: Arc<dyn Clock>,
    correction_ms: AtomicI64,
}

impl Clock for ClusterClock {
    fn now(&self) -> Timestamp {
        let correction = Duration::from_millis(self.correction_ms().unsigned_abs());
        let now = self.machine.now();
        let moved = if self.correction_ms() < 0 {
            now.checked_sub(correction)
        } else {
            now.checked_add(correction)
        };
        moved.unwrap_or(now)
    }
}

impl ClusterClock {
    pub(crate) fn new(machine: Arc<dyn Clock>) -> Self {
        Self { machine, correction_ms: AtomicI64::new(0) }
    }

    fn correction_ms(&self) -> i64 {
        self.correction_ms.load(Ordering::Relaxed)
    }

    /// Keeps to what the cluster says, as long as it lives.
    pub(crate) async fn follow(&self, cluster: &Cluster) {
        let mut view = cluster.watch();
        let begun = Instant::now();
        let mut drift = self.drift(begun);
        loop {
            let seen = view.borrow_and_update().clone();
            let stepped = (self.drift(begun) - drift).abs() >= 1_000;
            drift = self.drift(begun);
            self.set(correction(&seen, self.correction_ms(), stepped));
            tokio::select! {
                changed = view.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// The machine's time minus what has passed since `begun`: constant unless somebody sets the clock.
    fn drift(&self, begun: Instant) -> i64 {
        let passed = i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.machine.now().as_millisecond() - passed
    }

    fn set(&self, correction_ms: i64) {
        let before = self.correction_ms.swap(correction_ms, Ordering::Relaxed);
        if before == 0 && correction_ms != 0 {
            warn!(offset_ms = -correction_ms, "clock is wrong, going by the cluster's time");
        } else if before != 0 && correction_ms == 0 {
            info!("clock is right, going by it again");
        }
    }
}

/// What to add to the machine's clock. `stepped`: it was set since `current` was found out.
fn correction(view: &View, current: i64, stepped: bool) -> i64 {
    if view.live < JUDGES {
        // Who cannot tell keeps to what was true.
        return if stepped { 0 } else { current };
    }
    let offset = view.me().map_or(0, |me| me.clock_offset_ms);
    // What was found wrong is right again only when it is clearly so.
    let bound = if current == 0 { WRONG_MS } else { WRONG_MS / 2 };
    if bound < offset.abs() { -offset } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tocsin_cluster::{ClusterStatus, Member, MemberState};
    use tocsin_service::clock::SystemClock;

    fn view(live: usize, clock_offset_ms: i64) -> View {
        let me = Member {
            name: "one".into(),
            node: 1,
            address: String::new(),
            me: true,
            state: MemberState::Live,
            ready: true,
            leaving: false,
            version: String::new(),
            config: None,
            disk_ok: true,
            clock_offset_ms,
            behind: None,
        };
        View {
            status: ClusterStatus::Ready,
            name: "one".into(),
            address: String::new(),
            members: vec![me],
            position: 0,
            live,
            known: 3,
            split: false,
            leading_config: None,
            hold_until_ms: 0,
            hold_start_ms: 0,
        }
    }

    #[track_caller]
    fn check(live: usize, offset_ms: i64, current: i64, stepped: bool, expected: i64) {
        assert_eq!(correction(&view(live, offset_ms), current, stepped), expected);
    }

    #[test]
    fn clock_far_from_the_median_is_corrected() {
        check(3, -300_000, 0, false, 300_000);
        check(3, 300_000, 0, false, -300_000);
        check(3, 4_900, 0, false, 0);
        check(3, 4_900, -6_000, false, -4_900);
        check(3, 2_400, -6_000, false, 0);
    }

    #[test]
    fn two_cannot_tell_and_keep_to_what_was_true() {
        check(2, -300_000, 0, false, 0);
        check(2, 0, 300_000, false, 300_000);
        check(2, 0, 300_000, true, 0);
    }

    #[test]
    fn corrected_time_is_the_machines_moved() {
        let clock = ClusterClock::new(Arc::new(SystemClock));
        for moved in [300_000, -300_000] {
            clock.set(moved);
            let off = clock.now().as_millisecond() - SystemClock.now().as_millisecond() - moved;
            assert!(off.abs() < 10_000, "{off}");
        }
    }
}
