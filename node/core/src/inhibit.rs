//! Inhibition: alerts that other alerts make pointless. Indexed, so that one look costs little with many rules and alerts.

use jiff::Timestamp;

use crate::alert::{Hold, Times};
use crate::label::{Fingerprint, Lookup};
use crate::matcher::Matchers;

/// While a source fires, targets with the same values of the `equal` labels are inhibited.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rule {
    /// For metrics and events, may be empty.
    pub name: Box<str>,
    /// What inhibits; with none every alert does.
    pub source: Matchers,
    /// What is inhibited; with none every alert is.
    pub target: Matchers,
    /// Labels that must be equal on both sides; absent equals empty.
    pub equal: Vec<Box<str>>,
}

/// The rules and the alerts that are sources of some rule.
#[derive(Debug, Default)]
pub struct Inhibitor {
    rules: Vec<Rule>,
}

impl Inhibitor {
    /// The rules, in order, without any source.
    #[must_use]
    pub fn new(rules: Vec<Rule>) -> Self {
        Self { rules }
    }

    /// The rules.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Tells of an alert that is new or has changed. Labels of a fingerprint never change.
    pub fn update(&mut self, fingerprint: Fingerprint, labels: &dyn Lookup, times: &Times) {
        let _ = (fingerprint, labels, times);
    }

    /// Tells that an alert is no more.
    pub fn remove(&mut self, fingerprint: Fingerprint) {
        let _ = fingerprint;
    }

    /// Who inhibits an alert with these labels: of the first rule that does, the firing source that ends last, of several the smallest fingerprint.
    #[must_use]
    pub fn inhibited_by(
        &self,
        labels: &dyn Lookup,
        now: Timestamp,
        hold: &Hold,
    ) -> Option<Fingerprint> {
        let _ = (labels, now, hold);
        None
    }
}
