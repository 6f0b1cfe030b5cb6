//! `/api/v2/silences` and `/api/v2/silence/ID`.

use std::{cmp::Reverse, sync::Arc};

use http::{Response, StatusCode};
use hyper::body::Incoming;
use jiff::Timestamp;
use tocsin_core::{
    matcher::Matcher,
    silence::{Silence, SilenceInput, State},
};
use tocsin_service::web::{Body, read_body};

use super::{
    App, Query,
    alerts::{BODY_MAX_BYTES, mark_degraded},
    error::{ApiError, json_response},
    filter::matchers,
    json::{self, push_string},
    times,
    wire::{push, push_array, push_labels, read_silence},
};
use crate::engine::SilenceError;

/// Shows silences: active ones by end, pending ones by start, expired ones by end, newest first.
pub(super) fn list(
    app: &App,
    query: &Query<'_>,
    now: Timestamp,
) -> Result<Response<Body>, ApiError> {
    let wanted = matchers(query.all("filter"), app.engine.matcher_mode()).map_err(ApiError::bad)?;
    let shows = |state| match state {
        State::Active => query.switch("active"),
        State::Pending => query.switch("pending"),
        State::Expired => query.switch("expired"),
    };
    let is_wanted = |silence: &Silence| shows(silence.state(now)) && has_matchers(silence, &wanted);
    let mut silences = app.engine.find_silences(is_wanted);
    sort(&mut silences, now);
    let mut out = Vec::with_capacity(silences.len() * 256);
    push_array(&mut out, &silences, |out, silence| push_silence(out, silence, now));
    out.push(b'\n');
    Ok(json_response(StatusCode::OK, out))
}

/// Whether one set of the silence has all these matchers, letter by letter.
fn has_matchers(silence: &Silence, wanted: &[Matcher]) -> bool {
    let has_all = |set: &tocsin_core::matcher::Matchers| {
        wanted.iter().all(|wanted| set.iter().any(|own| own == wanted))
    };
    wanted.is_empty() || silence.matcher_sets.iter().any(has_all)
}

/// Upstream's order; silences of one moment go by identity, so that the order is always the same.
pub(super) fn sort(silences: &mut [Arc<Silence>], now: Timestamp) {
    silences.sort_by(|a, b| {
        let state = a.state(now);
        let moments = match state {
            State::Active => a.ends_at.cmp(&b.ends_at),
            State::Pending => a.starts_at.cmp(&b.starts_at),
            State::Expired => Reverse(a.ends_at).cmp(&Reverse(b.ends_at)),
        };
        state.cmp(&b.state(now)).then(moments).then_with(|| a.id.cmp(&b.id))
    });
}

/// Appends a gettableSilence. API v2 knows one set of matchers; where a silence has several, the
/// first is shown, since leaving the silence out would hide what mutes.
fn push_silence(out: &mut Vec<u8>, silence: &Silence, now: Timestamp) {
    push(out, "{\"id\":");
    push_string(out, &silence.id);
    push(out, ",\"status\":{\"state\":\"");
    push(out, silence.state(now).as_str());
    push(out, "\"},\"updatedAt\":");
    times::push_millis(out, silence.updated_at);
    if !silence.annotations.is_empty() {
        push(out, ",\"annotations\":");
        push_labels(out, &silence.annotations);
    }
    push(out, ",\"comment\":");
    push_string(out, &silence.comment);
    push(out, ",\"createdBy\":");
    push_string(out, &silence.created_by);
    push(out, ",\"endsAt\":");
    times::push_millis(out, silence.ends_at);
    push(out, ",\"matchers\":");
    let first = silence.matcher_sets.first();
    push_array(out, first.into_iter().flat_map(|set| set.iter()), push_matcher);
    push(out, ",\"startsAt\":");
    times::push_millis(out, silence.starts_at);
    out.push(b'}');
}

fn push_matcher(out: &mut Vec<u8>, matcher: &Matcher) {
    push(out, if matcher.op().is_equal() { "{\"isEqual\":true" } else { "{\"isEqual\":false" });
    push(out, if matcher.op().is_regex() { ",\"isRegex\":true" } else { ",\"isRegex\":false" });
    push(out, ",\"name\":");
    push_string(out, matcher.name());
    push(out, ",\"value\":");
    push_string(out, matcher.value());
    out.push(b'}');
}

/// Makes a silence or changes one.
pub(super) async fn post(
    app: &App,
    body: Incoming,
    now: Timestamp,
) -> Result<Response<Body>, ApiError> {
    let bytes = read_body(body, BODY_MAX_BYTES).await.map_err(|error| ApiError::body(&error))?;
    let input = read_silence(&super::json::text(&bytes))?;
    check_times(&input, now).map_err(ApiError::bad)?;
    let set = app.engine.set_silence(input).await.map_err(refusal)?;
    let body = format!("{{\"silenceID\":{}}}\n", json::string(&set.id));
    let mut answer = json_response(StatusCode::OK, body);
    mark_degraded(&mut answer, set.degraded);
    Ok(answer)
}

/// What only the API checks. An unset start lies before every end.
fn check_times(input: &SilenceInput, now: Timestamp) -> Result<(), &'static str> {
    let ends_at = input.ends_at.unwrap_or(Timestamp::MIN);
    if ends_at <= input.starts_at.unwrap_or(Timestamp::MIN) {
        return Err("Failed to create silence: start time must be before end time");
    }
    if ends_at < now {
        return Err("Failed to create silence: end time can't be in the past");
    }
    Ok(())
}

fn refusal(error: SilenceError) -> ApiError {
    let (status, text) = match error {
        SilenceError::NotFound => (StatusCode::NOT_FOUND, "silence not found".to_owned()),
        SilenceError::Invalid(error) => (StatusCode::BAD_REQUEST, invalid(&error)),
        SilenceError::Lost => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    };
    ApiError::Said { status, text }
}

/// Upstream's words for a silence that is refused.
pub(super) fn invalid(error: &tocsin_core::silence::InvalidSilence) -> String {
    use tocsin_core::silence::InvalidSilence::{NotFound, TooLarge, TooMany};
    match error {
        NotFound | TooLarge { .. } | TooMany { .. } => error.to_string(),
        _ => format!("invalid silence: {error}"),
    }
}

/// Shows one silence.
pub(super) fn get(app: &App, id: &str, now: Timestamp) -> Result<Response<Body>, ApiError> {
    let id = check_id(id)?;
    let silence = app.engine.silence(&id).ok_or(ApiError::Bare(StatusCode::NOT_FOUND))?;
    let mut out = Vec::with_capacity(512);
    push_silence(&mut out, &silence, now);
    out.push(b'\n');
    Ok(json_response(StatusCode::OK, out))
}

/// Ends a silence; one that has ended already stays as it is.
pub(super) async fn expire(app: &App, id: &str) -> Result<Response<Body>, ApiError> {
    let id = check_id(id)?;
    let written = match app.engine.expire_silence(&id).await {
        Ok(written) => written,
        Err(SilenceError::NotFound) => return Err(ApiError::Bare(StatusCode::NOT_FOUND)),
        Err(error) => return Err(refusal(error)),
    };
    let mut answer = Response::new(Body::empty());
    mark_degraded(&mut answer, written.degraded);
    Ok(answer)
}

/// The identity in the form in which it is stored.
fn check_id(id: &str) -> Result<String, ApiError> {
    match uuid::Uuid::try_parse(id) {
        Ok(_) => Ok(id.to_owned()),
        Err(_) => {
            let quoted = super::error::go_quote(id);
            Err(ApiError::framework(
                601,
                format!("silenceID in path must be of type uuid: {quoted}"),
            ))
        }
    }
}
