//! VictorOps: alerts of a REST endpoint.

use url::Url;

use crate::config::block::{Block, Form};
use crate::config::global::Global;
use crate::config::http::{HttpConfig, Source, of_receiver};

/// What a VictorOps integration needs to know.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are those of the file")]
pub struct Config {
    pub api_key: Source,
    /// Ends with a slash.
    pub api_url: Url,
    pub routing_key: String,
    pub message_type: String,
    pub state_message: String,
    pub entity_display_name: String,
    pub monitoring_tool: String,
    pub custom_fields: Vec<(String, String)>,
    pub http: HttpConfig,
}

/// Names that the message itself has.
const RESERVED: [&str; 7] = [
    "routing_key",
    "message_type",
    "state_message",
    "entity_display_name",
    "monitoring_tool",
    "entity_id",
    "entity_state",
];

/// Reads a block of `victorops_configs`.
pub(crate) fn check(block: &mut Block<'_>, global: &Global) -> Config {
    let http = of_receiver(block, global);
    let outer = &global.victorops_api_key;
    let api_key = block.source("api_key", "api_key_file", Form::Text, outer);
    if api_key.is_none() {
        block.section().mistake("no api_key, here or as global victorops_api_key");
    }
    let api_url = block.link_with_slash("api_url", global.victorops_api_url.as_ref());
    let api_url = block.needed(api_url, "api_url", "no api_url, here or as global victorops_api_url");
    let routing_key = block.required("routing_key");
    let config = Config {
        http,
        api_key,
        api_url,
        routing_key,
        message_type: block.text("message_type", "CRITICAL"),
        state_message: default(block, "state_message"),
        entity_display_name: default(block, "entity_display_name"),
        monitoring_tool: default(block, "monitoring_tool"),
        custom_fields: block.map("custom_fields"),
    };
    for (name, field) in block.field("custom_fields").map(|field| field.entries()).unwrap_or_default() {
        if RESERVED.contains(&name) {
            field.mistake(format!("custom field {name:?} is a name of the message itself"));
        }
    }
    config
}

fn default(block: &mut Block<'_>, key: &'static str) -> String {
    block.text_always(key, &format!("{{{{ template \"victorops.default.{key}\" . }}}}"))
}
