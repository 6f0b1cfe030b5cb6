//! The table of the notification log: what each integration of each group was told last.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use jiff::Timestamp;
use prost::Message;
use tocsin_cluster::{Draft, Malformed, Record, Stamp, Table, kind};
use tocsin_core::nflog::{DataValue, Entry, EntryKey};
use tocsin_service::clock::Clock;
use tokio::sync::Notify;

use super::body::{self, DataBody, DataValueBody, LogBody, ReceiverBody};

/// The log. An entry's `flush_at` never lies ahead of the moment when it came here.
pub struct Log {
    inner: Mutex<Inner>,
    clock: Arc<dyn Clock>,
    changed: Notify,
}

#[derive(Default)]
struct Inner {
    rows: HashMap<Box<str>, Row>,
    /// Keys of the groups of which peers have told something; bounded by the rows.
    changed: HashSet<Box<str>>,
}

struct Row {
    stamp: Stamp,
    expires_at_ms: i64,
    logged: Arc<Logged>,
}

/// An entry and how it came here.
#[derive(Debug, Clone, PartialEq)]
pub struct Logged {
    /// Whose it is.
    pub key: EntryKey,
    /// What it says.
    pub entry: Entry,
    /// The local time at which it was written or merged.
    pub arrived_at: Timestamp,
    /// The stamp of its record.
    pub stamp: Stamp,
}

impl Log {
    /// An empty log.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { inner: Mutex::default(), clock, changed: Notify::new() }
    }

    /// What that integration of that group was told last.
    #[must_use]
    pub fn get(&self, key: &EntryKey) -> Option<Arc<Logged>> {
        let key = key.to_string();
        self.lock().rows.get(key.as_str()).map(|row| Arc::clone(&row.logged))
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().rows.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every entry with the wall time in milliseconds at which it expires.
    #[must_use]
    pub fn all(&self) -> Vec<(Arc<Logged>, i64)> {
        let inner = self.lock();
        inner.rows.values().map(|row| (Arc::clone(&row.logged), row.expires_at_ms)).collect()
    }

    /// The hashes of all alerts that some receiver thinks to fire.
    pub(super) fn firing(&self) -> HashSet<u64> {
        let inner = self.lock();
        inner.rows.values().flat_map(|row| row.logged.entry.firing.iter().copied()).collect()
    }

    /// Waits until [`Log::take_changed`] has something.
    pub(super) async fn wait_changed(&self) {
        self.changed.notified().await;
    }

    /// The keys of the groups of which peers have told something since this was asked last.
    pub(super) fn take_changed(&self) -> Vec<Box<str>> {
        self.lock().changed.drain().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table for Log {
    fn stamp(&self, key: &[u8]) -> Option<(Stamp, i64)> {
        let inner = self.lock();
        let row = inner.rows.get(text(key).ok()?)?;
        Some((row.stamp, row.expires_at_ms))
    }

    fn put(&self, record: &Record, local: bool) -> Result<(), Malformed> {
        let key = text(&record.key)?;
        let logged = Arc::new(decode(record, self.clock.now())?);
        let group = (!local).then(|| logged.key.group_key.clone());
        let row = Row { stamp: record.stamp, expires_at_ms: record.expires_at_ms, logged };
        let mut inner = self.lock();
        inner.rows.insert(key.into(), row);
        if let Some(group) = group {
            inner.changed.insert(group);
            self.changed.notify_one();
        }
        Ok(())
    }

    fn read(&self, key: &[u8]) -> Option<Record> {
        let inner = self.lock();
        let row = inner.rows.get(text(key).ok()?)?;
        Some(Record {
            kind: kind::LOG,
            key: Bytes::copy_from_slice(key),
            stamp: row.stamp,
            expires_at_ms: row.expires_at_ms,
            body: encode(&row.logged.key, &row.logged.entry),
        })
    }

    fn walk(&self, visit: &mut dyn FnMut(&[u8], Stamp, i64)) {
        for (key, row) in &self.lock().rows {
            visit(key.as_bytes(), row.stamp, row.expires_at_ms);
        }
    }

    fn remove(&self, key: &[u8]) {
        if let Ok(key) = text(key) {
            self.lock().rows.remove(key);
        }
    }
}

/// The record of an entry.
pub(super) fn draft(key: &EntryKey, entry: &Entry, expires_at: Timestamp) -> Draft {
    Draft {
        kind: kind::LOG,
        key: key.to_string().into(),
        rank: 0,
        expires_at_ms: expires_at.as_millisecond(),
        body: encode(key, entry),
    }
}

fn encode(key: &EntryKey, entry: &Entry) -> Bytes {
    to_body(key, entry).encode_to_vec().into()
}

/// The stored form of an entry.
pub(super) fn to_body(key: &EntryKey, entry: &Entry) -> LogBody {
    let data = entry.data.iter().map(|(name, value)| {
        let value = match value {
            DataValue::Text(text) => DataValueBody::Text(text.clone()),
            DataValue::Int(number) => DataValueBody::Int(*number),
            DataValue::Double(number) => DataValueBody::Double(*number),
        };
        (name.clone(), DataBody { value: Some(value) })
    });
    LogBody {
        group_key: key.group_key.as_bytes().to_vec(),
        receiver: Some(ReceiverBody {
            group_name: key.receiver.as_ref().to_owned(),
            integration: key.integration.as_ref().to_owned(),
            index: key.index,
        }),
        timestamp: Some(entry.timestamp.into()),
        firing: entry.firing.clone(),
        resolved: entry.resolved.clone(),
        data: data.collect(),
        flush_at: Some(entry.flush_at.into()),
    }
}

fn decode(record: &Record, now: Timestamp) -> Result<Logged, Malformed> {
    let (key, mut entry) = from_body(body::decode(&record.body)?)?;
    entry.flush_at = entry.flush_at.min(now);
    Ok(Logged { key, entry, arrived_at: now, stamp: record.stamp })
}

/// Reads the stored form of an entry, of ours or of any version of upstream.
/// # Errors
/// [`Malformed`] when something that must be there is not.
pub(super) fn from_body(body: LogBody) -> Result<(EntryKey, Entry), Malformed> {
    let receiver = body.receiver.ok_or_else(|| Malformed("receiver is missing".to_owned()))?;
    let timestamp = body::moment(body.timestamp, "timestamp")?;
    let flush_at = match body.flush_at {
        Some(at) => body::moment(Some(at), "flush_at")?,
        None => timestamp,
    };
    let key = EntryKey {
        group_key: text(&body.group_key)?.into(),
        receiver: receiver.group_name.into(),
        integration: receiver.integration.into(),
        index: receiver.index,
    };
    let data = body.data.into_iter().filter_map(|(name, data)| {
        Some(match data.value? {
            DataValueBody::Text(text) => (name, DataValue::Text(text)),
            DataValueBody::Int(number) => (name, DataValue::Int(number)),
            DataValueBody::Double(number) => (name, DataValue::Double(number)),
        })
    });
    let entry = Entry {
        timestamp,
        flush_at,
        firing: body.firing,
        resolved: body.resolved,
        data: data.collect(),
    };
    Ok((key, entry))
}

fn text(key: &[u8]) -> Result<&str, Malformed> {
    std::str::from_utf8(key).map_err(|_| Malformed("key is no text".to_owned()))
}
