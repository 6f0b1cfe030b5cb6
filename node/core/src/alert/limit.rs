//! The limit of alerts that share one `alertname`.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::label::Fingerprint;

/// How many alerts of one name are tracked at once. Decides at ingest alone.
#[derive(Debug, Default)]
pub struct NameLimit {
    /// 0 is no limit.
    most: usize,
    names: HashMap<Box<str>, HashMap<Fingerprint, Timestamp>>,
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
        if !self.names.contains_key(alertname) {
            self.names.insert(alertname.into(), HashMap::new());
        }
        let Some(ends) = self.names.get_mut(alertname) else { return true };
        if ends.len() >= self.most && !ends.contains_key(&fingerprint) {
            let first = ends.iter().min_by_key(|(fingerprint, end)| (**end, **fingerprint));
            match first {
                Some((&ended, &end)) if end <= now => ends.remove(&ended),
                _ => return false,
            };
        }
        ends.insert(fingerprint, ends_at);
        true
    }

    /// Forgets the names none of whose alerts fires any more.
    pub fn sweep(&mut self, now: Timestamp) {
        self.names.retain(|_, ends| ends.values().any(|end| now < *end));
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
