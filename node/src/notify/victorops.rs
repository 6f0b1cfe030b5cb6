//! VictorOps: alerts of a REST endpoint.

use std::collections::BTreeMap;
use std::time::Duration;

use url::Url;
use ::http::Method;

use crate::config::block::Block;
use crate::config::global::Global;
use crate::config::http::{HttpConfig, Source, of_receiver};
use super::call::Call;
use super::http::{Client, Request};
use super::{BuildError, Parts, SendError, Sent, json, secret};

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
    let api_key = block.nearest_source("api_key", "api_key_file", outer);
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

const STATE_MESSAGE_MAX: usize = 20_480;

/// Sends to one routing key's URL.
pub(crate) struct Sender {
    config: Config,
    client: Client,
}

impl Sender {
    /// Prepares the client.
    pub(crate) fn build(config: &Config, parts: &Parts) -> Result<Self, BuildError> {
        Ok(Self { config: config.clone(), client: Client::build(&config.http, parts)? })
    }

    /// None of its own.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        None
    }

    /// One POST.
    pub(crate) async fn send(&self, call: Call<'_>) -> Result<Sent, SendError> {
        let request = Request::json(Method::POST, self.url(&call)?, json::body(&self.message(&call)?)?);
        self.client.send(request).await?.check(&[])?;
        Ok(Sent::default())
    }

    /// The URL holds the key, so it is in no error.
    fn url(&self, call: &Call<'_>) -> Result<Url, SendError> {
        let key = secret(&self.config.api_key)?;
        let routing_key = call.text(&self.config.routing_key)?;
        let mut url = self.config.api_url.clone();
        url.path_segments_mut()
            .map_err(|()| SendError::invalid("api_url cannot have a path"))?
            .pop_if_empty()
            .extend(key.split('/'))
            .extend(routing_key.split('/'));
        Ok(url)
    }

    fn message(&self, call: &Call<'_>) -> Result<BTreeMap<String, String>, SendError> {
        let config = &self.config;
        let message_type = match call.text(&config.message_type)? {
            _ if !call.fires() => "RECOVERY".to_owned(),
            text if ["INFO", "WARNING", "CRITICAL"].contains(&text.as_str()) => text,
            _ => "CRITICAL".to_owned(),
        };
        let state = call.runes("state_message", &config.state_message, STATE_MESSAGE_MAX)?;
        let mut message = BTreeMap::from([
            ("entity_display_name", call.text(&config.entity_display_name)?),
            ("entity_id", call.hash()),
            ("message_type", message_type),
            ("monitoring_tool", call.text(&config.monitoring_tool)?),
            ("state_message", state),
        ]
        .map(|(name, value)| (name.to_owned(), value)));
        for (name, value) in &config.custom_fields {
            message.insert(name.clone(), call.text(value)?);
        }
        Ok(message)
    }
}

#[cfg(test)]
mod tests_send {
    use expect_test::expect_file;

    use crate::notify::testing::*;

    const CONFIG: &str = r#"victorops_configs:
- api_key: "k/1"
  api_url: URL
  routing_key: "team {{ .Status }}"
  custom_fields:
    f: "{{ .Status }}""#;

    #[tokio::test]
    async fn the_request_is_as_recorded() {
        let server = Server::start([Reply::text(200, "")]).await;
        let seen = request_of(&server.notifier(CONFIG), &firing(), &server).await;
        expect_file!["golden/victorops-firing.txt"].assert_eq(&seen.dump());
    }

    #[tokio::test]
    async fn a_resolved_group_is_as_recorded() {
        let server = Server::start([Reply::text(200, "")]).await;
        let seen = request_of(&server.notifier(CONFIG), &resolved(), &server).await;
        expect_file!["golden/victorops-resolved.txt"].assert_eq(&seen.dump());
    }

    #[tokio::test]
    async fn these_answers_are_tried_again() {
        assert_eq!(retried(CONFIG).await, [500, 502, 503, 504]);
    }

    #[tokio::test]
    async fn a_refused_connection_hides_the_url() {
        assert_eq!(refused_connection(CONFIG).await, "retry");
    }

    #[tokio::test]
    async fn only_known_types_are_sent() {
        for (configured, expected) in [("INFO", "INFO"), ("WARNING", "WARNING"), ("odd", "CRITICAL")] {
            let server = Server::start([Reply::text(200, "")]).await;
            let config = format!("victorops_configs:\n- api_key: k\n  api_url: URL\n  routing_key: r\n  message_type: {configured}");
            let json = request_of(&server.notifier(&config), &firing(), &server).await.json();
            assert_eq!(json["message_type"], expected);
        }
    }
}
