//! What a process tells the one that takes over: counts, health, and what operators have set. Whatever the new one does not know it leaves.

use serde_json::{Value, json};

use crate::backend::{Admin, Backend, Server};
use crate::balancer::{Balancer, Frontend};
use crate::stats::Counters;

/// Everything worth keeping.
pub(crate) fn of(lb: &Balancer) -> Value {
    let topology = lb.topology.load();
    let now_ms = lb.clock.now_ms();
    json!({
        "frontends": topology.frontends.iter().map(|f| frontend(f)).collect::<Vec<_>>(),
        "backends": topology.backends.iter().map(|b| backend(b, now_ms)).collect::<Vec<_>>(),
        "stats": counters(&lb.stats),
        "maxconn": lb.maxconn.load(std::sync::atomic::Ordering::Relaxed),
        "configured_maxconn": topology.config.global.maxconn,
    })
}

fn frontend(front: &Frontend) -> Value {
    json!({
        "name": front.options.name, "counters": counters(&front.counters),
        "paused": front.is_paused(), "maxconn": front.maxconn(),
        "configured_maxconn": front.options.maxconn,
    })
}

fn backend(backend: &Backend, now_ms: u64) -> Value {
    let servers = backend.servers.iter().map(|s| server(s, now_ms));
    json!({
        "name": backend.options.name, "counters": counters(&backend.counters),
        "servers": servers.collect::<Vec<_>>(),
    })
}

fn server(server: &Server, now_ms: u64) -> Value {
    let now = server.snapshot(now_ms);
    json!({
        "name": server.name(), "address": server.options.address, "counters": counters(&server.counters),
        "admin": match now.admin {
            Admin::Ready => "ready",
            Admin::Drain => "drain",
            Admin::Maint => "maint",
        },
        "configured_disabled": server.options.disabled,
        "weight": server.weight(), "configured_weight": server.options.weight,
        "maxconn": server.maxconn(), "configured_maxconn": server.options.maxconn,
        "health": server.remembered(now_ms),
    })
}

fn counters(counters: &Counters) -> Value {
    counters
        .totals()
        .named()
        .into_iter()
        .map(|(name, n)| (name.to_owned(), Value::from(n)))
        .collect()
}

/// Takes in what the process before knew of what is still configured.
pub(crate) fn restore(lb: &Balancer, state: &Value) {
    let topology = lb.topology.load();
    let list = |of: &Value, key: &str| of[key].as_array().cloned().unwrap_or_default();
    let named = |all: &[Value], name: &str| all.iter().find(|v| v["name"] == name).cloned();
    let fronts = list(state, "frontends");
    for front in &topology.frontends {
        let Some(known) = named(&fronts, &front.options.name) else { continue };
        restore_counters(&front.counters, &known["counters"]);
        front.pause(known["paused"] == true);
        if let Some(maxconn) = changed(&known, "maxconn", front.options.maxconn) {
            front.set_maxconn(maxconn);
        }
    }
    let backends = list(state, "backends");
    for backend in &topology.backends {
        let Some(known) = named(&backends, &backend.options.name) else { continue };
        restore_counters(&backend.counters, &known["counters"]);
        let servers = list(&known, "servers");
        for server in &backend.servers {
            if let Some(known) = named(&servers, server.name()) {
                restore_server(server, &known);
            }
        }
    }
    restore_counters(&lb.stats, &state["stats"]);
    if let Some(maxconn) = changed(state, "maxconn", topology.config.global.maxconn) {
        lb.maxconn.store(maxconn, std::sync::atomic::Ordering::Relaxed);
    }
}

/// A number that was set at run time, unless the configuration says something else now.
fn changed(known: &Value, key: &str, configured: u32) -> Option<u32> {
    let number = |key: &str| known[key].as_u64().and_then(|n| u32::try_from(n).ok());
    (number(&format!("configured_{key}")) == Some(configured)).then(|| number(key)).flatten()
}

fn restore_server(server: &Server, known: &Value) {
    restore_counters(&server.counters, &known["counters"]);
    if let Some(weight) = changed(known, "weight", server.options.weight) {
        server.set_weight(weight);
    }
    if let Some(maxconn) = changed(known, "maxconn", server.options.maxconn) {
        server.set_maxconn(maxconn);
    }
    if known["address"] == server.options.address.as_str() {
        server.recall(&known["health"]);
    }
    if known["configured_disabled"] == server.options.disabled {
        let admin = match known["admin"].as_str() {
            Some("drain") => Admin::Drain,
            Some("maint") => Admin::Maint,
            _ => Admin::Ready,
        };
        server.restore_admin(admin);
    }
}

fn restore_counters(counters: &Counters, known: &Value) {
    counters.restore(|name| known[name].as_u64().unwrap_or(0));
}
