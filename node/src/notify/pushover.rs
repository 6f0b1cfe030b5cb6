//! Pushover: messages to telephones.

use std::time::Duration;

use tocsin_service::duration::format_go_duration;

use crate::config::block::{Block, Form};
use crate::config::global::Global;
use crate::config::http::{HttpConfig, Source, of_receiver};

/// What a Pushover integration needs to know.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are those of the file")]
pub struct Config {
    /// A template when it is inline.
    pub user_key: Source,
    /// A template when it is inline.
    pub token: Source,
    pub title: String,
    pub message: String,
    pub url: String,
    pub url_title: String,
    pub device: String,
    pub sound: String,
    pub priority: String,
    pub retry: Duration,
    pub expire: Duration,
    /// Zero: for ever.
    pub ttl: Duration,
    pub html: bool,
    pub monospace: bool,
    pub http: HttpConfig,
}

/// Reads a block of `pushover_configs`.
pub(crate) fn check(block: &mut Block<'_>, global: &Global) -> Config {
    let http = of_receiver(block, global);
    let user_key = block.exactly_one("user_key", "user_key_file", Form::Text);
    let token = block.exactly_one("token", "token_file", Form::Text);
    let config = Config {
        http,
        user_key,
        token,
        title: block.text("title", r#"{{ template "pushover.default.title" . }}"#),
        message: block.text("message", r#"{{ template "pushover.default.message" . }}"#),
        url: block.text("url", r#"{{ template "pushover.default.url" . }}"#),
        url_title: block.text("url_title", ""),
        device: block.text("device", ""),
        sound: block.text("sound", ""),
        priority: block.text("priority", r#"{{ if eq .Status "firing" }}2{{ else }}0{{ end }}"#),
        retry: duration(block, "retry", Duration::from_secs(60)),
        expire: duration(block, "expire", Duration::from_secs(3600)),
        ttl: duration(block, "ttl", Duration::ZERO),
        html: block.bool("html", false),
        monospace: block.bool("monospace", false),
    };
    if config.html && config.monospace {
        block.both("monospace", "html");
    }
    config
}

fn duration(block: &mut Block<'_>, key: &'static str, default: Duration) -> Duration {
    let Some(field) = block.field(key) else {
        if let (false, Ok(shown)) = (default.is_zero(), default.try_into()) {
            block.show(key, format_go_duration(shown));
        }
        return default;
    };
    let duration = field.strict_go_duration().unwrap_or_default();
    if !duration.is_zero() {
        block.show(key, format_go_duration(duration));
    }
    Duration::try_from(duration).unwrap_or_default()
}
