//! `/alerts/FINGERPRINT`: one alert with everything about it: who was told, who will be, what holds it back.

use std::sync::Arc;

use askama::Template;
use http::Response;
use tocsin_core::label::Fingerprint;
use tocsin_core::matcher::Matcher;
use tocsin_service::web::Body;

use super::frame::{Frame, not_found, page as answer};
use super::history::{self, Shown};
use super::labels::{self, Chip, Row};
use super::link;
use super::told::{Told, told};
use super::when::When;
use crate::api::{App, Asked};
use crate::engine::{AlertQuery, GroupQuery};

#[derive(Template)]
#[template(path = "alert.html", whitespace = "minimize")]
struct AlertPage {
    f: Frame,
    row: Row,
    labels: Vec<Chip>,
    starts: When,
    updated: When,
    ends: When,
    groups: Vec<(Told, bool)>,
    attempts: Vec<Shown>,
    rules: Vec<String>,
    silence: String,
    json: String,
    amtool: String,
}

/// The page.
pub(super) fn page(app: &Arc<App>, asked: &Asked<'_>, text: &str) -> Response<Body> {
    let Ok(fingerprint) = text.parse::<Fingerprint>() else { return not_found(app, asked) };
    let engine = &app.engine;
    let mut found = None;
    engine.each_alert(&[fingerprint], |view| {
        let row = labels::row(engine, view, &[], asked.now);
        let set = tocsin_core::label::Labels::new(view.alert.labels());
        found = Some((row, set, view.alert.times(), view.alert.hash_xx(), view.inhibited_by));
    });
    let Some((mut row, set, times, hash, inhibitor)) = found else {
        let text = "It has ended, or this node has never heard of it. History may tell more.";
        let status = http::StatusCode::NOT_FOUND;
        return super::frame::error(app, asked, status, "This alert does not fire", text);
    };
    labels::name_inhibitors(engine, std::iter::once(&mut row));
    let matchers: Vec<Matcher> =
        set.iter().map(|(name, value)| Matcher::equal(name, value)).collect();
    let alerts = AlertQuery { matchers: matchers.clone(), ..AlertQuery::default() };
    let groups = engine.groups_now(&GroupQuery { alerts, muted: true }).groups;
    let groups: Vec<_> =
        groups.iter().filter(|group| group.alerts.contains(&fingerprint)).collect();
    let attempts = history::attempts(app, asked.now, |target| {
        groups
            .iter()
            .any(|group| *group.key == *target.group_key && *group.receiver == *target.receiver)
    });
    let lists = |told: &Told| told.integrations.iter().any(|one| one.hashes.contains(&hash));
    let groups = groups.iter().map(|group| told(app, group, asked.now));
    let filters: Vec<String> = matchers.iter().map(ToString::to_string).collect();
    let amtool: Vec<String> =
        set.iter().map(|(name, value)| format!("{name}={}", shell(value))).collect();
    answer(
        asked,
        &AlertPage {
            f: Frame::new(app, asked, "alerts", "alerts silences log"),
            labels: labels::chips(set.iter()),
            starts: When::moment(times.starts_at),
            updated: When::distance(times.updated_at, asked.now),
            ends: When::distance(times.ends_at, asked.now),
            groups: groups
                .map(|told| {
                    let listed = lists(&told);
                    (told, listed)
                })
                .collect(),
            attempts,
            rules: inhibitor.map(|source| rules(app, source, &set)).unwrap_or_default(),
            silence: format!("silences/new?alert={fingerprint}"),
            json: format!(
                "api/v2/alerts{}",
                link::query(filters.iter().map(|text| ("filter", text.as_str())))
            ),
            amtool: format!("amtool alert query {}", amtool.join(" ")),
            row,
        },
    )
}

/// The rules by which one alert inhibits another, as sentences.
fn rules(app: &App, source: Fingerprint, target: &tocsin_core::label::Labels) -> Vec<String> {
    let mut found = Vec::new();
    let config = app.engine.config();
    app.engine.each_alert(&[source], |view| {
        for rule in &config.inhibit {
            let same = |name: &str| labels::label(view, name) == target.get(name);
            if rule.source.matches(&view.alert)
                && rule.target.matches(target)
                && rule.equal.iter().all(|name| same(name))
            {
                found.push(sentence(rule));
            }
        }
    });
    found
}

/// A rule of inhibition in words.
pub(super) fn sentence(rule: &tocsin_core::inhibit::Rule) -> String {
    let equal = match rule.equal.len() {
        0 => String::new(),
        _ => format!(" with the same {}", rule.equal.join(", ")),
    };
    format!("While {} fires, {}{equal} is not told.", rule.source, rule.target)
}

/// A text as one word of a shell.
pub(super) fn shell(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:@%+,=".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shell_words_are_one_word() {
        for (text, expected) in [
            ("a-b", "a-b"),
            ("", "''"),
            ("a b", "'a b'"),
            ("it's", "'it'\\''s'"),
            ("$(x)", "'$(x)'"),
        ] {
            assert_eq!(shell(text), expected);
        }
    }
}
