//! The node's metrics: every name of upstream's, and ours. Parts of the node count for themselves;
//! what they counted is put under its names when somebody asks.

mod cluster;
mod engine;
mod events;
mod process;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::{Method, StatusCode};
use jiff::Timestamp;
use tocsin_cluster::{ClusterFacts, View};
use tocsin_service::certificate;
use tocsin_service::metrics::{
    Counter, DEFAULT_SECONDS, Family, Format, Gauge, Histogram, Registry,
};

use crate::{
    api::BUILD,
    engine::{Handle, Numbers},
    options::Options,
};
use cluster::ClusterMetrics;
use engine::EngineMetrics;
use events::EventMetrics;
use process::ProcessMetrics;

/// All metrics of a node.
pub(crate) struct Metrics {
    registry: Registry,
    answers: Arc<Family<Histogram>>,
    /// Children of `answers` that were used: few, so that looking through them is quick.
    used: Mutex<Vec<Used>>,
    sizes: Arc<Family<Histogram>>,
    scrapes: Arc<Counter>,
    /// GETs that are being answered.
    pub(crate) gets_in_flight: Arc<Gauge>,
    /// GETs turned away, too many at a time.
    pub(crate) gets_refused: Arc<Counter>,
    engine: EngineMetrics,
    cluster: ClusterMetrics,
    process: ProcessMetrics,
    /// With the feature of that name.
    events: Option<EventMetrics>,
    certificates: Arc<Family<Gauge>>,
    /// The files that may name certificates.
    tls_files: Vec<PathBuf>,
}

/// The histogram of a handler, a method and a status.
struct Used {
    handler: &'static str,
    method: &'static str,
    status: StatusCode,
    histogram: Arc<Histogram>,
}

/// Bounds of `alertmanager_http_response_size_bytes`.
const SIZES: &[f64] = &[100.0, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8];

impl Metrics {
    /// Makes every family; those that dashboards look at start with zeros.
    pub(crate) fn new(options: &Options) -> Self {
        let registry = Registry::new();
        build_info(&registry);
        let scrapes = registry.counters(
            "promhttp_metric_handler_requests_total",
            "Total number of scrapes by HTTP status code.",
            &["code"],
        );
        for code in ["500", "503"] {
            scrapes.with(&[code]);
        }
        Self {
            used: Mutex::default(),
            answers: registry.histograms(
                "alertmanager_http_request_duration_seconds",
                "Histogram of latencies for HTTP requests.",
                &["handler", "method", "code"],
                DEFAULT_SECONDS,
            ),
            sizes: registry.histograms(
                "alertmanager_http_response_size_bytes",
                "Histogram of response size for HTTP requests.",
                &["handler", "method"],
                SIZES,
            ),
            scrapes: scrapes.with(&["200"]),
            gets_in_flight: registry
                .gauges(
                    "alertmanager_http_requests_in_flight",
                    "Current number of HTTP requests being processed.",
                    &["method"],
                )
                .with(&["get"]),
            gets_refused: registry
                .counters(
                    "alertmanager_http_concurrency_limit_exceeded_total",
                    "Total number of times an HTTP request failed because the concurrency limit \
                     was reached.",
                    &["method"],
                )
                .with(&["get"]),
            engine: EngineMetrics::new(&registry, options),
            cluster: ClusterMetrics::new(&registry, options),
            process: ProcessMetrics::new(&registry),
            events: options.features.event_recorder.then(|| EventMetrics::new(&registry)),
            certificates: registry.gauges(
                certificate::EXPIRY_METRIC,
                "When the certificate of a file ends, in seconds since 1970.",
                &["file"],
            ),
            tls_files: [&options.web.config_file, &options.cluster.tls_config]
                .into_iter()
                .flatten()
                .cloned()
                .collect(),
            registry,
        }
    }

    /// Counts an answer. `size` is unknown for answers that are made while they are sent, and is
    /// counted, as upstream does, for everything but API v2.
    pub(crate) fn answered(
        &self,
        handler: &'static str,
        method: &Method,
        status: StatusCode,
        size: Option<u64>,
        took: Duration,
    ) {
        let method = method_label(method);
        self.histogram(handler, method, status).observe(took.as_secs_f64());
        if let Some(size) = size.filter(|_| !handler.starts_with("/api/v2")) {
            #[expect(clippy::cast_precision_loss, reason = "a bucket is chosen by it")]
            self.sizes.with(&[handler, method]).observe(size as f64);
        }
    }

    fn histogram(
        &self,
        handler: &'static str,
        method: &'static str,
        status: StatusCode,
    ) -> Arc<Histogram> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |one: &&Used| {
            one.status == status && std::ptr::eq(one.handler, handler) && one.method == method
        };
        if let Some(known) = used.iter().find(is_it) {
            return Arc::clone(&known.histogram);
        }
        let histogram = self.answers.with(&[handler, method, status.as_str()]);
        used.push(Used { handler, method, status, histogram: Arc::clone(&histogram) });
        histogram
    }

    /// The text of a scrape, as of now.
    pub(crate) fn render(&self, format: Format, engine: &Handle) -> String {
        let cluster = engine.cluster();
        let config = engine.config();
        let receivers = config.receivers.iter().flat_map(|receiver| {
            let kinds = receiver.integrations.iter().map(|integration| integration.kind);
            kinds.map(|kind| (kind, Box::from(&*receiver.name)))
        });
        self.show(&Snapshot {
            numbers: engine.numbers(),
            facts: cluster.facts(),
            view: cluster.view(),
            config_hash: config.file_hash,
            integrations: receivers.collect(),
            started_at: engine.started_at(),
        });
        let text = self.registry.render(format);
        self.scrapes.inc();
        text
    }

    fn show(&self, snapshot: &Snapshot) {
        self.engine.show(snapshot);
        self.cluster.show(&snapshot.facts, &snapshot.view, &snapshot.numbers.counts);
        self.process.show(snapshot.started_at);
        if let (Some(metrics), Some(numbers)) = (&self.events, &snapshot.numbers.events) {
            metrics.show(numbers);
        }
        self.show_certificates();
    }

    /// Read at each scrape, since files are replaced under us.
    fn show_certificates(&self) {
        self.certificates.clear();
        for file in self.tls_files.iter().flat_map(|config| certificate::named_in(config)) {
            if let Some(end) = certificate::expiry(&file) {
                #[expect(clippy::cast_precision_loss, reason = "seconds fit")]
                self.certificates.with(&[&file.to_string_lossy()]).set(end.as_second() as f64);
            }
        }
    }
}

/// What the parts of the node have counted, at one moment.
struct Snapshot {
    numbers: Numbers,
    facts: ClusterFacts,
    view: Arc<View>,
    /// Of the file's text.
    config_hash: u64,
    /// Configured integrations with their receivers.
    integrations: Vec<(&'static str, Box<str>)>,
    started_at: Timestamp,
}

/// The label that upstream's middleware gives a method: any client can make up others.
fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "get",
        "POST" => "post",
        "DELETE" => "delete",
        "HEAD" => "head",
        "OPTIONS" => "options",
        "PUT" => "put",
        "PATCH" => "patch",
        _ => "unknown",
    }
}

fn build_info(registry: &Registry) {
    const NAMES: [&str; 7] =
        ["branch", "goarch", "goos", "goversion", "revision", "tags", "version"];
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let help = "A metric with a constant '1' value labeled by version, revision, branch, \
        goversion from which alertmanager was built, and the goos and goarch for the build.";
    let values = [
        BUILD.branch,
        arch,
        std::env::consts::OS,
        BUILD.go_version,
        BUILD.revision,
        "",
        BUILD.version,
    ];
    registry.gauges("alertmanager_build_info", help, &NAMES).with(&values).set(1.0);
}

/// Counts as gauges show them: exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "the text format knows only floating point")]
fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests;
