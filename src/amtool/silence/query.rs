//! `amtool silence query`: asks for silences, sorts out those that are not wanted, shows the rest.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::value::RawValue;
use tocsin_core::time::{add, sub};

use crate::amtool::cli::{Output, SilenceQueryFlags};
use crate::amtool::client::Client;
use crate::amtool::context::Context;
use crate::amtool::failure::Failure;
use crate::amtool::fields::with_alert_name;
use crate::amtool::table::{Style, Table};
use crate::amtool::watch;
use crate::amtool::wire::{Silence, go_json, rules};

/// Runs it.
pub(in crate::amtool) async fn run(
    flags: &SilenceQueryFlags,
    context: &Context<'_>,
) -> Result<(), Failure> {
    let client = context.client().await?;
    let matchers = with_alert_name(flags.matchers.clone(), context);
    watch::show(flags.watch, context, async || ask(&client, flags, &matchers, context).await).await
}

async fn ask(
    client: &Client,
    flags: &SilenceQueryFlags,
    matchers: &[String],
    context: &Context<'_>,
) -> Result<String, Failure> {
    let query: Vec<(&str, &str)> =
        matchers.iter().map(|matcher| ("filter", matcher.as_str())).collect();
    let body = client.get("/silences", &query).await?;
    // What is written as JSON is what the server has sent, fields of newer versions included.
    let raw: Vec<Box<RawValue>> = client.parse("/silences", &body)?;
    let now = context.now();
    let mut kept = Vec::with_capacity(raw.len());
    for raw in raw {
        let silence: Silence = client.parse("/silences", raw.get().as_bytes())?;
        if wanted(&silence, flags, now) {
            kept.push((silence, raw));
        }
    }
    if flags.quiet {
        return Ok(kept.iter().map(|(silence, _)| format!("{}\n", silence.id)).collect());
    }
    let (silences, raw): (Vec<Silence>, Vec<Box<RawValue>>) = kept.into_iter().unzip();
    if context.output() == Output::Json {
        return go_json(&raw).map_err(Failure::why);
    }
    table(silences, context)
}

fn wanted(silence: &Silence, flags: &SilenceQueryFlags, now: Timestamp) -> bool {
    let terms = &silence.terms;
    within(terms.ends_at.at(), flags.expired, flags.within, now)
        && (flags.created_by.is_empty() || flags.created_by == terms.created_by)
        && (flags.id.is_empty() || flags.id == silence.id)
}

/// Whether the silence has ended, or will end, as it was asked for; no time is any time.
fn within(end: Timestamp, expired: bool, within: Duration, now: Timestamp) -> bool {
    match (expired, within.is_zero()) {
        (false, true) => now <= end,
        (false, false) => now <= end && end <= add(now, within),
        (true, true) => end <= now,
        (true, false) => end <= now && sub(now, within) <= end,
    }
}

/// The table of silences, or their ids, in the chosen form.
pub(super) fn table(mut silences: Vec<Silence>, context: &Context<'_>) -> Result<String, Failure> {
    silences.sort_by_key(|silence| silence.terms.ends_at.at());
    let extended = context.output() == Output::Extended;
    let mut table = Table::new(if extended {
        &["ID", "Matchers", "Starts At", "Ends At", "Updated At", "Created By", "Comment"]
    } else {
        &["ID", "Matchers", "Ends At", "Created By", "Comment"]
    });
    for silence in &silences {
        let style = match silence.status.state.as_str() {
            "active" => Style::Plain,
            _ => Style::Dim,
        };
        let cells = cells(silence, extended, context)?;
        table.row(cells.into_iter().map(|cell| (cell, style)));
    }
    Ok(table.text(context.console.colour()))
}

fn cells(silence: &Silence, extended: bool, context: &Context<'_>) -> Result<Vec<String>, Failure> {
    let terms = &silence.terms;
    let matchers = rules(&terms.matchers).map_err(Failure::why)?;
    let mut cells = vec![silence.id.clone()];
    if extended {
        cells.push(matchers.to_string());
        cells.push(context.date(&terms.starts_at));
    } else {
        let matchers: Vec<String> = matchers.iter().map(ToString::to_string).collect();
        cells.push(matchers.join(" "));
    }
    cells.push(context.date(&terms.ends_at));
    if extended {
        cells.push(context.date(&silence.updated_at));
    }
    cells.push(terms.created_by.clone());
    cells.push(terms.comment.clone());
    Ok(cells)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[track_caller]
    fn check(end: &str, expired: bool, minutes: u32, expected: bool) {
        let now = "2026-11-22T10:00:00Z".parse().unwrap();
        let end = format!("2026-11-22T{end}:00Z").parse().unwrap();
        assert_eq!(within(end, expired, MINUTE * minutes, now), expected);
    }

    #[test]
    fn time_to_the_end_or_since_it_is_asked_for() {
        check("10:05", false, 0, true);
        check("09:55", false, 0, false);
        check("10:05", false, 10, true);
        check("10:15", false, 10, false);
        check("09:55", true, 0, true);
        check("10:05", true, 0, false);
        check("09:55", true, 10, true);
        check("09:45", true, 10, false);
    }
}
