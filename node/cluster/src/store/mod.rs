//! The disk behind one trait. Everything is in memory; the disk is for restart only.

mod dir;
mod load;
mod log;
pub(crate) mod segment;
mod snapshot;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::record::Record;

pub(crate) use dir::{Identity, Lock, replace};
pub(crate) use log::Log;

/// When a notice is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// After write(): safe from the end of this process.
    Written,
    /// After fdatasync(): safe from power loss. With `--storage.sync=off` the same as written.
    Synced,
}

/// Called once, from the writer's thread, with whether the stage was reached.
pub(crate) struct Notice {
    pub(crate) stage: Stage,
    pub(crate) call: Box<dyn FnOnce(bool) + Send>,
}

/// Gives all live records, for a snapshot.
pub(crate) type Source = Arc<dyn Fn(&mut dyn FnMut(Record)) + Send + Sync>;

/// Where records survive a restart.
pub(crate) trait Store: Send + Sync + 'static {
    /// Takes batches in this order; never blocks. The notice is given also when the batches are lost.
    fn append(&self, batches: &[Bytes], notice: Option<Notice>);
    /// What metrics and status show.
    fn facts(&self) -> StoreFacts;
    /// Writes what is queued and stops; blocks until done.
    fn close(&self);
}

/// The state of the disk, as plain values.
#[derive(Clone, Debug, Default)]
pub struct StoreFacts {
    /// Whether writes reach the disk; true also when there is none by choice.
    pub healthy: bool,
    /// Whether a disk is used at all.
    pub durable: bool,
    /// Syncs done, and their time in total.
    pub syncs: u64,
    /// See `syncs`.
    pub sync_time: Duration,
    /// Syncs by duration, cumulative, bounds [`SYNC_BOUNDS`].
    pub sync_buckets: [u64; SYNC_BOUNDS.len()],
    /// Bytes in log segments now.
    pub log_bytes: u64,
    /// Bytes appended since start.
    pub appended_bytes: u64,
    /// Failed writes and syncs since start.
    pub errors: u64,
    /// Snapshots written, failed, the size of the last and the time the last took.
    pub snapshots: u64,
    /// See `snapshots`.
    pub snapshot_errors: u64,
    /// See `snapshots`.
    pub snapshot_bytes: u64,
    /// See `snapshots`.
    pub snapshot_time: Duration,
    /// What the load found.
    pub loaded: Loaded,
}

/// Upper bounds of `StoreFacts::sync_buckets`, in seconds.
pub const SYNC_BOUNDS: [f64; 8] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1.0];

/// What the load of the directory found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Records read, expired and overwritten ones included.
    pub records: u64,
    /// Bytes cut from the end of the last segment: writes that nobody was told of.
    pub torn_bytes: u64,
    /// Files with a broken entry in the middle: something acknowledged may be missing.
    pub corrupt_files: u64,
    /// Time spent.
    pub time: Duration,
}

/// Why the data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory or a file in it cannot be made, read or written.
    #[error("cannot use {}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process uses the directory.
    #[error("another process uses {}", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
}

impl StoreError {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}

/// No disk: all notices are given at once.
pub(crate) struct NoStore;

impl Store for NoStore {
    fn append(&self, _batches: &[Bytes], notice: Option<Notice>) {
        if let Some(notice) = notice {
            (notice.call)(true);
        }
    }

    fn facts(&self) -> StoreFacts {
        StoreFacts { healthy: true, ..StoreFacts::default() }
    }

    fn close(&self) {}
}
