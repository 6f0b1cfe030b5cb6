//! `/settings`, which the browser keeps, and `/help`.

use std::sync::Arc;

use askama::Template;
use http::Response;
use tocsin_service::web::Body;

use super::frame::{Frame, page as answer};
use crate::api::{App, Asked};

#[derive(Template)]
#[template(path = "settings.html", whitespace = "minimize")]
struct SettingsPage {
    f: Frame,
}

/// The settings. They do nothing without a script.
pub(super) fn page(app: &Arc<App>, asked: &Asked<'_>) -> Response<Body> {
    answer(asked, &SettingsPage { f: Frame::new(app, asked, "settings", "cluster") })
}

#[derive(Template)]
#[template(path = "help.html", whitespace = "minimize")]
struct HelpPage {
    f: Frame,
}

/// Keys, matchers, where to read on.
pub(super) fn help(app: &Arc<App>, asked: &Asked<'_>) -> Response<Body> {
    answer(asked, &HelpPage { f: Frame::new(app, asked, "help", "cluster") })
}
