//! Discord: a webhook of a channel.

use crate::config::block::{Block, Form};
use crate::config::global::Global;
use crate::config::http::{HttpConfig, Source, of_receiver};

/// What a Discord integration needs to know.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are those of the file")]
pub struct Config {
    pub webhook_url: Source,
    pub content: String,
    pub title: String,
    pub message: String,
    pub username: String,
    pub avatar_url: String,
    pub http: HttpConfig,
}

/// Reads a block of `discord_configs`.
pub(crate) fn check(block: &mut Block<'_>, global: &Global) -> Config {
    let http = of_receiver(block, global);
    let webhook_url =
        block.exactly_one("webhook_url", "webhook_url_file", Form::Link);
    Config {
        http,
        webhook_url,
        content: block.text("content", r#"{{ template "discord.default.content" . }}"#),
        title: block.text("title", r#"{{ template "discord.default.title" . }}"#),
        message: block.text("message", r#"{{ template "discord.default.message" . }}"#),
        username: block.text("username", ""),
        avatar_url: block.text("avatar_url", ""),
    }
}
