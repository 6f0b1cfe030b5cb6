//! Microsoft Teams by the adaptive cards of a workflow.

use crate::config::block::{Block, Form};
use crate::config::global::Global;
use crate::config::http::{HttpConfig, Source, of_receiver};

/// What a Teams integration needs to know.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are those of the file")]
pub struct Config {
    pub webhook_url: Source,
    pub title: String,
    pub text: String,
    pub http: HttpConfig,
}

/// Reads a block of `msteamsv2_configs`.
pub(crate) fn check(block: &mut Block<'_>, global: &Global) -> Config {
    let mut http = of_receiver(block, global);
    // The one key that a client of its own still inherits, unless it asks the environment.
    if http.proxy.url.is_none() && !http.proxy.from_environment {
        http.proxy.url = global.http.proxy.url.clone();
    }
    let webhook_url = block.exactly_one("webhook_url", "webhook_url_file", Form::Link);
    Config {
        http,
        webhook_url,
        title: block.text("title", r#"{{ template "msteamsv2.default.title" . }}"#),
        text: block.text("text", r#"{{ template "msteamsv2.default.text" . }}"#),
    }
}
