//! `tocsin lb --upgrade`: asks the running balancer to let a new process take over, and tells how that went.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::LbError;
use crate::config::Config;

/// The new process has ten seconds; some more for the answer.
const LIMIT: Duration = Duration::from_secs(15);

/// Asks on the admin socket that `config` names.
/// # Errors
/// [`LbError::Handover`] with the balancer's own words, or why it cannot be asked.
pub(crate) fn ask(config: &Config) -> Result<(), LbError> {
    let Some(socket) = &config.admin_socket else {
        return Err(LbError::Handover("there is no admin socket: send SIGUSR2".to_owned()));
    };
    let asked = exchange(&socket.path);
    let answer = asked.map_err(|source| LbError::File { path: socket.path.clone(), source })?;
    match answer.trim() {
        "" => Ok(()),
        why => Err(LbError::Handover(why.to_owned())),
    }
}

fn exchange(path: &std::path::Path) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.write_all(b"upgrade\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
