//! Slack: incoming webhooks, or an app's token.

use std::time::Duration;

use crate::config::block::{Block, Form};
use crate::config::global::{Global, rebased};
use crate::config::http::{Auth, HttpConfig, Link, Source, own_authorization, of_receiver};

/// What a Slack integration needs to know.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are those of the file")]
pub struct Config {
    /// Where to; with an app's token this is the app's address, and `http` holds the token.
    pub api_url: Source,
    pub channel: String,
    pub username: String,
    pub color: String,
    pub title: String,
    pub title_link: String,
    pub pretext: String,
    pub text: String,
    pub message_text: String,
    pub fields: Vec<Field>,
    pub short_fields: bool,
    pub footer: String,
    pub fallback: String,
    pub callback_id: String,
    pub icon_emoji: String,
    pub icon_url: String,
    pub image_url: String,
    pub thumb_url: String,
    pub link_names: bool,
    pub mrkdwn_in: Vec<String>,
    pub actions: Vec<Action>,
    pub update_message: bool,
    /// Zero: none of its own.
    pub timeout: Duration,
    pub http: HttpConfig,
}

/// A small table entry.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are those of the file")]
pub struct Field {
    pub title: String,
    pub value: String,
    /// `None`: as `short_fields` says.
    pub short: Option<bool>,
}

/// A button.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are those of the file")]
pub struct Action {
    /// `type` in the file.
    pub kind: String,
    pub text: String,
    pub url: String,
    pub style: String,
    pub name: String,
    pub value: String,
    pub confirm: Option<Confirm>,
}

/// The question before a button's deed.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are those of the file")]
pub struct Confirm {
    pub text: String,
    pub title: String,
    pub ok_text: String,
    pub dismiss_text: String,
}

/// The only address that can change a message later.
const UPDATABLE: &str = "https://slack.com/api/chat.postMessage";

/// Reads a block of `slack_configs`.
pub(crate) fn check(block: &mut Block<'_>, global: &Global) -> Config {
    let http = of_receiver(block, global);
    let (api_url, http) = address(block, global, http);
    let config = Config {
        api_url,
        http,
        channel: block.text("channel", ""),
        username: default(block, "username", "username"),
        color: default(block, "color", "color"),
        title: default(block, "title", "title"),
        title_link: default(block, "title_link", "titlelink"),
        pretext: default(block, "pretext", "pretext"),
        text: default(block, "text", "text"),
        message_text: block.text("message_text", ""),
        fields: block.items("fields", field),
        short_fields: block.flag("short_fields", false),
        footer: default(block, "footer", "footer"),
        fallback: default(block, "fallback", "fallback"),
        callback_id: default(block, "callback_id", "callbackid"),
        icon_emoji: default(block, "icon_emoji", "iconemoji"),
        icon_url: default(block, "icon_url", "iconurl"),
        image_url: block.text("image_url", ""),
        thumb_url: block.text("thumb_url", ""),
        link_names: block.flag("link_names", false),
        mrkdwn_in: block.texts("mrkdwn_in"),
        actions: block.items("actions", action),
        update_message: block.flag("update_message", false),
        timeout: block.timeout(),
    };
    let updatable = match &config.api_url {
        Source::Inline(url) => url.reveal() == UPDATABLE || url.is_hidden(),
        Source::File(_) | Source::None => false,
    };
    if config.update_message && !updatable {
        let message = format!("update_message needs the address {UPDATABLE}");
        block.mistake_at("update_message", message);
    }
    config
}

fn default(block: &mut Block<'_>, key: &'static str, name: &str) -> String {
    block.text(key, &format!("{{{{ template \"slack.default.{name}\" . }}}}"))
}

/// A token goes into the client and sends to the app's address; else it is a webhook's address.
fn address(block: &mut Block<'_>, global: &Global, mut http: HttpConfig) -> (Source, HttpConfig) {
    let own_url = block.own_source("api_url", "api_url_file", Form::Link);
    let own_token = block.own_source("app_token", "app_token_file", Form::Text);
    let own_token = rebased(own_token, block.rules);
    let app_url = block.own_link("app_url", global.slack_app_url.as_ref());
    let shown = block.rules.shown;
    if !own_url.is_none() && !own_token.is_none() && !shown {
        let message = "at most one of api_url/api_url_file & app_token/app_token_file must be configured";
        block.mistake_at("api_url", message);
    }
    let authorized = own_authorization(block.section());
    let token = if own_token.is_none() && !authorized && own_url.is_none() {
        global.slack_app_token.clone()
    } else {
        own_token
    };
    let url = if own_url.is_none() { global.slack_api_url.clone() } else { own_url };
    let derived = !token.is_none();
    if !derived {
        block.show_source("api_url", "api_url_file", &url);
    }
    block.show_source("app_token", "app_token_file", &token);
    if let Some(link) = &app_url {
        block.show("app_url", link.text.as_str());
    }
    if derived {
        if !matches!(http.auth, Auth::None) && !shown {
            let message = "http_config must not say who it is (authorization) when an app token is used";
            block.mistake_at("http_config", message);
        }
        http.auth = Auth::Header { scheme: "Bearer".to_owned(), credentials: token };
        let app_url = needed(block, app_url);
        return (Source::Inline(app_url.text.as_str().into()), http);
    }
    if app_url.is_none() {
        block.section().mistake("no app_url, here or as global slack_app_url");
    }
    if url.is_none() {
        block.section().mistake("no api_url and no app_token, here or as global slack_api_url or slack_app_token");
    }
    (url, http)
}

fn needed(block: &Block<'_>, link: Option<Link>) -> Link {
    link.unwrap_or_else(|| {
        block.section().mistake("no app_url, here or as global slack_app_url");
        Link::nowhere()
    })
}

pub(super) fn field(block: &mut Block<'_>) -> Field {
    Field {
        title: block.required("title"),
        value: block.required("value"),
        short: block.choice("short", None),
    }
}

fn action(block: &mut Block<'_>) -> Action {
    let kind = block.required("type");
    let text = block.required("text");
    let url = block.text("url", "");
    let style = block.text("style", "");
    let name = block.section().text_or("name", "");
    let value = block.section().text_or("value", "");
    if url.is_empty() && name.is_empty() {
        block.section().mistake("one of url & name is missing");
    }
    let linked = !url.is_empty();
    if !linked {
        block.show("name", name.as_str());
        if !value.is_empty() {
            block.show("value", value.as_str());
        }
    }
    let confirm = if linked { discard_confirm(block) } else { block.sub("confirm", confirm) };
    let (name, value) = if linked { Default::default() } else { (name, value) };
    Action { kind, text, url, style, name, value, confirm }
}

/// A link asks no question; the block is checked all the same.
fn discard_confirm(block: &Block<'_>) -> Option<Confirm> {
    let section = block.section().section("confirm")?;
    confirm(&mut Block::new(section, block.rules));
    None
}

fn confirm(block: &mut Block<'_>) -> Confirm {
    Confirm {
        text: block.required("text"),
        title: block.text("title", ""),
        ok_text: block.text("ok_text", ""),
        dismiss_text: block.text("dismiss_text", ""),
    }
}
