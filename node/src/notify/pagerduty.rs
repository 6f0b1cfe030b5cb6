//! PagerDuty: events of version 2 by a routing key, of version 1 by a service key.

use std::time::Duration;

use url::Url;
use ::http::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tracing::warn;

use crate::config::block::{Block, Form};
use crate::config::global::Global;
use crate::config::http::{HttpConfig, Source, of_receiver};
use crate::config::tree::Tree;
use super::call::Call;
use super::http::{Answer, Client, Request};
use super::{BuildError, FailureReason, Parts, SendError, Sent, json, secret, some_time, within};

/// What a PagerDuty integration needs to know.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are those of the file")]
pub struct Config {
    /// Wins over the routing key.
    pub service_key: Source,
    pub routing_key: Source,
    pub url: Url,
    pub client: String,
    pub client_url: String,
    pub description: String,
    /// By name, the four defaults included.
    pub details: Vec<(String, Tree)>,
    pub images: Vec<Image>,
    pub links: Vec<Reference>,
    pub source: String,
    pub severity: String,
    pub class: String,
    pub component: String,
    pub group: String,
    /// Zero: none of its own.
    pub timeout: Duration,
    pub http: HttpConfig,
}

/// A picture.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are those of the file")]
pub struct Image {
    pub src: String,
    pub alt: String,
    pub href: String,
}

/// A reference.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are those of the file")]
pub struct Reference {
    pub href: String,
    pub text: String,
}

/// Details that every event has, unless the file names them.
const DETAILS: [(&str, &str); 4] = [
    ("firing", "{{ .Alerts.Firing | toJson }}"),
    ("resolved", "{{ .Alerts.Resolved | toJson }}"),
    ("num_firing", "{{ .Alerts.Firing | len }}"),
    ("num_resolved", "{{ .Alerts.Resolved | len }}"),
];

/// Reads a block of `pagerduty_configs`.
pub(crate) fn check(block: &mut Block<'_>, global: &Global) -> Config {
    let http = of_receiver(block, global);
    let none = &Source::None;
    let service_key = block.source("service_key", "service_key_file", Form::Text, none);
    let routing_key = block.source("routing_key", "routing_key_file", Form::Text, none);
    if service_key.is_none() && routing_key.is_none() {
        block.section().mistake("one of routing_key, routing_key_file, service_key & service_key_file is missing");
    }
    let url = block.link("url", global.pagerduty_url.as_ref());
    let url = block.needed(url, "url", "no url, here or as global pagerduty_url");
    let client = block.text("client", r#"{{ template "pagerduty.default.client" . }}"#);
    let client_url = block.text("client_url", r#"{{ template "pagerduty.default.clientURL" . }}"#);
    let description = block.text("description", r#"{{ template "pagerduty.default.description" . }}"#);
    let details = details(block);
    let images = block.items("images", |block| Image {
        src: block.text("src", ""),
        alt: block.text("alt", ""),
        href: block.text("href", ""),
    });
    let links = block.items("links", |block| Reference {
        href: block.text("href", ""),
        text: block.text("text", ""),
    });
    let source = block.text("source", &client);
    let severity = block.text("severity", "");
    let class = block.text("class", "");
    let component = block.text("component", "");
    let group = block.text("group", "");
    let timeout = block.timeout();
    Config {
        service_key,
        routing_key,
        url,
        client,
        client_url,
        description,
        details,
        images,
        links,
        source,
        severity,
        class,
        component,
        group,
        timeout,
        http,
    }
}

fn details(block: &mut Block<'_>) -> Vec<(String, Tree)> {
    let mut details = block.own_trees("details");
    for (name, default) in DETAILS {
        if !details.iter().any(|(known, _)| known == name) {
            details.push((name.to_owned(), Tree::Text(default.to_owned())));
        }
    }
    details.sort_by(|left, right| left.0.cmp(&right.0));
    block.show_trees("details", &details);
    details
}

const V1_URL: &str = "https://events.pagerduty.com/generic/2010-04-15/create_event.json";
const V1_DESCRIPTION_MAX: usize = 1024;
const V2_SUMMARY_MAX: usize = 1024;
/// The service refuses larger events.
const EVENT_MAX_BYTES: usize = 512_000;

/// Sends to one service.
pub(crate) struct Sender {
    config: Config,
    client: Client,
    v1_url: Url,
}

#[derive(Serialize)]
struct EventV1 {
    service_key: String,
    incident_key: String,
    event_type: &'static str,
    description: String,
    event_action: &'static str,
    payload: (),
    #[serde(skip_serializing_if = "String::is_empty")]
    client: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    client_url: String,
    #[serde(skip_serializing_if = "Map::is_empty")]
    details: Map<String, Value>,
}

#[derive(Serialize)]
struct EventV2 {
    routing_key: String,
    dedup_key: String,
    event_action: &'static str,
    payload: Payload,
    #[serde(skip_serializing_if = "String::is_empty")]
    client: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    client_url: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    images: Vec<ImageOut>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    links: Vec<LinkOut>,
}

#[derive(Serialize)]
struct Payload {
    summary: String,
    source: String,
    severity: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    class: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    component: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    group: String,
    #[serde(skip_serializing_if = "Map::is_empty")]
    custom_details: Map<String, Value>,
}

#[derive(Serialize)]
struct ImageOut {
    src: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    alt: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    href: String,
}

#[derive(Serialize)]
struct LinkOut {
    href: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    text: String,
}

impl Sender {
    /// Prepares the client.
    pub(crate) fn build(config: &Config, parts: &Parts) -> Result<Self, BuildError> {
        let v1_url = Url::parse(V1_URL).map_err(|error| BuildError::new("pagerduty URL", error))?;
        Ok(Self { config: config.clone(), client: Client::build(&config.http, parts)?, v1_url })
    }

    /// The configured bound of one attempt.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        some_time(self.config.timeout)
    }

    /// One event; a service key means version 1.
    pub(crate) async fn send(&self, call: Call<'_>) -> Result<Sent, SendError> {
        let details = self.details(&call)?;
        if self.config.service_key.is_none() {
            self.send_v2(&call, details).await
        } else {
            self.send_v1(&call, details).await
        }
    }

    fn details(&self, call: &Call<'_>) -> Result<Map<String, Value>, SendError> {
        self.config
            .details
            .iter()
            .map(|(name, value)| Ok((name.clone(), call.tree(value)?)))
            .collect()
    }

    async fn send_v1(&self, call: &Call<'_>, details: Map<String, Value>) -> Result<Sent, SendError> {
        let config = &self.config;
        let fires = call.fires();
        let only_firing = |text: &str| if fires { call.text(text) } else { Ok(String::new()) };
        let mut event = EventV1 {
            description: call.runes("description", &config.description, V1_DESCRIPTION_MAX)?,
            service_key: key(call, &config.service_key, "service key")?,
            incident_key: call.hash(),
            event_type: action(fires),
            event_action: "",
            payload: (),
            client: only_firing(&config.client)?,
            client_url: only_firing(&config.client_url)?,
            details,
        };
        let mut body = json::body(&event)?;
        if body.len() > EVENT_MAX_BYTES {
            event.details = removed_details(call, body.len());
            body = json::body(&event)?;
        }
        let answer = self.post(self.v1_url.clone(), body).await?;
        if answer.success() {
            return Ok(Sent::default());
        }
        let failure = answer.failure(&[403], &detail(&answer));
        Err(match failure {
            SendError::Unavailable { what, .. } => SendError::unavailable(what, FailureReason::Other),
            SendError::Refused { what, .. } => SendError::refused(what, FailureReason::Other),
            other @ SendError::Unmade { .. } => other,
        })
    }

    async fn send_v2(&self, call: &Call<'_>, details: Map<String, Value>) -> Result<Sent, SendError> {
        let config = &self.config;
        let severity = match config.severity.as_str() {
            "" => "error",
            configured => configured,
        };
        let mut event = EventV2 {
            routing_key: key(call, &config.routing_key, "routing key")?,
            dedup_key: call.hash(),
            event_action: action(call.fires()),
            payload: Payload {
                summary: call.runes("description", &config.description, V2_SUMMARY_MAX)?,
                source: call.text(&config.source)?,
                severity: call.text(severity)?,
                class: call.text(&config.class)?,
                component: call.text(&config.component)?,
                group: call.text(&config.group)?,
                custom_details: details,
            },
            client: call.text(&config.client)?,
            client_url: call.text(&config.client_url)?,
            images: images(call, config)?,
            links: links(call, config)?,
        };
        let mut body = json::body(&event)?;
        if body.len() > EVENT_MAX_BYTES {
            event.payload.custom_details = removed_details(call, body.len());
            body = json::body(&event)?;
        }
        let answer = self.post(config.url.clone(), body).await?;
        if !answer.success() {
            return Err(answer.failure(&[429], &detail(&answer)));
        }
        Ok(Sent::default())
    }

    async fn post(&self, url: Url, body: Vec<u8>) -> Result<Answer, SendError> {
        let request = Request::json(Method::POST, url, body);
        within(self.timeout(), "pagerduty", self.client.send(request)).await
    }
}

fn action(fires: bool) -> &'static str {
    if fires { "trigger" } else { "resolve" }
}

fn key(call: &Call<'_>, source: &Source, what: &str) -> Result<String, SendError> {
    let key = call.text(&secret(source)?)?;
    if key.is_empty() {
        return Err(SendError::invalid(format!("the {what} is empty")));
    }
    Ok(key)
}

fn images(call: &Call<'_>, config: &Config) -> Result<Vec<ImageOut>, SendError> {
    let mut images = Vec::new();
    for image in &config.images {
        let (src, alt) = (call.text(&image.src)?, call.text(&image.alt)?);
        let href = call.text(&image.href)?;
        if !src.is_empty() {
            images.push(ImageOut { src, alt, href });
        }
    }
    Ok(images)
}

fn links(call: &Call<'_>, config: &Config) -> Result<Vec<LinkOut>, SendError> {
    let mut links = Vec::new();
    for link in &config.links {
        let (href, text) = (call.text(&link.href)?, call.text(&link.text)?);
        if !href.is_empty() {
            links.push(LinkOut { href, text });
        }
    }
    Ok(links)
}

fn removed_details(call: &Call<'_>, bytes: usize) -> Map<String, Value> {
    warn!(group_key = %call.context.group_key, bytes, "event too large, details removed");
    let note = "Custom details have been removed because the original event exceeds the maximum size of 512KB";
    Map::from_iter([("error".to_owned(), Value::from(note))])
}

/// What the service says about a bad request.
fn detail(answer: &Answer) -> String {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Reply {
        message: String,
        errors: Vec<String>,
    }
    if answer.status != 400 {
        return String::new();
    }
    let Ok(reply) = serde_json::from_slice::<Reply>(&answer.body) else { return String::new() };
    match reply.errors.as_slice() {
        [] => reply.message,
        errors => format!("{}: {}", reply.message, errors.join(",")),
    }
}

#[cfg(test)]
mod tests_send {
    use expect_test::expect_file;

    use super::{Call, FailureReason, Sender};
    use crate::notify::Settings;
    use crate::notify::testing::*;

    const CONFIG: &str = r#"pagerduty_configs:
- routing_key: rk
  url: URL
  class: c
  images:
  - src: http://i/x.png
    alt: x
  - alt: dropped
  links:
  - href: http://l/
    text: "{{ .Status }}"
  - text: dropped"#;

    #[tokio::test]
    async fn the_request_is_as_recorded() {
        let server = Server::start([Reply::text(200, "")]).await;
        let seen = request_of(&server.notifier(CONFIG), &firing(), &server).await;
        expect_file!["golden/pagerduty-firing.txt"].assert_eq(&seen.dump());
    }

    #[tokio::test]
    async fn a_resolved_group_is_as_recorded() {
        let server = Server::start([Reply::text(200, "")]).await;
        let seen = request_of(&server.notifier(CONFIG), &resolved(), &server).await;
        expect_file!["golden/pagerduty-resolved.txt"].assert_eq(&seen.dump());
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
    async fn the_services_words_are_told_on_a_bad_request() {
        let body = r#"{"message":"Event object is invalid","errors":["a","b"]}"#;
        let text = failure(CONFIG, Reply::json(400, body)).await;
        assert_eq!(text, "final clientError: unexpected status code 400: Event object is invalid: a,b");
        let text = failure(CONFIG, Reply::json(404, body)).await;
        assert_eq!(text, "final clientError: unexpected status code 404");
    }

    #[tokio::test]
    async fn a_large_event_loses_its_details() {
        let server = Server::start([Reply::text(202, "")]).await;
        let mut batch = firing();
        batch.alerts = (0..4000).map(|_| alert("a:9100", false)).collect();
        let json = request_of(&server.notifier(CONFIG), &batch, &server).await.json();
        let details = json["payload"]["custom_details"].as_object().unwrap();
        assert_eq!(details.keys().collect::<Vec<_>>(), ["error"]);
    }

    #[tokio::test]
    async fn an_empty_key_is_final() {
        let config = "pagerduty_configs:\n- routing_key: '{{ .CommonLabels.nope }}'\n  url: URL";
        let text = failure(config, Reply::text(202, "")).await;
        assert_eq!(text, "final other: the routing key is empty");
    }

    #[tokio::test]
    async fn a_service_key_means_the_old_version() {
        let text = "pagerduty_configs:\n- service_key: sk\n  routing_key: rk";
        let Settings::PagerDuty(config) = settings(text) else { panic!("not pagerduty") };
        for (batch, name) in [(firing(), "firing"), (resolved(), "resolved")] {
            let server = Server::start([Reply::json(200, "{}"), Reply::json(403, "{}")]).await;
            let parts = parts();
            let mut sender = Sender::build(&config, &parts).unwrap();
            sender.v1_url = server.url("/v1").parse().unwrap();
            let context = context();
            let call = || Call::new(("all", "pagerduty"), &context, &batch, batch.alerts.clone(), &parts);
            sender.send(call()).await.unwrap();
            expect_file![format!("golden/pagerduty-v1-{name}.txt")].assert_eq(&server.only().dump());
            let error = sender.send(call()).await.unwrap_err();
            assert_eq!((error.retry(), error.reason()), (true, FailureReason::Other));
        }
    }
}
