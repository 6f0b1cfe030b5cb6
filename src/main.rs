//! The `tocsin` binary: reads the command line, starts logs, runs one mode, turns its end into an exit code.

mod amtool;
mod cli;
mod complete;
mod demo;
mod logging;
mod man;
mod migrate;
mod node;
mod secret;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use cli::{Mode, Refusal};

/// Measured with `tocsin lb`: 18.7 µs of CPU a request against 22.1 with the system's. Without huge pages, of which an
/// idle node would hold 15 MB.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    if let Some(words) = cli::amtool_words(&words) {
        return amtool::run(words.to_vec());
    }
    match cli::parse(words) {
        Ok(Mode::Node(flags)) => node::run(&flags),
        Ok(Mode::Lb(flags)) => lb(*flags),
        Ok(Mode::Amtool { words }) => amtool::run(words),
        Ok(Mode::Demo(flags)) => demo::run(flags),
        Ok(Mode::Migrate(flags)) => migrate::run(&flags),
        Ok(Mode::Secret(cli::SecretCommand::New)) => secret::new(),
        Err(Refusal::Text(text)) => {
            let _closed_pipe = std::io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(Refusal::Wrong(text)) => fail(&text),
    }
}

fn lb(flags: tocsin_lb::Flags) -> ExitCode {
    if flags.action.is_none() && !flags.config_check && !flags.upgrade {
        logging::start(logging::Format::default(), logging::Threshold::default());
    }
    match tocsin_lb::run(flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _code = fail(&format!("tocsin lb: error: {}\n", causes(&error)));
            ExitCode::from(error.exit_code())
        }
    }
}

/// Says why there is no run, where a log may not be set up yet.
fn fail(text: &str) -> ExitCode {
    let _closed_pipe = std::io::stderr().write_all(text.as_bytes());
    ExitCode::FAILURE
}

/// An error with its causes after colons.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
