//! The pages: complete HTML from the server. One script improves them; nothing needs it.
//!
//! A page is a file of this directory and a template of the same name. All addresses in a page are relative to the page,
//! so that any prefix and any proxy in front work. Everything written goes the way of the API: the same checks, the same
//! rights.

mod alert;
mod alerts;
mod assets;
mod form;
mod frame;
mod groups;
mod history;
mod inhibitions;
mod labels;
mod link;
mod live;
mod routes;
mod settings;
mod silences;
mod status;
mod told;
mod when;
mod wish;
mod words;

use std::sync::Arc;

use http::{Method, Response};
use hyper::body::Incoming;
use tocsin_service::web::Body;

pub(crate) use assets::{asset, favicon};
pub(crate) use frame::not_found;
pub(crate) use live::Streams;

use crate::api::{App, Asked};

/// The name of a page in metrics, and whether forms are posted to it; `None` when the path is no page.
pub(crate) fn place(path: &[&str]) -> Option<(&'static str, bool)> {
    Some(match path {
        [] => ("/", false),
        ["events"] => ("/ui/events", false),
        ["alerts"] => ("/ui/alerts", false),
        ["alerts", _] => ("/ui/alerts/{fingerprint}", false),
        ["silences"] => ("/ui/silences", true),
        ["silences", "new"] => ("/ui/silences/new", true),
        ["silences", _] => ("/ui/silences/{id}", true),
        ["silences", _, "edit"] => ("/ui/silences/{id}/edit", true),
        ["groups"] => ("/ui/groups", false),
        ["history"] => ("/ui/history", false),
        ["routes"] => ("/ui/routes", false),
        ["inhibitions"] => ("/ui/inhibitions", false),
        ["status"] => ("/ui/status", false),
        ["config"] => ("/ui/config", false),
        ["settings"] => ("/ui/settings", false),
        ["help"] => ("/ui/help", false),
        _ => return None,
    })
}

/// Answers a request for a path that [`place`] knows.
pub(crate) async fn answer(app: &Arc<App>, asked: &Asked<'_>, body: Incoming) -> Response<Body> {
    let posted = *asked.method == Method::POST;
    match asked.path {
        ["events"] => live::stream(app),
        [] | ["alerts"] => alerts::page(app, asked),
        ["alerts", fingerprint] => alert::page(app, asked, fingerprint),
        ["silences"] if posted => silences::bulk(app, asked, body).await,
        ["silences"] => silences::page(app, asked),
        ["silences", "new"] if posted => form::post(app, asked, None, body).await,
        ["silences", "new"] => form::page(app, asked, None),
        ["silences", id, "edit"] if posted => form::post(app, asked, Some(id), body).await,
        ["silences", id, "edit"] => form::page(app, asked, Some(id)),
        ["silences", id] if posted => silences::act(app, asked, id, body).await,
        ["silences", id] => silences::one(app, asked, id),
        ["groups"] => groups::page(app, asked),
        ["history"] => history::page(app, asked),
        ["routes"] => routes::page(app, asked),
        ["inhibitions"] => inhibitions::page(app, asked),
        ["status"] => status::page(app, asked),
        ["config"] => status::config(app, asked),
        ["settings"] => settings::page(app, asked),
        ["help"] => settings::help(app, asked),
        _ => not_found(app, asked),
    }
}
