//! `amtool alert add`: posts one alert.

use crate::amtool::cli::AlertAddFlags;
use crate::amtool::context::Context;
use crate::amtool::failure::Failure;
use crate::amtool::fields::{pairs, with_alert_name_label};
use crate::amtool::moment::Moment;
use crate::amtool::wire::PostedAlert;

/// Runs it.
pub(in crate::amtool) async fn run(
    flags: AlertAddFlags,
    context: &Context<'_>,
) -> Result<(), Failure> {
    let client = context.client().await?;
    let words = with_alert_name_label(flags.labels, context);
    let alert = PostedAlert {
        labels: pairs(&words, "labels", context)?,
        annotations: pairs(&flags.annotation, "annotations", context)?,
        starts_at: time(&flags.start)?,
        ends_at: time(&flags.end)?,
        generator_url: flags.generator_url,
    };
    client.post("/alerts", &[alert]).await.map(|_| ())
}

/// RFC 3339, or nothing.
fn time(text: &str) -> Result<Option<Moment>, String> {
    if text.is_empty() { Ok(None) } else { Moment::parse(text).map(Some) }
}
