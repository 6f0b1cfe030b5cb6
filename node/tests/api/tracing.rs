//! Spans arrive at a receiver of OTLP by both protocols, and belong together. What arrives is taken apart here by the numbers
//! of opentelemetry-proto, not by the node's own messages.

use std::{
    collections::BTreeMap,
    io::Read as _,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, Version};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::{
    client::{get, post},
    node::Node,
};

const GRPC: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// A field of a protobuf message.
#[derive(Debug, Clone, PartialEq)]
enum Field {
    Number(u64),
    Bytes(Vec<u8>),
}

/// The fields of a message in order, with their numbers.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Field)> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = bytes[0];
            *bytes = &bytes[1..];
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                return value;
            }
        }
    }
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let field = match tag & 7 {
            0 => Field::Number(varint(&mut bytes)),
            1 => {
                let (number, rest) = bytes.split_at(8);
                bytes = rest;
                Field::Number(u64::from_le_bytes(number.try_into().unwrap()))
            }
            2 => {
                let length = usize::try_from(varint(&mut bytes)).unwrap();
                let (text, rest) = bytes.split_at(length);
                bytes = rest;
                Field::Bytes(text.to_vec())
            }
            other => panic!("wire type {other}"),
        };
        found.push((tag >> 3, field));
    }
    found
}

/// All messages below `bytes` on that path of field numbers.
fn below(bytes: &[u8], path: &[u64]) -> Vec<Vec<u8>> {
    let Some((first, rest)) = path.split_first() else { return vec![bytes.to_vec()] };
    let parts = fields(bytes).into_iter().filter_map(|(number, field)| match field {
        Field::Bytes(text) if number == *first => Some(text),
        _ => None,
    });
    parts.flat_map(|part| below(&part, rest)).collect()
}

fn number(bytes: &[u8], wanted: u64) -> u64 {
    fields(bytes)
        .into_iter()
        .find_map(|(number, field)| match field {
            Field::Number(value) if number == wanted => Some(value),
            _ => None,
        })
        .unwrap_or(0)
}

fn text(bytes: &[u8], path: &[u64]) -> String {
    below(bytes, path)
        .first()
        .map(|text| String::from_utf8(text.clone()).unwrap())
        .unwrap_or_default()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attributes(message: &[u8], place: u64) -> BTreeMap<String, String> {
    let pairs = below(message, &[place]).into_iter().map(|pair| {
        let value = below(&pair, &[2]).remove(0);
        let shown = match &fields(&value)[..] {
            [(1, Field::Bytes(text))] => String::from_utf8(text.clone()).unwrap(),
            [(2, Field::Number(truth))] => (*truth == 1).to_string(),
            [(3, Field::Number(number))] => number.to_string(),
            [(5, Field::Bytes(list))] => {
                let items = below(list, &[1, 1]).into_iter();
                items.map(|item| String::from_utf8(item).unwrap()).collect::<Vec<_>>().join(",")
            }
            // prost leaves out what is zero.
            [] => String::new(),
            other => panic!("{other:?}"),
        };
        (text(&pair, &[1]), shown)
    });
    pairs.collect()
}

/// A span as it arrived.
#[derive(Debug, Clone)]
struct Span {
    trace: String,
    id: String,
    parent: String,
    name: String,
    kind: u64,
    attributes: BTreeMap<String, String>,
    /// Code and text.
    status: Option<(u64, String)>,
    state: String,
}

impl Span {
    fn read(message: &[u8]) -> Self {
        let (start, end) = (number(message, 7), number(message, 8));
        assert!(1_600_000_000_000_000_000 < start && start <= end, "{start} {end}");
        let first = |place| below(message, &[place]).first().map(|id| hex(id)).unwrap_or_default();
        let status = below(message, &[15]).first().cloned();
        Self {
            trace: first(1),
            id: first(2),
            parent: first(4),
            name: text(message, &[5]),
            kind: number(message, 6),
            attributes: attributes(message, 9),
            status: status.map(|status| (number(&status, 3), text(&status, &[2]))),
            state: text(message, &[3]),
        }
    }
}

/// What came in.
struct Seen {
    path: String,
    version: Version,
    headers: HeaderMap,
    body: Vec<u8>,
}

/// A receiver of OTLP by both protocols, and of webhooks on every other path.
struct Receiver {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Receiver {
    async fn start(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let heard = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (tls, heard) = (tls.clone(), Arc::clone(&heard));
                tokio::spawn(async move {
                    match tls {
                        None => serve(socket, heard).await,
                        Some(tls) => serve(tls.accept(socket).await.unwrap(), heard).await,
                    }
                });
            }
        });
        Self { address, seen }
    }

    fn spans(&self) -> Vec<Span> {
        let seen = self.seen.lock().unwrap();
        let calls = seen.iter().filter(|call| [GRPC, "/v1/traces"].contains(&call.path.as_str()));
        calls
            .flat_map(|call| {
                let is_grpc = call.path == GRPC;
                let (packed, body) = if is_grpc {
                    let size = u32::from_be_bytes(call.body[1..5].try_into().unwrap());
                    assert_eq!(call.body.len(), 5 + usize::try_from(size).unwrap());
                    (call.body[0] == 1, &call.body[5..])
                } else {
                    (call.headers.contains_key("content-encoding"), &call.body[..])
                };
                let mut message = Vec::new();
                if packed {
                    flate2::read::GzDecoder::new(body).read_to_end(&mut message).unwrap();
                } else {
                    message = body.to_vec();
                }
                let resource = below(&message, &[1, 1]).remove(0);
                assert_eq!(attributes(&resource, 1)["service.name"], "alertmanager");
                below(&message, &[1, 2, 2]).iter().map(|span| Span::read(span)).collect::<Vec<_>>()
            })
            .collect()
    }

    /// The header of each request that is not OTLP.
    fn told(&self, header: &str) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        let hooks = seen.iter().filter(|call| call.path == "/hook");
        let value = |call: &Seen| Some(call.headers.get(header)?.to_str().ok()?.to_owned());
        hooks.map(|call| value(call).unwrap_or_default()).collect()
    }

    async fn wait_told(&self, count: usize) {
        while self.told("x").len() < count {
            tokio::task::yield_now().await;
        }
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    heard: Arc<Mutex<Vec<Seen>>>,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let heard = Arc::clone(&heard);
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await?.to_bytes().to_vec();
            let path = head.uri.path().to_owned();
            let mut trailers = HeaderMap::new();
            let (kind, answer) = if path == GRPC {
                trailers.insert("grpc-status", "0".parse().unwrap());
                ("application/grpc", Bytes::from_static(&[0; 5]))
            } else {
                ("application/x-protobuf", Bytes::new())
            };
            let headers = head.headers;
            heard.lock().unwrap().push(Seen { path, version: head.version, headers, body });
            let body = Full::new(answer).with_trailers(async { Some(Ok(trailers)) });
            let answer = Response::builder().header("content-type", kind).body(body).unwrap();
            Ok::<_, hyper::Error>(answer)
        }
    });
    // The client ends it.
    let _ = auto::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

fn config(hook: SocketAddr, tracing: &str) -> String {
    format!(
        "
route:
  receiver: hook
  group_by: [alertname]
  group_wait: 0s
receivers:
- name: hook
  webhook_configs:
  - url: http://{hook}/hook
{tracing}"
    )
}

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

fn alert(name: &str, flags: &str) -> crate::client::Ask {
    post("/api/v2/alerts", format!(r#"[{{"labels":{{"alertname":"{name}"}}}}]"#))
        .header("traceparent", format!("00-{TRACE}-b7ad6b7169203331-{flags}"))
        .header("tracestate", "vendor=x")
}

fn only<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let found: Vec<&Span> = spans.iter().filter(|span| span.name == name).collect();
    assert_eq!(found.len(), 1, "{name} in {spans:#?}");
    found[0]
}

/// A certificate for 127.0.0.1, and its PEM text.
fn certificate() -> (TlsAcceptor, String) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    (TlsAcceptor::from(Arc::new(tls)), made.cert.pem())
}

async fn check_protocol(client_type: &str, gzip: bool, tls: bool) {
    let (acceptor, pem) = certificate();
    let collector = Receiver::start(tls.then_some(acceptor)).await;
    let hook = Receiver::start(None).await;
    let security = if tls {
        format!("  tls_config:\n    ca: |\n      {}\n", pem.trim().replace('\n', "\n      "))
    } else {
        "  insecure: true\n".to_owned()
    };
    let tracing = format!(
        "tracing:\n  client_type: {client_type}\n  endpoint: {}\n  sampling_fraction: 1\n{security}{}  \
         timeout: 7s\n  headers:\n    X-Key:\n      secrets: [s3cret]\n",
        collector.address,
        if gzip { "  compression: gzip\n" } else { "" }
    );
    let node = Node::start(&config(hook.address, &tracing), |_, _| {}).await;
    assert_eq!(alert("A", "01").to(node.address).await.status, 200);
    hook.wait_told(1).await;
    node.stop().await;
    let spans = collector.spans();

    let posted = only(&spans, "POST /api/v2/alerts");
    assert_eq!((posted.trace.as_str(), posted.parent.as_str()), (TRACE, "b7ad6b7169203331"));
    assert_eq!((posted.kind, posted.state.as_str()), (2, "vendor=x"));
    assert_eq!(posted.attributes["http.response.status_code"], "200");

    let flush = only(&spans, "dispatch.AggregationGroup.flush");
    assert_eq!((flush.kind, flush.parent.as_str()), (1, ""));
    assert_ne!(flush.trace, TRACE);
    assert_eq!(flush.attributes["alerting.aggregation_group.key"], r#"{}:{alertname="A"}"#);
    assert_eq!(flush.attributes["alerting.alerts.count"], "1");
    assert_eq!(flush.status, None);
    for stage in ["MuteStage", "DedupStage", "RetryStage", "SetNotifiesStage"] {
        let stage = only(&spans, &format!("notify.{stage}.Exec"));
        assert_eq!((stage.kind, &stage.parent, &stage.trace), (1, &flush.id, &flush.trace));
    }
    let retry = only(&spans, "notify.RetryStage.Exec");
    assert_eq!(retry.attributes["alerting.label.values"], "webhook,hook");
    let notify = only(&spans, "notify.Integration.Notify");
    assert_eq!((notify.kind, &notify.parent), (3, &retry.id));
    assert_eq!(notify.attributes["alerting.notify.integration.name"], "webhook");
    let request = only(&spans, "webhook/HTTP POST");
    assert_eq!((request.kind, &request.parent), (3, &notify.id));
    let told = hook.told("traceparent");
    assert_eq!(told, [format!("00-{}-{}-01", request.trace, request.id)]);

    let seen = collector.seen.lock().unwrap();
    let (version, path) = if client_type == "grpc" {
        (Version::HTTP_2, GRPC)
    } else {
        (Version::HTTP_11, "/v1/traces")
    };
    assert_eq!((seen[0].version, seen[0].path.as_str()), (version, path));
    assert_eq!(seen[0].headers["x-key"], "s3cret");
    if client_type == "grpc" {
        assert_eq!(seen[0].headers["grpc-timeout"], "7000m");
        assert_eq!(seen[0].headers["te"], "trailers");
        assert_eq!(seen[0].headers.contains_key("grpc-encoding"), gzip);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_go_out_by_grpc() {
    check_protocol("grpc", false, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_go_out_by_http_compressed() {
    check_protocol("http", true, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_go_out_by_grpc_over_tls_compressed() {
    check_protocol("grpc", true, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_go_out_by_http_over_tls() {
    check_protocol("http", false, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sender_decides_what_is_kept() {
    let collector = Receiver::start(None).await;
    let tracing = format!("tracing: {{endpoint: '{}', insecure: true}}\n", collector.address);
    let node = Node::start(&config(collector.address, &tracing), |_, _| {}).await;
    alert("A", "00").to(node.address).await;
    alert("B", "01").to(node.address).await;
    collector.wait_told(2).await;
    node.stop().await;
    let spans = collector.spans();
    let names: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["POST /api/v2/alerts"], "a fraction of 0 begins no trace");
    for told in collector.told("traceparent") {
        assert!(told.ends_with("-00"), "receivers learn that nobody keeps it: {told:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_is_seen_in_its_spans() {
    let collector = Receiver::start(None).await;
    let tracing = format!(
        "tracing: {{endpoint: '{}', insecure: true, sampling_fraction: 1}}\n",
        collector.address
    );
    let nowhere = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let node = Node::start(&config(nowhere, &tracing), |_, _| {}).await;
    alert("A", "01").to(node.address).await;
    while !get("/metrics").to(node.address).await.body.lines().any(|line| {
        line.starts_with("alertmanager_notification_requests_failed_total{integration=\"webhook\"}")
            && !line.ends_with(" 0")
    }) {
        tokio::task::yield_now().await;
    }
    node.stop().await;
    let spans = collector.spans();
    let failed = |name: &str| {
        let span = spans.iter().find(|span| span.name == name).unwrap();
        let (code, text) = span.status.clone().unwrap();
        assert_eq!(code, 2, "{name}");
        text
    };
    assert_eq!(failed("dispatch.AggregationGroup.flush"), "notification failed");
    assert!(failed("notify.Integration.Notify").contains("post <redacted>"));
    failed("webhook/HTTP POST");
    let tried = spans.iter().find(|span| span.name == "notify.Integration.Notify").unwrap();
    assert_eq!(tried.attributes["alerting.notify.error.recoverable"], "true");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_turns_it_on_and_off() {
    let collector = Receiver::start(None).await;
    let mut file = std::path::PathBuf::new();
    let node = Node::start(&config(collector.address, ""), |options, _| {
        file.clone_from(&options.config_file);
    })
    .await;
    let reload = async |tracing: &str| {
        std::fs::write(&file, config(collector.address, tracing)).unwrap();
        post("/-/reload", "").to(node.address).await
    };
    alert("A", "01").to(node.address).await;
    let broken = reload("tracing: {endpoint: 'x:1', tls_config: {ca_file: /nope}}\n").await;
    assert_eq!(broken.status, 500);
    assert!(broken.body.contains("/nope"), "{broken:?}");
    let tracing = format!("tracing: {{endpoint: '{}', insecure: true}}\n", collector.address);
    assert_eq!(reload(&tracing).await.status, 200);
    alert("B", "01").to(node.address).await;
    assert_eq!(reload("").await.status, 200);
    alert("C", "01").to(node.address).await;
    // The way of the old configuration ends with its last span.
    while collector.spans().is_empty() {
        tokio::task::yield_now().await;
    }
    collector.wait_told(3).await;
    node.stop().await;
    let spans = collector.spans();
    let posted = spans.iter().filter(|span| span.name == "POST /api/v2/alerts").count();
    assert_eq!(posted, 1, "{spans:#?}");
}
