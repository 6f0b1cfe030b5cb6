//! Webex: messages to a room.

use std::time::Duration;

use url::Url;
use ::http::Method;
use serde::Serialize;
use tracing::debug;

use crate::config::block::Block;
use crate::config::global::Global;
use crate::config::http::{HttpConfig, own_authorization, of_receiver};
use super::call::Call;
use super::http::{Client, Request};
use super::{BuildError, Parts, SendError, Sent, cut, json};

/// What a Webex integration needs to know.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are those of the file")]
pub struct Config {
    pub api_url: Url,
    pub message: String,
    pub room_id: String,
    /// Holds the token.
    pub http: HttpConfig,
}

/// Reads a block of `webex_configs`.
pub(crate) fn check(block: &mut Block<'_>, global: &Global) -> Config {
    let http = of_receiver(block, global);
    if !own_authorization(block.section()) {
        let message = "missing webex_configs.http_config.authorization; the global one does not count";
        block.mistake_at("http_config", message);
    }
    let api_url = block.link("api_url", global.webex_api_url.as_ref());
    let api_url = block.needed(api_url, "api_url", "no api_url, here or as global webex_api_url");
    let message = block.text("message", r#"{{ template "webex.default.message" . }}"#);
    let room_id = block.required("room_id");
    Config { api_url, message, room_id, http }
}

const MESSAGE_MAX_BYTES: usize = 7439;

/// Sends to one room.
pub(crate) struct Sender {
    config: Config,
    client: Client,
}

#[derive(Serialize)]
struct Message {
    markdown: String,
    #[serde(rename = "roomId", skip_serializing_if = "String::is_empty")]
    room_id: String,
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
        let (markdown, was_cut) = cut::bytes(&call.text(&self.config.message)?, MESSAGE_MAX_BYTES);
        if was_cut {
            debug!(group_key = %call.context.group_key, "text cut to the receiver's limit");
        }
        let message = Message { markdown, room_id: call.text(&self.config.room_id)? };
        let request =
            Request::json(Method::POST, self.config.api_url.clone(), json::body(&message)?);
        self.client.send(request).await?.check(&[])?;
        Ok(Sent::default())
    }
}

#[cfg(test)]
mod tests_send {
    use expect_test::expect_file;

    use crate::notify::testing::*;

    const CONFIG: &str = r#"webex_configs:
- api_url: URL
  room_id: room1
  http_config:
    authorization:
      credentials: tok"#;

    #[tokio::test]
    async fn the_request_is_as_recorded() {
        let server = Server::start([Reply::text(200, "")]).await;
        let seen = request_of(&server.notifier(CONFIG), &firing(), &server).await;
        expect_file!["golden/webex-firing.txt"].assert_eq(&seen.dump());
    }

    #[tokio::test]
    async fn a_resolved_group_is_as_recorded() {
        let server = Server::start([Reply::text(200, "")]).await;
        let seen = request_of(&server.notifier(CONFIG), &resolved(), &server).await;
        expect_file!["golden/webex-resolved.txt"].assert_eq(&seen.dump());
    }

    #[tokio::test]
    async fn these_answers_are_tried_again() {
        assert_eq!(retried(CONFIG).await, [500, 502, 503, 504]);
    }

    #[tokio::test]
    async fn a_refused_connection_hides_the_url() {
        assert_eq!(refused_connection(CONFIG).await, "retry");
    }

    #[tokio::test]
    async fn long_texts_are_cut_by_bytes() {
        let server = Server::start([Reply::text(200, "")]).await;
        let mut batch = firing();
        batch.alerts = (0..200).map(|_| alert("a:9100", false)).collect();
        let json = request_of(&server.notifier(CONFIG), &batch, &server).await.json();
        assert_eq!(json["markdown"].as_str().unwrap().len(), 7439);
    }
}
