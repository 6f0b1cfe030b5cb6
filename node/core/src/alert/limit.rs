//! The limit of alerts that share one `alertname`.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;

use crate::label::Fingerprint;

/// How many alerts of one name are tracked at once. Decides at ingest alone.
#[derive(Debug, Default)]
pub struct NameLimit {
    /// 0 is no limit.
    most: usize,
    names: HashMap<Box<str>, Tracked>,
}

/// The alerts of one name and when they end.
#[derive(Debug, Default)]
struct Tracked {
    ends: HashMap<Fingerprint, Timestamp>,
    by_end: BTreeSet<(Timestamp, Fingerprint)>,
}

impl NameLimit {
    /// At most `most` alerts of a name; 0 is no limit.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { most, names: HashMap::new() }
    }

    /// Whether the alert may be stored: it is known, there is room, or one that has ended makes room.
    pub fn admits(
        &mut self,
        alertname: &str,
        fingerprint: Fingerprint,
        ends_at: Timestamp,
        now: Timestamp,
    ) -> bool {
        if self.most == 0 {
            return true;
        }
        match self.names.get_mut(alertname) {
            Some(tracked) => tracked.admits(self.most, fingerprint, ends_at, now),
            None => {
                let tracked = self.names.entry(alertname.into()).or_default();
                tracked.admits(self.most, fingerprint, ends_at, now)
            }
        }
    }

    /// Forgets the names none of whose alerts fires any more.
    pub fn sweep(&mut self, now: Timestamp) {
        self.names.retain(|_, tracked| tracked.by_end.last().is_some_and(|last| now < last.0));
    }
}

impl Tracked {
    fn admits(
        &mut self,
        most: usize,
        alert: Fingerprint,
        ends_at: Timestamp,
        now: Timestamp,
    ) -> bool {
        if self.ends.len() >= most && !self.ends.contains_key(&alert) {
            let ended = self.by_end.first().copied().filter(|first| first.0 <= now);
            let Some(ended) = ended else { return false };
            self.by_end.remove(&ended);
            self.ends.remove(&ended.1);
        }
        if let Some(before) = self.ends.insert(alert, ends_at) {
            self.by_end.remove(&(before, alert));
        }
        self.by_end.insert((ends_at, alert));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn full_name_admits_known_alerts_and_those_in_place_of_ended_ones() {
        let mut limit = NameLimit::new(2);
        let mut admits =
            |name: &str, alert, end, now| limit.admits(name, Fingerprint(alert), at(end), at(now));
        assert!(admits("a", 1, 100, 0));
        assert!(admits("a", 2, 200, 0));
        assert!(!admits("a", 3, 300, 0));
        assert!(admits("b", 3, 300, 0));
        assert!(admits("a", 1, 150, 0));
        assert!(!admits("a", 3, 300, 149));
        assert!(admits("a", 3, 300, 150));
        assert!(!admits("a", 1, 400, 150));
        limit.sweep(at(250));
        assert_eq!(limit.names.len(), 2);
        limit.sweep(at(300));
        assert!(limit.names.is_empty());
    }

    #[test]
    fn zero_is_no_limit() {
        let mut limit = NameLimit::new(0);
        assert!((0..100).all(|alert| limit.admits("a", Fingerprint(alert), at(9), at(0))));
        assert!(limit.names.is_empty());
    }
}
