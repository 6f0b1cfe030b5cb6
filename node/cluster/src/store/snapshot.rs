//! Snapshots: all live records in one file, after which older segments are superfluous. Also the space kept for a full disk.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::segment::{self, MAGIC};
use super::{Source, dir};
use crate::mono;
use crate::record::{self, Record};

/// Released first when the disk is full.
const SPARE_BYTES: u64 = 16 * 1024 * 1024;

/// What was written.
pub(crate) struct Snapshot {
    pub(crate) number: u64,
    pub(crate) bytes: u64,
    pub(crate) time: Duration,
}

/// Writes all live records to `snap-<number>`: a temporary file, synced, renamed.
pub(crate) fn snapshot(dir: &Path, number: u64, source: &Source) -> io::Result<Snapshot> {
    let begun = mono::now();
    let tmp = dir.join(format!("snapshot-{number}.tmp"));
    let mut file = io::BufWriter::with_capacity(256 * 1024, File::create(&tmp)?);
    file.write_all(MAGIC)?;
    let (mut count, mut bytes, mut failure) = (0, MAGIC.len() as u64, None);
    let mut pending = Vec::new();
    let mut flush = |pending: &mut Vec<Record>| -> io::Result<u64> {
        let mut frames = Vec::new();
        record::encode(pending).iter().for_each(|batch| segment::frame(batch, &mut frames));
        pending.clear();
        file.write_all(&frames)?;
        Ok(frames.len() as u64)
    };
    source(&mut |record| {
        count += 1;
        pending.push(record);
        if pending.len() == 256 && failure.is_none() {
            match flush(&mut pending) {
                Ok(length) => bytes += length,
                Err(error) => failure = Some(error),
            }
        }
        if failure.is_some() {
            pending.clear();
        }
    });
    if let Some(failure) = failure {
        return Err(failure);
    }
    bytes += flush(&mut pending)?;
    let mut frames = Vec::new();
    segment::frame(&record::footer(count), &mut frames);
    file.write_all(&frames)?;
    let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    fs::rename(&tmp, dir::snap_path(dir, number))?;
    dir::sync_dir(dir)?;
    let time = mono::now().saturating_sub(begun);
    Ok(Snapshot { number, bytes: bytes + frames.len() as u64, time })
}

/// Deletes what the snapshot `number` made superfluous.
pub(crate) fn delete_covered(dir: &Path, number: u64) {
    type PathOf = fn(&Path, u64) -> PathBuf;
    let kinds: [(&str, PathOf); 2] = [("wal-", dir::wal_path), ("snap-", dir::snap_path)];
    for (prefix, path) in kinds {
        let numbers = dir::numbers(dir, prefix).unwrap_or_default();
        for old in numbers.into_iter().filter(|old| *old < number) {
            // What stays is read once more at the next start and deleted then.
            let _ = fs::remove_file(path(dir, old));
        }
    }
}

/// Keeps some space that can be released.
pub(crate) fn keep_spare(dir: &Path) {
    let path = dir.join("reserve");
    if path.exists() {
        return;
    }
    let made = File::create(&path).and_then(|file| {
        let flags = rustix::fs::FallocateFlags::empty();
        rustix::fs::fallocate(&file, flags, 0, SPARE_BYTES).map_err(io::Error::from)
    });
    if made.is_err() {
        release_spare(dir);
    }
}

/// Gives the kept space back.
pub(crate) fn release_spare(dir: &Path) {
    // Absent is as good as released.
    let _ = fs::remove_file(dir.join("reserve"));
}
