//! The balancer alone, without the rest of the binary: for measurements.

use std::process::ExitCode;

use clap::Parser;

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    flags: tocsin_lb::Flags,
}

fn main() -> ExitCode {
    match tocsin_lb::run(Command::parse().flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let code = error.exit_code();
            let cause = std::error::Error::source(&error).map(|c| format!(": {c}"));
            #[expect(clippy::print_stderr, reason = "the one line that says why it ends")]
            {
                eprintln!("{error}{}", cause.unwrap_or_default());
            }
            ExitCode::from(code)
        }
    }
}
