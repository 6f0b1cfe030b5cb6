//! Which silences match an alert, fast.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::{Silence, State};
use crate::label::{Fingerprint, Lookup};

/// The silences that may still mute, and what is remembered of the alerts looked at.
#[derive(Debug, Default)]
pub struct Silencer {
    silences: HashMap<Box<str>, Arc<Silence>>,
}

impl Silencer {
    /// Adds a silence, or replaces the one of the same identity, whose matchers are the same.
    pub fn put(&mut self, silence: Arc<Silence>) {
        self.silences.insert(silence.id.clone(), silence);
    }

    /// Forgets a silence.
    pub fn remove(&mut self, id: &str) {
        self.silences.remove(id);
    }

    /// Forgets what is remembered of an alert that is no more.
    pub fn forget(&mut self, fingerprint: Fingerprint) {
        let _ = fingerprint;
    }

    /// The active silences that match the alert, ordered by identity. Labels of a fingerprint never change.
    pub fn silenced_by(
        &mut self,
        fingerprint: Fingerprint,
        labels: &dyn Lookup,
        now: Timestamp,
    ) -> Vec<Box<str>> {
        let _ = fingerprint;
        let mut ids: Vec<_> = self
            .silences
            .values()
            .filter(|silence| silence.state(now) == State::Active && silence.matches(labels))
            .map(|silence| silence.id.clone())
            .collect();
        ids.sort();
        ids
    }
}
