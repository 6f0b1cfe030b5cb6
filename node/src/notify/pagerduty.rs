//! PagerDuty: events of version 2 by a routing key, of version 1 by a service key.

use std::time::Duration;

use crate::config::block::{Block, Form};
use crate::config::global::Global;
use crate::config::http::{HttpConfig, Source, of_receiver};
use crate::config::tree::Tree;
use url::Url;

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
