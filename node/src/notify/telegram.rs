//! Telegram: messages of a bot.

use std::collections::BTreeMap;
use std::time::Duration;

use tocsin_service::yaml::Value;
use url::Url;
use ::http::Method;
use serde::Deserialize;

use crate::config::block::{Block, Form};
use crate::config::global::Global;
use crate::config::http::{HttpConfig, Source, of_receiver};
use super::call::Call;
use super::http::{Client, Request, read_secret};
use super::{BuildError, FailureReason, Parts, SendError, Sent, json, parse_url};

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
    let id = match block.field("chat_id").map(|field| field.integer()) {
        None => 0,
        Some(Some(id)) => id,
        // The mistake is noted.
        Some(None) => 1,
    };
    let file = block.section().text_or("chat_id_file", "");
    match (id, file.as_str()) {
        (0, "") => {
            block.missing_both("chat_id", "chat_id_file");
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

const MESSAGE_MAX: usize = 4096;
/// Cutting HTML could leave a tag open, which the service refuses.
const TOO_LONG: &str = "Message length exceeds Telegram's limit of 4096 characters.\nPlease check the message template of this receiver.";

/// Sends to one chat.
pub(crate) struct Sender {
    config: Config,
    client: Client,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Reply {
    ok: bool,
    error_code: u16,
    description: String,
    result: Option<serde_json::Map<String, serde_json::Value>>,
}

impl Sender {
    /// Prepares the client.
    pub(crate) fn build(config: &Config, parts: &Parts) -> Result<Self, BuildError> {
        Ok(Self { config: config.clone(), client: Client::build(&config.http, parts)? })
    }

    /// None of its own.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        None
    }

    /// One message; whatever the service answers but success is tried again.
    pub(crate) async fn send(&self, call: Call<'_>) -> Result<Sent, SendError> {
        let config = &self.config;
        let token = read_secret(&config.bot_token)?;
        let base = config.api_url.as_str().trim_end_matches('/');
        let url = parse_url(&format!("{base}/bot{token}/sendMessage"))?;
        let request = Request::json(Method::POST, url, json::body(&self.message(&call)?)?);
        let answer = self.client.send(request).await?;
        let reply: Reply = serde_json::from_slice(&answer.body)
            .map_err(|error| SendError::network("telegram: answer is not JSON", error))?;
        if reply.ok && reply.result.is_some() {
            return Ok(Sent::default());
        }
        let what = format!("telegram: {} ({})", reply.description, reply.error_code);
        Err(SendError::unavailable(what, FailureReason::of_status(reply.error_code)))
    }

    fn message(&self, call: &Call<'_>) -> Result<BTreeMap<&'static str, String>, SendError> {
        let config = &self.config;
        let text = if config.parse_mode == "HTML" {
            let text = call.html(&config.message)?;
            if text.chars().count() > MESSAGE_MAX { TOO_LONG.to_owned() } else { text }
        } else {
            call.runes("message", &config.message, MESSAGE_MAX)?
        };
        let mut message = BTreeMap::from([
            ("chat_id", self.chat_id()?),
            ("disable_web_page_preview", "true".to_owned()),
            ("text", text),
        ]);
        if config.disable_notifications {
            message.insert("disable_notification", "true".to_owned());
        }
        if config.message_thread_id != 0 {
            message.insert("message_thread_id", config.message_thread_id.to_string());
        }
        if !config.parse_mode.is_empty() {
            message.insert("parse_mode", config.parse_mode.clone());
        }
        Ok(message)
    }

    fn chat_id(&self) -> Result<String, SendError> {
        let text = read_secret(&self.config.chat_id)?;
        let number = text.parse::<i64>().map_err(|error| {
            SendError::network("telegram: the chat id is not a number", error)
        })?;
        Ok(number.to_string())
    }
}

#[cfg(test)]
mod tests_send {
    use expect_test::expect_file;

    use crate::notify::testing::*;

    const CONFIG: &str = r#"telegram_configs:
- api_url: URL
  bot_token: "1:tok"
  chat_id: -1234
  message_thread_id: 7
  disable_notifications: true"#;

    #[tokio::test]
    async fn the_request_is_as_recorded() {
        let server = Server::start([Reply::json(200, r#"{"ok":true,"result":{"message_id":1}}"#)]).await;
        let seen = request_of(&server.notifier(CONFIG), &firing(), &server).await;
        expect_file!["golden/telegram-firing.txt"].assert_eq(&seen.dump());
    }

    #[tokio::test]
    async fn a_resolved_group_is_as_recorded() {
        let server = Server::start([Reply::json(200, r#"{"ok":true,"result":{"message_id":1}}"#)]).await;
        let seen = request_of(&server.notifier(CONFIG), &resolved(), &server).await;
        expect_file!["golden/telegram-resolved.txt"].assert_eq(&seen.dump());
    }

    #[tokio::test]
    async fn a_refused_connection_hides_the_url() {
        assert_eq!(refused_connection(CONFIG).await, "retry");
    }

    #[tokio::test]
    async fn every_failure_is_tried_again() {
        let answer = |code: u16, text: &str| {
            Reply::json(code, &format!(r#"{{"ok":false,"error_code":{code},"description":"{text}"}}"#))
        };
        assert_eq!(failure(CONFIG, answer(401, "Unauthorized")).await, "retry authError: telegram: Unauthorized (401)");
        assert_eq!(failure(CONFIG, answer(429, "Too Many")).await, "retry rateLimited: telegram: Too Many (429)");
        assert!(failure(CONFIG, Reply::text(200, "?")).await.starts_with("retry other"));
    }

    #[tokio::test]
    async fn long_html_is_replaced_and_long_text_cut() {
        for (mode, length) in [("HTML", None), ("MarkdownV2", Some(4096))] {
            let server = Server::start([Reply::json(200, r#"{"ok":true,"result":{}}"#)]).await;
            let config = format!("telegram_configs:\n- api_url: URL\n  bot_token: t\n  chat_id: 1\n  parse_mode: {mode}");
            let mut batch = firing();
            batch.alerts = (0..100).map(|_| alert("a:9100", false)).collect();
            let json = request_of(&server.notifier(&config), &batch, &server).await.json();
            let text = json["text"].as_str().unwrap();
            match length {
                Some(length) => assert_eq!(text.chars().count(), length),
                None => assert!(text.starts_with("Message length exceeds"), "{text}"),
            }
        }
    }
}
