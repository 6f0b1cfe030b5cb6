//! `amtool check-config` and `amtool config check`: every file, every mistake in it, with its place.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use tocsin_node::config::{self, Config};
use tocsin_node::message::Templates;

use super::cli::CheckConfigFlags;
use super::context::Context;
use super::failure::Failure;

/// Runs it.
pub(super) fn run(flags: &CheckConfigFlags, context: &Context<'_>) -> Result<(), Failure> {
    let mut files = flags.files.clone();
    if files.is_empty() {
        if std::io::stdin().is_terminal() {
            return Err("Failed to read from standard input".into());
        }
        files.push(PathBuf::from("/dev/stdin"));
    }
    let mut failed = 0;
    for file in &files {
        let (text, good) = check(file, context);
        context.console.print(&text)?;
        failed += usize::from(!good);
    }
    if failed > 0 {
        return Err(Failure::Why(format!("failed to validate {failed} file(s)")));
    }
    Ok(())
}

/// What is said of a file, and whether it is good.
fn check(file: &Path, context: &Context<'_>) -> (String, bool) {
    let mut text = format!("Checking '{}'", file.display());
    let config = match config::load_unshown(file, context.features) {
        Err(mistakes) => return (format!("{text}  FAILED: {mistakes}\n\n"), false),
        Ok(config) => config,
    };
    for warning in &config.warnings {
        warning.log();
    }
    text.push_str(&found(&config));
    let good = match config.templates.is_empty() {
        true => true,
        false => match Templates::load(&config.templates) {
            Ok(_) => {
                text.push_str("  SUCCESS\n");
                true
            }
            Err(error) => {
                text.push_str(&format!("  FAILED: {error}\n"));
                false
            }
        },
    };
    text.push('\n');
    (text, good)
}

fn found(config: &Config) -> String {
    format!(
        "  SUCCESS\nFound:\n - global config\n - route\n - {} inhibit rules\n - {} receivers\n - {} templates\n",
        config.inhibit.len(),
        config.receivers.len(),
        config.templates.len()
    )
}
