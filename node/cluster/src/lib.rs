//! Replicated records, the disk log, membership and owners; knows no alerting.
//!
//! A record is a kind, a key, a stamp and bytes. Of two records with one key the greater stamp stands, everywhere and in any order, so that
//! nodes that hold the same records hold the same state. [`Cluster`] decides every merge, keeps records on disk and spreads them; whoever
//! understands a kind supplies the [`Table`] that holds it.

mod address;
mod ask;
mod bridge;
mod claim;
mod cluster;
mod core;
mod facts;
#[doc(hidden)]
pub mod fuzz;
mod gossip;
mod hlc;
mod member;
mod mesh;
mod metrics;
mod mono;
mod options;
mod owner;
mod push;
mod ready;
mod record;
#[cfg(test)]
mod sim;
mod start;
mod state;
mod store;
mod sync;
#[cfg(test)]
mod tests;
mod tls;
mod view;
mod wait;

pub use claim::{Busy, Claim, ClaimRequest, Grant, Release};
pub use cluster::{Cluster, ClusterError};
pub use hlc::hlc_ms;
pub use metrics::{ClusterFacts, PING_BOUNDS, PeerFacts, Pings};
pub use options::{Certificates, Options, SyncMode, Trust};
pub use owner::{Behind, Rank};
pub use ready::Ready;
pub use record::{Draft, Kind, Record, Stamp, kind};
pub use state::{Bag, Malformed, Table, Writer};
pub use store::{Loaded, SYNC_BOUNDS, StoreError, StoreFacts};
pub use view::{ClusterStatus, ConfigHash, Member, MemberState, View};
pub use wait::{Need, Outcome, Why};
