//! Microsoft Teams by the connector's cards.

use std::time::Duration;

use ::http::Method;
use serde::Serialize;

use crate::config::block::{Block, Form};
use crate::config::global::Global;
use crate::config::http::{HttpConfig, Source, of_receiver};
use super::call::Call;
use super::http::{Client, Request};
use super::{BuildError, Parts, SendError, Sent, json, parse_url, secret};

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

const RED: &str = "8C1A1A";
const GREEN: &str = "2DC72D";

/// Sends to one connector.
pub(crate) struct Sender {
    config: Config,
    client: Client,
}

#[derive(Serialize)]
struct Card {
    #[serde(rename = "@context")]
    context: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    title: String,
    summary: String,
    text: String,
    #[serde(rename = "themeColor")]
    theme_color: &'static str,
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
        let card = Card {
            context: "http://schema.org/extensions",
            kind: "MessageCard",
            title: call.text(&config.title)?,
            summary: call.text(&config.summary)?,
            text: call.text(&config.text)?,
            theme_color: if call.fires() { RED } else { GREEN },
        };
        let url = parse_url(&secret(&config.webhook_url)?)?;
        let request = Request::json(Method::POST, url, json::body(&card)?);
        self.client.send(request).await?.check(&[])?;
        Ok(Sent::default())
    }
}

#[cfg(test)]
mod tests_send {
    use expect_test::expect_file;

    use crate::notify::testing::*;

    const CONFIG: &str = r#"msteams_configs:
- webhook_url: URL"#;

    #[tokio::test]
    async fn the_request_is_as_recorded() {
        let server = Server::start([Reply::text(200, "")]).await;
        let seen = request_of(&server.notifier(CONFIG), &firing(), &server).await;
        expect_file!["golden/msteams-firing.txt"].assert_eq(&seen.dump());
    }

    #[tokio::test]
    async fn a_resolved_group_is_as_recorded() {
        let server = Server::start([Reply::text(200, "")]).await;
        let seen = request_of(&server.notifier(CONFIG), &resolved(), &server).await;
        expect_file!["golden/msteams-resolved.txt"].assert_eq(&seen.dump());
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
