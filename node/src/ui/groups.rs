//! `/groups`: each group and why it is told when: route, receiver, last notification, next look, owner.

use std::sync::Arc;

use askama::Template;
use http::Response;
use tocsin_service::web::Body;

use super::frame::{Frame, page as answer};
use super::link;
use super::told::{Told, told};
use super::wish::Wish;
use crate::api::{App, Asked};
use crate::engine::{AlertQuery, GroupQuery};

/// Groups on one page.
const GROUPS_MAX: usize = 50;

#[derive(Template)]
#[template(path = "groups.html", whitespace = "minimize")]
struct GroupsPage {
    f: Frame,
    filter: String,
    mistake: String,
    count: usize,
    groups: Vec<Told>,
    previous: String,
    next: String,
}

/// The page.
pub(super) fn page(app: &Arc<App>, asked: &Asked<'_>) -> Response<Body> {
    let wish = Wish::read(asked.query, app.engine.matcher_mode());
    let alerts = AlertQuery {
        matchers: wish.matchers.clone(),
        receiver: wish.receiver_regex.clone(),
        ..AlertQuery::default()
    };
    let found = app.engine.groups_now(&GroupQuery { alerts, muted: true }).groups;
    let first = wish.page * GROUPS_MAX;
    let shown = found.iter().skip(first).take(GROUPS_MAX);
    let filter = wish.filter();
    let turned = |page: usize| {
        let page = page.to_string();
        let pairs = [("filter", filter.as_str()), ("receiver", &wish.receiver), ("page", &page)];
        format!("groups{}", link::query(pairs.into_iter().filter(|(_, value)| !value.is_empty())))
    };
    answer(
        asked,
        &GroupsPage {
            f: Frame::new(app, asked, "groups", "alerts silences log"),
            mistake: wish
                .mistakes
                .first()
                .map(|(text, why)| format!("{text}: {why}"))
                .unwrap_or_default(),
            count: found.len(),
            groups: shown.map(|group| told(app, group, asked.now)).collect(),
            previous: if wish.page > 0 { turned(wish.page - 1) } else { String::new() },
            next: if found.len() > first + GROUPS_MAX {
                turned(wish.page + 1)
            } else {
                String::new()
            },
            filter,
        },
    )
}
