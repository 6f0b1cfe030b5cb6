//! `/api/v2/receivers`: all receivers of the configuration.

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
