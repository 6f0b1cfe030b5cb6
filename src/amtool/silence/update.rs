//! `amtool silence update`: reads silences, changes them, posts them back.

use super::{check_order, end_after, segment};
use crate::amtool::cli::{Output, SilenceUpdateFlags};
use crate::amtool::context::Context;
use crate::amtool::failure::Failure;
use crate::amtool::moment::Moment;
use crate::amtool::wire::{PostedSilence, Silence, Stored, Terms, go_json};

/// Runs it; the first failure ends it.
pub(in crate::amtool) async fn run(
    flags: &SilenceUpdateFlags,
    context: &Context<'_>,
) -> Result<(), Failure> {
    if flags.ids.is_empty() {
        return Err("no silence IDs specified".into());
    }
    let client = context.client().await?;
    let mut updated = Vec::with_capacity(flags.ids.len());
    for id in &flags.ids {
        let mut silence: Silence = client.read(&format!("/silence/{}", segment(id)?), &[]).await?;
        change(&mut silence.terms, flags)?;
        let posted = PostedSilence { id: &silence.id, terms: &silence.terms };
        let stored: Stored =
            client.parse("/silences", &client.post("/silences", &posted).await?)?;
        silence.id = stored.silence_id;
        updated.push(silence);
    }
    let text = if flags.quiet {
        updated.iter().map(|silence| format!("{}\n", silence.id)).collect()
    } else if context.output() == Output::Json {
        go_json(&updated).map_err(Failure::why)?
    } else {
        super::query::table(updated, context)?
    };
    context.console.print(&text)
}

fn change(terms: &mut Terms, flags: &SilenceUpdateFlags) -> Result<(), Failure> {
    if !flags.start.is_empty() {
        terms.starts_at = Moment::parse(&flags.start)?;
    }
    if !flags.end.is_empty() {
        terms.ends_at = Moment::parse(&flags.end)?;
    } else if !flags.duration.is_empty() {
        terms.ends_at = end_after(&terms.starts_at, &flags.duration)?;
    }
    if !flags.comment.is_empty() {
        terms.comment.clone_from(&flags.comment);
    }
    check_order(terms)
}
