//! `http_config` and `tls_config`: how receivers reach their services.

use std::fmt;
use std::path::{Path, PathBuf};

use tocsin_core::matcher::Mode;
use tocsin_service::mistake::Mistakes;
use tocsin_service::secret::{HIDDEN, Secret};
use tocsin_service::yaml::{self, Section, Value};
use url::Url;

pub use super::source::{HostPort, Link, Source};

use super::block::{Block, Form, Rules};
use super::global::Global;
use super::load::{File, file};
use super::source::{bad_escape, rebase};
use super::tree::Tree;

/// How a client speaks HTTP. A receiver has either its own or the global one, never a mixture.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// How requests say who they are.
    pub auth: Auth,
    /// TLS.
    pub tls: TlsConfig,
    /// Whether redirects are followed.
    pub follow_redirects: bool,
    /// Whether HTTP/2 is offered.
    pub enable_http2: bool,
    /// The way out.
    pub proxy: ProxyConfig,
    /// Headers to add; each name's values, secrets, files in that order.
    pub headers: Vec<(String, Vec<Source>)>,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            auth: Auth::None,
            tls: TlsConfig::default(),
            follow_redirects: true,
            enable_http2: true,
            proxy: ProxyConfig::default(),
            headers: Vec::new(),
        }
    }
}

/// How requests say who they are.
#[derive(Clone, Debug, Default)]
pub enum Auth {
    /// Not at all.
    #[default]
    None,
    /// Name and password.
    Basic {
        /// The name, which is no secret.
        username: Source,
        /// The password.
        password: Source,
    },
    /// `Authorization: <scheme> <credentials>`.
    Header {
        /// `Bearer` unless said otherwise.
        scheme: String,
        /// What follows.
        credentials: Source,
    },
    /// A token of an OAuth2 server.
    OAuth2(Box<OAuth2>),
}

/// How to get a token.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "the names are those of RFC 6749 and RFC 7523")]
pub struct OAuth2 {
    pub client_id: String,
    pub client_secret: Source,
    /// Empty is `client_credentials`.
    pub grant_type: String,
    pub key_id: String,
    /// Signs the assertion; only for the JWT grant.
    pub key: Source,
    /// Empty is `RS256`.
    pub signature_algorithm: String,
    /// Empty is the client's identifier.
    pub iss: String,
    /// Empty is the token's URL.
    pub audience: String,
    pub claims: Vec<(String, serde_json::Value)>,
    pub scopes: Vec<String>,
    pub token_url: String,
    pub endpoint_params: Vec<(String, String)>,
    pub tls: TlsConfig,
    pub proxy: ProxyConfig,
}

/// TLS of a client.
#[derive(Clone, Debug, Default)]
pub struct TlsConfig {
    /// Replaces the system's roots.
    pub ca: Source,
    /// The client's certificate.
    pub cert: Source,
    /// Its key.
    pub key: Source,
    /// What the certificate must be for, in place of the host. The handshake still names the host: the HTTP client takes
    /// that name from the address, and leaves no way to another.
    pub server_name: String,
    /// Whether any certificate is good.
    pub insecure_skip_verify: bool,
    /// At least this; TLS 1.2 when absent.
    pub min_version: Option<TlsVersion>,
    /// At most this. Without effect for mail servers: the library has no such setting.
    pub max_version: Option<TlsVersion>,
}

/// Versions of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it all")]
pub enum TlsVersion {
    Tls10,
    Tls11,
    Tls12,
    Tls13,
}

/// The way out.
#[derive(Clone, Default)]
pub struct ProxyConfig {
    /// The proxy.
    pub url: Option<Url>,
    /// Hosts that are reached without it.
    pub no_proxy: String,
    /// Whether the environment names it.
    pub from_environment: bool,
    /// Headers of the CONNECT request.
    pub connect_headers: Vec<(String, Vec<Secret>)>,
}

impl fmt::Debug for ProxyConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyConfig")
            .field("url", &self.url.as_ref().map(|url| without_password(url.as_str())))
            .field("no_proxy", &self.no_proxy)
            .field("from_environment", &self.from_environment)
            .field("connect_headers", &self.connect_headers)
            .finish()
    }
}

/// Names that `http_headers` must not set, in canonical letter case.
const RESERVED: [&str; 18] = [
    "Authorization",
    "Host",
    "Content-Encoding",
    "Content-Length",
    "Content-Type",
    "User-Agent",
    "Connection",
    "Keep-Alive",
    "Proxy-Authenticate",
    "Proxy-Authorization",
    "Www-Authenticate",
    "Accept-Encoding",
    "X-Prometheus-Remote-Write-Version",
    "X-Prometheus-Remote-Read-Version",
    "X-Prometheus-Scrape-Timeout-Seconds",
    "X-Amz-Date",
    "X-Amz-Security-Token",
    "X-Amz-Content-Sha256",
];

const JWT_GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// How the built-in client is shown.
pub(crate) fn shown_default() -> Value {
    let entry = |key: &str| (key.to_owned(), Value::Bool(true));
    Value::Map(vec![entry("follow_redirects"), entry("enable_http2")])
}

/// Reads `http_config`. Paths are relative to the directory, if there is one.
pub(crate) fn http(block: &mut Block<'_>, directory: Option<&PathBuf>) -> HttpConfig {
    let auth = auth(block, directory);
    let tls = tls_block(block, "tls_config", directory);
    let follow_redirects = block.flag("follow_redirects", true);
    let enable_http2 = block.flag("enable_http2", true);
    let proxy = proxy(block);
    let headers = headers(block, "http_headers", directory, true);
    HttpConfig { auth, tls, follow_redirects, enable_http2, proxy, headers }
}

fn auth(block: &mut Block<'_>, directory: Option<&PathBuf>) -> Auth {
    let basic = block.sub("basic_auth", |block| basic_auth(block, directory));
    let bearer = bearer(block, directory);
    let given = block.has("authorization");
    let header = block.sub("authorization", |block| authorization(block, directory));
    if let (None, Some(Auth::Header { credentials, .. })) = (&header, &bearer) {
        let mut shown = vec![("type".to_owned(), "Bearer".into())];
        match credentials {
            Source::Inline(_) => shown.push(("credentials".to_owned(), HIDDEN.into())),
            Source::File(path) => {
                shown.push(("credentials_file".to_owned(), path.display().to_string().into()));
            }
            Source::None => {}
        }
        block.show("authorization", Value::Map(shown));
    }
    let oauth2 = block.sub("oauth2", |block| oauth2(block, directory));
    let ways = [
        (basic.is_some(), "basic_auth"),
        (given, "authorization"),
        (oauth2.is_some(), "oauth2"),
        (
            bearer.is_some(),
            if block.has("bearer_token") { "bearer_token" } else { "bearer_token_file" },
        ),
    ];
    let used: Vec<_> = ways.into_iter().filter(|(used, _)| *used).collect();
    if let [_, (_, second), ..] = used.as_slice() {
        let message = "at most one of basic_auth, oauth2, authorization, bearer_token & bearer_token_file must be configured";
        block.mistake_at(second, message);
    }
    basic
        .or(header)
        .or(oauth2.map(|oauth2| Auth::OAuth2(Box::new(oauth2))))
        .or(bearer)
        .unwrap_or_default()
}

/// Three keys for one value, at most one of them given; nothing can resolve a reference.
fn triple(
    block: &mut Block<'_>,
    keys: [&'static str; 3],
    directory: Option<&PathBuf>,
    secret: bool,
) -> Source {
    let [key, file_key, ref_key] = keys;
    if secret {
        block.note_secret(key);
    }
    let inline = block.section().text_or(key, "");
    let file = block.section().text_or(file_key, "");
    let reference = block.section().text_or(ref_key, "");
    let given = [(&inline, key), (&file, file_key), (&reference, ref_key)];
    let given: Vec<_> = given.iter().filter(|(text, _)| !text.is_empty()).collect();
    if let [(_, first), (_, second), ..] = given.as_slice() {
        block.both(first, second);
    }
    if !inline.is_empty() {
        block.show(key, if secret { HIDDEN } else { inline.as_str() });
    }
    let path = directory.map_or_else(|| PathBuf::from(&file), |base| rebase(base, &file));
    if !file.is_empty() {
        block.show(file_key, path.display().to_string());
    }
    if !reference.is_empty() {
        block.show(ref_key, reference.as_str());
        block.mistake_at(ref_key, "no secret manager can resolve the reference");
    }
    match (inline.as_str(), file.as_str()) {
        ("", "") => Source::None,
        ("", _) => Source::File(path),
        (inline, _) => Source::Inline(inline.into()),
    }
}

fn basic_auth(block: &mut Block<'_>, directory: Option<&PathBuf>) -> Auth {
    let names = ["username", "username_file", "username_ref"];
    let username = triple(block, names, directory, false);
    let password = triple(block, ["password", "password_file", "password_ref"], directory, true);
    Auth::Basic { username, password }
}

fn authorization(block: &mut Block<'_>, directory: Option<&PathBuf>) -> Auth {
    let scheme = block.section().text_or("type", "Bearer").trim().to_owned();
    let scheme = if scheme.is_empty() { "Bearer".to_owned() } else { scheme };
    block.show("type", scheme.as_str());
    if scheme.eq_ignore_ascii_case("basic") {
        block.mistake_at(
            "type",
            "authorization type cannot be set to \"basic\", use \"basic_auth\" instead",
        );
    }
    let keys = ["credentials", "credentials_file", "credentials_ref"];
    Auth::Header { scheme, credentials: triple(block, keys, directory, true) }
}

/// The two old keys, which mean an `authorization` block.
fn bearer(block: &Block<'_>, directory: Option<&PathBuf>) -> Option<Auth> {
    let credentials = match block.own_source("bearer_token", "bearer_token_file", Form::Text) {
        Source::None => return None,
        Source::File(path) => {
            let path = path.to_string_lossy().into_owned();
            Source::File(directory.map_or_else(|| PathBuf::from(&path), |base| rebase(base, &path)))
        }
        inline @ Source::Inline(_) => inline,
    };
    Some(Auth::Header { scheme: "Bearer".to_owned(), credentials })
}

fn oauth2(block: &mut Block<'_>, directory: Option<&PathBuf>) -> OAuth2 {
    let client_id = block.text_always("client_id", "");
    let secret_keys = ["client_secret", "client_secret_file", "client_secret_ref"];
    let client_secret = triple(block, secret_keys, directory, true);
    let key_id = block.text("client_certificate_key_id", "");
    // Upstream resolves this file below the working directory.
    let key_keys =
        ["client_certificate_key", "client_certificate_key_file", "client_certificate_key_ref"];
    let key = triple(block, key_keys, None, true);
    let grant_type = block.text("grant_type", "");
    let signature_algorithm = block.text("signature_algorithm", "");
    let iss = block.text("iss", "");
    let audience = block.text("audience", "");
    let claims = claims(block);
    let scopes = block.texts("scopes");
    let token_url = block.text_always("token_url", "");
    let endpoint_params = block.map("endpoint_params");
    let tls = tls_block(block, "tls_config", directory);
    let proxy = proxy(block);
    if client_id.is_empty() {
        block.mistake_at("client_id", "oauth2 client_id must be configured");
    }
    if token_url.is_empty() {
        block.mistake_at("token_url", "oauth2 token_url must be configured");
    }
    if grant_type == JWT_GRANT && !matches!(&*signature_algorithm, "" | "RS256" | "RS384" | "RS512")
    {
        let message = "must be RS256, RS384 or RS512";
        block.mistake_at("signature_algorithm", message);
    }
    OAuth2 {
        client_id,
        client_secret,
        grant_type,
        key_id,
        key,
        signature_algorithm,
        iss,
        audience,
        claims,
        scopes,
        token_url,
        endpoint_params,
        tls,
        proxy,
    }
}

fn claims(block: &mut Block<'_>) -> Vec<(String, serde_json::Value)> {
    block.trees("claims").into_iter().map(|(name, tree)| (name, json(&tree))).collect()
}

fn json(tree: &Tree) -> serde_json::Value {
    match tree {
        Tree::Null => serde_json::Value::Null,
        Tree::Bool(value) => (*value).into(),
        Tree::Int(value) => (*value).into(),
        Tree::Float(value) => (*value).into(),
        Tree::Text(text) => text.as_str().into(),
        Tree::List(items) => items.iter().map(json).collect(),
        Tree::Map(entries) => {
            let entry = |(key, value): &(Tree, Tree)| match key {
                Tree::Text(key) => Some((key.clone(), json(value))),
                _ => None,
            };
            serde_json::Value::Object(entries.iter().filter_map(entry).collect())
        }
    }
}

/// The four keys of the way out.
fn proxy(block: &mut Block<'_>) -> ProxyConfig {
    let url = block.given("proxy_url").and_then(|field| {
        let text = field.text()?;
        match loose_url(&text) {
            Ok(url) => Some((text, url)),
            Err(message) => {
                field.mistake(message);
                None
            }
        }
    });
    if let Some((text, _)) = &url {
        block.show("proxy_url", without_password(text));
    }
    let no_proxy = block.text("no_proxy", "");
    let from_environment = block.bool("proxy_from_environment", false);
    let connect_headers = connect_headers(block);
    let has_url = block.has("proxy_url");
    if from_environment && has_url {
        let message = "if proxy_from_environment is configured, proxy_url must not be configured";
        block.mistake_at("proxy_url", message);
    }
    if from_environment && !no_proxy.is_empty() {
        let message = "if proxy_from_environment is configured, no_proxy must not be configured";
        block.mistake_at("no_proxy", message);
    }
    if !has_url && !from_environment && !no_proxy.is_empty() {
        let message = "if no_proxy is configured, proxy_url must also be configured";
        block.mistake_at("no_proxy", message);
    }
    if !has_url && !from_environment && !connect_headers.is_empty() {
        let message = "if proxy_connect_header is configured, proxy_url or proxy_from_environment must also be configured";
        block.mistake_at("proxy_connect_header", message);
    }
    let url = url.and_then(|(_, url)| url);
    ProxyConfig { url, no_proxy, from_environment, connect_headers }
}

/// Whatever Go's URL parser accepts, `foo` too; what is no full URL gives none.
/// Source: Go, `net/url`, `Parse`.
fn loose_url(text: &str) -> Result<Option<Url>, &'static str> {
    if text.chars().any(char::is_control) {
        return Err("must not have control characters");
    }
    let scheme = text.find(|letter: char| {
        !(letter.is_ascii_alphanumeric() || matches!(letter, '+' | '-' | '.'))
    });
    let starts_well = text.starts_with(|letter: char| letter.is_ascii_alphabetic());
    let rest = match scheme {
        Some(0) if text.starts_with(':') => return Err("has no scheme before the colon"),
        Some(at) if starts_well && text[at..].starts_with(':') => &text[at + 1..],
        _ if text.split('/').next().unwrap_or("").contains(':') => {
            return Err("has a colon in its first part; write it as http://host:port");
        }
        _ => text,
    };
    if let Some(after) = rest.strip_prefix("//") {
        let authority = after.split(['/', '?', '#']).next().unwrap_or("");
        if authority.contains([' ', '<', '>', '"']) {
            return Err("must not have blanks, quotes or angle brackets in its host");
        }
    }
    if bad_escape(rest) {
        return Err("has a % that is followed by no two hexadecimal digits");
    }
    Ok(Url::parse(text).ok())
}

/// The text with `xxxxx` for a password.
fn without_password(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("//") else { return text.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let Some(at) = rest[..end].rfind('@') else { return text.to_owned() };
    match rest[..at].split_once(':') {
        Some((user, _)) => format!("{scheme}//{user}:xxxxx{}", &rest[at..]),
        None => text.to_owned(),
    }
}

fn connect_headers(block: &mut Block<'_>) -> Vec<(String, Vec<Secret>)> {
    let mut headers = Vec::new();
    let mut shown = Vec::new();
    block.note_secret("proxy_connect_header");
    for (name, field) in
        block.field("proxy_connect_header").map(|field| field.entries()).unwrap_or_default()
    {
        let secrets: Vec<Secret> = field.list().iter().filter_map(|item| item.secret()).collect();
        shown.push((name.to_owned(), Value::List(secrets.iter().map(|_| HIDDEN.into()).collect())));
        headers.push((name.to_owned(), secrets));
    }
    if !shown.is_empty() {
        block.show("proxy_connect_header", Value::Map(shown));
    }
    headers
}

/// Headers by name, each with values, secrets and files.
pub(crate) fn headers(
    block: &mut Block<'_>,
    key: &'static str,
    directory: Option<&PathBuf>,
    reserved: bool,
) -> Vec<(String, Vec<Source>)> {
    let mut headers = Vec::new();
    let mut shown = Vec::new();
    for (name, field) in block.field(key).map(|field| field.entries()).unwrap_or_default() {
        let canonical = canonical_header(name);
        if reserved && RESERVED.contains(&canonical.as_str()) {
            field.mistake(format!("setting header {canonical:?} is not allowed"));
        }
        let mut inner = Block::new(field.section_or_empty(), block.rules);
        headers.push((name.to_owned(), header_values(&mut inner, directory)));
        shown.push((name.to_owned(), inner.finish()));
    }
    if !shown.is_empty() {
        block.show(key, Value::Map(shown));
    }
    headers
}

fn header_values(block: &mut Block<'_>, directory: Option<&PathBuf>) -> Vec<Source> {
    let mut sources: Vec<Source> = Vec::new();
    sources.extend(block.texts("values").into_iter().map(|text| Source::Inline(text.into())));
    block.note_secret("secrets");
    let secrets = block.section().texts("secrets");
    if !secrets.is_empty() {
        block.show("secrets", Value::List(secrets.iter().map(|_| HIDDEN.into()).collect()));
    }
    sources.extend(secrets.into_iter().map(|text| Source::Inline(text.into())));
    let files = block.section().texts("files");
    let files: Vec<PathBuf> = files
        .iter()
        .map(|file| directory.map_or_else(|| file.into(), |base| rebase(base, file)))
        .collect();
    let shown: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
    block.show_texts("files", &shown);
    sources.extend(files.into_iter().map(Source::File));
    sources
}

/// Each word of the name begins with a capital, as Go writes header names.
pub(crate) fn canonical_header(name: &str) -> String {
    let valid = |letter: char| letter.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(letter);
    if !name.chars().all(valid) {
        return name.to_owned();
    }
    let mut start = true;
    name.chars()
        .map(|letter| {
            let written =
                if start { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() };
            start = letter == '-';
            written
        })
        .collect()
}

/// Reads a TLS block under the key; absent is the default.
pub(crate) fn tls_block(
    block: &mut Block<'_>,
    key: &'static str,
    directory: Option<&PathBuf>,
) -> TlsConfig {
    block.sub(key, |block| tls_keys(block, directory)).unwrap_or_default()
}

/// Reads `tls_config`.
pub(crate) fn tls_keys(block: &mut Block<'_>, directory: Option<&PathBuf>) -> TlsConfig {
    // Upstream shows inline values first, then files, then references.
    block.note_secret("key");
    let section = block.section();
    let [ca, cert, key] = ["ca", "cert", "key"].map(|key| section.text_or(key, ""));
    for (name, text, secret) in [("ca", &ca, false), ("cert", &cert, false), ("key", &key, true)] {
        if !text.is_empty() {
            block.show(name, if secret { HIDDEN } else { text.as_str() });
        }
    }
    let ca_file = block.path("ca_file", directory);
    let cert_file = block.path("cert_file", directory);
    let key_file = block.path("key_file", directory);
    let ca = choose(block, ["ca", "ca_file", "ca_ref"], ca, ca_file);
    let cert = choose(block, ["cert", "cert_file", "cert_ref"], cert, cert_file);
    let key = choose(block, ["key", "key_file", "key_ref"], key, key_file);
    let server_name = block.text("server_name", "");
    let insecure_skip_verify = block.flag("insecure_skip_verify", false);
    let min_version = tls_version(block, "min_version");
    let max_version = tls_version(block, "max_version");
    if !cert.is_none() && key.is_none() {
        block.section().mistake("exactly one of key or key_file must be configured when a client certificate is configured");
    }
    if cert.is_none() && !key.is_none() {
        block.section().mistake(
            "exactly one of cert or cert_file must be configured when a client key is configured",
        );
    }
    if let (Some(min), Some(max)) = (min_version, max_version)
        && max < min
    {
        block.section().warn("max_version is below min_version: no connection will be made");
    }
    TlsConfig { ca, cert, key, server_name, insecure_skip_verify, min_version, max_version }
}

fn choose(block: &Block<'_>, keys: [&'static str; 3], inline: String, file: PathBuf) -> Source {
    let [key, file_key, ref_key] = keys;
    let reference = block.section().text_or(ref_key, "");
    let given = [
        (!inline.is_empty(), key),
        (!file.as_os_str().is_empty(), file_key),
        (!reference.is_empty(), ref_key),
    ];
    let given: Vec<_> = given.iter().filter(|(given, _)| *given).collect();
    if let [(_, first), (_, second), ..] = given.as_slice() {
        block.both(first, second);
    }
    if !reference.is_empty() {
        block.mistake_at(ref_key, "no secret manager can resolve the reference");
    }
    if !inline.is_empty() {
        Source::Inline(inline.into())
    } else if file.as_os_str().is_empty() {
        Source::None
    } else {
        Source::File(file)
    }
}

fn tls_version(block: &mut Block<'_>, key: &'static str) -> Option<TlsVersion> {
    let field = block.given(key)?;
    let text = field.text()?;
    let version = match text.as_str() {
        "TLS10" => TlsVersion::Tls10,
        "TLS11" => TlsVersion::Tls11,
        "TLS12" => TlsVersion::Tls12,
        "TLS13" => TlsVersion::Tls13,
        _ => {
            let words = ["TLS10", "TLS11", "TLS12", "TLS13"];
            field.mistake_near(format!("unknown TLS version: {text}"), &text, words);
            return None;
        }
    };
    block.show(key, text);
    Some(version)
}

/// The client of a receiver: its own, or the global one. Files are relative to the configuration.
pub(crate) fn of_receiver(block: &mut Block<'_>, global: &Global) -> HttpConfig {
    of_receiver_at(block, global, Some(&block.rules.directory))
}

/// As [`of_receiver`], with the directory of relative files, if it is not the working directory.
pub(crate) fn of_receiver_at(
    block: &mut Block<'_>,
    global: &Global,
    directory: Option<&PathBuf>,
) -> HttpConfig {
    match block.sub("http_config", |block| http(block, directory)) {
        Some(own) => own,
        None => {
            block.show("http_config", global.http_shown.clone());
            global.http.clone()
        }
    }
}

/// Reads a file that is one `http_config`; relative paths in it are relative to it.
/// # Errors
/// All mistakes in it, or why it could not be read.
pub fn load(path: &Path) -> Result<HttpConfig, Mistakes> {
    let File { text, name, directory } = file(path)?;
    let rules = Rules::new(Mode::default(), directory.clone(), false);
    let document = yaml::parse(&text, &name)?;
    let reading =
        document.read_whole(|root| http(&mut Block::new(root, &rules), Some(&directory)))?;
    Ok(reading.value)
}

/// Whether the receiver's own client says who it is by a header.
pub(crate) fn own_authorization(section: &Section<'_>) -> bool {
    let Some(field) = section.given("http_config") else { return false };
    let entries = field.entries();
    entries.iter().any(|(name, value)| {
        matches!(*name, "authorization" | "bearer_token" | "bearer_token_file") && !value.is_null()
    })
}
