//! Jira: one issue for a group.

use std::fmt::Write as _;
use std::time::Duration;

use tocsin_service::yaml::Kind;
use url::Url;
use ::http::Method;
use ::http::header::{ACCEPT_LANGUAGE, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tracing::warn;

use crate::config::block::Block;
use crate::config::global::Global;
use crate::config::http::{HttpConfig, of_receiver};
use crate::config::tree::Tree;
use super::call::Call;
use super::http::{Client, Request};
use super::{BuildError, FailureReason, Parts, SendError, Sent, json, parse_url};

/// What a Jira integration needs to know.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are those of the file")]
pub struct Config {
    pub api_url: Url,
    /// `auto`, `cloud` or `datacenter`.
    pub api_type: String,
    pub project: String,
    pub summary: Text,
    pub description: Text,
    pub labels: Vec<String>,
    pub priority: String,
    pub issue_type: String,
    pub reopen_transition: String,
    pub resolve_transition: String,
    pub wont_fix_resolution: String,
    pub reopen_duration: Duration,
    pub fields: Vec<(String, Tree)>,
    pub http: HttpConfig,
}

/// A text of the issue.
#[derive(Clone, Debug)]
pub struct Text {
    /// What it says.
    pub template: String,
    /// Whether an issue that exists gets it too.
    pub enable_update: bool,
}

/// Reads a block of `jira_configs`.
pub(crate) fn check(block: &mut Block<'_>, global: &Global) -> Config {
    let http = of_receiver(block, global);
    let api_url = block.link("api_url", global.jira_api_url.as_ref());
    let api_url = block.needed(api_url, "api_url", "no api_url, here or as global jira_api_url");
    Config {
        http,
        api_url,
        api_type: block.word("api_type", "auto", &["auto", "cloud", "datacenter"]),
        project: block.required("project"),
        summary: text(block, "summary", r#"{{ template "jira.default.summary" . }}"#),
        description: text(block, "description", r#"{{ template "jira.default.description" . }}"#),
        labels: block.texts("labels"),
        priority: block.text("priority", r#"{{ template "jira.default.priority" . }}"#),
        issue_type: block.required("issue_type"),
        reopen_transition: block.text("reopen_transition", ""),
        resolve_transition: block.text("resolve_transition", ""),
        wont_fix_resolution: block.text("wont_fix_resolution", ""),
        reopen_duration: block.duration("reopen_duration", Duration::ZERO),
        fields: block.trees("fields"),
    }
}

/// A text alone, or a mapping of it and whether it is updated.
fn text(block: &mut Block<'_>, key: &'static str, default: &str) -> Text {
    let is_map = block.field(key).is_some_and(|field| matches!(field.node().kind(), Kind::Map(_)));
    if is_map {
        let read = |block: &mut Block<'_>| Text {
            template: block.text("template", default),
            enable_update: block.flag("enable_update", true),
        };
        return block.sub(key, read).unwrap_or(Text { template: String::new(), enable_update: true });
    }
    Text { template: block.text(key, default), enable_update: true }
}

const SUMMARY_MAX: usize = 255;
const DESCRIPTION_MAX: usize = 32_767;

/// Keeps one issue per group in one project.
pub(crate) struct Sender {
    config: Config,
    client: Client,
}

#[derive(Serialize)]
struct Search<'a> {
    fields: [&'static str; 1],
    jql: &'a str,
    #[serde(rename = "maxResults")]
    max_results: u32,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Found {
    issues: Vec<Issue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Issue {
    key: String,
    fields: Option<IssueFields>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct IssueFields {
    status: Option<Status>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    #[serde(rename = "statusCategory")]
    category: Category,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Category {
    key: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Transitions {
    transitions: Vec<Transition>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Transition {
    id: String,
    name: String,
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

    /// Looks for the group's issue, then creates it, or updates it and moves it where it belongs.
    pub(crate) async fn send(&self, call: Call<'_>) -> Result<Sent, SendError> {
        let label = format!("ALERT{{{}}}", call.hash());
        let found = self.search(&call, &label).await?;
        let Some(issue) = found.issues.first() else {
            if call.fires() {
                let fields = self.fields(&call, &label, true)?;
                let body = json!({"fields": fields});
                self.change(Method::POST, self.url("issue"), &body).await?;
            }
            return Ok(Sent::default());
        };
        if found.issues.len() > 1 {
            warn!(group_key = %call.context.group_key, issue = issue.key, "more than one issue for the group, the first is used");
        }
        let fields = self.fields(&call, &label, false)?;
        let url = self.url(&format!("issue/{}", issue.key));
        self.change(Method::PUT, url, &json!({"fields": fields})).await?;
        self.transition(&call, issue).await?;
        Ok(Sent::default())
    }

    async fn search(&self, call: &Call<'_>, label: &str) -> Result<Found, SendError> {
        let jql = self.jql(call, label)?;
        let search = Search { fields: ["status"], jql: &jql, max_results: 2 };
        let body = self.ask(Method::POST, self.search_url()?, Some(&search)).await?;
        decode(&body)
    }

    fn jql(&self, call: &Call<'_>, label: &str) -> Result<String, SendError> {
        let config = &self.config;
        let mut jql = String::new();
        if !config.wont_fix_resolution.is_empty() {
            let quoted = quote(&config.wont_fix_resolution);
            let _ = write!(jql, "(resolution is EMPTY or resolution != {quoted}) and ");
        }
        let minutes = config.reopen_duration.as_secs() / 60;
        if call.fires() && !config.reopen_transition.is_empty() && minutes > 0 {
            let _ = write!(jql, "(resolutiondate is EMPTY OR resolutiondate >= -{minutes}m) and ");
        } else {
            jql.push_str("statusCategory != Done and ");
        }
        let project = quote(&call.text(&config.project)?);
        let label = quote(label);
        let _ = write!(
            jql,
            "project={project} and labels={label} order by status ASC,resolutiondate DESC"
        );
        Ok(jql)
    }

    /// The cloud's newer search lives under version 3 of the API alone.
    fn search_url(&self) -> Result<Url, SendError> {
        let base = &self.config.api_url;
        let cloud = match self.config.api_type.as_str() {
            "cloud" => true,
            "datacenter" => false,
            _ => base.host_str().is_some_and(|host| host.ends_with("atlassian.net")),
        };
        if !cloud {
            return Ok(self.url("search"));
        }
        let text = self.url("search/jql").to_string();
        parse_url(&text.replacen("/rest/api/2/", "/rest/api/3/", 1))
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.config.api_url.clone();
        let base: Vec<&str> = url.path().split('/').filter(|part| !part.is_empty()).collect();
        let path = format!("/{}/{path}", base.join("/"));
        url.set_path(path.trim_start_matches('/'));
        url
    }

    fn is_v3(&self) -> bool {
        self.config.api_url.path().trim_end_matches('/').ends_with("/3")
    }

    /// The issue; fields whose update is off are left out of an update.
    fn fields(&self, call: &Call<'_>, label: &str, create: bool) -> Result<Value, SendError> {
        let config = &self.config;
        let mut fields = serde_json::Map::new();
        let mut set = |name: &str, value: Value| fields.insert(name.to_owned(), value);
        set("project", json!({"key": call.text(&config.project)?}));
        set("issuetype", json!({"name": call.text(&config.issue_type)?}));
        if create || config.summary.enable_update {
            set("summary", json!(call.runes("summary", &config.summary.template, SUMMARY_MAX)?));
        }
        if (create || config.description.enable_update)
            && let Some(description) = self.description(call)?
        {
            set("description", description);
        }
        let labels: Result<Vec<String>, _> = config.labels.iter().map(|l| call.text(l)).collect();
        let mut labels = labels?;
        labels.push(label.to_owned());
        labels.sort();
        set("labels", json!(labels));
        let priority = call.text(&config.priority)?;
        if !priority.is_empty() {
            set("priority", json!({ "name": priority }));
        }
        for (name, value) in &config.fields {
            fields.insert(call.text(name)?, call.tree(value)?);
        }
        Ok(Value::Object(fields))
    }

    /// Text for version 2 of the API, a JSON document for version 3; nothing when empty.
    fn description(&self, call: &Call<'_>) -> Result<Option<Value>, SendError> {
        let text = call.runes("description", &self.config.description.template, DESCRIPTION_MAX)?;
        if !self.is_v3() {
            return Ok((!text.is_empty()).then(|| json!(text)));
        }
        let text = text.trim();
        if text.is_empty() {
            return Ok(None);
        }
        serde_json::from_str(text)
            .map(Some)
            .map_err(|error| SendError::unmade("jira: API v3 needs a description in JSON", error))
    }

    async fn transition(&self, call: &Call<'_>, issue: &Issue) -> Result<(), SendError> {
        let status = issue.fields.as_ref().and_then(|fields| fields.status.as_ref());
        let Some(status) = status else { return Ok(()) };
        let name = match (call.fires(), status.category.key == "done") {
            (true, true) => &self.config.reopen_transition,
            (false, false) => &self.config.resolve_transition,
            _ => return Ok(()),
        };
        if name.is_empty() {
            return Ok(());
        }
        let url = self.url(&format!("issue/{}/transitions", issue.key));
        let body = self.ask(Method::GET, url.clone(), None::<&()>).await?;
        let known: Transitions = decode(&body)?;
        let Some(transition) = known.transitions.iter().find(|one| one.name == *name) else {
            let what = format!("can't find transition {name} for issue {}", issue.key);
            return Err(SendError::refused(what, FailureReason::Other));
        };
        let body = json!({"transition": {"id": transition.id}});
        self.change(Method::POST, url, &body).await
    }

    /// A question that changes nothing.
    async fn ask(
        &self,
        method: Method,
        url: Url,
        body: Option<&impl Serialize>,
    ) -> Result<Vec<u8>, SendError> {
        let body = body.map_or_else(|| Ok(Vec::new()), json::body)?;
        let request = Request::json(method, url, body)
            .header(ACCEPT_LANGUAGE, HeaderValue::from_static("en"));
        let answer = self.client.send(request).await?;
        answer.check(&[429])?;
        Ok(answer.body)
    }

    /// A change. When the network fails it may have been made, so it is not tried again within the
    /// flush; the next one finds the issue by its label.
    async fn change(&self, method: Method, url: Url, body: &Value) -> Result<(), SendError> {
        match self.ask(method, url, Some(body)).await {
            Err(SendError::Unavailable { what, source: source @ Some(_), .. }) => {
                Err(SendError::Unmade { what, source })
            }
            answer => answer.map(drop),
        }
    }
}

fn decode<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, SendError> {
    serde_json::from_slice(body)
        .map_err(|error| SendError::unmade("jira: the answer is not understood", error))
}

/// A quoted text of JQL, as Go's `%q` writes it.
fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(quoted, "\\x{:02x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests_send {
    use expect_test::expect_file;

    use crate::notify::testing::*;
    use super::Sender;
    use crate::notify::{Batch, SendError, Sent, Settings};

    const CONFIG: &str = r#"jira_configs:
- api_url: URL/rest/api/2
  project: OPS
  issue_type: Bug
  labels: [alertmanager]
  wont_fix_resolution: "Won't Do"
  reopen_transition: Reopen
  reopen_duration: 1h
  resolve_transition: Done
  fields:
    customfield_1: "{{ len .Alerts }}""#;
    const NONE: &str = r#"{"issues":[]}"#;
    const OPEN: &str = r#"{"issues":[{"key":"OPS-1","fields":{"status":{"statusCategory":{"key":"new"}}}}]}"#;
    const DONE: &str = r#"{"issues":[{"key":"OPS-1","fields":{"status":{"statusCategory":{"key":"done"}}}}]}"#;
    const MOVES: &str = r#"{"transitions":[{"id":"11","name":"Done"},{"id":"12","name":"Reopen"}]}"#;

    async fn dialogue(batch: &Batch, answers: &[&str]) -> (Result<Sent, SendError>, String) {
        let server = Server::start(answers.iter().map(|body| Reply::json(200, body))).await;
        let result = send(&server.notifier(CONFIG), batch).await;
        (result, server.seen().iter().map(Seen::dump).collect::<Vec<_>>().join("\n"))
    }

    #[tokio::test]
    async fn a_new_group_makes_an_issue() {
        let (result, requests) = dialogue(&firing(), &[NONE, "{}"]).await;
        result.unwrap();
        expect_file!["golden/jira-create.txt"].assert_eq(&requests);
    }

    #[tokio::test]
    async fn a_done_issue_is_updated_and_opened_again() {
        let (result, requests) = dialogue(&firing(), &[DONE, "", MOVES, ""]).await;
        result.unwrap();
        expect_file!["golden/jira-reopen.txt"].assert_eq(&requests);
    }

    #[tokio::test]
    async fn a_resolved_group_ends_its_issue_and_makes_none() {
        let (result, requests) = dialogue(&resolved(), &[OPEN, "", MOVES, ""]).await;
        result.unwrap();
        expect_file!["golden/jira-resolve.txt"].assert_eq(&requests);
        let (result, requests) = dialogue(&resolved(), &[NONE]).await;
        result.unwrap();
        assert_eq!(requests.matches("HTTP/1.1").count(), 1, "{requests}");
    }

    #[track_caller]
    fn check_search(api_url: &str, api_type: &str, expected: &str) {
        let text = format!("jira_configs:\n- api_url: {api_url}\n  api_type: {api_type}\n  project: P\n  issue_type: T");
        let Settings::Jira(config) = settings(&text) else { panic!("not jira") };
        let sender = Sender::build(&config, &parts()).unwrap();
        assert_eq!(sender.search_url().unwrap().as_str(), expected, "{api_url} {api_type}");
    }

    #[test]
    fn the_cloud_searches_elsewhere() {
        let cloud = "https://x.atlassian.net/rest/api/2";
        check_search(cloud, "auto", "https://x.atlassian.net/rest/api/3/search/jql");
        check_search(cloud, "datacenter", "https://x.atlassian.net/rest/api/2/search");
        check_search("https://jira.test/rest/api/2/", "auto", "https://jira.test/rest/api/2/search");
        check_search("https://jira.test/rest/api/2", "cloud", "https://jira.test/rest/api/3/search/jql");
        check_search("https://jira.test/a//rest/api/3", "cloud", "https://jira.test/a/rest/api/3/search/jql");
    }

    #[tokio::test]
    async fn a_missing_transition_is_final() {
        let (result, _) = dialogue(&resolved(), &[OPEN, "", r#"{"transitions":[]}"#]).await;
        let error = result.unwrap_err();
        assert_eq!(error.to_string(), "can't find transition Done for issue OPS-1");
        assert!(!error.retry());
    }

    #[tokio::test]
    async fn these_answers_are_tried_again() {
        assert_eq!(retried(CONFIG).await, [429, 500, 502, 503, 504]);
    }

    #[tokio::test]
    async fn version_three_wants_a_document() {
        let server = Server::start([Reply::json(200, NONE)]).await;
        let config = "jira_configs:\n- api_url: URL/rest/api/3/\n  project: P\n  issue_type: T";
        let error = send(&server.notifier(config), &firing()).await.unwrap_err();
        assert!(!error.retry() && error.to_string().contains("API v3"), "{error}");
        let server = Server::start([Reply::json(200, NONE), Reply::json(200, "{}")]).await;
        let config = format!("{config}\n  description: '{{\"type\":\"doc\"}}'");
        send(&server.notifier(&config), &firing()).await.unwrap();
        assert_eq!(server.seen()[1].json()["fields"]["description"]["type"], "doc");
    }
}
