//! Jira: one issue for a group.

use std::time::Duration;

use tocsin_service::yaml::Kind;
use url::Url;

use crate::config::block::Block;
use crate::config::global::Global;
use crate::config::http::{HttpConfig, of_receiver};
use crate::config::tree::Tree;

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
