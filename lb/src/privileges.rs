//! Rights that are given up once the sockets are bound: the file system, root's identity, any way back.

use std::io;
use std::path::Path;

use rustix::fs::{Gid, Uid};

use crate::LbError;
use crate::config::Global;

/// Whom a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    user: Option<u32>,
    group: Option<u32>,
}

/// Confines the process as configured. Nothing happens where it was not started as root; must come before the first thread.
/// # Errors
/// [`LbError::Identity`] for a name that is not known, [`LbError::Privileges`] for what the system refuses.
pub(crate) fn drop(global: &Global) -> Result<(), LbError> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let wanted = identity(global)?;
    if wanted == (Identity { user: None, group: None }) && global.chroot.is_none() {
        return Ok(());
    }
    confine(global.chroot.as_deref(), wanted).map_err(LbError::Privileges)
}

/// Checks the names, where they matter.
/// # Errors
/// As [`drop`].
pub(crate) fn check(global: &Global) -> Result<(), LbError> {
    match rustix::process::geteuid().is_root() {
        true => identity(global).map(|_| ()),
        // Nothing will come of them.
        false => Ok(()),
    }
}

fn identity(global: &Global) -> Result<Identity, LbError> {
    let unknown = |name: &str| LbError::Identity { name: name.to_owned() };
    let user =
        global.user.as_deref().map(|name| entry("/etc/passwd", name).ok_or_else(|| unknown(name)));
    let user = user.transpose()?;
    let group = global.group.as_deref().map(|name| match entry("/etc/group", name) {
        Some((id, _)) => Ok(id),
        None => Err(unknown(name)),
    });
    // A user's own group goes with it.
    let group = group.transpose()?.or(user.and_then(|(_, group)| group));
    Ok(Identity { user: user.map(|(id, _)| id), group })
}

/// Number of a name in `passwd` or `group`, with the number after it; a number stands for itself.
fn entry(file: &str, name: &str) -> Option<(u32, Option<u32>)> {
    if let Ok(number) = name.parse() {
        return Some((number, None));
    }
    let text = std::fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| {
        let mut parts = line.split(':');
        let known = parts.next() == Some(name);
        let mut rest = parts.skip(1);
        let id = rest.next()?.parse().ok()?;
        known.then(|| (id, rest.next().and_then(|g| g.parse().ok())))
    })
}

fn confine(directory: Option<&Path>, wanted: Identity) -> io::Result<()> {
    // The calls below change one thread only; those that come later inherit from it.
    if std::fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::other("threads are running already"));
    }
    if let Some(directory) = directory {
        rustix::process::chroot(directory)?;
        rustix::process::chdir("/")?;
    }
    if let Some(group) = wanted.group {
        let group = Gid::from_raw(group);
        rustix::thread::set_thread_groups(&[group])?;
        rustix::thread::set_thread_res_gid(group, group, group)?;
    }
    if let Some(user) = wanted.user {
        let user = Uid::from_raw(user);
        rustix::thread::set_thread_res_uid(user, user, user)?;
    }
    rustix::thread::set_no_new_privs(true)?;
    Ok(())
}

/// Gives a file to `USER`, `USER:GROUP` or `:GROUP`.
/// # Errors
/// For a name that is not known, or what the system refuses.
pub(crate) fn give(path: &Path, owner: &str) -> io::Result<()> {
    let (user, group) = owner.split_once(':').unwrap_or((owner, ""));
    let find = |file: &str, name: &str| match name {
        "" => Ok(None),
        name => entry(file, name)
            .map(|(id, _)| Some(id))
            .ok_or_else(|| io::Error::other(format!("nobody is called {name:?}"))),
    };
    let (user, group) = (find("/etc/passwd", user)?, find("/etc/group", group)?);
    std::os::unix::fs::chown(path, user, group)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn global(user: Option<&str>, group: Option<&str>) -> Global {
        let text = |t: Option<&str>| t.map(str::to_owned);
        Global { user: text(user), group: text(group), ..Global::default() }
    }

    #[test]
    fn names_and_numbers_are_found() {
        let of = |user, group| identity(&global(user, group)).ok();
        assert_eq!(of(None, None), Some(Identity { user: None, group: None }));
        assert_eq!(of(Some("root"), None), Some(Identity { user: Some(0), group: Some(0) }));
        assert_eq!(
            of(Some("1234"), Some("root")),
            Some(Identity { user: Some(1234), group: Some(0) })
        );
        let error = identity(&global(Some("nobody-at-all"), None)).unwrap_err();
        assert_eq!(error.to_string(), "nobody is called \"nobody-at-all\"");
        assert!(of(None, Some("no-such-group")).is_none());
    }
}
