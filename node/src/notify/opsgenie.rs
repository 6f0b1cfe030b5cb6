//! Opsgenie: alerts by an API key.

use url::Url;

use crate::config::block::{Block, Form};
use crate::config::global::Global;
use crate::config::http::{HttpConfig, Source, check_template, of_receiver};

/// What an Opsgenie integration needs to know.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are those of the file")]
pub struct Config {
    /// A template when it is inline.
    pub api_key: Source,
    /// Ends with a slash.
    pub api_url: Url,
    pub message: String,
    pub description: String,
    pub source: String,
    pub details: Vec<(String, String)>,
    pub entity: String,
    pub responders: Vec<Responder>,
    pub actions: String,
    pub tags: String,
    pub note: String,
    pub priority: String,
    pub update_alerts: bool,
    pub http: HttpConfig,
}

/// Who answers.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are those of the file")]
pub struct Responder {
    pub id: String,
    pub name: String,
    pub username: String,
    /// `type` in the file, as written there.
    pub kind: String,
}

const KINDS: [&str; 5] = ["team", "teams", "user", "escalation", "schedule"];

/// Reads a block of `opsgenie_configs`.
pub(crate) fn check(block: &mut Block<'_>, global: &Global) -> Config {
    let http = of_receiver(block, global);
    let api_key = block.source("api_key", "api_key_file", Form::Text, &global.opsgenie_api_key);
    if api_key.is_none() {
        block.section().mistake("no api_key, here or as global opsgenie_api_key");
    }
    let api_url = block.link_with_slash("api_url", global.opsgenie_api_url.as_ref());
    let api_url = block.needed(api_url, "api_url", "no api_url, here or as global opsgenie_api_url");
    Config {
        http,
        api_key,
        api_url,
        message: block.text("message", r#"{{ template "opsgenie.default.message" . }}"#),
        description: block.text("description", r#"{{ template "opsgenie.default.description" . }}"#),
        source: block.text("source", r#"{{ template "opsgenie.default.source" . }}"#),
        details: block.map("details"),
        entity: block.text("entity", ""),
        responders: block.items("responders", responder),
        actions: block.text("actions", ""),
        tags: block.text("tags", ""),
        note: block.text("note", ""),
        priority: block.text("priority", ""),
        update_alerts: block.bool("update_alerts", false),
    }
}

fn responder(block: &mut Block<'_>) -> Responder {
    let id = block.text("id", "");
    let name = block.text("name", "");
    let username = block.text("username", "");
    let kind = block.text("type", "");
    if id.is_empty() && name.is_empty() && username.is_empty() {
        block.section().mistake("a responder needs one of id, name & username");
    }
    let lower = kind.to_lowercase();
    if lower.contains("{{") {
        if let Err(error) = check_template(&kind) {
            block.mistake_at("type", format!("not a valid template: {error}"));
        }
    } else if !KINDS.contains(&lower.as_str()) {
        let message = format!("the type of a responder must be one of {}", KINDS.join(", "));
        block.mistake_at("type", message);
    }
    Responder { id, name, username, kind }
}
