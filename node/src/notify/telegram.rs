//! Telegram: messages of a bot.

use tocsin_service::yaml::Value;
use url::Url;

use crate::config::block::{Block, Form};
use crate::config::global::Global;
use crate::config::http::{HttpConfig, Source, of_receiver};

/// What a Telegram integration needs to know.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are those of the file")]
pub struct Config {
    pub api_url: Url,
    pub bot_token: Source,
    /// A whole number, as text.
    pub chat_id: Source,
    /// 0: none.
    pub message_thread_id: i64,
    pub message: String,
    pub disable_notifications: bool,
    /// `HTML`, `Markdown`, `MarkdownV2` or empty.
    pub parse_mode: String,
    pub http: HttpConfig,
}

/// Reads a block of `telegram_configs`.
pub(crate) fn check(block: &mut Block<'_>, global: &Global) -> Config {
    let http = of_receiver(block, global);
    let api_url = block.link("api_url", global.telegram_api_url.as_ref());
    let api_url = block.needed(api_url, "api_url", "no api_url, here or as global telegram_api_url");
    let outer = &global.telegram_bot_token;
    let bot_token = block.source("bot_token", "bot_token_file", Form::Text, outer);
    if bot_token.is_none() {
        block.section().mistake("no bot_token, here or as global telegram_bot_token");
    }
    Config {
        http,
        api_url,
        bot_token,
        chat_id: chat_id(block),
        message_thread_id: block.integer("message_thread_id", 0),
        message: block.text("message", r#"{{ template "telegram.default.message" . }}"#),
        disable_notifications: block.bool("disable_notifications", false),
        parse_mode: block.word("parse_mode", "HTML", &["HTML", "Markdown", "MarkdownV2", ""]),
    }
}

fn chat_id(block: &mut Block<'_>) -> Source {
    let id = block.section().integer_or("chat_id", 0);
    let file = block.section().text_or("chat_id_file", "");
    match (id, file.as_str()) {
        (0, "") => {
            if !block.section().has_mistakes() || !block.has("chat_id") {
                block.missing_both("chat_id", "chat_id_file");
            }
            Source::None
        }
        (0, file) => {
            block.show("chat_id_file", file);
            Source::File(file.into())
        }
        (id, file) => {
            if !file.is_empty() {
                block.both("chat_id", "chat_id_file");
            }
            block.show("chat_id", Value::Int(id));
            Source::Inline(id.to_string().into())
        }
    }
}
