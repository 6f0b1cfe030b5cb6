//! The envelope of every replicated record: order, expiry, bytes on the wire and on disk. Never looks into a body.

use bytes::Bytes;
use prost::Message;
use xxhash_rust::xxh3::xxh3_64;

/// What a record is about; numbers are never reused. An unknown kind is kept and forwarded as bytes.
pub type Kind = u32;

/// The kinds of this version.
pub mod kind {
    use super::Kind;

    /// Alerts; key: the 8 bytes of the fingerprint, big-endian.
    pub const ALERT: Kind = 1;
    /// Silences; key: the text of the uuid.
    pub const SILENCE: Kind = 2;
    /// The notification log; key: group key and receiver key as upstream.
    pub const LOG: Kind = 3;
    /// The last attempts of a notification; key as the log's.
    pub const HISTORY: Kind = 4;
}

/// When and by whom a record was written. Of two records with one key the greater stamp stands; equal stamps are the same record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp {
    /// 0, or 1 for what must not be undone by any write that did not see it.
    pub rank: u32,
    /// Hybrid clock: 48 bits of milliseconds, 16 bits of counter; see [`crate::hlc_ms`].
    pub hlc: u64,
    /// Hash of the writing node's id.
    pub node: u64,
}

/// One record as it is stored, sent and merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What it is about.
    pub kind: Kind,
    /// Its name within the kind.
    pub key: Bytes,
    /// Its place in the order of all writes.
    pub stamp: Stamp,
    /// Wall time in milliseconds from which it no longer exists.
    pub expires_at_ms: i64,
    /// The kind's own bytes. May be a slice of a larger buffer: copy what is kept for long.
    pub body: Bytes,
}

/// A record that has no stamp yet; [`crate::Writer::put`] gives it one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// What it is about.
    pub kind: Kind,
    /// Its name within the kind.
    pub key: Bytes,
    /// See [`Stamp::rank`].
    pub rank: u32,
    /// Wall time in milliseconds; raised to that of the record it replaces, since expiry never falls.
    pub expires_at_ms: i64,
    /// The kind's own bytes.
    pub body: Bytes,
}

impl Record {
    /// Whether the record no longer exists at `now_ms`.
    #[must_use]
    pub fn is_expired(&self, now_ms: i64) -> bool {
        self.expires_at_ms <= now_ms
    }
}

/// The one merge rule: the greater stamp stands.
#[cfg(test)]
pub(crate) fn join<'a>(a: &'a Record, b: &'a Record) -> &'a Record {
    if a.stamp >= b.stamp { a } else { b }
}

/// Hash of a key, the same on every node.
pub(crate) fn key_hash(key: &[u8]) -> u64 {
    xxh3_64(key)
}

/// What one record adds to the digest of its bucket.
pub(crate) fn fingerprint(key_hash: u64, stamp: Stamp) -> u64 {
    let mut bytes = [0; 24];
    bytes[..8].copy_from_slice(&key_hash.to_le_bytes());
    bytes[8..16].copy_from_slice(&stamp.hlc.to_le_bytes());
    bytes[16..].copy_from_slice(&stamp.node.to_le_bytes());
    xxh3_64(&bytes)
}

/// A record on the wire and on disk. An older reader skips fields it does not know.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct WireRecord {
    #[prost(uint32, tag = "1")]
    kind: u32,
    #[prost(bytes = "bytes", tag = "2")]
    key: Bytes,
    #[prost(uint32, tag = "3")]
    rank: u32,
    #[prost(fixed64, tag = "4")]
    hlc: u64,
    #[prost(fixed64, tag = "5")]
    node: u64,
    #[prost(int64, tag = "6")]
    expires_at_ms: i64,
    #[prost(bytes = "bytes", tag = "7")]
    body: Bytes,
}

/// Many records in one entry of the log or one part of a push. A snapshot's last entry carries `count` alone.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Batch {
    #[prost(message, repeated, tag = "1")]
    records: Vec<WireRecord>,
    #[prost(uint64, optional, tag = "2")]
    count: Option<u64>,
}

/// A batch is closed once it holds this many bytes.
const BATCH_BYTES: usize = 256 * 1024;

/// Encodes records into batches of about 256 KB.
pub(crate) fn encode(records: &[Record]) -> Vec<Bytes> {
    let mut done = Vec::with_capacity(1);
    let mut batch = Batch::default();
    let mut size = 0;
    for record in records {
        size += record.key.len() + record.body.len() + 48;
        batch.records.push(WireRecord::from(record));
        if size >= BATCH_BYTES {
            done.push(Bytes::from(batch.encode_to_vec()));
            batch.records.clear();
            size = 0;
        }
    }
    if !batch.records.is_empty() {
        done.push(Bytes::from(batch.encode_to_vec()));
    }
    done
}

/// The last entry of a snapshot of `count` records.
pub(crate) fn footer(count: u64) -> Vec<u8> {
    Batch { records: Vec::new(), count: Some(count) }.encode_to_vec()
}

/// Reads one batch.
/// # Errors
/// On bytes that are no batch.
pub(crate) fn decode(bytes: Bytes) -> Result<(Vec<Record>, Option<u64>), prost::DecodeError> {
    let batch = Batch::decode(bytes)?;
    Ok((batch.records.into_iter().map(Record::from).collect(), batch.count))
}

impl From<&Record> for WireRecord {
    fn from(record: &Record) -> Self {
        Self {
            kind: record.kind,
            key: record.key.clone(),
            rank: record.stamp.rank,
            hlc: record.stamp.hlc,
            node: record.stamp.node,
            expires_at_ms: record.expires_at_ms,
            body: record.body.clone(),
        }
    }
}

impl From<WireRecord> for Record {
    fn from(wire: WireRecord) -> Self {
        Self {
            kind: wire.kind,
            key: wire.key,
            stamp: Stamp { rank: wire.rank, hlc: wire.hlc, node: wire.node },
            expires_at_ms: wire.expires_at_ms,
            body: wire.body,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Records whose stamps identify them, as in life: the body is a function of key and stamp.
    pub(crate) fn record() -> impl Strategy<Value = Record> {
        (1..6u32, 0..20u8, 0..2u32, 1..40u64, 1..4u64).prop_map(|(kind, key, rank, hlc, node)| {
            Record {
                kind,
                key: Bytes::from(vec![b'k', key]),
                stamp: Stamp { rank, hlc, node },
                expires_at_ms: 1_000_000,
                body: Bytes::from(format!("{kind}/{key}/{rank}/{hlc}/{node}")),
            }
        })
    }

    proptest! {
        #[test]
        fn join_has_no_favourite(a in record(), b in record(), c in record()) {
            prop_assert_eq!(join(&a, &b).stamp, join(&b, &a).stamp);
            prop_assert_eq!(join(&a, &a), &a);
            prop_assert_eq!(join(join(&a, &b), &c).stamp, join(&a, join(&b, &c)).stamp);
        }

        #[test]
        fn what_was_encoded_is_read(records in proptest::collection::vec(record(), 0..50)) {
            let mut read = Vec::new();
            for batch in encode(&records) {
                read.extend(decode(batch).unwrap().0);
            }
            prop_assert_eq!(read, records);
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode(Bytes::from(bytes));
        }
    }
}
