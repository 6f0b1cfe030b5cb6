//! Microsoft Teams by the adaptive cards of a workflow.

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

/// Sends to one workflow.
pub(crate) struct Sender {
    config: Config,
    client: Client,
}

#[derive(Serialize)]
struct Message {
    #[serde(rename = "type")]
    kind: &'static str,
    attachments: [Attachment; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Attachment {
    content_type: &'static str,
    content_url: Option<&'static str>,
    content: Card,
}

#[derive(Serialize)]
struct Card {
    #[serde(rename = "$schema")]
    schema: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    version: &'static str,
    body: [TextBlock; 2],
    msteams: Layout,
}

#[derive(Serialize)]
struct TextBlock {
    #[serde(rename = "type")]
    kind: &'static str,
    text: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    weight: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    size: &'static str,
    wrap: bool,
    #[serde(skip_serializing_if = "str::is_empty")]
    style: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    color: &'static str,
}

#[derive(Serialize)]
struct Layout {
    width: &'static str,
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
        let message = self.message(&call)?;
        let url = parse_url(&secret(&self.config.webhook_url)?)?;
        let request = Request::json(Method::POST, url, json::body(&message)?);
        self.client.send(request).await?.check(&[])?;
        Ok(Sent::default())
    }

    fn message(&self, call: &Call<'_>) -> Result<Message, SendError> {
        let heading = TextBlock {
            kind: "TextBlock",
            text: call.text(&self.config.title)?,
            weight: "Bolder",
            size: "Medium",
            wrap: true,
            style: "heading",
            color: if call.fires() { "Attention" } else { "Good" },
        };
        let text = call.text(&self.config.text)?;
        let body =
            TextBlock { kind: "TextBlock", text, weight: "", size: "", wrap: true, style: "", color: "" };
        let content = Card {
            schema: "http://adaptivecards.io/schemas/adaptive-card.json",
            kind: "AdaptiveCard",
            version: "1.2",
            body: [heading, body],
            msteams: Layout { width: "full" },
        };
        let content_type = "application/vnd.microsoft.card.adaptive";
        let attachment = Attachment { content_type, content_url: None, content };
        Ok(Message { kind: "message", attachments: [attachment] })
    }
}

#[cfg(test)]
mod tests_send {
    use expect_test::expect_file;

    use crate::notify::testing::*;

    const CONFIG: &str = r#"msteamsv2_configs:
- webhook_url: URL"#;

    #[tokio::test]
    async fn the_request_is_as_recorded() {
        let server = Server::start([Reply::text(202, "")]).await;
        let seen = request_of(&server.notifier(CONFIG), &firing(), &server).await;
        expect_file!["golden/msteamsv2-firing.txt"].assert_eq(&seen.dump());
    }

    #[tokio::test]
    async fn a_resolved_group_is_as_recorded() {
        let server = Server::start([Reply::text(202, "")]).await;
        let seen = request_of(&server.notifier(CONFIG), &resolved(), &server).await;
        expect_file!["golden/msteamsv2-resolved.txt"].assert_eq(&seen.dump());
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
