//! `/api/v2/alerts`: what fires, and what has come in.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use hyper::body::Incoming;
use tocsin_core::{alert::AlertInput, label::Fingerprint};
use tocsin_service::{
    web::{Body, Peer, read_body},
    wire,
};
use tracing::info;

use super::{
    App, Query,
    error::ApiError,
    filter::alert_query,
    json::push_string,
    stall::Late,
    times,
    wire::{push, push_array, push_labels, read_alerts},
};
use crate::engine::{AlertView, ApiVersion};

/// Bodies above this are answered 413.
pub(super) const BODY_MAX_BYTES: usize = 32 << 20;

/// Alerts written under one lock.
const CHUNK: usize = 128;

/// Takes alerts in. Good ones are kept although bad ones are complained about.
pub(super) async fn post(
    app: &App,
    body: Incoming,
    peer: &Peer,
) -> Result<Response<Body>, ApiError> {
    let bytes = read_body(body, BODY_MAX_BYTES).await.map_err(|error| ApiError::body(&error))?;
    refuse_abandoned(app, peer).await?;
    let mut inputs = read_alerts(&super::json::text(&bytes))?;
    let outdated = take_outdated(app, &mut inputs).await;
    let posted = app.engine.post_alerts(ApiVersion::V2, inputs).await;
    outdated?;
    let mut answer = if posted.invalid.is_empty() {
        Response::new(Body::empty())
    } else {
        ApiError::bad(posted.invalid.join("\n")).response()
    };
    mark_degraded(&mut answer, posted.degraded);
    Ok(answer)
}

/// Drops a post whose sender has gone while this process stood still.
///
/// # Errors
/// An answer that nobody will read.
pub(super) async fn refuse_abandoned(app: &App, peer: &Peer) -> Result<(), ApiError> {
    let cluster = app.engine.cluster();
    cluster.awake().await;
    if !app.stalls.abandoned(cluster.stalls(), peer) {
        return Ok(());
    }
    info!(peer = %peer.address, "post dropped: its sender went away while this process stood still");
    let text = "the sender has gone\n".to_owned();
    Err(ApiError::Plain { status: StatusCode::SERVICE_UNAVAILABLE, text })
}

/// Drops alerts that may have waited while this process stood still and been overtaken meanwhile. Others of the same post are good.
///
/// # Errors
/// An answer that makes a balancer ask another node, if there were any.
pub(super) async fn take_outdated(app: &App, inputs: &mut Vec<AlertInput>) -> Result<(), ApiError> {
    let (engine, now) = (&app.engine, app.engine.now());
    let Some(stall) = engine.cluster().last_stall().and_then(|stall| Late::of(stall, now)) else {
        return Ok(());
    };
    // What was told to others meanwhile must be known.
    engine.cluster().wait_caught_up().await;
    let before = inputs.len();
    inputs.retain(|input| {
        let known = || engine.alert_times(input.labels.clone().without_empty().fingerprint());
        !input.ends_at.is_some_and(|end| stall.overtook(end, known))
    });
    let dropped = before - inputs.len();
    if dropped == 0 {
        return Ok(());
    }
    info!(alerts = dropped, "alerts dropped: overtaken while this process stood still");
    let text = "alerts overtaken while this node stood still are not taken\n".to_owned();
    Err(ApiError::Plain { status: StatusCode::SERVICE_UNAVAILABLE, text })
}

/// Says that a write is not yet as safe as promised.
pub(super) fn mark_degraded(answer: &mut Response<Body>, degraded: bool) {
    if degraded {
        answer.headers_mut().insert(wire::WRITE, wire::DEGRADED);
    }
}

/// Shows the alerts that fire, by fingerprint.
pub(super) fn list(app: &Arc<App>, query: &Query<'_>) -> Result<Response<Body>, ApiError> {
    let found = app.engine.find_alerts(&alert_query(query, app.engine.matcher_mode())?);
    Ok(listed(app, found, "[", "]\n", |out, view| {
        push_alert(out, view, &[]);
    }))
}

/// A list of alerts, written some at a time; those that are gone by then are left out.
pub(super) fn listed(
    app: &Arc<App>,
    found: Vec<Fingerprint>,
    opening: &'static str,
    closing: &'static str,
    push_one: impl Fn(&mut Vec<u8>, &AlertView<'_>) + Send + 'static,
) -> Response<Body> {
    let engine = app.engine.clone();
    let (mut done, mut written, mut closed) = (0, 0_usize, false);
    streamed(move || {
        if closed {
            return None;
        }
        let end = found.len().min(done + CHUNK);
        let mut out = Vec::with_capacity((end - done) * 640 + 16);
        if done == 0 {
            push(&mut out, opening);
        }
        engine.each_alert(&found[done..end], |view| {
            if written > 0 {
                out.push(b',');
            }
            push_one(&mut out, view);
            written += 1;
        });
        done = end;
        if done == found.len() {
            push(&mut out, closing);
            closed = true;
        }
        Some(out.into())
    })
}

/// An answer of JSON made in chunks. If the first is also the last, it is sent whole.
pub(super) fn streamed(mut next: impl FnMut() -> Option<Bytes> + Send + 'static) -> Response<Body> {
    let first = next().unwrap_or_default();
    let mut answer = Response::new(match next() {
        None => Body::full(first),
        second => {
            let mut ready = [Some(first), second].into_iter().flatten();
            Body::made(move || ready.next().or_else(&mut next))
        }
    });
    let json = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(header::CONTENT_TYPE, json);
    answer
}

/// Appends a gettableAlert.
pub(super) fn push_alert(out: &mut Vec<u8>, view: &AlertView<'_>, muted_by: &[String]) {
    let alert = &view.alert;
    let moments = alert.times();
    push(out, "{\"annotations\":");
    push_labels(out, alert.annotations());
    push(out, ",\"endsAt\":");
    times::push_millis(out, moments.ends_at);
    push(out, ",\"fingerprint\":");
    push_fingerprint(out, alert.fingerprint());
    push(out, ",\"receivers\":");
    push_array(out, view.receivers, |out, name| push_receiver(out, name));
    push(out, ",\"startsAt\":");
    times::push_millis(out, moments.starts_at);
    push(out, ",\"status\":{\"inhibitedBy\":");
    push_array(out, view.inhibited_by, push_fingerprint);
    push(out, ",\"mutedBy\":");
    push_array(out, muted_by, |out, name| push_string(out, name));
    push(out, ",\"silencedBy\":");
    push_array(out, view.silenced_by, |out, id| push_string(out, id));
    let active = !view.is_suppressed() && muted_by.is_empty();
    push(out, if active { ",\"state\":\"active\"}" } else { ",\"state\":\"suppressed\"}" });
    push(out, ",\"updatedAt\":");
    times::push_millis(out, moments.updated_at);
    let url = alert.generator_url();
    if !url.is_empty() {
        push(out, ",\"generatorURL\":");
        push_string(out, url);
    }
    push(out, ",\"labels\":");
    push_labels(out, alert.labels());
    out.push(b'}');
}

/// Appends the reference to a receiver.
pub(super) fn push_receiver(out: &mut Vec<u8>, name: &str) {
    push(out, "{\"name\":");
    push_string(out, name);
    out.push(b'}');
}

/// Appends 16 hexadecimal digits in quotes.
pub(super) fn push_fingerprint(out: &mut Vec<u8>, fingerprint: Fingerprint) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    for byte in fingerprint.0.to_be_bytes() {
        out.push(DIGITS[usize::from(byte >> 4)]);
        out.push(DIGITS[usize::from(byte & 15)]);
    }
    out.push(b'"');
}
