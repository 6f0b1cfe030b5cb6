//! The API v2 of a server, of upstream's from 0.22 on or ours: requests, and what went wrong in one line.

use std::error::Error;
use std::io;
use std::path::Path;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, RequestBuilder, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tocsin_node::config::http::{self, HttpConfig};
use tocsin_node::notify::{reach, report};

use super::certificate;
use super::failure::Failure;
use super::wire::Status;

/// As much of an answer that is no API's is shown.
const SHOWN_MAX_CHARS: usize = 300;

/// A server.
#[derive(Clone, Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    headers: HeaderMap,
    /// With user, password and the path of the API.
    base: Url,
    /// Only speaks HTTP without TLS to this one server, and follows no redirect.
    plain: bool,
}

impl Client {
    /// A server at an address, whose path is that of `--web.route-prefix`.
    /// # Errors
    /// When the address is none, or the file that says how to speak with it.
    pub(super) async fn new(address: &str, http_config: Option<&Path>) -> Result<Self, Failure> {
        let base =
            base(address).ok_or_else(|| format!("not the address of a server: {address:?}"))?;
        if http_config.is_some() && (!base.username().is_empty() || base.password().is_some()) {
            let why = "basic authentication and http.config.file are mutually exclusive";
            return Err(why.into());
        }
        let plain = http_config.is_none() && base.scheme() == "http" && !has_proxy();
        let config = match http_config {
            Some(file) => http::load(file).map_err(|mistakes| mistakes.summary())?,
            None if plain => without_tls(),
            None => by_default(),
        };
        let (http, headers) = reach(&config).await.map_err(|error| report(&error))?;
        Ok(Self { http, headers, base, plain })
    }

    /// The answer to a GET, whatever it is.
    /// # Errors
    /// When there is none, or its status is no success.
    pub(super) async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Vec<u8>, Failure> {
        let mut url = self.url(path)?;
        add_query(&mut url, query);
        self.ask(Method::GET, url, None).await
    }

    /// The answer to a GET as a value; `None` when the server does not know the path.
    /// # Errors
    /// As [`Self::read`].
    pub(super) async fn find<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<Option<T>, Failure> {
        let mut url = self.url(path)?;
        add_query(&mut url, query);
        match self.exchange(&Method::GET, &url, None).await? {
            (StatusCode::NOT_FOUND, _) => Ok(None),
            answer => self.parse(path, &good(&Method::GET, &url, answer)?).map(Some),
        }
    }

    /// The answer to a GET as a value.
    /// # Errors
    /// Also when it is no such value.
    pub(super) async fn read<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T, Failure> {
        let body = self.get(path, query).await?;
        self.parse(path, &body)
    }

    /// A value out of the body of an answer.
    /// # Errors
    /// When it is no such value.
    pub(super) fn parse<T: DeserializeOwned>(&self, path: &str, body: &[u8]) -> Result<T, Failure> {
        serde_json::from_slice(body).map_err(|error| {
            let path = format!("{}{path}", self.base.path());
            Failure::Why(format!("GET {path}: the answer is not an Alertmanager's: {error}"))
        })
    }

    /// The server's status.
    /// # Errors
    /// When there is none.
    pub(super) async fn status(&self) -> Result<Status, Failure> {
        self.read("/status", &[]).await
    }

    /// The answer to a POST of a JSON document.
    /// # Errors
    /// When there is none, or its status is no success.
    pub(super) async fn post(&self, path: &str, body: &impl Serialize) -> Result<Vec<u8>, Failure> {
        let body = serde_json::to_vec(body).map_err(Failure::why)?;
        self.ask(Method::POST, self.url(path)?, Some(body)).await
    }

    /// Deletes.
    /// # Errors
    /// When there is no answer, or its status is no success.
    pub(super) async fn delete(&self, path: &str) -> Result<(), Failure> {
        self.ask(Method::DELETE, self.url(path)?, None).await.map(|_| ())
    }

    fn url(&self, path: &str) -> Result<Url, Failure> {
        let mut url = self.base.clone();
        {
            let mut segments =
                url.path_segments_mut().map_err(|()| "not the address of a server")?;
            segments.extend(path.trim_start_matches('/').split('/'));
        }
        Ok(url)
    }

    async fn ask(
        &self,
        method: Method,
        url: Url,
        body: Option<Vec<u8>>,
    ) -> Result<Vec<u8>, Failure> {
        let answer = self.exchange(&method, &url, body).await?;
        good(&method, &url, answer)
    }

    async fn exchange(
        &self,
        method: &Method,
        url: &Url,
        body: Option<Vec<u8>>,
    ) -> Result<(StatusCode, Vec<u8>), Failure> {
        let answer = self.send(&self.http, method, url, body.clone()).await?;
        if self.plain && answer.0.is_redirection() {
            let (http, _) = reach(&by_default()).await.map_err(|error| report(&error))?;
            return self.send(&http, method, url, body).await;
        }
        Ok(answer)
    }

    async fn send(
        &self,
        http: &reqwest::Client,
        method: &Method,
        url: &Url,
        body: Option<Vec<u8>>,
    ) -> Result<(StatusCode, Vec<u8>), Failure> {
        let request = http.request(method.clone(), url.clone()).headers(self.headers.clone());
        send(request, body).await.map_err(|error| {
            let (verb, shown) = (verb(method), shown(url));
            Failure::Why(format!("{verb} \"{shown}\": {}", network(&error, url)))
        })
    }
}

/// Parameters in the order of their names, as upstream's client sends and shows them.
fn add_query(url: &mut Url, query: &[(&str, &str)]) {
    if !query.is_empty() {
        let mut query = query.to_vec();
        query.sort_by_key(|(name, _)| *name);
        url.query_pairs_mut().extend_pairs(query);
    }
}

/// The body of a success; of anything else what the server has said.
fn good(
    method: &Method,
    url: &Url,
    (status, body): (StatusCode, Vec<u8>),
) -> Result<Vec<u8>, Failure> {
    if status.is_success() {
        return Ok(body);
    }
    let said = said(&body);
    let said = if said.is_empty() { status.canonical_reason().unwrap_or("") } else { &said };
    Err(Failure::Why(format!("{method} {}: HTTP {}: {said}", url.path(), status.as_u16())))
}

/// As Go's client does without a word: the environment may name a proxy.
fn by_default() -> HttpConfig {
    let mut config = HttpConfig::default();
    config.proxy.from_environment = true;
    config
}

/// For an address without TLS: the system's certificates, which cost more than all else here, are not read.
/// No connection with TLS is made with it, so that none is trusted blindly.
fn without_tls() -> HttpConfig {
    let mut config = HttpConfig { follow_redirects: false, ..HttpConfig::default() };
    config.tls.insecure_skip_verify = true;
    config
}

/// Whether requests without TLS may go through a proxy, which may itself want TLS.
fn has_proxy() -> bool {
    ["HTTP_PROXY", "http_proxy"].iter().any(|name| std::env::var_os(name).is_some())
}

async fn send(
    request: RequestBuilder,
    body: Option<Vec<u8>>,
) -> Result<(StatusCode, Vec<u8>), reqwest::Error> {
    let request = match body {
        Some(body) => {
            request.header(CONTENT_TYPE, HeaderValue::from_static("application/json")).body(body)
        }
        None => request,
    };
    let answer = request.send().await?;
    let status = answer.status();
    Ok((status, answer.bytes().await?.into()))
}

/// The address of the API. Without a scheme it is http's, without a host localhost:9093.
fn base(address: &str) -> Option<Url> {
    let whole = match address {
        "" => return None,
        address if address.contains("://") => address.to_owned(),
        address if address.starts_with("//") => format!("http:{address}"),
        address if address.starts_with('/') => format!("http://localhost:9093{address}"),
        address => format!("http://{address}"),
    };
    let mut url = Url::parse(&whole).ok()?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return None;
    }
    url.set_query(None);
    url.set_fragment(None);
    url.path_segments_mut().ok()?.pop_if_empty().extend(["api", "v2"]);
    Some(url)
}

/// Without the password.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    if url.password().is_some() {
        let _cannot_fail_with_a_host = url.set_password(Some("***"));
    }
    url.into()
}

/// As Go's client names what it does.
fn verb(method: &Method) -> &'static str {
    match method.as_str() {
        "POST" => "Post",
        "DELETE" => "Delete",
        _ => "Get",
    }
}

/// What the network has said; the most frequent case in the words that people know.
fn network(error: &reqwest::Error, url: &Url) -> String {
    let mut cause: Option<&(dyn Error + 'static)> = error.source();
    let mut last = String::new();
    while let Some(error) = cause {
        if error.downcast_ref::<io::Error>().map(io::Error::kind)
            == Some(io::ErrorKind::ConnectionRefused)
        {
            let host = url.host_str().unwrap_or("");
            let port = url.port_or_known_default().unwrap_or(0);
            return format!("dial tcp {host}:{port}: connect: connection refused");
        }
        if let Some(refusal) = certificate::refusal(error) {
            return refusal;
        }
        let text = error.to_string();
        if text.contains("InvalidContentType") {
            return "the server does not speak TLS: http instead of https?".to_owned();
        }
        // Some errors repeat their cause, and the client's own add nothing.
        if !last.contains(&text) && !text.starts_with("client error") {
            last = if last.is_empty() { text } else { format!("{last}: {text}") };
        }
        cause = error.source();
    }
    if last.is_empty() { error.to_string() } else { last }
}

/// What the body of a failure says, in one line.
fn said(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Body {
        Text(String),
        Coded { message: String },
    }
    let text = match serde_json::from_slice(body) {
        Ok(Body::Text(text) | Body::Coded { message: text }) => text,
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SHOWN_MAX_CHARS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(address: &str, expected: &str) {
        assert_eq!(base(address).map_or_else(String::new, String::from), expected);
    }

    #[test]
    fn addresses_are_completed() {
        check("http://a:9093", "http://a:9093/api/v2");
        check("https://u:p@a/prefix/", "https://u:p@a/prefix/api/v2");
        check("localhost:9093", "http://localhost:9093/api/v2");
        check("//a:1/x", "http://a:1/x/api/v2");
        check("/prefix", "http://localhost:9093/prefix/api/v2");
        check("", "");
        check("ftp://a", "");
        check("http://a b", "");
    }

    #[test]
    fn password_is_not_shown() {
        let url = Url::parse("http://me:secret@a/").unwrap();
        assert_eq!(shown(&url), "http://me:***@a/");
    }

    #[track_caller]
    fn check_said(body: &str, expected: &str) {
        assert_eq!(said(body.as_bytes()), expected);
    }

    #[test]
    fn failures_are_one_line() {
        check_said("\"silence not found\"\n", "silence not found");
        check_said(r#"{"code":601,"message":"not\nuuid"}"#, "not uuid");
        check_said("<html>\n <b>Bad Gateway</b>", "<html> <b>Bad Gateway</b>");
        check_said("", "");
    }
}
