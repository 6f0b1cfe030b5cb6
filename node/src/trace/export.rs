//! OTLP's two ways over the network, both through the HTTP client that receivers have: a POST of the message, or a call of
//! gRPC, which is a POST by HTTP/2 whose answer ends with trailers.

use std::io::Write as _;
use std::time::Duration;

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use http_body_util::BodyExt as _;
use prost::Message as _;
use tracing::warn;
use url::Url;

use super::otlp;
use crate::config::{Tracing, http::ProxyConfig, http::Source};
use crate::notify::{BuildError, http::secret_header, proxy, tls};

/// One attempt, unless the block says otherwise.
const TIMEOUT: Duration = Duration::from_secs(10);
const CALL: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
/// As much of an answer is looked at.
const ANSWER_MAX_BYTES: usize = 64 << 10;

/// A receiver of spans, and how to talk to it.
pub(super) struct Exporter {
    http: reqwest::Client,
    url: Url,
    headers: HeaderMap,
    is_grpc: bool,
    gzip: bool,
}

/// Why spans did not arrive.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExportError {
    /// No connection, or it broke.
    #[error("the receiver of spans cannot be reached")]
    Network(#[source] reqwest::Error),
    /// HTTP.
    #[error("the receiver of spans answered {0}")]
    Status(u16),
    /// gRPC: code and text.
    #[error("the receiver of spans answered code {0}: {1}")]
    Code(u32, String),
}

impl ExportError {
    /// Whether the same may pass later.
    pub(super) fn retry(&self) -> bool {
        match self {
            Self::Network(_) => true,
            Self::Status(status) => matches!(status, 429 | 502 | 503 | 504),
            Self::Code(code, _) => matches!(code, 1 | 4 | 8 | 10 | 11 | 14 | 15),
        }
    }
}

impl Exporter {
    /// Reads certificates and headers.
    pub(super) fn build(config: &Tracing) -> Result<Self, BuildError> {
        let is_grpc = config.client_type == "grpc";
        let scheme = if config.insecure { "http" } else { "https" };
        let path = if is_grpc { CALL } else { "/v1/traces" };
        let url = Url::parse(&format!("{scheme}://{}{path}", config.endpoint))
            .map_err(|error| BuildError::new("tracing endpoint", error))?;
        let timeout = if config.timeout.is_zero() { TIMEOUT } else { config.timeout };
        let mut headers = extra_headers(config)?;
        let kind = if is_grpc { "application/grpc" } else { "application/x-protobuf" };
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        let gzip = HeaderValue::from_static("gzip");
        if is_grpc {
            headers.insert(header::TE, HeaderValue::from_static("trailers"));
            let limit = HeaderValue::try_from(format!("{}m", timeout.as_millis()));
            headers.extend(limit.ok().map(|limit| (GRPC_TIMEOUT, limit)));
        }
        if config.gzip {
            headers.insert(if is_grpc { GRPC_ENCODING } else { header::CONTENT_ENCODING }, gzip);
        }
        let http = client(config, is_grpc, timeout)?;
        Ok(Self { http, url, headers, is_grpc, gzip: config.gzip })
    }

    /// The bytes that go over the network.
    pub(super) fn encode(&self, request: &otlp::Request) -> Bytes {
        let mut message = request.encode_to_vec();
        if self.gzip {
            message = compress(&message).expect("memory takes everything");
        }
        if !self.is_grpc {
            return message.into();
        }
        let mut frame = vec![u8::from(self.gzip)];
        frame.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
        frame.extend_from_slice(&message);
        frame.into()
    }

    /// One attempt.
    pub(super) async fn send(&self, message: Bytes) -> Result<(), ExportError> {
        let request = self.http.post(self.url.clone()).headers(self.headers.clone()).body(message);
        let network = |error: reqwest::Error| ExportError::Network(error.without_url());
        let response = request.send().await.map_err(network)?;
        let status = response.status();
        if !status.is_success() {
            return Err(ExportError::Status(status.as_u16()));
        }
        let (head, mut body) = http::Response::<reqwest::Body>::from(response).into_parts();
        let mut outcome = grpc_outcome(&head.headers);
        let mut answer = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(network)?;
            if let Some(trailers) = frame.trailers_ref() {
                outcome = outcome.or(grpc_outcome(trailers));
            } else if let Some(data) = frame.data_ref() {
                let room = ANSWER_MAX_BYTES.saturating_sub(answer.len());
                answer.extend_from_slice(&data[..data.len().min(room)]);
            }
        }
        if self.is_grpc {
            let missing = || (2, "no status".to_owned());
            let (code, text) = outcome.unwrap_or_else(missing);
            if code != 0 {
                return Err(ExportError::Code(code, text));
            }
        }
        complain(answer.get(if self.is_grpc { 5.. } else { 0.. }).unwrap_or_default());
        Ok(())
    }
}

const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");

fn client(
    config: &Tracing,
    is_grpc: bool,
    timeout: Duration,
) -> Result<reqwest::Client, BuildError> {
    let material = tls::Material::read(&config.tls)?;
    let mut tls = tls::client_config(&config.tls, &material)?;
    tls.alpn_protocols = vec![if is_grpc { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
    let mut builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .user_agent(crate::notify::USER_AGENT)
        .timeout(timeout)
        .no_gzip()
        .referer(false)
        .redirect(reqwest::redirect::Policy::none());
    if is_grpc {
        builder = builder.http2_prior_knowledge();
    } else {
        builder = builder.http1_only();
        let from_environment = ProxyConfig { from_environment: true, ..ProxyConfig::default() };
        for proxy in proxy::proxies(&from_environment, &proxy::environment)? {
            builder = builder.proxy(proxy);
        }
    }
    builder.build().map_err(|error| BuildError::new("tracing", error.without_url()))
}

/// The first value of each configured header; upstream allows no files here.
fn extra_headers(config: &Tracing) -> Result<HeaderMap, BuildError> {
    let mut headers = HeaderMap::new();
    for (name, values) in &config.headers {
        let bad = |error: http::Error| BuildError::new(format!("tracing header {name}"), error);
        let key = HeaderName::try_from(name).map_err(|error| bad(error.into()))?;
        match values.first() {
            Some(Source::Inline(text)) => {
                let value = secret_header(text.reveal()).map_err(|error| bad(error.into()))?;
                headers.insert(key, value);
            }
            Some(Source::File(_)) => {
                let text = "header files are not supported for tracing configuration";
                return Err(BuildError::plain(text));
            }
            Some(Source::None) | None => {}
        }
    }
    Ok(headers)
}

fn compress(message: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(message)?;
    gzip.finish()
}

/// `grpc-status` and `grpc-message`, in the trailers or, if there is nothing else, in the head.
fn grpc_outcome(headers: &HeaderMap) -> Option<(u32, String)> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let code = text("grpc-status")?.parse().unwrap_or(2);
    let message = percent_encoding::percent_decode_str(text("grpc-message").unwrap_or_default());
    Some((code, message.decode_utf8_lossy().into_owned()))
}

/// Says what the receiver did not take of what it took.
fn complain(answer: &[u8]) {
    let partly = otlp::Response::decode(answer).ok().and_then(|answer| answer.partial_success);
    if let Some(part) = partly.filter(|part| part.rejected_spans > 0) {
        let (spans, why) = (part.rejected_spans, part.error_message.as_str());
        warn!(component = "tracing", spans, why, "the receiver refused some spans");
    }
}
