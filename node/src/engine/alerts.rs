//! The table of alerts: the only copy in memory, packed; what other parts see are borrowed views and fingerprints.
//!
//! Besides the records it remembers which of them the loop has not looked at since they changed. That list is bounded by
//! the table itself: an alert stands on it once.

use std::collections::HashSet;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use hashbrown::{DefaultHashBuilder, HashTable};
use jiff::Timestamp;
use tocsin_cluster::{Malformed, Record, Stamp, Table, kind};
use tocsin_core::alert::Alert;
use tocsin_core::inhibit::{Inhibitor, Rule};
use tocsin_core::label::{Fingerprint, Labels};
use tocsin_service::clock::Clock;
use tokio::sync::Notify;

use super::body::{self, AlertBody};
use super::ingest::TOMBSTONE_MIN;
use super::log::Log;
use super::pairs::Pairs;
use super::slot::{AlertRef, CHANGED, GROUPED, LIVE, Slot};

const CHUNK: usize = 1024;

/// All alerts this node knows: firing ones, and resolved ones until their record expires.
pub struct Alerts {
    inner: Mutex<Inner>,
    clock: Arc<dyn Clock>,
    changed: Notify,
    log: Arc<Log>,
    /// What receivers thought to fire when everything had been loaded; made when it is asked for.
    told_firing: OnceLock<HashSet<u64>>,
}

/// The table behind the lock, and what is indexed with it.
pub(super) struct Inner {
    index: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// Never moved, never doubled.
    chunks: Vec<Vec<Slot>>,
    free: Vec<u32>,
    pub(super) pairs: Pairs,
    pub(super) inhibitor: Inhibitor,
    changed: Vec<u32>,
    /// What the writer in the critical section is about to put, so that it need not be decoded.
    staged: Option<Alert>,
    /// Records that have expired since this was asked last.
    gone: Vec<Fingerprint>,
    live: usize,
    /// See [`Alerts::version`].
    version: u64,
}

impl Alerts {
    /// An empty table beside the log of what receivers were told.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, log: Arc<Log>) -> Self {
        let (inner, changed) = (Mutex::new(Inner::new()), Notify::new());
        Self { inner, clock, changed, log, told_firing: OnceLock::new() }
    }

    /// How many records there are, resolved ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().live
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads one alert.
    pub fn with<R>(&self, alert: Fingerprint, read: impl FnOnce(AlertRef<'_>) -> R) -> Option<R> {
        let inner = self.lock();
        let place = inner.find(alert.0)?;
        Some(read(inner.view(place)))
    }

    /// Reads many alerts under one lock, in the order given; those that are gone are left out.
    pub fn each(&self, alerts: &[Fingerprint], mut read: impl FnMut(AlertRef<'_>)) {
        let inner = self.lock();
        for alert in alerts {
            if let Some(place) = inner.find(alert.0) {
                read(inner.view(place));
            }
        }
    }

    /// As [`Alerts::each`], in the order of notifications.
    pub fn each_ordered(&self, alerts: &[Fingerprint], mut read: impl FnMut(AlertRef<'_>)) {
        let inner = self.lock();
        let found = alerts.iter().filter_map(|alert| Some(inner.view(inner.find(alert.0)?)));
        let mut found: Vec<_> = found.collect();
        found.sort_by(AlertRef::order);
        found.into_iter().for_each(&mut read);
    }

    /// Reads every record, a lock for each thousand.
    pub fn scan(&self, read: impl FnMut(AlertRef<'_>)) {
        self.scan_having(&[], read);
    }

    /// As [`Alerts::scan`], only those that have all of these labels; no value is empty.
    pub(super) fn scan_having(&self, labels: &[(&str, &str)], mut read: impl FnMut(AlertRef<'_>)) {
        let mut chunk = 0;
        loop {
            let inner = self.lock();
            let Some(slots) = inner.chunks.get(chunk) else { return };
            let probes = labels.iter().map(|(name, value)| inner.pairs.probe(name, value));
            let probes: Vec<_> = probes.collect();
            let has = |slot: &&Slot| probes.iter().all(|probe| probe.is_in(&slot.labels));
            for slot in slots.iter().filter(|slot| slot.flags & LIVE != 0).filter(has) {
                read(AlertRef { slot, table: &inner });
            }
            chunk += 1;
        }
    }

    /// Differs whenever an alert has changed otherwise than by going on.
    pub(super) fn version(&self) -> u64 {
        self.lock().version
    }

    /// When any alert was heard of last.
    pub(super) fn last_update(&self) -> Option<Timestamp> {
        let mut last = None;
        self.scan(|alert| last = last.max(Some(alert.times().updated_at)));
        last
    }

    /// Replaces the rules of inhibition.
    pub(super) fn set_rules(&self, rules: Vec<Rule>) {
        let mut inhibitor = Inhibitor::new(rules);
        let mut inner = self.lock();
        for slot in inner.chunks.iter().flatten().filter(|slot| slot.flags & LIVE != 0) {
            let alert = AlertRef { slot, table: &inner };
            inhibitor.update(alert.fingerprint(), &alert, &alert.times());
        }
        inner.inhibitor = inhibitor;
    }

    /// Announces what the writer is about to put; see [`super::ingest`].
    pub(super) fn stage(&self, alert: Alert) {
        self.lock().staged = Some(alert);
    }

    /// Waits until [`Alerts::take_changed`] has something.
    pub(super) async fn wait_changed(&self) {
        self.changed.notified().await;
    }

    /// Shows up to `max` alerts that have changed since they were shown last. `join` answers how many more groups hold the
    /// alert; afterwards all do which should. Answers how many there were.
    pub(super) fn take_changed(
        &self,
        max: usize,
        mut join: impl FnMut(&AlertRef<'_>) -> u16,
    ) -> usize {
        let mut inner = self.lock();
        let from = inner.changed.len().saturating_sub(max);
        let places = inner.changed.split_off(from);
        if from > 0 {
            self.changed.notify_one();
        }
        let taken = places.len();
        for place in places {
            inner.slot_mut(place).flags &= !CHANGED;
            inner.join(place, &mut join);
        }
        taken
    }

    /// Shows every alert, as [`Alerts::take_changed`] does, after forgetting what groups held.
    pub(super) fn regroup(&self, mut join: impl FnMut(&AlertRef<'_>) -> u16) {
        let mut inner = self.lock();
        inner.changed.clear();
        let places = inner.chunks.iter().map(Vec::len).sum::<usize>();
        for place in 0..u32::try_from(places).unwrap_or(u32::MAX) {
            let slot = inner.slot_mut(place);
            slot.flags &= !(CHANGED | GROUPED);
            slot.holders = 0;
            if slot.flags & LIVE != 0 {
                inner.join(place, &mut join);
            } else if slot.used {
                let fingerprint = slot.fingerprint;
                inner.drop_ghost(fingerprint);
            }
        }
    }

    /// A group lets an alert go, unless its stamp is another one by now (`None`: the record is gone).
    pub(super) fn ungroup(&self, alert: Fingerprint, stamp: Option<Stamp>) -> bool {
        let mut inner = self.lock();
        let Some(place) = inner.find(alert.0) else { return true };
        let slot = inner.slot_mut(place);
        if stamp.is_some_and(|stamp| slot.stamp != stamp) {
            return false;
        }
        slot.holders = slot.holders.saturating_sub(1);
        slot.flags &= !GROUPED;
        if slot.holders == 0 && slot.flags & LIVE == 0 {
            inner.drop_ghost(alert.0);
        }
        true
    }

    /// The alerts whose records have expired since this was asked last.
    pub(super) fn take_gone(&self) -> Vec<Fingerprint> {
        std::mem::take(&mut self.lock().gone)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table for Alerts {
    fn stamp(&self, key: &[u8]) -> Option<(Stamp, i64)> {
        let inner = self.lock();
        let slot = inner.slot(inner.find_live(key)?);
        Some((slot.stamp, slot.expires_at_ms))
    }

    fn put(&self, record: &Record, local: bool) -> Result<(), Malformed> {
        let fingerprint = fingerprint(&record.key)?;
        let mut inner = self.lock();
        let staged = inner.staged.take().filter(|_| local);
        let alert = match staged {
            Some(alert) => alert,
            None => decode(record, self.clock.now())?,
        };
        if inner.store(fingerprint, record, &alert) {
            self.changed.notify_one();
        }
        Ok(())
    }

    fn read(&self, key: &[u8]) -> Option<Record> {
        let inner = self.lock();
        let place = inner.find_live(key)?;
        let slot = inner.slot(place);
        Some(Record {
            kind: kind::ALERT,
            key: Bytes::copy_from_slice(key),
            stamp: slot.stamp,
            expires_at_ms: slot.expires_at_ms,
            body: inner.view(place).encode(),
        })
    }

    fn walk(&self, visit: &mut dyn FnMut(&[u8], Stamp, i64)) {
        let inner = self.lock();
        for slot in inner.chunks.iter().flatten().filter(|slot| slot.flags & LIVE != 0) {
            visit(&slot.fingerprint.to_be_bytes(), slot.stamp, slot.expires_at_ms);
        }
    }

    /// The end of what a receiver still thinks to fire is told first.
    fn kept_until(&self, record: &Record, now_ms: i64) -> Option<i64> {
        let alert = decode(record, self.clock.now()).ok()?;
        let told = self.told_firing.get_or_init(|| self.log.firing());
        let keep = i64::try_from(TOMBSTONE_MIN.as_millis()).unwrap_or(i64::MAX);
        told.contains(&alert.labels.hash_xx()).then(|| now_ms.saturating_add(keep))
    }

    fn remove(&self, key: &[u8]) {
        let mut inner = self.lock();
        if let Some(place) = inner.find_live(key) {
            inner.remove(place);
        }
    }
}

impl Inner {
    fn new() -> Self {
        Self {
            index: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            chunks: Vec::new(),
            free: Vec::new(),
            pairs: Pairs::new(),
            inhibitor: Inhibitor::default(),
            changed: Vec::new(),
            staged: None,
            gone: Vec::new(),
            live: 0,
            version: 0,
        }
    }

    fn slot(&self, place: u32) -> &Slot {
        &self.chunks[place as usize / CHUNK][place as usize % CHUNK]
    }

    fn slot_mut(&mut self, place: u32) -> &mut Slot {
        &mut self.chunks[place as usize / CHUNK][place as usize % CHUNK]
    }

    fn view(&self, place: u32) -> AlertRef<'_> {
        AlertRef { slot: self.slot(place), table: self }
    }

    /// The place of an alert, be it only held by a group.
    fn find(&self, fingerprint: u64) -> Option<u32> {
        let hash = self.hasher.hash_one(fingerprint);
        self.index.find(hash, |&place| self.slot(place).fingerprint == fingerprint).copied()
    }

    fn find_live(&self, key: &[u8]) -> Option<u32> {
        let place = self.find(fingerprint(key).ok()?)?;
        (self.slot(place).flags & LIVE != 0).then_some(place)
    }

    fn join(&mut self, place: u32, join: &mut dyn FnMut(&AlertRef<'_>) -> u16) {
        if self.slot(place).flags & LIVE == 0 {
            return;
        }
        let joined = join(&self.view(place));
        let slot = self.slot_mut(place);
        slot.holders = slot.holders.saturating_add(joined);
        slot.flags |= GROUPED;
    }

    /// Stores an alert; answers whether the loop has to look at it.
    fn store(&mut self, fingerprint: u64, record: &Record, alert: &Alert) -> bool {
        let place = match self.find(fingerprint) {
            Some(place) => place,
            None => self.allocate(fingerprint, alert),
        };
        let rest = rest(alert);
        let (chunk, at) = (place as usize / CHUNK, place as usize % CHUNK);
        let slot = &mut self.chunks[chunk][at];
        let same_rest = self.pairs.equal(&slot.rest, rest.clone());
        if !same_rest {
            let packed = self.pairs.pack(rest);
            let old = std::mem::replace(&mut slot.rest, packed);
            self.pairs.release(&old);
        }
        let touch = same_rest && slot.is_touched_by(alert);
        if slot.flags & LIVE == 0 {
            self.live += 1;
        }
        slot.stamp = record.stamp;
        slot.expires_at_ms = record.expires_at_ms;
        slot.set(alert);
        self.inhibitor.update(Fingerprint(fingerprint), &alert.labels, &alert.times());
        self.version += u64::from(!touch);
        let slot = &mut self.chunks[chunk][at];
        if touch || slot.flags & CHANGED != 0 {
            return false;
        }
        slot.flags |= CHANGED;
        self.changed.push(place);
        true
    }

    fn allocate(&mut self, fingerprint: u64, alert: &Alert) -> u32 {
        let labels = self.pairs.pack(alert.labels.iter());
        let slot = Slot::new(fingerprint, labels);
        let place = match self.free.pop() {
            Some(place) => {
                *self.slot_mut(place) = slot;
                place
            }
            None => self.append(slot),
        };
        let hash = self.hasher.hash_one(fingerprint);
        let (chunks, hasher) = (&self.chunks, &self.hasher);
        self.index.insert_unique(hash, place, |&other| {
            hasher.hash_one(chunks[other as usize / CHUNK][other as usize % CHUNK].fingerprint)
        });
        place
    }

    fn append(&mut self, slot: Slot) -> u32 {
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let chunk = self.chunks.len() - 1;
        self.chunks[chunk].push(slot);
        let place = chunk * CHUNK + self.chunks[chunk].len() - 1;
        u32::try_from(place).expect("fewer than 2^32 alerts fit in memory")
    }

    fn remove(&mut self, place: u32) {
        self.live -= 1;
        self.version += 1;
        let alert = Fingerprint(self.slot(place).fingerprint);
        self.inhibitor.remove(alert);
        self.gone.push(alert);
        let slot = self.slot_mut(place);
        slot.flags &= !LIVE;
        if slot.holders == 0 {
            let fingerprint = slot.fingerprint;
            self.drop_ghost(fingerprint);
        }
    }

    /// Frees the place of what no group holds any more.
    fn drop_ghost(&mut self, fingerprint: u64) {
        let hash = self.hasher.hash_one(fingerprint);
        let chunks = &self.chunks;
        let found = self.index.find_entry(hash, |&place| {
            chunks[place as usize / CHUNK][place as usize % CHUNK].fingerprint == fingerprint
        });
        let Ok(found) = found else { return };
        let (place, _) = found.remove();
        let changed = self.slot(place).flags & CHANGED;
        if changed != 0 {
            self.changed.retain(|&other| other != place);
        }
        let gone = std::mem::replace(self.slot_mut(place), Slot::free());
        self.pairs.release(&gone.labels);
        self.pairs.release(&gone.rest);
        self.free.push(place);
    }
}

/// The generator URL as a pair without a name, if there is one, then the annotations.
fn rest(alert: &Alert) -> impl Iterator<Item = (&str, &str)> + Clone {
    let url: &str = &alert.generator_url;
    Some(("", url)).filter(|_| !url.is_empty()).into_iter().chain(alert.annotations.iter())
}

fn fingerprint(key: &[u8]) -> Result<u64, Malformed> {
    let bytes = key.try_into().map_err(|_| Malformed("key is not a fingerprint".to_owned()))?;
    Ok(u64::from_be_bytes(bytes))
}

/// Reads an alert that another node has written, or that comes from the disk: no clock but ours says when we heard of it.
fn decode(record: &Record, now: Timestamp) -> Result<Alert, Malformed> {
    let body: AlertBody = body::decode(&record.body)?;
    let labels = Labels::new(body::pairs(&body.labels)?);
    if labels.fingerprint().0.to_be_bytes() != *record.key {
        return Err(Malformed("labels are those of another alert".to_owned()));
    }
    Ok(Alert {
        labels,
        annotations: Labels::new(body::pairs(&body.annotations)?),
        starts_at: body::moment(body.starts_at, "startsAt")?,
        ends_at: body::moment(body.ends_at, "endsAt")?,
        updated_at: body::moment(body.updated_at, "updatedAt")?,
        received_at: body::moment(body.received_at, "receivedAt")?.min(now),
        generator_url: body.generator_url.into(),
        timeout: body.timeout,
        explicit_end: body.explicit_end,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tocsin_service::clock::SystemClock;

    const SECOND: i64 = 1;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    fn alert(labels: &[(&str, &str)], ends: i64) -> Alert {
        Alert {
            labels: Labels::new(labels.iter().copied()),
            annotations: Labels::new([("summary", "it is down")]),
            generator_url: "http://p/graph".into(),
            starts_at: at(0),
            ends_at: at(ends),
            updated_at: at(1),
            received_at: at(1),
            timeout: false,
            explicit_end: false,
        }
    }

    struct Fixture {
        alerts: Alerts,
        hlc: u64,
    }

    impl Fixture {
        fn new() -> Self {
            let clock: Arc<dyn Clock> = Arc::new(SystemClock);
            let log = Arc::new(Log::new(Arc::clone(&clock)));
            Self { alerts: Alerts::new(clock, log), hlc: 0 }
        }

        /// Puts an alert as a peer's record.
        fn put(&mut self, alert: &Alert) -> Fingerprint {
            self.hlc += 1;
            let fingerprint = alert.labels.fingerprint();
            let body = crate::engine::ingest::encode(alert);
            let record = Record {
                kind: kind::ALERT,
                key: fingerprint.0.to_be_bytes().to_vec().into(),
                stamp: Stamp { rank: 0, hlc: self.hlc, node: 1 },
                expires_at_ms: 1,
                body,
            };
            self.alerts.put(&record, false).unwrap();
            assert_eq!(self.alerts.read(&record.key).as_ref(), Some(&record));
            fingerprint
        }

        /// The alerts that the loop sees as changed; each of them joins one group.
        fn changed(&self) -> Vec<Fingerprint> {
            let mut changed = Vec::new();
            self.alerts.take_changed(100, |alert| {
                changed.push(alert.fingerprint());
                1
            });
            changed
        }

        fn stamp(&self, alert: Fingerprint) -> Option<Stamp> {
            self.alerts.with(alert, |alert| alert.stamp())
        }
    }

    #[test]
    fn a_record_comes_back_byte_for_byte() {
        let mut table = Fixture::new();
        let down = alert(&[("alertname", "Down"), ("instance", "a")], 300);
        let fingerprint = table.put(&down);
        let seen = table.alerts.with(fingerprint, |seen| {
            (
                Labels::new(seen.labels()) == down.labels,
                Labels::new(seen.annotations()) == down.annotations,
                seen.generator_url() == "http://p/graph",
                seen.times() == down.times(),
            )
        });
        assert_eq!(seen, Some((true, true, true, true)));
    }

    #[test]
    fn a_touch_wakes_nobody_once_all_groups_hold_the_alert() {
        let mut table = Fixture::new();
        let down = alert(&[("alertname", "Down")], 300);
        let fingerprint = table.put(&down);
        table.put(&Alert { ends_at: at(310), ..down.clone() });
        assert_eq!(table.changed(), [fingerprint], "two changes are one entry");
        table.put(&Alert { ends_at: at(320), ..down.clone() });
        assert_eq!(table.changed(), []);
        let text = Labels::new([("summary", "it is still down")]);
        table.put(&Alert { ends_at: at(330), annotations: text, ..down.clone() });
        assert_eq!(table.changed(), [fingerprint]);
        table.put(&Alert { ends_at: at(5), explicit_end: true, ..down.clone() });
        assert_eq!(table.changed(), [fingerprint]);
        let stamp = table.stamp(fingerprint);
        assert!(table.alerts.ungroup(fingerprint, stamp));
        table.put(&Alert { ends_at: at(340), ..down });
        assert_eq!(table.changed(), [fingerprint], "a group has let it go");
    }

    #[test]
    fn a_group_lets_go_only_what_it_has_seen() {
        let mut table = Fixture::new();
        let down = alert(&[("alertname", "Down")], 300);
        let fingerprint = table.put(&down);
        let seen = table.stamp(fingerprint);
        table.put(&Alert { ends_at: at(310), ..down });
        assert!(!table.alerts.ungroup(fingerprint, seen));
        let seen = table.stamp(fingerprint);
        assert!(table.alerts.ungroup(fingerprint, seen));
    }

    #[test]
    fn a_group_keeps_what_has_expired_until_it_lets_go() {
        let mut table = Fixture::new();
        let fingerprint = table.put(&alert(&[("alertname", "Down")], 300));
        let lonely = table.put(&alert(&[("alertname", "Lonely")], 300));
        table.alerts.take_changed(100, |alert| u16::from(alert.fingerprint() == fingerprint));
        for gone in [fingerprint, lonely] {
            table.alerts.remove(&gone.0.to_be_bytes());
            assert_eq!(table.alerts.read(&gone.0.to_be_bytes()), None);
        }
        assert_eq!(table.alerts.len(), 0);
        assert!(table.stamp(fingerprint).is_some(), "its end is not told yet");
        assert!(table.stamp(lonely).is_none());
        let seen = table.stamp(fingerprint);
        assert!(table.alerts.ungroup(fingerprint, seen));
        assert!(table.stamp(fingerprint).is_none());
        let again = table.put(&alert(&[("alertname", "Next")], 300 * SECOND));
        assert!(table.stamp(again).is_some(), "its place is used again");
    }

    proptest::proptest! {
        #[test]
        fn the_order_is_that_of_the_core(
            sets in proptest::collection::vec(
                proptest::collection::btree_map("a|b|instance|job|z", "[xy]{1,2}", 1..5), 1..12)
        ) {
            let mut table = Fixture::new();
            let mut sets: Vec<_> = sets.into_iter().map(Labels::new).collect();
            let members: Vec<_> = sets
                .iter()
                .map(|labels| table.put(&Alert { labels: labels.clone(), ..alert(&[("a", "b")], 300) }))
                .collect();
            let mut seen = Vec::new();
            table.alerts.each_ordered(&members, |alert| seen.push(Labels::new(alert.labels())));
            sets.sort_by(tocsin_core::label::alert_order);
            proptest::prop_assert_eq!(seen, sets);
        }
    }

    #[test]
    fn a_record_of_other_labels_is_refused() {
        let table = Fixture::new();
        let body = crate::engine::ingest::encode(&alert(&[("a", "b")], 300));
        let record = Record {
            kind: kind::ALERT,
            key: vec![0; 8].into(),
            stamp: Stamp::default(),
            expires_at_ms: 1,
            body,
        };
        assert!(table.alerts.put(&record, false).is_err());
        assert!(table.alerts.put(&Record { key: vec![0; 3].into(), ..record }, false).is_err());
    }
}
