//! Pushover: messages to telephones.

use std::time::Duration;
use std::collections::BTreeMap;

use tocsin_service::duration::format_go_duration;
use ::http::Method;
use url::Url;

use crate::config::block::{Block, Form};
use crate::config::global::Global;
use crate::config::http::{HttpConfig, Source, of_receiver};
use super::call::Call;
use super::http::{Client, Request};
use super::{BuildError, Parts, SendError, Sent, secret};

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

const URL: &str = "https://api.pushover.net/1/messages.json";
const TITLE_MAX: usize = 250;
const MESSAGE_MAX: usize = 1024;
const LINK_MAX: usize = 512;

/// Sends to one user or group.
pub(crate) struct Sender {
    config: Config,
    client: Client,
    url: Url,
}

impl Sender {
    /// Prepares the client.
    pub(crate) fn build(config: &Config, parts: &Parts) -> Result<Self, BuildError> {
        let url = Url::parse(URL).map_err(|error| BuildError::new("pushover URL", error))?;
        Ok(Self { config: config.clone(), client: Client::build(&config.http, parts)?, url })
    }

    /// None of its own.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        None
    }

    /// One POST with everything in the query.
    pub(crate) async fn send(&self, call: Call<'_>) -> Result<Sent, SendError> {
        let mut url = self.url.clone();
        url.query_pairs_mut().extend_pairs(self.parameters(&call)?);
        let request = Request::with_body(Method::POST, url, "text/plain", Vec::new());
        self.client.send(request).await?.check(&[])?;
        Ok(Sent::default())
    }

    fn parameters(&self, call: &Call<'_>) -> Result<BTreeMap<&'static str, String>, SendError> {
        let config = &self.config;
        let message =
            if config.html { call.html(&config.message)? } else { call.text(&config.message)? };
        let message = call.cut_runes("message", &message, MESSAGE_MAX);
        let message = match message.trim() {
            "" => "(no details)",
            text => text,
        };
        let mut parameters = BTreeMap::from([
            ("token", call.text(&secret(&config.token)?)?),
            ("user", call.text(&secret(&config.user_key)?)?),
            ("title", call.runes("title", &config.title, TITLE_MAX)?),
            ("message", message.to_owned()),
            ("url", call.runes("url", &config.url, LINK_MAX)?),
            ("url_title", call.text(&config.url_title)?),
            ("priority", call.text(&config.priority)?),
            ("retry", config.retry.as_secs().to_string()),
            ("expire", config.expire.as_secs().to_string()),
            ("device", call.text(&config.device)?),
            ("sound", call.text(&config.sound)?),
        ]);
        if config.html {
            parameters.insert("html", "1".to_owned());
        }
        if config.monospace {
            parameters.insert("monospace", "1".to_owned());
        }
        if config.ttl.as_secs() > 0 {
            parameters.insert("ttl", config.ttl.as_secs().to_string());
        }
        Ok(parameters)
    }
}

#[cfg(test)]
mod tests_send {
    use crate::notify::testing::*;
    use crate::notify::call::Call;
    use crate::notify::{Batch, Settings};

    use super::*;

    /// The service's address is fixed, so the parameters are looked at and the exchange is the
    /// client's, which has its own tests.
    fn parameters(config: &str, batch: &Batch) -> String {
        let config = settings(&format!("pushover_configs:\n- user_key: u\n  token: t\n{config}"));
        let Settings::Pushover(config) = config else { panic!("not pushover") };
        let parts = parts();
        let sender = Sender::build(&config, &parts).unwrap();
        let context = context();
        let call = Call::new(("all", "pushover"), &context, batch, batch.alerts.clone(), &parts);
        let parameters = sender.parameters(&call).unwrap();
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish()
    }

    #[test]
    fn all_parameters_are_sent_even_when_empty() {
        expect_test::expect_file!["golden/pushover.txt"].assert_eq(&parameters("", &firing()));
    }

    #[test]
    fn a_resolved_group_has_no_priority_and_options_are_numbers() {
        let text = parameters("  html: true\n  ttl: 1m\n  message: ' '", &resolved());
        for part in ["priority=0&", "html=1&", "ttl=60&", "message=%28no+details%29&"] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}
