//! `--watch`: the same question again and again, for what people would write a loop.

use super::cli::WatchFlags;
use super::context::Context;
use super::failure::Failure;

/// Clears a terminal and goes to its first line.
const CLEAR: &str = "\x1b[H\x1b[2J\x1b[3J";

/// Prints the answer once, or for as long as the user watches. Then a failure is told and the next answer awaited.
/// In a pipe only answers that differ from the one before are printed.
pub(super) async fn show(
    flags: WatchFlags,
    context: &Context<'_>,
    ask: impl AsyncFn() -> Result<String, Failure>,
) -> Result<(), Failure> {
    if !flags.watch {
        return context.console.print(&ask().await?);
    }
    let mut before = None;
    let mut ticks = tokio::time::interval(flags.interval);
    loop {
        ticks.tick().await;
        match tokio::time::timeout(context.timeout(), ask()).await {
            Ok(Ok(text)) if before.as_ref() == Some(&text) => {}
            Ok(Ok(text)) => {
                if context.console.colour() {
                    context.console.print(CLEAR)?;
                }
                context.console.print(&text)?;
                before = Some(text);
            }
            Ok(Err(Failure::Why(why))) => context.console.tell(&format!("amtool: error: {why}")),
            Ok(Err(Failure::Told)) => return Err(Failure::Told),
            Err(_) => context.console.tell("amtool: error: context deadline exceeded"),
        }
    }
}
