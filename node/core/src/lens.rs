//! Many matchers looked at in one pass over an alert's labels: what costs is the number of labels, not that of rules.

use std::collections::HashMap;

use xxhash_rust::xxh3::xxh3_64;

use crate::label::Lookup;
use crate::matcher::{Matcher, Matchers};

/// The distinct matchers, and the labels whose values are compared, of a set of rules.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lens {
    matchers: Vec<Matcher>,
    known: HashMap<String, usize>,
    names: HashMap<Box<str>, NameUse>,
    /// Which matchers hold for an alert without labels.
    absent: Vec<bool>,
    values: usize,
}

#[derive(Debug, Clone, Default)]
struct NameUse {
    /// Where the hash of the value goes.
    value_at: Option<usize>,
    /// Matchers that hold for one value or a few, none of them empty, by these values.
    by_value: HashMap<Box<str>, Vec<usize>>,
    others: Vec<usize>,
}

/// Matchers by their number in a [`Lens`]; all must hold.
pub(crate) type Conditions = Box<[usize]>;

/// What a [`Lens`] sees of one alert.
#[derive(Debug)]
pub(crate) struct Sight {
    holds: Vec<bool>,
    values: Vec<u64>,
}

impl Lens {
    /// Takes the matchers in.
    pub(crate) fn conditions(&mut self, matchers: &Matchers) -> Conditions {
        matchers.iter().map(|matcher| self.matcher(matcher)).collect()
    }

    /// Takes in a label whose value is to be compared; gives its place for [`Sight::hash`].
    pub(crate) fn label(&mut self, name: &str) -> usize {
        let at = &mut self.names.entry(name.into()).or_default().value_at;
        *at.get_or_insert_with(|| {
            self.values += 1;
            self.values - 1
        })
    }

    /// Looks at an alert.
    pub(crate) fn look(&self, labels: &dyn Lookup) -> Sight {
        let empty = xxh3_64(b"");
        let mut sight = Sight { holds: self.absent.clone(), values: vec![empty; self.values] };
        labels.each(&mut |name, value| {
            let Some(usage) = self.names.get(name) else { return };
            if let Some(at) = usage.value_at {
                sight.values[at] = xxh3_64(value.as_bytes());
            }
            for &at in usage.by_value.get(value).into_iter().flatten() {
                sight.holds[at] = true;
            }
            for &at in &usage.others {
                sight.holds[at] = self.matchers[at].matches(value);
            }
        });
        sight
    }

    fn matcher(&mut self, matcher: &Matcher) -> usize {
        let text = matcher.to_string();
        if let Some(&at) = self.known.get(&text) {
            return at;
        }
        let at = self.matchers.len();
        let usage = self.names.entry(matcher.name().into()).or_default();
        match matcher.values().filter(|_| !matcher.matches("")) {
            Some(values) => {
                for value in values {
                    usage.by_value.entry(value.into()).or_default().push(at);
                }
            }
            None => usage.others.push(at),
        }
        self.known.insert(text, at);
        self.absent.push(matcher.matches(""));
        self.matchers.push(matcher.clone());
        at
    }
}

impl Sight {
    /// Whether all hold.
    pub(crate) fn holds(&self, conditions: &Conditions) -> bool {
        conditions.iter().all(|at| self.holds[*at])
    }

    /// One hash of the values of these labels.
    pub(crate) fn hash(&self, labels: &[usize]) -> u64 {
        labels.iter().fold(0x9e37_79b9_7f4a_7c15, |hash: u64, at| {
            (hash.rotate_left(23) ^ self.values[*at]).wrapping_mul(0x9fb2_1c65_1e98_df25)
        })
    }
}
