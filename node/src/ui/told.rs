//! What becomes of a group: which route, what was told, when it is looked at next, by whom.

use jiff::Timestamp;
use tocsin_core::history::Outcome;
use tocsin_core::label::Labels;
use tocsin_core::mute::out_of_hours;
use tocsin_core::nflog::EntryKey;
use tocsin_core::time;

use super::labels::{Chip, chips};
use super::link;
use super::when::{When, span};
use crate::api::App;
use crate::engine::GroupView;

/// What becomes of a group.
pub(super) struct Told {
    pub(super) chips: Vec<Chip>,
    pub(super) receiver: String,
    /// Of the alerts page, this group alone.
    pub(super) to: String,
    pub(super) route: u32,
    pub(super) route_text: String,
    /// The sentence that answers "why was I (not) told".
    pub(super) verdict: String,
    /// `told`, `waiting` or `held`.
    pub(super) kind: &'static str,
    pub(super) due: Option<When>,
    /// When it is repeated if nothing changes.
    pub(super) repeat: Option<When>,
    /// The node that tells it.
    pub(super) owner: String,
    pub(super) integrations: Vec<Integration>,
    pub(super) firing: usize,
    pub(super) suppressed: usize,
}

/// An integration of the group's receiver.
pub(super) struct Integration {
    pub(super) name: String,
    pub(super) told: Option<When>,
    pub(super) firing: usize,
    pub(super) hashes: Vec<u64>,
    /// The last attempt, when it did not pass.
    pub(super) trouble: String,
}

/// Reads what is known of a group. `suppressed` of its `firing` alerts are silenced or inhibited.
pub(super) fn told(app: &App, group: &GroupView, now: Timestamp) -> Told {
    let engine = &app.engine;
    let config = engine.config();
    let (mut firing, mut suppressed) = (0, 0);
    engine.each_group_alert(&group.alerts, &std::collections::HashMap::new(), |view| {
        firing += 1;
        suppressed += usize::from(view.is_suppressed());
    });
    let route = config.routes.get(group.route);
    let integrations = integrations(app, &group.key, &group.receiver, now);
    let last = integrations.iter().filter_map(|one| one.1).max();
    let muted = route.and_then(|route| out_of_hours(route, &config.intervals, now));
    let repeat = last.zip(route).map(|(last, route)| time::add(last, route.repeat_interval));
    let (kind, verdict) = if let Some(muted) = muted {
        (
            "held",
            format!("Out of hours ({}): nothing is told until that ends.", muted.by.join(", ")),
        )
    } else if integrations.is_empty() {
        ("held", "This receiver has no integration: nobody is told.".to_owned())
    } else if firing > 0 && suppressed == firing {
        ("held", "Every alert is silenced or inhibited: nothing is told.".to_owned())
    } else if last.is_none() {
        ("waiting", "Nothing was told yet: the group waits for more alerts first.".to_owned())
    } else if let Some((one, _)) = integrations.iter().find(|(one, _)| !one.trouble.is_empty()) {
        ("held", format!("{} has trouble: {}", one.name, one.trouble))
    } else {
        ("told", String::new())
    };
    Told {
        chips: chips(group.labels.iter()),
        receiver: group.receiver.to_string(),
        to: view_of(&group.labels, &group.receiver),
        route: group.route.0,
        route_text: route.map(|route| route.key.to_string()).unwrap_or_default(),
        verdict,
        kind,
        due: group.due.map(|due| When::distance(due, now)),
        repeat: repeat.map(|at| When::distance(at, now)),
        owner: owner(app, &group.key),
        integrations: integrations.into_iter().map(|(one, _)| one).collect(),
        firing,
        suppressed,
    }
}

/// The alerts page with one group alone, all states shown.
pub(super) fn view_of(labels: &Labels, receiver: &str) -> String {
    let matchers: tocsin_core::matcher::Matchers = labels
        .iter()
        .map(|(name, value)| tocsin_core::matcher::Matcher::equal(name, value))
        .collect();
    let (filter, receiver) = (matchers.to_string(), crate::message::quote_regexp(receiver));
    let all = [
        ("silenced", "true"),
        ("inhibited", "true"),
        ("muted", "true"),
        ("active", "true"),
        ("filter", &filter),
        ("receiver", &receiver),
    ];
    format!("alerts{}", link::query(all))
}

/// Each with the time of the last notification.
fn integrations(
    app: &App,
    key: &str,
    receiver: &str,
    now: Timestamp,
) -> Vec<(Integration, Option<Timestamp>)> {
    let config = app.engine.config();
    let Some(known) = config.receivers.iter().find(|other| *other.name == *receiver) else {
        return Vec::new();
    };
    let read = |one: &crate::config::Integration| {
        let key = EntryKey {
            group_key: key.into(),
            receiver: receiver.into(),
            integration: one.kind.into(),
            index: u32::try_from(one.index).unwrap_or(u32::MAX),
        };
        let logged = app.engine.log().get(&key);
        let history = app.engine.history().get(&key);
        let failed = history.and_then(|history| {
            let last = history.last().filter(|last| last.outcome != Outcome::Sent)?;
            Some(format!("{} ({} ago)", last.text, span(time::since(now, last.at))))
        });
        let at = logged.as_ref().map(|logged| logged.entry.timestamp);
        let hashes = logged.map(|logged| logged.entry.firing.clone()).unwrap_or_default();
        let integration = Integration {
            name: format!("{}[{}]", one.kind, one.index),
            told: at.map(|at| When::distance(at, now)),
            firing: hashes.len(),
            hashes,
            trouble: failed.unwrap_or_default(),
        };
        (integration, at)
    };
    known.integrations.iter().map(read).collect()
}

/// The name of the node that tells a group now.
fn owner(app: &App, key: &str) -> String {
    let cluster = app.engine.cluster();
    let (rank, view) = (cluster.rank(key.as_bytes()), cluster.view());
    match rank.better.first() {
        None => format!("{} (this node)", view.name),
        Some(first) => {
            let member = view.members.iter().find(|member| member.node == *first);
            member.map_or_else(String::new, |member| member.name.clone())
        }
    }
}
