//! What the receivers' tests share: a real HTTP server that answers from a script and remembers
//! what it was asked, and the sample group of the specification.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::{CertifiedKey, KeyPair};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tocsin_service::clock::Clock;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::{Batch, Context, Deny, Notifier, Parts, SendError, Sent, Settings};
use crate::config::Integration;
use crate::message::{Alert, AlertStatus, Kv, Templates};
use crate::options::Features;

/// One request as it came in.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) line: String,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Seen {
    /// The first value of a header, or empty.
    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }

    /// All values of a header.
    pub(crate) fn headers(&self, name: &str) -> Vec<&str> {
        let same = |(known, _): &&(String, String)| known.eq_ignore_ascii_case(name);
        self.headers.iter().filter(same).map(|(_, value)| value.as_str()).collect()
    }

    /// All of the request that does not change from run to run.
    pub(crate) fn dump(&self) -> String {
        let skipped = ["host", "content-length", "accept", "user-agent"];
        let mut headers: Vec<String> = self
            .headers
            .iter()
            .filter(|(name, _)| !skipped.contains(&name.to_lowercase().as_str()))
            .map(|(name, value)| format!("{}: {value}\n", name.to_lowercase()))
            .collect();
        headers.sort();
        format!("{}\n{}\n{}", self.line, headers.concat(), self.body)
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// What the server says next.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
    hang: bool,
    /// Bytes that are announced and never come.
    missing: usize,
    /// Whether the connection stays open without them.
    stalls: bool,
}

impl Reply {
    /// A status with a body of plain text.
    pub(crate) fn text(status: u16, body: &str) -> Self {
        let headers = vec![("Content-Type", "text/plain".to_owned())];
        Self { status, headers, body: body.to_owned(), hang: false, missing: 0, stalls: false }
    }

    /// A status with a JSON body.
    pub(crate) fn json(status: u16, body: &str) -> Self {
        let headers = vec![("Content-Type", "application/json".to_owned())];
        Self { headers, ..Self::text(status, body) }
    }

    /// A redirect.
    pub(crate) fn redirect(status: u16, to: &str) -> Self {
        Self { headers: vec![("Location", to.to_owned())], ..Self::text(status, "") }
    }

    /// Ends the connection before the announced end of the body.
    pub(crate) fn cut_off() -> Self {
        Self { missing: 10, ..Self::text(200, "some") }
    }

    /// The same answer, of which the end is missing.
    pub(crate) fn without_end(self) -> Self {
        Self { missing: 10, ..self }
    }

    /// The same answer, whose end does not come.
    pub(crate) fn stalled(self) -> Self {
        Self { stalls: true, ..self.without_end() }
    }

    /// Takes the request and never answers.
    pub(crate) fn hang() -> Self {
        Self { hang: true, ..Self::text(200, "") }
    }
}

/// A server on a free port of 127.0.0.1. After the script it repeats the last answer.
#[derive(Clone)]
pub(crate) struct Server {
    port: u16,
    scheme: &'static str,
    seen: Arc<Mutex<Vec<Seen>>>,
    replies: Arc<Mutex<VecDeque<Reply>>>,
}

impl Server {
    /// Plain HTTP.
    pub(crate) async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        Self::listen(replies, None).await
    }

    /// The same with TLS.
    pub(crate) async fn start_tls(
        replies: impl IntoIterator<Item = Reply>,
        tls: rustls::ServerConfig,
    ) -> Self {
        Self::listen(replies, Some(TlsAcceptor::from(Arc::new(tls)))).await
    }

    async fn listen(replies: impl IntoIterator<Item = Reply>, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            port: listener.local_addr().unwrap().port(),
            scheme: if tls.is_some() { "https" } else { "http" },
            seen: Arc::default(),
            replies: Arc::new(Mutex::new(replies.into_iter().collect())),
        };
        let own = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (own, tls) = (own.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => own.serve(stream).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                own.serve(stream).await;
                            }
                        }
                    }
                });
            }
        });
        server
    }

    /// The URL of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}://127.0.0.1:{}{path}", self.scheme, self.port)
    }

    /// The URL of a path by the name `localhost`.
    pub(crate) fn named_url(&self, path: &str) -> String {
        format!("{}://localhost:{}{path}", self.scheme, self.port)
    }

    /// A notifier of a configuration in which `URL` stands for this server's.
    pub(crate) fn notifier(&self, config: &str) -> Notifier {
        notifier(&config.replace("URL", &self.url("/SECRET")))
    }

    /// All requests so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The only request so far.
    #[track_caller]
    pub(crate) fn only(&self) -> Seen {
        let mut seen = self.seen();
        assert_eq!(seen.len(), 1, "{seen:#?}");
        seen.remove(0)
    }

    async fn serve(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
        let mut buffer = Vec::new();
        while let Some(seen) = read_request(&mut stream, &mut buffer).await {
            self.seen.lock().unwrap().push(seen);
            let reply = {
                let mut replies = self.replies.lock().unwrap();
                let next = replies.pop_front().expect("a script has at least one answer");
                if replies.is_empty() {
                    replies.push_back(next.clone());
                }
                next
            };
            if reply.hang {
                std::future::pending::<()>().await;
            }
            let headers: String =
                reply.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            let answer = format!(
                "HTTP/1.1 {} X\r\n{headers}Content-Length: {}\r\n\r\n{}",
                reply.status,
                reply.body.len() + reply.missing,
                reply.body
            );
            let written = stream.write_all(answer.as_bytes()).await;
            if reply.stalls {
                std::future::pending::<()>().await;
            }
            if written.is_err() || reply.missing > 0 {
                return;
            }
        }
    }
}

/// A proxy that connects everybody to one server, whatever they ask for, and remembers what that was.
pub(crate) struct Tunnel {
    port: u16,
    asked: Arc<Mutex<Vec<Seen>>>,
}

impl Tunnel {
    /// A tunnel to `server`.
    pub(crate) async fn start(server: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let (heard, to) = (Arc::clone(&asked), server.port);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let heard = Arc::clone(&heard);
                tokio::spawn(async move {
                    let Some(seen) = read_request(&mut stream, &mut Vec::new()).await else {
                        return;
                    };
                    heard.lock().unwrap().push(seen);
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
                    let mut server = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut stream, &mut server).await;
                });
            }
        });
        Self { port, asked }
    }

    /// For `proxy_url`.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// All that was asked for.
    pub(crate) fn asked(&self) -> Vec<Seen> {
        self.asked.lock().unwrap().clone()
    }
}

/// A certificate that signs itself, and a server that shows it.
pub(crate) struct Authority {
    pub(crate) ca: String,
    pub(crate) key: KeyPair,
    pub(crate) server: rustls::ServerConfig,
}

/// A server whose certificate signs itself; with `clients` it wants the same from them.
pub(crate) fn authority(name: &str, clients: bool) -> Authority {
    let CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = if clients {
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone()).unwrap();
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
        builder.with_client_cert_verifier(verifier.unwrap())
    } else {
        builder.with_no_client_auth()
    };
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let chain: Vec<CertificateDer<'static>> = vec![cert.der().clone()];
    let server = builder.with_single_cert(chain, key).unwrap();
    Authority { ca: cert.pem(), key: signing_key, server }
}

async fn read_request(stream: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>) -> Option<Seen> {
    let end = loop {
        if let Some(at) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
    let mut lines = head.trim_end().split("\r\n");
    let line = lines.next()?.to_owned();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let mut seen = Seen { line, headers, body: String::new() };
    let length: usize = seen.header("content-length").parse().unwrap_or(0);
    while buffer.len() < end + length {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    seen.body = String::from_utf8_lossy(&buffer[end..end + length]).into_owned();
    buffer.drain(..end + length);
    Some(seen)
}

/// The moment at which all attempts of the tests begin.
pub(crate) const NOW: &str = "2024-05-01T10:05:00Z";

struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> jiff::Timestamp {
        NOW.parse().unwrap()
    }
}

/// The default templates and a standing clock.
pub(crate) fn parts() -> Parts {
    Parts {
        templates: Arc::new(Templates::load(&[]).unwrap()),
        clock: Arc::new(FixedClock),
        external_url: "http://am.example.org:9093".into(),
        deny: Deny::parse([]).unwrap(),
    }
}

fn kv(pairs: &[(&str, &str)]) -> Kv {
    pairs.iter().copied().collect()
}

/// One alert of the sample group.
pub(crate) fn alert(instance: &str, resolved: bool) -> Alert {
    let (fingerprint, generator) = match instance {
        "a:9100" => ("22b692ed704ee014", "http://prom.example.org/g?a=1&b=2"),
        _ => ("ad1262b589e500a1", "http://prom.example.org/g2"),
    };
    let ends_at = resolved.then(|| "2024-05-01T10:04:00Z".parse().unwrap());
    Alert {
        status: if resolved { AlertStatus::Resolved } else { AlertStatus::Firing },
        labels: kv(&[("alertname", "DiskFull"), ("instance", instance), ("severity", "critical")]),
        annotations: kv(&[("summary", "Disk is full")]),
        starts_at: "2024-05-01T10:00:00Z".parse().unwrap(),
        ends_at,
        generator_url: generator.to_owned(),
        fingerprint: fingerprint.to_owned(),
    }
}

/// The sample group of receivers.md 1.9.
pub(crate) fn context() -> Context {
    let key = r#"{}:{alertname="DiskFull"}"#.to_owned();
    Context::new(key, kv(&[("alertname", "DiskFull")]), Kv::default())
}

/// Both alerts of the sample firing.
pub(crate) fn firing() -> Batch {
    let alerts = vec![alert("a:9100", false), alert("b:9100", false)];
    Batch { alerts, reason: "first notification", receiver_data: Default::default() }
}

/// Both alerts of the sample resolved.
pub(crate) fn resolved() -> Batch {
    let alerts = vec![alert("a:9100", true), alert("b:9100", true)];
    Batch { alerts, reason: "all alerts resolved", receiver_data: Default::default() }
}

/// The first integration of a receiver `all`, whose keys are `config`.
pub(crate) fn notifier(config: &str) -> Notifier {
    notifier_with("", config)
}

/// The same under a `global` section.
pub(crate) fn notifier_with(global: &str, config: &str) -> Notifier {
    Notifier::build("all", &integration(global, config), &parts()).unwrap()
}

/// The settings of the first integration of a receiver whose keys are `config`.
pub(crate) fn settings(config: &str) -> Settings {
    integration("", config).config
}

fn integration(global: &str, config: &str) -> Integration {
    let indented = |text: &str| text.lines().map(|line| format!("  {line}\n")).collect::<String>();
    let global =
        if global.is_empty() { String::new() } else { format!("global:\n{}", indented(global)) };
    let receiver = indented(config);
    let text = format!("{global}route:\n  receiver: all\nreceivers:\n- name: all\n{receiver}");
    let config = crate::config::check(&text, "alertmanager.yml", Features::default());
    let config = config.unwrap_or_else(|mistakes| panic!("{mistakes}\n{text}"));
    config.receivers[0].integrations[0].clone()
}

/// One attempt with the sample group, bounded so that a hanging test fails.
pub(crate) async fn send(notifier: &Notifier, batch: &Batch) -> Result<Sent, SendError> {
    let context = context();
    let work = notifier.send(&context, batch);
    tokio::time::timeout(Duration::from_secs(20), work).await.expect("the attempt ends")
}

/// Sends the sample and gives the only request that came in.
pub(crate) async fn request_of(notifier: &Notifier, batch: &Batch, server: &Server) -> Seen {
    send(notifier, batch).await.unwrap();
    server.only()
}

/// How an attempt against `reply` fails: `retry reason: text` or `final reason: text`.
pub(crate) async fn failure(config: &str, reply: Reply) -> String {
    let server = Server::start([reply]).await;
    let error = send(&server.notifier(config), &firing()).await.unwrap_err();
    let retry = if error.retry() { "retry" } else { "final" };
    format!("{retry} {}: {}", error.reason().as_str(), super::report(&error))
}

/// Which of these statuses are tried again, as a list; all are failures.
pub(crate) async fn retried(config: &str) -> Vec<u16> {
    let mut retried = Vec::new();
    for status in [300, 304, 400, 401, 403, 404, 408, 413, 429, 500, 502, 503, 504] {
        if failure(config, Reply::text(status, "")).await.starts_with("retry") {
            retried.push(status);
        }
    }
    retried
}

/// What a connection failure says: nobody listens at the URL, which must not be in the text.
pub(crate) async fn refused_connection(config: &str) -> String {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = closed.local_addr().unwrap().port();
    drop(closed);
    let url = format!("http://127.0.0.1:{port}/SECRET");
    let error = send(&notifier(&config.replace("URL", &url)), &firing()).await.unwrap_err();
    let text = super::report(&error);
    assert!(!text.contains("SECRET") && !text.contains("http://"), "{text}");
    assert_eq!(error.reason().as_str(), "other");
    if error.retry() { "retry".to_owned() } else { "final".to_owned() }
}
