//! The pages: complete HTML from the server, without a script.

use std::sync::{Arc, LazyLock};

use askama::Template;
use http::{HeaderValue, Response, StatusCode, header};
use tocsin_cluster::ClusterStatus;
use tocsin_core::{matcher::parse_matchers, silence::State};
use tocsin_service::web::Body;

use crate::{
    api::{App, Query},
    engine::{AlertQuery, AlertView},
};

/// Alerts on one page.
const ALERTS_MAX: usize = 500;

const STYLE: &str = include_str!("assets/style.css");
const ICON: &[u8] = include_bytes!("assets/favicon.ico");

/// The name of the style sheet changes with its contents, so that it can be kept for a year.
static STYLE_NAME: LazyLock<String> =
    LazyLock::new(|| format!("style-{:016x}.css", xxhash_rust::xxh3::xxh3_64(STYLE.as_bytes())));

#[derive(Template)]
#[template(path = "index.html")]
struct Index {
    prefix: String,
    style: &'static str,
    health: &'static str,
    summary: String,
    /// Why the last reload failed, or empty.
    reload: String,
    filter: String,
    mistake: String,
    firing: usize,
    suppressed: usize,
    hidden: usize,
    alerts: Vec<ShownAlert>,
    silences: Vec<ShownSilence>,
    version: &'static str,
    started: String,
    status: &'static str,
    reason: String,
    peers: Vec<ShownPeer>,
    config: String,
    now: String,
}

struct ShownAlert {
    name: String,
    state: &'static str,
    since: String,
    summary: String,
    labels: Vec<(String, String)>,
    receivers: String,
    because: String,
    source: String,
}

struct ShownSilence {
    id: String,
    state: &'static str,
    matchers: String,
    until: String,
    creator: String,
    comment: String,
}

struct ShownPeer {
    name: String,
    address: String,
    state: &'static str,
    ready: bool,
    me: bool,
}

/// Everything at a glance.
pub(crate) fn index(app: &Arc<App>, query: &Query<'_>) -> Response<Body> {
    let engine = &app.engine;
    let filter = query.last("filter").to_owned();
    let mut mistake = String::new();
    let mut wanted = AlertQuery::default();
    if !filter.is_empty() {
        match parse_matchers(&filter, engine.matcher_mode()) {
            Ok(parsed) => wanted.matchers = parsed.value.0,
            Err(error) => mistake = error.to_string(),
        }
    }
    let found = engine.find_alerts(&wanted);
    let mut alerts = Vec::new();
    let (mut firing, mut suppressed) = (0, 0);
    for part in found.chunks(128) {
        engine.each_alert(part, |view| {
            firing += 1;
            suppressed += usize::from(view.is_suppressed());
            if alerts.len() < ALERTS_MAX {
                alerts.push(shown_alert(view));
            }
        });
    }
    alerts.sort_by(|a, b| a.name.cmp(&b.name));
    let cluster = engine.cluster();
    let (view, ready) = (cluster.view(), cluster.ready());
    let all_live = view.live == view.known && ready.borrow().is_ready();
    let summary = match view.status {
        ClusterStatus::Disabled => "single node".to_owned(),
        _ => format!("{} of {} peers", view.live, view.known),
    };
    let peers = view.members.iter().map(|member| ShownPeer {
        name: member.name.clone(),
        address: member.address.clone(),
        state: member.state.label(),
        ready: member.ready,
        me: member.me,
    });
    page(&Index {
        prefix: app.prefix.clone(),
        style: &STYLE_NAME,
        health: if all_live { "well" } else { "ill" },
        summary,
        reload: engine.reload_mistake().unwrap_or_default(),
        filter,
        mistake,
        firing,
        suppressed,
        hidden: firing - alerts.len(),
        alerts,
        silences: silences(app),
        version: crate::VERSION,
        started: format!("{:.0}", engine.started_at()),
        status: view.status.label(),
        reason: ready.borrow().reason().to_owned(),
        peers: peers.collect(),
        config: engine.config().original.to_string(),
        now: format!("{:.0}", engine.now()),
    })
}

fn shown_alert(view: &AlertView<'_>) -> ShownAlert {
    let alert = &view.alert;
    let annotation = |wanted: &str| {
        alert.annotations().find(|(name, _)| *name == wanted).map_or("", |(_, value)| value)
    };
    let label = |wanted: &str| {
        alert.labels().find(|(name, _)| *name == wanted).map_or("", |(_, value)| value)
    };
    let name = match label("alertname") {
        "" => alert.fingerprint().to_string(),
        name => name.to_owned(),
    };
    let labels = alert.labels().filter(|(name, _)| *name != "alertname");
    let because = match (view.silenced_by.first(), view.inhibited_by) {
        (Some(silence), _) => format!("silenced by {silence}"),
        (None, Some(source)) => format!("inhibited by {source}"),
        (None, None) => String::new(),
    };
    let source = alert.generator_url();
    let is_link = source.starts_with("http://") || source.starts_with("https://");
    ShownAlert {
        name,
        state: if view.is_suppressed() { "suppressed" } else { "active" },
        since: format!("{:.0}", alert.times().starts_at),
        summary: annotation("summary").to_owned(),
        labels: labels.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        receivers: view.receivers.join(", "),
        because,
        source: if is_link { source.to_owned() } else { String::new() },
    }
}

fn silences(app: &App) -> Vec<ShownSilence> {
    let now = app.engine.now();
    let mut silences = app.engine.silences();
    silences.retain(|silence| silence.state(now) != State::Expired);
    silences.sort_by_key(|silence| (silence.ends_at, silence.id.clone()));
    let shown = silences.iter().map(|silence| {
        let sets: Vec<String> = silence.matcher_sets.iter().map(ToString::to_string).collect();
        ShownSilence {
            id: silence.id.to_string(),
            state: silence.state(now).as_str(),
            matchers: sets.join(" or "),
            until: format!("{:.0}", silence.ends_at),
            creator: silence.created_by.to_string(),
            comment: silence.comment.to_string(),
        }
    });
    shown.collect()
}

/// What a page may load and do: nothing from elsewhere, no script.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self' data:; \
    form-action 'self'; frame-ancestors 'self'; base-uri 'none'";

fn page(template: &impl Template) -> Response<Body> {
    let Ok(html) = template.render() else {
        let mut answer = Response::new(Body::from("the page could not be rendered\n"));
        *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        return answer;
    };
    let mut answer = answer(html, "text/html; charset=utf-8");
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    never_kept(headers);
    answer
}

fn answer(body: impl Into<bytes::Bytes>, kind: &'static str) -> Response<Body> {
    let mut answer = Response::new(Body::full(body));
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

fn never_kept(headers: &mut http::HeaderMap) {
    let value = HeaderValue::from_static("no-cache, no-store, must-revalidate");
    headers.insert(header::CACHE_CONTROL, value);
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    headers.insert(header::EXPIRES, HeaderValue::from_static("0"));
}

/// The icon.
pub(crate) fn favicon() -> Response<Body> {
    let mut answer = answer(ICON, "image/vnd.microsoft.icon");
    never_kept(answer.headers_mut());
    answer
}

/// A file that pages load.
pub(crate) fn asset(name: &str) -> Option<Response<Body>> {
    if name != *STYLE_NAME {
        return None;
    }
    let mut answer = answer(STYLE, "text/css; charset=utf-8");
    let forever = HeaderValue::from_static("public, max-age=31536000, immutable");
    answer.headers_mut().insert(header::CACHE_CONTROL, forever);
    Some(answer)
}
