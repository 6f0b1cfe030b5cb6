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
