//! The YAML of a translated file: only what differs from nothing said.

use std::fmt::Write;

use super::{Bind, Global, Kind, Proxy, Settings, UserList};

/// Keys that a server line says, but that belong to the checks of its backend.
const CHECK_KEYS: [&str; 5] = ["interval", "fast_interval", "down_interval", "fall", "rise"];
/// Those that belong to the backend itself, or to what it learns from traffic.
const BACKEND_KEYS: [&str; 4] = ["on_marked_down", "mode", "error_limit", "on_error"];

/// The whole file.
pub(super) fn yaml(
    global: &Global,
    proxies: &[Proxy],
    stats: Option<&Proxy>,
    lists: &[UserList],
) -> String {
    let mut out = String::new();
    globals(&mut out, global);
    let fronts: Vec<_> =
        proxies.iter().filter(|p| matches!(p.kind, Kind::Frontend | Kind::Listen)).collect();
    let backs: Vec<_> =
        proxies.iter().filter(|p| matches!(p.kind, Kind::Backend | Kind::Listen)).collect();
    if !fronts.is_empty() {
        out.push_str("frontends:\n");
        fronts.iter().for_each(|p| frontend(&mut out, p, &global.base, lists));
    }
    if !backs.is_empty() {
        out.push_str("backends:\n");
        backs.iter().for_each(|p| backend(&mut out, p));
    }
    page(&mut out, stats, &global.base);
    out
}

/// `{a: 1, b: 2}`.
fn braces(settings: &Settings) -> String {
    let fields: Vec<_> = settings.iter().map(|(k, v)| format!("{k}: {v}")).collect();
    format!("{{{}}}", fields.join(", "))
}

/// An address; certificates without a directory are below `base`.
fn bind(bind: &Bind, base: &str, proxied: Option<bool>) -> String {
    let mut fields: Settings = vec![("address", format!("{:?}", bind.address))];
    if !bind.tls.is_empty() {
        let mut tls = bind.tls.clone();
        for (_, value) in tls.iter_mut().filter(|(k, _)| matches!(*k, "cert_file" | "key_file")) {
            if !base.is_empty() && !value.starts_with("\"/") {
                *value = format!("\"{base}{}", &value[1..]);
            }
        }
        fields.push(("tls", braces(&tls)));
    }
    fields.extend(bind.settings.clone());
    if let Some(proxied) = proxied.filter(|p| !p) {
        fields.push(("accept_proxy", proxied.to_string()));
    }
    if fields.len() == 1 { format!("{:?}", bind.address) } else { braces(&fields) }
}

/// `{users: {name: hash}, realm: text}`.
fn users(users: &[(String, String)], realm: &str) -> String {
    let all: Vec<_> = users.iter().map(|(name, hash)| format!("{name:?}: {hash:?}")).collect();
    format!("{{realm: {realm:?}, users: {{{}}}}}", all.join(", "))
}

fn globals(out: &mut String, global: &Global) {
    if !global.values.is_empty() || !global.logs.is_empty() {
        out.push_str("global:\n");
        for (key, value) in &global.values {
            let _ = writeln!(out, "  {key}: {value}");
        }
        if !global.logs.is_empty() {
            out.push_str("  log:\n");
        }
        for log in &global.logs {
            let mut log = log.clone();
            log.extend(global.tag.iter().map(|tag| ("tag", format!("{tag:?}"))));
            let _ = writeln!(out, "    - {}", braces(&log));
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

/// A name as YAML has it: without quotes where it cannot be taken for anything but a text.
fn plain(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    let word =
        matches!(&*lower, "y" | "n" | "yes" | "no" | "on" | "off" | "true" | "false" | "null");
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic());
    let goes_on = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if begins && goes_on && !word { name.to_owned() } else { format!("{name:?}") }
}

fn frontend(out: &mut String, proxy: &Proxy, base: &str, lists: &[UserList]) {
    let _ = writeln!(out, "  - name: {}", plain(&proxy.name));
    let marked = |b: &Bind| proxy.accepts_proxy.then_some(b.accepts_proxy);
    let binds: Vec<_> = proxy.binds.iter().map(|b| bind(b, base, marked(b))).collect();
    if proxy.accepts_proxy {
        // HAProxy believes whoever connects there.
        out.push_str("    proxy_from: [0.0.0.0/0, \"::/0\"]\n");
    }
    if let Some((realm, list)) = &proxy.auth
        && let Some((_, all, _)) = lists.iter().find(|(name, ..)| name == list)
    {
        let _ = writeln!(out, "    basic_auth: {}", users(all, realm));
    }
    if proxy.forwarded_proto {
        out.push_str("    forwarded_proto: true\n");
    }
    if !binds.is_empty() {
        let _ = writeln!(out, "    bind: [{}]", binds.join(", "));
    }
    if let Some(n) = &proxy.maxconn {
        let _ = writeln!(out, "    maxconn: {n}");
    }
    let enabled = proxy.forward_for == Some(true);
    let mut forward: Settings =
        vec![("enabled", enabled.to_string()), ("if_none", proxy.forward_if_none.to_string())];
    forward.extend(proxy.forward_header.iter().map(|h| ("header", format!("{h:?}"))));
    if !proxy.forward_except.is_empty() {
        forward.push(("except", format!("{:?}", proxy.forward_except)));
    }
    let _ = writeln!(out, "    forward_for: {}", braces(&forward));
    if !proxy.dont_log_null {
        out.push_str("    dont_log_null: false\n");
    }
    timeouts(out, proxy, &["http_request", "http_keep_alive", "client"]);
    let backend = match (proxy.kind, &proxy.default_backend) {
        (Kind::Listen, _) => Some(&proxy.name),
        (_, named) => named.as_ref(),
    };
    if let Some(backend) = backend {
        let _ = writeln!(out, "    default_backend: {}", plain(backend));
    }
}

fn backend(out: &mut String, proxy: &Proxy) {
    let _ = writeln!(out, "  - name: {}", plain(&proxy.name));
    let lines = [
        ("balance", proxy.balance.clone()),
        (
            "connection",
            proxy.server_close.map(|c| if c { "server-close" } else { "keep-alive" }.to_owned()),
        ),
        ("retries", proxy.retries.clone()),
        ("redispatch", Some((proxy.redispatch == Some(true)).to_string())),
        ("retry_on", proxy.retry_on.as_ref().map(|words| format!("[{words}]"))),
        ("all_backups", proxy.all_backups.map(|on| on.to_string())),
        ("on_marked_down", said(proxy, "on_marked_down")),
    ];
    for (key, value) in lines {
        if let Some(value) = value {
            let _ = writeln!(out, "    {key}: {value}");
        }
    }
    let observe: Settings = ["mode", "error_limit", "on_error"]
        .into_iter()
        .filter_map(|key| Some((key, said(proxy, key)?)))
        .collect();
    if !observe.is_empty() {
        let _ = writeln!(out, "    observe: {}", braces(&observe));
    }
    timeouts(out, proxy, &["connect", "queue", "server", "check"]);
    check(out, proxy);
    out.push_str("    servers:\n");
    for server in &proxy.servers {
        let mut fields = vec![
            format!("name: {}", plain(&server.name)),
            format!("address: {:?}", server.address),
        ];
        let inherited = proxy.default_server.iter();
        let inherited = inherited.filter(|(k, _)| !server.options.iter().any(|(o, _)| o == k));
        for (key, value) in inherited.chain(&server.options) {
            if *key == "tls" {
                fields.push(format!("health_check: {{tls: {value}}}"));
            } else if !CHECK_KEYS.contains(key) && !BACKEND_KEYS.contains(key) {
                fields.push(format!("{key}: {value}"));
            }
        }
        if let Some(tls) = &server.tls {
            fields.push(format!("tls: {}", braces(tls)));
        }
        if !server.checked {
            fields.push("check: false".to_owned());
        }
        let _ = writeln!(out, "      - {{{}}}", fields.join(", "));
    }
}

/// What a server or the default for servers says first.
fn said(proxy: &Proxy, key: &str) -> Option<String> {
    let servers = proxy.servers.iter().flat_map(|s| &s.options);
    let mut all = servers.chain(&proxy.default_server);
    all.find(|(k, _)| *k == key).map(|(_, value)| value.clone())
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
    if let Some(on) = proxy.on_404 {
        fields.push(("disable_on_404", on.to_string()));
    }
    if fields.is_empty() {
        return;
    }
    out.push_str("    health_check:\n");
    for (key, value) in fields {
        let _ = writeln!(out, "      {key}: {value}");
    }
}

fn page(out: &mut String, stats: Option<&Proxy>, base: &str) {
    let Some(proxy) = stats else {
        out.push_str("stats: null\n");
        return;
    };
    out.push_str("stats:\n");
    let binds: Vec<_> = proxy.binds.iter().map(|b| bind(b, base, None)).collect();
    let _ = writeln!(out, "  bind: [{}]", binds.join(", "));
    if !proxy.stats.users.is_empty() {
        let realm = proxy.stats.realm.as_deref().unwrap_or("HAProxy Statistics");
        let _ = writeln!(out, "  basic_auth: {}", users(&proxy.stats.users, realm));
    }
    if let Some(uri) = &proxy.stats.uri {
        let _ = writeln!(out, "  uri: {uri:?}");
    }
    match &proxy.stats.refresh {
        Some(time) => {
            let _ = writeln!(out, "  refresh: {time}");
        }
        None => out.push_str("  refresh: 0s\n"),
    }
    let mode = match (proxy.stats.admin, proxy.stats.users.is_empty()) {
        (false, _) => "off",
        (true, true) => "any",
        (true, false) => "basic",
    };
    let _ = writeln!(out, "  admin: {{mode: {mode}}}");
}
