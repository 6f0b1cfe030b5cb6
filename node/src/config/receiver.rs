//! `receivers`: who is told, by which integrations.

use std::collections::HashSet;

use tocsin_core::label::Labels;
use tocsin_service::yaml::{Field, Section, Value};

use super::block::{Block, Rules};
use super::global::Global;
use crate::notify::{self, Settings};

/// Somebody who is told.
#[derive(Clone, Debug)]
pub struct Receiver {
    /// The name that routes use.
    pub name: Box<str>,
    /// Labels of the receiver itself; `name` is always among them.
    pub labels: Labels,
    /// The ways to tell, in the order in which they are used.
    pub integrations: Vec<Integration>,
}

/// One way to tell a receiver.
#[derive(Clone, Debug)]
pub struct Integration {
    /// The integration's name, such as `slack`.
    pub kind: &'static str,
    /// Which of its kind in the receiver.
    pub index: usize,
    /// Whether resolved alerts are told.
    pub send_resolved: bool,
    /// What it needs to know.
    pub config: Settings,
}

/// The integrations in the order in which upstream shows them.
const SHOWN_ORDER: [&str; 18] = [
    "discord_configs",
    "email_configs",
    "incidentio_configs",
    "pagerduty_configs",
    "slack_configs",
    "webhook_configs",
    "opsgenie_configs",
    "wechat_configs",
    "pushover_configs",
    "victorops_configs",
    "sns_configs",
    "telegram_configs",
    "webex_configs",
    "msteams_configs",
    "msteamsv2_configs",
    "jira_configs",
    "rocketchat_configs",
    "mattermost_configs",
];

/// Integrations that do not tell resolved alerts unless asked to.
const QUIET: [&str; 4] = ["email_configs", "slack_configs", "wechat_configs", "rocketchat_configs"];

/// Reads all receivers.
pub(crate) fn read_all(
    root: &Section<'_>,
    global: &Global,
    rules: &Rules,
) -> (Vec<Receiver>, Vec<Value>) {
    let (mut receivers, mut shown) = (Vec::new(), Vec::new());
    let mut names = HashSet::new();
    for field in root.list("receivers") {
        if field.is_null() {
            field.mistake("missing name in receiver");
            continue;
        }
        let Some(section) = field.section() else { continue };
        let mut block = Block::new(section, rules);
        let receiver = read(&mut block, global);
        if !names.insert(receiver.name.clone()) {
            let message = format!("notification config name {:?} is not unique", receiver.name);
            block.mistake_at("name", message);
        }
        receivers.push(receiver);
        shown.push(block.finish());
    }
    (receivers, shown)
}

fn read(block: &mut Block<'_>, global: &Global) -> Receiver {
    let name = block.text("name", "");
    if name.is_empty() {
        block.mistake_at("name", "missing name in receiver");
    }
    let labels = labels(block, &name);
    let mut found = Found { integrations: Vec::new(), shown: Vec::new() };
    notify::check_all(block, global, &mut found);
    for key in SHOWN_ORDER {
        if let Some(at) = found.shown.iter().position(|(shown, _)| *shown == key) {
            let (_, values) = found.shown.swap_remove(at);
            block.show(key, Value::List(values));
        }
    }
    Receiver { name: name.into(), labels, integrations: found.integrations }
}

fn labels(block: &mut Block<'_>, name: &str) -> Labels {
    let entries = block.field("labels").map(|field| field.entries()).unwrap_or_default();
    let mut labels: Vec<(String, String)> = Vec::new();
    for (label, field) in entries {
        let Some(value) = field.text() else { continue };
        if label == "name" && value != name {
            field.mistake(format!("label \"name\" must be the receiver's name {name:?}"));
        }
        if label != "name" {
            labels.push((label.to_owned(), value));
        }
    }
    labels.push(("name".to_owned(), name.to_owned()));
    labels.sort();
    block.show_map("labels", &labels);
    Labels::new(labels)
}

/// The integrations of a receiver that were read so far.
pub(crate) struct Found {
    integrations: Vec<Integration>,
    shown: Vec<(&'static str, Vec<Value>)>,
}

/// Reads the blocks of one kind of integration.
pub(crate) fn read_kind<'a, C>(
    receiver: &Block<'a>,
    global: &Global,
    found: &mut Found,
    (key, kind): (&'static str, &'static str),
    check: impl Fn(&mut Block<'a>, &Global) -> C,
    wrap: impl Fn(C) -> Settings,
) {
    let mut shown = Vec::new();
    for (index, field) in receiver.section().list(key).into_iter().enumerate() {
        let Some(section) = block_of(&field, key) else { continue };
        let mut block = Block::new(section, receiver.rules);
        let send_resolved = block.flag("send_resolved", !QUIET.contains(&key));
        let config = wrap(check(&mut block, global));
        found.integrations.push(Integration { kind, index, send_resolved, config });
        shown.push(block.finish());
    }
    if !shown.is_empty() {
        found.shown.push((key, shown));
    }
}

fn block_of<'a>(field: &Field<'a>, key: &str) -> Option<Section<'a>> {
    if field.is_null() {
        let kind = key.trim_end_matches("_configs");
        field.mistake_with_hint(format!("missing {kind} config"), "an empty one is written as {}");
        return None;
    }
    field.section()
}
