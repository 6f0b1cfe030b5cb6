//! E-mail over SMTP.

use crate::config::block::Block;
use crate::config::global::{self, Global, Smtp};
use crate::config::http::{Source, TlsConfig, canonical_header, tls_keys};

pub use crate::config::http::HostPort;

/// What an e-mail integration needs to know. Its file forms of secrets win over the inline ones.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are those of the file")]
pub struct Config {
    pub to: String,
    pub from: String,
    pub hello: String,
    pub smarthost: HostPort,
    pub auth_username: String,
    pub auth_password: Source,
    pub auth_secret: Source,
    pub auth_identity: String,
    /// By canonical name, sorted.
    pub headers: Vec<(String, String)>,
    /// Empty: the mail has no HTML part.
    pub html: String,
    /// Empty: the mail has no text part.
    pub text: String,
    pub require_tls: bool,
    pub tls: TlsConfig,
    /// `None`: by the port.
    pub force_implicit_tls: Option<bool>,
    pub threading: Threading,
}

/// Whether mails of one group are shown as one thread.
#[derive(Clone, Debug, Default)]
pub struct Threading {
    /// Whether they are.
    pub enabled: bool,
    /// Whether each day begins a new one.
    pub by_date: bool,
}

const SUBJECT: &str = r#"{{ template "email.default.subject" . }}"#;
const HTML: &str = r#"{{ template "email.default.html" . }}"#;

/// Reads a block of `email_configs`.
pub(crate) fn check(block: &mut Block<'_>, global: &Global) -> Config {
    let smtp = &global.smtp;
    let to = block.required("to");
    let from = block.text_or_outer("from", &smtp.from);
    let hello = block.text_or_outer("hello", &smtp.hello);
    let smarthost = global::host_port(block, "smarthost", &smtp.smarthost);
    if smarthost.is_empty() {
        block.mistake_at("smarthost", "no smarthost, here or as global smtp_smarthost");
    }
    if from.is_empty() {
        block.mistake_at("from", "no from, here or as global smtp_from");
    }
    let auth_username = block.text_or_outer("auth_username", &smtp.auth_username);
    let auth_password =
        secret(block, "auth_password", "auth_password_file", &smtp.auth_password);
    let auth_secret = secret(block, "auth_secret", "auth_secret_file", &smtp.auth_secret);
    let auth_identity = block.text_or_outer("auth_identity", &smtp.auth_identity);
    let headers = headers(block);
    show_headers(block, &headers, &to, &from);
    let (html, text) = bodies(block);
    let require_tls = block.choice("require_tls", Some(smtp.require_tls)).unwrap_or(true);
    let tls = tls(block, smtp);
    let force_implicit_tls = block.choice("force_implicit_tls", smtp.force_implicit_tls);
    let threading = threading(block, &headers);
    Config {
        to,
        from,
        hello,
        smarthost,
        auth_username,
        auth_password,
        auth_secret,
        auth_identity,
        headers,
        html,
        text,
        require_tls,
        tls,
        force_implicit_tls,
        threading,
    }
}

/// Here both forms may be given: the file wins.
fn secret(
    block: &mut Block<'_>,
    key: &'static str,
    file_key: &'static str,
    outer: &Source,
) -> Source {
    let inline = block.section().text_or(key, "");
    let file = block.section().text_or(file_key, "");
    let source = match (inline.as_str(), file.as_str()) {
        ("", "") => outer.clone(),
        (inline, "") => Source::Inline(inline.into()),
        (_, file) => Source::File(file.into()),
    };
    block.show_source(key, file_key, &source);
    source
}

fn tls(block: &mut Block<'_>, smtp: &Smtp) -> TlsConfig {
    match block.sub("tls_config", |block| tls_keys(block, None)) {
        Some(own) => own,
        None => {
            block.show("tls_config", smtp.tls_shown.clone());
            smtp.tls.clone()
        }
    }
}

/// Headers by canonical name; `subject` is the short form of one of them.
fn headers(block: &mut Block<'_>) -> Vec<(String, String)> {
    let mut headers: Vec<(String, String)> = Vec::new();
    for (name, field) in block.field("headers").map(|field| field.entries()).unwrap_or_default() {
        let name = canonical_header(name);
        let Some(value) = field.text() else { continue };
        if headers.iter().any(|(known, _)| *known == name) {
            field.mistake(format!("duplicate header {name:?} in email config"));
        }
        headers.push((name, value));
    }
    if let Some(field) = block.given("subject")
        && let Some(subject) = field.text()
    {
        if headers.iter().any(|(name, _)| name == "Subject") {
            let message = "at most one of subject & headers.Subject must be configured";
            field.mistake(message);
        }
        headers.push(("Subject".to_owned(), subject));
    }
    headers.sort();
    headers
}

/// Shown are the headers of the mail: those that are not given have a default.
fn show_headers(block: &mut Block<'_>, headers: &[(String, String)], to: &str, from: &str) {
    let mut shown = headers.to_vec();
    for (name, default) in [("From", from), ("Subject", SUBJECT), ("To", to)] {
        if !shown.iter().any(|(known, _)| known == name) {
            shown.push((name.to_owned(), default.to_owned()));
        }
    }
    shown.sort();
    block.show_map("headers", &shown);
}

/// The HTML and the text; `body` is the short form of a mail with text alone.
fn bodies(block: &mut Block<'_>) -> (String, String) {
    let body = block.given("body");
    if let (Some(body), true) = (&body, block.has("text")) {
        body.mistake("at most one of body & text must be configured");
    }
    let html = block.section().text_or("html", if body.is_some() { "" } else { HTML });
    let own_text = block.section().text_or("text", "");
    let text = body.and_then(|body| body.text()).unwrap_or(own_text);
    // The default would come back if an empty one were left out.
    block.show("html", html.as_str());
    if !text.is_empty() {
        block.show("text", text.as_str());
    }
    (html, text)
}

fn threading(block: &mut Block<'_>, headers: &[(String, String)]) -> Threading {
    let threading = block.sub("threading", |block| {
        let enabled = block.bool("enabled", false);
        let by_date = block.text("thread_by_date", "");
        if enabled && !matches!(by_date.as_str(), "none" | "daily") {
            let message = "thread_by_date must be none or daily";
            block.mistake_at("thread_by_date", message);
        }
        Threading { enabled, by_date: by_date == "daily" }
    });
    let threading = threading.unwrap_or_default();
    for name in ["References", "In-Reply-To"] {
        if threading.enabled && headers.iter().any(|(known, _)| known == name) {
            let message = format!("header {name} cannot be set when threading is enabled");
            block.mistake_at("headers", message);
        }
    }
    threading
}
