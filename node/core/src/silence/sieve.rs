//! Finds the matcher lists that may hold for an alert without looking at all of them.
//!
//! Each list is filed under one of its matchers: by a value or a few, by the start of every value that an expression matches, or by
//! nothing. It is filed where the fewest others are.

use std::collections::HashMap;

use crate::label::Lookup;
use crate::matcher::{MatchOp, Matcher, Matchers};

/// The number of a matcher list.
pub(super) type ListId = u32;

#[derive(Debug, Default)]
pub(super) struct Sieve {
    names: Vec<(Box<str>, ByName)>,
    always: Vec<ListId>,
}

#[derive(Debug, Default)]
struct ByName {
    values: HashMap<Box<str>, Vec<ListId>>,
    prefixes: HashMap<Box<[u8]>, Vec<ListId>>,
    /// The lengths of the prefixes, each with their number, ascending.
    lengths: Vec<(usize, usize)>,
}

/// Where a list is filed; needed to take it out.
#[derive(Debug, Clone)]
pub(super) enum Place {
    Values(Matcher),
    Prefix(Matcher),
    Always,
}

impl Sieve {
    pub(super) fn insert(&mut self, id: ListId, list: &Matchers) -> Place {
        let places = list.iter().filter_map(place_of);
        let best = places.min_by_key(|place| self.crowd(place)).unwrap_or(Place::Always);
        match &best {
            Place::Always => self.always.push(id),
            Place::Values(matcher) => {
                let by_name = self.by_name(matcher.name());
                for value in matcher.values().into_iter().flatten() {
                    by_name.values.entry(value.into()).or_default().push(id);
                }
            }
            Place::Prefix(matcher) => {
                self.by_name(matcher.name()).insert_prefix(prefix(matcher), id);
            }
        }
        best
    }

    pub(super) fn remove(&mut self, id: ListId, place: &Place) {
        match place {
            Place::Always => self.always.retain(|other| *other != id),
            Place::Values(matcher) => {
                let by_name = self.by_name(matcher.name());
                for value in matcher.values().into_iter().flatten() {
                    remove_from(&mut by_name.values, value, id);
                }
            }
            Place::Prefix(matcher) => {
                self.by_name(matcher.name()).remove_prefix(prefix(matcher), id);
            }
        }
        self.names
            .retain(|(_, by_name)| !by_name.values.is_empty() || !by_name.prefixes.is_empty());
    }

    /// Visits the lists that may hold, each once.
    pub(super) fn visit(&self, labels: &dyn Lookup, visit: &mut dyn FnMut(ListId)) {
        self.always.iter().for_each(|id| visit(*id));
        for (name, by_name) in &self.names {
            let value = labels.get(name);
            if let Some(ids) = by_name.values.get(value) {
                ids.iter().for_each(|id| visit(*id));
            }
            let fitting =
                by_name.lengths.iter().map_while(|(length, _)| value.as_bytes().get(..*length));
            for ids in fitting.filter_map(|start| by_name.prefixes.get(start)) {
                ids.iter().for_each(|id| visit(*id));
            }
        }
    }

    /// How many lists would be looked at together with one that is filed there.
    fn crowd(&self, place: &Place) -> usize {
        let filed =
            |name: &str| self.names.iter().find(|known| *known.0 == *name).map(|known| &known.1);
        match place {
            Place::Always => self.always.len(),
            Place::Values(matcher) => filed(matcher.name()).map_or(0, |by_name| {
                matcher
                    .values()
                    .into_iter()
                    .flatten()
                    .filter_map(|value| by_name.values.get(value))
                    .map(Vec::len)
                    .sum()
            }),
            Place::Prefix(matcher) => filed(matcher.name())
                .and_then(|by_name| by_name.prefixes.get(prefix(matcher)))
                .map_or(0, Vec::len),
        }
    }

    fn by_name(&mut self, name: &str) -> &mut ByName {
        let at = self.names.iter().position(|known| *known.0 == *name).unwrap_or_else(|| {
            self.names.push((name.into(), ByName::default()));
            self.names.len() - 1
        });
        &mut self.names[at].1
    }
}

impl ByName {
    fn insert_prefix(&mut self, prefix: &[u8], id: ListId) {
        match self.lengths.binary_search_by_key(&prefix.len(), |known| known.0) {
            Ok(at) => self.lengths[at].1 += 1,
            Err(at) => self.lengths.insert(at, (prefix.len(), 1)),
        }
        self.prefixes.entry(prefix.into()).or_default().push(id);
    }

    fn remove_prefix(&mut self, prefix: &[u8], id: ListId) {
        if let Ok(at) = self.lengths.binary_search_by_key(&prefix.len(), |known| known.0) {
            self.lengths[at].1 -= 1;
            if self.lengths[at].1 == 0 {
                self.lengths.remove(at);
            }
        }
        remove_from(&mut self.prefixes, prefix, id);
    }
}

fn remove_from<K, Q>(lists: &mut HashMap<K, Vec<ListId>>, key: &Q, id: ListId)
where
    K: std::borrow::Borrow<Q> + std::hash::Hash + Eq,
    Q: std::hash::Hash + Eq + ?Sized,
{
    if let Some(ids) = lists.get_mut(key) {
        ids.retain(|other| *other != id);
        if ids.is_empty() {
            lists.remove(key);
        }
    }
}

/// Where a list with this matcher can be filed.
fn place_of(matcher: &Matcher) -> Option<Place> {
    if matcher.values().is_some() {
        return Some(Place::Values(matcher.clone()));
    }
    let starts = matcher.op() == MatchOp::Regex && !prefix(matcher).is_empty();
    starts.then(|| Place::Prefix(matcher.clone()))
}

fn prefix(matcher: &Matcher) -> &[u8] {
    matcher.regex().map_or(&[], |regex| regex.prefix())
}
