//! Opsgenie: alerts by an API key.

use std::collections::BTreeMap;
use std::time::Duration;

use url::Url;
use ::http::Method;
use ::http::header::AUTHORIZATION;
use serde::Serialize;
use serde_json::json;

use crate::config::block::Block;
use crate::config::global::Global;
use crate::config::http::{HttpConfig, Source, of_receiver};
use super::call::Call;
use super::http::{Client, Request};
use super::{BuildError, Parts, SendError, Sent, json, secret};

/// What an Opsgenie integration needs to know.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are those of the file")]
pub struct Config {
    /// A template when it is inline.
    pub api_key: Source,
    /// Ends with a slash.
    pub api_url: Url,
    pub message: String,
    pub description: String,
    pub source: String,
    pub details: Vec<(String, String)>,
    pub entity: String,
    pub responders: Vec<Responder>,
    pub actions: String,
    pub tags: String,
    pub note: String,
    pub priority: String,
    pub update_alerts: bool,
    pub http: HttpConfig,
}

/// Who answers.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are those of the file")]
pub struct Responder {
    pub id: String,
    pub name: String,
    pub username: String,
    /// `type` in the file, as written there.
    pub kind: String,
}

const KINDS: [&str; 5] = ["team", "teams", "user", "escalation", "schedule"];

/// Reads a block of `opsgenie_configs`.
pub(crate) fn check(block: &mut Block<'_>, global: &Global) -> Config {
    let http = of_receiver(block, global);
    let api_key = block.nearest_source("api_key", "api_key_file", &global.opsgenie_api_key);
    if api_key.is_none() {
        block.section().mistake("no api_key, here or as global opsgenie_api_key");
    }
    let api_url = block.link_with_slash("api_url", global.opsgenie_api_url.as_ref());
    let api_url = block.needed(api_url, "api_url", "no api_url, here or as global opsgenie_api_url");
    Config {
        http,
        api_key,
        api_url,
        message: block.text("message", r#"{{ template "opsgenie.default.message" . }}"#),
        description: block.text("description", r#"{{ template "opsgenie.default.description" . }}"#),
        source: block.text("source", r#"{{ template "opsgenie.default.source" . }}"#),
        details: block.map("details"),
        entity: block.text("entity", ""),
        responders: block.items("responders", responder),
        actions: block.text("actions", ""),
        tags: block.text("tags", ""),
        note: block.text("note", ""),
        priority: block.text("priority", ""),
        update_alerts: block.bool("update_alerts", false),
    }
}

fn responder(block: &mut Block<'_>) -> Responder {
    let id = block.text("id", "");
    let name = block.text("name", "");
    let username = block.text("username", "");
    let kind = block.text("type", "");
    if id.is_empty() && name.is_empty() && username.is_empty() {
        block.section().mistake("a responder needs one of id, name & username");
    }
    let lower = kind.to_lowercase();
    if lower.contains("{{") {
        if let Err(error) = block.rules.check_template(&kind) {
            block.mistake_at("type", format!("not a valid template: {error}"));
        }
    } else if !KINDS.contains(&lower.as_str()) {
        let message = format!("the type of a responder must be one of {}", KINDS.join(", "));
        block.mistake_at("type", message);
    }
    Responder { id, name, username, kind }
}

const MESSAGE_MAX: usize = 130;

/// Sends to one account.
pub(crate) struct Sender {
    config: Config,
    client: Client,
}

#[derive(Serialize)]
struct Create<'a> {
    alias: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'a str,
    details: BTreeMap<String, String>,
    source: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    responders: Vec<ResponderOut>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    note: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    priority: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    entity: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    actions: Vec<String>,
}

#[derive(Default, Serialize)]
struct ResponderOut {
    #[serde(skip_serializing_if = "String::is_empty")]
    id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    username: String,
    #[serde(rename = "type")]
    kind: String,
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

    /// Creates, updates or closes the alert of the group; stops at the first failure.
    pub(crate) async fn send(&self, call: Call<'_>) -> Result<Sent, SendError> {
        let key = call.text(&secret(&self.config.api_key)?)?;
        let authorization = format!("GenieKey {}", key.trim());
        for (method, path, body) in self.requests(&call)? {
            let request = Request::json(method, self.url(&path), body)
                .secret(AUTHORIZATION, &authorization)?;
            self.client.send(request).await?.check(&[429])?;
        }
        Ok(Sent::default())
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.config.api_url.clone();
        url.set_path(&format!("{}{path}", url.path()));
        if path != "v2/alerts" {
            url.query_pairs_mut().append_pair("identifierType", "alias");
        }
        url
    }

    fn requests(&self, call: &Call<'_>) -> Result<Vec<(Method, String, Vec<u8>)>, SendError> {
        let alias = call.hash();
        let one = |path: String, name: &str, text: &str| {
            Ok((Method::PUT, path, json::body(&json!({ name: text }))?))
        };
        if !call.fires() {
            let body = json::body(&json!({"source": call.text(&self.config.source)?}))?;
            let path = format!("v2/alerts/{alias}/close");
            return Ok(vec![(Method::POST, path, body)]);
        }
        let message = call.runes("message", &self.config.message, MESSAGE_MAX)?;
        let description = call.text(&self.config.description)?;
        let create = self.create(call, &alias, &message, &description)?;
        let mut requests = vec![(Method::POST, "v2/alerts".to_owned(), json::body(&create)?)];
        if self.config.update_alerts {
            requests.push(one(format!("v2/alerts/{alias}/message"), "message", &message)?);
            requests.push(one(format!("v2/alerts/{alias}/description"), "description", &description)?);
        }
        Ok(requests)
    }

    fn create<'a>(
        &self,
        call: &Call<'_>,
        alias: &'a str,
        message: &'a str,
        description: &'a str,
    ) -> Result<Create<'a>, SendError> {
        let config = &self.config;
        let common = call.data.common_labels.iter();
        let mut details: BTreeMap<String, String> =
            common.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        for (name, value) in &config.details {
            details.insert(name.clone(), call.text(value)?);
        }
        Ok(Create {
            alias,
            message,
            description,
            details,
            source: call.text(&config.source)?,
            responders: self.responders(call)?,
            tags: list(&call.text(&config.tags)?),
            note: call.text(&config.note)?,
            priority: call.text(&config.priority)?,
            entity: call.text(&config.entity)?,
            actions: list(&call.text(&config.actions)?),
        })
    }

    fn responders(&self, call: &Call<'_>) -> Result<Vec<ResponderOut>, SendError> {
        let mut all = Vec::new();
        for responder in &self.config.responders {
            let one = ResponderOut {
                id: call.text(&responder.id)?,
                name: call.text(&responder.name)?,
                username: call.text(&responder.username)?,
                kind: call.text(&responder.kind)?,
            };
            if one.kind == "teams" {
                let names = one.name.split(',').filter(|name| !name.is_empty());
                all.extend(names.map(|name| ResponderOut {
                    name: name.to_owned(),
                    kind: "team".to_owned(),
                    ..ResponderOut::default()
                }));
            } else if !(one.id.is_empty() && one.name.is_empty() && one.username.is_empty()) {
                all.push(one);
            }
        }
        Ok(all)
    }
}

/// Items between commas; only the whole text is trimmed, as upstream does.
fn list(text: &str) -> Vec<String> {
    text.trim().split(',').filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests_send {
    use expect_test::expect_file;

    use crate::notify::testing::*;

    const CONFIG: &str = r#"opsgenie_configs:
- api_key: "k "
  api_url: URL
  tags: " a, b,,"
  responders:
  - name: "x,y"
    type: teams
  - name: ops
    type: User
  details:
    k: "{{ .Status }}""#;

    #[tokio::test]
    async fn the_request_is_as_recorded() {
        let server = Server::start([Reply::text(200, "")]).await;
        let seen = request_of(&server.notifier(CONFIG), &firing(), &server).await;
        expect_file!["golden/opsgenie-firing.txt"].assert_eq(&seen.dump());
    }

    #[tokio::test]
    async fn a_resolved_group_is_as_recorded() {
        let server = Server::start([Reply::text(200, "")]).await;
        let seen = request_of(&server.notifier(CONFIG), &resolved(), &server).await;
        expect_file!["golden/opsgenie-resolved.txt"].assert_eq(&seen.dump());
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
    async fn an_update_is_three_requests() {
        let server = Server::start([Reply::text(202, "")]).await;
        let notifier = server.notifier("opsgenie_configs:\n- api_key: k\n  api_url: URL\n  update_alerts: true");
        send(&notifier, &firing()).await.unwrap();
        let lines: Vec<String> = server.seen().into_iter().map(|seen| seen.line).collect();
        let alias = "17c4e445d234645c9e547ff6d32a864af0ebdadcd1902771c24c8d366637ff41";
        assert_eq!(lines, [
            "POST /SECRET/v2/alerts HTTP/1.1".to_owned(),
            format!("PUT /SECRET/v2/alerts/{alias}/message?identifierType=alias HTTP/1.1"),
            format!("PUT /SECRET/v2/alerts/{alias}/description?identifierType=alias HTTP/1.1"),
        ]);
    }
}
