//! Discord: a webhook of a channel.

use std::time::Duration;

use ::http::Method;
use serde::Serialize;
use tracing::warn;
use url::Url;

use crate::config::block::{Block, Form};
use crate::config::global::Global;
use crate::config::http::{HttpConfig, Source, of_receiver};
use super::call::Call;
use super::http::{Client, Request};
use super::{BuildError, Parts, SendError, Sent, json, parse_url, secret};

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

const CONTENT_MAX: usize = 2000;
const TITLE_MAX: usize = 256;
const DESCRIPTION_MAX: usize = 4096;
const RED: u32 = 0x99_2D_22;
const GREEN: u32 = 0x2E_CC_71;

/// Sends to one channel's webhook.
pub(crate) struct Sender {
    config: Config,
    client: Client,
}

#[derive(Serialize)]
struct Message {
    content: String,
    embeds: [Embed; 1],
    #[serde(skip_serializing_if = "str::is_empty")]
    username: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    avatar_url: String,
}

#[derive(Serialize)]
struct Embed {
    title: String,
    description: String,
    color: u32,
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

    /// One POST.
    pub(crate) async fn send(&self, call: Call<'_>) -> Result<Sent, SendError> {
        let config = &self.config;
        let embed = Embed {
            title: call.runes("title", &config.title, TITLE_MAX)?,
            description: call.runes("message", &config.message, DESCRIPTION_MAX)?,
            color: if call.fires() { RED } else { GREEN },
        };
        let message = Message {
            content: call.runes("content", &config.content, CONTENT_MAX)?,
            embeds: [embed],
            username: config.username.clone(),
            avatar_url: self.avatar(),
        };
        let url = parse_url(&secret(&config.webhook_url)?)?;
        let request = Request::json(Method::POST, url, json::body(&message)?);
        self.client.send(request).await?.check(&[])?;
        Ok(Sent::default())
    }

    fn avatar(&self) -> String {
        let text = &self.config.avatar_url;
        if !text.is_empty() && Url::parse(text).is_err() {
            warn!(avatar_url = %text, "avatar is no URL, sent without it");
            return String::new();
        }
        text.clone()
    }
}

#[cfg(test)]
mod tests_send {
    use expect_test::expect_file;

    use crate::notify::testing::*;

    const CONFIG: &str = r#"discord_configs:
- webhook_url: URL
  username: bot
  avatar_url: "not a url""#;

    #[tokio::test]
    async fn the_request_is_as_recorded() {
        let server = Server::start([Reply::text(200, "")]).await;
        let seen = request_of(&server.notifier(CONFIG), &firing(), &server).await;
        expect_file!["golden/discord-firing.txt"].assert_eq(&seen.dump());
    }

    #[tokio::test]
    async fn a_resolved_group_is_as_recorded() {
        let server = Server::start([Reply::text(200, "")]).await;
        let seen = request_of(&server.notifier(CONFIG), &resolved(), &server).await;
        expect_file!["golden/discord-resolved.txt"].assert_eq(&seen.dump());
    }

    #[tokio::test]
    async fn these_answers_are_tried_again() {
        assert_eq!(retried(CONFIG).await, [500, 502, 503, 504]);
    }

    #[tokio::test]
    async fn a_refused_connection_hides_the_url() {
        assert_eq!(refused_connection(CONFIG).await, "retry");
    }
}
