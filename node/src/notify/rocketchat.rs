//! Rocket.Chat: messages to a channel.

use std::time::Duration;

use url::Url;
use ::http::Method;
use ::http::header::HeaderName;
use serde::{Deserialize, Serialize};
use tocsin_service::secret::Secret;

use crate::config::block::Block;
use crate::config::global::Global;
use crate::config::http::{HttpConfig, Source, of_receiver};
use super::call::Call;
use super::http::{Answer, Client, Request};
use super::{BuildError, FailureReason, Parts, SendError, Sent, json, parse_url, secret};

/// What a Rocket.Chat integration needs to know.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are those of the file")]
pub struct Config {
    pub api_url: Url,
    pub token_id: Source,
    pub token: Source,
    pub channel: String,
    pub color: String,
    pub title: String,
    pub title_link: String,
    pub text: String,
    pub fields: Vec<Field>,
    pub short_fields: bool,
    pub emoji: String,
    pub icon_url: String,
    pub image_url: String,
    pub thumb_url: String,
    pub link_names: bool,
    pub actions: Vec<Action>,
    pub http: HttpConfig,
}

/// A small table entry.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are those of the file")]
pub struct Field {
    /// `None`: as `short_fields` says.
    pub short: Option<bool>,
    pub title: String,
    pub value: String,
}

/// A button; the keys that nobody sends are read and left out here.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are those of the file")]
pub struct Action {
    pub text: String,
    pub url: String,
    pub msg: String,
}

/// Reads a block of `rocketchat_configs`.
pub(crate) fn check(block: &mut Block<'_>, global: &Global) -> Config {
    let http = of_receiver(block, global);
    let api_url = block.link("api_url", global.rocketchat_api_url.as_ref());
    let api_url = block.needed(api_url, "api_url", "no api_url, here or as global rocketchat_api_url");
    let outer = &global.rocketchat_token_id;
    let token_id = block.nearest_source("token_id", "token_id_file", outer);
    if token_id.is_none() {
        block.section().mistake("no token_id, here or as global rocketchat_token_id");
    }
    let token = block.nearest_source("token", "token_file", &global.rocketchat_token);
    if token.is_none() {
        block.section().mistake("no token, here or as global rocketchat_token");
    }
    Config {
        http,
        api_url,
        token_id,
        token,
        channel: block.text("channel", ""),
        color: block.text("color", r#"{{ if eq .Status "firing" }}red{{ else }}green{{ end }}"#),
        title: default(block, "title", "title"),
        title_link: default(block, "title_link", "titlelink"),
        text: default(block, "text", "text"),
        fields: block.items("fields", |block| Field {
            short: block.choice("short", None),
            title: block.text("title", ""),
            value: block.text("value", ""),
        }),
        short_fields: block.bool("short_fields", false),
        emoji: default(block, "emoji", "emoji"),
        icon_url: default(block, "icon_url", "iconurl"),
        image_url: block.text("image_url", ""),
        thumb_url: block.text("thumb_url", ""),
        link_names: block.bool("link_names", false),
        actions: block.items("actions", action),
    }
}

fn default(block: &mut Block<'_>, key: &'static str, name: &str) -> String {
    block.text(key, &format!("{{{{ template \"rocketchat.default.{name}\" . }}}}"))
}

/// The keys are written without underscores.
fn action(block: &mut Block<'_>) -> Action {
    block.text("type", "");
    let text = block.text("text", "");
    let url = block.text("url", "");
    block.text("imageurl", "");
    block.bool("iswebview", false);
    block.text("webviewheightratio", "");
    let msg = block.text("msg", "");
    block.bool("msginchatwindow", false);
    block.text("msgprocessingtype", "");
    Action { text, url, msg }
}

const TITLE_MAX: usize = 1024;
const TOKEN: HeaderName = HeaderName::from_static("x-auth-token");
const USER: HeaderName = HeaderName::from_static("x-user-id");

/// Sends to one channel. Token and user are read once.
pub(crate) struct Sender {
    config: Config,
    client: Client,
    token: Secret,
    user: Secret,
}

#[derive(Serialize)]
struct Message {
    #[serde(skip_serializing_if = "String::is_empty")]
    channel: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    emoji: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    avatar: String,
    attachments: [Attachment; 1],
}

#[derive(Serialize)]
struct Attachment {
    #[serde(skip_serializing_if = "String::is_empty")]
    title: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    title_link: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    text: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    image_url: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    thumb_url: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    color: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fields: Vec<FieldOut>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    actions: Vec<ActionOut>,
}

#[derive(Serialize)]
struct FieldOut {
    short: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    title: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    value: String,
}

#[derive(Serialize)]
struct ActionOut {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    text: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    url: String,
    is_webview: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    msg: String,
    msg_in_chat_window: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Reply {
    success: bool,
    error: String,
}

impl Sender {
    /// Prepares the client and reads the credentials.
    pub(crate) fn build(config: &Config, parts: &Parts) -> Result<Self, BuildError> {
        let read = |source: &Source, what: &str| {
            secret(source).map(Secret::new).map_err(|error| BuildError::new(what, error))
        };
        Ok(Self {
            config: config.clone(),
            client: Client::build(&config.http, parts)?,
            token: read(&config.token, "token_file")?,
            user: read(&config.token_id, "token_id_file")?,
        })
    }

    /// None of its own.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        None
    }

    /// One message; an answer without `"success": true` is a failure.
    pub(crate) async fn send(&self, call: Call<'_>) -> Result<Sent, SendError> {
        let message = self.message(&call)?;
        let channel = format!("channel {:?}", message.channel);
        let base = self.config.api_url.as_str().trim_end_matches('/');
        let url = parse_url(&format!("{base}/api/v1/chat.postMessage"))?;
        let request = Request::json(Method::POST, url, json::body(&message)?)
            .secret(TOKEN, self.token.reveal())?
            .secret(USER, self.user.reveal())?;
        let answer = self.client.send(request).await.map_err(|error| error.prefixed(&channel))?;
        read_reply(&answer).map_err(|error| error.prefixed(&channel))?;
        Ok(Sent::default())
    }

    fn message(&self, call: &Call<'_>) -> Result<Message, SendError> {
        let config = &self.config;
        let attachment = Attachment {
            title: call.runes("title", &config.title, TITLE_MAX)?,
            title_link: call.text(&config.title_link)?,
            text: call.text(&config.text)?,
            image_url: call.text(&config.image_url)?,
            thumb_url: call.text(&config.thumb_url)?,
            color: call.text(&config.color)?,
            fields: self.fields(call)?,
            actions: self.actions(call)?,
        };
        Ok(Message {
            channel: call.text(&config.channel)?,
            emoji: call.text(&config.emoji)?,
            avatar: call.text(&config.icon_url)?,
            attachments: [attachment],
        })
    }

    fn fields(&self, call: &Call<'_>) -> Result<Vec<FieldOut>, SendError> {
        let field = |field: &Field| {
            Ok(FieldOut {
                short: field.short.unwrap_or(self.config.short_fields),
                title: call.text(&field.title)?,
                value: call.text(&field.value)?,
            })
        };
        self.config.fields.iter().map(field).collect()
    }

    fn actions(&self, call: &Call<'_>) -> Result<Vec<ActionOut>, SendError> {
        let action = |action: &Action| {
            Ok(ActionOut {
                kind: "button",
                text: call.text(&action.text)?,
                url: call.text(&action.url)?,
                is_webview: false,
                msg: call.text(&action.msg)?,
                msg_in_chat_window: false,
            })
        };
        self.config.actions.iter().map(action).collect()
    }
}

fn read_reply(answer: &Answer) -> Result<(), SendError> {
    answer.check(&[])?;
    match serde_json::from_slice::<Reply>(&answer.body) {
        Ok(Reply { success: true, .. }) => Ok(()),
        Ok(Reply { error, .. }) => {
            let what = format!("error response from Rocket.Chat: {error}");
            Err(SendError::refused(what, FailureReason::ClientError))
        }
        Err(_) => {
            let what = format!("could not decode Rocket.Chat's answer {:?}", answer.text());
            Err(SendError::unavailable(what, FailureReason::ClientError))
        }
    }
}

#[cfg(test)]
mod tests_send {
    use expect_test::expect_file;

    use crate::notify::testing::*;

    const CONFIG: &str = r##"rocketchat_configs:
- api_url: URL
  channel: "#ops"
  token: tok
  token_id: id
  send_resolved: true
  actions:
  - type: x
    text: t
    msg: m"##;

    #[tokio::test]
    async fn the_request_is_as_recorded() {
        let server = Server::start([Reply::json(200, r#"{"success":true}"#)]).await;
        let seen = request_of(&server.notifier(CONFIG), &firing(), &server).await;
        expect_file!["golden/rocketchat-firing.txt"].assert_eq(&seen.dump());
    }

    #[tokio::test]
    async fn a_resolved_group_is_as_recorded() {
        let server = Server::start([Reply::json(200, r#"{"success":true}"#)]).await;
        let seen = request_of(&server.notifier(CONFIG), &resolved(), &server).await;
        expect_file!["golden/rocketchat-resolved.txt"].assert_eq(&seen.dump());
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
    async fn a_success_says_so() {
        let text = failure(CONFIG, Reply::json(200, r#"{"success":false,"error":"no room"}"#)).await;
        assert_eq!(text, r##"final clientError: channel "#ops": error response from Rocket.Chat: no room"##);
        assert!(failure(CONFIG, Reply::json(200, "?")).await.starts_with("retry clientError"));
    }
}
