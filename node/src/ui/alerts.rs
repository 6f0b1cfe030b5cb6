//! `/alerts`, which is also the start: what fires, in groups, the worst first.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use askama::Template;
use http::Response;
use jiff::Timestamp;
use tocsin_core::label::{Fingerprint, Labels};
use tocsin_core::matcher::Matcher;
use tocsin_core::quote::quoted;
use tocsin_service::web::Body;

use super::frame::{Frame, page as answer};
use super::labels::{self, Chip, Row, label, severity_class, severity_rank};
use super::link;
use super::when::When;
use super::wish::{Sort, Wish};
use crate::api::{App, Asked};
use crate::engine::{AlertQuery, AlertView, GroupQuery, GroupsView};
use crate::message::quote_regexp;

/// Groups on one page.
const GROUPS_MAX: usize = 25;
/// Alerts on one page.
const ROWS_MAX: usize = 100;
/// Alerts of one group when there are others.
const ROWS_OF_MANY: usize = 10;
/// Alerts whose labels are offered for completion.
const OFFER_FROM: usize = 2_000;
/// Labels offered.
const OFFERED_MAX: usize = 120;

#[derive(Template)]
#[template(path = "alerts.html", whitespace = "minimize")]
struct AlertsPage {
    f: Frame,
    wish: Wish,
    total: usize,
    states: Vec<Toggle>,
    severities: Vec<SeverityCount>,
    filters: Vec<Chosen>,
    hidden: Vec<(&'static str, String)>,
    receivers: Vec<Choice>,
    /// What the group field holds.
    group_by: String,
    groups: Vec<ShownGroup>,
    group_count: usize,
    offered: Vec<String>,
    previous: String,
    next: String,
    silence: String,
    all_states: String,
    json: String,
}

/// A state that can be shown or hidden.
struct Toggle {
    name: &'static str,
    count: usize,
    on: bool,
    to: String,
}

struct SeverityCount {
    word: String,
    class: &'static str,
    count: usize,
    to: String,
}

/// A filter that is in effect.
struct Chosen {
    text: String,
    without: String,
}

struct Choice {
    name: String,
    value: String,
    on: bool,
}

struct ShownGroup {
    chips: Vec<Chip>,
    shared: Vec<Chip>,
    receiver: String,
    count: usize,
    oldest: When,
    class: &'static str,
    rows: Vec<Row>,
    more: usize,
    /// This group alone.
    to: String,
    silence: String,
    key: String,
}

/// What is needed of an alert to choose what is shown.
struct Fact {
    alert: Fingerprint,
    rank: u8,
    starts_at: Timestamp,
}

struct Group {
    labels: Arc<Labels>,
    /// Those that are told of these same alerts.
    receivers: Vec<Box<str>>,
    muted_by: Vec<String>,
    facts: Vec<Fact>,
    key: String,
}

/// One look at all alerts that pass the filter.
#[derive(Default)]
struct Survey {
    groups: Vec<Group>,
    seen: HashSet<Fingerprint>,
    /// Alerts that are wanted.
    total: usize,
    active: usize,
    silenced: usize,
    inhibited: usize,
    muted: usize,
    severities: BTreeMap<(u8, String), usize>,
    pairs: HashMap<(String, String), usize>,
}

impl Survey {
    /// Counts an alert of a group; answers what is kept of it when it is wanted.
    fn look(&mut self, wish: &Wish, view: &AlertView<'_>, is_muted: bool) -> Option<Fact> {
        if !wish.passes(&view.alert, view.alert.annotations()) {
            return None;
        }
        let alert = view.alert.fingerprint();
        let first = self.seen.insert(alert);
        let (silenced, inhibited) = (!view.silenced_by.is_empty(), view.inhibited_by.is_some());
        let active = !silenced && !inhibited && !is_muted;
        if first {
            self.silenced += usize::from(silenced);
            self.inhibited += usize::from(inhibited);
            self.muted += usize::from(is_muted);
            self.active += usize::from(active);
            if self.seen.len() <= OFFER_FROM {
                for (name, value) in view.alert.labels().filter(|(_, value)| value.len() < 80) {
                    *self.pairs.entry((name.to_owned(), value.to_owned())).or_default() += 1;
                }
            }
        }
        let wanted = (wish.active || !active)
            && (wish.silenced || !silenced)
            && (wish.inhibited || !inhibited)
            && (wish.muted || !is_muted);
        if !wanted {
            return None;
        }
        let severity = label(view, "severity");
        let rank = severity_rank(severity);
        self.total += usize::from(first);
        if first {
            *self.severities.entry((rank, severity.to_owned())).or_default() += 1;
        }
        Some(Fact { alert, rank, starts_at: view.alert.times().starts_at })
    }

    /// Adds a group, or its receiver to the group before that holds the very same alerts: groups come by labels.
    fn add(&mut self, group: Group) {
        let alerts = |group: &Group| group.facts.iter().map(|fact| fact.alert).collect::<Vec<_>>();
        let same = |other: &Group| {
            other.labels == group.labels
                && other.muted_by == group.muted_by
                && other.facts.len() == group.facts.len()
                && alerts(other) == alerts(&group)
        };
        match self
            .groups
            .iter_mut()
            .rev()
            .take_while(|other| other.labels == group.labels)
            .find(|other| same(other))
        {
            Some(other) => other.receivers.extend(group.receivers),
            None => self.groups.push(group),
        }
    }

    /// Label pairs for completion, the frequent ones first, as matchers.
    fn offered(&mut self) -> Vec<String> {
        let mut pairs: Vec<_> = std::mem::take(&mut self.pairs).into_iter().collect();
        pairs.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        pairs.truncate(OFFERED_MAX);
        pairs
            .into_iter()
            .map(|((name, value), _)| Matcher::equal(name, value).to_string())
            .collect()
    }
}

fn survey(app: &App, wish: &Wish) -> (Survey, GroupsView) {
    let mut survey = Survey::default();
    let alerts = AlertQuery {
        matchers: wish.matchers.clone(),
        receiver: wish.receiver_regex.clone(),
        ..AlertQuery::default()
    };
    if wish.custom {
        by_labels(app, wish, &alerts, &mut survey);
        return (survey, GroupsView::default());
    }
    let found = app.engine.groups_now(&GroupQuery { alerts, muted: true });
    for group in &found.groups {
        let mut facts = Vec::with_capacity(group.alerts.len());
        let is_muted = !group.muted_by.is_empty();
        app.engine.each_group_alert(&group.alerts, &found.receivers, |view| {
            facts.extend(survey.look(wish, view, is_muted));
        });
        if !facts.is_empty() {
            survey.add(Group {
                labels: Arc::clone(&group.labels),
                receivers: vec![group.receiver.clone()],
                muted_by: group.muted_by.clone(),
                facts,
                key: group.key.to_string() + &group.receiver,
            });
        }
    }
    (survey, found)
}

/// Groups by labels that the reader chose; with none of them there is one group.
fn by_labels(app: &App, wish: &Wish, alerts: &AlertQuery, survey: &mut Survey) {
    let found = app.engine.find_alerts(alerts);
    let mut groups: BTreeMap<Vec<String>, Vec<Fact>> = BTreeMap::new();
    for part in found.chunks(256) {
        app.engine.each_alert(part, |view| {
            if let Some(fact) = survey.look(wish, view, false) {
                let key = wish.group.iter().map(|name| label(view, name).to_owned()).collect();
                groups.entry(key).or_default().push(fact);
            }
        });
    }
    for (values, facts) in groups {
        let pairs = wish.group.iter().zip(&values).filter(|(_, value)| !value.is_empty());
        let labels = Labels::new(pairs);
        let key = labels.to_string();
        let (labels, receivers, muted_by) = (Arc::new(labels), Vec::new(), Vec::new());
        survey.groups.push(Group { labels, receivers, muted_by, facts, key });
    }
}

fn sort(groups: &mut [Group], sort: Sort) {
    let worst = |group: &Group| group.facts.iter().map(|fact| fact.rank).min();
    let newest = |group: &Group| group.facts.iter().map(|fact| fact.starts_at).max();
    match sort {
        Sort::Severity => {
            groups.sort_by(|a, b| worst(a).cmp(&worst(b)).then_with(|| newest(b).cmp(&newest(a))));
        }
        Sort::Newest => groups.sort_by_key(|group| std::cmp::Reverse(newest(group))),
        Sort::Name => {}
    }
    for group in groups {
        match sort {
            Sort::Severity => {
                group.facts.sort_by(|a, b| a.rank.cmp(&b.rank).then(b.starts_at.cmp(&a.starts_at)));
            }
            Sort::Newest => group.facts.sort_by_key(|fact| std::cmp::Reverse(fact.starts_at)),
            Sort::Name => {}
        }
    }
}

/// The page.
pub(super) fn page(app: &Arc<App>, asked: &Asked<'_>) -> Response<Body> {
    let wish = Wish::read(asked.query, app.engine.matcher_mode());
    let (mut survey, found) = survey(app, &wish);
    sort(&mut survey.groups, wish.sort);
    let groups = std::mem::take(&mut survey.groups);
    let group_count = groups.len();
    let (groups, has_next) = shown(app, asked, &wish, &found, &groups);
    let turned = |page| Wish { page, ..wish.clone() }.link();
    let mut hidden = wish.pairs();
    hidden.retain(|(name, _)| *name != "page");
    let f = Frame::new(app, asked, "alerts", "alerts silences log");
    let filter = wish.filter();
    answer(
        asked,
        &AlertsPage {
            total: survey.total,
            states: toggles(&wish, &survey),
            severities: severities(&wish, &survey),
            filters: chosen(&wish),
            hidden,
            receivers: receivers(app, &wish),
            group_by: wish.group.join(","),
            offered: survey.offered(),
            groups,
            group_count,
            previous: if wish.page > 0 { turned(wish.page - 1) } else { String::new() },
            next: if has_next { turned(wish.page + 1) } else { String::new() },
            silence: if filter.is_empty() {
                String::new()
            } else {
                format!("silences/new{}", link::query([("filter", filter.as_str())]))
            },
            all_states: wish.link_with(|wish| {
                (wish.active, wish.silenced, wish.inhibited, wish.muted) = (true, true, true, true);
            }),
            json: json(&wish),
            f,
            wish,
        },
    )
}

/// The same from the API.
fn json(wish: &Wish) -> String {
    let word = |yes: bool| if yes { "true" } else { "false" };
    let filters: Vec<String> = wish.matchers.iter().map(ToString::to_string).collect();
    let mut pairs = vec![
        ("active", word(wish.active)),
        ("silenced", word(wish.silenced)),
        ("inhibited", word(wish.inhibited)),
    ];
    pairs.extend(filters.iter().map(|filter| ("filter", filter.as_str())));
    if !wish.receiver.is_empty() {
        pairs.push(("receiver", &wish.receiver));
    }
    format!("api/v2/alerts{}", link::query(pairs))
}

/// The groups and rows of the page, and whether there are more.
fn shown(
    app: &App,
    asked: &Asked<'_>,
    wish: &Wish,
    found: &GroupsView,
    groups: &[Group],
) -> (Vec<ShownGroup>, bool) {
    let is_alone = groups.len() == 1;
    let (first, rows_from) =
        if is_alone { (0, wish.page * ROWS_MAX) } else { (wish.page * GROUPS_MAX, 0) };
    let mut left = ROWS_MAX;
    let mut out = Vec::new();
    let mut has_next = false;
    for group in groups.iter().skip(first).take(GROUPS_MAX) {
        let most = if is_alone { ROWS_MAX } else { ROWS_OF_MANY.min(left) };
        let facts = group.facts.get(rows_from..).unwrap_or_default();
        let wanted: Vec<_> = facts.iter().take(most).map(|fact| fact.alert).collect();
        let mut rows = Vec::with_capacity(wanted.len());
        let mut visit = |view: &AlertView<'_>| {
            rows.push((
                view.alert.fingerprint(),
                labels::row(&app.engine, view, &group.muted_by, asked.now),
            ));
        };
        if wish.custom {
            app.engine.each_alert(&wanted, &mut visit);
        } else {
            app.engine.each_group_alert(&wanted, &found.receivers, &mut visit);
        }
        rows.sort_by_key(|(alert, _)| wanted.iter().position(|other| other == alert));
        let rows: Vec<Row> = rows.into_iter().map(|(_, row)| row).collect();
        left = left.saturating_sub(rows.len());
        has_next |= is_alone && facts.len() > rows.len();
        let more = if is_alone { 0 } else { group.facts.len() - rows.len() };
        out.push(shown_group(asked, wish, group, rows, more));
    }
    has_next |= !is_alone && groups.len() > first + GROUPS_MAX;
    labels::name_inhibitors(&app.engine, out.iter_mut().flat_map(|group| &mut group.rows));
    (out, has_next)
}

fn shown_group(
    asked: &Asked<'_>,
    wish: &Wish,
    group: &Group,
    mut rows: Vec<Row>,
    more: usize,
) -> ShownGroup {
    let chips = labels::chips(group.labels.iter());
    let shared = labels::take_shared(&mut rows, &chips);
    let oldest = group.facts.iter().map(|fact| fact.starts_at).min().unwrap_or(asked.now);
    let matchers = group.labels.iter().map(|(name, value)| Matcher::equal(name, value));
    let matchers: tocsin_core::matcher::Matchers = matchers.collect();
    let filter = matchers.to_string();
    let to = wish.link_with(|wish| {
        wish.matchers.extend(matchers.0.iter().cloned());
        wish.matchers.sort();
        wish.matchers.dedup();
        if let [receiver] = &*group.receivers {
            wish.receiver = quote_regexp(receiver);
        }
    });
    let silence = if group.labels.is_empty() {
        String::new()
    } else {
        format!("silences/new{}", link::query([("filter", filter.as_str())]))
    };
    let rank = group.facts.iter().map(|fact| fact.rank).min().unwrap_or(4);
    ShownGroup {
        chips,
        shared,
        receiver: group.receivers.join(", "),
        count: group.facts.len(),
        oldest: When::distance(oldest, asked.now),
        class: severity_class(rank),
        rows,
        more,
        to,
        silence,
        key: format!("{:x}", xxhash_rust::xxh3::xxh3_64(group.key.as_bytes())),
    }
}

fn toggles(wish: &Wish, survey: &Survey) -> Vec<Toggle> {
    let toggle = |name, count, on, change: fn(&mut Wish)| Toggle {
        name,
        count,
        on,
        to: wish.link_with(change),
    };
    vec![
        toggle("active", survey.active, wish.active, |wish| wish.active = !wish.active),
        toggle("silenced", survey.silenced, wish.silenced, |wish| wish.silenced = !wish.silenced),
        toggle("inhibited", survey.inhibited, wish.inhibited, |wish| {
            wish.inhibited = !wish.inhibited;
        }),
        toggle("muted", survey.muted, wish.muted, |wish| wish.muted = !wish.muted),
    ]
}

fn severities(wish: &Wish, survey: &Survey) -> Vec<SeverityCount> {
    let count = |((rank, word), count): (&(u8, String), &usize)| SeverityCount {
        word: if word.is_empty() { "no severity".to_owned() } else { word.clone() },
        class: severity_class(*rank),
        count: *count,
        to: wish.link_with(|wish| {
            wish.matchers.retain(|matcher| matcher.name() != "severity");
            wish.matchers.push(Matcher::equal("severity", word.as_str()));
        }),
    };
    survey.severities.iter().take(6).map(count).collect()
}

/// The filters in effect, each with the view without it.
fn chosen(wish: &Wish) -> Vec<Chosen> {
    let matchers = wish.matchers.iter().map(|matcher| Chosen {
        text: matcher.to_string(),
        without: wish.link_with(|wish| wish.matchers.retain(|other| other != matcher)),
    });
    let words = wish.words.iter().map(|word| Chosen {
        text: quoted(word),
        without: wish.link_with(|wish| wish.words.retain(|other| other != word)),
    });
    matchers.chain(words).collect()
}

/// The receivers that routes name; a pattern that is none of them stays chosen.
fn receivers(app: &App, wish: &Wish) -> Vec<Choice> {
    let config = app.engine.config();
    let mut names: Vec<&str> = config.routes.iter().map(|(_, route)| &*route.receiver).collect();
    names.sort_unstable();
    names.dedup();
    let choice = |name: &&str| {
        let value = quote_regexp(name);
        Choice {
            name: (*name).to_owned(),
            on: value == wish.receiver || **name == wish.receiver,
            value,
        }
    };
    let mut choices: Vec<Choice> = names.iter().map(choice).collect();
    if !wish.receiver.is_empty() && !choices.iter().any(|choice| choice.on) {
        let (name, value) = (format!("~ {}", wish.receiver), wish.receiver.clone());
        choices.push(Choice { name, value, on: true });
    }
    choices
}
