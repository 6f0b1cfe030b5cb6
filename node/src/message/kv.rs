//! A sorted set of names and values, as templates and payloads see labels and annotations.

use std::fmt;
use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap, Serializer};

type Pair = (Arc<str>, Arc<str>);

/// Names with values, sorted by name, each name once. Absent names read as the empty text. A copy
/// costs no text. The default is Go's nil map: empty as another, but JSON in templates shows it as `null`.
#[derive(Clone, Default, Eq)]
pub struct Kv(Option<Arc<[Pair]>>);

impl PartialEq for Kv {
    fn eq(&self, other: &Self) -> bool {
        self.shared() == other.shared()
    }
}

impl Kv {
    /// The value of `name`, or the empty text.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        self.find(name).map_or("", |at| &self.shared()[at].1)
    }

    /// Whether `name` is present, even with an empty value.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// Pairs in plain byte order of the names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> + Clone {
        self.shared().iter().map(|(name, value)| (&**name, &**value))
    }

    /// Number of names.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared().len()
    }

    /// Whether there is no name.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shared().is_empty()
    }

    /// Pairs in the order people read them: `alertname` first, then by name.
    pub fn sorted_pairs(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        let first = self.iter().filter(|(name, _)| *name == "alertname");
        first.chain(self.iter().filter(|(name, _)| *name != "alertname"))
    }

    /// A copy without `names`.
    #[must_use]
    pub fn without(&self, names: &[impl AsRef<str>]) -> Self {
        let kept = |(name, _): &&Pair| !names.iter().any(|n| n.as_ref() == &**name);
        Self(Some(self.shared().iter().filter(kept).cloned().collect()))
    }

    /// Keeps the pairs that `other` has too, with the same value.
    pub fn intersect(&mut self, other: &Self) {
        let same = |(name, value): &Pair| {
            other.find(name).is_some_and(|at| other.shared()[at].1 == *value)
        };
        if !self.shared().iter().all(same) {
            self.0 = Some(self.shared().iter().filter(|pair| same(pair)).cloned().collect());
        }
    }

    /// The same pairs, as a map that was made.
    #[must_use]
    pub(super) fn made(self) -> Self {
        Self(Some(self.0.unwrap_or_default()))
    }

    /// Whether it was never made.
    pub(super) fn is_nil(&self) -> bool {
        self.0.is_none()
    }

    /// Pairs whose texts can be kept.
    pub(super) fn shared(&self) -> &[Pair] {
        self.0.as_deref().unwrap_or_default()
    }

    /// The value of `name`, to be kept.
    pub(super) fn shared_value(&self, name: &str) -> Option<Arc<str>> {
        self.find(name).map(|at| Arc::clone(&self.shared()[at].1))
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.shared().binary_search_by(|(n, _)| (**n).cmp(name)).ok()
    }
}

impl<N: Into<Arc<str>>, V: Into<Arc<str>>> FromIterator<(N, V)> for Kv {
    /// The last value of a repeated name wins.
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut pairs: Vec<Pair> =
            pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        let sorted = pairs.windows(2).all(|two| two[0].0 < two[1].0);
        if !sorted {
            pairs.reverse();
            pairs.sort_by(|a, b| a.0.cmp(&b.0));
            pairs.dedup_by(|later, kept| later.0 == kept.0);
        }
        Self(Some(pairs.into()))
    }
}

impl fmt::Display for Kv {
    /// `alertname=DiskFull, job=node`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (name, value)) in self.sorted_pairs().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{name}={value}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Kv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl Serialize for Kv {
    /// Always an object, names in byte order: the shape of every payload that carries labels.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.len()))?;
        for (name, value) in self.iter() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kv(pairs: &[(&str, &str)]) -> Kv {
        pairs.iter().copied().collect()
    }

    #[test]
    fn the_last_of_a_repeated_name_wins() {
        let kv = kv(&[("b", "1"), ("a", "2"), ("b", "3")]);
        assert_eq!(kv.iter().collect::<Vec<_>>(), [("a", "2"), ("b", "3")]);
        assert_eq!((kv.get("b"), kv.get("c"), kv.has("c")), ("3", "", false));
    }

    #[test]
    fn alertname_is_printed_first() {
        let kv = kv(&[("Job", "x"), ("alertname", "Down"), ("zone", "z")]);
        assert_eq!(kv.to_string(), "alertname=Down, Job=x, zone=z");
        assert_eq!(kv.without(&["alertname", "nope"]).to_string(), "Job=x, zone=z");
    }

    #[test]
    fn intersection_keeps_equal_pairs() {
        let mut common = kv(&[("a", "1"), ("b", "2"), ("c", "")]);
        common.intersect(&kv(&[("a", "1"), ("b", "3")]));
        assert_eq!(common, kv(&[("a", "1")]));
    }
}
