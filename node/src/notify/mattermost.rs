//! Mattermost: incoming webhooks.

use std::time::Duration;

use ::http::Method;
use serde::Serialize;
use tracing::warn;

use crate::config::block::{Block, Form};
use crate::config::global::Global;
use crate::config::http::{HttpConfig, Source, of_receiver};
use super::call::Call;
use super::http::{Client, Request};
use super::{BuildError, Parts, SendError, Sent, json, parse_url, secret};

/// What a Mattermost integration needs to know.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are those of the file")]
pub struct Config {
    pub webhook_url: Source,
    pub channel: String,
    pub username: String,
    /// The message itself.
    pub attachment: Attachment,
    pub icon_url: String,
    pub icon_emoji: String,
    /// `type` in the file.
    pub kind: String,
    /// More of them, an old key.
    pub attachments: Vec<Attachment>,
    /// `props.card` in the file.
    pub props_card: String,
    pub priority: Option<Priority>,
    pub http: HttpConfig,
}

/// A message with its ornaments.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are those of the file")]
pub struct Attachment {
    pub fallback: String,
    pub color: String,
    pub pretext: String,
    pub text: String,
    pub author_name: String,
    pub author_link: String,
    pub author_icon: String,
    pub title: String,
    pub title_link: String,
    pub fields: Vec<Field>,
    pub thumb_url: String,
    pub footer: String,
    pub footer_icon: String,
    pub image_url: String,
}

/// A small table entry.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are those of the file")]
pub struct Field {
    pub title: String,
    pub value: String,
    pub short: Option<bool>,
}

/// How urgent the message is.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are those of the file")]
pub struct Priority {
    pub priority: String,
    pub requested_ack: bool,
    pub persistent_notifications: bool,
}

/// Reads a block of `mattermost_configs`.
pub(crate) fn check(block: &mut Block<'_>, global: &Global) -> Config {
    let http = of_receiver(block, global);
    let outer = &global.mattermost_webhook_url;
    let webhook_url = block.source("webhook_url", "webhook_url_file", Form::Link, outer);
    if webhook_url.is_none() {
        block.section().mistake("no webhook_url, here or as global mattermost_webhook_url");
    }
    Config {
        http,
        webhook_url,
        channel: block.text("channel", ""),
        username: default(block, "username", "username", true),
        attachment: attachment(block, true),
        icon_url: block.text("icon_url", ""),
        icon_emoji: block.text("icon_emoji", ""),
        attachments: block.items("attachments", |block| attachment(block, false)),
        kind: block.text("type", ""),
        props_card: block.sub("props", |block| block.text("card", "")).unwrap_or_default(),
        priority: block.sub("priority", |block| Priority {
            priority: block.text("priority", ""),
            requested_ack: block.bool("requested_ack", false),
            persistent_notifications: block.bool("persistent_notifications", false),
        }),
    }
}

/// Only the message itself has defaults.
fn default(block: &mut Block<'_>, key: &'static str, name: &str, whole: bool) -> String {
    let template = format!("{{{{ template \"mattermost.default.{name}\" . }}}}");
    block.text(key, if whole { &template } else { "" })
}

fn attachment(block: &mut Block<'_>, whole: bool) -> Attachment {
    Attachment {
        fallback: default(block, "fallback", "fallback", whole),
        color: default(block, "color", "color", whole),
        pretext: block.text("pretext", ""),
        text: default(block, "text", "text", whole),
        author_name: block.text("author_name", ""),
        author_link: block.text("author_link", ""),
        author_icon: block.text("author_icon", ""),
        title: default(block, "title", "title", whole),
        title_link: default(block, "title_link", "titlelink", whole),
        fields: block.items("fields", |block| Field {
            title: block.required("title"),
            value: block.required("value"),
            short: block.choice("short", None),
        }),
        thumb_url: block.text("thumb_url", ""),
        footer: block.text("footer", ""),
        footer_icon: block.text("footer_icon", ""),
        image_url: block.text("image_url", ""),
    }
}

const TEXT_MAX: usize = 16_383;

/// Sends to one incoming webhook.
pub(crate) struct Sender {
    config: Config,
    client: Client,
}

#[derive(Serialize)]
struct Message {
    #[serde(skip_serializing_if = "String::is_empty")]
    text: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    channel: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    username: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    icon_url: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    icon_emoji: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attachments: Vec<AttachmentOut>,
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    props: Option<PropsOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<PriorityOut>,
}

#[derive(Serialize)]
struct AttachmentOut {
    #[serde(skip_serializing_if = "String::is_empty")]
    fallback: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    color: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pretext: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    text: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    author_name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    author_link: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    author_icon: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    title: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    title_link: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fields: Vec<FieldOut>,
    #[serde(skip_serializing_if = "String::is_empty")]
    thumb_url: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    footer: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    footer_icon: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    image_url: String,
}

#[derive(Serialize)]
struct FieldOut {
    title: String,
    value: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    short: Option<bool>,
}

#[derive(Serialize)]
struct PropsOut {
    card: String,
}

#[derive(Serialize)]
struct PriorityOut {
    priority: String,
    #[serde(skip_serializing_if = "json::is_false")]
    requested_ack: bool,
    #[serde(skip_serializing_if = "json::is_false")]
    persistent_notifications: bool,
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
        let url = secret(&self.config.webhook_url)?;
        if url.is_empty() {
            return Err(SendError::invalid("the webhook's URL is empty"));
        }
        let message = self.message(&call)?;
        let channel = format!("channel {:?}", message.channel);
        let request = Request::json(Method::POST, parse_url(&url)?, json::body(&message)?);
        let answer = self.client.send(request).await.and_then(|answer| answer.check(&[]));
        answer.map_err(|error| error.prefixed(&channel))?;
        Ok(Sent::default())
    }

    /// Without configured attachments the texts make one; with them only `text` is used.
    fn message(&self, call: &Call<'_>) -> Result<Message, SendError> {
        let config = &self.config;
        let (text, attachments) = if config.attachments.is_empty() {
            (String::new(), vec![attachment_out(call, &config.attachment)?])
        } else {
            let all = config.attachments.iter().map(|one| attachment_out(call, one));
            let text = call.runes("text", &config.attachment.text, TEXT_MAX)?;
            (text, all.collect::<Result<_, _>>()?)
        };
        Ok(Message {
            text,
            attachments,
            channel: call.text(&config.channel)?,
            username: call.text(&config.username)?,
            icon_url: call.text(&config.icon_url)?,
            icon_emoji: call.text(&config.icon_emoji)?,
            kind: call.text(&config.kind)?,
            props: self.props(call)?,
            priority: self.priority(call)?,
        })
    }

    fn props(&self, call: &Call<'_>) -> Result<Option<PropsOut>, SendError> {
        match self.config.props_card.as_str() {
            "" => Ok(None),
            card => Ok(Some(PropsOut { card: call.text(card)? })),
        }
    }

    fn priority(&self, call: &Call<'_>) -> Result<Option<PriorityOut>, SendError> {
        let Some(configured) = &self.config.priority else { return Ok(None) };
        if configured.priority.is_empty() {
            return Ok(None);
        }
        let mut priority = call.text(&configured.priority)?.to_lowercase();
        if !["urgent", "important", "standard"].contains(&priority.as_str()) {
            warn!(priority, "unknown mattermost priority, standard is used");
            "standard".clone_into(&mut priority);
        }
        Ok(Some(PriorityOut {
            requested_ack: configured.requested_ack && priority != "standard",
            persistent_notifications: configured.persistent_notifications && priority == "urgent",
            priority,
        }))
    }
}

fn attachment_out(call: &Call<'_>, one: &Attachment) -> Result<AttachmentOut, SendError> {
    let field = |field: &Field| {
        Ok(FieldOut {
            title: call.text(&field.title)?,
            value: call.text(&field.value)?,
            short: field.short,
        })
    };
    Ok(AttachmentOut {
        fallback: call.text(&one.fallback)?,
        color: call.text(&one.color)?,
        pretext: call.text(&one.pretext)?,
        text: call.text(&one.text)?,
        author_name: call.text(&one.author_name)?,
        author_link: call.text(&one.author_link)?,
        author_icon: call.text(&one.author_icon)?,
        title: call.text(&one.title)?,
        title_link: call.text(&one.title_link)?,
        fields: one.fields.iter().map(field).collect::<Result<_, SendError>>()?,
        thumb_url: call.text(&one.thumb_url)?,
        footer: call.text(&one.footer)?,
        footer_icon: call.text(&one.footer_icon)?,
        image_url: call.text(&one.image_url)?,
    })
}

#[cfg(test)]
mod tests_send {
    use expect_test::expect_file;

    use crate::notify::testing::*;

    const CONFIG: &str = r#"mattermost_configs:
- webhook_url: URL
  channel: ops
  priority:
    priority: Urgent
    requested_ack: true
  props:
    card: c"#;

    #[tokio::test]
    async fn the_request_is_as_recorded() {
        let server = Server::start([Reply::text(200, "")]).await;
        let seen = request_of(&server.notifier(CONFIG), &firing(), &server).await;
        expect_file!["golden/mattermost-firing.txt"].assert_eq(&seen.dump());
    }

    #[tokio::test]
    async fn a_resolved_group_is_as_recorded() {
        let server = Server::start([Reply::text(200, "")]).await;
        let seen = request_of(&server.notifier(CONFIG), &resolved(), &server).await;
        expect_file!["golden/mattermost-resolved.txt"].assert_eq(&seen.dump());
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
    async fn with_attachments_the_text_stands_alone() {
        let server = Server::start([Reply::text(200, "")]).await;
        let config = "mattermost_configs:\n- webhook_url: URL\n  text: hello\n  attachments:\n  - title: one";
        let json = request_of(&server.notifier(config), &firing(), &server).await.json();
        assert_eq!((json["text"].as_str(), json["attachments"][0]["title"].as_str()), (Some("hello"), Some("one")));
        assert!(json["attachments"][0]["text"].is_null(), "{json}");
    }
}
