//! One alert as the table holds it: packed, and the view on it that others read.

use std::cmp::Ordering;

use bytes::Bytes;
use jiff::Timestamp;
use tocsin_cluster::Stamp;
use tocsin_core::alert::{Alert, Hold, Times};
use tocsin_core::inhibit::Rule;
use tocsin_core::label::{Fingerprint, Lookup, hash_xx};

use super::alerts::Inner;
use super::body::AlertParts;
use super::pairs::{self, Packed};

/// One place of the table.
pub(super) struct Slot {
    pub(super) fingerprint: u64,
    pub(super) stamp: Stamp,
    pub(super) expires_at_ms: i64,
    pub(super) starts_at: Moment,
    pub(super) ends_at: Moment,
    pub(super) updated_at: Moment,
    pub(super) received_at: Moment,
    /// How many groups hold it.
    pub(super) holders: u16,
    pub(super) flags: u8,
    /// Not free: the record exists, or a group still holds what has expired.
    pub(super) used: bool,
    pub(super) labels: Packed,
    /// The generator URL as a pair without a name, if there is one, then the annotations.
    pub(super) rest: Packed,
}

impl Slot {
    pub(super) fn new(fingerprint: u64, labels: Packed) -> Self {
        Self {
            fingerprint,
            stamp: Stamp::default(),
            expires_at_ms: 0,
            starts_at: Moment::default(),
            ends_at: Moment::default(),
            updated_at: Moment::default(),
            received_at: Moment::default(),
            holders: 0,
            flags: 0,
            used: true,
            labels,
            rest: Box::default(),
        }
    }

    pub(super) fn free() -> Self {
        Self { used: false, ..Self::new(0, Box::default()) }
    }

    pub(super) fn times(&self) -> Times {
        Times {
            starts_at: self.starts_at.get(),
            ends_at: self.ends_at.get(),
            updated_at: self.updated_at.get(),
            received_at: self.received_at.get(),
            timeout: self.flags & TIMEOUT != 0,
            explicit_end: self.flags & EXPLICIT_END != 0,
        }
    }

    /// Takes times and marks; the annotations are compared and packed by the table.
    pub(super) fn set(&mut self, alert: &Alert) {
        self.starts_at = alert.starts_at.into();
        self.ends_at = alert.ends_at.into();
        self.updated_at = alert.updated_at.into();
        self.received_at = alert.received_at.into();
        self.flags = self.flags & (CHANGED | GROUPED) | LIVE;
        if alert.timeout {
            self.flags |= TIMEOUT;
        }
        if alert.explicit_end {
            self.flags |= EXPLICIT_END;
        }
    }

    /// Whether an alert of the same annotations says only that it goes on, and every group that it belongs to holds it.
    pub(super) fn is_touched_by(&self, alert: &Alert) -> bool {
        self.flags & LIVE != 0
            && self.flags & GROUPED != 0
            && !alert.explicit_end
            && self.flags & EXPLICIT_END == 0
            && self.starts_at == alert.starts_at.into()
            && self.ends_at.get() <= alert.ends_at
    }
}

/// The record exists.
pub(super) const LIVE: u8 = 1;
/// The end was computed from the resolve timeout.
pub(super) const TIMEOUT: u8 = 2;
/// The sender said that it has ended.
pub(super) const EXPLICIT_END: u8 = 4;
/// It stands on the list of changed ones.
pub(super) const CHANGED: u8 = 8;
/// Every group that it belongs to holds it.
pub(super) const GROUPED: u8 = 16;

/// A timestamp in 12 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Moment {
    high: i32,
    low: u32,
    nanos: i32,
}

#[expect(clippy::cast_possible_truncation, reason = "the two halves of 64 bits")]
impl From<Timestamp> for Moment {
    fn from(at: Timestamp) -> Self {
        let seconds = at.as_second();
        Self { high: (seconds >> 32) as i32, low: seconds as u32, nanos: at.subsec_nanosecond() }
    }
}

impl Moment {
    pub(super) fn get(self) -> Timestamp {
        let seconds = i64::from(self.high) << 32 | i64::from(self.low);
        Timestamp::new(seconds, self.nanos).unwrap_or_default()
    }
}

/// An alert as the table holds it; lives as long as the lock.
#[derive(Clone, Copy)]
pub struct AlertRef<'a> {
    pub(super) slot: &'a Slot,
    pub(super) table: &'a Inner,
}

impl<'a> AlertRef<'a> {
    /// The identity of its labels.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint(self.slot.fingerprint)
    }

    /// Its labels, sorted by name.
    #[must_use]
    pub fn labels(&self) -> pairs::Iter<'a> {
        self.table.pairs.iter(&self.slot.labels)
    }

    /// Its annotations, sorted by name.
    #[must_use]
    pub fn annotations(&self) -> pairs::Iter<'a> {
        let mut all = self.table.pairs.iter(&self.slot.rest);
        let mut after = all.clone();
        if after.next().is_some_and(|(name, _)| name.is_empty()) {
            all = after;
        }
        all
    }

    /// Where it comes from, as the sender said; empty if it did not.
    #[must_use]
    pub fn generator_url(&self) -> &'a str {
        match self.table.pairs.iter(&self.slot.rest).next() {
            Some(("", url)) => url,
            _ => "",
        }
    }

    /// Its moments.
    #[must_use]
    pub fn times(&self) -> Times {
        self.slot.times()
    }

    /// Who inhibits it.
    #[must_use]
    pub fn inhibited_by(&self, now: Timestamp, hold: &Hold) -> Option<Fingerprint> {
        self.table.inhibitor.inhibited_by(self, now, hold)
    }

    /// By which rule, and who.
    pub(super) fn inhibited_under(
        &self,
        now: Timestamp,
        hold: &Hold,
    ) -> Option<(&'a Rule, Fingerprint)> {
        let inhibitor = &self.table.inhibitor;
        let (rule, source) = inhibitor.rule_and_source(self, now, hold)?;
        Some((inhibitor.rules().get(rule)?, source))
    }

    /// The stamp of its record.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        self.slot.stamp
    }

    /// The hash by which the notification log knows it.
    #[must_use]
    pub fn hash_xx(&self) -> u64 {
        hash_xx(self.labels())
    }

    /// The order of notifications, as [`tocsin_core::label::alert_order`] has it.
    #[must_use]
    pub fn order(&self, other: &Self) -> Ordering {
        let find = |alert: &Self, name| alert.table.pairs.get(&alert.slot.labels, name);
        for name in ["job", "instance"] {
            let order = match (find(self, name), find(other, name)) {
                (Some(a), Some(b)) => a.cmp(b),
                (a, b) => b.is_some().cmp(&a.is_some()),
            };
            if order != Ordering::Equal {
                return order;
            }
        }
        let by_pairs = || {
            // The smaller name is missing in the other set, which therefore comes first.
            let order = |(a, b): ((&str, &str), (&str, &str))| {
                a.0.cmp(b.0).reverse().then_with(|| a.1.cmp(b.1))
            };
            let mut orders = self.labels().zip(other.labels()).map(order);
            orders.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
        };
        self.labels().count().cmp(&other.labels().count()).then_with(by_pairs)
    }

    pub(super) fn encode(self) -> Bytes {
        let (labels, annotations) = (self.labels(), self.annotations());
        let generator_url = self.generator_url();
        AlertParts { labels, annotations, generator_url, times: self.times() }.encode()
    }
}

impl Lookup for AlertRef<'_> {
    fn get(&self, name: &str) -> &str {
        self.table.pairs.get(&self.slot.labels, name).unwrap_or_default()
    }

    fn has(&self, name: &str) -> bool {
        self.table.pairs.get(&self.slot.labels, name).is_some()
    }

    fn each(&self, visit: &mut dyn FnMut(&str, &str)) {
        self.labels().for_each(|(name, value)| visit(name, value));
    }
}
