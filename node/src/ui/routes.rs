//! `/routes`: the routing tree as it is in effect, with what is in it now, and a tester: where would this go?

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use askama::Template;
use http::Response;
use jiff::Timestamp;
use tocsin_core::history::Outcome;
use tocsin_core::label::Labels;
use tocsin_core::matcher::{MatchOp, Matcher, parse_matchers};
use tocsin_core::mute::{Intervals, out_of_hours};
use tocsin_core::route::{GroupBy, Route, RouteIndex, Routes};
use tocsin_service::duration::format_duration;
use tocsin_service::web::Body;

use super::frame::{Frame, page as answer};
use super::link;
use super::when::When;
use crate::api::{App, Asked, Target};
use crate::engine::{AlertQuery, GroupQuery};
use crate::message::quote_regexp;

#[derive(Template)]
#[template(path = "routes.html", whitespace = "minimize")]
struct RoutesPage {
    f: Frame,
    labels: String,
    mistake: String,
    tested: bool,
    found: Vec<(String, u32)>,
    nodes: Vec<Node>,
    receivers: Vec<ShownReceiver>,
}

/// A route, or the way out of its children: the tree as a list of opening and closing brackets.
enum Node {
    Open(Box<ShownRoute>),
    Close,
}

struct ShownRoute {
    number: u32,
    matchers: Vec<String>,
    receiver: String,
    group_by: String,
    timings: String,
    mute: Vec<String>,
    active: Vec<String>,
    muted_now: bool,
    continues: bool,
    groups: usize,
    alerts: usize,
    to: String,
    /// `hit`, `way` or nothing.
    mark: &'static str,
    is_leaf: bool,
}

struct ShownReceiver {
    name: String,
    integrations: String,
    used: bool,
    sent: u64,
    failed: u64,
    last_sent: Option<When>,
    trouble: String,
    to: String,
}

/// The page.
pub(super) fn page(app: &Arc<App>, asked: &Asked<'_>) -> Response<Body> {
    let config = app.engine.config();
    let routes = &config.routes;
    let text = asked.query.last("labels").trim().to_owned();
    let (labels, mistake) = match read_labels(app, &text) {
        Ok(labels) => (labels, String::new()),
        Err(mistake) => (None, mistake),
    };
    let hits: Vec<RouteIndex> =
        labels.as_ref().map(|labels| routes.matching(labels)).unwrap_or_default();
    let mut drawing = Drawing {
        routes,
        intervals: &config.intervals,
        now: asked.now,
        counts: counts(app),
        hits: hits.iter().copied().collect(),
        nodes: Vec::new(),
    };
    drawing.draw(routes.root());
    let nodes = drawing.nodes;
    let found = hits.iter().filter_map(|hit| Some((routes.get(*hit)?.receiver.to_string(), hit.0)));
    answer(
        asked,
        &RoutesPage {
            f: Frame::new(app, asked, "routes", "alerts log"),
            tested: labels.is_some(),
            found: found.collect(),
            labels: text,
            mistake,
            nodes,
            receivers: receivers(app, asked.now),
        },
    )
}

/// Labels as `amtool config routes test` takes them, or with quotes, commas, braces.
fn read_labels(app: &App, text: &str) -> Result<Option<Labels>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let mode = app.engine.matcher_mode();
    let words: Result<Vec<_>, _> =
        text.split_whitespace().map(|word| parse_matchers(word, mode)).collect();
    let parsed: Vec<Matcher> = match words {
        Ok(words) if !text.contains(',') => words.into_iter().flat_map(|one| one.value.0).collect(),
        _ => parse_matchers(text, mode).map_err(|error| error.to_string())?.value.0,
    };
    if let Some(other) = parsed.iter().find(|matcher| matcher.op() != MatchOp::Equal) {
        return Err(format!("{other}: an alert has labels, such as severity=\"critical\""));
    }
    Ok(Some(Labels::new(parsed.iter().map(|matcher| (matcher.name(), matcher.value())))))
}

/// Groups and alerts of each route.
fn counts(app: &App) -> HashMap<RouteIndex, (usize, usize)> {
    let query = GroupQuery { alerts: AlertQuery::default(), muted: true };
    let mut counts: HashMap<RouteIndex, (usize, usize)> = HashMap::new();
    for group in app.engine.groups_now(&query).groups {
        let count = counts.entry(group.route).or_default();
        count.0 += 1;
        count.1 += group.alerts.len();
    }
    counts
}

struct Drawing<'a> {
    routes: &'a Routes,
    intervals: &'a Intervals,
    now: Timestamp,
    counts: HashMap<RouteIndex, (usize, usize)>,
    hits: HashSet<RouteIndex>,
    nodes: Vec<Node>,
}

impl Drawing<'_> {
    /// Appends a route and all below it; answers whether the tested labels come through here.
    fn draw(&mut self, index: RouteIndex) -> bool {
        let Some(route) = self.routes.get(index) else { return false };
        let at = self.nodes.len();
        let shown = self.shown(index, route);
        self.nodes.push(Node::Open(Box::new(shown)));
        let mut passes = self.hits.contains(&index);
        for child in &route.children {
            passes |= self.draw(*child);
        }
        self.nodes.push(Node::Close);
        if let Some(Node::Open(shown)) = self.nodes.get_mut(at) {
            shown.mark = match (self.hits.contains(&index), passes) {
                (true, _) => "hit",
                (false, true) => "way",
                (false, false) => "",
            };
        }
        passes
    }

    fn shown(&self, index: RouteIndex, route: &Route) -> ShownRoute {
        let (groups, alerts) = self.counts.get(&index).copied().unwrap_or_default();
        ShownRoute {
            number: index.0,
            matchers: route.matchers.iter().map(ToString::to_string).collect(),
            receiver: route.receiver.to_string(),
            group_by: match &route.group_by {
                GroupBy::All => "every label".to_owned(),
                GroupBy::Names(names) if names.is_empty() => "nothing: one group".to_owned(),
                GroupBy::Names(names) => names.join(", "),
            },
            timings: format!(
                "wait {}, then every {}, repeat {}",
                format_duration(route.group_wait),
                format_duration(route.group_interval),
                format_duration(route.repeat_interval)
            ),
            mute: route.mute.clone(),
            active: route.active.clone(),
            muted_now: out_of_hours(route, self.intervals, self.now).is_some(),
            continues: route.continues,
            groups,
            alerts,
            to: to_receiver(&route.receiver),
            mark: "",
            is_leaf: route.children.is_empty(),
        }
    }
}

fn to_receiver(name: &str) -> String {
    let receiver = quote_regexp(name);
    format!("groups{}", link::query([("receiver", receiver.as_str())]))
}

/// What was told to a receiver last, by any node.
#[derive(Default)]
struct Last {
    sent: Option<Timestamp>,
    trouble: Option<(Timestamp, String)>,
}

fn last_told(app: &App) -> HashMap<String, Last> {
    let mut last: HashMap<String, Last> = HashMap::new();
    for (key, history) in app.engine.history().all() {
        let Some(target) = Target::read(&key) else { continue };
        let known = last.entry(target.receiver.to_owned()).or_default();
        for attempt in history.iter() {
            if attempt.outcome == Outcome::Sent {
                known.sent = known.sent.max(Some(attempt.at));
            } else {
                let trouble = Some((attempt.at, attempt.text.to_string()));
                known.trouble = known.trouble.take().max(trouble);
            }
        }
    }
    last
}

fn receivers(app: &App, now: Timestamp) -> Vec<ShownReceiver> {
    let config = app.engine.config();
    let numbers = app.engine.numbers().counts.integrations;
    let mut told = last_told(app);
    let shown = config.receivers.iter().map(|receiver| {
        let own = numbers.iter().filter(|((_, name), _)| **name == *receiver.name).map(|(_, n)| n);
        let Last { sent, trouble } = told.remove(&*receiver.name).unwrap_or_default();
        let trouble = trouble.filter(|(at, _)| sent.is_none_or(|sent| *at > sent));
        let kinds: Vec<&str> = receiver.integrations.iter().map(|one| one.kind).collect();
        ShownReceiver {
            name: receiver.name.to_string(),
            integrations: kinds.join(", "),
            used: config.routes.iter().any(|(_, route)| route.receiver == receiver.name),
            sent: own.clone().map(|n| n.notifications).sum::<u64>(),
            failed: own.map(|n| n.failed.iter().sum::<u64>()).sum(),
            last_sent: sent.map(|at| When::distance(at, now)),
            trouble: trouble.map(|(_, text)| text).unwrap_or_default(),
            to: format!("history{}", link::query([("receiver", &*receiver.name)])),
        }
    });
    shown.collect()
}
