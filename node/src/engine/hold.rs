//! How much longer alerts count as firing while their sources may be unheard (ha.md 8). Pure.

use std::time::Duration;

use jiff::Timestamp;
use tocsin_cluster::View;
use tocsin_core::alert::{ColdHold, Hold};
use tocsin_core::time;

/// A node alone that took no post for this long knows nothing.
const DEAF_AFTER: Duration = Duration::from_secs(2 * 60);
/// How long past their end it lets alerts fire.
const DEAF_HOLD: Duration = Duration::from_secs(3600);

/// What a hold depends on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    /// `--cluster.expiry-hold`.
    pub(super) expiry_hold: Duration,
    pub(super) now: Timestamp,
    /// When this node took a post last, or started.
    pub(super) last_post: Timestamp,
    /// What had ended by then ended while this node was up, and was told.
    pub(super) up_until: Timestamp,
}

/// What holds now.
pub(super) fn hold(view: &View, facts: &Facts) -> Hold {
    Hold { past_end: past_end(view, facts), cold: cold(view, facts) }
}

fn past_end(view: &View, facts: &Facts) -> Duration {
    if !view.split {
        return Duration::ZERO;
    }
    let deaf = view.live <= 1 && DEAF_AFTER <= time::since(facts.now, facts.last_post);
    if deaf { DEAF_HOLD.max(facts.expiry_hold) } else { facts.expiry_hold }
}

/// The latest hold that any node has published after a cold start.
fn cold(view: &View, facts: &Facts) -> Option<ColdHold> {
    let until = Timestamp::from_millisecond(view.hold_until_ms).ok()?;
    let before = Timestamp::from_millisecond(view.hold_start_ms).ok()?;
    let ended_after = facts.up_until.min(before);
    (facts.now < until).then_some(ColdHold { before, until, ended_after })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tocsin_cluster::ClusterStatus;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    fn view(live: usize, split: bool) -> View {
        View {
            status: ClusterStatus::Ready,
            name: "one".into(),
            address: String::new(),
            members: Vec::new(),
            position: 0,
            live,
            known: 3,
            split,
            leading_config: None,
            hold_until_ms: 0,
            hold_start_ms: 0,
        }
    }

    fn facts(now: i64) -> Facts {
        let expiry_hold = Duration::from_secs(300);
        Facts { expiry_hold, now: at(now), last_post: at(0), up_until: at(-60) }
    }

    #[track_caller]
    fn check(live: usize, split: bool, now: i64, expected: u64) {
        let hold = hold(&view(live, split), &facts(now));
        assert_eq!((hold.past_end, hold.cold), (Duration::from_secs(expected), None));
    }

    #[test]
    fn ends_wait_only_while_the_cluster_is_split() {
        check(3, false, 500, 0);
        check(2, true, 500, 300);
        check(1, true, 119, 300);
    }

    #[test]
    fn a_node_alone_that_hears_nothing_waits_an_hour() {
        check(1, true, 120, 3600);
        check(1, false, 500, 0);
    }

    #[test]
    fn after_a_cold_start_ends_wait_until_the_time_that_was_published() {
        let start = at(0).as_millisecond();
        let view = View {
            hold_until_ms: at(310).as_millisecond(),
            hold_start_ms: start,
            ..view(1, false)
        };
        let expected = ColdHold { before: at(0), ended_after: at(-60), until: at(310) };
        assert_eq!(hold(&view, &facts(309)).cold, Some(expected));
        assert_eq!(hold(&view, &facts(310)).cold, None);
    }

    /// What ended while the process ran, before it stood still, was told then: it does not fire again.
    #[test]
    fn after_a_long_sleep_only_what_ended_in_it_waits() {
        let woke = at(0).as_millisecond();
        let view = View { hold_until_ms: woke + 300_000, hold_start_ms: woke, ..view(1, false) };
        let facts = Facts { up_until: at(-90), ..facts(10) };
        let hold = hold(&view, &facts);
        let ended = |end: i64| {
            let times = tocsin_core::alert::Times {
                starts_at: at(-1000),
                ends_at: at(end),
                updated_at: at(-500),
                received_at: at(-1000),
                timeout: false,
                explicit_end: false,
            };
            hold.is_resolved(&times, at(10))
        };
        assert_eq!([-100, -90, -89, -1].map(ended), [true, true, false, false]);
    }
}
