//! What is around every page: bar, banners, headers of the answer.

use std::io::Write as _;
use std::sync::Arc;

use askama::Template;
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use tocsin_cluster::{Behind, ClusterStatus, MemberState, View};
use tocsin_service::web::Body;

use super::assets::{SCRIPT, STYLE};
use super::when::{When, span_ms};
use crate::api::{App, Asked};

/// Clocks further apart than this are worth a banner.
const SKEW_MAX_MS: i64 = 5_000;

/// What every page shows.
pub(super) struct Frame {
    /// From the page to the start, such as `../`.
    pub(super) root: String,
    /// Which part of the bar is the current one.
    pub(super) section: &'static str,
    /// What the page shows, as [`super::live`] names it: a change there makes the page fetch itself again.
    pub(super) topics: &'static str,
    pub(super) css: &'static str,
    pub(super) js: &'static str,
    /// `well`, `ill` or `alone`.
    pub(super) health: &'static str,
    pub(super) peers: String,
    pub(super) banners: Vec<Banner>,
    pub(super) now: When,
    pub(super) node: String,
}

/// Something that a reader must know whatever he looks at.
pub(super) struct Banner {
    /// `bad` or `odd`.
    pub(super) kind: &'static str,
    pub(super) title: String,
    pub(super) text: String,
}

impl Frame {
    pub(super) fn new(
        app: &App,
        asked: &Asked<'_>,
        section: &'static str,
        topics: &'static str,
    ) -> Self {
        let view = app.engine.cluster().view();
        let all = view.live >= view.known && view.status == ClusterStatus::Ready;
        let (health, peers) = match view.status {
            ClusterStatus::Disabled => ("alone", "single node".to_owned()),
            _ if all => ("well", format!("{} of {} peers", view.live, view.known)),
            _ => ("ill", format!("{} of {} peers", view.live, view.known)),
        };
        let is_slashed = asked.head.uri.path().ends_with('/') && !asked.path.is_empty();
        let up = asked.path.len().saturating_sub(1) + usize::from(is_slashed);
        let root = if up == 0 { "./".to_owned() } else { "../".repeat(up) };
        Self {
            root,
            section,
            topics,
            css: &STYLE.name,
            js: &SCRIPT.name,
            health,
            peers,
            banners: banners(app, &view),
            now: When::moment(asked.now),
            node: view.name.clone(),
        }
    }
}

pub(super) fn banners(app: &App, view: &View) -> Vec<Banner> {
    let mut banners = Vec::new();
    let mut add = |kind, title: String, text: String| banners.push(Banner { kind, title, text });
    if let Some(mistake) = app.engine.reload_mistake() {
        let title =
            "The configuration file could not be loaded; the one before it is still in effect.";
        add("bad", title.to_owned(), mistake);
    }
    let ready = app.engine.cluster().ready();
    let ready = ready.borrow();
    if !ready.is_ready() {
        let reason = ready.reason();
        let title = "This node is starting and notifies nobody yet.".to_owned();
        add(
            "odd",
            title,
            format!("{reason}. Alerts and silences of the other nodes may be missing."),
        );
    }
    for member in view.members.iter().filter(|member| !member.me) {
        let state = match member.state {
            MemberState::Dead => "is down",
            MemberState::Unreachable => "does not answer",
            MemberState::Live | MemberState::Left => continue,
        };
        let title = format!("Peer {} ({}) {state}.", member.name, member.address);
        add("bad", title, "The other nodes notify in its place; bring it back.".to_owned());
    }
    let expected = view.members.iter().filter(|member| member.state != MemberState::Left).count();
    if expected < view.known && view.status != ClusterStatus::Disabled {
        let title = match view.known - expected {
            1 => "One configured peer was not reached yet.".to_owned(),
            more => format!("{more} configured peers were not reached yet."),
        };
        add("odd", title, "See Status for those that are there.".to_owned());
    }
    for member in &view.members {
        let who = if member.me { "This node" } else { &member.name };
        if !member.disk_ok {
            let text = "What it knows is in memory and with its peers only.".to_owned();
            add("bad", format!("{who} cannot write to its disk."), text);
        }
        if member.behind == Some(Behind::Config) {
            let text = "It waits behind the others until all have loaded the same.".to_owned();
            add("odd", format!("{who} has another configuration than most."), text);
        }
        if member.clock_offset_ms.abs() > SKEW_MAX_MS && member.state == MemberState::Live {
            let by = span_ms(member.clock_offset_ms.unsigned_abs());
            let side = if member.clock_offset_ms > 0 { "ahead" } else { "behind" };
            let text =
                "Times on this page may be wrong by as much; check its time service.".to_owned();
            add("odd", format!("{who}: the clock is {by} {side}."), text);
        }
    }
    banners
}

/// What a page may load and do: nothing from elsewhere, no script or style in its text.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; form-action 'self'; frame-ancestors 'self'; base-uri 'none'";

/// Renders a page.
pub(super) fn page(asked: &Asked<'_>, template: &impl Template) -> Response<Body> {
    page_with(asked, StatusCode::OK, template)
}

/// Renders a page that tells of a mistake.
pub(super) fn page_with(
    asked: &Asked<'_>,
    status: StatusCode,
    template: &impl Template,
) -> Response<Body> {
    let (status, html) = match template.render() {
        Ok(html) => (status, html),
        Err(_) => {
            let text = "the page could not be rendered\n".to_owned();
            (StatusCode::INTERNAL_SERVER_ERROR, text)
        }
    };
    let packs = html.len() > 1024 && accepts_gzip(asked.head);
    let body: Bytes = if packs { gzip(html.as_bytes(), 1) } else { html.into() };
    let mut answer = Response::new(Body::full(body));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if packs {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    never_kept(headers);
    answer
}

/// Sends the browser on, after a form was accepted. The address is relative to the page.
pub(super) fn see_other(to: &str) -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::SEE_OTHER;
    if let Ok(location) = HeaderValue::from_str(to) {
        answer.headers_mut().insert(header::LOCATION, location);
    }
    answer
}

#[derive(Template)]
#[template(path = "error.html", whitespace = "minimize")]
struct ErrorPage {
    f: Frame,
    title: String,
    text: String,
}

/// A page that says what is wrong.
pub(super) fn error(
    app: &App,
    asked: &Asked<'_>,
    status: StatusCode,
    title: &str,
    text: &str,
) -> Response<Body> {
    let f = Frame::new(app, asked, "", "");
    page_with(asked, status, &ErrorPage { f, title: title.to_owned(), text: text.to_owned() })
}

/// The answer for a path that nothing has.
pub(crate) fn not_found(app: &Arc<App>, asked: &Asked<'_>) -> Response<Body> {
    let text = "The address is wrong, or what it named is gone.";
    error(app, asked, StatusCode::NOT_FOUND, "There is no such page", text)
}

pub(super) fn never_kept(headers: &mut HeaderMap) {
    let value = HeaderValue::from_static("no-cache, no-store, must-revalidate");
    headers.insert(header::CACHE_CONTROL, value);
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    headers.insert(header::EXPIRES, HeaderValue::from_static("0"));
}

pub(super) fn accepts_gzip(head: &http::request::Parts) -> bool {
    let value = head.headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    value.is_some_and(|value| {
        value
            .split(',')
            .map(str::trim)
            .any(|one| one == "gzip" || one.starts_with("gzip;q=0.") || one == "gzip;q=1")
    })
}

pub(super) fn gzip(bytes: &[u8], level: u32) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::new(level));
    let packed = encoder.write_all(bytes).and_then(|()| encoder.finish());
    packed.expect("memory takes everything").into()
}
