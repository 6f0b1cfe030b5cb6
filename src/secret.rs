//! `tocsin secret new`: makes a secret for `--cluster.secret-file`.

use std::io::Write as _;
use std::process::ExitCode;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::fail;

/// As long as the key that is derived from it.
const SECRET_BYTES: usize = 32;

/// Prints one secret on a line of its own, ready for a file.
pub(crate) fn new() -> ExitCode {
    let mut secret = [0; SECRET_BYTES];
    if let Err(error) = getrandom::fill(&mut secret) {
        return fail(&format!("tocsin secret: error: the system gives no random bytes: {error}\n"));
    }
    match writeln!(std::io::stdout(), "{}", STANDARD.encode(secret)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("tocsin secret: error: {error}\n")),
    }
}
