//! E-mail over SMTP.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::Duration;

use jiff::tz::TimeZone;
use lettre::Address;
use tracing::error;

use crate::config::block::Block;
use crate::config::global::{self, Global, Smtp};
use crate::config::http::{Source, TlsConfig, canonical_header, tls_keys};
use super::call::Call;
use super::http::read_secret;
use super::smtp::{self, Delivery, Login, Security, Server};
use super::{BuildError, FailureReason, Parts, SendError, Sent, mail};

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
const DEFAULT_SUBJECT: &str = r#"{{ template "email.default.subject" . }}"#;
const DEFAULT_TEXT: &str = r#"{{ template "email.default.text" . }}"#;
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

/// Sends to the addresses of one `to`.
pub(crate) struct Sender {
    config: Config,
}

impl Sender {
    /// Keeps the configuration; the server is met at the first mail.
    pub(crate) fn build(config: &Config, _: &Parts) -> Result<Self, BuildError> {
        smtp::tls_parameters(&config.tls, &config.smarthost.host)?;
        Ok(Self { config: config.clone() })
    }

    /// None of its own.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        None
    }

    /// One mail to all recipients that have not got it at an earlier attempt. Everything is
    /// rendered before the server is met, so that a broken template sends no half mail.
    pub(crate) async fn send(&self, call: Call<'_>) -> Result<Sent, SendError> {
        let letter = self.letter(&call)?;
        let arrived = |address: &&Address| {
            let arrived = call.context.arrived.lock().unwrap_or_else(PoisonError::into_inner);
            !arrived.contains(&address.to_string())
        };
        let recipients: Vec<Address> = letter.to.iter().filter(arrived).cloned().collect();
        let delivery = self.deliver(&call, &letter, &recipients).await?;
        let anyone = {
            let mut arrived = call.context.arrived.lock().unwrap_or_else(PoisonError::into_inner);
            arrived.extend(delivery.accepted.iter().map(ToString::to_string));
            !arrived.is_empty()
        };
        let missed = delivery.postponed.first();
        let missed = missed.or_else(|| delivery.refused.first().filter(|_| !anyone));
        if let Some((address, reply)) = missed {
            let what = format!("send RCPT command: {address}: {reply}");
            return Err(SendError::unavailable(what, FailureReason::Other));
        }
        for (address, reply) in &delivery.refused {
            let group_key = &call.context.group_key;
            error!(%group_key, %address, reply, "recipient refused for good, the others have the mail");
        }
        Ok(Sent::default())
    }

    async fn deliver(
        &self,
        call: &Call<'_>,
        letter: &Letter,
        recipients: &[Address],
    ) -> Result<Delivery, SendError> {
        let config = &self.config;
        let port = config.smarthost.port.as_str();
        let implicit = config.force_implicit_tls.unwrap_or(port == "465");
        let server = Server {
            host: &config.smarthost.host,
            port,
            hello: if config.hello.is_empty() { "localhost" } else { &config.hello },
            security: match (implicit, config.require_tls) {
                (true, _) => Security::Implicit,
                (false, true) => Security::StartTls,
                (false, false) => Security::None,
            },
            tls: &config.tls,
            login: self.login()?,
        };
        server.deliver(&call.parts.deny, &letter.from, recipients, &letter.bytes).await
    }

    fn login(&self) -> Result<Option<Login>, SendError> {
        let config = &self.config;
        if config.auth_username.is_empty() {
            return Ok(None);
        }
        // The CRAM-MD5 secret is used as the file has it, upstream does not trim it.
        let secret = match &config.auth_secret {
            Source::File(path) => std::fs::read_to_string(path)
                .map_err(|error| SendError::network("read auth_secret_file", error))?,
            source => read_secret(source)?,
        };
        Ok(Some(Login {
            username: config.auth_username.clone(),
            identity: config.auth_identity.clone(),
            password: read_secret(&config.auth_password)?,
            secret,
        }))
    }

    /// The whole mail, rendered.
    fn letter(&self, call: &Call<'_>) -> Result<Letter, SendError> {
        let config = &self.config;
        let from_text = call.text(&config.from)?;
        let to_text = call.text(&config.to)?;
        let mut from = mail::addresses(&from_text)?;
        let (Some(from), true) = (from.pop(), from.is_empty()) else {
            return Err(SendError::invalid(format!("must be exactly one from address, got {from_text:?}")));
        };
        let to = mail::addresses(&to_text)?;
        let mut headers: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in &config.headers {
            headers.insert(name.clone(), call.text(value)?);
        }
        headers.entry("From".to_owned()).or_insert(from_text);
        headers.entry("To".to_owned()).or_insert(to_text);
        if !headers.contains_key("Subject") {
            headers.insert("Subject".to_owned(), call.text(DEFAULT_SUBJECT)?);
        }
        let now = call.now.to_zoned_datetime(TimeZone::system());
        headers.entry("Message-Id".to_owned()).or_insert_with(|| mail::message_id(call.now));
        if config.threading.enabled {
            let thread = mail::thread_id(&call.hash(), &now, config.threading.by_date);
            headers.insert("References".to_owned(), thread.clone());
            headers.insert("In-Reply-To".to_owned(), thread);
        }
        // A mail with our own HTML says the same in plain text; with a user's HTML it does not.
        let text = match (config.text.as_str(), config.html.as_str()) {
            ("", HTML) => call.text(DEFAULT_TEXT)?,
            (text, _) => call.text(text)?,
        };
        let html = call.html(&config.html)?;
        Ok(Letter { from, to, bytes: mail::write(&headers, &now, &text, &html) })
    }
}

/// A mail ready to go.
struct Letter {
    from: Address,
    to: Vec<Address>,
    bytes: Vec<u8>,
}

#[cfg(test)]
mod tests_send {
    use std::process::Stdio;

    use serde_json::Value;
    use tokio::io::{AsyncBufReadExt, BufReader, Lines};
    use tokio::process::{Child, ChildStdout, Command};

    use crate::notify::Notifier;
    use crate::notify::testing::*;

    /// A real SMTP server (aiosmtpd) as a child process.
    struct Mailbox {
        port: u16,
        lines: Lines<BufReader<ChildStdout>>,
        _child: Child,
    }

    impl Mailbox {
        async fn start(arguments: &[&str]) -> Self {
            let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/smtp_server.py");
            let mut child = Command::new("/usr/bin/python3")
                .arg(script)
                .args(arguments)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .kill_on_drop(true)
                .spawn()
                .expect("/usr/bin/python3 is needed for the e-mail tests");
            let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
            let first = lines.next_line().await.unwrap();
            let first = first.expect("the e-mail tests need Debian's python3-aiosmtpd");
            Self { port: first.parse().unwrap(), lines, _child: child }
        }

        /// A notifier with one e-mail integration that tells resolved alerts.
        fn notifier(&self, config: &str) -> Notifier {
            let base = "email_configs:\n- from: am@example.org\n  send_resolved: true";
            notifier(&format!("{base}\n  smarthost: 127.0.0.1:{}\n{config}", self.port))
        }

        async fn mail(&mut self) -> Value {
            let line = self.lines.next_line().await.unwrap().expect("the server lives");
            serde_json::from_str(&line).unwrap()
        }
    }

    const PLAIN: &str = "  to: ops@example.org\n  require_tls: false\n";

    /// The mail with line feeds alone, and soft line breaks of its parts undone.
    fn text(mail: &Value) -> String {
        let text = mail["mail"].as_str().unwrap().replace("\r\n", "\n");
        let (headers, parts) = text.split_once("\n\n").unwrap();
        format!("{headers}\n\n{}", parts.replace("=\n", ""))
    }

    #[tokio::test]
    async fn the_guides_short_forms_make_a_plain_mail() {
        let mut server = Mailbox::start(&[]).await;
        let body = "  subject: 'CRITICAL: {{ .GroupLabels.alertname }}'\n  body: |\n    {{ range .Alerts }}\n    Instance: {{ .Labels.instance }}\n    {{ end }}\n";
        let notifier = server.notifier(&format!("{PLAIN}{body}"));
        send(&notifier, &firing()).await.unwrap();
        let mail = server.mail().await;
        assert_eq!((mail["from"].as_str(), mail["to"][0].as_str()), (Some("am@example.org"), Some("ops@example.org")));
        assert_eq!(mail["options"], serde_json::json!(["BODY=8BITMIME", "SMTPUTF8"]));
        assert_eq!(mail["hello"], "localhost");
        let text = text(&mail);
        assert!(text.starts_with("From: am@example.org\nTo: ops@example.org\nSubject: CRITICAL: DiskFull\n"), "{text}");
        assert!(text.contains("Date: Wed, 01 May 2024 ") && text.contains("\nMessage-Id: <"), "{text}");
        assert!(text.contains("\nInstance: a:9100\n\nInstance: b:9100\n"), "{text}");
        assert!(!text.contains("text/html"), "{text}");
    }

    #[tokio::test]
    async fn text_and_html_are_alternatives() {
        let mut server = Mailbox::start(&[]).await;
        let notifier = server.notifier(&format!("{PLAIN}  text: 'Status: {{{{ .Status }}}}'\n  headers:\n    x-team: ä\n"));
        send(&notifier, &firing()).await.unwrap();
        let text = text(&server.mail().await);
        assert!(text.contains("\nX-Team: =?utf-8?q?=C3=A4?=\n"), "{text}");
        assert!(text.contains("multipart/alternative;"), "{text}");
        let (plain, html) = (text.find("text/plain; charset=").unwrap(), text.find("text/html; charset=").unwrap());
        assert!(plain < html && text.contains("Status: firing"), "{text}");
        assert!(text.contains("2 alerts for alertname=3DDiskFull"), "{text}");
        assert!(text.contains("http://prom.example.org/g?a=3D1&amp;b=3D2"), "{text}");
    }

    #[tokio::test]
    async fn the_default_mail_can_be_read_without_html() {
        let mut server = Mailbox::start(&[]).await;
        send(&server.notifier(PLAIN), &firing()).await.unwrap();
        let mail = text(&server.mail().await);
        assert!(mail.contains("[FIRING:2] DiskFull (critical)\n\nAlerts Firing:\nLabels:\n"), "{mail}");
        assert!(mail.contains("text/plain") && mail.contains("text/html"), "{mail}");
        send(&server.notifier(&format!("{PLAIN}  html: <b>own</b>\n")), &firing()).await.unwrap();
        let mail = text(&server.mail().await);
        assert!(!mail.contains("text/plain"), "{mail}");
    }

    #[tokio::test]
    async fn a_thread_refers_to_the_group() {
        let mut server = Mailbox::start(&[]).await;
        let config = format!("{PLAIN}  threading:\n    enabled: true\n    thread_by_date: none\n");
        send(&server.notifier(&config), &firing()).await.unwrap();
        let text = text(&server.mail().await);
        let id = "<alert-17c4e445d234645c-@alertmanager>";
        assert!(text.contains(&format!("\nIn-Reply-To: {id}\n")), "{text}");
        assert!(text.contains(&format!("\nReferences: {id}\n")), "{text}");
    }

    #[tokio::test]
    async fn the_server_decides_how_to_authenticate() {
        for offered in ["PLAIN", "LOGIN", "CRAM-MD5"] {
            let mut server = Mailbox::start(&["--auth", offered]).await;
            let login = "  auth_username: user\n  auth_password: pass word\n  auth_secret: open sesame\n";
            send(&server.notifier(&format!("{PLAIN}{login}")), &firing()).await.unwrap();
            let mail = server.mail().await;
            assert_eq!(mail["mechanism"].as_str(), Some(offered));
        }
    }

    #[tokio::test]
    async fn a_wrong_password_is_tried_again() {
        let server = Mailbox::start(&["--auth", "PLAIN"]).await;
        let login = "  auth_username: user\n  auth_password: wrong\n";
        let error = send(&server.notifier(&format!("{PLAIN}{login}")), &firing()).await.unwrap_err();
        assert!(error.retry() && !crate::notify::report(&error).contains("wrong"), "{error:?}");
    }

    fn certificate() -> (tempfile::TempDir, String) {
        let dir = tempfile::tempdir().unwrap();
        let signed = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned(), "mail.test".to_owned()]).unwrap();
        std::fs::write(dir.path().join("cert.pem"), signed.cert.pem()).unwrap();
        std::fs::write(dir.path().join("key.pem"), signed.signing_key.serialize_pem()).unwrap();
        let path = dir.path().display().to_string();
        (dir, path)
    }

    async fn encrypted(mode: &str, config: &str) -> Result<Value, String> {
        let (_dir, path) = certificate();
        let (cert, key) = (format!("{path}/cert.pem"), format!("{path}/key.pem"));
        let mut server = Mailbox::start(&["--tls", mode, "--cert", &cert, "--key", &key]).await;
        let config = format!("  to: ops@example.org\n{}", config.replace("CERT", &cert));
        send(&server.notifier(&config), &firing()).await.map_err(|error| {
            assert!(error.retry(), "{error:?}");
            crate::notify::report(&error)
        })?;
        Ok(server.mail().await)
    }

    #[tokio::test]
    async fn the_connection_is_encrypted_as_configured() {
        let ca = "  tls_config:\n    ca_file: CERT\n";
        let implicit = format!("  force_implicit_tls: true\n{ca}");
        assert_eq!(encrypted("starttls", ca).await.unwrap()["tls"], true);
        assert_eq!(encrypted("implicit", &implicit).await.unwrap()["tls"], true);
        let careless = "  tls_config:\n    insecure_skip_verify: true\n";
        assert_eq!(encrypted("starttls", careless).await.unwrap()["tls"], true);
        assert_eq!(encrypted("starttls", "  require_tls: false\n").await.unwrap()["tls"], false);
    }

    #[tokio::test]
    async fn an_unknown_certificate_and_a_wrong_name_are_refused() {
        let error = encrypted("starttls", "").await.unwrap_err();
        assert!(error.contains("STARTTLS") && error.contains("certificate"), "{error}");
        let other = "  tls_config:\n    ca_file: CERT\n    server_name: other.test\n";
        let error = encrypted("starttls", other).await.unwrap_err();
        assert!(error.contains("certificate"), "{error}");
    }

    #[tokio::test]
    async fn a_server_without_starttls_gets_no_mail_when_it_is_required() {
        let server = Mailbox::start(&[]).await;
        let error = send(&server.notifier("  to: ops@example.org\n"), &firing()).await.unwrap_err();
        assert!(error.retry() && error.to_string().contains("does not advertise STARTTLS"), "{error}");
    }

    #[tokio::test]
    async fn one_bad_address_does_not_keep_the_others_from_the_mail() {
        let mut server = Mailbox::start(&["--refuse", "gone@example.org=550 no such user"]).await;
        let config = "  to: ops@example.org, gone@example.org\n  require_tls: false\n";
        send(&server.notifier(config), &firing()).await.unwrap();
        assert_eq!(server.mail().await["to"], serde_json::json!(["ops@example.org"]));
    }

    #[tokio::test]
    async fn who_has_got_the_mail_does_not_get_it_again() {
        let mut server = Mailbox::start(&["--refuse", "full@example.org=452 mailbox full"]).await;
        let config = "  to: ops@example.org, full@example.org\n  require_tls: false\n";
        let notifier = server.notifier(config);
        let context = context();
        for expected in ["send RCPT command: full@example.org: ", "send RCPT command: full@example.org: "] {
            let error = notifier.send(&context, &firing()).await.unwrap_err();
            assert!(error.retry() && error.to_string().starts_with(expected), "{error}");
        }
        assert_eq!(server.mail().await["to"], serde_json::json!(["ops@example.org"]));
        let more = tokio::time::timeout(std::time::Duration::from_millis(200), server.mail()).await;
        assert!(more.is_err(), "{more:?}");
    }

    #[tokio::test]
    async fn a_refused_text_is_tried_again() {
        let server = Mailbox::start(&["--refuse-data", "554 looks like spam"]).await;
        let error = send(&server.notifier(PLAIN), &firing()).await.unwrap_err();
        assert!(error.retry() && crate::notify::report(&error).contains("spam"), "{error:?}");
    }

    #[tokio::test]
    async fn a_silent_server_ends_with_the_deadline() {
        for step in ["greeting", "mail", "data"] {
            let server = Mailbox::start(&["--hang", step]).await;
            let notifier = server.notifier(PLAIN);
            let (context, batch) = (context(), firing());
            let work = notifier.send(&context, &batch);
            let ended = tokio::time::timeout(std::time::Duration::from_millis(500), work).await;
            assert!(ended.is_err(), "{step}: {ended:?}");
        }
    }

    #[tokio::test]
    async fn a_broken_template_sends_nothing() {
        let mut server = Mailbox::start(&[]).await;
        let error = send(&server.notifier(&format!("{PLAIN}  html: '{{{{ .Nope }}}}'\n")), &firing()).await.unwrap_err();
        assert!(!error.retry(), "{error:?}");
        let none = tokio::time::timeout(std::time::Duration::from_millis(200), server.mail()).await;
        assert!(none.is_err(), "{none:?}");
    }
}
