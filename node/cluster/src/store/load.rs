//! Reads the directory at start: the newest snapshots, then the segments. A damaged file never stops the start.

use std::fs::{self, File, OpenOptions};
use std::path::Path;

use tracing::warn;

use super::segment::{self, End};
use super::{Loaded, StoreError, dir};
use crate::mono;
use crate::record::{self, Record};

/// What a new log goes on from.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) loaded: Loaded,
    /// Number for the first segment of this life.
    pub(crate) next: u64,
    /// Bytes in segments and their count: when there are many, a snapshot is due.
    pub(crate) log_bytes: u64,
    pub(crate) segments: usize,
    pub(crate) snapshot_bytes: u64,
}

/// Gives `visit` every record that can be read, in no promised order: stamps decide.
/// # Errors
/// When the directory itself cannot be read.
pub(crate) fn load(dir: &Path, visit: &mut dyn FnMut(Record)) -> Result<Found, StoreError> {
    let begun = mono::now();
    let mut found = Found::default();
    let snaps = dir::numbers(dir, "snap-").map_err(StoreError::io(dir))?;
    let wals = dir::numbers(dir, "wal-").map_err(StoreError::io(dir))?;
    let mut whole = None;
    for number in snaps.iter().rev().copied() {
        if load_snapshot(&dir::snap_path(dir, number), &mut found, visit) {
            whole = Some(number);
            break;
        }
    }
    let oldest = whole.unwrap_or(0);
    for number in wals.iter().copied().filter(|number| oldest <= *number) {
        let last = wals.last() == Some(&number);
        load_segment(&dir::wal_path(dir, number), last, &mut found, visit);
    }
    let newest = snaps.last().max(wals.last()).copied().unwrap_or(0);
    found.next = newest + 1;
    found.loaded.time = mono::now().saturating_sub(begun);
    Ok(found)
}

/// Whether the snapshot was whole. What can be read of a broken one is given all the same.
fn load_snapshot(path: &Path, found: &mut Found, visit: &mut dyn FnMut(Record)) -> bool {
    let (mut seen, mut footer) = (0, None);
    let end = File::open(path).and_then(|file| {
        found.snapshot_bytes = file.metadata()?.len();
        segment::read(file, |bytes| {
            let Ok((records, count)) = record::decode(bytes) else { return false };
            seen += records.len() as u64;
            footer = footer.or(count);
            records.into_iter().for_each(&mut *visit);
            true
        })
    });
    found.loaded.records += seen;
    let whole = matches!(end, Ok(End::Clean)) && footer == Some(seen);
    if !whole {
        found.loaded.corrupt_files += 1;
        warn!(file = %path.display(), "snapshot is damaged, set aside");
        dir::set_aside(path);
    }
    whole
}

fn load_segment(path: &Path, last: bool, found: &mut Found, visit: &mut dyn FnMut(Record)) {
    let mut seen = 0;
    let mut length = 0;
    let end = File::open(path).and_then(|file| {
        length = file.metadata()?.len();
        segment::read(file, |bytes| {
            let Ok((records, _)) = record::decode(bytes) else { return false };
            seen += records.len() as u64;
            records.into_iter().for_each(&mut *visit);
            true
        })
    });
    found.loaded.records += seen;
    found.log_bytes += length;
    found.segments += 1;
    match end {
        Ok(End::Clean) => {}
        Ok(End::Broken { valid }) if last => {
            found.loaded.torn_bytes += length.saturating_sub(valid);
            cut(path, valid);
        }
        Ok(End::Broken { valid }) => {
            found.loaded.corrupt_files += 1;
            warn!(file = %path.display(), offset = valid, "log segment is damaged, its rest is skipped");
            keep_damaged(path, valid);
        }
        Ok(End::Foreign) | Err(_) => {
            found.loaded.corrupt_files += 1;
            warn!(file = %path.display(), "log segment cannot be read, set aside");
            dir::set_aside(path);
        }
    }
}

/// Keeps a copy of the damaged file for people, and the good part for the next start.
fn keep_damaged(path: &Path, valid: u64) {
    let mut name = path.as_os_str().to_owned();
    name.push(".corrupt");
    if fs::copy(path, &name).is_ok() {
        cut(path, valid);
    }
}

fn cut(path: &Path, valid: u64) {
    let cut = OpenOptions::new().write(true).open(path).and_then(|file| {
        file.set_len(valid)?;
        file.sync_all()
    });
    if let Err(error) = cut {
        warn!(file = %path.display(), error = %error, "cannot cut the torn end of a log segment");
    }
}
