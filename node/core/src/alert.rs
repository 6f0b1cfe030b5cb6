//! Alerts: what is posted, what is kept, and how a post changes what is kept. Knows no store and no stamp.

mod limit;

use std::time::Duration;

use jiff::Timestamp;

pub use limit::NameLimit;

use crate::label::Labels;
use crate::matcher::NameRule;
use crate::quote::quoted;
use crate::time;

/// An end no later than this after the moment of the post counts as told by the sender, not as an expiry.
const EXPLICIT_SLACK: Duration = Duration::from_secs(2);

/// An alert as it is posted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AlertInput {
    /// As sent; empty values are dropped by [`ingest`].
    pub labels: Labels,
    /// As sent; empty values stay.
    pub annotations: Labels,
    /// `None` when not sent.
    pub starts_at: Option<Timestamp>,
    /// `None` when not sent: the alert then ends `resolve_timeout` from now.
    pub ends_at: Option<Timestamp>,
    /// The link back to the sender, may be empty.
    pub generator_url: Box<str>,
}

/// An alert as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// What the alert is; never with an empty value.
    pub labels: Labels,
    /// What is said about it.
    pub annotations: Labels,
    /// The link back to the sender, may be empty.
    pub generator_url: Box<str>,
    /// Since when it fires.
    pub starts_at: Timestamp,
    /// When it stops or stopped to fire.
    pub ends_at: Timestamp,
    /// When it was posted last; rises with every post.
    pub updated_at: Timestamp,
    /// When the first post of this firing episode came.
    pub received_at: Timestamp,
    /// `ends_at` was made up from `resolve_timeout`.
    pub timeout: bool,
    /// The sender said that it has ended, so `ends_at` is no expiry.
    pub explicit_end: bool,
}

impl Alert {
    /// Whether it has ended at `now`.
    #[must_use]
    pub fn is_resolved(&self, now: Timestamp) -> bool {
        self.times().is_resolved(now)
    }

    /// The part of it that every post changes.
    #[must_use]
    pub fn times(&self) -> Times {
        Times {
            starts_at: self.starts_at,
            ends_at: self.ends_at,
            updated_at: self.updated_at,
            received_at: self.received_at,
            timeout: self.timeout,
            explicit_end: self.explicit_end,
        }
    }
}

/// The moments of an alert, for stores that keep them apart from its texts; fields as in [`Alert`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of Alert")]
pub struct Times {
    pub starts_at: Timestamp,
    pub ends_at: Timestamp,
    pub updated_at: Timestamp,
    pub received_at: Timestamp,
    pub timeout: bool,
    pub explicit_end: bool,
}

impl Times {
    /// Fills in what the post leaves out: the start is the end or `now`, the end is `now` + `resolve_timeout`.
    /// # Errors
    /// [`InvalidAlert::EndBeforeStart`].
    pub fn of_post(
        starts_at: Option<Timestamp>,
        ends_at: Option<Timestamp>,
        now: Timestamp,
        resolve_timeout: Duration,
    ) -> Result<Self, InvalidAlert> {
        let starts_at = starts_at.or(ends_at).unwrap_or(now);
        let timeout = ends_at.is_none();
        let ends_at = ends_at.unwrap_or_else(|| time::add(now, resolve_timeout));
        if ends_at < starts_at {
            return Err(InvalidAlert::EndBeforeStart);
        }
        let explicit_end = !timeout && ends_at <= time::add(now, EXPLICIT_SLACK);
        Ok(Self { starts_at, ends_at, updated_at: now, received_at: now, timeout, explicit_end })
    }

    /// These times of a new post on top of the current ones: upstream's merge, in which the post is always the younger.
    ///
    /// Only when both overlap the earlier start is kept, and a later end that was not made up outlives a firing post;
    /// otherwise the post replaces. `received_at` stays as long as the alert fires on.
    #[must_use]
    pub fn over(self, current: &Self, now: Timestamp) -> Self {
        let mut times = self;
        if self.overlaps(current) {
            times.starts_at = current.starts_at.min(self.starts_at);
            let resolved = self.is_resolved(now);
            let keeps_end = if resolved { current.is_resolved(now) } else { !current.timeout };
            if keeps_end && self.ends_at < current.ends_at {
                times.ends_at = current.ends_at;
                // A resolve stays one, also when an expiry just before it gives the end.
                times.explicit_end = current.explicit_end || (resolved && self.explicit_end);
            }
        }
        times.updated_at = now.max(time::add(current.updated_at, Duration::from_millis(1)));
        if !current.is_resolved(now) || times.is_resolved(now) {
            times.received_at = current.received_at;
        }
        times
    }

    /// Whether the alert has ended at `now`.
    #[must_use]
    pub fn is_resolved(&self, now: Timestamp) -> bool {
        self.ends_at <= now
    }

    fn overlaps(&self, old: &Self) -> bool {
        let end_inside = self.ends_at > old.starts_at && self.ends_at < old.ends_at;
        let start_inside = self.starts_at > old.starts_at && self.starts_at < old.ends_at;
        end_inside || start_inside
    }
}

/// While the sources of alerts may be unheard, alerts that end by expiry count as firing a little longer (ha.md 8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hold {
    /// While the cluster is split: how long past its end an alert goes on.
    pub past_end: Duration,
    /// After a cold start or a long stall.
    pub cold: Option<ColdHold>,
}

/// After a cold start: alerts last posted before it go on until their sources had time to send again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColdHold {
    /// The start: only alerts whose last post is older are held.
    pub before: Timestamp,
    /// The last moment at which the node is known to have been up: what had ended by then was told, and is not held.
    pub ended_after: Timestamp,
    /// Until when they count as firing.
    pub until: Timestamp,
}

impl Hold {
    /// When the alert ends while this holds; its own end when it was told by the sender.
    #[must_use]
    pub fn end_of(&self, times: &Times) -> Timestamp {
        if times.explicit_end {
            return times.ends_at;
        }
        let end = time::add(times.ends_at, self.past_end);
        match self.cold {
            Some(cold) if cold.holds(times) => end.max(cold.until),
            _ => end,
        }
    }

    /// Whether the alert has ended at `now` while this holds.
    #[must_use]
    pub fn is_resolved(&self, times: &Times, now: Timestamp) -> bool {
        self.end_of(times) <= now
    }
}

impl ColdHold {
    fn holds(self, times: &Times) -> bool {
        times.updated_at < self.before && self.ended_after < times.ends_at
    }
}

/// Why a posted alert is refused; prints as upstream says it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAlert {
    /// It ends before it starts.
    #[error("start time must be before end time")]
    EndBeforeStart,
    /// It has no label with a value.
    #[error("at least one label pair required")]
    NoLabels,
    /// A label's name is not allowed.
    #[error("invalid label set: invalid name {}", quoted(.0))]
    LabelName(String),
    /// An annotation's name is not allowed.
    #[error("invalid annotations: invalid name {}", quoted(.0))]
    AnnotationName(String),
}

/// What becomes of the current alert (of the same labels) when `input` is posted at `now`.
///
/// Source: server.md 3.1 and 3.2, ha.md 3.2.
/// # Errors
/// [`InvalidAlert`]; the current alert then stays as it is.
pub fn ingest(
    input: AlertInput,
    current: Option<&Alert>,
    now: Timestamp,
    resolve_timeout: Duration,
    names: NameRule,
) -> Result<Alert, InvalidAlert> {
    let labels = input.labels.without_empty();
    let posted = Times::of_post(input.starts_at, input.ends_at, now, resolve_timeout)?;
    check_texts(&labels, &input.annotations, names)?;
    let times = match current {
        Some(current) => posted.over(&current.times(), now),
        None => posted,
    };
    Ok(Alert {
        labels,
        annotations: input.annotations,
        generator_url: input.generator_url,
        starts_at: times.starts_at,
        ends_at: times.ends_at,
        updated_at: times.updated_at,
        received_at: times.received_at,
        timeout: times.timeout,
        explicit_end: times.explicit_end,
    })
}

/// The checks of labels and annotations in upstream's order; `labels` without empty values.
/// # Errors
/// All of [`InvalidAlert`] but the one about times.
pub fn check_texts(
    labels: &Labels,
    annotations: &Labels,
    names: NameRule,
) -> Result<(), InvalidAlert> {
    if labels.is_empty() {
        return Err(InvalidAlert::NoLabels);
    }
    let wrong = |set: &Labels| {
        set.iter().find(|(name, _)| !names.allows(name)).map(|(name, _)| name.to_owned())
    };
    if let Some(name) = wrong(labels) {
        return Err(InvalidAlert::LabelName(name));
    }
    match wrong(annotations) {
        Some(name) => Err(InvalidAlert::AnnotationName(name)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RESOLVE_TIMEOUT: Duration = Duration::from_secs(300);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn input(starts_at: Option<i64>, ends_at: Option<i64>, summary: &str) -> AlertInput {
        AlertInput {
            labels: Labels::from([("alertname", "A"), ("empty", "")]),
            annotations: Labels::from([("summary", summary), ("empty", "")]),
            starts_at: starts_at.map(at),
            ends_at: ends_at.map(at),
            generator_url: "".into(),
        }
    }

    fn post(input: AlertInput, current: Option<&Alert>, now: i64) -> Alert {
        ingest(input, current, at(now), RESOLVE_TIMEOUT, NameRule::Utf8).unwrap()
    }

    /// Trap 9.
    #[test]
    fn alert_without_times_starts_now_and_ends_after_the_timeout() {
        let alert = post(input(None, None, ""), None, 1000);
        assert_eq!((alert.starts_at, alert.ends_at, alert.timeout), (at(1000), at(1300), true));
        assert!(!alert.explicit_end);
        let again = post(input(None, None, ""), Some(&alert), 1060);
        assert_eq!((again.starts_at, again.ends_at), (at(1000), at(1360)));
    }

    #[test]
    fn alert_with_an_end_alone_starts_there() {
        let alert = post(input(None, Some(990), ""), None, 1000);
        assert_eq!((alert.starts_at, alert.ends_at, alert.explicit_end), (at(990), at(990), true));
        assert!(alert.is_resolved(at(990)) && !alert.is_resolved(at(989)));
    }

    #[test]
    fn end_close_to_the_post_is_told_by_the_sender() {
        let explicit = |end| post(input(Some(0), Some(end), ""), None, 1000).explicit_end;
        assert!(explicit(1002));
        assert!(!explicit(1003));
    }

    /// Trap 11.
    #[test]
    fn empty_labels_are_dropped_and_empty_annotations_kept() {
        let alert = post(input(None, None, "s"), None, 0);
        assert_eq!(alert.labels, Labels::from([("alertname", "A")]));
        assert!(alert.annotations.has("empty"));
    }

    #[track_caller]
    fn refused(input: AlertInput, names: NameRule, text: &str) {
        let error = ingest(input, None, at(0), RESOLVE_TIMEOUT, names).unwrap_err();
        assert_eq!(error.to_string(), text);
    }

    #[test]
    fn invalid_alerts_are_refused_in_the_order_of_upstream() {
        let labels = |name: &str| Labels::from([(name, "x")]);
        let bad = |name| AlertInput {
            labels: labels(name),
            annotations: labels("1-"),
            ..input(None, None, "")
        };
        refused(input(Some(2), Some(1), ""), NameRule::Utf8, "start time must be before end time");
        let none = AlertInput { labels: Labels::from([("a", "")]), ..input(None, None, "") };
        refused(none, NameRule::Utf8, "at least one label pair required");
        refused(bad("a-\u{7f}"), NameRule::Classic, "invalid label set: invalid name \"a-\\x7f\"");
        refused(bad("a"), NameRule::Classic, r#"invalid annotations: invalid name "1-""#);
        refused(bad(""), NameRule::Utf8, r#"invalid label set: invalid name """#);
    }

    /// Trap 12.
    #[test]
    fn earlier_end_wins_over_a_timeout_but_not_over_another_end() {
        let timeout = post(input(Some(1000), None, ""), None, 1000);
        let ends =
            |current: &Alert| post(input(Some(1010), Some(1100), ""), Some(current), 1020).ends_at;
        assert_eq!(ends(&timeout), at(1100));
        let told = post(input(Some(1000), Some(1300), ""), None, 1000);
        assert_eq!(ends(&told), at(1300));
    }

    /// Trap 13.
    #[test]
    fn refresh_with_the_same_start_and_a_later_end_replaces() {
        let old = post(input(Some(1000), Some(1300), "old"), None, 1000);
        let new = post(input(Some(1000), Some(1400), "new"), Some(&old), 1100);
        assert_eq!((new.starts_at, new.ends_at), (at(1000), at(1400)));
        assert_eq!(new.annotations.get("summary"), "new");
    }

    /// Trap 14.
    #[test]
    fn refresh_without_a_start_keeps_the_first_one() {
        let old = post(input(Some(1000), Some(1300), ""), None, 1000);
        assert_eq!(post(input(None, None, ""), Some(&old), 1100).starts_at, at(1000));
    }

    #[test]
    fn alert_that_fires_after_its_end_is_a_new_episode() {
        let old = post(input(Some(1000), Some(1100), ""), None, 1000);
        let again = post(input(Some(1200), Some(1400), ""), Some(&old), 1200);
        assert_eq!((again.starts_at, again.received_at), (at(1200), at(1200)));
        let resolved = post(input(Some(1200), Some(1250), ""), Some(&again), 1250);
        assert_eq!((resolved.ends_at, resolved.received_at), (at(1250), at(1200)));
        assert!(resolved.explicit_end);
    }

    #[test]
    fn resolve_stays_told_by_the_sender_after_an_expiry() {
        let expired = post(input(Some(1000), Some(1100), ""), None, 1000);
        let told = post(input(Some(1000), Some(1050), ""), Some(&expired), 1110);
        assert_eq!((told.ends_at, told.explicit_end), (at(1100), true));
    }

    #[test]
    fn post_is_always_the_younger() {
        let ahead = post(input(Some(0), Some(9000), ""), None, 5000);
        let new = post(input(Some(0), Some(9000), ""), Some(&ahead), 1000);
        assert_eq!(new.updated_at, Timestamp::new(5000, 1_000_000).unwrap());
    }

    #[test]
    fn hold_prolongs_expiries_alone() {
        let times = post(input(Some(0), Some(100), ""), None, 0).times();
        let told = Times { explicit_end: true, ..times };
        let split = Hold { past_end: Duration::from_secs(300), cold: None };
        assert_eq!((split.end_of(&times), split.end_of(&told)), (at(400), at(100)));
        let cold = Hold {
            past_end: Duration::ZERO,
            cold: Some(ColdHold { before: at(1), ended_after: at(99), until: at(250) }),
        };
        assert_eq!((cold.end_of(&times), cold.end_of(&told)), (at(250), at(100)));
        let ended_before = Times { ends_at: at(99), ..times };
        assert_eq!(cold.end_of(&ended_before), at(99));
        let newer = Times { updated_at: at(1), ..times };
        assert_eq!((cold.end_of(&newer), Hold::default().end_of(&times)), (at(100), at(100)));
    }

    fn times() -> impl Strategy<Value = Times> {
        (0..40_i64, 0..40_i64, 0..40_i64, any::<bool>()).prop_map(|(start, length, now, ended)| {
            let end = ended.then(|| at(start + length));
            let timeout = Duration::from_secs(10);
            let start = if ended { start } else { start.min(now) };
            Times::of_post(Some(at(start)), end, at(now), timeout).unwrap()
        })
    }

    proptest! {
        #[test]
        fn merge_keeps_its_laws(current in times(), posted in times(), now in 0..60_i64) {
            let now = at(now);
            let merged = posted.over(&current, now);
            prop_assert!(merged.starts_at <= posted.starts_at);
            prop_assert!(merged.ends_at >= posted.ends_at);
            prop_assert!(merged.starts_at <= merged.ends_at);
            prop_assert!(merged.updated_at > current.updated_at && merged.updated_at >= now);
            prop_assert!(merged.starts_at == posted.starts_at || merged.starts_at == current.starts_at);
            prop_assert!(merged.ends_at == posted.ends_at || merged.ends_at == current.ends_at);
            if posted.is_resolved(now) {
                prop_assert!(merged.is_resolved(now));
            }
        }
    }
}
