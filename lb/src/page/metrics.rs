//! `/metrics`: HAProxy's exporter names, so that dashboards and rules survive, and a few of our own.

use std::fmt::Write;
use std::sync::Arc;

use tocsin_service::certificate;

use super::rows::{self, Kind, Row};
use crate::backend::Backend;
use crate::balancer::{Balancer, Frontend};
use crate::stats::bucket_end_us;

/// Metric after `haproxy_<kind>_`, field, type, and by what the field is divided.
const METRICS: [(&str, &str, &str, u64); 46] = [
    ("current_queue", "qcur", "gauge", 1),
    ("max_queue", "qmax", "gauge", 1),
    ("queue_limit", "qlimit", "gauge", 1),
    ("current_sessions", "scur", "gauge", 1),
    ("max_sessions", "smax", "gauge", 1),
    ("limit_sessions", "slim", "gauge", 1),
    ("sessions_total", "stot", "counter", 1),
    ("current_session_rate", "rate", "gauge", 1),
    ("max_session_rate", "rate_max", "gauge", 1),
    ("bytes_in_total", "bin", "counter", 1),
    ("bytes_out_total", "bout", "counter", 1),
    ("requests_denied_total", "dreq", "counter", 1),
    ("responses_denied_total", "dresp", "counter", 1),
    ("request_errors_total", "ereq", "counter", 1),
    ("connection_errors_total", "econ", "counter", 1),
    ("response_errors_total", "eresp", "counter", 1),
    ("retry_warnings_total", "wretr", "counter", 1),
    ("redispatch_warnings_total", "wredis", "counter", 1),
    ("weight", "weight", "gauge", 1),
    ("uweight", "uweight", "gauge", 1),
    ("active_servers", "act", "gauge", 1),
    ("backup_servers", "bck", "gauge", 1),
    ("check_failures_total", "chkfail", "counter", 1),
    ("check_up_down_total", "chkdown", "counter", 1),
    ("check_last_change_seconds", "lastchg", "gauge", 1),
    ("downtime_seconds_total", "downtime", "counter", 1),
    ("loadbalanced_total", "lbtot", "counter", 1),
    ("http_requests_total", "req_tot", "counter", 1),
    ("http_requests_rate_current", "req_rate", "gauge", 1),
    ("http_requests_rate_max", "req_rate_max", "gauge", 1),
    ("intercepted_requests_total", "intercepted", "counter", 1),
    ("connections_total", "conn_tot", "counter", 1),
    ("client_aborts_total", "cli_abrt", "counter", 1),
    ("server_aborts_total", "srv_abrt", "counter", 1),
    ("last_session_seconds", "lastsess", "gauge", 1),
    ("check_duration_seconds", "check_duration", "gauge", 1000),
    ("queue_time_average_seconds", "qtime", "gauge", 1000),
    ("connect_time_average_seconds", "ctime", "gauge", 1000),
    ("response_time_average_seconds", "rtime", "gauge", 1000),
    ("total_time_average_seconds", "ttime", "gauge", 1000),
    ("max_queue_time_seconds", "qtime_max", "gauge", 1000),
    ("max_connect_time_seconds", "ctime_max", "gauge", 1000),
    ("max_response_time_seconds", "rtime_max", "gauge", 1000),
    ("max_total_time_seconds", "ttime_max", "gauge", 1000),
    ("connection_attempts_total", "connect", "counter", 1),
    ("connection_reuses_total", "reuse", "counter", 1),
];

/// Connections to servers, only on servers.
const CONNECTIONS: [(&str, &str); 3] = [
    ("idle_connections_current", "srv_icur"),
    ("used_connections_current", "used_conn_cur"),
    ("need_connections_current", "need_conn_est"),
];

const CODES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "other"];
const SERVER_STATES: [&str; 5] = ["DOWN", "UP", "MAINT", "DRAIN", "NOLB"];
const PROXY_STATES: [&str; 2] = ["DOWN", "UP"];
const CHECKS: [&str; 13] = [
    "HANA", "SOCKERR", "L4OK", "L4TOUT", "L4CON", "L6OK", "L6TOUT", "L6RSP", "L7TOUT", "L7RSP",
    "L7OK", "L7OKC", "L7STS",
];

/// The whole page.
pub(super) fn page(lb: &Balancer, haproxy: bool) -> String {
    let mut out = String::with_capacity(16 << 10);
    if haproxy {
        process(&mut out, lb);
        let rows = rows::all(lb, false);
        for (kind, word) in
            [(Kind::Frontend, "frontend"), (Kind::Backend, "backend"), (Kind::Server, "server")]
        {
            let rows: Vec<_> = rows.iter().filter(|r| r.kind == kind).collect();
            proxies(&mut out, word, &rows);
        }
    }
    own(&mut out, lb);
    out
}

fn family(out: &mut String, name: &str, kind: &str) {
    let words = name.split_once('_').map_or(name, |(_, rest)| rest).replace('_', " ");
    let _ = writeln!(out, "# HELP {name} {words}");
    let _ = writeln!(out, "# TYPE {name} {kind}");
}

fn process(out: &mut String, lb: &Balancer) {
    let topology = lb.topology.load();
    let clients = u64::from(lb.clients());
    let total: u64 = topology.frontends.iter().map(|f| f.counters.totals().total).sum();
    let requests: u64 = topology.frontends.iter().map(|f| f.counters.totals().requests).sum();
    let values = [
        ("nbthread", "gauge", lb.workers as u64),
        ("nbproc", "gauge", 1),
        ("uptime_seconds", "gauge", lb.clock.now_ms() / 1000),
        ("max_connections", "gauge", u64::from(topology.config.global.maxconn)),
        ("current_connections", "gauge", clients),
        ("connections_total", "counter", total),
        ("requests_total", "counter", requests),
        ("dropped_logs_total", "counter", lb.log.dropped()),
        ("stopping", "gauge", u64::from(lb.draining.is_cancelled())),
    ];
    for (name, kind, value) in values {
        let name = format!("haproxy_process_{name}");
        family(out, &name, kind);
        let _ = writeln!(out, "{name} {value}");
    }
}

/// Labels of a row.
fn labels(row: &Row) -> String {
    let proxy = escape(row.get("pxname"));
    match row.kind {
        Kind::Server => format!("proxy=\"{proxy}\",server=\"{}\"", escape(row.get("svname"))),
        Kind::Frontend | Kind::Backend => format!("proxy=\"{proxy}\""),
    }
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn proxies(out: &mut String, word: &str, rows: &[&Row]) {
    for (metric, field, kind, per) in METRICS {
        sample(out, &format!("haproxy_{word}_{metric}"), kind, rows, |row| {
            let number: u64 = row.get(field).parse().ok()?;
            Some(if per == 1 {
                number.to_string()
            } else {
                format!("{}.{:03}", number / per, number % per)
            })
        });
    }
    if word == "server" {
        for (metric, field) in CONNECTIONS {
            sample(out, &format!("haproxy_server_{metric}"), "gauge", rows, |row| {
                Some(row.get(field).to_owned())
            });
        }
    }
    let name = format!("haproxy_{word}_http_responses_total");
    family(out, &name, "counter");
    for row in rows {
        for code in CODES {
            let value = row.get(&format!("hrsp_{code}"));
            let _ = writeln!(out, "{name}{{{},code=\"{code}\"}} {value}", labels(row));
        }
    }
    states(out, word, rows);
}

fn sample(
    out: &mut String,
    name: &str,
    kind: &str,
    rows: &[&Row],
    value: impl Fn(&Row) -> Option<String>,
) {
    let lines: Vec<_> = rows.iter().filter_map(|row| Some((labels(row), value(row)?))).collect();
    if lines.is_empty() {
        return;
    }
    family(out, name, kind);
    for (labels, value) in lines {
        let _ = writeln!(out, "{name}{{{labels}}} {value}");
    }
}

/// States, one line each, 1 for the present one.
fn states(out: &mut String, word: &str, rows: &[&Row]) {
    let name = format!("haproxy_{word}_status");
    let states: &[&str] = if word == "server" { &SERVER_STATES } else { &PROXY_STATES };
    family(out, &name, "gauge");
    for row in rows {
        let status = match row.get("status").split(' ').next().unwrap_or_default() {
            "OPEN" | "no" => "UP",
            status => status,
        };
        for state in states {
            let on = u8::from(status == *state);
            let _ = writeln!(out, "{name}{{{},state=\"{state}\"}} {on}", labels(row));
        }
    }
    if word != "server" {
        return;
    }
    family(out, "haproxy_server_check_status", "gauge");
    for row in rows {
        let now = row.get("check_status").trim_start_matches("* ");
        for state in CHECKS {
            let on = u8::from(now == state);
            let labels = labels(row);
            let _ = writeln!(out, "haproxy_server_check_status{{{labels},state=\"{state}\"}} {on}");
        }
    }
}

fn own(out: &mut String, lb: &Balancer) {
    let version = env!("CARGO_PKG_VERSION");
    family(out, "tocsin_lb_build_info", "gauge");
    let _ = writeln!(out, "tocsin_lb_build_info{{version=\"{version}\"}} 1");
    family(out, "tocsin_lb_kept_alert_bytes", "gauge");
    let kept = lb.kept_bytes.load(std::sync::atomic::Ordering::Relaxed);
    let _ = writeln!(out, "tocsin_lb_kept_alert_bytes {kept}");
    family(out, "tocsin_lb_replays_total", "counter");
    let topology = lb.topology.load();
    for backend in &topology.backends {
        for server in &backend.servers {
            let _ = writeln!(
                out,
                "tocsin_lb_replays_total{{proxy=\"{}\",server=\"{}\"}} {}",
                escape(&backend.options.name),
                escape(server.name()),
                server.counters.totals().replays
            );
        }
    }
    durations(out, &topology.backends);
    peers(out, &topology.backends);
    family(out, "tocsin_lb_config_last_reload_successful", "gauge");
    let reloaded = u8::from(lb.reloaded.load(std::sync::atomic::Ordering::Relaxed));
    let _ = writeln!(out, "tocsin_lb_config_last_reload_successful {reloaded}");
    certificates(out, &topology.frontends);
    family(out, "tocsin_lb_log_lines_dropped_total", "counter");
    let _ = writeln!(out, "tocsin_lb_log_lines_dropped_total {}", lb.log.dropped());
    family(out, "tocsin_lb_clients_let_go_total", "counter");
    let gone = lb.let_go.load(std::sync::atomic::Ordering::Relaxed);
    let _ = writeln!(out, "tocsin_lb_clients_let_go_total {gone}");
}

/// When the certificates end that frontends offer; read at each scrape, since files are replaced under us.
fn certificates(out: &mut String, frontends: &[Arc<Frontend>]) {
    let files = frontends.iter().filter_map(|f| f.options.tls.as_ref()).map(|t| &t.certificate);
    let mut seen = Vec::new();
    for file in files {
        let Some(end) = certificate::expiry(file).filter(|_| !seen.contains(&file)) else {
            continue;
        };
        if seen.is_empty() {
            family(out, certificate::EXPIRY_METRIC, "gauge");
        }
        seen.push(file);
        let name = escape(&file.to_string_lossy());
        let _ =
            writeln!(out, "{}{{file=\"{name}\"}} {}", certificate::EXPIRY_METRIC, end.as_second());
    }
}

/// Time of whole streams by server, at every second power of two microseconds.
fn durations(out: &mut String, backends: &[Arc<Backend>]) {
    let name = "tocsin_lb_request_duration_seconds";
    family(out, name, "histogram");
    for backend in backends {
        for server in &backend.servers {
            let proxy = escape(&backend.options.name);
            let labels = format!("proxy=\"{proxy}\",server=\"{}\"", escape(server.name()));
            let counts = server.counters.histogram();
            let mut sum = 0;
            for (bucket, count) in counts.iter().enumerate() {
                sum += count;
                if bucket % 8 == 7 && bucket < 96 {
                    let end = bucket_end_us(bucket);
                    let (seconds, rest) = (end / 1_000_000, end % 1_000_000);
                    let le = format!("{seconds}.{rest:06}");
                    let _ = writeln!(out, "{name}_bucket{{{labels},le=\"{le}\"}} {sum}");
                }
            }
            let _ = writeln!(out, "{name}_bucket{{{labels},le=\"+Inf\"}} {sum}");
            let _ = writeln!(out, "{name}_count{{{labels}}} {sum}");
        }
    }
}

/// What the nodes say of themselves.
fn peers(out: &mut String, backends: &[Arc<Backend>]) {
    let mut lines = [String::new(), String::new(), String::new()];
    for server in backends.iter().flat_map(|b| &b.servers) {
        let Some(node) = server.node() else { continue };
        let name = escape(server.name());
        let version = escape(&node.version);
        let config = node.config;
        let facts = format!("server=\"{name}\",version=\"{version}\",config=\"{config:016x}\"");
        let _ = writeln!(lines[0], "tocsin_lb_peer_info{{{facts}}} 1");
        let _ = writeln!(lines[1], "tocsin_lb_peer_members{{server=\"{name}\"}} {}", node.members);
        let ahead = node.ahead_s;
        let _ =
            writeln!(lines[2], "tocsin_lb_peer_clock_offset_seconds{{server=\"{name}\"}} {ahead}");
    }
    let names = ["info", "members", "clock_offset_seconds"];
    for (name, lines) in names.into_iter().zip(lines).filter(|(_, l)| !l.is_empty()) {
        family(out, &format!("tocsin_lb_peer_{name}"), "gauge");
        out.push_str(&lines);
    }
}
