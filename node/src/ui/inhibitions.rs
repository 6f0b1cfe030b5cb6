//! `/inhibitions`: the rules, and which of them keeps which alert quiet now.

use std::collections::HashMap;
use std::sync::Arc;

use askama::Template;
use http::Response;
use tocsin_core::label::{Fingerprint, Labels};
use tocsin_service::web::Body;

use super::alert::sentence;
use super::frame::{Frame, page as answer};
use super::labels::names;
use crate::api::{App, Asked};
use crate::engine::AlertQuery;

/// Pairs shown for a rule.
const PAIRS_MAX: usize = 20;

#[derive(Template)]
#[template(path = "inhibitions.html", whitespace = "minimize")]
struct InhibitionsPage {
    f: Frame,
    rules: Vec<ShownRule>,
    inhibited: usize,
}

struct ShownRule {
    name: String,
    sentence: String,
    count: usize,
    pairs: Vec<Pair>,
}

/// One alert that keeps another quiet.
struct Pair {
    source: Fingerprint,
    source_name: String,
    target: Fingerprint,
    target_name: String,
}

/// The page.
pub(super) fn page(app: &Arc<App>, asked: &Asked<'_>) -> Response<Body> {
    let engine = &app.engine;
    let query = AlertQuery { active: false, silenced: true, ..AlertQuery::default() };
    let found = engine.find_alerts(&query);
    let mut pairs: Vec<(Fingerprint, Fingerprint, Labels)> = Vec::new();
    for part in found.chunks(256) {
        engine.each_alert(part, |view| {
            if let Some(source) = view.inhibited_by {
                pairs.push((source, view.alert.fingerprint(), Labels::new(view.alert.labels())));
            }
        });
    }
    let mut sources: HashMap<Fingerprint, Labels> = HashMap::new();
    let wanted: Vec<Fingerprint> = pairs.iter().map(|(source, ..)| *source).collect();
    engine.each_alert(&wanted, |view| {
        sources.insert(view.alert.fingerprint(), Labels::new(view.alert.labels()));
    });
    let config = engine.config();
    let mut rules: Vec<(ShownRule, Vec<(Fingerprint, Fingerprint)>)> = config
        .inhibit
        .iter()
        .map(|rule| {
            let (name, sentence) = (rule.name.to_string(), sentence(rule));
            (ShownRule { name, sentence, count: 0, pairs: Vec::new() }, Vec::new())
        })
        .collect();
    for (source, target, labels) in &pairs {
        let Some(of_source) = sources.get(source) else { continue };
        let does = config.inhibit.iter().position(|rule| {
            rule.source.matches(of_source)
                && rule.target.matches(labels)
                && rule.equal.iter().all(|name| of_source.get(name) == labels.get(name))
        });
        if let Some((rule, found)) = does.and_then(|at| rules.get_mut(at)) {
            rule.count += 1;
            if found.len() < PAIRS_MAX {
                found.push((*source, *target));
            }
        }
    }
    let shown: Vec<Fingerprint> =
        rules.iter().flat_map(|(_, found)| found).flat_map(|(a, b)| [*a, *b]).collect();
    let names = names(engine, &shown);
    let name = |key: &Fingerprint| names.get(key).cloned().unwrap_or_else(|| key.to_string());
    for (rule, found) in &mut rules {
        rule.pairs = found
            .iter()
            .map(|(source, target)| Pair {
                source: *source,
                source_name: name(source),
                target: *target,
                target_name: name(target),
            })
            .collect();
    }
    answer(
        asked,
        &InhibitionsPage {
            f: Frame::new(app, asked, "routes", "alerts"),
            rules: rules.into_iter().map(|(rule, _)| rule).collect(),
            inhibited: pairs.len(),
        },
    )
}
