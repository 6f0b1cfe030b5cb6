//! A webhook: upstream's JSON document, or a payload of the user's own.

use std::time::Duration;

use tocsin_service::secret::HIDDEN;

use crate::config::block::{Block, Form};
use crate::config::global::Global;
use crate::config::http::{HttpConfig, Link, Source, of_receiver, check_template};
use crate::config::tree::Tree;

/// What a webhook integration needs to know.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are those of the file")]
pub struct Config {
    /// A template, unless it is a plain address.
    pub url: Source,
    /// 0: all.
    pub max_alerts: usize,
    /// Zero: none of its own.
    pub timeout: Duration,
    pub payload: Option<Tree>,
    pub http: HttpConfig,
}

/// Reads a block of `webhook_configs`.
pub(crate) fn check(block: &mut Block<'_>, global: &Global) -> Config {
    let http = of_receiver(block, global);
    let url = block.own_source("url", "url_file", Form::Text);
    if url.is_none() {
        block.missing_both("url", "url_file");
    }
    check_url(block, &url);
    match &url {
        Source::Inline(_) => block.show("url", HIDDEN),
        Source::File(_) | Source::None => {}
    }
    let file = block.section().text_or("url_file", "");
    block.show("url_file", file);
    let max_alerts = block.count("max_alerts");
    let timeout = block.timeout();
    let payload = block.given("payload").map(|field| Tree::of(field.node()));
    if let Some(payload) = &payload {
        block.show("payload", payload.show());
    }
    Config { url, max_alerts, timeout, payload, http }
}

fn check_url(block: &Block<'_>, url: &Source) {
    let Source::Inline(url) = url else { return };
    let Some(field) = block.given("url") else { return };
    if url.is_hidden() {
        return;
    }
    if url.reveal().contains("{{") {
        if let Err(error) = check_template(url.reveal()) {
            field.mistake(format!("invalid template syntax: {error}"));
        }
    } else if let Err(message) = Link::parse(url.reveal()) {
        field.mistake(message);
    }
}
