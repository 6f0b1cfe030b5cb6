//! Clients, tracing and recorded events (section 12).

use super::{accepted, refused};

#[test]
fn section_12_clients() {
    refused(&[
        ("http", "{basic_auth: {username: a}, bearer_token: b}", "at most one of"),
        ("http", "{authorization: {credentials: a}, bearer_token: b}", "at most one of"),
        ("http", "{basic_auth: {username: a}, authorization: {credentials: b}}", "at most one of"),
        ("http", "{bearer_token: a, bearer_token_file: b}", "at most one of"),
        ("http", "{basic_auth: {username: a, username_file: b}}", "at most one of"),
        ("http", "{basic_auth: {password: a, password_file: b}}", "at most one of"),
        ("http", "{authorization: {credentials: a, credentials_file: b}}", "at most one of"),
        ("http", "{authorization: {type: ' Basic '}}", "use \"basic_auth\" instead"),
        ("http", "{authorization: {credentials_ref: a}}", "no secret manager"),
        ("http", "{oauth2: {token_url: a}}", "client_id must be configured"),
        ("http", "{oauth2: {client_id: a}}", "token_url must be configured"),
        (
            "http",
            "{oauth2: {client_id: a, token_url: b, client_secret: c, client_secret_file: d}}",
            "at most one of",
        ),
        ("http", "{no_proxy: a}", "proxy_url must also be configured"),
        (
            "http",
            "{proxy_url: a, proxy_from_environment: true}",
            "proxy_url must not be configured",
        ),
        ("http", "{proxy_from_environment: true, no_proxy: a}", "no_proxy must not be configured"),
        ("http", "{proxy_connect_header: {a: [b]}}", "must also be configured"),
        ("http", "{http_headers: {hOST: {values: [a]}}}", "setting header \"Host\" is not allowed"),
        ("http", "{tls_config: {ca: a, ca_file: b}}", "at most one of"),
        ("http", "{tls_config: {cert_file: a}}", "exactly one of key or key_file"),
        ("http", "{tls_config: {key_file: a}}", "exactly one of cert or cert_file"),
        ("http", "{tls_config: {min_version: TLS1.2}}", "unknown TLS version"),
        ("top", "tracing: {}", "tracing endpoint must be set"),
        ("top", "tracing: {endpoint: a, client_type: udp}", "must be one of grpc, http"),
        ("top", "tracing: {endpoint: a, compression: zip}", "must be one of gzip"),
        ("top", "event_recorder: {file_outputs: [{}]}", "\"path\" is missing"),
        ("top", "event_recorder: {webhook_outputs: [{}]}", "\"url\" is missing"),
        ("top", "event_recorder: {webhook_outputs: [{url: <secret>}]}", "must be an absolute URL"),
        (
            "top",
            "event_recorder: {webhook_outputs: [{url: 'http://a', batch_max_events: 5}]}",
            "needs batch: true",
        ),
        (
            "top",
            "event_recorder: {webhook_outputs: [{url: 'http://a', batch: true, batch_max_bytes: -5}]}",
            "must not be negative",
        ),
        ("top", "event_recorder: {kafka_outputs: [{topic: a}]}", "at least one broker"),
        (
            "top",
            "event_recorder: {kafka_outputs: [{brokers: [''], topic: a}]}",
            "at least one broker",
        ),
        ("top", "event_recorder: {kafka_outputs: [{brokers: [b]}]}", "\"topic\" is missing"),
        (
            "top",
            "event_recorder: {kafka_outputs: [{brokers: [b], topic: a, acks: some}]}",
            "must be one of",
        ),
    ]);
    accepted(&[
        ("http", "{oauth2: {client_id: a, token_url: b, scopes: [c], endpoint_params: {d: e}}}"),
        (
            "http",
            "{oauth2: {client_id: a, token_url: b, grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', claims: {a: [1, {b: c}]}}}",
        ),
        ("http", "{proxy_url: 'http://a', no_proxy: b, proxy_connect_header: {a: [b]}}"),
        ("http", "{http_headers: {X-Mine: {values: [a], secrets: [b], files: [c]}}}"),
        ("http", "{tls_config: {cert: a, key_file: b, min_version: TLS13, max_version: TLS10}}"),
        (
            "top",
            "tracing: {endpoint: 'a:4317', sampling_fraction: 0.5, headers: {a: {values: [b]}}}",
        ),
        (
            "top",
            "event_recorder: {stdout_outputs: [{}], kafka_outputs: [{brokers: [b], topic: a}]}",
        ),
    ]);
}

#[test]
fn section_12_0_reserved_headers() {
    for name in [
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
    ] {
        let written = name.to_lowercase();
        let text = format!("{{http_headers: {{{written}: {{values: [a]}}}}}}");
        let words = format!("setting header \"{name}\" is not allowed");
        refused(&[("http", &text, &words)]);
    }
}

#[test]
fn section_12_every_key() {
    accepted(&[
        ("http", "{basic_auth: {username: a, password: b}}"),
        ("http", "{basic_auth: {username_file: a, password_file: b}}"),
        ("http", "{authorization: {type: Token, credentials_file: a}}"),
        ("http", "{bearer_token_file: a, follow_redirects: no, enable_http2: no, proxy_url: b}"),
        (
            "http",
            "{oauth2: {client_id: a, token_url: b, client_secret_file: c, proxy_url: d, no_proxy: e, proxy_connect_header: {f: [g]}, tls_config: {insecure_skip_verify: yes}}}",
        ),
        (
            "http",
            "{oauth2: {client_id: a, token_url: b, grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', client_certificate_key_id: c, client_certificate_key: d, signature_algorithm: RS512, iss: e, audience: f}}",
        ),
        (
            "http",
            "{tls_config: {ca: a, cert: b, key: c, server_name: d, insecure_skip_verify: true, min_version: TLS10, max_version: TLS12}}",
        ),
        (
            "top",
            "tracing: {client_type: http, endpoint: a, sampling_fraction: 1, insecure: yes, tls_config: {ca_file: b}, compression: gzip, timeout: 5s}",
        ),
        (
            "top",
            "event_recorder: {file_outputs: [{path: a}], webhook_outputs: [{url: 'http://b', http_config: {}, timeout: 1s, workers: 2, max_retries: 3, retry_backoff: 4s, batch: true, batch_max_events: 5, batch_max_bytes: 6, batch_flush_interval: 7s}], stdout_outputs: [{}]}",
        ),
        (
            "top",
            "event_recorder: {kafka_outputs: [{brokers: [a, b], topic: c, client_id: d, format: protobuf, acks: all, compression: zstd, buffer_size: 5, tls_config: {}}]}",
        ),
    ]);
}
