//! `/silences` and `/silences/ID`: what is kept quiet, by whom and why, for how long, and what it covers now.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use http::{Response, StatusCode};
use hyper::body::Incoming;
use jiff::Timestamp;
use tocsin_core::matcher::Matcher;
use tocsin_core::silence::{RawMatcher, Silence, SilenceInput, State};
use tocsin_core::time;
use tocsin_service::web::{Body, read_body};

use super::frame::{Frame, error, not_found, page as answer, see_other};
use super::labels::{self, Row};
use super::link;
use super::when::{When, span};
use super::wish::Wish;
use super::words;
use crate::api::{App, Asked, Query};
use crate::engine::{AlertQuery, SilenceError};

/// Silences on one page.
const SHOWN_MAX: usize = 50;
/// Affected alerts that are shown.
pub(super) const AFFECTED_MAX: usize = 50;
/// A form is smaller.
pub(super) const FORM_MAX_BYTES: usize = 1 << 20;
/// Soon.
const SOON: Duration = Duration::from_secs(3600);
const STATES: [State; 3] = [State::Active, State::Pending, State::Expired];

#[derive(Template)]
#[template(path = "silences.html", whitespace = "minimize")]
struct SilencesPage {
    f: Frame,
    tabs: Vec<Tab>,
    state: &'static str,
    filter: String,
    text: String,
    idle: bool,
    mistake: String,
    done: String,
    count: usize,
    silences: Vec<Shown>,
    previous: String,
    next: String,
}

struct Tab {
    name: &'static str,
    count: usize,
    on: bool,
    to: String,
}

/// A silence as a row.
pub(super) struct Shown {
    pub(super) id: String,
    pub(super) state: &'static str,
    pub(super) sets: Vec<Vec<String>>,
    pub(super) comment: String,
    pub(super) creator: String,
    pub(super) starts: When,
    pub(super) ends: When,
    pub(super) starts_exact: When,
    pub(super) ends_exact: When,
    pub(super) updated: When,
    pub(super) left: String,
    /// Percent of its time that is over.
    pub(super) over: u64,
    pub(super) soon: bool,
    /// Alerts that it matches now.
    pub(super) affects: usize,
    pub(super) annotations: Vec<(String, String)>,
    /// The alerts page with what it covers.
    pub(super) to: String,
}

fn shown(silence: &Silence, now: Timestamp, affects: usize) -> Shown {
    let length = time::since(silence.ends_at, silence.starts_at).as_secs().max(1);
    let passed = time::since(now, silence.starts_at).as_secs();
    let left = time::since(silence.ends_at, now);
    let sets = silence.matcher_sets.iter().map(|set| set.iter().map(ToString::to_string).collect());
    let filter = silence.matcher_sets.first().map(ToString::to_string).unwrap_or_default();
    let pairs = [
        ("silenced", "true"),
        ("inhibited", "true"),
        ("muted", "true"),
        ("active", "true"),
        ("filter", filter.as_str()),
    ];
    Shown {
        id: silence.id.to_string(),
        state: silence.state(now).as_str(),
        sets: sets.collect(),
        comment: silence.comment.to_string(),
        creator: silence.created_by.to_string(),
        starts: When::distance(silence.starts_at, now),
        ends: When::distance(silence.ends_at, now),
        starts_exact: When::moment(silence.starts_at),
        ends_exact: When::moment(silence.ends_at),
        updated: When::distance(silence.updated_at, now),
        left: span(left),
        over: (passed * 100 / length).min(100),
        soon: silence.state(now) == State::Active && left < SOON,
        affects,
        annotations: silence
            .annotations
            .iter()
            .map(|(n, v)| (n.to_owned(), v.to_owned()))
            .collect(),
        to: format!("alerts{}", link::query(pairs)),
    }
}

/// How many firing alerts each of these matches, whatever its state.
fn affected_counts(app: &App, silences: &[&Arc<Silence>]) -> Vec<usize> {
    let mut counts = vec![0; silences.len()];
    let active: HashMap<&str, usize> =
        silences.iter().enumerate().map(|(at, one)| (&*one.id, at)).collect();
    let now = app.engine.now();
    let asleep: Vec<usize> =
        (0..silences.len()).filter(|at| silences[*at].state(now) != State::Active).collect();
    let found = app.engine.find_alerts(&AlertQuery::default());
    for part in found.chunks(256) {
        app.engine.each_alert(part, |view| {
            for at in view.silenced_by.iter().filter_map(|id| active.get(&**id)) {
                counts[*at] += 1;
            }
            for at in &asleep {
                counts[*at] += usize::from(silences[*at].matches(&view.alert));
            }
        });
    }
    counts
}

/// Whether a silence contains these very matchers.
fn contains(silence: &Silence, wanted: &[Matcher]) -> bool {
    wanted.iter().all(|wanted| silence.matcher_sets.iter().any(|set| set.0.contains(wanted)))
}

fn holds_text(silence: &Silence, text: &str) -> bool {
    let texts = [&*silence.comment, &*silence.created_by, &*silence.id];
    text.is_empty()
        || texts.iter().any(|one| one.to_lowercase().contains(text))
        || silence.matcher_sets.iter().any(|set| set.to_string().to_lowercase().contains(text))
}

/// The list.
pub(super) fn page(app: &Arc<App>, asked: &Asked<'_>) -> Response<Body> {
    let query = asked.query;
    let wish = Wish::read(query, app.engine.matcher_mode());
    let text = wish.words.join(" ");
    let idle = query.last("affects") == "none";
    let is_wanted = |one: &Silence| contains(one, &wish.matchers) && holds_text(one, &text);
    let mut all = app.engine.find_silences(is_wanted);
    let state =
        STATES.into_iter().find(|one| one.as_str() == query.last("state")).unwrap_or(State::Active);
    let turned = |state: State, page: usize| link_to(&wish, idle, state, page);
    let tabs = STATES.map(|one| Tab {
        name: one.as_str(),
        count: all.iter().filter(|silence| silence.state(asked.now) == one).count(),
        on: one == state,
        to: turned(one, 0),
    });
    all.retain(|one| one.state(asked.now) == state);
    match state {
        State::Active => all.sort_by_key(|one| (one.ends_at, one.id.clone())),
        State::Pending => all.sort_by_key(|one| (one.starts_at, one.id.clone())),
        State::Expired => all.sort_by_key(|one| (std::cmp::Reverse(one.ends_at), one.id.clone())),
    }
    let mut rows: Vec<&Arc<Silence>> = all.iter().collect();
    if idle {
        let counts = affected_counts(app, &rows);
        let mut counts = counts.into_iter();
        rows.retain(|_| counts.next() == Some(0));
    }
    let count = rows.len();
    let first = wish.page * SHOWN_MAX;
    let rows: Vec<_> = rows.into_iter().skip(first).take(SHOWN_MAX).collect();
    let counts = affected_counts(app, &rows);
    let has_next = count > first + rows.len();
    answer(
        asked,
        &SilencesPage {
            f: Frame::new(app, asked, "silences", "silences alerts"),
            tabs: tabs.into(),
            state: state.as_str(),
            filter: wish.filter(),
            text,
            idle,
            mistake: wish
                .mistakes
                .first()
                .map(|(text, why)| format!("{text}: {why}"))
                .unwrap_or_default(),
            done: done(query),
            count,
            silences: rows
                .iter()
                .zip(counts)
                .map(|(one, count)| shown(one, asked.now, count))
                .collect(),
            previous: if wish.page > 0 { turned(state, wish.page - 1) } else { String::new() },
            next: if has_next { turned(state, wish.page + 1) } else { String::new() },
        },
    )
}

fn link_to(wish: &Wish, idle: bool, state: State, page: usize) -> String {
    let (filter, text, page) = (wish.filter(), wish.words.join(" "), page.to_string());
    let pairs = [
        ("state", state.as_str()),
        ("filter", &filter),
        ("filter", &text),
        ("affects", if idle { "none" } else { "" }),
        ("page", if page == "0" { "" } else { &page }),
    ];
    format!("silences{}", link::query(pairs.into_iter().filter(|(_, value)| !value.is_empty())))
}

/// What a form has just done, as a sentence.
fn done(query: &Query<'_>) -> String {
    let silences = |count: &str| {
        if count == "1" { "1 silence".to_owned() } else { format!("{count} silences") }
    };
    let count = query.last("count").parse::<u32>().unwrap_or(1).to_string();
    match query.last("done") {
        "created" => "The silence is in effect on this node and stored with its peers.".to_owned(),
        "updated" => "The silence was changed.".to_owned(),
        "expired" => format!("{} ended.", silences(&count)),
        "extended" => format!("{} extended.", silences(&count)),
        "none" => "Nothing was selected.".to_owned(),
        _ => String::new(),
    }
}

#[derive(Template)]
#[template(path = "silence.html", whitespace = "minimize")]
struct SilencePage {
    f: Frame,
    s: Shown,
    done: String,
    affected: Vec<Row>,
    amtool: String,
}

/// One silence.
pub(super) fn one(app: &Arc<App>, asked: &Asked<'_>, id: &str) -> Response<Body> {
    let Some(silence) = app.engine.silence(id) else { return gone(app, asked) };
    let (affected, count) = affected(app, asked.now, |view| silence.matches(&view.alert));
    answer(
        asked,
        &SilencePage {
            f: Frame::new(app, asked, "silences", "silences alerts"),
            s: shown(&silence, asked.now, count),
            done: done(asked.query),
            affected,
            amtool: format!("amtool silence expire {id}"),
        },
    )
}

/// The first alerts that `wanted` likes, and how many there are.
pub(super) fn affected(
    app: &App,
    now: Timestamp,
    wanted: impl Fn(&crate::engine::AlertView<'_>) -> bool,
) -> (Vec<Row>, usize) {
    let (mut rows, mut count) = (Vec::new(), 0);
    let found = app.engine.find_alerts(&AlertQuery::default());
    for part in found.chunks(256) {
        app.engine.each_alert(part, |view| {
            if wanted(view) {
                count += 1;
                if rows.len() < AFFECTED_MAX {
                    rows.push(labels::row(&app.engine, view, &[], now));
                }
            }
        });
    }
    rows.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| a.chips.cmp(&b.chips)));
    (rows, count)
}

fn gone(app: &Arc<App>, asked: &Asked<'_>) -> Response<Body> {
    let text = "It was never made here, or it ended so long ago that it is forgotten.";
    error(app, asked, StatusCode::NOT_FOUND, "There is no such silence", text)
}

/// Reads the body of a form.
pub(super) async fn form(
    app: &App,
    asked: &Asked<'_>,
    body: Incoming,
) -> Result<String, Response<Body>> {
    match read_body(body, FORM_MAX_BYTES).await {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(mistake) => {
            let status = StatusCode::PAYLOAD_TOO_LARGE;
            Err(error(app, asked, status, "The form could not be read", &mistake.to_string()))
        }
    }
}

/// Ends or extends one silence.
pub(super) async fn act(
    app: &Arc<App>,
    asked: &Asked<'_>,
    id: &str,
    body: Incoming,
) -> Response<Body> {
    let text = match form(app, asked, body).await {
        Ok(text) => text,
        Err(answer) => return answer,
    };
    let form = Query::parse(&text);
    match change(app, id, &form).await {
        Ok(done) => see_other(&format!("../silences/{id}?done={done}")),
        Err(SilenceError::NotFound) => gone(app, asked),
        Err(mistake) => refused(app, asked, &mistake),
    }
}

/// Ends or extends those that are ticked.
pub(super) async fn bulk(app: &Arc<App>, asked: &Asked<'_>, body: Incoming) -> Response<Body> {
    let text = match form(app, asked, body).await {
        Ok(text) => text,
        Err(answer) => return answer,
    };
    let form = Query::parse(&text);
    let (mut count, mut did) = (0, "none");
    for id in form.all("id") {
        match change(app, id, &form).await {
            Ok(done) => (count, did) = (count + 1, done),
            // Somebody was faster.
            Err(SilenceError::NotFound) => {}
            Err(mistake) => return refused(app, asked, &mistake),
        }
    }
    let state =
        STATES.into_iter().find(|one| one.as_str() == form.last("state")).unwrap_or(State::Active);
    see_other(&format!("silences?state={}&done={did}&count={count}", state.as_str()))
}

fn refused(app: &Arc<App>, asked: &Asked<'_>, mistake: &SilenceError) -> Response<Body> {
    let status = match mistake {
        SilenceError::NotFound => return not_found(app, asked),
        SilenceError::Invalid(_) => StatusCode::BAD_REQUEST,
        SilenceError::Lost => StatusCode::INTERNAL_SERVER_ERROR,
    };
    error(app, asked, status, "The silence was not changed", &mistake.to_string())
}

/// Does what the form's button says; answers what was done.
async fn change(app: &App, id: &str, form: &Query<'_>) -> Result<&'static str, SilenceError> {
    if form.last("do") != "extend" {
        app.engine.expire_silence(id).await?;
        return Ok("expired");
    }
    let silence = app.engine.silence(id).ok_or(SilenceError::NotFound)?;
    let by = words::span(form.last("by")).unwrap_or(Duration::from_secs(3600));
    let input = SilenceInput { ends_at: Some(time::add(silence.ends_at, by)), ..again(&silence) };
    app.engine.set_silence(input).await?;
    Ok("extended")
}

/// What is posted to leave a silence as it is.
pub(super) fn again(silence: &Silence) -> SilenceInput {
    let raw = |one: &Matcher| RawMatcher {
        name: one.name().into(),
        op: one.op(),
        value: one.value().into(),
    };
    SilenceInput {
        id: silence.id.clone(),
        matcher_sets: silence
            .matcher_sets
            .iter()
            .map(|set| set.iter().map(raw).collect())
            .collect(),
        starts_at: Some(silence.starts_at),
        ends_at: Some(silence.ends_at),
        created_by: silence.created_by.clone(),
        comment: silence.comment.clone(),
        annotations: silence.annotations.clone(),
    }
}
