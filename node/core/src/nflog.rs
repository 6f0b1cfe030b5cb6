//! The notification log: what a receiver has been told, and whether that calls for another notification. Knows no store.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use crate::time;

/// Whose entry it is; prints as upstream's key `<group key>:<receiver>/<integration>/<index>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryKey {
    /// See `Route::group_key`.
    pub group_key: Box<str>,
    /// The receiver's name.
    pub receiver: Box<str>,
    /// The kind of integration, such as `webhook`.
    pub integration: Box<str>,
    /// Counted per kind within the receiver, from 0.
    pub index: u32,
}

impl fmt::Display for EntryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { group_key, receiver, integration, index } = self;
        write!(f, "{group_key}:{receiver}/{integration}/{index}")
    }
}

/// A value that a receiver keeps from one notification to the next.
#[derive(Debug, Clone, PartialEq)]
pub enum DataValue {
    /// A text.
    Text(String),
    /// A whole number.
    Int(i64),
    /// A number.
    Double(f64),
}

/// What one integration of one group was told last.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// When the request was written.
    pub timestamp: Timestamp,
    /// The tick that led to it; read as the earlier of this and the local time of the merge.
    pub flush_at: Timestamp,
    /// Hashes ([`crate::label::hash_xx`]) of the alerts told as firing.
    pub firing: Vec<u64>,
    /// Hashes of the alerts told as resolved.
    pub resolved: Vec<u64>,
    /// What the receiver keeps.
    pub data: BTreeMap<String, DataValue>,
}

impl Entry {
    /// Whether the alert with this hash was told as firing.
    #[must_use]
    pub fn lists_firing(&self, hash: u64) -> bool {
        self.firing.contains(&hash)
    }

    /// Whether, for a flush of `tick`, another node has done the work: the entry came after the tick and belongs to it.
    /// `arrived_at` is the local time of its merge.
    #[must_use]
    pub fn covers(&self, arrived_at: Timestamp, tick: Timestamp, group_interval: Duration) -> bool {
        arrived_at > tick && self.flush_at > time::sub(tick, group_interval / 2)
    }
}

/// Why a notification is sent; templates see the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Nothing was told before, or everything told had ended.
    First,
    /// An alert fires that was not told.
    NewAlerts,
    /// Nothing fires any more.
    AllResolved,
    /// Some ended that were not told as ended.
    SomeResolved,
    /// Nothing changed for too long.
    Repeat,
}

impl Reason {
    /// Upstream's words, the template field `notification_reason`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::First => "first notification",
            Self::NewAlerts => "new alerts added",
            Self::AllResolved => "all alerts resolved",
            Self::SomeResolved => "some alerts resolved",
            Self::Repeat => "repeat interval elapsed",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether a group that now has these firing and resolved alerts must be told, and why. `now` is the tick.
///
/// Source: server.md 5.2, upstream's `needsUpdate`.
#[must_use]
pub fn needs_update(
    entry: Option<&Entry>,
    firing: &[u64],
    resolved: &[u64],
    send_resolved: bool,
    repeat_interval: Duration,
    now: Timestamp,
) -> Option<Reason> {
    let Some(entry) = entry else {
        return (!firing.is_empty()).then_some(Reason::First);
    };
    if !is_subset(firing, &entry.firing) {
        return Some(if entry.firing.is_empty() { Reason::First } else { Reason::NewAlerts });
    }
    if firing.is_empty() {
        return (!entry.firing.is_empty()).then_some(Reason::AllResolved);
    }
    if send_resolved && !is_subset(resolved, &entry.resolved) {
        return Some(Reason::SomeResolved);
    }
    (entry.timestamp < time::sub(now, repeat_interval)).then_some(Reason::Repeat)
}

/// When the log may forget an entry written `now`.
#[must_use]
pub fn expires_at(now: Timestamp, retention: Duration, repeat_interval: Duration) -> Timestamp {
    time::add(now, retention.min(repeat_interval.saturating_mul(2)))
}

fn is_subset(part: &[u64], whole: &[u64]) -> bool {
    if part.len() <= 8 {
        return part.iter().all(|hash| whole.contains(hash));
    }
    let whole: std::collections::HashSet<u64> = whole.iter().copied().collect();
    part.iter().all(|hash| whole.contains(hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPEAT: Duration = Duration::from_secs(4 * 3600);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn entry(timestamp: i64, firing: &[u64], resolved: &[u64]) -> Entry {
        Entry {
            timestamp: at(timestamp),
            flush_at: at(timestamp),
            firing: firing.to_vec(),
            resolved: resolved.to_vec(),
            data: BTreeMap::new(),
        }
    }

    type Lists<'a> = (&'a [u64], &'a [u64]);

    #[track_caller]
    fn check(old: Option<Lists<'_>>, new: Lists<'_>, send_resolved: bool, expected: &str) {
        let entry = old.map(|(firing, resolved)| entry(0, firing, resolved));
        let reason = needs_update(entry.as_ref(), new.0, new.1, send_resolved, REPEAT, at(60));
        assert_eq!(reason.map_or("none", Reason::as_str), expected, "{old:?} {new:?}");
    }

    /// Traps 19, 20 and 21 are among them.
    #[test]
    fn change_decides_whether_and_why_to_tell() {
        check(None, (&[1], &[]), true, "first notification");
        check(None, (&[], &[1]), true, "none");
        check(Some((&[], &[1])), (&[1], &[]), true, "first notification");
        check(Some((&[1], &[])), (&[1, 2], &[]), true, "new alerts added");
        check(Some((&[1], &[])), (&[], &[1]), true, "all alerts resolved");
        check(Some((&[1], &[])), (&[], &[1]), false, "all alerts resolved");
        check(Some((&[], &[1])), (&[], &[1]), true, "none");
        check(Some((&[1, 2], &[])), (&[1], &[2]), true, "some alerts resolved");
        check(Some((&[1, 2], &[])), (&[1], &[2]), false, "none");
        check(Some((&[1, 2], &[2])), (&[1], &[2]), true, "none");
        check(Some((&[1, 2], &[])), (&[1], &[]), true, "none");
    }

    /// Trap 1: the entry is a little younger than the tick, so the repeat comes one group interval after a naive reading.
    #[test]
    fn repeat_waits_until_the_interval_is_over() {
        let entry = entry(1, &[1], &[]);
        let reason = |now| needs_update(Some(&entry), &[1], &[], true, REPEAT, at(now));
        assert_eq!(reason(4 * 3600), None);
        assert_eq!(reason(4 * 3600 + 1), None);
        assert_eq!(reason(4 * 3600 + 300), Some(Reason::Repeat));
    }

    #[test]
    fn long_lists_are_compared_as_sets() {
        let hashes: Vec<u64> = (0..100).collect();
        let turned: Vec<u64> = (0..100).rev().collect();
        check(Some((&hashes, &[])), (&turned, &[]), true, "none");
        check(Some((&hashes[1..], &[])), (&turned, &[]), true, "new alerts added");
    }

    #[test]
    fn entry_of_the_same_tick_covers_it() {
        let interval = Duration::from_secs(300);
        let covers = |flush_at, arrived_at| {
            Entry { flush_at: at(flush_at), ..entry(0, &[], &[]) }.covers(
                at(arrived_at),
                at(1000),
                interval,
            )
        };
        assert!(covers(1000, 1001));
        assert!(covers(851, 1001));
        assert!(!covers(850, 1001));
        assert!(!covers(1000, 1000));
    }

    #[test]
    fn key_and_expiry_are_those_of_upstream() {
        let key = EntryKey {
            group_key: r#"{}:{a="b"}"#.into(),
            receiver: "pager".into(),
            integration: "webhook".into(),
            index: 1,
        };
        assert_eq!(key.to_string(), r#"{}:{a="b"}:pager/webhook/1"#);
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        assert_eq!(expires_at(at(0), hours(120), hours(1)), at(7200));
        assert_eq!(expires_at(at(0), hours(1), hours(4)), at(3600));
    }
}
