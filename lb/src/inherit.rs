//! What a process is given at its start: listening sockets from the service manager, or everything from the balancer that it
//! takes over from. The one place where descriptors without an owner become ours.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::net::TcpListener;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use crate::config::BindOptions;
use crate::listen;
use crate::sockets::Owner;

/// Set by a balancer for the process that takes over. Lines: its number; `ready FD`; `state FD`;
/// `FD`, frontend and bind, parted by tabs, with an empty frontend for the stats listener.
pub(crate) const VARIABLE: &str = "TOCSIN_LB_INHERIT";
/// Bytes of the state that are read.
const STATE_MAX: u64 = 64 << 20;

/// A listening socket from elsewhere.
#[derive(Debug)]
struct Socket {
    /// To whom it belonged, if a balancer gave it.
    owner: Option<Owner>,
    /// Its name, if the service manager gave it.
    name: Option<String>,
    listener: TcpListener,
}

/// What was given.
#[derive(Debug, Default)]
pub(crate) struct Inherited {
    sockets: Vec<Socket>,
    ready: Option<File>,
    state: Option<File>,
}

impl Inherited {
    /// Takes what the environment names; nothing for most processes. To be called once, before anything else opens a descriptor.
    /// # Errors
    /// When a descriptor is not what it is said to be.
    pub(crate) fn from_environment() -> std::io::Result<Self> {
        let parent = rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get());
        if let Ok(text) = std::env::var(VARIABLE)
            && let Some(given) = read(&text, parent)
        {
            return given.open();
        }
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let sockets = tocsin_service::systemd::listeners()?.into_iter().map(|listener| Socket {
            owner: None,
            name: names.next().map(str::to_owned),
            listener,
        });
        Ok(Inherited { sockets: sockets.collect(), ..Inherited::default() })
    }

    /// The sockets for `owner`: those that were its own, else those bound to its address, else those named after it.
    pub(crate) fn take(&mut self, owner: &Owner, bind: &BindOptions) -> Vec<TcpListener> {
        let own = self.drain(|s| s.owner.as_ref() == Some(owner));
        if !own.is_empty() {
            return own;
        }
        let there = self.drain(|s| s.listener.local_addr().is_ok_and(|a| listen::fits(bind, a)));
        if !there.is_empty() {
            return there;
        }
        let name = owner.frontend.as_deref().unwrap_or("stats");
        self.drain(|s| s.owner.is_none() && s.name.as_deref() == Some(name))
    }

    fn drain(&mut self, wanted: impl Fn(&Socket) -> bool) -> Vec<TcpListener> {
        let (found, rest) = self.sockets.drain(..).partition(wanted);
        self.sockets = rest;
        let found: Vec<Socket> = found;
        found.into_iter().map(|s| s.listener).collect()
    }

    /// Sockets that nobody wanted are closed; says which.
    pub(crate) fn forget(&mut self) -> Vec<String> {
        let address = |s: Socket| s.listener.local_addr().map_or("?".to_owned(), |a| a.to_string());
        self.sockets.drain(..).map(address).collect()
    }

    /// What the balancer before knew, if there was one.
    pub(crate) fn state(&mut self) -> Option<serde_json::Value> {
        let mut file = self.state.take()?;
        let mut text = Vec::new();
        file.rewind().ok()?;
        file.take(STATE_MAX).read_to_end(&mut text).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Tells the balancer before that clients are served here now.
    pub(crate) fn ready(&mut self) {
        if let Some(mut file) = self.ready.take() {
            // If it has gone, nobody waits.
            let _ = file.write_all(b"1");
        }
    }
}

/// Numbers of descriptors, as the variable tells them.
#[derive(Debug, Default, PartialEq, Eq)]
struct Given {
    ready: Option<RawFd>,
    state: Option<RawFd>,
    sockets: Vec<(RawFd, Owner)>,
}

/// Reads the variable, if it was set by `parent` for this process.
fn read(text: &str, parent: i32) -> Option<Given> {
    let mut lines = text.lines();
    if lines.next()?.parse::<i32>().ok()? != parent {
        return None;
    }
    let mut given = Given::default();
    for line in lines {
        let parts: Vec<_> = line.split('\t').collect();
        match parts.as_slice() {
            ["ready", fd] => given.ready = Some(fd.parse().ok()?),
            ["state", fd] => given.state = Some(fd.parse().ok()?),
            [fd, frontend, bind] => {
                let frontend = Some((*frontend).to_owned()).filter(|f| !f.is_empty());
                let owner = Owner { frontend, bind: (*bind).to_owned() };
                given.sockets.push((fd.parse().ok()?, owner));
            }
            _ => return None,
        }
    }
    Some(given)
}

/// The text of the variable for descriptors that a child inherits.
pub(crate) fn write(ready: RawFd, state: RawFd, sockets: &[(RawFd, &Owner)]) -> String {
    let mut text = format!("{}\nready\t{ready}\nstate\t{state}\n", std::process::id());
    for (fd, owner) in sockets {
        let frontend = owner.frontend.as_deref().unwrap_or_default();
        text.push_str(&format!("{fd}\t{frontend}\t{}\n", owner.bind));
    }
    text
}

impl Given {
    fn open(self) -> std::io::Result<Inherited> {
        let mut sockets = Vec::new();
        for (fd, owner) in self.sockets {
            let listener = TcpListener::from(own(fd)?);
            listener.local_addr()?;
            listener.set_nonblocking(true)?;
            sockets.push(Socket { owner: Some(owner), name: None, listener });
        }
        let file = |fd: Option<RawFd>| fd.map(|fd| own(fd).map(File::from)).transpose();
        Ok(Inherited { sockets, ready: file(self.ready)?, state: file(self.state)? })
    }
}

/// Takes over a descriptor that the process was started with.
fn own(fd: RawFd) -> std::io::Result<OwnedFd> {
    if fd < 3 {
        return Err(std::io::Error::from(std::io::ErrorKind::InvalidInput));
    }
    #[expect(unsafe_code, reason = "an inherited descriptor has no owner yet")]
    // SAFETY: our parent, named in the variable, opened this number for us and for nothing else; it is taken once, at the
    // start, before anything else could have been given the number.
    let owned = unsafe { OwnedFd::from_raw_fd(fd) };
    rustix::io::fcntl_setfd(&owned, rustix::io::FdFlags::CLOEXEC)?;
    Ok(owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_by_the_child_alone() {
        let owner = |frontend: Option<&str>, bind: &str| Owner {
            frontend: frontend.map(str::to_owned),
            bind: bind.to_owned(),
        };
        let (a, b) = (owner(Some("f"), "*:9093"), owner(None, "[::]:8404"));
        let text = write(7, 8, &[(9, &a), (10, &b)]);
        let own = i32::try_from(std::process::id()).unwrap();
        let given = Given { ready: Some(7), state: Some(8), sockets: vec![(9, a), (10, b)] };
        assert_eq!(read(&text, own), Some(given));
        assert_eq!(read(&text, own + 1), None);
        assert_eq!(read("", own), None);
        assert_eq!(read(&format!("{own}\nready\tx\n"), own), None);
    }

    #[test]
    fn sockets_go_to_their_owner_then_by_address_then_by_name() {
        let socket = |owner, name: Option<&str>| Socket {
            owner,
            name: name.map(str::to_owned),
            listener: TcpListener::bind("127.0.0.1:0").unwrap(),
        };
        let owner = |bind: &str| Owner { frontend: Some("f".into()), bind: bind.to_owned() };
        let named = socket(None, Some("f"));
        let there = socket(None, Some("x"));
        let address = there.listener.local_addr().unwrap().to_string();
        let mut given = Inherited {
            sockets: vec![
                socket(Some(owner("*:1")), None),
                socket(Some(owner("*:1")), None),
                named,
                there,
            ],
            ..Inherited::default()
        };
        let mut take = |bind: &str| given.take(&owner(bind), &BindOptions::new(bind)).len();
        assert_eq!((take("*:1"), take("*:1")), (2, 1));
        assert_eq!((take(&address), take(&address)), (1, 0));
        assert!(given.forget().is_empty());
    }
}
