//! `/history`: who was told what, when, by which node, with what result. The same on every node.

use std::sync::Arc;

use askama::Template;
use http::Response;
use jiff::Timestamp;
use tocsin_core::history::{Attempt, History, Outcome};
use tocsin_service::web::Body;

use super::frame::{Frame, page as answer};
use super::labels::{Chip, chips};
use super::told::view_of;
use super::when::When;
use super::wish::Wish;
use crate::api::{App, Asked, Target};

/// Attempts on the page.
const SHOWN_MAX: usize = 200;

#[derive(Template)]
#[template(path = "history.html", whitespace = "minimize")]
struct HistoryPage {
    f: Frame,
    filter: String,
    mistake: String,
    receiver: String,
    receivers: Vec<String>,
    result: String,
    attempts: Vec<Shown>,
    hidden: usize,
}

/// An attempt.
pub(super) struct Shown {
    at: Timestamp,
    pub(super) when: When,
    pub(super) chips: Vec<Chip>,
    pub(super) to: String,
    pub(super) receiver: String,
    pub(super) integration: String,
    pub(super) firing: u32,
    pub(super) resolved: u32,
    pub(super) reason: &'static str,
    pub(super) node: String,
    pub(super) result: &'static str,
    pub(super) text: String,
    /// How often that happened in a row.
    pub(super) times: usize,
}

fn shown(target: &Target<'_>, attempt: &Attempt, now: Timestamp) -> Shown {
    Shown {
        at: attempt.at,
        when: When::distance(attempt.at, now),
        chips: chips(target.labels.iter()),
        to: view_of(&target.labels, target.receiver),
        receiver: target.receiver.to_owned(),
        integration: format!("{}[{}]", target.integration, target.index),
        firing: attempt.firing,
        resolved: attempt.resolved,
        reason: attempt.reason.as_str(),
        node: attempt.node.to_string(),
        result: match attempt.outcome {
            Outcome::Sent => "sent",
            Outcome::Retried => "retried",
            Outcome::Failed => "failed",
        },
        text: attempt.text.to_string(),
        times: 1,
    }
}

/// One row for attempts in a row that were tried again for the same reason.
fn folded(target: &Target<'_>, history: &History, now: Timestamp) -> Vec<Shown> {
    let mut rows: Vec<Shown> = Vec::new();
    for attempt in history.iter() {
        let next = shown(target, attempt, now);
        match rows.last_mut() {
            Some(last)
                if last.result == "retried"
                    && next.result == "retried"
                    && last.text == next.text =>
            {
                *last = Shown { times: last.times + 1, ..next };
            }
            _ => rows.push(next),
        }
    }
    rows
}

/// The attempts of those groups that `wanted` likes, the newest first.
pub(super) fn attempts(
    app: &App,
    now: Timestamp,
    wanted: impl Fn(&Target<'_>) -> bool,
) -> Vec<Shown> {
    let mut attempts = Vec::new();
    for (key, history) in app.engine.history().all() {
        let Some(target) = Target::read(&key).filter(&wanted) else { continue };
        attempts.extend(folded(&target, &history, now));
    }
    attempts.sort_by_key(|attempt| std::cmp::Reverse(attempt.at));
    attempts
}

/// The page.
pub(super) fn page(app: &Arc<App>, asked: &Asked<'_>) -> Response<Body> {
    let wish = Wish::read(asked.query, app.engine.matcher_mode());
    let (receiver, result) = (asked.query.last("receiver"), asked.query.last("result"));
    let mut attempts = attempts(app, asked.now, |target| {
        (receiver.is_empty() || target.receiver == receiver)
            && wish.matchers.iter().all(|matcher| matcher.filters(&target.labels))
    });
    attempts.retain(|attempt| result.is_empty() || attempt.result == result);
    let hidden = attempts.len().saturating_sub(SHOWN_MAX);
    attempts.truncate(SHOWN_MAX);
    let config = app.engine.config();
    answer(
        asked,
        &HistoryPage {
            f: Frame::new(app, asked, "history", "log"),
            filter: wish.filter(),
            mistake: wish
                .mistakes
                .first()
                .map(|(text, why)| format!("{text}: {why}"))
                .unwrap_or_default(),
            receiver: receiver.to_owned(),
            receivers: config.receivers.iter().map(|receiver| receiver.name.to_string()).collect(),
            result: result.to_owned(),
            attempts,
            hidden,
        },
    )
}
