//! The bytes of the records: one protobuf message for each kind. Numbers are never reused; an older reader skips what it
//! does not know.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use prost::Message;
use prost::encoding::{self, WireType, encode_key, encode_varint, message};
use tocsin_cluster::Malformed;
use tocsin_core::alert::Times;

/// A moment, as `google.protobuf.Timestamp`.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(super) struct Time {
    #[prost(int64, tag = "1")]
    pub(super) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(super) nanos: i32,
}

impl From<Timestamp> for Time {
    fn from(at: Timestamp) -> Self {
        Self { seconds: at.as_second(), nanos: at.subsec_nanosecond() }
    }
}

/// An alert.
#[derive(Clone, PartialEq, Message)]
pub(super) struct AlertBody {
    /// Name, value, name, value, … sorted by name.
    #[prost(string, repeated, tag = "1")]
    pub(super) labels: Vec<String>,
    /// As the labels.
    #[prost(string, repeated, tag = "2")]
    pub(super) annotations: Vec<String>,
    #[prost(string, tag = "3")]
    pub(super) generator_url: String,
    #[prost(message, optional, tag = "4")]
    pub(super) starts_at: Option<Time>,
    #[prost(message, optional, tag = "5")]
    pub(super) ends_at: Option<Time>,
    #[prost(message, optional, tag = "6")]
    pub(super) updated_at: Option<Time>,
    #[prost(message, optional, tag = "7")]
    pub(super) received_at: Option<Time>,
    /// The end was computed from the resolve timeout.
    #[prost(bool, tag = "8")]
    pub(super) timeout: bool,
    /// The sender said that it has ended.
    #[prost(bool, tag = "9")]
    pub(super) explicit_end: bool,
}

/// What an alert's record holds, wherever it is. Encoding it makes no copies: it happens at every post.
pub(super) struct AlertParts<'a, L, A> {
    pub(super) labels: L,
    pub(super) annotations: A,
    pub(super) generator_url: &'a str,
    pub(super) times: Times,
}

impl<'a, L, A> AlertParts<'a, L, A>
where
    L: Iterator<Item = (&'a str, &'a str)>,
    A: Iterator<Item = (&'a str, &'a str)>,
{
    /// The bytes of the [`AlertBody`].
    pub(super) fn encode(self) -> Bytes {
        let mut out = Vec::with_capacity(512);
        for (name, value) in self.labels {
            put_text(&mut out, 1, name);
            put_text(&mut out, 1, value);
        }
        for (name, value) in self.annotations {
            put_text(&mut out, 2, name);
            put_text(&mut out, 2, value);
        }
        if !self.generator_url.is_empty() {
            put_text(&mut out, 3, self.generator_url);
        }
        let Times { starts_at, ends_at, updated_at, received_at, timeout, explicit_end } =
            self.times;
        for (tag, at) in (4..).zip([starts_at, ends_at, updated_at, received_at]) {
            message::encode(tag, &Time::from(at), &mut out);
        }
        for (tag, flag) in [(8, timeout), (9, explicit_end)] {
            if flag {
                encoding::bool::encode(tag, &flag, &mut out);
            }
        }
        out.into()
    }
}

fn put_text(out: &mut Vec<u8>, tag: u32, text: &str) {
    encode_key(tag, WireType::LengthDelimited, out);
    encode_varint(text.len() as u64, out);
    out.extend_from_slice(text.as_bytes());
}

/// Reads a body.
/// # Errors
/// [`Malformed`] when the bytes are not such a message.
pub(super) fn decode<M: Message + Default>(bytes: &[u8]) -> Result<M, Malformed> {
    M::decode(bytes).map_err(|error| Malformed(error.to_string()))
}

/// A moment that must be there.
/// # Errors
/// [`Malformed`] when it is absent or outside the years that we can express.
pub(super) fn moment(at: Option<Time>, field: &str) -> Result<Timestamp, Malformed> {
    let at = at.ok_or_else(|| Malformed(format!("{field} is missing")))?;
    Timestamp::new(at.seconds, at.nanos).map_err(|error| Malformed(format!("{field}: {error}")))
}

/// Name, value, name, value, … as pairs.
/// # Errors
/// [`Malformed`] when a value is missing.
pub(super) fn pairs(flat: &[String]) -> Result<impl Iterator<Item = (&str, &str)>, Malformed> {
    if !flat.len().is_multiple_of(2) {
        return Err(Malformed("a name without a value".to_owned()));
    }
    Ok(flat.chunks_exact(2).map(|pair| (pair[0].as_str(), pair[1].as_str())))
}

/// What an integration of a group was told. Fields 1 to 8 are upstream's `nflogpb.Entry`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct LogBody {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) group_key: Vec<u8>,
    #[prost(message, optional, tag = "2")]
    pub(super) receiver: Option<ReceiverBody>,
    #[prost(message, optional, tag = "5")]
    pub(super) timestamp: Option<Time>,
    #[prost(uint64, repeated, tag = "6")]
    pub(super) firing: Vec<u64>,
    #[prost(uint64, repeated, tag = "7")]
    pub(super) resolved: Vec<u64>,
    #[prost(btree_map = "string, message", tag = "8")]
    pub(super) data: BTreeMap<String, DataBody>,
    /// Ours: the tick that led to it. Absent in what upstream wrote: its timestamp stands in.
    #[prost(message, optional, tag = "100")]
    pub(super) flush_at: Option<Time>,
}

/// Upstream's `nflogpb.Receiver`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ReceiverBody {
    #[prost(string, tag = "1")]
    pub(super) group_name: String,
    #[prost(string, tag = "2")]
    pub(super) integration: String,
    #[prost(uint32, tag = "3")]
    pub(super) index: u32,
}

/// Upstream's `nflogpb.ReceiverDataValue`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct DataBody {
    #[prost(oneof = "DataValueBody", tags = "1, 2, 3")]
    pub(super) value: Option<DataValueBody>,
}

/// The alternatives of [`DataBody`].
#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum DataValueBody {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(int64, tag = "2")]
    Int(i64),
    #[prost(double, tag = "3")]
    Double(f64),
}

/// The last attempts of an integration for a group.
#[derive(Clone, PartialEq, Message)]
pub(super) struct HistoryBody {
    /// Oldest first.
    #[prost(message, repeated, tag = "1")]
    pub(super) attempts: Vec<AttemptBody>,
}

/// One attempt.
#[derive(Clone, PartialEq, Message)]
pub(super) struct AttemptBody {
    #[prost(message, optional, tag = "1")]
    pub(super) at: Option<Time>,
    #[prost(string, tag = "2")]
    pub(super) node: String,
    /// Upstream's words.
    #[prost(string, tag = "3")]
    pub(super) reason: String,
    /// 0 sent, 1 tried again, 2 failed.
    #[prost(uint32, tag = "4")]
    pub(super) outcome: u32,
    #[prost(string, tag = "5")]
    pub(super) text: String,
    #[prost(uint32, tag = "6")]
    pub(super) firing: u32,
    #[prost(uint32, tag = "7")]
    pub(super) resolved: u32,
}

/// A silence with its expiry: upstream's `silencepb.MeshSilence`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct MeshSilence {
    #[prost(message, optional, tag = "1")]
    pub(super) silence: Option<SilenceBody>,
    #[prost(message, optional, tag = "2")]
    pub(super) expires_at: Option<Time>,
}

/// Upstream's `silencepb.Silence`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SilenceBody {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    /// The first set again, for readers older than 0.32.
    #[prost(message, repeated, tag = "2")]
    pub(super) matchers: Vec<MatcherBody>,
    #[prost(message, optional, tag = "3")]
    pub(super) starts_at: Option<Time>,
    #[prost(message, optional, tag = "4")]
    pub(super) ends_at: Option<Time>,
    #[prost(message, optional, tag = "5")]
    pub(super) updated_at: Option<Time>,
    /// Of versions long gone: the first one is comment and author.
    #[prost(message, repeated, tag = "7")]
    pub(super) comments: Vec<CommentBody>,
    #[prost(string, tag = "8")]
    pub(super) created_by: String,
    #[prost(string, tag = "9")]
    pub(super) comment: String,
    #[prost(btree_map = "string, string", tag = "10")]
    pub(super) annotations: BTreeMap<String, String>,
    #[prost(message, repeated, tag = "11")]
    pub(super) matcher_sets: Vec<MatcherSetBody>,
    #[prost(message, repeated, tag = "12")]
    pub(super) receiver_matcher_sets: Vec<MatcherSetBody>,
}

/// Upstream's `silencepb.Comment`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct CommentBody {
    #[prost(string, tag = "1")]
    pub(super) author: String,
    #[prost(string, tag = "2")]
    pub(super) comment: String,
}

/// Upstream's `silencepb.MatcherSet`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct MatcherSetBody {
    #[prost(message, repeated, tag = "1")]
    pub(super) matchers: Vec<MatcherBody>,
}

/// Upstream's `silencepb.Matcher`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct MatcherBody {
    /// 0 `=`, 1 `=~`, 2 `!=`, 3 `!~`.
    #[prost(int32, tag = "1")]
    pub(super) op: i32,
    #[prost(string, tag = "2")]
    pub(super) name: String,
    #[prost(string, tag = "3")]
    pub(super) pattern: String,
}

/// An entry with its expiry: upstream's `nflogpb.MeshEntry`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct MeshEntry {
    #[prost(message, optional, tag = "1")]
    pub(super) entry: Option<LogBody>,
    #[prost(message, optional, tag = "2")]
    pub(super) expires_at: Option<Time>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hand_written_encoding_is_that_of_the_message() {
        let at = |second, nano| Timestamp::new(second, nano).unwrap();
        let times = Times {
            starts_at: at(0, 0),
            ends_at: at(-62_135_596_800, 0),
            updated_at: at(1_700_000_000, 123_456_789),
            received_at: at(1_700_000_000, 0),
            timeout: true,
            explicit_end: false,
        };
        let labels = [("alertname", "Down"), ("zone", "é".repeat(200).leak())];
        let annotations = [("empty", "")];
        let body: AlertBody = decode(
            &AlertParts {
                labels: labels.into_iter(),
                annotations: annotations.into_iter(),
                generator_url: "http://p",
                times,
            }
            .encode(),
        )
        .unwrap();
        let again = AlertParts {
            labels: pairs(&body.labels).unwrap(),
            annotations: pairs(&body.annotations).unwrap(),
            generator_url: &body.generator_url,
            times,
        };
        assert_eq!(again.encode(), body.encode_to_vec());
        assert_eq!(moment(body.ends_at, "endsAt").unwrap(), times.ends_at);
        assert_eq!(moment(body.updated_at, "updatedAt").unwrap(), times.updated_at);
        assert_eq!((body.timeout, body.explicit_end), (true, false));
    }

    #[test]
    fn what_is_missing_is_malformed() {
        assert!(moment(None, "startsAt").is_err());
        assert!(moment(Some(Time { seconds: i64::MAX, nanos: 0 }), "startsAt").is_err());
        assert!(pairs(&["a".to_owned()]).is_err());
        assert!(decode::<AlertBody>(&[0xff]).is_err());
    }
}
