//! The HTTP client of the receivers: one per integration, with all that `http_config` says.
//! It knows neither payloads nor which answers are worth trying again.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Method;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect;
use tocsin_service::clock::{Clock, SystemClock};
use url::Url;

use super::oauth::Tokens;
use super::proxy;
use super::tls::{self, Material};
use super::{BuildError, Deny, FailureReason, Parts, SendError};
use crate::config::http::{Auth, HttpConfig, Source};
use crate::trace::Span;

/// Connecting, TLS and proxies included.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// As much of an answer is kept for parsing.
const BODY_MAX_BYTES: usize = 1 << 20;
/// As much of an answer is shown in an error.
const ERROR_MAX_BYTES: usize = 64 << 10;
const REDIRECTS_MAX: usize = 10;
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A request of a receiver, before authorization and configured headers.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Request {
    /// A request without body.
    pub(crate) fn new(method: Method, url: Url) -> Self {
        Self { method, url, headers: HeaderMap::new(), body: Vec::new() }
    }

    /// A JSON document; see [`super::json::body`].
    pub(crate) fn json(method: Method, url: Url, body: Vec<u8>) -> Self {
        Self { body, ..Self::new(method, url).header(CONTENT_TYPE, JSON) }
    }

    /// A form or any other body.
    pub(crate) fn with_body(method: Method, url: Url, kind: &'static str, body: Vec<u8>) -> Self {
        let request = Self::new(method, url).header(CONTENT_TYPE, HeaderValue::from_static(kind));
        Self { body, ..request }
    }

    /// Adds a header.
    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// The first value of a header, for tests.
    #[cfg(test)]
    pub(crate) fn header_text(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
    }

    /// Adds a header with a secret value.
    /// # Errors
    /// When the value holds characters that no header may have.
    pub(crate) fn secret(self, name: HeaderName, value: &str) -> Result<Self, SendError> {
        let value = secret_header(value).map_err(|_| {
            SendError::invalid(format!("the value of the header {name} is not valid"))
        })?;
        Ok(self.header(name, value))
    }
}

/// What the receiver said.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// The status code.
    pub(crate) status: u16,
    /// `Content-Type` as sent, or empty.
    pub(crate) content_type: String,
    /// At most 1 MiB.
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Whether the status is 2xx.
    pub(crate) fn success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body as text, at most 64 KiB of it.
    pub(crate) fn text(&self) -> String {
        let cut = &self.body[..self.body.len().min(ERROR_MAX_BYTES)];
        String::from_utf8_lossy(cut).trim_end().to_owned()
    }

    /// Fails unless the status is 2xx; 5xx and `retry` are worth trying again.
    /// # Errors
    /// With the body as detail.
    pub(crate) fn check(&self, retry: &[u16]) -> Result<(), SendError> {
        if self.success() { Ok(()) } else { Err(self.failure(retry, &self.text())) }
    }

    /// The error for a status that is no success.
    pub(crate) fn failure(&self, retry: &[u16], detail: &str) -> SendError {
        let mut what = format!("unexpected status code {}", self.status);
        if !detail.is_empty() {
            what = format!("{what}: {detail}");
        }
        let reason = FailureReason::of_status(self.status);
        if (500..600).contains(&self.status) || retry.contains(&self.status) {
            SendError::unavailable(what, reason)
        } else {
            SendError::refused(what, reason)
        }
    }
}

/// A client with its connections, authorization and headers.
#[derive(Debug)]
pub(crate) struct Client {
    config: HttpConfig,
    deny: Arc<Deny>,
    transport: Mutex<Transport>,
    tokens: Option<Box<Tokens>>,
}

/// Connections and the TLS files they were made from.
#[derive(Debug)]
struct Transport {
    material: Material,
    http: reqwest::Client,
}

impl Client {
    /// Builds the client; TLS files are read here for the first time.
    /// # Errors
    /// On a file that cannot be read or is no certificate or key, and on an unusable proxy.
    pub(crate) fn build(config: &HttpConfig, parts: &Parts) -> Result<Self, BuildError> {
        Self::with(config, &parts.deny, &parts.clock)
    }

    /// The same with the little that it needs.
    pub(super) fn with(
        config: &HttpConfig,
        deny: &Arc<Deny>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, BuildError> {
        let material = Material::read(&config.tls)?;
        let http = build_transport(config, &material, deny)?;
        let tokens = match &config.auth {
            Auth::OAuth2(oauth) => Some(Box::new(Tokens::build(oauth, deny, clock)?)),
            _ => None,
        };
        let transport = Mutex::new(Transport { material, http });
        Ok(Self { config: config.clone(), deny: Arc::clone(deny), transport, tokens })
    }

    /// Sends and reads the answer, whatever its status.
    /// # Errors
    /// On a network failure, without a URL in its text: retryable.
    pub(crate) async fn send(&self, mut request: Request) -> Result<Answer, SendError> {
        let what = format!("{} <redacted>", request.method.as_str().to_lowercase());
        self.deny.check(&request.url).map_err(|error| SendError::unmade(&*what, error))?;
        self.authorize(&mut request).await?;
        self.add_headers(&mut request)?;
        let http = self.http().map_err(|error| SendError::network(&what, error))?;
        let mut span = Span::request(&request.method);
        span.inject(&mut request.headers);
        let answer = exchange(&http, request).await;
        match &answer {
            Ok(answer) => {
                span.set("http.response.status_code", usize::from(answer.status));
                if 400 <= answer.status {
                    span.fail("");
                }
            }
            Err(error) => span.fail(error.to_string()),
        }
        answer.map_err(|error| SendError::network(&what, error))
    }

    /// The connections; new ones when a TLS file has changed.
    fn http(&self) -> Result<reqwest::Client, BuildError> {
        let current = |transport: &Transport| transport.http.clone();
        if !tls::has_files(&self.config.tls) {
            return Ok(current(&self.transport.lock().unwrap_or_else(PoisonError::into_inner)));
        }
        let material = Material::read(&self.config.tls)?;
        let mut transport = self.transport.lock().unwrap_or_else(PoisonError::into_inner);
        if transport.material != material {
            transport.http = build_transport(&self.config, &material, &self.deny)?;
            transport.material = material;
        }
        Ok(current(&transport))
    }

    /// Adds authorization unless the receiver has set its own, which only OAuth2 overrides.
    async fn authorize(&self, request: &mut Request) -> Result<(), SendError> {
        if let Some(tokens) = &self.tokens {
            let value = tokens.authorization().await?;
            request.headers.insert(AUTHORIZATION, value);
            return Ok(());
        }
        if request.headers.contains_key(AUTHORIZATION) {
            return Ok(());
        }
        let value = match &self.config.auth {
            Auth::None | Auth::OAuth2(_) => return Ok(()),
            Auth::Basic { username, password } => {
                basic(&read_secret(username)?, &read_secret(password)?)
            }
            Auth::Header { scheme, credentials } => {
                format!("{scheme} {}", read_secret(credentials)?)
            }
        };
        let value = secret_header(&value)
            .map_err(|_| SendError::invalid("the credentials of http_config are no header"))?;
        request.headers.insert(AUTHORIZATION, value);
        Ok(())
    }

    fn add_headers(&self, request: &mut Request) -> Result<(), SendError> {
        for (name, values) in &self.config.headers {
            let key = HeaderName::from_bytes(name.as_bytes())
                .map_err(|error| SendError::unmade(format!("http header {name}"), error))?;
            for value in values {
                let value = secret_header(&read_secret(value)?)
                    .map_err(|error| SendError::unmade(format!("http header {name}"), error))?;
                request.headers.append(key.clone(), value);
            }
        }
        Ok(())
    }
}

/// The connections that `config` describes, and the headers that each request over them must carry:
/// for clients of other services than receivers.
/// # Errors
/// On files and proxies that cannot be used, and when there is no token to be had.
pub async fn reach(config: &HttpConfig) -> Result<(reqwest::Client, HeaderMap), BuildError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let client = Client::with(config, &Arc::default(), &clock)?;
    let bad = |error: SendError| BuildError::new("http_config", error);
    let nowhere = Url::parse("http://localhost/").map_err(|e| BuildError::new("URL", e))?;
    let mut request = Request::new(Method::GET, nowhere);
    client.authorize(&mut request).await.map_err(bad)?;
    client.add_headers(&mut request).map_err(bad)?;
    Ok((client.http()?, request.headers))
}

/// `Basic …` of a user and a password.
pub(super) fn basic(username: &str, password: &str) -> String {
    use base64::Engine as _;
    let pair = format!("{username}:{password}");
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
}

/// A header value that is never printed.
pub(crate) fn secret_header(text: &str) -> Result<HeaderValue, http::header::InvalidHeaderValue> {
    let mut value = HeaderValue::from_str(text)?;
    value.set_sensitive(true);
    Ok(value)
}

/// The secret now: files are read at each use and trimmed.
/// # Errors
/// Retryable, because a file that is missing now may be there in a moment.
pub(crate) fn read_secret(source: &Source) -> Result<String, SendError> {
    match source {
        Source::None => Ok(String::new()),
        Source::Inline(secret) => Ok(secret.reveal().to_owned()),
        Source::File(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|error| SendError::network(&format!("read {}", path.display()), error))?;
            Ok(text.trim().to_owned())
        }
    }
}

fn build_transport(
    config: &HttpConfig,
    material: &Material,
    deny: &Arc<Deny>,
) -> Result<reqwest::Client, BuildError> {
    let alpn: &[&[u8]] = if config.enable_http2 { &[b"h2", b"http/1.1"] } else { &[b"http/1.1"] };
    let mut tls = tls::client_config(&config.tls, material)?;
    tls.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    let mut builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .user_agent(super::USER_AGENT)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(Duration::from_secs(300))
        .no_gzip()
        .referer(false)
        .redirect(redirects(config.follow_redirects, deny))
        .dns_resolver(deny.resolver());
    builder = if config.enable_http2 {
        builder.http2_keep_alive_interval(Duration::from_secs(60))
    } else {
        builder.http1_only()
    };
    for proxy in proxy::proxies(&config.proxy, &proxy::environment)? {
        builder = builder.proxy(proxy);
    }
    builder.build().map_err(|error| BuildError::new("build the HTTP client", error.without_url()))
}

fn redirects(follow: bool, deny: &Arc<Deny>) -> redirect::Policy {
    if !follow {
        return redirect::Policy::none();
    }
    let deny = Arc::clone(deny);
    redirect::Policy::custom(move |attempt| {
        if attempt.previous().len() > REDIRECTS_MAX {
            return attempt.error("stopped after 10 redirects");
        }
        let was_https = attempt.previous().last().is_some_and(|url| url.scheme() == "https");
        if was_https && attempt.url().scheme() != "https" {
            return attempt.error("a redirect from https to http is not followed");
        }
        match deny.check(attempt.url()) {
            Ok(()) => attempt.follow(),
            Err(error) => attempt.error(error),
        }
    })
}

/// Errors name no URL.
async fn exchange(http: &reqwest::Client, request: Request) -> Result<Answer, reqwest::Error> {
    let sent = http.request(request.method, request.url).headers(request.headers);
    let response = sent.body(request.body).send().await.map_err(reqwest::Error::without_url)?;
    read(response).await.map_err(reqwest::Error::without_url)
}

/// Reads what is kept of the answer; a longer one costs its connection.
async fn read(mut response: reqwest::Response) -> Result<Answer, reqwest::Error> {
    let status = response.status();
    let content_type = response.headers().get(CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok()).unwrap_or("").to_owned();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        let room = BODY_MAX_BYTES - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if room <= chunk.len() {
            break;
        }
    }
    Ok(Answer { status: status.as_u16(), content_type, body })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Auth, Source};
    use crate::notify::testing::*;

    /// A webhook at `url` with these lines under `http_config`.
    fn webhook(url: &str, http: &str) -> String {
        let lines: String = http.lines().map(|line| format!("    {line}\n")).collect();
        format!("webhook_configs:\n- url: {url}\n  http_config:\n{lines}")
    }

    async fn seen_with(http: &str) -> Seen {
        let server = Server::start([Reply::text(200, "")]).await;
        request_of(&notifier(&webhook(&server.url("/"), http)), &firing(), &server).await
    }

    #[tokio::test]
    async fn authorization_and_headers_are_added() {
        let seen = seen_with("basic_auth:\n  username: u\n  password: p").await;
        assert_eq!(seen.header("authorization"), "Basic dTpw");
        let seen = seen_with("authorization:\n  type: Token\n  credentials: abc").await;
        assert_eq!(seen.header("authorization"), "Token abc");
        let seen = seen_with("bearer_token: abc").await;
        assert_eq!(seen.header("authorization"), "Bearer abc");
        let seen =
            seen_with("http_headers:\n  X-Many:\n    values: [a, b]\n    secrets: [c]").await;
        assert_eq!(seen.headers("x-many"), ["a", "b", "c"]);
        assert_eq!(seen.header("accept-encoding"), "");
    }

    #[tokio::test]
    async fn others_reach_their_service_with_the_same_configuration() {
        let server = Server::start([Reply::text(200, "")]).await;
        let mut config = crate::config::http::HttpConfig::default();
        let credentials = Source::Inline("abc".into());
        config.auth = Auth::Header { scheme: "Bearer".to_owned(), credentials };
        let (client, headers) = super::reach(&config).await.unwrap();
        client.get(server.url("/")).headers(headers).send().await.unwrap();
        assert_eq!(server.only().header("authorization"), "Bearer abc");
    }

    #[tokio::test]
    async fn a_secret_file_is_read_at_each_request() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "one\n").unwrap();
        let server = Server::start([Reply::text(200, "")]).await;
        let http = format!("authorization:\n  credentials_file: {}", file.path().display());
        let notifier = notifier(&webhook(&server.url("/"), &http));
        send(&notifier, &firing()).await.unwrap();
        std::fs::write(file.path(), "two\n").unwrap();
        send(&notifier, &firing()).await.unwrap();
        let all: Vec<String> =
            server.seen().iter().map(|seen| seen.header("authorization").to_owned()).collect();
        assert_eq!(all, ["Bearer one", "Bearer two"]);
    }

    #[tokio::test]
    async fn a_found_page_is_fetched_and_a_moved_service_gets_the_document() {
        for (status, method, has_body) in
            [(302, "GET", false), (303, "GET", false), (307, "POST", true), (308, "POST", true)]
        {
            let server =
                Server::start([Reply::redirect(status, "/new"), Reply::text(200, "")]).await;
            send(&server.notifier(&webhook("URL", "bearer_token: abc")), &firing()).await.unwrap();
            let second = &server.seen()[1];
            assert_eq!(second.line, format!("{method} /new HTTP/1.1"));
            assert_eq!(
                (second.body.is_empty(), second.header("authorization")),
                (!has_body, "Bearer abc")
            );
        }
    }

    #[tokio::test]
    async fn another_host_does_not_get_the_credentials() {
        let other = Server::start([Reply::text(200, "")]).await;
        let server = Server::start([Reply::redirect(307, &other.named_url("/"))]).await;
        send(&server.notifier(&webhook("URL", "bearer_token: abc")), &firing()).await.unwrap();
        assert_eq!(other.only().header("authorization"), "");
    }

    #[tokio::test]
    async fn no_redirect_leads_away_from_https() {
        let plain = Server::start([Reply::text(200, "")]).await;
        let authority = authority("127.0.0.1", false);
        let server =
            Server::start_tls([Reply::redirect(307, &plain.url("/"))], authority.server).await;
        let http = format!("tls_config:\n  ca: |\n{}", indented(&authority.ca));
        let error = send(&server.notifier(&webhook("URL", &http)), &firing()).await.unwrap_err();
        let text = crate::notify::report(&error);
        assert!(text.contains("from https to http is not followed"), "{text}");
        assert_eq!(plain.seen().len(), 0);
    }

    #[tokio::test]
    async fn redirects_end() {
        let text =
            failure(&webhook("URL", "follow_redirects: false"), Reply::redirect(302, "/")).await;
        assert_eq!(text, "final other: unexpected status code 302");
        let text =
            failure(&webhook("URL", "follow_redirects: true"), Reply::redirect(307, "/")).await;
        assert!(
            text.starts_with("retry other: post <redacted>: ") && text.contains("10 redirects"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn a_huge_answer_is_not_kept() {
        let text =
            failure("webhook_configs:\n- url: URL", Reply::text(400, &"x".repeat(3 << 20))).await;
        assert!(text.len() < 70_000, "{}", text.len());
    }

    #[tokio::test]
    async fn an_answer_cut_off_is_a_network_failure() {
        let text = failure("webhook_configs:\n- url: URL", Reply::cut_off()).await;
        assert!(text.starts_with("retry other: post <redacted>: "), "{text}");
    }

    #[tokio::test]
    async fn a_proxy_is_asked_in_the_receivers_place() {
        let proxy = Server::start([Reply::text(200, "")]).await;
        let http = format!("proxy_url: {}", proxy.url(""));
        let notifier = notifier(&webhook("http://hooks.example.org/x", &http));
        send(&notifier, &firing()).await.unwrap();
        assert_eq!(proxy.only().line, "POST http://hooks.example.org/x HTTP/1.1");
    }

    #[tokio::test]
    async fn a_tunnel_is_asked_for_with_its_own_headers() {
        let authority = authority("hooks.test", false);
        let server = Server::start_tls([Reply::text(200, "")], authority.server).await;
        let tunnel = Tunnel::start(&server).await;
        let http = format!(
            "proxy_url: {}\nproxy_connect_header:\n  X-Team: [a, b]\nbearer_token: abc\ntls_config:\n  ca: |\n{}",
            tunnel.url(),
            indented(&authority.ca)
        );
        send(&notifier(&webhook("https://hooks.test/x", &http)), &firing()).await.unwrap();
        let asked = tunnel.asked();
        assert_eq!(asked.len(), 1, "{asked:?}");
        assert_eq!(asked[0].line, "CONNECT hooks.test:443 HTTP/1.1");
        assert_eq!(asked[0].headers("x-team"), ["a", "b"]);
        assert_eq!(asked[0].header("authorization"), "");
        let seen = server.only();
        assert_eq!((seen.line.as_str(), seen.header("x-team")), ("POST /x HTTP/1.1", ""));
        assert_eq!(seen.header("authorization"), "Bearer abc");
    }

    #[tokio::test]
    async fn exceptions_go_directly() {
        let server = Server::start([Reply::text(200, "")]).await;
        let proxy = Server::start([Reply::text(500, "")]).await;
        let http = format!("proxy_url: {}\nno_proxy: example.org", proxy.url(""));
        send(&server.notifier(&webhook("URL", &http)), &firing()).await.unwrap();
        assert_eq!((server.seen().len(), proxy.seen().len()), (1, 0));
    }

    #[tokio::test]
    async fn an_oauth2_token_is_asked_for_once() {
        let token = r#"{"access_token":"t1","token_type":"bearer","expires_in":3600}"#;
        let tokens = Server::start([Reply::text(401, ""), Reply::json(200, token)]).await;
        let server = Server::start([Reply::text(200, "")]).await;
        let http = format!(
            "oauth2:\n  client_id: 'my id'\n  client_secret: s\n  token_url: {}\n  scopes: [a, b]\n  endpoint_params:\n    x: '1'",
            tokens.url("/token")
        );
        let notifier = server.notifier(&webhook("URL", &http));
        send(&notifier, &firing()).await.unwrap();
        send(&notifier, &firing()).await.unwrap();
        let all = server.seen();
        assert_eq!((all.len(), all[1].header("authorization")), (2, "Bearer t1"));
        let asked = tokens.seen();
        assert_eq!(asked.len(), 2, "{asked:?}");
        assert_eq!(asked[0].header("authorization"), "Basic bXkraWQ6cw==");
        assert_eq!(asked[0].body, "grant_type=client_credentials&scope=a+b&x=1");
        assert!(asked[1].body.ends_with("&client_id=my+id&client_secret=s"), "{asked:?}");
    }

    #[tokio::test]
    async fn an_assertion_is_signed() {
        let tokens = Server::start([Reply::json(200, r#"{"access_token":"t1"}"#)]).await;
        let server = Server::start([Reply::text(200, "")]).await;
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), include_str!("golden/test-only-rsa.pem")).unwrap();
        let http = format!(
            "oauth2:\n  client_id: me\n  grant_type: urn:ietf:params:oauth:grant-type:jwt-bearer\n  client_certificate_key_id: k1\n  client_certificate_key_file: {}\n  token_url: {}",
            file.path().display(),
            tokens.url("/token")
        );
        send(&server.notifier(&webhook("URL", &http)), &firing()).await.unwrap();
        assert_eq!(server.only().header("authorization"), "Bearer t1");
        let body = tokens.only().body;
        let (_, assertion) = body.split_once("&assertion=").unwrap();
        assert_eq!(assertion.split('.').count(), 3, "{body}");
    }

    fn indented(text: &str) -> String {
        text.lines().map(|line| format!("    {line}\n")).collect()
    }

    #[tokio::test]
    async fn an_unknown_certificate_is_a_network_failure() {
        let server =
            Server::start_tls([Reply::text(200, "")], authority("127.0.0.1", false).server).await;
        let error =
            send(&server.notifier("webhook_configs:\n- url: URL"), &firing()).await.unwrap_err();
        let text = crate::notify::report(&error);
        assert!(
            error.retry() && text.contains("certificate") && !text.contains("SECRET"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn a_configured_authority_or_none_is_trusted() {
        for (name, more) in [("127.0.0.1", ""), ("hooks.test", "  server_name: hooks.test\n")] {
            let authority = authority(name, false);
            let http = format!("tls_config:\n  ca: |\n{}{more}", indented(&authority.ca));
            let server = Server::start_tls([Reply::text(200, "")], authority.server).await;
            send(&server.notifier(&webhook("URL", &http)), &firing()).await.unwrap();
        }
        let server =
            Server::start_tls([Reply::text(200, "")], authority("other", false).server).await;
        let http = "tls_config:\n  insecure_skip_verify: true";
        send(&server.notifier(&webhook("URL", http)), &firing()).await.unwrap();
    }

    /// Which version a server that offers both is spoken to in.
    async fn version(http: &str) -> http::Version {
        use hyper::body::Incoming;
        use hyper_util::rt::{TokioExecutor, TokioIo};
        let mut tls = authority("127.0.0.1", false).server;
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(tls));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}/", listener.local_addr().unwrap());
        let (tell, mut told) = tokio::sync::mpsc::channel(1);
        tokio::spawn(async move {
            let stream = acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
            let answer = hyper::service::service_fn(move |request: http::Request<Incoming>| {
                let (tell, version) = (tell.clone(), request.version());
                async move {
                    tell.send(version).await.unwrap();
                    Ok::<_, std::convert::Infallible>(http::Response::new(String::new()))
                }
            });
            let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
            builder.serve_connection(TokioIo::new(stream), answer).await
        });
        let http = format!("tls_config:\n  insecure_skip_verify: true\n{http}");
        send(&notifier(&webhook(&url, &http)), &firing()).await.unwrap();
        told.recv().await.unwrap()
    }

    #[tokio::test]
    async fn a_server_that_speaks_http_2_is_spoken_to_in_it() {
        assert_eq!(version("").await, http::Version::HTTP_2);
        assert_eq!(version("enable_http2: false").await, http::Version::HTTP_11);
    }

    #[tokio::test]
    async fn a_client_certificate_is_shown_and_a_changed_one_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).display().to_string();
        let (right, wrong) = (authority("127.0.0.1", true), authority("127.0.0.1", true));
        let write = |own: &Authority| {
            std::fs::write(path("cert.pem"), &own.ca).unwrap();
            std::fs::write(path("key.pem"), own.key.serialize_pem()).unwrap();
        };
        write(&wrong);
        let http = format!(
            "tls_config:\n  insecure_skip_verify: true\n  cert_file: {}\n  key_file: {}",
            path("cert.pem"),
            path("key.pem")
        );
        let server = Server::start_tls([Reply::text(200, "")], right.server.clone()).await;
        let notifier = server.notifier(&webhook("URL", &http));
        send(&notifier, &firing()).await.unwrap_err();
        write(&right);
        send(&notifier, &firing()).await.unwrap();
    }
}
