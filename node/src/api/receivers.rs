//! `/api/v2/receivers`: all receivers of the configuration, and a test notification to one of them.

use http::{Response, StatusCode};
use tocsin_service::web::Body;

use super::{
    App, Query,
    error::{ApiError, json_response},
    filter::receiver_matchers,
    json::push_string,
    wire::{push, push_array, push_labels},
};

/// Shows receivers in the order of the configuration, used or not.
pub(super) fn list(app: &App, query: &Query<'_>) -> Result<Response<Body>, ApiError> {
    let matchers = receiver_matchers(query, app.engine.matcher_mode())?;
    let config = app.engine.config();
    let fitting = config
        .receivers
        .iter()
        .filter(|receiver| matchers.iter().all(|matcher| matcher.filters(&receiver.labels)));
    let mut out = Vec::new();
    push_array(&mut out, fitting, |out, receiver| {
        push(out, "{\"labels\":");
        push_labels(out, &receiver.labels);
        push(out, ",\"name\":");
        push_string(out, &receiver.name);
        out.push(b'}');
    });
    out.push(b'\n');
    Ok(json_response(StatusCode::OK, out))
}

/// Sends a test notification, unless that is switched off: anybody could make pagers ring with it.
pub(super) async fn test(app: &App, name: &str) -> Result<Response<Body>, ApiError> {
    if !app.engine.options().web.enable_receiver_test {
        return Err(ApiError::not_found());
    }
    let trials = app.engine.test_receiver(name).await.ok_or_else(ApiError::not_found)?;
    let mut out = Vec::new();
    push_array(&mut out, trials, |out, trial| {
        push(out, "{\"integration\":");
        push_string(out, &trial.integration);
        push(out, ",\"error\":");
        push_string(out, trial.error.as_deref().unwrap_or_default());
        out.push(b'}');
    });
    out.push(b'\n');
    Ok(json_response(StatusCode::OK, out))
}
