//! The table of silences: with compiled matchers, and with what is remembered of the alerts they were asked about.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use jiff::Timestamp;
use prost::Message;
use tocsin_cluster::{Draft, Malformed, Record, Stamp, Table, kind};
use tocsin_core::label::{Fingerprint, Labels, Lookup};
use tocsin_core::matcher::{MatchOp, Matcher, Matchers};
use tocsin_core::silence::{RawMatcher, Silence, Silencer, State};

use super::body::{self, MatcherBody, MatcherSetBody, MeshSilence, SilenceBody};

/// All silences, ended ones until their record expires.
#[derive(Default)]
pub struct Silences {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    rows: HashMap<Box<str>, Row>,
    silencer: Silencer,
    /// Rises with every change.
    version: u64,
}

struct Row {
    stamp: Stamp,
    expires_at_ms: i64,
    silence: Arc<Silence>,
}

impl Silences {
    /// The silence with that identity.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<Arc<Silence>> {
        self.lock().rows.get(id).map(|row| Arc::clone(&row.silence))
    }

    /// Every silence, in no order.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Silence>> {
        self.lock().rows.values().map(|row| Arc::clone(&row.silence)).collect()
    }

    /// Every silence with the wall time in milliseconds at which its record expires.
    pub(super) fn stored(&self) -> Vec<(Arc<Silence>, i64)> {
        let inner = self.lock();
        inner.rows.values().map(|row| (Arc::clone(&row.silence), row.expires_at_ms)).collect()
    }

    /// How many are stored, ended ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().rows.len()
    }

    /// How many are filed by their matchers.
    pub(super) fn indexed(&self) -> usize {
        self.lock().silencer.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many are active, pending and expired.
    #[must_use]
    pub fn counts(&self, now: Timestamp) -> [usize; 3] {
        let mut counts = [0; 3];
        for row in self.lock().rows.values() {
            let place = match row.silence.state(now) {
                State::Active => 0,
                State::Pending => 1,
                State::Expired => 2,
            };
            counts[place] += 1;
        }
        counts
    }

    /// The active silences that match the alert, ordered by identity.
    #[must_use]
    pub fn silenced_by(
        &self,
        alert: Fingerprint,
        labels: &dyn Lookup,
        now: Timestamp,
    ) -> Vec<Box<str>> {
        self.lock().silencer.silenced_by(alert, labels, now)
    }

    /// Forgets what is remembered of an alert that is no more.
    pub(super) fn forget(&self, alert: Fingerprint) {
        self.lock().silencer.forget(alert);
    }

    /// Differs whenever a silence has changed.
    pub(super) fn version(&self) -> u64 {
        self.lock().version
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table for Silences {
    fn stamp(&self, key: &[u8]) -> Option<(Stamp, i64)> {
        let inner = self.lock();
        let row = inner.rows.get(text(key).ok()?)?;
        Some((row.stamp, row.expires_at_ms))
    }

    fn put(&self, record: &Record, _local: bool) -> Result<(), Malformed> {
        let id = text(&record.key)?;
        let silence = Arc::new(decode(&record.body)?);
        if *silence.id != *id {
            return Err(Malformed("silence has another identity than its record".to_owned()));
        }
        let mut inner = self.lock();
        inner.version += 1;
        inner.silencer.put(Arc::clone(&silence));
        let row = Row { stamp: record.stamp, expires_at_ms: record.expires_at_ms, silence };
        inner.rows.insert(id.into(), row);
        Ok(())
    }

    fn read(&self, key: &[u8]) -> Option<Record> {
        let inner = self.lock();
        let row = inner.rows.get(text(key).ok()?)?;
        let expires_at = Timestamp::from_millisecond(row.expires_at_ms).unwrap_or_default();
        Some(Record {
            kind: kind::SILENCE,
            key: Bytes::copy_from_slice(key),
            stamp: row.stamp,
            expires_at_ms: row.expires_at_ms,
            body: encode(&row.silence, expires_at).encode_to_vec().into(),
        })
    }

    fn walk(&self, visit: &mut dyn FnMut(&[u8], Stamp, i64)) {
        for (key, row) in &self.lock().rows {
            visit(key.as_bytes(), row.stamp, row.expires_at_ms);
        }
    }

    fn remove(&self, key: &[u8]) {
        let Ok(id) = text(key) else { return };
        let mut inner = self.lock();
        inner.rows.remove(id);
        inner.silencer.remove(id);
        inner.version += 1;
    }
}

/// How many bytes the stored form has: what `--silences.max-silence-size-bytes` bounds.
pub(super) fn size(silence: &Silence, expires_at: Timestamp) -> usize {
    encode(silence, expires_at).encoded_len()
}

/// The record of a silence. An ended one sorts above every other record of its identity, so that nothing revives it.
pub(super) fn draft(silence: &Silence, expires_at: Timestamp, ended: bool) -> Draft {
    Draft {
        kind: kind::SILENCE,
        key: silence.id.as_bytes().to_vec().into(),
        rank: u32::from(ended),
        expires_at_ms: expires_at.as_millisecond(),
        body: encode(silence, expires_at).encode_to_vec().into(),
    }
}

/// The stored form of a silence.
pub(super) fn encode(silence: &Silence, expires_at: Timestamp) -> MeshSilence {
    let matcher_sets: Vec<_> = silence.matcher_sets.iter().map(matcher_set).collect();
    let receiver_matcher_sets = silence.receiver_matcher_sets.iter().map(|set| MatcherSetBody {
        matchers: set.iter().map(|raw| matcher(&raw.name, raw.op, &raw.value)).collect(),
    });
    let body = SilenceBody {
        id: silence.id.as_ref().to_owned(),
        matchers: matcher_sets.first().map(|set| set.matchers.clone()).unwrap_or_default(),
        starts_at: Some(silence.starts_at.into()),
        ends_at: Some(silence.ends_at.into()),
        updated_at: Some(silence.updated_at.into()),
        comments: Vec::new(),
        created_by: silence.created_by.as_ref().to_owned(),
        comment: silence.comment.as_ref().to_owned(),
        annotations: owned(&silence.annotations),
        receiver_matcher_sets: receiver_matcher_sets.collect(),
        matcher_sets,
    };
    MeshSilence { silence: Some(body), expires_at: Some(expires_at.into()) }
}

fn matcher_set(set: &Matchers) -> MatcherSetBody {
    let matchers = set.iter().map(|one| matcher(one.name(), one.op(), one.value()));
    MatcherSetBody { matchers: matchers.collect() }
}

fn matcher(name: &str, op: MatchOp, pattern: &str) -> MatcherBody {
    let op = match (op.is_equal(), op.is_regex()) {
        (true, false) => 0,
        (true, true) => 1,
        (false, false) => 2,
        (false, true) => 3,
    };
    MatcherBody { op, name: name.to_owned(), pattern: pattern.to_owned() }
}

fn owned(labels: &Labels) -> std::collections::BTreeMap<String, String> {
    labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Reads a stored silence, of ours or of any version of upstream.
/// # Errors
/// [`Malformed`] also when a matcher does not compile.
pub(super) fn decode(bytes: &[u8]) -> Result<Silence, Malformed> {
    from_mesh(body::decode(bytes)?)
}

/// As [`decode`], of a message that has been read.
/// # Errors
/// As [`decode`].
pub(super) fn from_mesh(mesh: MeshSilence) -> Result<Silence, Malformed> {
    let mut silence = mesh.silence.ok_or_else(|| Malformed("silence is missing".to_owned()))?;
    if silence.matcher_sets.is_empty() && !silence.matchers.is_empty() {
        let matchers = std::mem::take(&mut silence.matchers);
        silence.matcher_sets.push(MatcherSetBody { matchers });
    }
    let (mut comment, mut created_by) = (silence.comment, silence.created_by);
    if let Some(first) = silence.comments.into_iter().next() {
        (comment, created_by) = (first.comment, first.author);
    }
    let sets = silence.matcher_sets.iter().map(compile);
    let raw = |set: MatcherSetBody| set.matchers.into_iter().map(raw_matcher).collect();
    Ok(Silence {
        id: silence.id.into(),
        matcher_sets: sets.collect::<Result<_, _>>()?,
        receiver_matcher_sets: silence.receiver_matcher_sets.into_iter().map(raw).collect(),
        starts_at: body::moment(silence.starts_at, "starts_at")?,
        ends_at: body::moment(silence.ends_at, "ends_at")?,
        updated_at: body::moment(silence.updated_at, "updated_at")?,
        created_by: created_by.into(),
        comment: comment.into(),
        annotations: Labels::new(silence.annotations),
    })
}

fn compile(set: &MatcherSetBody) -> Result<Matchers, Malformed> {
    let compile = |body: &MatcherBody| {
        Matcher::new(body.name.as_str(), op(body.op), body.pattern.as_str())
            .map_err(|error| Malformed(format!("matcher of {}: {error}", body.name)))
    };
    set.matchers.iter().map(compile).collect()
}

fn raw_matcher(body: MatcherBody) -> RawMatcher {
    RawMatcher { op: op(body.op), name: body.name.into(), value: body.pattern.into() }
}

fn op(number: i32) -> MatchOp {
    MatchOp::from_flags(number == 0 || number == 1, number == 1 || number == 3)
}

fn text(key: &[u8]) -> Result<&str, Malformed> {
    std::str::from_utf8(key).map_err(|_| Malformed("key is no text".to_owned()))
}
