//! Standard output and standard error, and whether a person looks at them.

use std::io::{IsTerminal as _, Write as _};

use super::failure::Failure;

/// Where answers and notes go.
#[derive(Debug)]
pub(super) struct Console {
    colour: bool,
}

impl Console {
    /// Colours are for terminals whose user has not said `NO_COLOR`.
    pub(super) fn new() -> Self {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        Self { colour: std::io::stdout().is_terminal() && !dumb && !set("NO_COLOR") }
    }

    /// Whether colours may be used on standard output.
    pub(super) fn colour(&self) -> bool {
        self.colour
    }

    /// Writes the text as it is to standard output.
    /// # Errors
    /// When it cannot be written; silent when the reader of a pipe has gone.
    pub(super) fn print(&self, text: &str) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Err(Failure::Told),
            Err(error) => Err(Failure::Why(format!("write to standard output: {error}"))),
        }
    }

    /// Writes a line to standard error.
    pub(super) fn tell(&self, line: &str) {
        let _nowhere_else_to_say_it =
            writeln!(std::io::stderr(), "{}", line.trim_end_matches('\n'));
    }
}
