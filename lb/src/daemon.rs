//! Going to the background: the program starts itself again, detached, and waits until that one has bound its sockets.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use crate::LbError;

/// Set in the environment of the one in the background.
const VARIABLE: &str = "TOCSIN_LB_BACKGROUND";
/// Said by it once its sockets are bound.
const READY: &str = "ready";

/// Whether this is the one in the background.
pub(crate) fn is_background() -> bool {
    std::env::var_os(VARIABLE).is_some()
}

/// Starts the same command in the background and waits until it is ready.
/// # Errors
/// [`LbError::Start`] when it ends before; it has said why.
pub(crate) fn start() -> Result<(), LbError> {
    let program = std::env::current_exe().map_err(LbError::Start)?;
    let mut child = Command::new(program)
        .args(std::env::args_os().skip(1))
        .env(VARIABLE, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(LbError::Start)?;
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout).read_line(&mut line).map_err(LbError::Start)?;
    }
    if line.trim_end() == READY {
        return Ok(());
    }
    let ended = child.wait().map_err(LbError::Start)?;
    Err(LbError::Start(std::io::Error::other(format!("the process in the background: {ended}"))))
}

/// Tells the one that waits, then lets go of the terminal.
/// # Errors
/// [`LbError::Start`] when that is not possible.
pub(crate) fn detach() -> Result<(), LbError> {
    // It may be a session's leader already; then there is nothing to leave.
    let _ = rustix::process::setsid();
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{READY}").and_then(|()| stdout.flush()).map_err(LbError::Start)?;
    let null = OpenOptions::new().write(true).open("/dev/null").map_err(LbError::Start)?;
    rustix::stdio::dup2_stdout(&null)
        .and_then(|()| rustix::stdio::dup2_stderr(&null))
        .map_err(|errno| LbError::Start(errno.into()))
}
