//! Mattermost: incoming webhooks.

use crate::config::block::{Block, Form};
use crate::config::global::Global;
use crate::config::http::{HttpConfig, Source, of_receiver};

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
