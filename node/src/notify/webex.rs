//! Webex: messages to a room.

use url::Url;

use crate::config::block::Block;
use crate::config::global::Global;
use crate::config::http::{HttpConfig, own_authorization, of_receiver};

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
