//! `tracing`: where spans would go. The block is checked as upstream does; its values are kept.

use std::time::Duration;

use super::block::Block;
use super::http::{self, Source, TlsConfig};

/// Where spans go.
#[derive(Clone, Debug)]
pub struct Tracing {
    /// `grpc` or `http`.
    pub client_type: String,
    /// Host and port.
    pub endpoint: String,
    /// Which part of traces is kept, from 0 to 1.
    pub sampling_fraction: f64,
    /// Whether to speak without TLS.
    pub insecure: bool,
    /// TLS, if it is not plain.
    pub tls: TlsConfig,
    /// Headers to add.
    pub headers: Vec<(String, Vec<Source>)>,
    /// Whether bodies are compressed with gzip.
    pub gzip: bool,
    /// Bound of one export; zero is the exporter's own.
    pub timeout: Duration,
}

/// Reads the block.
pub(crate) fn read(block: &mut Block<'_>) -> Tracing {
    let client_type = block.word("client_type", "grpc", &["grpc", "http"]);
    let endpoint = block.text("endpoint", "");
    if endpoint.is_empty() {
        block.mistake_at("endpoint", "tracing endpoint must be set");
    }
    let fraction = block.field("sampling_fraction").and_then(|field| field.float());
    let sampling_fraction = fraction.unwrap_or(0.0);
    if sampling_fraction != 0.0 {
        block.show("sampling_fraction", tocsin_service::yaml::Value::Float(sampling_fraction));
    }
    let insecure = block.bool("insecure", false);
    let tls = http::tls_block(block, "tls_config", None);
    let headers = http::headers(block, "headers", None, false);
    let gzip = block.word("compression", "", &["", "gzip"]) == "gzip";
    let timeout = block.duration("timeout", Duration::ZERO);
    Tracing { client_type, endpoint, sampling_fraction, insecure, tls, headers, gzip, timeout }
}
