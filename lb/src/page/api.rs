//! The JSON API's reads: status, servers, events.

use serde_json::{Value, json};

use super::Answer;
use crate::backend::{Admin, Backend, Server};
use crate::balancer::Balancer;
use crate::stats::quantile_us;

/// Answers a read, if the path is one.
pub(super) fn read(lb: &Balancer, path: &str) -> Option<Answer> {
    let parts: Vec<_> = path.split('/').skip(3).collect();
    let body = match parts.as_slice() {
        ["status"] => status(lb),
        ["events"] => {
            let event = |e: &crate::balancer::Event| json!({"at": e.at.to_string(), "who": e.who, "text": e.text});
            lb.events().iter().map(event).collect()
        }
        ["backends", pool, "servers", name] => {
            let place = lb.server(&format!("{pool}/{name}"));
            match place {
                Ok((_, found)) => server(&found, lb.clock.now_ms()),
                Err(refused) => return Some(super::problem(404, &refused.to_string())),
            }
        }
        _ => return None,
    };
    Some(Answer::json(body.to_string()))
}

fn status(lb: &Balancer) -> Value {
    let topology = lb.topology.load();
    let now_ms = lb.clock.now_ms();
    let frontends = topology.frontends.iter().map(|f| {
        let totals = f.counters.totals();
        json!({
            "name": f.options.name, "paused": f.is_paused(), "connections": f.counters.current(),
            "connections_total": totals.total, "requests_total": totals.requests,
            "errors_total": totals.request_errors, "bytes_in": totals.bytes_in,
            "bytes_out": totals.bytes_out,
        })
    });
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "pid": std::process::id(),
        "started": lb.started.to_string(),
        "uptime_seconds": now_ms / 1000,
        "threads": lb.workers,
        "connections": lb.clients(),
        "draining": lb.draining.is_cancelled(),
        "log_lines_dropped": lb.log.dropped(),
        "config_last_reload_successful": lb.reloaded.load(std::sync::atomic::Ordering::Relaxed),
        "frontends": frontends.collect::<Vec<_>>(),
        "backends": topology.backends.iter().map(|b| backend(b, now_ms)).collect::<Vec<_>>(),
    })
}

fn backend(backend: &Backend, now_ms: u64) -> Value {
    let pool = backend.snapshot(now_ms);
    let totals = backend.counters.totals();
    json!({
        "name": backend.options.name, "up": pool.up, "active": pool.active, "backup": pool.backup,
        "balance": backend.options.balance.name(), "queued": backend.queue.len(),
        "requests_total": totals.requests, "retries_total": totals.retries,
        "redispatches_total": totals.redispatches,
        "servers": backend.servers.iter().map(|s| server(s, now_ms)).collect::<Vec<_>>(),
    })
}

fn server(server: &Server, now_ms: u64) -> Value {
    let now = server.snapshot(now_ms);
    let totals = server.counters.totals();
    let admin = match now.admin {
        Admin::Ready => "ready",
        Admin::Drain => "drain",
        Admin::Maint => "maint",
    };
    json!({
        "name": server.name(), "address": server.target().text, "status": now.status,
        "state": admin, "usable": now.usable, "up": now.up, "weight": server.weight(),
        "initial_weight": server.options.weight, "backup": server.options.backup,
        "maxconn": server.maxconn(), "throttle_percent": now.throttle,
        "since_change_seconds": now.since_change_s, "downtime_seconds": now.downtime_s,
        "check": {
            "enabled": now.checks_on, "status": now.result.status.code(), "code": now.result.http,
            "duration_ms": now.result.duration_ms, "info": now.result.info,
            "failed_total": now.failed_checks, "downs_total": now.downs,
        },
        "cluster": now.cluster.map(|c| json!({"live": c.live, "known": c.known, "ready": c.ready})),
        "p50_us": quantile_us(&server.counters.histogram(), 500),
        "p99_us": quantile_us(&server.counters.histogram(), 990),
        "node": server.node().map(|n| json!({
            "version": n.version, "config": format!("{:016x}", n.config), "members": n.members,
            "clock_ahead_seconds": n.ahead_s,
        })),
        "streams": server.active(), "streams_total": totals.total,
        "connection_errors_total": totals.connection_errors,
        "response_errors_total": totals.response_errors,
    })
}
