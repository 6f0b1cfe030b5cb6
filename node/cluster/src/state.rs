//! All records behind one lock: decides every merge, keeps the digests, drops what expired. Knows neither disk nor network.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tracing::warn;
use xxhash_rust::xxh3::xxh3_64;

use crate::hlc::{Hlc, from_ms};
use crate::mono;
use crate::record::{Draft, Kind, Record, Stamp, fingerprint, key_hash};

/// Buckets of a kind's digest.
pub(crate) const BUCKETS: usize = 4096;
/// Expired records are looked for at most this often.
const EXPIRY_STEP_MS: i64 = 1_000;
/// A stamp further ahead of the local clock than this is counted.
const AHEAD_MS: i64 = 60_000;
/// A stamp further ahead than this would use up the clock for ever; such a record is refused.
const REFUSED_AHEAD_MS: i64 = 400 * 24 * 3600 * 1000;

/// The body of a record is not what its kind expects.
#[derive(Debug, thiserror::Error)]
#[error("record is malformed: {0}")]
pub struct Malformed(pub String);

/// The only copy of one kind's records, kept by whoever understands them. Has its own lock; calls nothing of this crate from inside these methods.
pub trait Table: Send + Sync + 'static {
    /// Stamp and expiry (wall milliseconds) of the record under `key`.
    fn stamp(&self, key: &[u8]) -> Option<(Stamp, i64)>;
    /// Stores a record that won its merge. `local`: written by this node, not heard or loaded. Called under the state's lock, by nobody else.
    /// # Errors
    /// [`Malformed`] when the body cannot be read; the record is then counted and forgotten.
    fn put(&self, record: &Record, local: bool) -> Result<(), Malformed>;
    /// The whole record under `key`.
    fn read(&self, key: &[u8]) -> Option<Record>;
    /// Visits key, stamp and expiry of every record, in any order.
    fn walk(&self, visit: &mut dyn FnMut(&[u8], Stamp, i64));
    /// Asked, once all is loaded, of a record that expired while this node was down: until when, in wall milliseconds, it is kept all the same.
    fn kept_until(&self, _record: &Record, _now_ms: i64) -> Option<i64> {
        None
    }
    /// Forgets an expired record: after this `stamp`, `read` and `walk` no longer show it.
    fn remove(&self, key: &[u8]);
}

/// What became of a record that came from elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Merged {
    Won,
    Stale,
    Expired,
    Refused,
}

/// What the state counts; read by metrics.
#[derive(Debug, Default)]
pub(crate) struct StateCounts {
    pub(crate) malformed: AtomicU64,
    pub(crate) ahead: AtomicU64,
    pub(crate) expired: AtomicU64,
}

/// All records of this node.
pub(crate) struct State {
    node: u64,
    inner: Mutex<Inner>,
    pub(crate) counts: StateCounts,
}

struct Inner {
    hlc: Hlc,
    kinds: BTreeMap<Kind, Slot>,
}

struct Slot {
    table: Arc<dyn Table>,
    digests: Vec<u64>,
    /// No record of the kind expires before this.
    next_expiry: i64,
    /// Looks for expired records, and their time.
    sweeps: u64,
    sweep_time: Duration,
}

impl State {
    /// `node` is the hash of this node's id, the tie-break of its stamps.
    pub(crate) fn new(node: u64, tables: Vec<(Kind, Arc<dyn Table>)>) -> Self {
        let kinds = tables.into_iter().map(|(kind, table)| (kind, Slot::new(table))).collect();
        let inner = Mutex::new(Inner { hlc: Hlc::default(), kinds });
        Self { node, inner, counts: StateCounts::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One critical section: `f` sees no change by others while it runs. Answers its value and the records it put.
    pub(crate) fn write<R>(
        &self,
        now_ms: i64,
        f: impl FnOnce(&mut Writer<'_>) -> R,
    ) -> (R, Vec<Record>) {
        let mut inner = self.lock();
        let mut writer = Writer {
            inner: &mut inner,
            counts: &self.counts,
            node: self.node,
            now_ms,
            put: Vec::new(),
        };
        let value = f(&mut writer);
        let put = writer.put;
        (value, put)
    }

    /// Merges a record from disk or from a peer.
    pub(crate) fn merge(&self, record: &Record, now_ms: i64) -> Merged {
        self.lock().merge(record, now_ms, &self.counts)
    }

    /// Merges many under one lock; answers those that won.
    pub(crate) fn merge_all(&self, records: Vec<Record>, now_ms: i64) -> Vec<Record> {
        let mut inner = self.lock();
        let won = |record: &Record| inner.merge(record, now_ms, &self.counts) == Merged::Won;
        records.into_iter().filter(won).collect()
    }

    /// Lets records whose time has come leave digests and tables.
    pub(crate) fn expire(&self, now_ms: i64) {
        let mut inner = self.lock();
        for slot in inner.kinds.values_mut().filter(|slot| slot.next_expiry <= now_ms) {
            let begun = mono::now();
            let gone = slot.expire(now_ms);
            slot.sweeps += 1;
            slot.sweep_time += mono::now().saturating_sub(begun);
            self.counts.expired.fetch_add(gone, Ordering::Relaxed);
        }
    }

    /// The whole record under `key`.
    pub(crate) fn read(&self, kind: Kind, key: &[u8]) -> Option<Record> {
        self.table(kind)?.read(key)
    }

    /// See [`Table::kept_until`].
    pub(crate) fn kept_until(&self, record: &Record, now_ms: i64) -> Option<i64> {
        self.table(record.kind)?.kept_until(record, now_ms)
    }

    /// A stamp above everything seen, for facts that travel beside records.
    pub(crate) fn next_hlc(&self, now_ms: i64) -> u64 {
        self.lock().hlc.next(now_ms)
    }

    /// The kinds that exist here, smallest first.
    pub(crate) fn kinds(&self) -> Vec<Kind> {
        self.lock().kinds.keys().copied().collect()
    }

    /// For each kind how often it was looked through for expired records, and the time of that.
    pub(crate) fn sweeps(&self) -> Vec<(Kind, u64, Duration)> {
        let inner = self.lock();
        inner.kinds.iter().map(|(kind, slot)| (*kind, slot.sweeps, slot.sweep_time)).collect()
    }

    /// Root digest of each kind: 0 for an empty one, so that a kind nobody uses equals one nobody knows.
    pub(crate) fn roots(&self) -> Vec<(Kind, u64)> {
        self.lock().kinds.iter().map(|(kind, slot)| (*kind, root(&slot.digests))).collect()
    }

    /// Digests of all buckets of a kind; zeros for an unknown one.
    pub(crate) fn buckets(&self, kind: Kind) -> Vec<u64> {
        self.lock().kinds.get(&kind).map_or_else(|| vec![0; BUCKETS], |slot| slot.digests.clone())
    }

    /// Key and stamp of every record in the buckets that `wanted` marks.
    pub(crate) fn keys(&self, kind: Kind, wanted: &[bool]) -> Vec<(usize, Bytes, Stamp)> {
        let mut keys = Vec::new();
        let Some(table) = self.table(kind) else { return keys };
        table.walk(&mut |key, stamp, _| {
            let bucket = bucket_of(key_hash(key));
            if wanted.get(bucket).copied().unwrap_or(false) {
                keys.push((bucket, Bytes::copy_from_slice(key), stamp));
            }
        });
        keys
    }

    /// Visits every record that is not expired. Not under one lock: records written meanwhile may or may not be seen.
    pub(crate) fn each_live(&self, now_ms: i64, visit: &mut dyn FnMut(Record)) {
        for kind in self.kinds() {
            let Some(table) = self.table(kind) else { continue };
            let mut keys = Vec::new();
            table.walk(&mut |key, _, expires| {
                if now_ms < expires {
                    keys.push(Bytes::copy_from_slice(key));
                }
            });
            for key in keys {
                if let Some(record) = table.read(&key) {
                    visit(record);
                }
            }
        }
    }

    fn table(&self, kind: Kind) -> Option<Arc<dyn Table>> {
        self.lock().kinds.get(&kind).map(|slot| Arc::clone(&slot.table))
    }
}

/// Puts records within one [`crate::Cluster::write`].
pub struct Writer<'a> {
    inner: &'a mut Inner,
    counts: &'a StateCounts,
    node: u64,
    now_ms: i64,
    put: Vec<Record>,
}

impl Writer<'_> {
    /// Stamps the draft, stores it in its table and marks it for disk and peers. A local write always wins, since its stamp is above all this node has seen.
    pub fn put(&mut self, draft: Draft) -> Stamp {
        let hlc = self.inner.hlc.next(self.now_ms);
        self.store(draft, hlc)
    }

    /// As [`Writer::put`], but with the stamp of an earlier moment of this node, taken with [`Writer::moment`]: for what was done then and is known only now.
    /// Loses against a record written since.
    pub fn put_at(&mut self, draft: Draft, hlc: u64) -> Stamp {
        self.inner.hlc.see(hlc);
        self.store(draft, hlc)
    }

    /// Imports a record with a foreign time and no node, so that it never wins over what the cluster wrote since. Ignored when older than what is here.
    pub fn import(&mut self, draft: Draft, written_at_ms: i64) {
        let stamp = Stamp { rank: draft.rank, hlc: from_ms(written_at_ms), node: 0 };
        let record = Record {
            kind: draft.kind,
            key: draft.key,
            stamp,
            expires_at_ms: draft.expires_at_ms,
            body: draft.body,
        };
        if self.inner.merge(&record, self.now_ms, self.counts) == Merged::Won {
            self.put.push(record);
        }
    }

    /// A stamp of this moment for [`Writer::put_at`].
    pub fn moment(&mut self) -> u64 {
        self.inner.hlc.next(self.now_ms)
    }

    fn store(&mut self, draft: Draft, hlc: u64) -> Stamp {
        let slot = self.inner.slot(draft.kind);
        let current = slot.table.stamp(&draft.key);
        let (rank, expires) = current.map_or((0, i64::MIN), |(stamp, at)| (stamp.rank, at));
        let stamp = Stamp { rank: draft.rank.max(rank), hlc, node: self.node };
        let record = Record {
            kind: draft.kind,
            key: draft.key,
            stamp,
            expires_at_ms: draft.expires_at_ms.max(expires),
            body: draft.body,
        };
        if current.is_some_and(|(current, _)| stamp <= current) {
            return stamp;
        }
        match slot.put(&record, current.map(|(stamp, _)| stamp), true) {
            Ok(()) => self.put.push(record),
            Err(error) => count_malformed(&record, &error, self.counts),
        }
        stamp
    }
}

impl Inner {
    fn slot(&mut self, kind: Kind) -> &mut Slot {
        self.kinds.entry(kind).or_insert_with(|| Slot::new(Arc::new(Bag::new(kind))))
    }

    fn merge(&mut self, record: &Record, now_ms: i64, counts: &StateCounts) -> Merged {
        if record.is_expired(now_ms) {
            return Merged::Expired;
        }
        if from_ms(now_ms.saturating_add(REFUSED_AHEAD_MS)) < record.stamp.hlc {
            count_malformed(record, &Malformed("stamp is years ahead".into()), counts);
            return Merged::Refused;
        }
        if from_ms(now_ms.saturating_add(AHEAD_MS)) < record.stamp.hlc {
            counts.ahead.fetch_add(1, Ordering::Relaxed);
        }
        self.hlc.see(record.stamp.hlc);
        let slot = self.slot(record.kind);
        let current = slot.table.stamp(&record.key).map(|(stamp, _)| stamp);
        if current.is_some_and(|current| record.stamp <= current) {
            return Merged::Stale;
        }
        match slot.put(record, current, false) {
            Ok(()) => Merged::Won,
            Err(error) => {
                count_malformed(record, &error, counts);
                Merged::Refused
            }
        }
    }
}

fn count_malformed(record: &Record, error: &Malformed, counts: &StateCounts) {
    if counts.malformed.fetch_add(1, Ordering::Relaxed).is_power_of_two() {
        warn!(kind = record.kind, error = %error, "record refused");
    }
}

impl Slot {
    fn new(table: Arc<dyn Table>) -> Self {
        Self {
            table,
            digests: vec![0; BUCKETS],
            next_expiry: i64::MAX,
            sweeps: 0,
            sweep_time: Duration::ZERO,
        }
    }

    fn put(
        &mut self,
        record: &Record,
        current: Option<Stamp>,
        local: bool,
    ) -> Result<(), Malformed> {
        self.table.put(record, local)?;
        let hash = key_hash(&record.key);
        let bucket = &mut self.digests[bucket_of(hash)];
        if let Some(current) = current {
            *bucket ^= fingerprint(hash, current);
        }
        *bucket ^= fingerprint(hash, record.stamp);
        self.next_expiry = self.next_expiry.min(record.expires_at_ms);
        Ok(())
    }

    fn expire(&mut self, now_ms: i64) -> u64 {
        let mut gone = Vec::new();
        let mut next = i64::MAX;
        self.table.walk(&mut |key, stamp, expires| {
            if expires <= now_ms {
                gone.push((Bytes::copy_from_slice(key), stamp));
            } else {
                next = next.min(expires);
            }
        });
        for (key, stamp) in &gone {
            let hash = key_hash(key);
            self.digests[bucket_of(hash)] ^= fingerprint(hash, *stamp);
            self.table.remove(key);
        }
        self.next_expiry = next.max(now_ms.saturating_add(EXPIRY_STEP_MS));
        gone.len() as u64
    }
}

/// The bucket of a key: the top bits of its hash.
pub(crate) fn bucket_of(hash: u64) -> usize {
    usize::try_from(hash >> 52).unwrap_or(0)
}

/// One number for all buckets of a kind.
pub(crate) fn root(digests: &[u64]) -> u64 {
    if digests.iter().all(|digest| *digest == 0) {
        return 0;
    }
    let bytes: Vec<u8> = digests.iter().flat_map(|digest| digest.to_le_bytes()).collect();
    xxh3_64(&bytes)
}

/// A plain table for kinds that nobody here understands; also what tests use.
pub struct Bag {
    kind: Kind,
    records: Mutex<HashMap<Bytes, (Stamp, i64, Bytes)>>,
}

impl Bag {
    /// An empty table for `kind`.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        Self { kind, records: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Bytes, (Stamp, i64, Bytes)>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table for Bag {
    fn stamp(&self, key: &[u8]) -> Option<(Stamp, i64)> {
        self.lock().get(key).map(|(stamp, expires, _)| (*stamp, *expires))
    }

    fn put(&self, record: &Record, _local: bool) -> Result<(), Malformed> {
        let key = Bytes::copy_from_slice(&record.key);
        let body = Bytes::copy_from_slice(&record.body);
        self.lock().insert(key, (record.stamp, record.expires_at_ms, body));
        Ok(())
    }

    fn read(&self, key: &[u8]) -> Option<Record> {
        let records = self.lock();
        let (key, (stamp, expires_at_ms, body)) = records.get_key_value(key)?;
        Some(Record {
            kind: self.kind,
            key: key.clone(),
            stamp: *stamp,
            expires_at_ms: *expires_at_ms,
            body: body.clone(),
        })
    }

    fn walk(&self, visit: &mut dyn FnMut(&[u8], Stamp, i64)) {
        for (key, (stamp, expires, _)) in self.lock().iter() {
            visit(key, *stamp, *expires);
        }
    }

    fn remove(&self, key: &[u8]) {
        self.lock().remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::kind;
    use crate::record::tests::record;
    use proptest::prelude::*;

    fn state() -> State {
        State::new(7, vec![(kind::ALERT, Arc::new(Bag::new(kind::ALERT)))])
    }

    fn draft(key: &'static str, rank: u32, expires_at_ms: i64) -> Draft {
        let body = Bytes::from_static(b"body");
        Draft { kind: kind::ALERT, key: Bytes::from(key), rank, expires_at_ms, body }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_order_gives_one_state(records in proptest::collection::vec(record(), 1..80), seed in any::<u64>()) {
            let (a, b) = (state(), state());
            let mut shuffled = records.clone();
            let len = shuffled.len();
            for i in 0..len {
                let j = usize::try_from(seed.rotate_left(u32::try_from(i).unwrap()) % len as u64).unwrap();
                shuffled.swap(i, j);
            }
            a.merge_all(records.clone(), 0);
            b.merge_all(shuffled, 0);
            b.merge_all(records, 0); // Twice is once.
            prop_assert_eq!(a.roots(), b.roots());
            for (kind, _) in a.roots() {
                prop_assert_eq!(a.buckets(kind), b.buckets(kind));
            }
        }

        #[test]
        fn digests_return_to_zero_when_all_expired(records in proptest::collection::vec(record(), 1..80)) {
            let state = state();
            state.merge_all(records, 0);
            state.expire(2_000_000);
            prop_assert!(state.roots().iter().all(|(_, root)| *root == 0));
        }
    }

    #[test]
    fn expiry_never_falls() {
        let state = state();
        state.write(10, |writer| writer.put(draft("a", 0, 500)));
        let (_, put) = state.write(20, |writer| writer.put(draft("a", 0, 100)));
        assert_eq!(put[0].expires_at_ms, 500);
    }

    #[test]
    fn a_local_write_wins_over_a_higher_rank() {
        let state = state();
        state.write(10, |writer| writer.put(draft("a", 1, 500)));
        let (_, put) = state.write(5, |writer| writer.put(draft("a", 0, 500)));
        assert_eq!(put[0].stamp.rank, 1);
    }

    #[test]
    fn an_earlier_moment_loses_to_what_was_written_since() {
        let state = state();
        let (moment, _) = state.write(10, |writer| writer.moment());
        let (newer, _) = state.write(10, |writer| writer.put(draft("a", 0, 500)));
        let (_, put) = state.write(10, |writer| writer.put_at(draft("a", 0, 500), moment));
        assert!(put.is_empty());
        assert_eq!(state.read(kind::ALERT, b"a").map(|record| record.stamp), Some(newer));
    }

    #[test]
    fn an_expired_record_is_not_merged() {
        let state = state();
        let (_, put) = state.write(10, |writer| writer.put(draft("a", 0, 500)));
        let other = self::state();
        assert_eq!(other.merge(&put[0], 500), Merged::Expired);
        assert_eq!(other.merge(&put[0], 499), Merged::Won);
        assert_eq!(other.merge(&put[0], 499), Merged::Stale);
    }

    #[test]
    fn an_unknown_kind_is_kept() {
        let (a, b) = (state(), state());
        let stray = Draft { kind: 99, ..draft("x", 0, 500) };
        let (_, put) = a.write(10, |writer| writer.put(stray));
        b.merge_all(put.clone(), 10);
        assert_eq!(b.read(99, b"x"), Some(put[0].clone()));
        assert_eq!(a.roots(), b.roots());
    }

    #[test]
    fn a_stamp_years_ahead_is_refused() {
        let state = state();
        let stamp = Stamp { rank: 0, hlc: u64::MAX, node: 1 };
        let record = Record {
            kind: 1,
            key: Bytes::from("k"),
            stamp,
            expires_at_ms: 100,
            body: Bytes::new(),
        };
        assert_eq!(state.merge(&record, 0), Merged::Refused);
    }
}
