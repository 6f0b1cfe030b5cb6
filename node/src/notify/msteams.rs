//! Microsoft Teams by the connector's cards.

use crate::config::block::{Block, Form};
use crate::config::global::Global;
use crate::config::http::{HttpConfig, Source, of_receiver};

/// What a Teams integration needs to know.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are those of the file")]
pub struct Config {
    pub webhook_url: Source,
    pub title: String,
    pub summary: String,
    pub text: String,
    pub http: HttpConfig,
}

/// Reads a block of `msteams_configs`.
pub(crate) fn check(block: &mut Block<'_>, global: &Global) -> Config {
    let http = of_receiver(block, global);
    let webhook_url = block.exactly_one("webhook_url", "webhook_url_file", Form::Link);
    Config {
        http,
        webhook_url,
        title: block.text("title", r#"{{ template "msteams.default.title" . }}"#),
        summary: block.text("summary", r#"{{ template "msteams.default.summary" . }}"#),
        text: block.text("text", r#"{{ template "msteams.default.text" . }}"#),
    }
}
