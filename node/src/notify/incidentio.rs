//! incident.io: alert events of a source.

use std::time::Duration;

use ::http::Method;
use serde::Deserialize;
use tocsin_service::secret::Secret;
use tracing::{error, warn};

use crate::config::block::{Block, Form};
use crate::config::global::Global;
use crate::config::http::{HttpConfig, Source, own_authorization, of_receiver_at, Auth};
use super::call::Call;
use super::http::{Client, Request};
use super::webhook::Document;
use super::{BuildError, Parts, SendError, Sent, json, parse_url, secret, some_time, within};

/// What an incident.io integration needs to know.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are those of the file")]
pub struct Config {
    pub url: Source,
    /// Wins over its file form.
    pub alert_source_token: Source,
    /// 0: all.
    pub max_alerts: usize,
    /// Zero: none of its own.
    pub timeout: Duration,
    pub http: HttpConfig,
}

/// Reads a block of `incidentio_configs`.
pub(crate) fn check(block: &mut Block<'_>, global: &Global) -> Config {
    // Upstream resolves the files of this client below the working directory.
    let http = of_receiver_at(block, global, None);
    let url = block.own_source("url", "url_file", Form::Link);
    if url.is_none() {
        block.missing_both("url", "url_file");
    }
    // The address is no secret here.
    let shown_url = block.section().text_or("url", "");
    block.show("url", shown_url);
    let shown_file = block.section().text_or("url_file", "");
    block.show("url_file", shown_file);
    let token = block.source(
        "alert_source_token",
        "alert_source_token_file",
        Form::Text,
        &Source::None,
    );
    let authorized = own_authorization(block.section());
    if !token.is_none() && authorized {
        let message = "at most one of alert_source_token & http_config.authorization must be configured";
        block.mistake_at("alert_source_token", message);
    }
    if token.is_none() && block.has("http_config") && !authorized {
        let message = "one of alert_source_token, alert_source_token_file & http_config.authorization must be configured";
        block.section().mistake(message);
    }
    let max_alerts = block.count("max_alerts");
    let timeout = block.timeout();
    Config { url, alert_source_token: token, max_alerts, timeout, http }
}

/// The service refuses larger documents.
const DOCUMENT_MAX_BYTES: usize = 512 << 10;

/// Sends to one alert source.
pub(crate) struct Sender {
    config: Config,
    client: Client,
}

impl Sender {
    /// Prepares the client; the token is read once, and replaces any other authorization.
    pub(crate) fn build(config: &Config, parts: &Parts) -> Result<Self, BuildError> {
        let mut http = config.http.clone();
        if !config.alert_source_token.is_none() {
            let token = secret(&config.alert_source_token)
                .map_err(|error| BuildError::new("alert_source_token_file", error))?;
            http.auth = Auth::Header {
                scheme: "Bearer".to_owned(),
                credentials: Source::Inline(Secret::new(token)),
            };
        }
        Ok(Self { config: config.clone(), client: Client::build(&http, parts)? })
    }

    /// The configured bound of one attempt.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        some_time(self.config.timeout)
    }

    /// One POST of the webhook document in its own version.
    pub(crate) async fn send(&self, call: Call<'_>) -> Result<Sent, SendError> {
        let (call, dropped) = call.first(self.config.max_alerts);
        let mut document = Document::new(&call, dropped, "1");
        let mut body = json::body(&document)?;
        if body.len() > DOCUMENT_MAX_BYTES {
            warn!(group_key = %call.context.group_key, bytes = body.len(), "document too large, only the first alert is sent");
            document.keep_first_alert();
            body = json::body(&document)?;
        }
        if body.len() > DOCUMENT_MAX_BYTES {
            error!(group_key = %call.context.group_key, bytes = body.len(), "document with one alert too large, sent as it is");
        }
        let url = parse_url(&secret(&self.config.url)?)?;
        let request = Request::json(Method::POST, url, body);
        let answer = within(self.timeout(), "incidentio", self.client.send(request)).await?;
        if !answer.success() {
            return Err(answer.failure(&[429], &detail(&answer.body)));
        }
        Ok(Sent::default())
    }
}

/// What the service says about a refused document.
fn detail(body: &[u8]) -> String {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Reply {
        message: String,
        error: String,
        errors: Vec<String>,
    }
    let reply: Reply = serde_json::from_slice(body).unwrap_or_default();
    let parts = [reply.message, reply.error, reply.errors.join(", ")];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests_send {
    use expect_test::expect_file;

    use crate::notify::testing::*;

    const CONFIG: &str = r#"incidentio_configs:
- url: URL
  alert_source_token: tok"#;

    #[tokio::test]
    async fn the_request_is_as_recorded() {
        let server = Server::start([Reply::text(200, "")]).await;
        let seen = request_of(&server.notifier(CONFIG), &firing(), &server).await;
        expect_file!["golden/incidentio-firing.txt"].assert_eq(&seen.dump());
    }

    #[tokio::test]
    async fn a_resolved_group_is_as_recorded() {
        let server = Server::start([Reply::text(200, "")]).await;
        let seen = request_of(&server.notifier(CONFIG), &resolved(), &server).await;
        expect_file!["golden/incidentio-resolved.txt"].assert_eq(&seen.dump());
    }

    #[tokio::test]
    async fn these_answers_are_tried_again() {
        assert_eq!(retried(CONFIG).await, [429, 500, 502, 503, 504]);
    }

    #[tokio::test]
    async fn a_refused_connection_hides_the_url() {
        assert_eq!(refused_connection(CONFIG).await, "retry");
    }

    #[tokio::test]
    async fn the_services_words_are_told() {
        let body = r#"{"message":"m","error":"e","errors":["x","y"]}"#;
        let text = failure(CONFIG, Reply::json(422, body)).await;
        assert_eq!(text, "final clientError: unexpected status code 422: m: e: x, y");
    }

    #[tokio::test]
    async fn a_large_document_keeps_the_first_alert() {
        let server = Server::start([Reply::text(202, "")]).await;
        let mut batch = firing();
        batch.alerts = (0..4000).map(|_| alert("a:9100", false)).collect();
        let json = request_of(&server.notifier(CONFIG), &batch, &server).await.json();
        assert_eq!((json["alerts"].as_array().unwrap().len(), json["truncatedAlerts"].as_u64()), (1, Some(0)));
    }
}
