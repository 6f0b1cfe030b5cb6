//! `amtool silence add`: posts a silence, or shows what it would silence.

use super::{check_order, end_after};
use crate::amtool::alert::query::{States, ask};
use crate::amtool::cli::SilenceAddFlags;
use crate::amtool::context::Context;
use crate::amtool::failure::Failure;
use crate::amtool::fields::{matchers, pairs, with_alert_name};
use crate::amtool::moment::Moment;
use crate::amtool::wire::{PostedSilence, Stored, Terms};

/// Runs it.
pub(in crate::amtool) async fn run(
    flags: SilenceAddFlags,
    context: &Context<'_>,
) -> Result<(), Failure> {
    let client = context.client().await?;
    let words = with_alert_name(flags.matchers.clone(), context);
    let terms = terms(&flags, &words, context)?;
    if flags.dry_run {
        let alerts = ask(&client, &States::ALL, None, &words, context).await?;
        return context.console.print(&alerts);
    }
    if terms.comment.is_empty() && !flags.no_require_comment {
        return Err("comment required by config".into());
    }
    let answer = client.post("/silences", &PostedSilence { id: "", terms: &terms }).await?;
    let stored: Stored = client.parse("/silences", &answer)?;
    context.console.print(&format!("{}\n", stored.silence_id))
}

fn terms(
    flags: &SilenceAddFlags,
    words: &[String],
    context: &Context<'_>,
) -> Result<Terms, Failure> {
    let matchers = matchers(words, context)?;
    if matchers.is_empty() {
        return Err("no matchers specified".into());
    }
    let starts_at = match flags.start.as_str() {
        "" => context.now().into(),
        start => Moment::parse(start)?,
    };
    let ends_at = match flags.end.as_str() {
        "" => end_after(&starts_at, &flags.duration)?,
        end => Moment::parse(end)?,
    };
    let terms = Terms {
        annotations: pairs(&flags.annotation, "annotations", context)?,
        comment: flags.comment.clone(),
        created_by: flags.author.clone().unwrap_or_else(login_name),
        ends_at,
        matchers: matchers.iter().map(Into::into).collect(),
        starts_at,
    };
    check_order(&terms)?;
    Ok(terms)
}

/// The name of the user who runs this; empty when nobody knows it.
fn login_name() -> String {
    let uid = rustix::process::getuid().as_raw().to_string();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    });
    name.or_else(|| std::env::var("USER").ok()).unwrap_or_default()
}
