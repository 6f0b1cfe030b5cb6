//! The table of the last attempts of each integration of each group.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use jiff::Timestamp;
use prost::Message;
use tocsin_cluster::{Draft, Malformed, Record, Stamp, Table, kind};
use tocsin_core::history::{Attempt, History, Outcome};
use tocsin_core::nflog::{EntryKey, Reason};

use super::body::{self, AttemptBody, HistoryBody};

/// Who was told what, and with which result.
#[derive(Default)]
pub struct Histories {
    rows: Mutex<HashMap<Box<str>, Row>>,
    version: AtomicU64,
}

struct Row {
    stamp: Stamp,
    expires_at_ms: i64,
    history: Arc<History>,
}

impl Histories {
    /// The last attempts of that integration for that group.
    #[must_use]
    pub fn get(&self, key: &EntryKey) -> Option<Arc<History>> {
        let key = key.to_string();
        self.lock().get(key.as_str()).map(|row| Arc::clone(&row.history))
    }

    /// Every history with the text of its key, `<group key>:<receiver>/<integration>/<index>`.
    #[must_use]
    pub fn all(&self) -> Vec<(Box<str>, Arc<History>)> {
        let rows = self.lock();
        rows.iter().map(|(key, row)| (key.clone(), Arc::clone(&row.history))).collect()
    }

    /// Differs whenever a history has changed.
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, Row>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table for Histories {
    fn stamp(&self, key: &[u8]) -> Option<(Stamp, i64)> {
        let rows = self.lock();
        let row = rows.get(text(key).ok()?)?;
        Some((row.stamp, row.expires_at_ms))
    }

    fn put(&self, record: &Record, _local: bool) -> Result<(), Malformed> {
        let key = text(&record.key)?;
        let history = Arc::new(decode(&record.body)?);
        let row = Row { stamp: record.stamp, expires_at_ms: record.expires_at_ms, history };
        self.lock().insert(key.into(), row);
        self.version.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn read(&self, key: &[u8]) -> Option<Record> {
        let rows = self.lock();
        let row = rows.get(text(key).ok()?)?;
        Some(Record {
            kind: kind::HISTORY,
            key: Bytes::copy_from_slice(key),
            stamp: row.stamp,
            expires_at_ms: row.expires_at_ms,
            body: encode(&row.history),
        })
    }

    fn walk(&self, visit: &mut dyn FnMut(&[u8], Stamp, i64)) {
        for (key, row) in self.lock().iter() {
            visit(key.as_bytes(), row.stamp, row.expires_at_ms);
        }
    }

    fn remove(&self, key: &[u8]) {
        if let Ok(key) = text(key) {
            self.lock().remove(key);
        }
    }
}

/// The record of a history; `None` when it is empty.
pub(super) fn draft(key: &EntryKey, history: &History) -> Option<Draft> {
    Some(Draft {
        kind: kind::HISTORY,
        key: key.to_string().into(),
        rank: 0,
        expires_at_ms: history.expires_at()?.as_millisecond(),
        body: encode(history),
    })
}

fn encode(history: &History) -> Bytes {
    let attempts = history.iter().map(|attempt| AttemptBody {
        at: Some(attempt.at.into()),
        node: attempt.node.as_ref().to_owned(),
        reason: attempt.reason.as_str().to_owned(),
        outcome: match attempt.outcome {
            Outcome::Sent => 0,
            Outcome::Retried => 1,
            Outcome::Failed => 2,
        },
        text: attempt.text.as_ref().to_owned(),
        firing: attempt.firing,
        resolved: attempt.resolved,
    });
    HistoryBody { attempts: attempts.collect() }.encode_to_vec().into()
}

fn decode(bytes: &[u8]) -> Result<History, Malformed> {
    let body: HistoryBody = body::decode(bytes)?;
    body.attempts.into_iter().map(attempt).collect()
}

fn attempt(body: AttemptBody) -> Result<Attempt, Malformed> {
    let at: Timestamp = body::moment(body.at, "at")?;
    Ok(Attempt {
        at,
        node: body.node.into(),
        reason: reason(&body.reason),
        outcome: match body.outcome {
            0 => Outcome::Sent,
            1 => Outcome::Retried,
            _ => Outcome::Failed,
        },
        text: body.text.into(),
        firing: body.firing,
        resolved: body.resolved,
    })
}

/// The reason with those words; words of a newer version count as the plainest one.
fn reason(words: &str) -> Reason {
    let all = [Reason::NewAlerts, Reason::AllResolved, Reason::SomeResolved, Reason::Repeat];
    all.into_iter().find(|reason| reason.as_str() == words).unwrap_or(Reason::First)
}

fn text(key: &[u8]) -> Result<&str, Malformed> {
    std::str::from_utf8(key).map_err(|_| Malformed("key is no text".to_owned()))
}
