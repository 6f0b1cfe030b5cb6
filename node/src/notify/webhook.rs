//! A webhook: upstream's JSON document, or a payload of the user's own.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tocsin_service::secret::HIDDEN;
use ::http::Method;
use serde::Serialize;
use url::Url;

use crate::config::block::{Block, Form};
use crate::config::global::Global;
use crate::config::http::{HttpConfig, Link, Source, of_receiver};
use crate::config::tree::Tree;
use super::call::Call;
use super::http::{Client, Request};
use super::{BuildError, Parts, SendError, Sent, json, parse_url, secret, some_time, within};
use crate::message::{Alert, Kv};

/// What a webhook integration needs to know.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are those of the file")]
pub struct Config {
    /// A template, unless it is a plain address.
    pub url: Source,
    /// 0: all.
    pub max_alerts: usize,
    /// Zero: none of its own.
    pub timeout: Duration,
    pub payload: Option<Tree>,
    pub http: HttpConfig,
}

/// Reads a block of `webhook_configs`.
pub(crate) fn check(block: &mut Block<'_>, global: &Global) -> Config {
    let http = of_receiver(block, global);
    let url = block.own_source("url", "url_file", Form::Text);
    if url.is_none() {
        block.missing_both("url", "url_file");
    }
    check_url(block, &url);
    match &url {
        Source::Inline(_) => block.show("url", HIDDEN),
        Source::File(_) | Source::None => {}
    }
    let file = block.section().text_or("url_file", "");
    block.show("url_file", file);
    let max_alerts = block.count("max_alerts");
    let timeout = block.timeout();
    let payload = block.given("payload").map(|field| Tree::of(field.node()));
    if let Some(payload) = &payload {
        block.show("payload", payload.show());
    }
    Config { url, max_alerts, timeout, payload, http }
}

fn check_url(block: &Block<'_>, url: &Source) {
    let Source::Inline(url) = url else { return };
    let Some(field) = block.given("url") else { return };
    if url.is_hidden() {
        return;
    }
    if url.reveal().contains("{{") {
        if let Err(error) = block.rules.check_template(url.reveal()) {
            field.mistake(format!("invalid template syntax: {error}"));
        }
    } else if let Err(message) = Link::parse(url.reveal()) {
        field.mistake(message);
    }
}

/// Sends to one webhook.
pub(crate) struct Sender {
    config: Config,
    client: Client,
    /// The last address and its text: mostly it is always the same, and taking it apart costs as much as making the body.
    last: Mutex<Option<(String, Url)>>,
}

impl Sender {
    /// Prepares the client.
    pub(crate) fn build(config: &Config, parts: &Parts) -> Result<Self, BuildError> {
        let client = Client::build(&config.http, parts)?;
        Ok(Self { config: config.clone(), client, last: Mutex::default() })
    }

    /// The configured bound of one attempt.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        some_time(self.config.timeout)
    }

    fn address(&self, text: String) -> Result<Url, SendError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, url)) = last.as_ref().filter(|(known, _)| *known == text) {
            return Ok(url.clone());
        }
        let url = parse_url(&text)?;
        *last = Some((text, url.clone()));
        Ok(url)
    }

    /// One POST of the document, or of the configured payload.
    pub(crate) async fn send(&self, call: Call<'_>) -> Result<Sent, SendError> {
        let (call, dropped) = call.first(self.config.max_alerts);
        let url = call.text(&secret(&self.config.url)?)?;
        if url.is_empty() {
            return Err(SendError::invalid("the webhook's URL is empty"));
        }
        let body = match &self.config.payload {
            Some(payload) => json::body(&call.tree(payload)?)?,
            None => json::body(&Document::new(&call, dropped, "4"))?,
        };
        let request = Request::json(Method::POST, self.address(url)?, body);
        let answer = within(self.timeout(), "webhook", self.client.send(request)).await?;
        answer.check(&[])?;
        Ok(Sent::default())
    }
}

/// The document of upstream's webhooks; incident.io takes the same with another version.
#[derive(Serialize)]
pub(super) struct Document<'a> {
    receiver: &'a str,
    status: &'static str,
    alerts: &'a [Alert],
    notification_reason: &'static str,
    #[serde(rename = "groupLabels")]
    group_labels: &'a Kv,
    #[serde(rename = "commonLabels")]
    common_labels: &'a Kv,
    #[serde(rename = "commonAnnotations")]
    common_annotations: &'a Kv,
    #[serde(rename = "routeLabels")]
    route_labels: &'a Kv,
    #[serde(rename = "externalURL")]
    external_url: &'a str,
    version: &'static str,
    #[serde(rename = "groupKey")]
    group_key: &'a str,
    #[serde(rename = "truncatedAlerts")]
    truncated_alerts: usize,
}

impl<'a> Document<'a> {
    /// The document of a call; `dropped` alerts are not in it.
    pub(super) fn new(call: &'a Call<'_>, dropped: usize, version: &'static str) -> Self {
        let data = &call.data;
        Self {
            receiver: &data.receiver,
            status: data.status.as_str(),
            alerts: &data.alerts,
            notification_reason: data.reason,
            group_labels: &data.group_labels,
            common_labels: &data.common_labels,
            common_annotations: &data.common_annotations,
            route_labels: &data.route_labels,
            external_url: &data.external_url,
            version,
            group_key: &call.context.group_key,
            truncated_alerts: dropped,
        }
    }

    /// Leaves all alerts but the first out; what was computed from them stays.
    pub(super) fn keep_first_alert(&mut self) {
        self.alerts = &self.alerts[..self.alerts.len().min(1)];
    }
}

#[cfg(test)]
mod tests_send {
    use expect_test::expect_file;

    use crate::notify::Batch;
    use crate::notify::testing::*;

    const CONFIG: &str = r#"webhook_configs:
- url: URL"#;

    #[tokio::test]
    async fn the_request_is_as_recorded() {
        let server = Server::start([Reply::text(200, "")]).await;
        let seen = request_of(&server.notifier(CONFIG), &firing(), &server).await;
        expect_file!["golden/webhook-firing.txt"].assert_eq(&seen.dump());
    }

    #[tokio::test]
    async fn a_resolved_group_is_as_recorded() {
        let server = Server::start([Reply::text(200, "")]).await;
        let seen = request_of(&server.notifier(CONFIG), &resolved(), &server).await;
        expect_file!["golden/webhook-resolved.txt"].assert_eq(&seen.dump());
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
    async fn the_document_is_upstreams() {
        let server = Server::start([Reply::text(200, "")]).await;
        let seen = request_of(&server.notifier(CONFIG), &firing(), &server).await;
        let expected = concat!(
            r#"{"receiver":"all","status":"firing","alerts":["#,
            r#"{"status":"firing","labels":{"alertname":"DiskFull","instance":"a:9100","severity":"critical"},"#,
            r#""annotations":{"summary":"Disk is full"},"startsAt":"2024-05-01T10:00:00Z","endsAt":"0001-01-01T00:00:00Z","#,
            r#""generatorURL":"http://prom.example.org/g?a=1\u0026b=2","fingerprint":"22b692ed704ee014"},"#,
            r#"{"status":"firing","labels":{"alertname":"DiskFull","instance":"b:9100","severity":"critical"},"#,
            r#""annotations":{"summary":"Disk is full"},"startsAt":"2024-05-01T10:00:00Z","endsAt":"0001-01-01T00:00:00Z","#,
            r#""generatorURL":"http://prom.example.org/g2","fingerprint":"ad1262b589e500a1"}],"#,
            r#""notification_reason":"first notification","groupLabels":{"alertname":"DiskFull"},"#,
            r#""commonLabels":{"alertname":"DiskFull","severity":"critical"},"commonAnnotations":{"summary":"Disk is full"},"#,
            r#""routeLabels":{},"externalURL":"http://am.example.org:9093","version":"4","#,
            r#""groupKey":"{}:{alertname=\"DiskFull\"}","truncatedAlerts":0}"#,
            "\n"
        );
        assert_eq!(seen.body, expected);
        assert!(seen.header("user-agent").starts_with("Alertmanager/0.34.0+tocsin."), "{seen:?}");
    }

    #[tokio::test]
    async fn max_alerts_cuts_before_the_status_is_computed() {
        let server = Server::start([Reply::text(200, "")]).await;
        let notifier = server.notifier("webhook_configs:\n- url: URL\n  max_alerts: 1");
        let batch = Batch { alerts: vec![alert("a:9100", true), alert("b:9100", false)], ..firing() };
        let json = request_of(&notifier, &batch, &server).await.json();
        assert_eq!((json["status"].as_str(), json["truncatedAlerts"].as_u64()), (Some("resolved"), Some(1)));
        assert_eq!(json["commonLabels"]["instance"], "a:9100");
    }

    #[tokio::test]
    async fn a_payload_of_ones_own_takes_the_documents_place() {
        let server = Server::start([Reply::text(200, "")]).await;
        let notifier = server.notifier(
            "webhook_configs:\n- url: URL\n  payload:\n    count: '{{ len .Alerts }}'\n    s: [\"{{ .Status }}\", true, 1.5]\n    empty: ''\n    obj: '{\"a\": [1, \"{{ .Status }}\"]}'",
        );
        let seen = request_of(&notifier, &firing(), &server).await;
        let expected = r#"{"count":2,"empty":null,"obj":{"a":[1,"firing"]},"s":["firing",true,1.5]}"#;
        assert_eq!(seen.body.trim_end(), expected);
    }

    #[tokio::test]
    async fn the_url_is_a_template_and_may_come_from_a_file() {
        let server = Server::start([Reply::text(200, "")]).await;
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), server.url("/{{ .GroupLabels.alertname }}\n")).unwrap();
        let config = format!("webhook_configs:\n- url_file: {}", file.path().display());
        let seen = request_of(&notifier(&config), &firing(), &server).await;
        assert_eq!(seen.line, "POST /DiskFull HTTP/1.1");
    }

    #[tokio::test]
    async fn failures_say_whose_fault_it_is() {
        let failure = |status, body| failure(CONFIG, Reply::text(status, body));
        assert_eq!(failure(400, "bad alert").await, "final clientError: unexpected status code 400: bad alert");
        assert_eq!(failure(401, "").await, "final authError: unexpected status code 401");
        assert_eq!(failure(429, "slow").await, "final rateLimited: unexpected status code 429: slow");
        assert_eq!(failure(503, "").await, "retry serverError: unexpected status code 503");
    }

    #[tokio::test]
    async fn its_own_timeout_is_named_and_tried_again() {
        let config = "webhook_configs:\n- url: URL\n  timeout: 50ms";
        let text = failure(config, Reply::hang()).await;
        assert_eq!(text, "retry other: configured webhook timeout reached (50ms)");
    }

    #[tokio::test]
    async fn a_broken_template_is_final() {
        let config = "webhook_configs:\n- url: URL\n  payload: '{{ template \"nope\" . }}'";
        let text = failure(config, Reply::text(200, "")).await;
        assert!(text.starts_with("final other: template: "), "{text}");
    }
}
