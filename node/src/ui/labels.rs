//! Alerts as rows of a page: labels as chips, severity, annotations, and what suppresses them.

use std::collections::HashMap;

use jiff::Timestamp;
use tocsin_core::label::Fingerprint;
use tocsin_core::matcher::Matcher;

use super::link;
use super::when::{When, span};
use crate::engine::{AlertView, Handle};

/// A label that a click turns into a filter.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Chip {
    pub(super) name: String,
    pub(super) value: String,
}

impl Chip {
    /// As a matcher: what the button sends.
    pub(super) fn matcher(&self) -> String {
        Matcher::equal(self.name.as_str(), self.value.as_str()).to_string()
    }
}

/// Labels as chips, in order.
pub(super) fn chips<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<Chip> {
    labels.map(|(name, value)| Chip { name: name.to_owned(), value: value.to_owned() }).collect()
}

/// How bad, by the label `severity`: 0 is worst. The words are those that rule sets use.
pub(super) fn severity_rank(word: &str) -> u8 {
    match word.to_ascii_lowercase().as_str() {
        "critical" | "crit" | "page" | "emergency" | "disaster" | "fatal" | "p1" | "sev1" => 0,
        "error" | "high" | "major" | "p2" | "sev2" => 1,
        "warning" | "warn" | "medium" | "minor" | "p3" | "sev3" => 2,
        "info" | "information" | "informational" | "notice" | "low" | "p4" | "sev4" => 3,
        _ => 4,
    }
}

/// The class of a rank in the style sheet.
pub(super) fn severity_class(rank: u8) -> &'static str {
    match rank {
        0 | 1 => "critical",
        2 => "warning",
        3 => "info",
        _ => "other",
    }
}

/// Why an alert is not told.
pub(super) struct Held {
    /// `silenced`, `inhibited` or `muted`.
    pub(super) kind: &'static str,
    /// What holds it, below the start; may be empty.
    pub(super) to: String,
    /// Its name.
    pub(super) by: String,
    /// More about it.
    pub(super) more: String,
}

/// An annotation.
pub(super) struct Note {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) is_link: bool,
}

/// An alert as a row.
pub(super) struct Row {
    pub(super) fingerprint: String,
    pub(super) name: String,
    pub(super) severity: String,
    pub(super) severity_class: &'static str,
    pub(super) summary: String,
    pub(super) chips: Vec<Chip>,
    pub(super) notes: Vec<Note>,
    pub(super) since: When,
    pub(super) source: String,
    pub(super) runbook: String,
    pub(super) held: Vec<Held>,
}

impl Row {
    /// `active` or what holds it first.
    pub(super) fn state(&self) -> &'static str {
        self.held.first().map_or("active", |held| held.kind)
    }
}

/// The value of a label, empty when there is none.
pub(super) fn label<'a>(view: &AlertView<'a>, name: &str) -> &'a str {
    view.alert.labels().find(|(other, _)| *other == name).map_or("", |(_, value)| value)
}

/// Reads an alert. Who inhibits it is left to [`name_inhibitors`]: the table is locked here.
pub(super) fn row(
    engine: &Handle,
    view: &AlertView<'_>,
    muted_by: &[String],
    now: Timestamp,
) -> Row {
    let name = match label(view, "alertname") {
        "" => view.alert.fingerprint().to_string(),
        name => name.to_owned(),
    };
    let severity = label(view, "severity").to_owned();
    let notes: Vec<Note> = view
        .alert
        .annotations()
        .map(|(name, value)| Note {
            name: name.to_owned(),
            value: value.to_owned(),
            is_link: link::is_web(value),
        })
        .collect();
    let summary = ["summary", "message", "title", "description"]
        .into_iter()
        .find_map(|wanted| notes.iter().find(|note| note.name == wanted && !note.value.is_empty()));
    let runbook = notes.iter().find(|note| note.is_link && note.name.starts_with("runbook"));
    let source = view.alert.generator_url();
    let chips =
        chips(view.alert.labels().filter(|(name, _)| !matches!(*name, "alertname" | "severity")));
    Row {
        fingerprint: view.alert.fingerprint().to_string(),
        name,
        severity_class: severity_class(severity_rank(&severity)),
        severity,
        summary: summary.map(|note| note.value.clone()).unwrap_or_default(),
        runbook: runbook.map(|note| note.value.clone()).unwrap_or_default(),
        chips,
        since: When::distance(view.alert.times().starts_at, now),
        source: if link::is_web(source) { source.to_owned() } else { String::new() },
        held: held(engine, view, muted_by, now),
        notes,
    }
}

fn held(engine: &Handle, view: &AlertView<'_>, muted_by: &[String], now: Timestamp) -> Vec<Held> {
    let mut held = Vec::new();
    for id in view.silenced_by {
        let silence = engine.silence(id);
        let (by, more) = silence.map_or_else(Default::default, |silence| {
            let left = span(tocsin_core::time::since(silence.ends_at, now));
            (silence.created_by.to_string(), format!("{} ({left} left)", silence.comment))
        });
        held.push(Held { kind: "silenced", to: format!("silences/{id}"), by, more });
    }
    if let Some(source) = view.inhibited_by {
        let to = format!("alerts/{source}");
        held.push(Held { kind: "inhibited", to, by: source.to_string(), more: String::new() });
    }
    if !muted_by.is_empty() {
        let by = muted_by.join(", ");
        held.push(Held { kind: "muted", to: String::new(), by, more: "out of hours".to_owned() });
    }
    held
}

/// Puts names where fingerprints of inhibiting alerts stand.
pub(super) fn name_inhibitors<'a>(engine: &Handle, rows: impl Iterator<Item = &'a mut Row>) {
    let mut held: Vec<&mut Held> =
        rows.flat_map(|row| &mut row.held).filter(|held| held.kind == "inhibited").collect();
    let wanted: Vec<Fingerprint> = held.iter().filter_map(|held| held.by.parse().ok()).collect();
    let names = names(engine, &wanted);
    for held in &mut held {
        if let Some(name) = held.by.parse::<Fingerprint>().ok().and_then(|key| names.get(&key)) {
            held.by.clone_from(name);
        }
    }
}

/// The names of alerts, with their instance.
pub(super) fn names(engine: &Handle, wanted: &[Fingerprint]) -> HashMap<Fingerprint, String> {
    let mut names = HashMap::new();
    engine.each_alert(wanted, |view| {
        let words = [label(view, "alertname"), label(view, "instance")];
        let name = words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
        names.insert(view.alert.fingerprint(), name);
    });
    names
}

/// Takes the labels that all rows share out of them.
pub(super) fn take_shared(rows: &mut [Row], known: &[Chip]) -> Vec<Chip> {
    let [first, rest @ ..] = &*rows else { return Vec::new() };
    let shared: Vec<Chip> = match rest {
        [] => Vec::new(),
        rest => first
            .chips
            .iter()
            .filter(|chip| !known.contains(chip) && rest.iter().all(|row| row.chips.contains(chip)))
            .cloned()
            .collect(),
    };
    for row in rows {
        row.chips.retain(|chip| !shared.contains(chip) && !known.contains(chip));
    }
    shared
}
