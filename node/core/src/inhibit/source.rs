//! The sources of inhibition rules, found by the values of the labels that must be equal.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use jiff::Timestamp;

use crate::alert::{Hold, Times};
use crate::label::Fingerprint;

/// Where a source belongs: a rule and the values of its `equal` labels.
pub(super) struct Place {
    pub(super) rule: usize,
    pub(super) hash: u64,
    pub(super) values: Box<[u8]>,
    /// The alert is a target of the rule too.
    pub(super) two_sided: bool,
}

#[derive(Debug, Default)]
pub(super) struct Sources {
    alerts: HashMap<Fingerprint, Source>,
    /// For each rule: the buckets with that hash.
    rules: Vec<HashMap<u64, Vec<BucketId>, BuildHasherDefault<Ready>>>,
    buckets: Vec<Bucket>,
    free: Vec<BucketId>,
}

type BucketId = usize;

#[derive(Debug)]
struct Source {
    times: Times,
    /// Each with whether the alert is a target of its rule too.
    buckets: Box<[(BucketId, bool)]>,
}

/// The sources of one rule that have the same values.
#[derive(Debug)]
struct Bucket {
    rule: usize,
    hash: u64,
    values: Box<[u8]>,
    one_sided: Side,
    two_sided: Side,
}

#[derive(Debug, Default)]
struct Side {
    sources: Vec<Fingerprint>,
    /// Of the sources, the one that ends last, of several the smallest.
    last: Option<(Timestamp, Fingerprint)>,
}

impl Sources {
    pub(super) fn new(rules: usize) -> Self {
        Self { rules: (0..rules).map(|_| HashMap::default()).collect(), ..Self::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.alerts.len()
    }

    /// Gives a known source new times; false when it is unknown.
    pub(super) fn update(&mut self, fingerprint: Fingerprint, times: &Times) -> bool {
        let Some(source) = self.alerts.get_mut(&fingerprint) else { return false };
        let same_end = source.times.ends_at == times.ends_at;
        source.times = *times;
        if !same_end {
            let buckets = source.buckets.clone();
            for &(id, two_sided) in &buckets {
                self.buckets[id].side(two_sided).moved(fingerprint, &self.alerts);
            }
        }
        true
    }

    /// Takes an alert in, unless it is no source of any rule.
    pub(super) fn insert(&mut self, fingerprint: Fingerprint, times: &Times, places: Vec<Place>) {
        if places.is_empty() {
            return;
        }
        let places = places.into_iter().map(|place| (place.two_sided, self.bucket(place)));
        let buckets: Box<[_]> = places.map(|(two_sided, id)| (id, two_sided)).collect();
        self.alerts.insert(fingerprint, Source { times: *times, buckets: buckets.clone() });
        for &(id, two_sided) in &buckets {
            let side = self.buckets[id].side(two_sided);
            side.sources.push(fingerprint);
            side.moved(fingerprint, &self.alerts);
        }
    }

    pub(super) fn remove(&mut self, fingerprint: Fingerprint) {
        let Some(source) = self.alerts.remove(&fingerprint) else { return };
        for &(id, two_sided) in &source.buckets {
            let bucket = &mut self.buckets[id];
            let side = bucket.side(two_sided);
            side.sources.retain(|other| *other != fingerprint);
            if side.last.is_some_and(|last| last.1 == fingerprint) {
                side.search(&self.alerts);
            }
            if bucket.one_sided.sources.is_empty() && bucket.two_sided.sources.is_empty() {
                self.drop_bucket(id);
            }
        }
    }

    /// The buckets of the rule with that hash.
    pub(super) fn with_hash(&self, rule: usize, hash: u64) -> &[BucketId] {
        self.rules.get(rule).and_then(|rule| rule.get(&hash)).map_or(&[], Vec::as_slice)
    }

    /// Of the found buckets, in the one with these values: the firing source that ends last.
    pub(super) fn firing(
        &self,
        found: &[BucketId],
        values: &[u8],
        target_is_two_sided: bool,
        now: Timestamp,
        hold: &Hold,
    ) -> Option<Fingerprint> {
        let mut buckets = found.iter().map(|id| &self.buckets[*id]);
        let bucket = buckets.find(|bucket| *bucket.values == *values)?;
        let two_sided = (!target_is_two_sided).then_some(&bucket.two_sided);
        let sides = || std::iter::once(&bucket.one_sided).chain(two_sided);
        let last = sides().filter_map(|side| side.last).reduce(later)?;
        if now < last.0 {
            return Some(last.1);
        }
        if *hold == Hold::default() {
            return None;
        }
        let held = sides().flat_map(|side| &side.sources).filter_map(|fingerprint| {
            let end = hold.end_of(&self.alerts.get(fingerprint)?.times);
            (now < end).then_some((end, *fingerprint))
        });
        held.reduce(later).map(|held| held.1)
    }

    fn bucket(&mut self, place: Place) -> BucketId {
        let Place { rule, hash, values, .. } = place;
        let found = self.rules[rule].entry(hash).or_default();
        if let Some(&id) = found.iter().find(|id| self.buckets[**id].values == values) {
            return id;
        }
        let bucket =
            Bucket { rule, hash, values, one_sided: Side::default(), two_sided: Side::default() };
        let id = match self.free.pop() {
            Some(id) => {
                self.buckets[id] = bucket;
                id
            }
            None => {
                self.buckets.push(bucket);
                self.buckets.len() - 1
            }
        };
        found.push(id);
        id
    }

    fn drop_bucket(&mut self, id: BucketId) {
        let Bucket { rule, hash, .. } = self.buckets[id];
        if let Some(found) = self.rules[rule].get_mut(&hash) {
            found.retain(|other| *other != id);
            if found.is_empty() {
                self.rules[rule].remove(&hash);
            }
        }
        self.free.push(id);
    }
}

impl Bucket {
    fn side(&mut self, two_sided: bool) -> &mut Side {
        if two_sided { &mut self.two_sided } else { &mut self.one_sided }
    }
}

impl Side {
    /// A source of this side has come, or its end has moved.
    fn moved(&mut self, fingerprint: Fingerprint, alerts: &HashMap<Fingerprint, Source>) {
        let Some(source) = alerts.get(&fingerprint) else { return };
        let moved = (source.times.ends_at, fingerprint);
        match self.last {
            Some(last) if last.1 == fingerprint && moved.0 < last.0 => self.search(alerts),
            Some(last) if last.1 != fingerprint => self.last = Some(later(last, moved)),
            _ => self.last = Some(moved),
        }
    }

    fn search(&mut self, alerts: &HashMap<Fingerprint, Source>) {
        let ends = self.sources.iter().filter_map(|fingerprint| {
            alerts.get(fingerprint).map(|source| (source.times.ends_at, *fingerprint))
        });
        self.last = ends.reduce(later);
    }
}

/// The one that ends later, of equals the smaller fingerprint.
fn later(a: (Timestamp, Fingerprint), b: (Timestamp, Fingerprint)) -> (Timestamp, Fingerprint) {
    if (a.0, b.1) >= (b.0, a.1) { a } else { b }
}

/// For keys that are hashes already.
#[derive(Debug, Default)]
struct Ready(u64);

impl Hasher for Ready {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, byte| hash.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
