//! WeChat: messages of a corporate agent.

use url::Url;

use crate::config::block::{Block, Form};
use crate::config::global::Global;
use crate::config::http::{HttpConfig, Source, of_receiver};

/// What a WeChat integration needs to know.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are those of the file")]
pub struct Config {
    /// A template when it is inline.
    pub api_secret: Source,
    pub corp_id: String,
    pub message: String,
    /// Ends with a slash.
    pub api_url: Url,
    pub to_user: String,
    pub to_party: String,
    pub to_tag: String,
    pub agent_id: String,
    /// `text` or `markdown`.
    pub message_type: String,
    pub http: HttpConfig,
}

/// Reads a block of `wechat_configs`.
pub(crate) fn check(block: &mut Block<'_>, global: &Global) -> Config {
    let http = of_receiver(block, global);
    let outer = &global.wechat_api_secret;
    let api_secret = block.source("api_secret", "api_secret_file", Form::Text, outer);
    if api_secret.is_none() {
        block.section().mistake("no api_secret, here or as global wechat_api_secret");
    }
    let corp_id = block.text_or_outer("corp_id", &global.wechat_api_corp_id);
    if corp_id.is_empty() {
        block.section().mistake("no corp_id, here or as global wechat_api_corp_id");
    }
    let message = block.text("message", r#"{{ template "wechat.default.message" . }}"#);
    let api_url = block.link_with_slash("api_url", global.wechat_api_url.as_ref());
    let api_url = block.needed(api_url, "api_url", "no api_url, here or as global wechat_api_url");
    Config {
        http,
        api_secret,
        corp_id,
        message,
        api_url,
        to_user: block.text("to_user", r#"{{ template "wechat.default.to_user" . }}"#),
        to_party: block.text("to_party", r#"{{ template "wechat.default.to_party" . }}"#),
        to_tag: block.text("to_tag", r#"{{ template "wechat.default.to_tag" . }}"#),
        agent_id: block.text("agent_id", r#"{{ template "wechat.default.agent_id" . }}"#),
        message_type: block.word_or_default("message_type", "text", &["text", "markdown"]),
    }
}
