//! `/api/v2/history`, which is ours: who was told what of which group, and with which result.

use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use tocsin_core::{
    history::{Attempt, History, Outcome},
    label::Labels,
    quote::unquoted,
};
use tocsin_service::web::Body;

use super::{
    App, Query,
    alerts::streamed,
    error::ApiError,
    filter::matchers,
    json::push_string,
    times::push_millis,
    wire::{push, push_array, push_labels},
};

/// A chunk ends with the first row that makes it this large.
const CHUNK_BYTES: usize = 64 * 1024;

/// Shows the last attempts of each integration for each group whose labels pass the filter, by key.
pub(super) fn list(app: &App, query: &Query<'_>) -> Result<Response<Body>, ApiError> {
    let wanted = matchers(query.all("filter"), app.engine.matcher_mode()).map_err(ApiError::bad)?;
    let mut rows = app.engine.history().all();
    rows.retain(|(key, _)| {
        Target::read(key).is_some_and(|target| wanted.iter().all(|one| one.filters(&target.labels)))
    });
    rows.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    let mut list = List { rows, done: 0, closed: false };
    Ok(streamed(move || list.next_chunk()))
}

struct List {
    rows: Vec<(Box<str>, Arc<History>)>,
    done: usize,
    closed: bool,
}

impl List {
    fn next_chunk(&mut self) -> Option<Bytes> {
        if self.closed {
            return None;
        }
        let mut out = Vec::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 8);
        if self.done == 0 {
            out.push(b'[');
        }
        while out.len() < CHUNK_BYTES
            && let Some((key, history)) = self.rows.get(self.done)
        {
            if self.done > 0 {
                out.push(b',');
            }
            let target = Target::read(key).expect("it was read before it was kept");
            push_row(&mut out, &target, history);
            self.done += 1;
        }
        if self.done == self.rows.len() {
            push(&mut out, "]\n");
            self.closed = true;
        }
        Some(out.into())
    }
}

fn push_row(out: &mut Vec<u8>, target: &Target<'_>, history: &History) {
    push(out, "{\"attempts\":");
    push_array(out, history.iter(), push_attempt);
    push(out, ",\"groupKey\":");
    push_string(out, target.group_key);
    push(out, &format!(",\"index\":{},\"integration\":", target.index));
    push_string(out, target.integration);
    push(out, ",\"labels\":");
    push_labels(out, target.labels.iter());
    push(out, ",\"receiver\":");
    push_string(out, target.receiver);
    out.push(b'}');
}

fn push_attempt(out: &mut Vec<u8>, attempt: &Attempt) {
    let result = match attempt.outcome {
        Outcome::Sent => "sent",
        Outcome::Retried => "retried",
        Outcome::Failed => "failed",
    };
    push(out, "{\"at\":");
    push_millis(out, attempt.at);
    push(out, &format!(",\"firing\":{},\"node\":", attempt.firing));
    push_string(out, &attempt.node);
    push(out, ",\"reason\":");
    push_string(out, attempt.reason.as_str());
    push(out, &format!(",\"resolved\":{},\"result\":\"{result}\",\"text\":", attempt.resolved));
    push_string(out, &attempt.text);
    out.push(b'}');
}

/// The parts of a key, which is `<route key>:<group labels>:<receiver>/<integration>/<index>`.
pub(crate) struct Target<'a> {
    pub(crate) group_key: &'a str,
    pub(crate) labels: Labels,
    pub(crate) receiver: &'a str,
    pub(crate) integration: &'a str,
    pub(crate) index: u32,
}

impl<'a> Target<'a> {
    /// `None` when the key is none, which no node writes.
    pub(crate) fn read(key: &'a str) -> Option<Self> {
        let route = colon(key)?;
        let group = route + 1 + colon(&key[route + 1..])?;
        let (rest, index) = key[group + 1..].rsplit_once('/')?;
        let (receiver, integration) = rest.rsplit_once('/')?;
        Some(Self {
            group_key: &key[..group],
            labels: labels(&key[route + 1..group])?,
            receiver,
            integration,
            index: index.parse().ok()?,
        })
    }
}

/// Where the first colon is that stands in no braces.
fn colon(text: &str) -> Option<usize> {
    let (mut at, mut depth) = (0, 0_usize);
    loop {
        match text.as_bytes().get(at)? {
            b'"' => at += literal(&text[at..])? - 1,
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            b':' if depth == 0 => return Some(at),
            _ => {}
        }
        at += 1;
    }
}

/// The length of the literal in quotes at the start of the text.
fn literal(text: &str) -> Option<usize> {
    let mut bytes = text.bytes().enumerate().skip(1);
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => return Some(at + 1),
            b'\\' => drop(bytes.next()),
            _ => {}
        }
    }
    None
}

/// Labels as they print.
fn labels(text: &str) -> Option<Labels> {
    let mut rest = text.strip_prefix('{')?.strip_suffix('}')?;
    let mut pairs = Vec::new();
    while !rest.is_empty() {
        let (name, _) = rest.split_once("=\"")?;
        let value = &rest[name.len() + 1..];
        let (value, after) = value.split_at(literal(value)?);
        pairs.push((name, unquoted(value)?));
        rest = after.strip_prefix(", ").unwrap_or(after);
    }
    Some(pairs.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use tocsin_core::nflog::EntryKey;

    use super::*;

    #[track_caller]
    fn check(route: &str, labels: Labels, receiver: &str) {
        let group_key = format!("{route}:{labels}");
        let key = EntryKey {
            group_key: group_key.as_str().into(),
            receiver: receiver.into(),
            integration: "webhook".into(),
            index: 3,
        }
        .to_string();
        let target = Target::read(&key).unwrap_or_else(|| panic!("{key} is not read"));
        assert_eq!(target.group_key, group_key);
        assert_eq!(target.labels, labels);
        assert_eq!((target.receiver, target.integration, target.index), (receiver, "webhook", 3));
    }

    #[test]
    fn key_is_read_as_it_was_written() {
        check("{}", Labels::default(), "r");
        check("{}/{a=\"b\"}", [("alertname", "Down"), ("team", "db")].into(), "team/db");
        check("{}/{a=~\"}:{|\\\"\"}", [("a", "}:{\"\\"), ("é ö", "\n:")].into(), "x}:{a=\"b\"}:y");
    }

    #[test]
    fn other_keys_are_none() {
        for key in ["", ":", "{}:{}", "{}:{}:r/webhook/x", "{}:{a=\"}:r/webhook/0", "{}:a:r/w/0"] {
            assert!(Target::read(key).is_none(), "{key}");
        }
    }
}
