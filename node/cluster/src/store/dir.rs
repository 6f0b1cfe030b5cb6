//! The data directory: its lock, this node's id and generation, and which files are there.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use super::StoreError;

/// Holds the directory against a second process until dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Makes the directory and locks it.
    /// # Errors
    /// [`StoreError::Locked`] when another process has it.
    pub(crate) fn take(dir: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(dir).map_err(StoreError::io(dir))?;
        let path = dir.join("lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(StoreError::io(&path))?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { _file: file }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(StoreError::Locked { path }),
            Err(error) => Err(StoreError::Io { path, source: error.into() }),
        }
    }
}

/// Who this node is, over restarts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) id: String,
    /// Rises with every start.
    pub(crate) generation: u64,
}

impl Identity {
    /// Reads the stored identity, raises its generation to at least `now_ms` and stores it. `name` replaces the stored id.
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn next(dir: &Path, name: Option<&str>, now_ms: u64) -> Result<Self, StoreError> {
        let path = dir.join("node");
        let stored = fs::read_to_string(&path).unwrap_or_default();
        let mut lines = stored.lines();
        let id = lines.next().filter(|id| !id.is_empty());
        let generation: u64 = lines.next().and_then(|line| line.parse().ok()).unwrap_or(0);
        let identity = Self {
            id: name.or(id).map_or_else(|| random_id(now_ms), str::to_owned),
            generation: now_ms.max(generation.saturating_add(1)),
        };
        let text = format!("{}\n{}\n", identity.id, identity.generation);
        replace(&path, text.as_bytes()).map_err(StoreError::io(&path))?;
        Ok(identity)
    }

    /// An identity that lives as long as the process.
    pub(crate) fn unstored(name: Option<&str>, now_ms: u64) -> Self {
        let id = name.map_or_else(|| random_id(now_ms), str::to_owned);
        Self { id, generation: now_ms.max(1) }
    }
}

/// A new ULID, as upstream's: 48 bits of time and 80 random ones in Crockford's base 32.
fn random_id(now_ms: u64) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let mut random = [0; 16];
    // Without randomness the time alone must do; names are also checked for conflicts at the handshake.
    let _ = getrandom::fill(&mut random);
    let low = u128::from_be_bytes(random) & ((1 << 80) - 1);
    let value = (u128::from(now_ms) << 80) | low;
    let digit = |place: u32| {
        let index = usize::try_from((value >> (5 * place)) & 31).unwrap_or(0);
        char::from(ALPHABET[index])
    };
    (0..26).rev().map(digit).collect()
}

/// Writes a small file so that it is either the old or the new one.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let tmp = path.with_extension("tmp");
    let mut file = File::create(&tmp)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&tmp, path)?;
    sync_dir(path.parent().unwrap_or(Path::new(".")))
}

/// Makes renames and creations in `dir` survive power loss.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Path of a log segment.
pub(crate) fn wal_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("wal-{number:012}"))
}

/// Path of the snapshot that holds all that segments below `number` held.
pub(crate) fn snap_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("snap-{number:012}"))
}

/// Numbers of the files `<prefix><number>` in `dir`, rising.
/// # Errors
/// When the directory cannot be read.
pub(crate) fn numbers(dir: &Path, prefix: &str) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let digits = name.to_str().and_then(|name| name.strip_prefix(prefix));
        numbers.extend(digits.and_then(|digits| digits.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Sets a damaged file aside under a name that is never read again.
pub(crate) fn set_aside(path: &Path) {
    let mut name = path.as_os_str().to_owned();
    name.push(".corrupt");
    // Best effort: if even this fails the file is read, and found damaged, again next time.
    let _ = fs::rename(path, PathBuf::from(name));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_keeps_its_id_and_raises_its_generation() {
        let dir = tempfile::tempdir().unwrap();
        let first = Identity::next(dir.path(), None, 1_000).unwrap();
        assert_eq!(first.id.len(), 26);
        let second = Identity::next(dir.path(), None, 1_000).unwrap();
        assert_eq!((second.id, second.generation), (first.id, 1_001));
        assert_eq!(Identity::next(dir.path(), Some("a"), 2_000).unwrap().id, "a");
    }

    #[test]
    fn a_directory_has_one_user() {
        let dir = tempfile::tempdir().unwrap();
        let lock = Lock::take(dir.path()).unwrap();
        assert!(matches!(Lock::take(dir.path()), Err(StoreError::Locked { .. })));
        drop(lock);
        assert!(Lock::take(dir.path()).is_ok());
    }
}
