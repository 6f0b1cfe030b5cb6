//! `amtool alert explain`: where an alert goes, who was told and what holds it back, from what a server tells: its
//! configuration, groups, silences and history. Works with upstream's servers too, which keep no history.

use std::fmt::Write as _;

use tocsin_core::label::Labels;
use tocsin_core::route::{GroupBy, Routes};

use super::query::States;
use super::told::Told;
use crate::amtool::cli::AlertExplainFlags;
use crate::amtool::client::Client;
use crate::amtool::config::routes;
use crate::amtool::context::Context;
use crate::amtool::failure::Failure;
use crate::amtool::fields::{shown, with_alert_name};
use crate::amtool::wire::{Alert, Group, Silence};

/// Runs it.
pub(in crate::amtool) async fn run(
    flags: &AlertExplainFlags,
    context: &Context<'_>,
) -> Result<(), Failure> {
    let client = context.client().await?;
    let matchers = with_alert_name(flags.matchers.clone(), context);
    let routes = routes::load(None, context).await?;
    let mut alerts: Vec<Alert> = client.read("/alerts", &States::ALL.query(&matchers)).await?;
    alerts.sort_by_key(|alert| alert.starts_at.at());
    if alerts.is_empty() {
        return context.console.print("no such alert: none was posted, or it has ended\n");
    }
    let filters: Vec<(&str, &str)> =
        matchers.iter().map(|text| ("filter", text.as_str())).collect();
    let groups: Vec<Group> = client.read("/alerts/groups", &filters).await?;
    // What inhibits may be an alert that nobody asked about.
    let inhibited = alerts.iter().any(|alert| !alert.status.inhibited_by.is_empty());
    let others: Vec<Alert> = match inhibited {
        true => client.read("/alerts", &States::ALL.query(&[])).await?,
        false => Vec::new(),
    };
    let told = Told::ask(&client, &group_labels(&alerts, &routes)).await?;
    let mut text = String::new();
    for alert in &alerts {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&head(alert, context));
        text.push_str(&paths(alert, &routes, &told, context));
        text.push_str(&held(alert, &groups));
        text.push_str(&hindrances(alert, &others, &client, context).await);
    }
    if !told.is_known() {
        text.push_str("\nThe server keeps no history of who was told: it is no node of Tocsin.\n");
    }
    context.console.print(&text)
}

/// The labels of all groups to which the alerts belong.
fn group_labels(alerts: &[Alert], routes: &Routes) -> Vec<Labels> {
    let mut all = Vec::new();
    for alert in alerts {
        let labels: Labels = alert.labels.iter().collect();
        let routes = routes.matching(&labels).into_iter().filter_map(|index| routes.get(index));
        all.extend(routes.map(|route| route.group_labels(&labels)));
    }
    all
}

fn head(alert: &Alert, context: &Context<'_>) -> String {
    format!(
        "{}\n  {} since {}, ends {} unless it is posted again\n",
        shown(&alert.labels),
        alert.status.state,
        context.date(&alert.starts_at),
        context.date(&alert.ends_at)
    )
}

/// The routes that the alert takes by the configuration, and who was told there.
fn paths(alert: &Alert, routes: &Routes, told: &Told, context: &Context<'_>) -> String {
    let labels: Labels = alert.labels.iter().collect();
    let mut text = String::new();
    for route in routes.matching(&labels).into_iter().filter_map(|index| routes.get(index)) {
        let by = match &route.group_by {
            GroupBy::All => "all labels".to_owned(),
            GroupBy::Names(names) if names.is_empty() => "nothing".to_owned(),
            GroupBy::Names(names) => names.join(", "),
        };
        let _ = writeln!(
            text,
            "  goes to {} by route {} (grouped by {by}; first after {}, changes every {}, again after {})",
            route.receiver,
            route.key,
            tocsin_service::duration::format_duration(route.group_wait),
            tocsin_service::duration::format_duration(route.group_interval),
            tocsin_service::duration::format_duration(route.repeat_interval),
        ); // A String takes everything.
        for (what, names) in [("mute in", &route.mute), ("told only in", &route.active)] {
            if !names.is_empty() {
                let _ = writeln!(text, "    {what} {}", names.join(", "));
            }
        }
        let group_key = route.group_key(&route.group_labels(&labels));
        text.push_str(&told.lines(&group_key, &route.receiver, context));
    }
    text
}

/// The groups that hold the alert now.
fn held(alert: &Alert, groups: &[Group]) -> String {
    let mut text = String::new();
    for group in groups {
        let mut same = group.alerts.iter().filter(|other| other.fingerprint == alert.fingerprint);
        let Some(member) = same.next() else { continue };
        let _ = writeln!(
            text,
            "  is one of {} in group {{{}}} of {}",
            group.alerts.len(),
            shown(&group.labels),
            group.receiver.name
        );
        for interval in &member.status.muted_by {
            let _ = writeln!(text, "    held back by time interval {interval}");
        }
    }
    text
}

/// Silences and inhibiting alerts.
async fn hindrances(
    alert: &Alert,
    others: &[Alert],
    client: &Client,
    context: &Context<'_>,
) -> String {
    let mut text = String::new();
    for id in &alert.status.silenced_by {
        let silence = client.read::<Silence>(&format!("/silence/{id}"), &[]).await;
        let _ = match silence {
            Ok(silence) => writeln!(
                text,
                "  silenced by {id} of {} until {}: {}",
                silence.terms.created_by,
                context.date(&silence.terms.ends_at),
                silence.terms.comment
            ),
            Err(_) => writeln!(text, "  silenced by {id}"),
        };
    }
    for fingerprint in &alert.status.inhibited_by {
        let source = others.iter().find(|other| other.fingerprint == *fingerprint);
        let source = source.map_or_else(String::new, |source| shown(&source.labels));
        let _ = writeln!(text, "  inhibited by the alert {fingerprint} {source}");
    }
    if text.is_empty() && alert.status.state == "active" {
        text.push_str("  nothing holds it back\n");
    }
    text
}
