//! `/silences/new` and `/silences/ID/edit`: the form. The server computes everything: of start, length and end the two
//! that were not touched follow the one that was, and the preview says what is covered.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use http::{Response, StatusCode};
use hyper::body::Incoming;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tocsin_core::label::{Fingerprint, Labels};
use tocsin_core::matcher::{MatchOp, Matcher, Matchers};
use tocsin_core::silence::{self, Edit, RawMatcher, Silence, SilenceInput, State};
use tocsin_core::time;
use tocsin_service::duration::format_duration;
use tocsin_service::web::Body;

use super::alert::shell;
use super::frame::{Frame, page_with, see_other};
use super::labels::Row;
use super::silences::{affected, form as read_form};
use super::wish::Wish;
use super::words;
use crate::api::{App, Asked, Query};
use crate::message::quote_regexp;

const LENGTH: Duration = Duration::from_secs(2 * 3600);
/// Matchers of one form.
const ROWS_MAX: usize = 64;
/// Label values offered for one name.
const OFFERED_MAX: usize = 60;
/// One click each: what it says, and what it means.
const QUICK: [(&str, &str); 6] = [
    ("15 min", "15m"),
    ("1 h", "1h"),
    ("4 h", "4h"),
    ("1 d", "1d"),
    ("tomorrow 9:00", "tomorrow 9:00"),
    ("1 week", "1w"),
];

#[derive(Template)]
#[template(path = "silence_form.html", whitespace = "minimize")]
struct FormPage {
    f: Frame,
    id: String,
    form: Form,
    quick: [(&'static str, &'static str); 6],
    names: Vec<String>,
    preview: Option<Preview>,
    forced: bool,
    amtool: String,
    curl: String,
    copy: String,
}

/// What the fields hold.
#[derive(Default, Clone)]
struct Form {
    rows: Vec<MatcherRow>,
    /// As the fields have them; an empty start is now.
    starts: String,
    length: String,
    ends: String,
    /// Which of `length` and `ends` was chosen; the other follows.
    by: &'static str,
    start_at: Option<Timestamp>,
    end_at: Option<Timestamp>,
    zone: String,
    creator: String,
    comment: String,
    mistakes: Vec<(&'static str, String)>,
    /// Kept, not shown for editing.
    annotations: Vec<(String, String)>,
}

#[derive(Default, Clone)]
struct MatcherRow {
    name: String,
    op: String,
    value: String,
    values: Vec<String>,
}

struct Preview {
    rows: Vec<Row>,
    count: usize,
    firing: usize,
    /// What happens to the silence that is edited.
    change: &'static str,
}

impl Form {
    fn mistake(&self, field: &str) -> &str {
        self.mistakes.iter().find(|(name, _)| *name == field).map_or("", |(_, text)| text)
    }

    fn zone_shown(&self) -> &str {
        if self.zone.is_empty() { "UTC" } else { &self.zone }
    }
}

/// A moment as a date field has it.
fn field(at: Timestamp, zone: &TimeZone) -> String {
    zone.to_datetime(at).strftime("%Y-%m-%dT%H:%M").to_string()
}

fn moment(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at);
    }
    let at: jiff::civil::DateTime = text.trim().parse().ok()?;
    zone.to_timestamp(at).ok()
}

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap_or(TimeZone::UTC)
}

/// The form as a link opens it.
pub(super) fn page(app: &Arc<App>, asked: &Asked<'_>, id: Option<&str>) -> Response<Body> {
    let query = asked.query;
    let here = zone(query.last("zone"));
    let mut form = Form { zone: query.last("zone").to_owned(), ..Form::default() };
    let from = id.or_else(|| Some(query.last("recreate")).filter(|id| !id.is_empty()));
    let known = from.and_then(|id| app.engine.silence(id));
    if id.is_some() && known.is_none() {
        return super::frame::not_found(app, asked);
    }
    if let Some(answer) = refuse_sets(app, asked, known.as_deref()) {
        return answer;
    }
    (form.length, form.by) = (format_duration(LENGTH), "length");
    if let Some(known) = &known {
        form.rows = known.matcher_sets.iter().flat_map(|set| set.iter()).map(row_of).collect();
        form.creator = known.created_by.to_string();
        form.comment = known.comment.to_string();
        form.annotations =
            known.annotations.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        if id.is_some() && known.state(asked.now) != State::Expired {
            form.starts = field(known.starts_at, &here);
            form.ends = field(known.ends_at, &here);
            form.by = "ends";
        }
    } else {
        prefill(app, query, &mut form);
    }
    if !query.last("duration").is_empty() {
        (form.length, form.by) = (query.last("duration").to_owned(), "length");
    }
    follow(&mut form, known.as_deref().filter(|_| id.is_some()), asked.now);
    show(app, asked, id, form, true, StatusCode::OK)
}

/// Makes of `length` and `ends` the one that was not chosen follow the other. A moment that a field shows as it is in
/// `current` is that very moment: fields have no seconds.
fn follow(form: &mut Form, current: Option<&Silence>, now: Timestamp) {
    let here = zone(&form.zone);
    let read = |text: &str, known: Option<Timestamp>| match known {
        Some(known) if field(known, &here) == text => Some(known),
        _ => moment(text, &here),
    };
    form.start_at = read(&form.starts, current.map(|silence| silence.starts_at));
    if form.start_at.is_none() && !form.starts.is_empty() {
        form.mistakes.push(("starts", "this is no date and time".to_owned()));
    }
    let from = form.start_at.unwrap_or(now);
    if form.by == "ends" {
        form.end_at = read(&form.ends, current.map(|silence| silence.ends_at));
        match form.end_at {
            Some(ends) => form.length = format_duration(minutes(time::since(ends, from))),
            None => form.mistakes.push(("ends", "this is no date and time".to_owned())),
        }
        return;
    }
    form.end_at = words::end(&form.length, from, now, &here);
    match form.end_at {
        Some(ends) => form.ends = field(ends, &here),
        None => {
            let say = "say 90m, 2 hours, 1d 12h, 18:00 or tomorrow 9:00";
            form.mistakes.push(("length", say.to_owned()));
        }
    }
}

/// To the full minute.
fn minutes(length: Duration) -> Duration {
    Duration::from_secs((length.as_secs() + 30) / 60 * 60)
}

fn row_of(matcher: &Matcher) -> MatcherRow {
    MatcherRow {
        name: matcher.name().to_owned(),
        op: matcher.op().as_str().to_owned(),
        value: matcher.value().to_owned(),
        values: Vec::new(),
    }
}

/// From the parameters of old and new links: `filter`, `alert` (any number), `comment`, `creator`.
fn prefill(app: &App, query: &Query<'_>, form: &mut Form) {
    let wish = Wish::read(query, app.engine.matcher_mode());
    form.rows = wish.matchers.iter().map(row_of).collect();
    if let Some((text, why)) = wish.mistakes.first() {
        form.mistakes.push(("matchers", format!("{text}: {why}")));
    }
    let wanted: Vec<Fingerprint> =
        query.all("alert").filter_map(|text| text.parse().ok()).collect();
    let mut sets = Vec::new();
    app.engine.each_alert(&wanted, |view| sets.push(Labels::new(view.alert.labels())));
    if !wanted.is_empty() && sets.is_empty() {
        form.mistakes.push(("matchers", "the alert does not fire any more".to_owned()));
    }
    form.rows.extend(common(&sets));
    form.creator = query.last("creator").to_owned();
    form.comment = query.last("comment").to_owned();
    if form.comment.is_empty()
        && let Some(first) = sets.first()
    {
        form.comment = match first.get("alertname") {
            name if sets.iter().all(|set| set.get("alertname") == name) => {
                format!("Acknowledged: {name}")
            }
            _ => format!("Acknowledged: {} alerts", sets.len()),
        };
    }
}

/// Matchers that hold for all of the alerts: labels that all have, with the one value or with a choice of values.
fn common(sets: &[Labels]) -> Vec<MatcherRow> {
    let Some(first) = sets.first() else { return Vec::new() };
    let mut rows = Vec::new();
    for (name, value) in first.iter().filter(|(name, _)| sets.iter().all(|set| set.has(name))) {
        let values: BTreeSet<&str> = sets.iter().map(|set| set.get(name)).collect();
        let (op, value) = match values.len() {
            1 => (MatchOp::Equal, value.to_owned()),
            _ => {
                let choice: Vec<String> = values.into_iter().map(quote_regexp).collect();
                (MatchOp::Regex, choice.join("|"))
            }
        };
        rows.push(MatcherRow {
            name: name.to_owned(),
            op: op.as_str().to_owned(),
            value,
            values: Vec::new(),
        });
    }
    rows.sort_by_key(|row| row.name != "alertname");
    rows
}

/// Takes what was sent: computes, previews, and stores when that was asked.
pub(super) async fn post(
    app: &Arc<App>,
    asked: &Asked<'_>,
    id: Option<&str>,
    body: Incoming,
) -> Response<Body> {
    let text = match read_form(app, asked, body).await {
        Ok(text) => text,
        Err(answer) => return answer,
    };
    let sent = Query::parse(&text);
    let current = id.and_then(|id| app.engine.silence(id));
    if let Some(answer) = refuse_sets(app, asked, current.as_deref()) {
        return answer;
    }
    let mut form = read(&sent, current.as_deref(), asked.now);
    if let Some(name) = forced_creator(app, asked) {
        form.creator = name;
    }
    if sent.last("do") != "save" {
        return show(app, asked, id, form, false, StatusCode::OK);
    }
    let Some(input) = input(&mut form, id, asked.now) else {
        return show(app, asked, id, form, false, StatusCode::BAD_REQUEST);
    };
    match app.engine.set_silence(input).await {
        Ok(set) => {
            let up = if id.is_some() { "../../" } else { "../" };
            let done = if id.is_some() { "updated" } else { "created" };
            see_other(&format!("{up}silences/{}?done={done}", set.id))
        }
        Err(error) => {
            form.mistakes.push(("matchers", error.to_string()));
            show(app, asked, id, form, false, StatusCode::BAD_REQUEST)
        }
    }
}

/// A silence of several sets of matchers is more than the form can show.
fn refuse_sets(
    app: &Arc<App>,
    asked: &Asked<'_>,
    silence: Option<&Silence>,
) -> Option<Response<Body>> {
    silence.filter(|silence| silence.matcher_sets.len() > 1)?;
    let text = "It has several sets of matchers, of which any may match. Extend or expire it here, edit it with the API.";
    Some(super::frame::error(app, asked, StatusCode::CONFLICT, "This silence has no form", text))
}

/// The name that a proxy in front vouches for.
fn forced_creator(app: &App, asked: &Asked<'_>) -> Option<String> {
    let header = app.engine.options().web.creator_header.as_deref()?;
    let value = asked.head.headers.get(header)?.to_str().ok()?;
    Some(value.to_owned()).filter(|name| !name.is_empty())
}

/// Reads the fields. What differs from what was shown was chosen; the others follow.
fn read(sent: &Query<'_>, current: Option<&Silence>, now: Timestamp) -> Form {
    let text = |name: &str| sent.last(name).trim().to_owned();
    let names = sent.all("name").zip(sent.all("op")).zip(sent.all("value"));
    let remove: Option<usize> = sent.last("remove").parse().ok();
    let rows =
        names.enumerate().filter(|(at, _)| remove != Some(*at)).map(|(_, ((name, op), value))| {
            MatcherRow {
                name: name.trim().to_owned(),
                op: op.to_owned(),
                value: value.to_owned(),
                values: Vec::new(),
            }
        });
    let mut form = Form {
        rows: rows
            .filter(|row| !row.name.is_empty() || !row.value.is_empty())
            .take(ROWS_MAX)
            .collect(),
        starts: text("starts"),
        length: text("length"),
        ends: text("ends"),
        zone: text("zone"),
        creator: text("creator"),
        comment: text("comment"),
        annotations: sent
            .all("annotation")
            .filter_map(|pair| pair.split_once('='))
            .map(|(n, v)| (n.to_owned(), v.to_owned()))
            .collect(),
        ..Form::default()
    };
    let quick = text("quick");
    form.by = if form.ends != text("was_ends") { "ends" } else { "length" };
    if form.by == "length" && form.length == text("was_length") && sent.last("by") == "ends" {
        form.by = "ends";
    }
    if !quick.is_empty() {
        (form.length, form.by) = (quick, "length");
    }
    follow(&mut form, current, now);
    form
}

/// What is stored, or the mistakes put into the form.
fn input(form: &mut Form, id: Option<&str>, now: Timestamp) -> Option<SilenceInput> {
    let (starts, ends) = (form.start_at, form.end_at);
    let mut wrong = |field, text: &str| form.mistakes.push((field, text.to_owned()));
    match ends {
        Some(ends) if ends <= starts.unwrap_or(now) => {
            wrong("ends", "the end must be after the start");
        }
        Some(ends) if ends < now => wrong("ends", "the end is in the past"),
        _ => {}
    }
    if form.creator.is_empty() {
        wrong("creator", "say who you are");
    }
    if form.comment.is_empty() {
        wrong("comment", "say why, for whoever looks at this at night");
    }
    if form.rows.iter().any(|row| row.name.is_empty()) {
        wrong("matchers", "every matcher needs the name of a label");
    }
    if form.rows.is_empty() {
        wrong("matchers", "at least one matcher is needed");
    }
    if !form.mistakes.is_empty() {
        return None;
    }
    Some(SilenceInput {
        id: id.unwrap_or("").into(),
        matcher_sets: vec![form.rows.iter().map(raw).collect()],
        starts_at: starts,
        ends_at: ends,
        created_by: form.creator.as_str().into(),
        comment: form.comment.as_str().into(),
        annotations: Labels::new(form.annotations.iter().map(|(n, v)| (n.as_str(), v.as_str()))),
    })
}

fn raw(row: &MatcherRow) -> RawMatcher {
    let op = match row.op.as_str() {
        "!=" => MatchOp::NotEqual,
        "=~" => MatchOp::Regex,
        "!~" => MatchOp::NotRegex,
        _ => MatchOp::Equal,
    };
    RawMatcher { name: row.name.as_str().into(), op, value: row.value.as_str().into() }
}

fn show(
    app: &Arc<App>,
    asked: &Asked<'_>,
    id: Option<&str>,
    mut form: Form,
    is_fresh: bool,
    status: StatusCode,
) -> Response<Body> {
    let forced = forced_creator(app, asked);
    if let Some(name) = &forced {
        form.creator.clone_from(name);
    }
    let preview = preview(app, asked, id, &mut form, is_fresh);
    let names = offer(app, &mut form);
    if form.rows.is_empty() || form.rows.last().is_some_and(|row| !row.name.is_empty()) {
        form.rows.push(MatcherRow { op: "=".to_owned(), ..MatcherRow::default() });
    }
    let filled: Vec<&MatcherRow> = form.rows.iter().filter(|row| !row.name.is_empty()).collect();
    let amtool: Vec<String> =
        filled.iter().map(|row| shell(&format!("{}{}{}", row.name, row.op, row.value))).collect();
    let matchers: Vec<String> =
        filled.iter().filter_map(|row| compile(row)).map(|matcher| matcher.to_string()).collect();
    let filter = format!("{{{}}}", matchers.join(","));
    let pairs =
        [("filter", filter.as_str()), ("duration", &form.length), ("comment", &form.comment)];
    let page = FormPage {
        f: Frame::new(app, asked, "silences", "cluster"),
        id: id.unwrap_or("").to_owned(),
        quick: QUICK,
        names,
        preview,
        forced: forced.is_some(),
        amtool: format!(
            "amtool silence add --author {} --comment {} --duration {} {}",
            shell(&form.creator),
            shell(&form.comment),
            shell(&form.length),
            amtool.join(" ")
        ),
        curl: curl(app, &form),
        copy: format!("silences/new{}", super::link::query(pairs)),
        form,
    };
    page_with(asked, status, &page)
}

fn curl(app: &App, form: &Form) -> String {
    let at = |at: Option<Timestamp>| at.map(time::rfc3339_seconds).unwrap_or_default();
    let matchers: Vec<_> = form.rows.iter().filter(|row| !row.name.is_empty()).map(raw).map(|raw| {
        serde_json::json!({"name": &*raw.name, "value": &*raw.value, "isRegex": raw.op.is_regex(), "isEqual": raw.op.is_equal()})
    }).collect();
    let body = serde_json::json!({
        "matchers": matchers, "startsAt": at(Some(form.start_at.unwrap_or_else(|| app.engine.now()))), "endsAt": at(form.end_at),
        "createdBy": form.creator, "comment": form.comment,
    });
    let url = format!("{}/api/v2/silences", app.engine.external_url());
    format!(
        "curl -H 'Content-Type: application/json' -d {} {}",
        shell(&body.to_string()),
        shell(&url)
    )
}

fn compile(row: &MatcherRow) -> Option<Matcher> {
    let raw = raw(row);
    Matcher::new(raw.name, raw.op, raw.value).ok()
}

/// What the matchers select now; none when they are not right yet.
fn preview(
    app: &App,
    asked: &Asked<'_>,
    id: Option<&str>,
    form: &mut Form,
    is_fresh: bool,
) -> Option<Preview> {
    let rows: Vec<RawMatcher> =
        form.rows.iter().filter(|row| !row.name.is_empty()).map(raw).collect();
    if rows.is_empty() {
        return None;
    }
    let sets = [rows];
    let compiled = match silence::check_sets(&sets, app.engine.matcher_mode().names()) {
        Ok(sets) => sets,
        Err(error) => {
            if !form.mistakes.iter().any(|(field, _)| *field == "matchers") {
                form.mistakes.push(("matchers", error.to_string()));
            }
            return None;
        }
    };
    let matchers = compiled.into_iter().next().unwrap_or_default();
    let (rows, count) = affected(app, asked.now, |view| matchers.matches(&view.alert));
    let firing = app.engine.find_alerts(&crate::engine::AlertQuery::default()).len();
    let change = if is_fresh { "" } else { change(app, id, form, &matchers, asked.now) };
    Some(Preview { rows, count, firing, change })
}

/// What storing does to the silence that is edited, decided by the same function that will do it.
fn change(
    app: &App,
    id: Option<&str>,
    form: &Form,
    matchers: &Matchers,
    now: Timestamp,
) -> &'static str {
    let Some(current) = id.and_then(|id| app.engine.silence(id)) else { return "" };
    let input = SilenceInput {
        id: current.id.clone(),
        matcher_sets: vec![matchers.iter().map(|m| raw(&row_of(m))).collect()],
        starts_at: form.start_at,
        ends_at: form.end_at,
        ..super::silences::again(&current)
    };
    match silence::edit(input, Some(&current), now, app.engine.matcher_mode().names(), || "".into())
    {
        Ok(Edit::Update(_)) => "The silence is changed in place and keeps its address.",
        Ok(Edit::Create { ended: Some(_), .. }) => {
            "The old silence ends now and a new one with its own address begins."
        }
        Ok(Edit::Create { ended: None, .. }) => {
            "The old silence has ended; a new one with its own address begins."
        }
        Err(_) => "",
    }
}

/// Label names for completion, and for each row the values of its name.
fn offer(app: &App, form: &mut Form) -> Vec<String> {
    let found = app.engine.find_alerts(&crate::engine::AlertQuery::default());
    let mut names = BTreeSet::new();
    let mut values: Vec<BTreeSet<String>> = vec![BTreeSet::new(); form.rows.len()];
    for part in found.get(..2000).unwrap_or(&found).chunks(256) {
        app.engine.each_alert(part, |view| {
            for (name, value) in view.alert.labels() {
                if !names.contains(name) && names.len() < OFFERED_MAX {
                    names.insert(name.to_owned());
                }
                for (row, values) in form.rows.iter().zip(&mut values) {
                    if row.name == name && values.len() < OFFERED_MAX && value.len() < 200 {
                        values.insert(value.to_owned());
                    }
                }
            }
        });
    }
    for (row, values) in form.rows.iter_mut().zip(values) {
        row.values = values.into_iter().collect();
    }
    names.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-11-24T14:00:00Z";

    fn sent(text: &str) -> Form {
        read(&Query::parse(text), None, NOW.parse().unwrap())
    }

    #[test]
    fn what_was_touched_moves_the_other() {
        let shown = "starts=&was_ends=2026-11-24T16:00&was_length=2h&by=length";
        let end = |text: &str| sent(&format!("{shown}&{text}")).end_at.unwrap().to_string();
        assert_eq!(end("ends=2026-11-24T16:00&length=2h"), "2026-11-24T16:00:00Z");
        assert_eq!(end("ends=2026-11-24T16:00&length=4+hours"), "2026-11-24T18:00:00Z");
        assert_eq!(end("ends=2026-11-24T16:00&length=2h&quick=1d"), "2026-11-25T14:00:00Z");
        let ends = sent(&format!("{shown}&ends=2026-11-24T20:30&length=2h"));
        assert_eq!((ends.length.as_str(), ends.by), ("6h30m", "ends"));
        let later = sent(
            "starts=2026-11-25T14:00&was_ends=2026-11-24T16:00&was_length=2h&ends=2026-11-24T16:00&length=2h",
        );
        assert_eq!(later.ends, "2026-11-25T16:00", "the length stays");
        let fixed = sent(
            "starts=&was_ends=2026-11-24T20:30&was_length=6h30m&ends=2026-11-24T20:30&length=6h30m&by=ends",
        );
        assert_eq!(fixed.by, "ends", "a chosen end stays");
    }

    #[test]
    fn several_alerts_share_one_silence() {
        let a = Labels::from([("alertname", "Down"), ("instance", "a:1"), ("job", "x")]);
        let b = Labels::from([("alertname", "Down"), ("instance", "b:1")]);
        let rows = common(&[a, b]);
        let texts: Vec<String> =
            rows.iter().map(|r| format!("{}{}{}", r.name, r.op, r.value)).collect();
        assert_eq!(texts, ["alertname=Down", "instance=~a:1|b:1"]);
    }
}
