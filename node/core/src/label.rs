//! Label sets: the identity of an alert, a group, a route's labels. Knows no alert.

mod hash;

use std::cmp::Ordering;
use std::fmt;

pub use hash::{BadFingerprint, Fingerprint, Hasher, hash_xx};

use crate::quote::write_quoted;

/// What the rules need of a label set, however it is stored.
pub trait Lookup {
    /// The value of the label, empty when there is none.
    fn get(&self, name: &str) -> &str;

    /// Whether the label is present, be it empty.
    fn has(&self, name: &str) -> bool;

    /// Calls `visit` with each name and value, in the order of the names' bytes.
    fn each(&self, visit: &mut dyn FnMut(&str, &str));
}

/// A sorted set of label names and values, each name once. Also used for annotations, which may be empty texts.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Labels {
    /// Name, value, name, value, … without anything between.
    text: Box<str>,
    /// Where each name and each value ends in `text`.
    ends: Box<[(u32, u32)]>,
}

impl Labels {
    /// Sorts the pairs; of equal names the last one wins, as in a JSON object.
    #[must_use]
    pub fn new<N: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut pairs: Vec<(N, V)> = pairs.into_iter().collect();
        pairs.sort_by(|a, b| a.0.as_ref().cmp(b.0.as_ref()));
        let mut builder = Builder::default();
        let mut rest = pairs.iter().peekable();
        while let Some((name, value)) = rest.next() {
            let repeated = rest.peek().is_some_and(|next| next.0.as_ref() == name.as_ref());
            if !repeated {
                builder.push(name.as_ref(), value.as_ref());
            }
        }
        builder.finish()
    }

    /// A copy of another layout's set.
    #[must_use]
    pub fn copy(set: &dyn Lookup) -> Self {
        let mut builder = Builder::default();
        set.each(&mut |name, value| builder.push(name, value));
        builder.finish()
    }

    /// The set without the labels whose value is empty: to an alert they are absent.
    #[must_use]
    pub fn without_empty(self) -> Self {
        if self.iter().all(|(_, value)| !value.is_empty()) {
            return self;
        }
        Self::new(self.iter().filter(|(_, value)| !value.is_empty()))
    }

    /// The value of the label, empty when there is none.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        self.find(name).unwrap_or_default()
    }

    /// The value of the label.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&str> {
        self.iter().find(|pair| pair.0 == name).map(|pair| pair.1)
    }

    /// Whether the label is present, be it empty.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// The pairs, sorted by name.
    #[must_use]
    pub fn iter(&self) -> Iter<'_> {
        Iter { labels: self, at: 0, from: 0 }
    }

    /// How many labels there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The identity of this set.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self)
    }

    /// The hash that the notification log keeps.
    #[must_use]
    pub fn hash_xx(&self) -> u64 {
        hash_xx(self)
    }

    /// Upstream's order of label sets: fewer labels first; then by the union of the names, where a set that lacks the name comes first.
    #[must_use]
    pub fn order(&self, other: &Self) -> Ordering {
        let by_pairs = || {
            for ((name, value), (other_name, other_value)) in self.iter().zip(other) {
                // The smaller name is missing in the other set, which therefore comes first.
                let order = name.cmp(other_name).reverse().then_with(|| value.cmp(other_value));
                if order != Ordering::Equal {
                    return order;
                }
            }
            Ordering::Equal
        };
        self.len().cmp(&other.len()).then_with(by_pairs)
    }

    /// Whether this set comes before the other in [`Labels::order`].
    #[must_use]
    pub fn before(&self, other: &Self) -> bool {
        self.order(other) == Ordering::Less
    }
}

/// The order of the alerts in a notification: by `job`, then `instance` (with the label before without), then [`Labels::order`].
#[must_use]
pub fn alert_order(a: &Labels, b: &Labels) -> Ordering {
    for name in ["job", "instance"] {
        let order = match (a.find(name), b.find(name)) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(a), Some(b)) => a.cmp(b),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    a.order(b)
}

impl Lookup for Labels {
    fn get(&self, name: &str) -> &str {
        self.get(name)
    }

    fn has(&self, name: &str) -> bool {
        self.has(name)
    }

    fn each(&self, visit: &mut dyn FnMut(&str, &str)) {
        self.iter().for_each(|(name, value)| visit(name, value));
    }
}

/// Prints as in group keys: `{a="x", b="y"}` with values quoted as Go does.
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (at, (name, value)) in self.iter().enumerate() {
            if at != 0 {
                f.write_str(", ")?;
            }
            f.write_str(name)?;
            f.write_str("=")?;
            write_quoted(f, value)?;
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<'a> IntoIterator for &'a Labels {
    type Item = (&'a str, &'a str);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl<N: AsRef<str>, V: AsRef<str>> FromIterator<(N, V)> for Labels {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        Self::new(pairs)
    }
}

impl<N: AsRef<str>, V: AsRef<str>, const LEN: usize> From<[(N, V); LEN]> for Labels {
    fn from(pairs: [(N, V); LEN]) -> Self {
        Self::new(pairs)
    }
}

/// The pairs of a [`Labels`].
#[derive(Debug, Clone)]
pub struct Iter<'a> {
    labels: &'a Labels,
    at: usize,
    from: u32,
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let &(name_end, value_end) = self.labels.ends.get(self.at)?;
        let text = &self.labels.text;
        let name = &text[self.from as usize..name_end as usize];
        let value = &text[name_end as usize..value_end as usize];
        self.at += 1;
        self.from = value_end;
        Some((name, value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.labels.ends.len() - self.at;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Iter<'_> {}

/// Takes pairs in order.
#[derive(Default)]
struct Builder {
    text: String,
    ends: Vec<(u32, u32)>,
}

impl Builder {
    fn push(&mut self, name: &str, value: &str) {
        // Requests are far smaller than 4 GiB; should one not be, the pair that passes it is left out.
        let whole = self.text.len() + name.len() + value.len();
        if let (Ok(value_end), Ok(name_end)) =
            (u32::try_from(whole), u32::try_from(self.text.len() + name.len()))
        {
            self.text.push_str(name);
            self.text.push_str(value);
            self.ends.push((name_end, value_end));
        }
    }

    fn finish(self) -> Labels {
        Labels { text: self.text.into(), ends: self.ends.into() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels(text: &str) -> Labels {
        text.split(',')
            .filter(|pair| !pair.is_empty())
            .filter_map(|pair| pair.split_once('='))
            .collect()
    }

    #[test]
    fn fingerprints_are_those_of_upstream() {
        for (text, fingerprint) in [
            ("", "cbf29ce484222325"),
            ("a=b", "d2b371819297f98a"),
            ("alertname=ok", "01167342b0fed1b2"),
            ("alertname=A,cluster=x,severity=critical", "3faafd8e0b61e953"),
            ("alertname=A,cluster=x,severity=critical,team=a", "852601a0d117b2bf"),
        ] {
            assert_eq!(labels(text).fingerprint().to_string(), fingerprint);
            assert_eq!(fingerprint.parse(), Ok(labels(text).fingerprint()));
        }
        for text in ["", "+1", "x", "00000000000000000"] {
            assert_eq!(text.parse::<Fingerprint>(), Err(BadFingerprint), "{text}");
        }
    }

    #[test]
    fn alert_hashes_are_those_of_upstream() {
        for (text, hash) in [
            ("a=b", 6955969838111864200),
            ("alertname=A,cluster=x,severity=critical", 5467451253647533426),
            ("alertname=A,cluster=x,severity=critical,team=a", 15394473180163025755),
        ] {
            assert_eq!(labels(text).hash_xx(), hash);
        }
    }

    /// Trap 11.
    #[test]
    fn label_with_an_empty_value_is_dropped_before_fingerprinting() {
        let labels = Labels::new([("a", "b"), ("c", "")]).without_empty();
        assert_eq!(labels.fingerprint().to_string(), "d2b371819297f98a");
    }

    #[test]
    fn last_of_equal_names_wins() {
        assert_eq!(
            Labels::new([("b", "1"), ("a", "2"), ("b", "3")]).to_string(),
            r#"{a="2", b="3"}"#
        );
    }

    #[test]
    fn sets_are_ordered_as_upstream_does() {
        let sorted =
            ["", "b=1", "a=1", "a=2", "b=1,c=1", "a=1,c=1", "a=1,b=1", "a=1,b=2", "a=2,b=1"];
        for (at, a) in sorted.iter().enumerate() {
            for (other_at, b) in sorted.iter().enumerate() {
                assert_eq!(labels(a).order(&labels(b)), at.cmp(&other_at), "{a} {b}");
            }
        }
    }

    #[test]
    fn alerts_are_ordered_by_job_and_instance() {
        let sorted = ["job=a,z=1,zz=1", "instance=1,job=b", "job=b", "instance=1", "x=1"];
        for (at, a) in sorted.iter().enumerate() {
            for (other_at, b) in sorted.iter().enumerate() {
                assert_eq!(alert_order(&labels(a), &labels(b)), at.cmp(&other_at), "{a} {b}");
            }
        }
    }

    proptest! {
        #[test]
        fn pairs_come_back_sorted(pairs in proptest::collection::btree_map("[a-cé]{0,3}", "\\PC{0,3}", 0..6)) {
            let labels = Labels::new(pairs.iter().rev());
            prop_assert!(labels.iter().eq(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))));
            prop_assert_eq!(&Labels::copy(&labels), &labels);
            prop_assert!(pairs.iter().all(|(name, value)| labels.get(name) == value && labels.has(name)));
            prop_assert!(!labels.has("d"));
        }
    }
}
