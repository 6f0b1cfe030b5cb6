//! A new process takes over: it is started with the listening sockets and with what is known of servers, and says when it serves.
//! Until then the old one goes on; a new one that fails changes nothing.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use rustix::fs::{MemfdFlags, SealFlags};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, Command};

use crate::balancer::Balancer;
use crate::{inherit, state};

/// Longest wait for the new process.
const LIMIT: Duration = Duration::from_secs(10);

/// Why nobody took over.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandoverError {
    /// One is under way.
    #[error("a handover is under way already")]
    Busy,
    /// It would end the container.
    #[error("the first process of a container cannot hand over: it would end with it")]
    First,
    /// There is no program there.
    #[error("nothing can be started from within a chroot")]
    Confined,
    /// The system refused something.
    #[error("the new process cannot be started: {0}")]
    System(#[from] std::io::Error),
    /// It ended, or did not serve in time.
    #[error("the new process did not serve: {0}")]
    Failed(&'static str),
}

/// Starts a new process and waits until it serves. Returns its number; this process has then to stop accepting.
/// # Errors
/// [`HandoverError`]: nothing has changed.
pub(crate) async fn start(lb: &Arc<Balancer>, who: &str) -> Result<u32, HandoverError> {
    if lb.handing_over.swap(true, SeqCst) {
        return Err(HandoverError::Busy);
    }
    let result = attempt(lb).await;
    match &result {
        Ok(pid) => {
            tracing::info!(pid, "another process has taken over");
            lb.event(who, format!("process {pid} has taken over"));
        }
        Err(error) => {
            lb.handing_over.store(false, SeqCst);
            tracing::error!(error = %error, "nobody took over");
            lb.event(who, format!("nobody took over: {error}"));
        }
    }
    result
}

async fn attempt(lb: &Arc<Balancer>) -> Result<u32, HandoverError> {
    if std::process::id() == 1 {
        return Err(HandoverError::First);
    }
    if lb.topology.load().config.global.chroot.is_some() && lb.is_service {
        return Err(HandoverError::Confined);
    }
    let (ready, says_ready) = std::io::pipe()?;
    let mut ready = Receiver::from_owned_fd(ready.into())?;
    let mut child = spawn(lb, says_ready.as_fd())?;
    drop(says_ready);
    let mut byte = [0];
    let waited = tokio::time::timeout(LIMIT, ready.read_exact(&mut byte)).await;
    let why = match waited {
        Ok(Ok(_)) => {
            let pid = child.id().ok_or(HandoverError::Failed("it has ended"))?;
            return Ok(pid);
        }
        Ok(Err(_)) => "it has ended, its log says why",
        Err(_) => "it took longer than 10 seconds",
    };
    let _ = child.kill().await;
    Err(HandoverError::Failed(why))
}

/// Starts the program again with copies of all sockets; the copies here are closed on return.
fn spawn(lb: &Balancer, ready: impl AsFd) -> Result<Child, HandoverError> {
    let owned = lb.sockets.copies()?;
    // A copy made by `dup` stays open in the child, unlike the original.
    let sockets = owned.iter().map(|(owner, socket)| Ok((owner, rustix::io::dup(socket)?)));
    let sockets: Vec<(_, OwnedFd)> = sockets.collect::<Result<_, std::io::Error>>()?;
    let ready = rustix::io::dup(ready).map_err(std::io::Error::from)?;
    let memory = rustix::io::dup(sealed(&state::of(lb).to_string())?);
    let memory = memory.map_err(std::io::Error::from)?;
    let numbers: Vec<_> = sockets.iter().map(|(owner, fd)| (fd.as_raw_fd(), *owner)).collect();
    let given = inherit::write(ready.as_raw_fd(), memory.as_raw_fd(), &numbers);
    let mut command = Command::new(&lb.program);
    command.args(std::env::args_os().skip(1)).env(inherit::VARIABLE, given).stdin(Stdio::null());
    for name in ["WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"] {
        command.env_remove(name);
    }
    Ok(command.spawn()?)
}

/// A file in memory that nobody can change any more.
fn sealed(text: &str) -> std::io::Result<File> {
    let flags = MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::memfd_create("tocsin-lb-state", flags)?);
    file.write_all(text.as_bytes())?;
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    rustix::fs::fcntl_add_seals(&file, seals)?;
    Ok(file)
}
