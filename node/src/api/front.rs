//! What happens to every request before and after its route: prefix, redirects, limits, origins,
//! metrics. Knows no alert.

use std::sync::Arc;

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::{Body as _, Incoming};
use tocsin_core::regex::Regex;
use tocsin_service::{
    duration::format_go_duration,
    web::{self, Body, Gate, Peer},
    wire::{self, ClusterSeen},
};
use tokio::{sync::Semaphore, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::{
    App, Asked, Query,
    error::{ApiError, plain_response},
    origin, place, query, redirect, route,
    stall::Stalls,
};
use crate::{NodeError, engine::Handle, metrics::Metrics, trace::Span};

/// Answers the requests of a node.
#[derive(Clone)]
struct Web(Arc<App>);

impl web::Handler for Web {
    async fn answer(&self, request: Request<Incoming>, peer: Peer) -> Response<Body> {
        let app = &self.0;
        let mut answer = answer(app, request, &peer).await;
        let view = app.engine.cluster().view();
        let count = |nodes: usize| u32::try_from(nodes).unwrap_or(u32::MAX);
        let seen = ClusterSeen { live: count(view.live), known: count(view.known) };
        answer.headers_mut().insert(wire::CLUSTER, seen.header_value());
        answer
    }
}

async fn answer(app: &Arc<App>, request: Request<Incoming>, peer: &Peer) -> Response<Body> {
    let (head, body) = request.into_parts();
    let Some(path) = query::unescape(head.uri.path(), false) else {
        return plain_response(StatusCode::BAD_REQUEST, "400 Bad Request");
    };
    if let Some(refusal) = origin::refuse(app, &head) {
        return refusal;
    }
    let below = match redirect::below_prefix(&app.prefix, &path, &head) {
        Ok(below) => below,
        Err(answer) => return *answer,
    };
    let parts: Vec<&str> = below.split('/').filter(|part| !part.is_empty()).collect();
    let Some(place) = place(&parts) else {
        return unknown(app, below, &parts, &head, peer);
    };
    if let Some(answer) = redirect::to_canonical(&app.prefix, below, &parts, &place, &head) {
        return answer;
    }
    let begun = Instant::now();
    let mut span = Span::server(app.engine.spans().as_ref(), &head);
    let query = Query::parse(head.uri.query().unwrap_or(""));
    let asked = Asked {
        method: &head.method,
        path: &parts,
        query: &query,
        head: &head,
        peer,
        now: app.engine.now(),
    };
    let mut answer = span.scope(limited(app, &asked, &place, body)).await;
    finish(app, &asked, &mut answer);
    let (status, size) = (answer.status(), answer.body().size_hint().exact());
    app.metrics.answered(place.handler, &head.method, status, size, begun.elapsed());
    if !span.is_on() {
        return answer;
    }
    span.set("http.route", place.handler);
    span.set("http.response.status_code", usize::from(status.as_u16()));
    if status.is_server_error() {
        span.fail("");
    }
    answer.map(|body| body.holding(span))
}

/// The answer for a path that is not in the table; people get it as a page.
fn unknown(
    app: &Arc<App>,
    below: &str,
    parts: &[&str],
    head: &http::request::Parts,
    peer: &Peer,
) -> Response<Body> {
    let answer = redirect::unknown(app, below, parts, head);
    let accept = head.headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let is_page = head.method == Method::GET
        && accept.is_some_and(|accept| accept.contains("text/html"))
        && !matches!(parts, ["api" | "debug" | "-", ..]);
    if answer.status() != StatusCode::NOT_FOUND || !is_page {
        return answer;
    }
    let (query, now) = (Query::default(), app.engine.now());
    let asked = Asked { method: &head.method, path: parts, query: &query, head, peer, now };
    crate::ui::not_found(app, &asked)
}

/// Puts the request under the limit of GETs and under the timeout.
async fn limited(
    app: &Arc<App>,
    asked: &Asked<'_>,
    place: &super::Place,
    body: Incoming,
) -> Response<Body> {
    // Probes must not fail because eight pages are open, nor pages because eight others listen.
    let is_probe = matches!(asked.path, ["-", "healthy" | "ready"] | ["events"]);
    if is_probe || asked.method != Method::GET {
        return in_time(app, is_probe, asked, place, body).await;
    }
    let Ok(room) = Arc::clone(&app.gets).try_acquire_owned() else {
        app.metrics.gets_refused.inc();
        let text = format!(
            "Limit of concurrent GET requests reached ({}), try again later.\n\n",
            app.gets_max
        );
        return plain_response(StatusCode::SERVICE_UNAVAILABLE, text);
    };
    app.metrics.gets_in_flight.add(1.0);
    let in_flight = InFlight { metrics: Arc::clone(&app.metrics), _room: room };
    let answer = in_time(app, false, asked, place, body).await;
    answer.map(|body| body.holding(in_flight))
}

/// Counts a GET until its answer is out.
struct InFlight {
    metrics: Arc<Metrics>,
    _room: tokio::sync::OwnedSemaphorePermit,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.metrics.gets_in_flight.add(-1.0);
    }
}

async fn in_time(
    app: &Arc<App>,
    is_probe: bool,
    asked: &Asked<'_>,
    place: &super::Place,
    body: Incoming,
) -> Response<Body> {
    let answer = checked(app, asked, place, body);
    let timeout = app.engine.options().web.timeout;
    if timeout.is_zero() || is_probe {
        return answer.await;
    }
    match tokio::time::timeout(timeout, answer).await {
        Ok(answer) => answer,
        Err(_) => {
            let shown = format_go_duration(timeout.try_into().unwrap_or_default());
            let text = format!("Exceeded configured timeout of {shown}.\n");
            plain_response(StatusCode::SERVICE_UNAVAILABLE, text)
        }
    }
}

/// Method, content type and `Accept` as the frameworks of upstream look at them; then the route.
async fn checked(
    app: &Arc<App>,
    asked: &Asked<'_>,
    place: &super::Place,
    body: Incoming,
) -> Response<Body> {
    let result = match asked.path {
        ["api", "v1", ..] if !app.engine.options().web.api_v1 => return super::v1::gone(),
        ["api", "v2", ..] => match check_v2(asked, place, &body) {
            Ok(()) => route(app, asked, body).await,
            Err(error) => Err(error),
        },
        _ if *asked.method == Method::OPTIONS => Ok(options(asked, place)),
        _ if !place.methods.contains(asked.method) => {
            let mut answer = plain_response(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n");
            answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static(place.allow));
            return answer;
        }
        _ => route(app, asked, body).await,
    };
    result.unwrap_or_else(|error| {
        debug!(path = asked.head.uri.path(), ?error, "request refused");
        error.response()
    })
}

fn options(asked: &Asked<'_>, place: &super::Place) -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    if !matches!(asked.path, ["api", "v1", ..]) {
        answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static(place.allow));
    }
    answer
}

fn check_v2(asked: &Asked<'_>, place: &super::Place, body: &Incoming) -> Result<(), ApiError> {
    let text = |name| asked.head.headers.get(name).and_then(|value| value.to_str().ok());
    if !place.methods.contains(asked.method) {
        return Err(ApiError::Framework {
            code: 405,
            message: format!("method {} is not allowed, but [{}] are", asked.method, place.allow),
            allow: Some(place.allow),
        });
    }
    if !body.is_end_stream() {
        let full = text(header::CONTENT_TYPE).unwrap_or("application/octet-stream");
        let kind = full.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        if kind != "application/json" {
            let message = format!(
                "unsupported media type {}, only [application/json] are allowed",
                super::error::go_quote(&kind)
            );
            return Err(ApiError::framework(415, message));
        }
    }
    if text(header::ACCEPT).is_some_and(|accept| !accepts_json(accept)) {
        let message = "unsupported media type requested, only [application/json] are available";
        return Err(ApiError::framework(406, message));
    }
    Ok(())
}

fn accepts_json(accept: &str) -> bool {
    accept.split(',').any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or("").to_ascii_lowercase();
        let refused = parts.any(|part| {
            let quality = part.strip_prefix("q=").and_then(|quality| quality.parse::<f64>().ok());
            quality.is_some_and(|quality| quality <= 0.0)
        });
        !refused && matches!(kind.as_str(), "*/*" | "application/*" | "application/json")
    })
}

/// Headers that belong to an API and not to a route.
fn finish(app: &App, asked: &Asked<'_>, answer: &mut Response<Body>) {
    match asked.path {
        ["api", "v2", ..] => {
            let headers = answer.headers_mut();
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            origin::allow(app, asked.head, headers);
        }
        // Upstream's router refuses a method before anything of API v1 is asked.
        ["api", "v1", ..] if answer.status() != StatusCode::METHOD_NOT_ALLOWED => {
            super::v1::finish(answer.headers_mut());
        }
        _ => {}
    }
}

impl App {
    /// Prefix and limits as the flags say. The prefix is that of the external URL unless given.
    fn new(engine: Handle, stop: CancellationToken) -> Self {
        let options = &engine.options().web;
        let prefix = match &options.route_prefix {
            Some(prefix) => prefix.clone(),
            None => url::Url::parse(engine.external_url())
                .map_or_else(|_| String::new(), |url| url.path().to_owned()),
        };
        let prefix = prefix.trim_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("/{prefix}") };
        let gets_max = match options.get_concurrency {
            0 => std::thread::available_parallelism().map_or(8, |count| count.get().max(8)),
            asked => asked,
        };
        let origins = options.cors_origin.as_deref().and_then(|text| {
            let regex = Regex::anchored(text);
            regex.inspect_err(|error| warn!(%error, "--web.cors.origin is ignored")).ok()
        });
        let metrics = Arc::new(Metrics::new(engine.options()));
        Self {
            metrics,
            prefix,
            gets: Arc::new(Semaphore::new(gets_max)),
            gets_max,
            origins,
            stalls: Stalls::default(),
            streams: crate::ui::Streams::new(stop),
            engine,
        }
    }
}

/// Serves the node's API and pages until `stop`, and lets running requests end.
///
/// # Errors
/// When a listener cannot be used.
pub async fn serve(
    engine: Handle,
    listeners: Vec<std::net::TcpListener>,
    stop: CancellationToken,
) -> Result<(), NodeError> {
    let gate = match &engine.options().web.config_file {
        Some(path) => Some(Arc::new(Gate::open(path).map_err(failed)?)),
        None => None,
    };
    let listeners = listeners.into_iter().map(|listener| listen(listener, gate.as_deref()));
    let listeners = listeners.collect::<Result<_, _>>().map_err(failed)?;
    let web = Web(Arc::new(App::new(engine, stop.clone())));
    let settings = web::Settings { gate, ..web::Settings::default() };
    web::serve(listeners, settings, web, stop).await;
    Ok(())
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> NodeError {
    NodeError::Web(Box::new(error))
}

/// Takes a listener over and says so in the lines that tools wait for.
fn listen(
    listener: std::net::TcpListener,
    gate: Option<&Gate>,
) -> Result<tokio::net::TcpListener, std::io::Error> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let address = listener.local_addr()?;
    info!(%address, "Listening on");
    if gate.is_none() && !address.ip().is_loopback() {
        warn!(
            %address,
            "whoever reaches this address can read and change alerts and silences: use --web.config.file"
        );
    }
    match gate.filter(|gate| gate.tls().is_some()) {
        Some(gate) => info!(http2 = gate.http2(), %address, "TLS is enabled."),
        None => info!(http2 = false, %address, "TLS is disabled."),
    }
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_header_must_leave_json() {
        for yes in
            ["*/*", "application/json", "text/html, */*;q=0.1", "application/*", "Application/JSON"]
        {
            assert!(accepts_json(yes), "{yes}");
        }
        for no in ["text/html", "application/json;q=0", "", "application/xml, text/plain"] {
            assert!(!accepts_json(no), "{no}");
        }
    }
}
