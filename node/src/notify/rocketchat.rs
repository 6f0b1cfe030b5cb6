//! Rocket.Chat: messages to a channel.

use url::Url;

use crate::config::block::{Block, Form};
use crate::config::global::Global;
use crate::config::http::{HttpConfig, Source, of_receiver};

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
    let token_id = block.source("token_id", "token_id_file", Form::Text, outer);
    if token_id.is_none() {
        block.section().mistake("no token_id, here or as global rocketchat_token_id");
    }
    let token = block.source("token", "token_file", Form::Text, &global.rocketchat_token);
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
