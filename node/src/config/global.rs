//! `global`: what receivers inherit.

use std::time::Duration;

use tocsin_service::yaml::{Section, Value};

use super::block::{Block, Form, Rules};
use super::http::{self, HttpConfig, TlsConfig};
use super::source::{HostPort, Link, Source, rebase};

/// What receivers inherit, and how what they inherit as a whole is shown.
#[derive(Clone, Debug)]
pub(crate) struct Global {
    pub(crate) resolve_timeout: Duration,
    pub(crate) http: HttpConfig,
    pub(crate) http_shown: Value,
    pub(crate) jira_api_url: Option<Link>,
    pub(crate) smtp: Smtp,
    pub(crate) slack_api_url: Source,
    pub(crate) slack_app_token: Source,
    pub(crate) slack_app_url: Option<Link>,
    pub(crate) pagerduty_url: Option<Link>,
    pub(crate) opsgenie_api_url: Option<Link>,
    pub(crate) opsgenie_api_key: Source,
    pub(crate) wechat_api_url: Option<Link>,
    pub(crate) wechat_api_secret: Source,
    pub(crate) wechat_api_corp_id: String,
    pub(crate) victorops_api_url: Option<Link>,
    pub(crate) victorops_api_key: Source,
    pub(crate) telegram_api_url: Option<Link>,
    pub(crate) telegram_bot_token: Source,
    pub(crate) webex_api_url: Option<Link>,
    pub(crate) rocketchat_api_url: Option<Link>,
    pub(crate) rocketchat_token: Source,
    pub(crate) rocketchat_token_id: Source,
    pub(crate) mattermost_webhook_url: Source,
}

/// What e-mail receivers inherit.
#[derive(Clone, Debug)]
pub(crate) struct Smtp {
    pub(crate) from: String,
    pub(crate) hello: String,
    pub(crate) smarthost: HostPort,
    pub(crate) auth_username: String,
    pub(crate) auth_password: Source,
    pub(crate) auth_secret: Source,
    pub(crate) auth_identity: String,
    pub(crate) require_tls: bool,
    pub(crate) tls: TlsConfig,
    pub(crate) tls_shown: Value,
    pub(crate) force_implicit_tls: Option<bool>,
}

/// Reads `global`, or makes its defaults.
pub(crate) fn read(section: Section<'_>, rules: &Rules) -> (Global, Value) {
    let mut block = Block::new(section, rules);
    let global = keys(&mut block);
    (global, block.finish())
}

fn keys(block: &mut Block<'_>) -> Global {
    let rules = block.rules;
    let none = &Source::None;
    let resolve_timeout = always_duration(block, "resolve_timeout", Duration::from_secs(300));
    let http = block.sub("http_config", |block| http::http(block, Some(&rules.directory)));
    let http_shown = match (&http, block.last()) {
        (Some(_), Some(shown)) => shown,
        _ if rules.silent => Value::Map(Vec::new()),
        _ => http::shown_default(),
    };
    if http.is_none() {
        block.show("http_config", http_shown.clone());
    }
    let global = Global {
        resolve_timeout,
        http: http.unwrap_or_default(),
        http_shown,
        jira_api_url: block.link("jira_api_url", None),
        smtp: smtp(block),
        slack_api_url: block.source("slack_api_url", "slack_api_url_file", Form::Link, none),
        slack_app_token: slack_app_token(block),
        slack_app_url: default_link(
            block,
            "slack_app_url",
            "https://slack.com/api/chat.postMessage",
        ),
        pagerduty_url: default_link(
            block,
            "pagerduty_url",
            "https://events.pagerduty.com/v2/enqueue",
        ),
        opsgenie_api_url: slashed_link(block, "opsgenie_api_url", "https://api.opsgenie.com/"),
        opsgenie_api_key: secret(block, "opsgenie_api_key", "opsgenie_api_key_file"),
        wechat_api_url: slashed_link(
            block,
            "wechat_api_url",
            "https://qyapi.weixin.qq.com/cgi-bin/",
        ),
        wechat_api_secret: secret(block, "wechat_api_secret", "wechat_api_secret_file"),
        wechat_api_corp_id: block.text("wechat_api_corp_id", ""),
        victorops_api_url: slashed_link(
            block,
            "victorops_api_url",
            "https://alert.victorops.com/integrations/generic/20131114/alert/",
        ),
        victorops_api_key: secret(block, "victorops_api_key", "victorops_api_key_file"),
        telegram_api_url: default_link(block, "telegram_api_url", "https://api.telegram.org"),
        telegram_bot_token: secret(block, "telegram_bot_token", "telegram_bot_token_file"),
        webex_api_url: default_link(block, "webex_api_url", "https://webexapis.com/v1/messages"),
        rocketchat_api_url: default_link(block, "rocketchat_api_url", "https://open.rocket.chat/"),
        rocketchat_token: secret(block, "rocketchat_token", "rocketchat_token_file"),
        rocketchat_token_id: secret(block, "rocketchat_token_id", "rocketchat_token_id_file"),
        mattermost_webhook_url: block.source(
            "mattermost_webhook_url",
            "mattermost_webhook_url_file",
            Form::Link,
            none,
        ),
    };
    check_slack(block, &global);
    global
}

fn smtp(block: &mut Block<'_>) -> Smtp {
    let from = block.text("smtp_from", "");
    let hello = block.text("smtp_hello", "localhost");
    let smarthost = host_port(block, "smtp_smarthost", &HostPort::default());
    let auth_username = block.text("smtp_auth_username", "");
    let auth_password = secret(block, "smtp_auth_password", "smtp_auth_password_file");
    let auth_secret = secret(block, "smtp_auth_secret", "smtp_auth_secret_file");
    let auth_identity = block.text("smtp_auth_identity", "");
    let require_tls = block.flag("smtp_require_tls", true);
    // Upstream resolves these files below the working directory.
    let tls = block.sub("smtp_tls_config", |block| http::tls_keys(block, None));
    let tls_shown = match (&tls, block.last()) {
        (Some(_), Some(shown)) => shown,
        _ => Value::Map(vec![("insecure_skip_verify".to_owned(), false.into())]),
    };
    if tls.is_none() {
        block.show("smtp_tls_config", tls_shown.clone());
    }
    let force_implicit_tls = block.choice("smtp_force_implicit_tls", None);
    Smtp {
        from,
        hello,
        smarthost,
        auth_username,
        auth_password,
        auth_secret,
        auth_identity,
        require_tls,
        tls: tls.unwrap_or_default(),
        tls_shown,
        force_implicit_tls,
    }
}

/// Reads a host with a port.
pub(crate) fn host_port(block: &mut Block<'_>, key: &'static str, outer: &HostPort) -> HostPort {
    let text = block.section().text_or(key, "");
    let found = match HostPort::parse(&text) {
        Ok(own) if own.is_empty() => outer.clone(),
        Ok(own) => own,
        Err(message) => {
            let hint = "write it as host:port, such as mail.example.com:587";
            if let Some(field) = block.field(key) {
                field.mistake_with_hint(format!("address {text:?} {message}"), hint);
            }
            HostPort { host: "invalid".to_owned(), port: "0".to_owned() }
        }
    };
    if !found.is_empty() {
        block.show(key, found.to_string());
    }
    found
}

fn secret(block: &mut Block<'_>, key: &'static str, file_key: &'static str) -> Source {
    block.source(key, file_key, Form::Text, &Source::None)
}

/// The token's file is the one file of this section that is relative to the configuration.
fn slack_app_token(block: &mut Block<'_>) -> Source {
    let (key, file_key) = ("slack_app_token", "slack_app_token_file");
    let token = rebased(block.own_source(key, file_key, Form::Text), block.rules);
    block.show_source(key, file_key, &token);
    token
}

/// The same, a file below the directory of the configuration.
pub(crate) fn rebased(source: Source, rules: &Rules) -> Source {
    match source {
        Source::File(path) => Source::File(rebase(&rules.directory, &path.to_string_lossy())),
        other => other,
    }
}

fn default_link(block: &mut Block<'_>, key: &'static str, default: &'static str) -> Option<Link> {
    let link = linked(block, key, default);
    if let Some(link) = &link {
        block.show(key, link.text.as_str());
    }
    link
}

fn slashed_link(block: &mut Block<'_>, key: &'static str, default: &'static str) -> Option<Link> {
    let link = linked(block, key, default).map(Link::with_slash);
    if let Some(link) = &link {
        block.show(key, link.text.as_str());
    }
    link
}

/// Absent is the default, `null` is none.
fn linked(block: &Block<'_>, key: &'static str, default: &'static str) -> Option<Link> {
    match block.field(key) {
        None => Link::parse(default).ok(),
        Some(_) => block.own_link(key, None),
    }
}

fn always_duration(block: &mut Block<'_>, key: &'static str, default: Duration) -> Duration {
    let duration = block.section().duration_or(key, default);
    block.show(key, tocsin_service::duration::format_duration(duration));
    duration
}

/// A token and a webhook exclude each other, unless the webhook's address is the one for tokens.
fn check_slack(block: &Block<'_>, global: &Global) {
    if global.slack_app_token.is_none() || global.slack_api_url.is_none() || block.rules.shown {
        return;
    }
    let app_url = global.slack_app_url.as_ref().map(|link| link.text.as_str());
    let same = match &global.slack_api_url {
        Source::Inline(url) => Some(url.reveal()) == app_url,
        Source::File(_) | Source::None => false,
    };
    if !same {
        let message = "at most one of slack_app_token/slack_app_token_file & slack_api_url/slack_api_url_file must be configured";
        block.mistake_at("slack_api_url", message);
    }
}
