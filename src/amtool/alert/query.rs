//! `amtool alert query`: asks for alerts and shows them.

use serde_json::value::RawValue;

use crate::amtool::cli::{AlertQueryFlags, Output};
use crate::amtool::client::Client;
use crate::amtool::context::Context;
use crate::amtool::failure::Failure;
use crate::amtool::fields::{shown, with_alert_name};
use crate::amtool::table::{Style, Table};
use crate::amtool::watch;
use crate::amtool::wire::{Alert, Pairs, go_json};

/// Runs it.
pub(in crate::amtool) async fn run(
    flags: &AlertQueryFlags,
    context: &Context<'_>,
) -> Result<(), Failure> {
    let client = context.client().await?;
    let matchers = with_alert_name(flags.matchers.clone(), context);
    let states = States::of(flags);
    watch::show(flags.watch, context, async || {
        ask(&client, &states, flags.receiver.as_deref(), &matchers, context).await
    })
    .await
}

/// Which states to ask for.
pub(in crate::amtool) struct States {
    active: bool,
    silenced: bool,
    inhibited: bool,
    unprocessed: bool,
}

impl States {
    /// Alerts whatever holds them back.
    pub(in crate::amtool) const ALL: Self =
        Self { active: true, silenced: true, inhibited: true, unprocessed: true };

    /// None named is active ones alone.
    fn of(flags: &AlertQueryFlags) -> Self {
        let &AlertQueryFlags { active, silenced, inhibited, unprocessed, .. } = flags;
        let none = !(active || silenced || inhibited || unprocessed);
        Self { active: active || none, silenced, inhibited, unprocessed }
    }

    /// The parameters of a question.
    pub(in crate::amtool) fn query<'a>(
        &self,
        matchers: &'a [String],
    ) -> Vec<(&'static str, &'a str)> {
        let word = |on| if on { "true" } else { "false" };
        let mut query = vec![
            ("active", word(self.active)),
            ("inhibited", word(self.inhibited)),
            ("silenced", word(self.silenced)),
            ("unprocessed", word(self.unprocessed)),
        ];
        query.extend(matchers.iter().map(|matcher| ("filter", matcher.as_str())));
        query
    }
}

/// Asks for alerts; the answer as it is to be shown.
pub(in crate::amtool) async fn ask(
    client: &Client,
    states: &States,
    receiver: Option<&str>,
    matchers: &[String],
    context: &Context<'_>,
) -> Result<String, Failure> {
    let mut query = states.query(matchers);
    query.extend(receiver.map(|receiver| ("receiver", receiver)));
    let body = client.get("/alerts", &query).await?;
    if context.output() == Output::Json {
        let alerts: Vec<Box<RawValue>> = client.parse("/alerts", &body)?;
        return go_json(&alerts).map_err(Failure::why);
    }
    let mut alerts: Vec<Alert> = client.parse("/alerts", &body)?;
    alerts.sort_by_key(|alert| alert.starts_at.at());
    let table = if context.output() == Output::Simple { simple } else { extended };
    Ok(table(&alerts, context).text(context.console.colour()))
}

fn plain(text: impl Into<String>) -> (String, Style) {
    (text.into(), Style::Plain)
}

fn state(alert: &Alert) -> (String, Style) {
    let style = match alert.status.state.as_str() {
        "active" => Style::Red,
        "suppressed" => Style::Yellow,
        _ => Style::Dim,
    };
    (alert.status.state.clone(), style)
}

fn simple(alerts: &[Alert], context: &Context<'_>) -> Table {
    let mut table = Table::new(&["Alertname", "Starts At", "Summary", "State"]);
    for alert in alerts {
        let text = |pairs: &Pairs, name| pairs.get(name).cloned().unwrap_or_default();
        table.row([
            plain(text(&alert.labels, "alertname")),
            plain(context.date(&alert.starts_at)),
            plain(text(&alert.annotations, "summary")),
            state(alert),
        ]);
    }
    table
}

fn extended(alerts: &[Alert], context: &Context<'_>) -> Table {
    let head = ["Labels", "Annotations", "Starts At", "Ends At", "Generator URL", "State"];
    let mut table = Table::new(&head);
    for alert in alerts {
        table.row([
            plain(shown(&alert.labels)),
            plain(shown(&alert.annotations)),
            plain(context.date(&alert.starts_at)),
            plain(context.date(&alert.ends_at)),
            plain(alert.generator_url.clone()),
            state(alert),
        ]);
    }
    table
}
