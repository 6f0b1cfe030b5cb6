//! What the socket tells of the process: `show info`, server states, sessions.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::backend::{Admin, Backend};
use crate::balancer::Balancer;

/// Version that tools ask for: HAProxy's, marked as ours.
pub(super) fn version(lb: &Balancer) -> String {
    format!("{}-tocsin", lb.topology.load().config.global.compat_version)
}

/// Facts in HAProxy's order, with their kind.
fn facts(lb: &Balancer) -> Vec<(&'static str, String)> {
    let topology = lb.topology.load();
    let seconds = lb.clock.now_ms() / 1000;
    let uptime = format!(
        "{}d {}h{:02}m{:02}s",
        seconds / 86400,
        seconds / 3600 % 24,
        seconds / 60 % 60,
        seconds % 60
    );
    let fronts = || topology.frontends.iter();
    let sum = |f: &dyn Fn(&crate::balancer::Frontend) -> u64| fronts().map(|x| f(x)).sum::<u64>();
    let hard_maxconn = u64::from(topology.config.global.maxconn);
    let maxconn = u64::from(lb.maxconn.load(Relaxed));
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(0);
    let rate = sum(&|f| f.counters.meters().sessions.rate);
    let rate_max = sum(&|f| f.counters.meters().sessions.max);
    let bytes_out = sum(&|f| f.counters.totals().bytes_out);
    let node = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let number = |n: u64| n.to_string();
    let load = *lb.load.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let limited = u64::from(lb.conn_rate.load(Relaxed));
    vec![
        ("Name", "HAProxy".to_owned()),
        ("Version", version(lb)),
        ("Release_date", "2026/11/24".to_owned()),
        ("Tocsin_version", env!("CARGO_PKG_VERSION").to_owned()),
        ("Nbthread", number(lb.workers as u64)),
        ("Nbproc", number(1)),
        ("Process_num", number(1)),
        ("Pid", number(u64::from(std::process::id()))),
        ("Uptime", uptime),
        ("Uptime_sec", number(seconds)),
        ("Memmax_MB", number(0)),
        ("Ulimit-n", number(limit)),
        ("Maxsock", number(limit)),
        ("Maxconn", number(maxconn)),
        ("Hard_maxconn", number(hard_maxconn)),
        ("CurrConns", number(u64::from(lb.clients()))),
        ("CumConns", number(sum(&|f| f.counters.totals().total))),
        ("CumReq", number(sum(&|f| f.counters.totals().requests))),
        ("ConnRate", number(rate)),
        ("ConnRateLimit", number(limited)),
        ("MaxConnRate", number(rate_max)),
        ("SessRate", number(rate)),
        ("SessRateLimit", number(limited)),
        ("MaxSessRate", number(rate_max)),
        ("Tasks", number(u64::from(lb.clients()) + 2)),
        ("Run_queue", number(0)),
        ("Idle_pct", number(load.idle_percent())),
        ("node", node),
        ("Stopping", number(u64::from(lb.draining.is_cancelled()))),
        ("Jobs", number(u64::from(lb.clients()) + lb.sockets.count() as u64)),
        ("Listeners", number(lb.sockets.count() as u64)),
        ("DroppedLogs", number(lb.log.dropped())),
        ("TotalBytesOut", number(bytes_out)),
        ("BytesOutRate", number(load.bytes_per_s())),
        ("Build info", version(lb)),
        ("Start_time_sec", lb.started.as_second().to_string()),
    ]
}

/// `show info`, plain, `typed` or `json`.
pub(super) fn text(lb: &Balancer, words: &[&str]) -> String {
    let facts = facts(lb);
    let is_number = |v: &str| v.bytes().all(|b| b.is_ascii_digit());
    let mut out = String::new();
    if words.contains(&"json") {
        let object = |(at, (name, value)): (usize, &(&str, String))| {
            let kind = if is_number(value) { "u32" } else { "str" };
            let mut text = Vec::new();
            match kind {
                "str" => crate::access::json_text(&mut text, value.as_bytes()),
                _ => text.extend_from_slice(value.as_bytes()),
            }
            format!(
                "{{\"field\":{{\"pos\":{at},\"name\":\"{name}\"}},\"processNum\":1,\"value\":{{\"type\":\
                 \"{kind}\",\"value\":{}}}}}",
                String::from_utf8_lossy(&text)
            )
        };
        let objects: Vec<_> = facts.iter().enumerate().map(object).collect();
        return format!("[{}]\n", objects.join(","));
    }
    for (at, (name, value)) in facts.iter().enumerate() {
        let _ = if words.contains(&"typed") {
            let kind = if is_number(value) { "u32" } else { "str" };
            writeln!(out, "{at}.{name}.1:MGP:{kind}:{value}")
        } else {
            writeln!(out, "{name}: {value}")
        };
    }
    out
}

fn chosen(lb: &Balancer, name: Option<&str>) -> Option<Vec<Arc<Backend>>> {
    match name {
        Some(name) => lb.backend(name).ok().map(|b| vec![b]),
        None => Some(lb.topology.load().backends.clone()),
    }
}

/// `show servers state`, version 1.
pub(super) fn servers_state(lb: &Balancer, name: Option<&str>) -> String {
    let Some(backends) = chosen(lb, name) else { return "Can't find backend.\n".to_owned() };
    let mut out =
        "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight \
                   srv_iweight srv_time_since_last_change srv_check_status srv_check_result \
                   srv_check_health srv_check_state srv_agent_state bk_f_forced_id srv_f_forced_id \
                   srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr \
                   srv_agent_addr srv_agent_port\n"
            .to_owned();
    let now_ms = lb.clock.now_ms();
    for backend in &backends {
        for server in &backend.servers {
            let now = server.snapshot(now_ms);
            let target = server.target();
            let (host, port) = target.text.rsplit_once(':').unwrap_or((&target.text, "0"));
            let address = target.address.map_or("-".to_owned(), |a| a.ip().to_string());
            let op = match (now.up, now.throttle) {
                _ if now.admin == Admin::Maint => 0,
                (false, _) => 0,
                (true, Some(_)) => 1,
                (true, None) => 2,
            };
            let admin = match (now.admin, server.options.disabled) {
                (Admin::Ready, _) => 0,
                (Admin::Maint, true) => 5,
                (Admin::Maint, false) => 1,
                (Admin::Drain, _) => 8,
            };
            let result = match now.result.status.passed() {
                true => 3,
                false if now.result.status.number() < 2 => 0,
                false => 2,
            };
            let state = if now.checked { 2 } else { 0 } + if now.checks_on { 4 } else { 0 };
            let fqdn = if target.text.parse::<std::net::SocketAddr>().is_ok() { "-" } else { host };
            let _ = writeln!(
                out,
                "{} {} {} {} {address} {op} {admin} {} {} {} {} {result} {} {state} 0 0 0 {fqdn} {port} - 0 \
                 0 - - 0",
                backend.id,
                backend.options.name,
                server.id,
                server.name(),
                server.weight(),
                server.options.weight,
                now.since_change_s,
                now.result.status.number(),
                now.health.value(),
            );
        }
    }
    out
}

/// `show servers conn`.
pub(super) fn servers_conn(lb: &Balancer, name: Option<&str>) -> String {
    let Some(backends) = chosen(lb, name) else { return "Can't find backend.\n".to_owned() };
    let mut out =
        "# bkname/svname bkid/svid addr port - purge_delay used_cur used_max need_est unsafe_nb \
                   safe_nb idle_lim idle_cur\n"
            .to_owned();
    for backend in &backends {
        for server in &backend.servers {
            let target = server.target();
            let address = target.address.map_or("-".to_owned(), |a| a.ip().to_string());
            let port = target.address.map_or(0, |a| a.port());
            let idle = server.idle().load(Relaxed);
            let _ = writeln!(
                out,
                "{}/{} {}/{} {address} {port} - {} {} {} {} 0 {idle} -1 {idle}",
                backend.options.name,
                server.name(),
                backend.id,
                server.id,
                backend.options.pool_idle.as_millis(),
                server.active(),
                server.counters.most(),
                server.active(),
            );
        }
    }
    out
}

/// `show peers`: what each server said of itself last.
pub(super) fn peers(lb: &Balancer) -> String {
    let mut out = "# be_name srv_name version config members clock_ahead_s\n".to_owned();
    for backend in &lb.topology.load().backends {
        for server in &backend.servers {
            let (pool, name) = (&backend.options.name, server.name());
            let _ = match server.node() {
                Some(node) => writeln!(
                    out,
                    "{pool} {name} {} {:016x} {} {}",
                    node.version, node.config, node.members, node.ahead_s
                ),
                None => writeln!(out, "{pool} {name} - - - -"),
            };
        }
    }
    out
}

/// `show env`: what the process was started with, but for what is secret.
pub(super) fn environment(wanted: Option<&str>) -> String {
    let all = std::env::vars_os().map(|(name, value)| {
        (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned())
    });
    let mut lines: Vec<_> = all
        .filter(|(name, _)| wanted.is_none_or(|w| w == name))
        .map(|(name, value)| {
            let words = ["TOKEN", "SECRET", "PASSWORD", "KEY"];
            let is_secret = words.iter().any(|w| name.to_ascii_uppercase().contains(w));
            format!("{name}={}\n", if is_secret { "<secret>" } else { &value })
        })
        .collect();
    lines.sort_unstable();
    if lines.is_empty() { "Variable not found\n".to_owned() } else { lines.concat() }
}

/// `show sess`.
pub(super) fn sessions(lb: &Balancer, id: Option<&str>) -> String {
    let id = id.map(|id| u64::from_str_radix(id.trim_start_matches("0x"), 16).unwrap_or(u64::MAX));
    let now_ms = lb.clock.now_ms();
    let topology = lb.topology.load();
    let mut out = String::new();
    for watch in lb.registers.iter().flat_map(|r| r.all()) {
        let about = watch.about();
        if about.client.is_empty() || id.is_some_and(|id| id != about.id) {
            continue;
        }
        let serving = watch.serving();
        let backend = topology.backends.iter().find(|b| u64::from(b.id) == serving >> 32);
        let server = backend
            .and_then(|b| b.servers.iter().find(|s| u64::from(s.id) == serving & 0xffff_ffff));
        let _ = writeln!(
            out,
            "{:#x}: proto={} src={} fe={} be={} srv={} age={}s",
            about.id,
            if about.protocol == "h2" { "tcpv4-h2" } else { "tcpv4" },
            about.client,
            about.frontend,
            backend.map_or("<NONE>", |b| &b.options.name),
            server.map_or("<none>", |s| s.name()),
            now_ms.saturating_sub(about.since_ms) / 1000
        );
    }
    out
}
