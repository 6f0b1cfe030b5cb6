//! The append-only log: one thread writes and syncs for everybody, a second one writes snapshots.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use tracing::{error, info, warn};

use super::load::{self, Found};
use super::segment::{self, MAGIC};
use super::snapshot::{Snapshot, delete_covered, keep_spare, release_spare, snapshot};
use super::{Loaded, Notice, SYNC_BOUNDS, Source, Stage, Store, StoreError, StoreFacts, dir};
use crate::mono;
use crate::options::SyncMode;
use crate::record::Record;

/// A segment is closed at this size.
const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;
/// Space is reserved in steps, so that a sync need not store a new file length each time.
const RESERVE_STEP: u64 = 4 * 1024 * 1024;
/// Bytes waiting for the disk; more are refused and repaired by a snapshot.
const QUEUE_BYTES: usize = 64 * 1024 * 1024;
/// A snapshot is written at least this often when anything was appended.
const SNAPSHOT_EVERY: Duration = Duration::from_secs(15 * 60);
/// The log may grow to this, or to four times the last snapshot.
const LOG_MIN_BYTES: u64 = 64 * 1024 * 1024;
/// Each start leaves a segment; more than these make a snapshot due.
const SEGMENTS_MAX: usize = 8;
/// After a failure of both segment and snapshot the next try comes this much later.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The log of one data directory.
pub(crate) struct Log {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    dir: PathBuf,
    sync: SyncMode,
    queue: Mutex<Queue>,
    wake: Condvar,
    facts: Mutex<StoreFacts>,
    /// Tests: syncs fail as long as this is set.
    #[cfg(test)]
    fails: std::sync::atomic::AtomicBool,
}

#[derive(Default)]
struct Queue {
    frames: Vec<u8>,
    notices: Vec<Notice>,
    appends: usize,
    /// The writer wants to be woken at this many appends.
    wake_at: usize,
    /// Something was refused: only a snapshot makes the disk whole again.
    overflown: bool,
    /// A snapshot ended: with which number, size and time.
    snapshot: Option<io::Result<Snapshot>>,
    closed: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Log {
    /// Loads what `dir` holds into `visit`, then starts the writer. `source` gives the records for snapshots.
    /// # Errors
    /// When the directory cannot be read or the first segment cannot be made.
    pub(crate) fn open(
        dir: &Path,
        sync: SyncMode,
        visit: &mut dyn FnMut(Record),
        source: Source,
    ) -> Result<Self, StoreError> {
        let found = load::load(dir, visit)?;
        let current = Segment::create(dir, found.next).map_err(StoreError::io(dir))?;
        keep_spare(dir);
        let facts = StoreFacts {
            healthy: true,
            durable: true,
            log_bytes: found.log_bytes,
            snapshot_bytes: found.snapshot_bytes,
            loaded: found.loaded.clone(),
            ..StoreFacts::default()
        };
        let shared = Arc::new(Shared {
            dir: dir.to_owned(),
            sync,
            queue: Mutex::default(),
            wake: Condvar::new(),
            facts: Mutex::new(facts),
            #[cfg(test)]
            fails: std::sync::atomic::AtomicBool::new(false),
        });
        let writer = Writer::new(Arc::clone(&shared), source, current, &found);
        let thread = std::thread::Builder::new()
            .name("tocsin-log".into())
            .spawn(move || writer.run())
            .map_err(StoreError::io(dir))?;
        Ok(Self { shared, writer: Mutex::new(Some(thread)) })
    }

    /// What the load found.
    pub(crate) fn loaded(&self) -> Loaded {
        lock(&self.shared.facts).loaded.clone()
    }
}

impl Store for Log {
    fn append(&self, batches: &[Bytes], notice: Option<Notice>) {
        let refused = {
            let mut queue = lock(&self.shared.queue);
            let size: usize = batches.iter().map(Bytes::len).sum();
            if queue.closed || QUEUE_BYTES < queue.frames.len() + size {
                queue.overflown = true;
                notice
            } else {
                batches.iter().for_each(|batch| segment::frame(batch, &mut queue.frames));
                queue.notices.extend(notice);
                queue.appends += 1;
                if queue.appends == queue.wake_at.max(1) {
                    self.shared.wake.notify_one();
                }
                None
            }
        };
        if let Some(notice) = refused {
            (notice.call)(false);
        }
    }

    fn facts(&self) -> StoreFacts {
        lock(&self.shared.facts).clone()
    }

    fn close(&self) {
        {
            lock(&self.shared.queue).closed = true;
            self.shared.wake.notify_one();
        }
        let thread = lock(&self.writer).take();
        if let Some(thread) = thread {
            // A panic of the writer was reported when it happened.
            let _ = thread.join();
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.close();
    }
}

/// The file that is being appended to.
struct Segment {
    number: u64,
    file: File,
    length: u64,
    reserved: u64,
}

impl Segment {
    fn create(dir: &Path, number: u64) -> io::Result<Self> {
        let path = dir::wal_path(dir, number);
        let mut file = OpenOptions::new().create_new(true).write(true).open(path)?;
        file.write_all(MAGIC)?;
        file.sync_data()?;
        dir::sync_dir(dir)?;
        Ok(Self { number, file, length: MAGIC.len() as u64, reserved: 0 })
    }

    fn write(&mut self, frames: &[u8]) -> io::Result<()> {
        let end = self.length + frames.len() as u64;
        if self.reserved < end {
            let reserve = end.next_multiple_of(RESERVE_STEP);
            let flags = rustix::fs::FallocateFlags::empty();
            // Some file systems cannot reserve; then each sync stores the length too.
            if rustix::fs::fallocate(&self.file, flags, 0, reserve).is_ok() {
                self.reserved = reserve;
            }
        }
        self.file.write_all(frames)?;
        self.length = end;
        Ok(())
    }

    /// Gives reserved space back.
    fn finish(&self) {
        // The loader takes trailing zeros for the end as well.
        let _ = self.file.set_len(self.length);
    }
}

impl Queue {
    fn is_urgent(&self) -> bool {
        self.closed || self.snapshot.is_some()
    }
}

/// What one round of the writer takes from the queue.
struct Round {
    frames: Vec<u8>,
    notices: Vec<Notice>,
    overflown: bool,
    snapshot: Option<io::Result<Snapshot>>,
    closed: bool,
}

struct Writer {
    shared: Arc<Shared>,
    source: Source,
    segment: Segment,
    broken: bool,
    next: u64,
    /// Appends of the last group, and how long its sync took: the next group waits for as many, at most half as long.
    group: usize,
    sync_time: Duration,
    snapshotting: bool,
    snapshot_at: Duration,
    snapshot_bytes: u64,
    /// Bytes and count of segments that no snapshot covers yet.
    log_bytes: u64,
    segments: usize,
    dirty: bool,
    must_snapshot: bool,
    /// A forced snapshot is not tried before this.
    retry_at: Duration,
}

impl Writer {
    fn new(shared: Arc<Shared>, source: Source, segment: Segment, found: &Found) -> Self {
        Self {
            shared,
            source,
            next: segment.number + 1,
            segment,
            broken: false,
            group: 1,
            sync_time: Duration::ZERO,
            snapshotting: false,
            snapshot_at: mono::now(),
            snapshot_bytes: found.snapshot_bytes,
            log_bytes: found.log_bytes,
            segments: found.segments + 1,
            dirty: found.segments > 0,
            must_snapshot: found.loaded.corrupt_files > 0,
            retry_at: Duration::ZERO,
        }
    }

    fn run(mut self) {
        loop {
            let round = self.take();
            let closed = round.closed;
            self.commit(round);
            if closed {
                self.segment.finish();
                return;
            }
            self.compact();
        }
    }

    /// Waits for the next group.
    fn take(&mut self) -> Round {
        let mut queue = lock(&self.shared.queue);
        queue.wake_at = self.group;
        let until = mono::now() + self.sync_time / 2;
        while queue.appends < self.group && !queue.is_urgent() {
            let rest = until.saturating_sub(mono::now());
            if rest.is_zero() {
                break;
            }
            queue = self.wait(queue, rest);
        }
        queue.wake_at = 1;
        let until = mono::now() + self.until_maintenance();
        while queue.appends == 0 && !queue.is_urgent() {
            let rest = until.saturating_sub(mono::now());
            if rest.is_zero() {
                break;
            }
            queue = self.wait(queue, rest);
        }
        self.group = queue.appends.max(1);
        queue.appends = 0;
        Round {
            frames: std::mem::take(&mut queue.frames),
            notices: std::mem::take(&mut queue.notices),
            overflown: std::mem::take(&mut queue.overflown),
            snapshot: queue.snapshot.take(),
            closed: queue.closed,
        }
    }

    fn wait<'a>(&self, queue: MutexGuard<'a, Queue>, rest: Duration) -> MutexGuard<'a, Queue> {
        let woken = self.shared.wake.wait_timeout(queue, rest);
        woken.unwrap_or_else(PoisonError::into_inner).0
    }

    fn until_maintenance(&self) -> Duration {
        let due = if self.snapshotting {
            return SNAPSHOT_EVERY;
        } else if self.must_snapshot {
            self.retry_at
        } else if self.dirty {
            self.snapshot_at + SNAPSHOT_EVERY
        } else {
            return SNAPSHOT_EVERY;
        };
        due.saturating_sub(mono::now())
    }

    fn commit(&mut self, round: Round) {
        if let Some(result) = round.snapshot {
            self.snapshot_ended(result);
        }
        self.must_snapshot |= round.overflown;
        if round.frames.is_empty() {
            round.notices.into_iter().for_each(|notice| (notice.call)(true));
            return;
        }
        let length = round.frames.len() as u64;
        let full = SEGMENT_BYTES < self.segment.length + length;
        if (self.broken || full) && !self.roll() {
            round.notices.into_iter().for_each(|notice| (notice.call)(false));
            return;
        }
        let written = self.segment.write(&round.frames);
        let (early, late): (Vec<_>, Vec<_>) =
            round.notices.into_iter().partition(|notice| notice.stage == Stage::Written);
        early.into_iter().for_each(|notice| (notice.call)(written.is_ok()));
        let synced = written.and_then(|()| self.sync());
        let done = synced.is_ok();
        late.into_iter().for_each(|notice| (notice.call)(done));
        self.dirty = true;
        self.log_bytes += length;
        if let Err(error) = synced {
            self.failed(&error);
        }
        let mut facts = lock(&self.shared.facts);
        facts.appended_bytes += length;
        facts.log_bytes = self.log_bytes;
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.shared.sync == SyncMode::Off {
            return Ok(());
        }
        #[cfg(test)]
        if self.shared.fails.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(io::ErrorKind::Other.into());
        }
        let begun = mono::now();
        self.segment.file.sync_data()?;
        self.sync_time = mono::now().saturating_sub(begun);
        let mut facts = lock(&self.shared.facts);
        facts.syncs += 1;
        facts.sync_time += self.sync_time;
        let seconds = self.sync_time.as_secs_f64();
        for (bound, count) in SYNC_BOUNDS.into_iter().zip(facts.sync_buckets.iter_mut()) {
            *count += u64::from(seconds <= bound);
        }
        Ok(())
    }

    /// A failed write or sync is never tried again on the same file: the page may be gone.
    fn failed(&mut self, failure: &io::Error) {
        error!(error = %failure, "storage failed, going on in memory until a new segment and snapshot are written");
        if failure.raw_os_error() == Some(rustix::io::Errno::NOSPC.raw_os_error()) {
            release_spare(&self.shared.dir);
        }
        self.broken = true;
        self.must_snapshot = true;
        let mut facts = lock(&self.shared.facts);
        facts.errors += 1;
        if facts.healthy {
            self.retry_at = mono::now();
        }
        facts.healthy = false;
    }

    /// Opens the next segment.
    fn roll(&mut self) -> bool {
        if !self.broken {
            self.segment.finish();
        }
        match Segment::create(&self.shared.dir, self.next) {
            Ok(segment) => {
                self.segment = segment;
                self.segments += 1;
                self.broken = false;
                self.next += 1;
                true
            }
            Err(error) => {
                self.next += 1;
                self.failed(&error);
                false
            }
        }
    }

    /// Starts a snapshot when one is due.
    fn compact(&mut self) {
        if self.snapshotting {
            return;
        }
        let since = mono::now().saturating_sub(self.snapshot_at);
        let aged = SNAPSHOT_EVERY <= since && self.dirty;
        let large = LOG_MIN_BYTES.max(4 * self.snapshot_bytes) < self.log_bytes;
        let many = SEGMENTS_MAX < self.segments;
        let forced = self.must_snapshot && self.retry_at <= mono::now();
        if !(aged || large || many || forced) {
            return;
        }
        self.retry_at = mono::now() + RETRY_AFTER;
        if !self.roll() {
            return;
        }
        self.must_snapshot = false;
        self.dirty = false;
        self.snapshot_at = mono::now();
        let (shared, source, number) =
            (Arc::clone(&self.shared), Arc::clone(&self.source), self.segment.number);
        let spawned = std::thread::Builder::new().name("tocsin-snap".into()).spawn(move || {
            let result = snapshot(&shared.dir, number, &source);
            lock(&shared.queue).snapshot = Some(result);
            shared.wake.notify_one();
        });
        self.snapshotting = spawned.is_ok();
        self.must_snapshot = spawned.is_err();
    }

    fn snapshot_ended(&mut self, result: io::Result<Snapshot>) {
        self.snapshotting = false;
        match result {
            Ok(snapshot) => {
                delete_covered(&self.shared.dir, snapshot.number);
                self.snapshot_bytes = snapshot.bytes;
                self.log_bytes = self.segment.length;
                self.segments = 1;
                keep_spare(&self.shared.dir);
                let mut facts = lock(&self.shared.facts);
                if !facts.healthy && !self.broken {
                    facts.healthy = true;
                    info!("storage works again");
                }
                facts.snapshots += 1;
                facts.snapshot_bytes = snapshot.bytes;
                facts.snapshot_time = snapshot.time;
                facts.log_bytes = self.log_bytes;
            }
            Err(error) => {
                warn!(error = %error, "snapshot failed, will retry");
                if error.raw_os_error() == Some(rustix::io::Errno::NOSPC.raw_os_error()) {
                    release_spare(&self.shared.dir);
                }
                self.must_snapshot = true;
                lock(&self.shared.facts).snapshot_errors += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record;
    use crate::record::Stamp;
    use std::fs;
    use std::sync::mpsc;

    fn record(n: u64) -> Record {
        Record {
            kind: 1,
            key: Bytes::from(format!("key {n}")),
            stamp: Stamp { rank: 0, hlc: n + 1, node: 7 },
            expires_at_ms: i64::MAX,
            body: Bytes::from(vec![u8::try_from(n % 251).unwrap(); 20]),
        }
    }

    fn nothing() -> Source {
        Arc::new(|_| {})
    }

    fn open(dir: &Path, source: Source) -> (Log, Vec<Record>) {
        let mut found = Vec::new();
        let log = Log::open(dir, SyncMode::Group, &mut |record| found.push(record), source);
        (log.unwrap(), found)
    }

    fn append(log: &Log, records: &[Record]) {
        let (done, waiting) = mpsc::channel();
        let call = Box::new(move |ok| done.send(ok).unwrap());
        log.append(&record::encode(records), Some(Notice { stage: Stage::Synced, call }));
        assert!(waiting.recv().unwrap());
    }

    /// A directory with `count` entries of one record in one segment, and the bytes of that segment.
    fn written(count: u64) -> (tempfile::TempDir, PathBuf, Vec<u8>) {
        let dir = tempfile::tempdir().unwrap();
        let (log, _) = open(dir.path(), nothing());
        (0..count).for_each(|n| append(&log, &[record(n)]));
        drop(log);
        let path = dir::wal_path(dir.path(), 1);
        let bytes = fs::read(&path).unwrap();
        (dir, path, bytes)
    }

    fn loaded(dir: &Path) -> (Vec<Record>, Loaded) {
        let mut records = Vec::new();
        let found = load::load(dir, &mut |record| records.push(record)).unwrap();
        (records, found.loaded)
    }

    fn is_prefix(records: &[Record]) -> bool {
        records.iter().zip(0..).all(|(found, n)| *found == record(n))
    }

    #[test]
    fn what_was_acknowledged_is_loaded() {
        let (dir, _, _) = written(50);
        let (_log, found) = open(dir.path(), nothing());
        assert_eq!(found.len(), 50);
        assert!(is_prefix(&found));
    }

    #[test]
    fn the_torn_end_of_the_last_segment_is_cut() {
        let (dir, path, bytes) = written(5);
        fs::write(&path, &bytes[..bytes.len() - 3]).unwrap();
        let (found, first) = loaded(dir.path());
        assert!(is_prefix(&found) && found.len() == 4);
        assert!(0 < first.torn_bytes && first.corrupt_files == 0);
        // What was cut is not found again.
        assert_eq!(loaded(dir.path()).1.torn_bytes, 0);
    }

    #[test]
    fn damage_in_the_middle_keeps_what_later_segments_hold() {
        let (dir, path, mut bytes) = written(20);
        let (log, _) = open(dir.path(), nothing());
        append(&log, &[record(20)]);
        drop(log);
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let (found, loaded) = loaded(dir.path());
        assert_eq!(loaded.corrupt_files, 1);
        assert!(found.contains(&record(20)) && found.contains(&record(0)));
        assert!(dir.path().join("wal-000000000001.corrupt").exists());
    }

    #[test]
    fn a_foreign_file_is_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir::wal_path(dir.path(), 3), b"something else").unwrap();
        fs::write(dir::snap_path(dir.path(), 3), b"something else").unwrap();
        let (log, found) = open(dir.path(), nothing());
        assert!(found.is_empty());
        assert_eq!(log.loaded().corrupt_files, 2);
        assert!(dir.path().join("snap-000000000003.corrupt").exists());
    }

    #[test]
    fn reserved_zeros_at_the_end_are_no_damage() {
        let (dir, path, mut bytes) = written(3);
        bytes.extend_from_slice(&[0; 10_000]);
        fs::write(&path, &bytes).unwrap();
        let (found, loaded) = loaded(dir.path());
        assert_eq!((found.len(), loaded.torn_bytes, loaded.corrupt_files), (3, 0, 0));
    }

    #[test]
    fn a_snapshot_replaces_the_segments_before_it() {
        let dir = tempfile::tempdir().unwrap();
        let source: Source = Arc::new(|visit| (0..11).for_each(|n| visit(record(n))));
        let mut most = 0;
        for start in 0..11 {
            let (log, _) = open(dir.path(), Arc::clone(&source));
            let many = SEGMENTS_MAX < dir::numbers(dir.path(), "wal-").unwrap().len();
            append(&log, &[record(start)]);
            if many {
                wait_for_snapshot(&log);
            }
            most = most.max(dir::numbers(dir.path(), "wal-").unwrap().len());
        }
        assert_eq!(most, SEGMENTS_MAX);
        let (found, loaded) = loaded(dir.path());
        assert_eq!(loaded.corrupt_files, 0);
        assert!((0..11).all(|n| found.contains(&record(n))));
    }

    fn wait_for_snapshot(log: &Log) {
        let until = mono::now() + Duration::from_secs(20);
        while log.facts().snapshots == 0 {
            assert!(mono::now() < until, "no snapshot");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_snapshot_without_footer_is_not_trusted_alone() {
        let (dir, path, bytes) = written(5);
        fs::write(dir::snap_path(dir.path(), 9), &bytes).unwrap();
        let (found, loaded) = loaded(dir.path());
        // Both are read: the segment is older than the snapshot claims to cover.
        assert_eq!((found.len(), loaded.corrupt_files), (10, 1));
        assert!(path.exists());
    }

    #[test]
    fn after_a_failed_sync_a_snapshot_makes_the_disk_whole() {
        let dir = tempfile::tempdir().unwrap();
        let source: Source = Arc::new(|visit| (0..3).for_each(|n| visit(record(n))));
        let (log, _) = open(dir.path(), source);
        append(&log, &[record(0)]);
        log.shared.fails.store(true, std::sync::atomic::Ordering::Relaxed);
        let (done, waiting) = mpsc::channel();
        let call = Box::new(move |ok| done.send(ok).unwrap());
        log.append(&record::encode(&[record(1)]), Some(Notice { stage: Stage::Synced, call }));
        assert!(!waiting.recv().unwrap());
        log.shared.fails.store(false, std::sync::atomic::Ordering::Relaxed);
        append(&log, &[record(2)]);
        wait_for_snapshot(&log);
        assert!(log.facts().healthy && log.facts().errors == 1);
        drop(log);
        let (found, _) = loaded(dir.path());
        assert!((0..3).all(|n| found.contains(&record(n))));
    }

    #[test]
    fn many_writers_share_syncs() {
        let dir = tempfile::tempdir().unwrap();
        let (log, _) = open(dir.path(), nothing());
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let log = &log;
                scope.spawn(move || {
                    for n in 0..50 {
                        append(log, &[record(thread * 1_000 + n)]);
                    }
                });
            }
        });
        let facts = log.facts();
        assert!(facts.syncs < 400, "{} syncs", facts.syncs);
        drop(log);
        assert_eq!(loaded(dir.path()).0.len(), 400);
    }
}
