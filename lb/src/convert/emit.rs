//! The YAML of a translated file: only what differs from nothing said.

use std::fmt::Write;

use super::{Global, Kind, Proxy};

/// Keys that a server line says, but that belong to the checks of its backend.
const CHECK_KEYS: [&str; 5] = ["interval", "fast_interval", "down_interval", "fall", "rise"];

/// The whole file.
pub(super) fn yaml(global: &Global, proxies: &[Proxy], stats: Option<&Proxy>) -> String {
    let mut out = String::new();
    globals(&mut out, global);
    let fronts: Vec<_> =
        proxies.iter().filter(|p| matches!(p.kind, Kind::Frontend | Kind::Listen)).collect();
    let backs: Vec<_> =
        proxies.iter().filter(|p| matches!(p.kind, Kind::Backend | Kind::Listen)).collect();
    if !fronts.is_empty() {
        out.push_str("frontends:\n");
        fronts.iter().for_each(|p| frontend(&mut out, p));
    }
    if !backs.is_empty() {
        out.push_str("backends:\n");
        backs.iter().for_each(|p| backend(&mut out, p));
    }
    page(&mut out, stats);
    out
}

fn globals(out: &mut String, global: &Global) {
    if !global.values.is_empty() || global.log.is_some() {
        out.push_str("global:\n");
        for (key, value) in &global.values {
            let _ = writeln!(out, "  {key}: {value}");
        }
        if let Some(to) = global.log {
            let _ = writeln!(out, "  log:\n    - {{to: {to}, format: httplog}}");
        }
    }
    if !global.socket.is_empty() {
        out.push_str("admin_socket:\n");
        for (key, value) in &global.socket {
            let _ = writeln!(out, "  {key}: {value}");
        }
    }
}

/// Timeouts of a proxy, those named in `keys` only.
fn timeouts(out: &mut String, proxy: &Proxy, keys: &[&str]) {
    let wanted: Vec<_> = proxy.timeouts.iter().filter(|(k, _)| keys.contains(k)).collect();
    if !wanted.is_empty() {
        out.push_str("    timeouts:\n");
        for (key, value) in wanted {
            let _ = writeln!(out, "      {key}: {value}");
        }
    }
}

fn frontend(out: &mut String, proxy: &Proxy) {
    let _ = writeln!(out, "  - name: {}", proxy.name);
    let binds: Vec<_> = proxy.binds.iter().map(|b| format!("{b:?}")).collect();
    if !binds.is_empty() {
        let _ = writeln!(out, "    bind: [{}]", binds.join(", "));
    }
    if let Some(n) = &proxy.maxconn {
        let _ = writeln!(out, "    maxconn: {n}");
    }
    let enabled = proxy.forward_for == Some(true);
    let _ = writeln!(
        out,
        "    forward_for: {{enabled: {enabled}, if_none: {}}}",
        proxy.forward_if_none
    );
    if proxy.log_null {
        out.push_str("    dont_log_null: false\n");
    }
    timeouts(out, proxy, &["http_request", "http_keep_alive", "client"]);
    let backend = match (proxy.kind, &proxy.default_backend) {
        (Kind::Listen, _) => Some(&proxy.name),
        (_, named) => named.as_ref(),
    };
    if let Some(backend) = backend {
        let _ = writeln!(out, "    default_backend: {backend}");
    }
}

fn backend(out: &mut String, proxy: &Proxy) {
    let _ = writeln!(out, "  - name: {}", proxy.name);
    let lines = [
        ("balance", proxy.balance.clone()),
        (
            "connection",
            proxy.server_close.map(|c| if c { "server-close" } else { "keep-alive" }.to_owned()),
        ),
        ("retries", proxy.retries.clone()),
        ("redispatch", Some((proxy.redispatch == Some(true)).to_string())),
    ];
    for (key, value) in lines {
        if let Some(value) = value {
            let _ = writeln!(out, "    {key}: {value}");
        }
    }
    timeouts(out, proxy, &["connect", "queue", "server", "check"]);
    check(out, proxy);
    out.push_str("    servers:\n");
    for server in &proxy.servers {
        let mut fields =
            vec![format!("name: {}", server.name), format!("address: {:?}", server.address)];
        let inherited = proxy.default_server.iter();
        let inherited = inherited.filter(|(k, _)| !server.options.iter().any(|(o, _)| o == k));
        for (key, value) in inherited.chain(&server.options) {
            if !CHECK_KEYS.contains(key) {
                fields.push(format!("{key}: {value}"));
            }
        }
        if !server.checked {
            fields.push("check: false".to_owned());
        }
        let _ = writeln!(out, "      - {{{}}}", fields.join(", "));
    }
}

/// Checks are a backend's here: the first server's settings stand for all.
fn check(out: &mut String, proxy: &Proxy) {
    let from_server = proxy.servers.iter().find(|s| s.checked).map(|s| &s.options);
    let mut fields: Vec<(&str, String)> = proxy.check.clone();
    for key in CHECK_KEYS {
        let said = from_server.into_iter().flatten().chain(&proxy.default_server);
        if let Some((_, value)) = said.into_iter().find(|(k, _)| *k == key) {
            fields.push((key, value.clone()));
        }
    }
    if proxy.checked && !fields.iter().any(|(k, _)| *k == "expect") {
        fields.push(("expect", "[200-399]".to_owned()));
    }
    if fields.is_empty() {
        return;
    }
    out.push_str("    health_check:\n");
    for (key, value) in fields {
        let _ = writeln!(out, "      {key}: {value}");
    }
}

fn page(out: &mut String, stats: Option<&Proxy>) {
    let Some(proxy) = stats else {
        out.push_str("stats: null\n");
        return;
    };
    out.push_str("stats:\n");
    let binds: Vec<_> = proxy.binds.iter().map(|b| format!("{b:?}")).collect();
    let _ = writeln!(out, "  bind: [{}]", binds.join(", "));
    if let Some(uri) = &proxy.stats.uri {
        let _ = writeln!(out, "  uri: {uri:?}");
    }
    match &proxy.stats.refresh {
        Some(time) => {
            let _ = writeln!(out, "  refresh: {time}");
        }
        None => out.push_str("  refresh: 0s\n"),
    }
    let mode = if proxy.stats.admin { "any" } else { "off" };
    let _ = writeln!(out, "  admin: {{mode: {mode}}}");
}
