//! `event_recorder`: where events are written. Always checked, used only with the feature of that name.

use std::path::PathBuf;
use std::time::Duration;

use tocsin_service::yaml::Value;

use super::block::{Block, Form};
use super::http::{self, HttpConfig, Source, TlsConfig};

/// Where events are written.
#[derive(Clone, Debug, Default)]
pub struct EventRecorder {
    /// Files that lines are added to.
    pub files: Vec<PathBuf>,
    /// How many times to standard output.
    pub stdout: usize,
    /// Webhooks.
    pub webhooks: Vec<Webhook>,
    /// Kafka topics.
    pub kafka: Vec<Kafka>,
}

/// A webhook that takes events.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// Where to.
    pub url: Source,
    /// The client.
    pub http: HttpConfig,
    /// Bound of one request.
    pub timeout: Duration,
    /// Requests at the same time.
    pub workers: u64,
    /// Attempts altogether.
    pub max_retries: u64,
    /// Wait after the first of them; doubles up to 30 s.
    pub retry_backoff: Duration,
    /// Bounds of a batch, when events are sent together.
    pub batch: Option<BatchBounds>,
}

/// When a batch is sent.
#[derive(Clone, Copy, Debug)]
pub struct BatchBounds {
    /// At this many events.
    pub events: u64,
    /// At this many bytes.
    pub bytes: u64,
    /// After this time.
    pub interval: Duration,
}

/// A Kafka topic that takes events.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are Kafka's")]
pub struct Kafka {
    pub brokers: Vec<String>,
    pub topic: String,
    pub client_id: String,
    pub format: String,
    pub acks: String,
    pub compression: String,
    pub buffer_size: u64,
    pub tls: Option<TlsConfig>,
}

/// Reads the block.
pub(crate) fn read(block: &mut Block<'_>) -> EventRecorder {
    let directory = block.rules.directory.clone();
    let files = block.items("file_outputs", |block| {
        let path = block.path("path", Some(&directory));
        if path.as_os_str().is_empty() {
            block.missing("path");
        }
        path
    });
    let webhooks = block.items("webhook_outputs", webhook);
    let kafka = block.items("kafka_outputs", kafka);
    let stdout = block.items("stdout_outputs", |_| ()).len();
    EventRecorder { files, stdout, webhooks, kafka }
}

fn webhook(block: &mut Block<'_>) -> Webhook {
    let directory = block.rules.directory.clone();
    let url = block.source("url", "", Form::Link, &Source::None);
    if url.is_none() {
        block.missing("url");
    } else if url.is_hidden() && !block.rules.shown {
        block.mistake_at("url", "must be an absolute URL of http or https");
    }
    let http = block.sub("http_config", |block| http::http(block, Some(&directory)));
    let timeout = or_default(block.duration("timeout", Duration::ZERO), Duration::from_secs(10));
    let workers = number(block, "workers", 4);
    let max_retries = number(block, "max_retries", 3);
    let backoff = block.duration("retry_backoff", Duration::ZERO);
    let retry_backoff = or_default(backoff, Duration::from_millis(500));
    let batched = block.bool("batch", false);
    let events = number(block, "batch_max_events", 100);
    let bytes = number(block, "batch_max_bytes", 1 << 20);
    let interval = block.duration("batch_flush_interval", Duration::ZERO);
    let interval = or_default(interval, Duration::from_millis(100));
    for key in ["batch_max_events", "batch_max_bytes", "batch_flush_interval"] {
        if !batched && block.has(key) {
            block.mistake_at(key, format!("{key} needs batch: true"));
        }
    }
    let batch = batched.then_some(BatchBounds { events, bytes, interval });
    Webhook {
        url,
        http: http.unwrap_or_default(),
        timeout,
        workers,
        max_retries,
        retry_backoff,
        batch,
    }
}

fn or_default(value: Duration, default: Duration) -> Duration {
    if value.is_zero() { default } else { value }
}

/// A whole number where 0 is the default.
fn number(block: &mut Block<'_>, key: &'static str, default: u64) -> u64 {
    let value = block.section().integer_or(key, 0);
    if value < 0 {
        block.mistake_at(key, format!("{key} must not be negative"));
    }
    if value != 0 {
        block.show(key, Value::Int(value));
    }
    u64::try_from(value).ok().filter(|value| *value != 0).unwrap_or(default)
}

fn kafka(block: &mut Block<'_>) -> Kafka {
    let brokers = block.texts("brokers");
    if brokers.is_empty() || brokers.iter().any(String::is_empty) {
        block.mistake_at("brokers", "at least one broker is needed, and none may be empty");
    }
    let directory = block.rules.directory.clone();
    Kafka {
        brokers,
        topic: block.required("topic"),
        client_id: block.text("client_id", "alertmanager"),
        format: block.word("format", "json", &["json", "protobuf", ""]),
        acks: block.word("acks", "leader", &["none", "leader", "all", ""]),
        compression: block.word("compression", "", &["", "none", "gzip", "snappy", "lz4", "zstd"]),
        buffer_size: number(block, "buffer_size", 1024),
        tls: block.sub("tls_config", |block| http::tls_keys(block, Some(&directory))),
    }
}
