//! What nodes say to each other. Fields are only added, numbers never reused; what is unknown is skipped.

use bytes::Bytes;
use prost::Message as _;

use super::frame::Frame;
use crate::member::Status;
use crate::record::{Kind, Stamp};
use crate::view::ConfigHash;

/// The versions of the protocol that this node speaks.
pub(crate) const PROTO_MIN: u32 = 1;
/// See [`PROTO_MIN`].
pub(crate) const PROTO_MAX: u32 = 1;

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct WireStatus {
    #[prost(uint64, tag = "1")]
    version: u64,
    #[prost(bool, tag = "2")]
    ready: bool,
    #[prost(bool, tag = "3")]
    leaving: bool,
    #[prost(fixed64, optional, tag = "4")]
    config: Option<u64>,
    #[prost(fixed64, tag = "5")]
    config_hlc: u64,
    #[prost(bool, tag = "6")]
    disk_failed: bool,
    #[prost(int64, tag = "7")]
    hold_until_ms: i64,
    #[prost(int64, tag = "8")]
    hold_start_ms: i64,
    #[prost(sint64, tag = "9")]
    clock_offset_ms: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Hello {
    #[prost(uint32, tag = "1")]
    pub(crate) proto_min: u32,
    #[prost(uint32, tag = "2")]
    pub(crate) proto_max: u32,
    #[prost(fixed64, tag = "3")]
    pub(crate) label_hash: u64,
    #[prost(string, tag = "4")]
    pub(crate) node_id: String,
    #[prost(uint64, tag = "5")]
    pub(crate) incarnation: u64,
    /// Whether this is the data lane; else control.
    #[prost(bool, tag = "6")]
    pub(crate) data: bool,
    #[prost(string, tag = "7")]
    pub(crate) address: String,
    #[prost(string, tag = "8")]
    pub(crate) version: String,
    #[prost(int64, tag = "9")]
    pub(crate) wall_ms: i64,
    #[prost(message, optional, tag = "10")]
    pub(crate) status: Option<WireStatus>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Welcome {
    #[prost(uint32, tag = "1")]
    pub(crate) proto: u32,
    #[prost(string, tag = "2")]
    pub(crate) node_id: String,
    #[prost(uint64, tag = "3")]
    pub(crate) incarnation: u64,
    #[prost(int64, tag = "4")]
    pub(crate) wall_ms: i64,
    #[prost(string, tag = "5")]
    pub(crate) address: String,
    #[prost(string, tag = "6")]
    pub(crate) version: String,
    #[prost(message, optional, tag = "7")]
    pub(crate) status: Option<WireStatus>,
}

/// Why a handshake is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum RejectCode {
    Unknown = 0,
    Label = 1,
    Protocol = 2,
    NameInUse = 3,
    TooMany = 4,
    Unauthorised = 5,
}

impl RejectCode {
    /// The label value of `tocsin_cluster_rejects_total`.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Label => "label",
            Self::Protocol => "protocol",
            Self::NameInUse => "name_in_use",
            Self::TooMany => "too_many",
            Self::Unauthorised => "unauthorised",
        }
    }
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Reject {
    #[prost(enumeration = "RejectCode", tag = "1")]
    pub(crate) code: i32,
    #[prost(string, tag = "2")]
    pub(crate) text: String,
}

/// Times are wall milliseconds, as NTP's.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Ping {
    #[prost(int64, tag = "1")]
    pub(crate) t1: i64,
    #[prost(int64, tag = "2")]
    pub(crate) t2: i64,
    #[prost(int64, tag = "3")]
    pub(crate) t3: i64,
    #[prost(message, optional, tag = "4")]
    pub(crate) status: Option<WireStatus>,
    /// The sender's monotonic microseconds, given back as they are.
    #[prost(uint64, tag = "5")]
    pub(crate) sent_us: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Push {
    #[prost(uint64, tag = "1")]
    pub(crate) seq: u64,
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub(crate) batches: Vec<Bytes>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Ack {
    #[prost(uint64, tag = "1")]
    pub(crate) seq: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Root {
    #[prost(uint32, tag = "1")]
    pub(crate) kind: Kind,
    #[prost(fixed64, tag = "2")]
    pub(crate) root: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SyncRoots {
    #[prost(message, repeated, tag = "1")]
    pub(crate) roots: Vec<Root>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SyncBuckets {
    #[prost(uint32, tag = "1")]
    pub(crate) kind: Kind,
    #[prost(fixed64, repeated, tag = "2")]
    pub(crate) digests: Vec<u64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct KeyStamp {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) key: Bytes,
    #[prost(uint32, tag = "2")]
    rank: u32,
    #[prost(fixed64, tag = "3")]
    hlc: u64,
    #[prost(fixed64, tag = "4")]
    node: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SyncKeys {
    #[prost(uint32, tag = "1")]
    pub(crate) kind: Kind,
    #[prost(uint32, repeated, tag = "2")]
    pub(crate) buckets: Vec<u32>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) keys: Vec<KeyStamp>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Want {
    #[prost(uint32, tag = "1")]
    pub(crate) kind: Kind,
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub(crate) keys: Vec<Bytes>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Records {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) batch: Bytes,
}

/// The end of one answer (from who was asked) or of the round (from who began it).
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SyncDone {
    #[prost(bool, tag = "1")]
    pub(crate) round: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Claim {
    #[prost(uint64, tag = "1")]
    pub(crate) id: u64,
    #[prost(uint32, tag = "2")]
    pub(crate) kind: Kind,
    #[prost(bytes = "bytes", tag = "3")]
    pub(crate) key: Bytes,
    #[prost(fixed64, tag = "4")]
    pub(crate) score: u64,
    #[prost(message, optional, tag = "5")]
    pub(crate) known: Option<KeyStamp>,
    /// Hash of the asking node's id: decides between equal scores.
    #[prost(fixed64, tag = "6")]
    pub(crate) node: u64,
}

/// What a claim hears: `done` is an encoded batch with the record.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ClaimAnswer {
    #[prost(uint64, tag = "1")]
    pub(crate) id: u64,
    #[prost(bool, tag = "2")]
    pub(crate) busy: bool,
    #[prost(bytes = "bytes", optional, tag = "3")]
    pub(crate) done: Option<Bytes>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Release {
    #[prost(uint32, tag = "1")]
    pub(crate) kind: Kind,
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) key: Bytes,
    #[prost(bool, tag = "3")]
    pub(crate) failed: bool,
    /// An encoded batch with the record of a success.
    #[prost(bytes = "bytes", optional, tag = "4")]
    pub(crate) record: Option<Bytes>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Leave {
    #[prost(string, tag = "1")]
    pub(crate) reason: String,
}

macro_rules! messages {
    ($($kind:literal => $name:ident($payload:ty)),+ $(,)?) => {
        /// All that can be on a connection.
        #[derive(Clone, Debug, PartialEq)]
        pub(crate) enum Message {
            $($name($payload),)+
            /// Opaque bytes of the gossip.
            Gossip(Bytes),
            /// Of a type that this version does not know.
            Unknown(u8),
        }

        impl Message {
            /// Reads a frame.
            /// # Errors
            /// On a payload that is not what its type says.
            pub(crate) fn decode(frame: Frame) -> Result<Self, prost::DecodeError> {
                Ok(match frame.kind {
                    $($kind => Self::$name(<$payload>::decode(frame.payload)?),)+
                    GOSSIP => Self::Gossip(frame.payload),
                    other => Self::Unknown(other),
                })
            }

            /// Type and payload.
            pub(crate) fn encode(&self) -> (u8, Bytes) {
                match self {
                    $(Self::$name(payload) => ($kind, payload.encode_to_vec().into()),)+
                    Self::Gossip(bytes) => (GOSSIP, bytes.clone()),
                    Self::Unknown(kind) => (*kind, Bytes::new()),
                }
            }
        }
    };
}

const GOSSIP: u8 = 4;

messages! {
    1 => Hello(Hello),
    2 => Welcome(Welcome),
    3 => Reject(Reject),
    5 => Ping(Ping),
    6 => Pong(Ping),
    7 => Push(Push),
    8 => Ack(Ack),
    9 => SyncRoots(SyncRoots),
    10 => SyncBuckets(SyncBuckets),
    11 => SyncKeys(SyncKeys),
    12 => Want(Want),
    13 => Records(Records),
    14 => SyncDone(SyncDone),
    15 => Claim(Claim),
    16 => ClaimAnswer(ClaimAnswer),
    17 => Release(Release),
    18 => Leave(Leave),
    19 => LeaveAck(Leave),
}

impl Message {
    /// Whether it belongs to a digest sync, for the counters.
    pub(crate) fn is_sync(&self) -> bool {
        matches!(
            self,
            Self::SyncRoots(_)
                | Self::SyncBuckets(_)
                | Self::SyncKeys(_)
                | Self::Want(_)
                | Self::Records(_)
                | Self::SyncDone(_)
        )
    }
}

impl KeyStamp {
    pub(crate) fn new(key: Bytes, stamp: Stamp) -> Self {
        Self { key, rank: stamp.rank, hlc: stamp.hlc, node: stamp.node }
    }

    pub(crate) fn stamp(&self) -> Stamp {
        Stamp { rank: self.rank, hlc: self.hlc, node: self.node }
    }
}

impl From<&Status> for WireStatus {
    fn from(status: &Status) -> Self {
        Self {
            version: status.version,
            ready: status.ready,
            leaving: status.leaving,
            config: status.config.map(|config| config.hash),
            config_hlc: status.config.map_or(0, |config| config.loaded_hlc),
            disk_failed: status.disk_failed,
            hold_until_ms: status.hold_until_ms,
            hold_start_ms: status.hold_start_ms,
            clock_offset_ms: status.clock_offset_ms,
        }
    }
}

impl From<WireStatus> for Status {
    fn from(wire: WireStatus) -> Self {
        let loaded_hlc = wire.config_hlc;
        Self {
            version: wire.version,
            ready: wire.ready,
            leaving: wire.leaving,
            config: wire.config.map(|hash| ConfigHash { hash, loaded_hlc }),
            disk_failed: wire.disk_failed,
            hold_until_ms: wire.hold_until_ms,
            hold_start_ms: wire.hold_start_ms,
            clock_offset_ms: wire.clock_offset_ms,
        }
    }
}
