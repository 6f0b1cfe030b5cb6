//! The HTTP API of the node: API v2, API v1, operations and pages, as one table of routes.
//!
//! Nothing here owns state: everything is read from and given to the engine's handle.

mod alerts;
mod error;
mod filter;
mod front;
mod groups;
mod history;
mod json;
mod ops;
mod origin;
mod original;
mod outside;
mod query;
mod receivers;
mod redirect;
mod silences;
mod stall;
mod status;
mod times;
mod uri;
mod v1;
mod wire;

use std::sync::Arc;

use http::{Method, Response};
use hyper::body::Incoming;
use jiff::Timestamp;
use tocsin_core::regex::Regex;
use tocsin_service::web::{Body, Peer};
use tokio::sync::Semaphore;

use crate::{engine::Handle, metrics::Metrics};
use error::ApiError;
pub use front::serve;
pub(crate) use history::Target;
pub(crate) use outside::{alerts_of, json_text, link_and_moment, silence_of};
pub(crate) use query::Query;
pub(crate) use status::BUILD;

/// What the answers are made from.
pub(crate) struct App {
    /// Alerts, groups, silences, the configuration, the cluster, the flags.
    pub(crate) engine: Handle,
    /// Everything counted.
    metrics: Arc<Metrics>,
    /// Before every path: empty, or `/` and a name.
    pub(crate) prefix: String,
    /// Room for GETs at one time.
    gets: Arc<Semaphore>,
    gets_max: usize,
    /// `--web.cors.origin`.
    origins: Option<Regex>,
    stalls: stall::Stalls,
    /// The pages that are told of changes.
    pub(crate) streams: crate::ui::Streams,
}

/// A request as the routes see it.
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a Method,
    /// Below the prefix, without escapes, cut at `/`; a slash at the end leaves no empty part.
    pub(crate) path: &'a [&'a str],
    pub(crate) query: &'a Query<'a>,
    pub(crate) head: &'a http::request::Parts,
    peer: &'a Peer,
    pub(crate) now: Timestamp,
}

/// The whole surface. Methods and paths not listed here were answered before.
async fn route(
    app: &Arc<App>,
    asked: &Asked<'_>,
    body: Incoming,
) -> Result<Response<Body>, ApiError> {
    let Asked { method, path, query, head, peer, now } = asked;
    match (*method, *path) {
        (&Method::GET, ["api", "v2", "status"]) => Ok(status::v2(app)),
        (&Method::GET, ["api", "v2", "status", "ha"]) => Ok(status::ha(app)),
        (&Method::GET, ["api", "v2", "openapi.json"]) => Ok(status::openapi()),
        (&Method::GET, ["api", "v2", "receivers"]) => receivers::list(app, query),
        (&Method::POST, ["api", "v2", "receivers", name, "test"]) => {
            receivers::test(app, name).await
        }
        (&Method::GET, ["api", "v2", "alerts"]) => alerts::list(app, query),
        (&Method::POST, ["api", "v2", "alerts"]) => alerts::post(app, body, peer).await,
        (&Method::GET, ["api", "v2", "alerts", "groups"]) => groups::list(app, query).await,
        (&Method::GET, ["api", "v2", "history"]) => history::list(app, query),
        (&Method::GET, ["api", "v2", "silences"]) => silences::list(app, query, *now),
        (&Method::POST, ["api", "v2", "silences"]) => silences::post(app, body, *now).await,
        (&Method::GET, ["api", "v2", "silence", id]) => silences::get(app, id, *now),
        (&Method::DELETE, ["api", "v2", "silence", id]) => silences::expire(app, id).await,

        (&Method::GET, ["api", "v1", "status"]) => Ok(v1::status(app)),
        (&Method::GET, ["api", "v1", "receivers"]) => Ok(v1::receivers(app)),
        (&Method::GET, ["api", "v1", "alerts"]) => v1::alerts(app, query),
        (&Method::POST, ["api", "v1", "alerts"]) => v1::post_alerts(app, body, peer).await,
        (&Method::GET, ["api", "v1", "silences"]) => v1::silences(app, query, *now),
        (&Method::POST, ["api", "v1", "silences"]) => v1::post_silence(app, body, *now).await,
        (&Method::GET, ["api", "v1", "silence", id]) => v1::silence(app, id, *now),
        (&Method::DELETE, ["api", "v1", "silence", id]) => v1::expire(app, id).await,

        (&Method::GET | &Method::HEAD, ["-", "healthy"]) => Ok(ops::healthy()),
        (&Method::GET | &Method::HEAD, ["-", "ready"]) => Ok(ops::ready(app)),
        (&Method::POST, ["-", "reload"]) => ops::reload(app).await,
        (&Method::GET, ["metrics"]) => Ok(ops::metrics(app, head)),
        (&Method::GET | &Method::POST, ["debug", "pprof"]) => Ok(ops::pprof()),

        (&Method::GET, ["favicon.ico"]) => Ok(crate::ui::favicon()),
        (&Method::GET, ["assets", name]) => {
            crate::ui::asset(name, head).ok_or_else(ApiError::not_found)
        }
        _ if crate::ui::place(path).is_some() => Ok(crate::ui::answer(app, asked, body).await),
        _ => Err(ApiError::not_found()),
    }
}

/// A path that is served: the methods it knows, in upstream's order, and its name in metrics.
struct Place {
    handler: &'static str,
    methods: &'static [Method],
    /// What 405 says of the methods, as API v2 writes them.
    allow: &'static str,
}

fn place(path: &[&str]) -> Option<Place> {
    const GET: &[Method] = &[Method::GET];
    const GET_HEAD: &[Method] = &[Method::GET, Method::HEAD];
    const GET_POST: &[Method] = &[Method::GET, Method::POST];
    const DELETE_GET: &[Method] = &[Method::DELETE, Method::GET];
    const POST: &[Method] = &[Method::POST];
    let place = |handler, methods, allow| Some(Place { handler, methods, allow });
    match path {
        ["api", "v2", "status"] => place("/api/v2/status", GET, "GET"),
        ["api", "v2", "status", "ha"] => place("/api/v2/status/ha", GET, "GET"),
        ["api", "v2", "openapi.json"] => place("/api/v2/openapi.json", GET, "GET"),
        ["api", "v2", "receivers"] => place("/api/v2/receivers", GET, "GET"),
        ["api", "v2", "receivers", _, "test"] => place("/api/v2/receivers/test", POST, "POST"),
        ["api", "v2", "alerts"] => place("/api/v2/alerts", GET_POST, "GET,POST"),
        ["api", "v2", "alerts", "groups"] => place("/api/v2/alerts/groups", GET, "GET"),
        ["api", "v2", "history"] => place("/api/v2/history", GET, "GET"),
        ["api", "v2", "silences"] => place("/api/v2/silences", GET_POST, "GET,POST"),
        ["api", "v2", "silence", _] => {
            place("/api/v2/silence/{silenceID}", DELETE_GET, "DELETE,GET")
        }
        ["api", "v1", "status"] => place("/status", GET, "GET, OPTIONS"),
        ["api", "v1", "receivers"] => place("/receivers", GET, "GET, OPTIONS"),
        ["api", "v1", "alerts"] => place("/alerts", GET_POST, "GET, OPTIONS, POST"),
        ["api", "v1", "silences"] => place("/silences", GET_POST, "GET, OPTIONS, POST"),
        ["api", "v1", "silence", _] => place("/silence/:sid", DELETE_GET, "DELETE, GET, OPTIONS"),
        ["-", "healthy"] => place("/-/healthy", GET_HEAD, "GET, HEAD, OPTIONS"),
        ["-", "ready"] => place("/-/ready", GET_HEAD, "GET, HEAD, OPTIONS"),
        ["-", "reload"] => place("/-/reload", POST, "OPTIONS, POST"),
        ["metrics"] => place("/metrics", GET, "GET, OPTIONS"),
        ["debug", "pprof"] => place("/debug/*subpath", GET_POST, "GET, OPTIONS, POST"),
        ["favicon.ico"] => place("/favicon.ico", GET, "GET, OPTIONS"),
        ["assets", _] => place("/assets/*path", GET, "GET, OPTIONS"),
        path => match crate::ui::place(path)? {
            (handler, true) => place(handler, GET_POST, "GET, OPTIONS, POST"),
            (handler, false) => place(handler, GET, "GET, OPTIONS"),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// The document and the table of routes tell the same.
    #[test]
    fn document_has_every_path_and_method_of_api_v2() {
        let document: Value = serde_json::from_str(include_str!("openapi.json")).unwrap();
        let paths = document["paths"].as_object().unwrap();
        for (path, operations) in paths {
            let full = format!("api/v2{}", path.replace("{silenceID}", "x"));
            let parts: Vec<&str> = full.split('/').collect();
            let place = place(&parts).unwrap_or_else(|| panic!("{path} is not served"));
            let told = operations.as_object().unwrap().keys().filter(|key| *key != "parameters");
            let mut told: Vec<String> = told.map(|method| method.to_uppercase()).collect();
            told.sort_unstable();
            let mut served: Vec<&str> = place.methods.iter().map(Method::as_str).collect();
            served.sort_unstable();
            assert_eq!(told, served, "{path}");
        }
        assert_eq!(paths.len(), 9);
    }
}
