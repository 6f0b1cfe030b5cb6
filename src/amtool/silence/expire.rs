//! `amtool silence expire`: ends silences now.

use crate::amtool::cli::SilenceExpireFlags;
use crate::amtool::context::Context;
use crate::amtool::failure::Failure;

/// Runs it; the first failure ends it.
pub(in crate::amtool) async fn run(
    flags: &SilenceExpireFlags,
    context: &Context<'_>,
) -> Result<(), Failure> {
    if flags.ids.is_empty() {
        return Err("no silence IDs specified".into());
    }
    let client = context.client().await?;
    for id in &flags.ids {
        client.delete(&format!("/silence/{}", super::segment(id)?)).await?;
    }
    Ok(())
}
