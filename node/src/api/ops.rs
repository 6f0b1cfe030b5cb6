//! Operations: health, readiness, reload, metrics, and the page that profilers look for.

use std::io::Write;

use http::{HeaderValue, Response, StatusCode, header, request};
use tocsin_service::{metrics::Format, web::Body};

use super::{
    App,
    error::{ApiError, plain_response},
};

/// The process runs.
pub(super) fn healthy() -> Response<Body> {
    plain_response_ok("OK")
}

/// The node has what it needs to notify; if not, why.
pub(super) fn ready(app: &App) -> Response<Body> {
    let ready = app.engine.cluster().ready();
    let ready = ready.borrow();
    if ready.is_ready() {
        return plain_response_ok("OK");
    }
    let text = format!("not ready: {}\n", ready.reason());
    plain_response(StatusCode::SERVICE_UNAVAILABLE, text)
}

fn plain_response_ok(text: &'static str) -> Response<Body> {
    let mut answer = Response::new(Body::from(text));
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(header::CONTENT_TYPE, plain);
    answer
}

/// Reads the configuration again; 200 when it is in effect.
pub(super) async fn reload(app: &App) -> Result<Response<Body>, ApiError> {
    match app.engine.reload().await {
        Ok(()) => Ok(Response::new(Body::empty())),
        Err(error) => Err(ApiError::Plain {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            text: format!("failed to reload config: {error}\n"),
        }),
    }
}

/// The metrics, in the format that the scraper prefers.
pub(super) fn metrics(app: &App, head: &request::Parts) -> Response<Body> {
    let text = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
    let format = Format::from_accept(text(header::ACCEPT));
    let body = app.metrics.render(format, &app.engine);
    let zip = text(header::ACCEPT_ENCODING).is_some_and(accepts_gzip);
    let zipped = zip.then(|| gzip(body.as_bytes())).flatten();
    let is_zipped = zipped.is_some();
    let mut answer = Response::new(zipped.map_or_else(|| Body::from(body), Body::full));
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
    if is_zipped {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    answer
}

fn accepts_gzip(accept: &str) -> bool {
    accept.split(',').any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        parts.next() == Some("gzip") && !parts.any(|part| matches!(part, "q=0" | "q=0.0"))
    })
}

fn gzip(text: &[u8]) -> Option<Vec<u8>> {
    let out = Vec::with_capacity(text.len() / 8);
    let mut encoder = flate2::write::GzEncoder::new(out, flate2::Compression::fast());
    encoder.write_all(text).ok()?;
    encoder.finish().ok()
}

/// What tools look for at Go's place; there are no profiles behind it.
pub(super) fn pprof() -> Response<Body> {
    const PAGE: &str = "<!doctype html><html lang=\"en\"><title>/debug/pprof/</title>\
        <h1>/debug/pprof/</h1><p>Tocsin is no Go program: use perf on this process.</p></html>\n";
    let mut answer = Response::new(Body::from(PAGE));
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    answer.headers_mut().insert(header::CONTENT_TYPE, html);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_used_only_when_asked_for() {
        assert!(accepts_gzip("gzip"));
        assert!(accepts_gzip("br, gzip;q=0.5"));
        assert!(!accepts_gzip("gzip;q=0"));
        assert!(!accepts_gzip("br"));
    }
}
