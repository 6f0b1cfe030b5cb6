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
