//! Where migrated files go: each is written whole or not at all, what was there is kept, and a journal takes it back.

use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, chown};
use std::path::{Path, PathBuf};

use super::say;

/// Holds `new PATH` and `file PATH BACKUP`, tabs between, the path as below the root.
const JOURNAL: &str = "/var/lib/tocsin-setup/migrate";

/// The host that is written to.
#[derive(Debug)]
pub(super) struct Target {
    root: PathBuf,
    only_looks: bool,
    /// User and group of the service, where they exist already.
    owner: Option<(u32, u32)>,
}

impl Target {
    /// The host below a root.
    /// # Errors
    /// When the root is none.
    pub(super) fn open(root: &Path, only_looks: bool) -> Result<Self, String> {
        if !root.is_dir() {
            return Err(format!("{}: no such directory", root.display()));
        }
        Ok(Self { root: root.to_owned(), only_looks, owner: owner(root) })
    }

    pub(super) fn only_looks(&self) -> bool {
        self.only_looks
    }

    /// The group that may read settings.
    pub(super) fn group(&self) -> Option<u32> {
        self.owner.map(|(_, group)| group)
    }

    pub(super) fn below_root(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// The file of a unit's flags: the one of the family that is installed.
    pub(super) fn environment_file(&self, unit: &str) -> String {
        let rpm = format!("/etc/sysconfig/{unit}");
        let is_rpm = self.below_root(&rpm).exists()
            || self.below_root("/etc/sysconfig").is_dir()
                && !self.below_root("/etc/default").is_dir();
        if is_rpm { rpm } else { format!("/etc/default/{unit}") }
    }

    /// Settings: for root and the service's group.
    /// # Errors
    /// Why it cannot be written.
    pub(super) fn write(
        &self,
        path: &str,
        bytes: &[u8],
        from: Option<&Path>,
    ) -> Result<(), String> {
        let owner = self.owner.map(|(_, group)| (0, group));
        let mode = if path.starts_with("/etc/tocsin/") { 0o640 } else { 0o644 };
        let from = from.map(|from| format!(" from {}", from.display())).unwrap_or_default();
        self.put(path, bytes, mode, owner.filter(|_| mode == 0o640), &from)
    }

    /// State: the service's own.
    /// # Errors
    /// Why it cannot be written.
    pub(super) fn write_state(&self, path: &str, bytes: &[u8]) -> Result<(), String> {
        self.put(path, bytes, 0o600, self.owner, "")
    }

    fn put(
        &self,
        path: &str,
        bytes: &[u8],
        mode: u32,
        owner: Option<(u32, u32)>,
        from: &str,
    ) -> Result<(), String> {
        let place = self.below_root(path);
        if std::fs::read(&place).is_ok_and(|there| there == bytes) {
            say(&format!("  {path} is so already"));
            return Ok(());
        }
        if self.only_looks {
            say(&format!("  would write {path}{from}"));
            return Ok(());
        }
        self.replace(&place, path, bytes, mode, owner)
            .map_err(|error| format!("{}: {error}", place.display()))?;
        say(&format!("  {path} written{from}"));
        Ok(())
    }

    fn replace(
        &self,
        place: &Path,
        path: &str,
        bytes: &[u8],
        mode: u32,
        owner: Option<(u32, u32)>,
    ) -> std::io::Result<()> {
        let directory = place.parent().unwrap_or(&self.root);
        if !directory.exists() {
            std::fs::create_dir_all(directory)?;
            give(directory, owner)?;
        }
        let fresh = beside(place, ".new");
        let _left_over = std::fs::remove_file(&fresh);
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(mode).open(&fresh)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        give(&fresh, owner)?;
        if place.exists() {
            let stamp = jiff::Timestamp::now().strftime("%Y%m%d%H%M%S");
            let kept = format!("{path}.bak-{stamp}");
            std::fs::hard_link(place, self.below_root(&kept))?;
            self.note(&format!("file\t{path}\t{kept}"))?;
        } else {
            self.note(&format!("new\t{path}"))?;
        }
        std::fs::rename(&fresh, place)
    }

    fn note(&self, line: &str) -> std::io::Result<()> {
        let journal = self.below_root(JOURNAL);
        std::fs::create_dir_all(journal.parent().unwrap_or(&self.root))?;
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(journal)?;
        writeln!(file, "{line}")?;
        file.sync_all()
    }

    /// Takes back everything that was written, the last first; answers how many files.
    /// # Errors
    /// What cannot be taken back; it can be tried again.
    pub(super) fn undo(&self) -> Result<usize, String> {
        let journal = self.below_root(JOURNAL);
        let Ok(text) = std::fs::read_to_string(&journal) else { return Ok(0) };
        let mut count = 0;
        for line in text.lines().rev() {
            let words: Vec<&str> = line.split('\t').collect();
            let done = match words[..] {
                ["new", path] => gone(std::fs::remove_file(self.below_root(path))),
                ["file", path, kept] => {
                    gone(std::fs::rename(self.below_root(kept), self.below_root(path)))
                }
                _ => Err(std::io::Error::other("not understood")),
            };
            done.map_err(|error| format!("{line:?}: {error}"))?;
            count += 1;
        }
        std::fs::remove_file(&journal).map_err(|error| error.to_string())?;
        Ok(count)
    }
}

/// What is not there needs no undoing.
fn gone(done: std::io::Result<()>) -> std::io::Result<()> {
    match done {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn give(path: &Path, owner: Option<(u32, u32)>) -> std::io::Result<()> {
    match owner {
        Some((user, group)) if rustix::process::geteuid().is_root() => {
            chown(path, Some(user), Some(group))
        }
        _ => Ok(()),
    }
}

/// User and group `tocsin` by the host's own files.
fn owner(root: &Path) -> Option<(u32, u32)> {
    let text = std::fs::read_to_string(root.join("etc/passwd")).ok()?;
    let line = text.lines().find(|line| line.starts_with("tocsin:"))?;
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}
