//! The configuration in effect, as YAML that reads back as the same, or as JSON. Passwords are not in it.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use tocsin_service::duration::format_duration;
use tocsin_service::secret::HIDDEN;

use super::{
    AdminMode, AlertMode, BackendOptions, BasicAuth, BindOptions, CheckOptions, Cidr, ClientVerify,
    Config, FrontendOptions, InitialHealth, Level, Log, LogFormat, LogLevel, LogPrefix, LogTo,
    ObserveMode, OnError, RetryOn, ServerOptions, StatsOptions, Timeouts, TlsBind, TlsServer,
};

/// What a file says: scalars are JSON's, which YAML understands.
enum Tree {
    Scalar(String),
    List(Vec<Tree>),
    Map(Vec<(&'static str, Tree)>),
}

impl From<&str> for Tree {
    fn from(text: &str) -> Self {
        let mut out = Vec::new();
        crate::access::json_text(&mut out, text.as_bytes());
        Tree::Scalar(String::from_utf8_lossy(&out).into_owned())
    }
}

impl From<bool> for Tree {
    fn from(on: bool) -> Self {
        Tree::Scalar(on.to_string())
    }
}

impl From<u64> for Tree {
    fn from(number: u64) -> Self {
        Tree::Scalar(number.to_string())
    }
}

impl From<u32> for Tree {
    fn from(number: u32) -> Self {
        Tree::from(u64::from(number))
    }
}

impl From<usize> for Tree {
    fn from(number: usize) -> Self {
        Tree::Scalar(number.to_string())
    }
}

impl From<Duration> for Tree {
    fn from(time: Duration) -> Self {
        Tree::from(format_duration(time).as_str())
    }
}

impl From<&Path> for Tree {
    fn from(path: &Path) -> Self {
        Tree::from(path.display().to_string().as_str())
    }
}

impl From<&[Cidr]> for Tree {
    fn from(blocks: &[Cidr]) -> Self {
        texts(blocks.iter().map(ToString::to_string))
    }
}

fn path(path: Option<&Path>) -> Tree {
    path.map_or(Tree::from(""), Tree::from)
}

fn texts(all: impl Iterator<Item = String>) -> Tree {
    Tree::List(all.map(|text| Tree::from(text.as_str())).collect())
}

fn null() -> Tree {
    Tree::Scalar("null".to_owned())
}

impl Config {
    /// As YAML.
    pub fn to_yaml(&self) -> String {
        let mut out = String::new();
        block(&mut out, &self.tree(), 0);
        out
    }

    /// As JSON.
    pub fn to_json(&self) -> String {
        flow(&self.tree(), true)
    }

    fn tree(&self) -> Tree {
        let global = &self.global;
        let mut globals = vec![
            ("maxconn", global.maxconn.into()),
            ("threads", global.threads.into()),
            ("daemon", global.daemon.into()),
            ("pid_file", path(global.pid_file.as_deref())),
            ("user", global.user.as_deref().unwrap_or_default().into()),
            ("group", global.group.as_deref().unwrap_or_default().into()),
            ("chroot", path(global.chroot.as_deref())),
            ("hard_stop_after", global.hard_stop_after.into()),
            ("compat_version", global.compat_version.as_str().into()),
            ("log", Tree::List(self.log.iter().map(log).collect())),
        ];
        if let Some(watchdog) = &global.watchdog {
            let url = watchdog.url.as_str().into();
            globals.push((
                "watchdog",
                Tree::Map(vec![("after", watchdog.after.into()), ("url", url)]),
            ));
        }
        Tree::Map(vec![
            ("global", Tree::Map(globals)),
            ("admin_socket", self.admin_socket.as_ref().map_or_else(null, socket)),
            ("frontends", Tree::List(self.frontends.iter().map(frontend).collect())),
            ("backends", Tree::List(self.backends.iter().map(backend).collect())),
            ("stats", self.stats.as_ref().map_or_else(null, stats)),
        ])
    }
}

fn log(log: &Log) -> Tree {
    let to = match &log.to {
        LogTo::Stdout => "stdout".to_owned(),
        LogTo::Stderr => "stderr".to_owned(),
        LogTo::File(path) => path.display().to_string(),
        LogTo::Udp(address) => format!("udp://{address}"),
        LogTo::Unix(path) => format!("unix://{}", path.display()),
    };
    let format = match log.format {
        LogFormat::Httplog => "httplog",
        LogFormat::Json => "json",
    };
    let level = match log.level {
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Notice => "notice",
        LogLevel::Warn => "warn",
        LogLevel::Error => "error",
    };
    let prefix = match log.prefix {
        LogPrefix::None => "none",
        LogPrefix::Rfc3164 => "rfc3164",
        LogPrefix::Rfc5424 => "rfc5424",
    };
    let facility = super::FACILITIES.get(usize::from(log.facility)).copied();
    Tree::Map(vec![
        ("to", to.as_str().into()),
        ("format", format.into()),
        ("level", level.into()),
        ("prefix", prefix.into()),
        ("facility", facility.unwrap_or("local0").into()),
        ("tag", log.tag.as_str().into()),
        ("separate_errors", log.separate_errors.into()),
    ])
}

fn socket(socket: &super::AdminSocket) -> Tree {
    let level = match socket.level {
        Level::User => "user",
        Level::Operator => "operator",
        Level::Admin => "admin",
    };
    let mut fields = vec![
        ("mode", format!("0{:o}", socket.mode).as_str().into()),
        ("owner", socket.owner.as_deref().unwrap_or_default().into()),
        ("level", level.into()),
        ("timeout", socket.timeout.into()),
        ("maxconn", socket.maxconn.into()),
    ];
    // The default path is tried, one that is named must work.
    if socket.given {
        fields.insert(0, ("path", socket.path.as_path().into()));
    }
    Tree::Map(fields)
}

fn timeouts(timeouts: &Timeouts) -> Tree {
    Tree::Map(vec![
        ("http_request", timeouts.http_request.into()),
        ("http_keep_alive", timeouts.http_keep_alive.into()),
        ("client", timeouts.client.into()),
        ("connect", timeouts.connect.into()),
        ("queue", timeouts.queue.into()),
        ("server", timeouts.server.into()),
        ("check", timeouts.check.into()),
    ])
}

fn frontend(front: &FrontendOptions) -> Tree {
    let (forward, limits) = (&front.forward_for, &front.limits);
    let mut fields = vec![
        ("name", front.name.as_str().into()),
        ("bind", Tree::List(front.bind.iter().map(bind).collect())),
        ("maxconn", front.maxconn.into()),
        (
            "forward_for",
            Tree::Map(vec![
                ("enabled", forward.enabled.into()),
                ("header", forward.header.as_str().into()),
                ("if_none", forward.if_none.into()),
                ("except", forward.except.as_slice().into()),
            ]),
        ),
        ("forwarded_proto", front.forwarded_proto.into()),
        ("via", front.via.as_str().into()),
        ("dont_log_null", front.dont_log_null.into()),
        (
            "limits",
            Tree::Map(vec![
                ("header_bytes", limits.header_bytes.into()),
                ("headers", limits.headers.into()),
                ("uri_bytes", limits.uri_bytes.into()),
                ("body_bytes", limits.body_bytes.into()),
                ("requests_per_connection", limits.requests_per_connection.into()),
            ]),
        ),
        ("timeouts", timeouts(&front.timeouts)),
        ("allow", front.allow.as_slice().into()),
        ("proxy_from", front.proxy_from.as_slice().into()),
        ("default_backend", front.default_backend.as_str().into()),
        ("shutdown_delay", front.shutdown_delay.into()),
    ];
    fields.extend(front.tls.as_ref().map(|tls| ("tls", tls_bind(tls))));
    fields.extend(front.basic_auth.as_ref().map(|auth| ("basic_auth", users(auth))));
    Tree::Map(fields)
}

fn bind(bind: &BindOptions) -> Tree {
    if *bind == BindOptions::new(&bind.address) {
        return bind.address.as_str().into();
    }
    let mut fields = vec![
        ("address", bind.address.as_str().into()),
        ("http2", bind.http2.into()),
        ("v6only", bind.v6only.into()),
    ];
    fields.extend(bind.tls.as_ref().map(|tls| ("tls", tls_bind(tls))));
    // Said, it asks for networks to believe.
    if !bind.accept_proxy {
        fields.push(("accept_proxy", false.into()));
    }
    Tree::Map(fields)
}

fn tls_bind(tls: &TlsBind) -> Tree {
    let verify = match tls.verify {
        ClientVerify::None => "none",
        ClientVerify::Optional => "optional",
        ClientVerify::Required => "required",
    };
    let pair = |certificate: &Path, key: &Path| {
        vec![("cert_file", certificate.into()), ("key_file", key.into())]
    };
    let mut fields = pair(&tls.certificate, &tls.key);
    fields.push(("client_ca", path(tls.client_ca.as_deref())));
    fields.push(("verify", verify.into()));
    fields.push(("min_version", if tls.only_13 { "TLS13" } else { "TLS12" }.into()));
    fields.extend(tls.client_header.as_deref().map(|h| ("client_cert_header", h.into())));
    let more = tls.more.iter().map(|(certificate, key)| Tree::Map(pair(certificate, key)));
    fields.push(("certificates", Tree::List(more.collect())));
    Tree::Map(fields)
}

fn users(auth: &BasicAuth) -> Tree {
    let listed = auth.users.iter().map(|(name, _)| format!("{name}: {HIDDEN}"));
    let mut fields = vec![
        ("users_file", path(auth.users_file.as_deref())),
        ("realm", auth.realm.as_str().into()),
    ];
    if !auth.users.is_empty() {
        fields.push(("users", texts(listed)));
    }
    Tree::Map(fields)
}

fn backend(backend: &BackendOptions) -> Tree {
    let alerts = &backend.alerts;
    let mode = match alerts.mode {
        AlertMode::Balance => "balance",
        AlertMode::Fanout => "fanout",
        AlertMode::Auto => "auto",
    };
    let observe = match backend.observe.mode {
        ObserveMode::None => "none",
        ObserveMode::Layer4 => "layer4",
        ObserveMode::Layer7 => "layer7",
    };
    let on_error = match backend.observe.on_error {
        OnError::FastInter => "fastinter",
        OnError::FailCheck => "fail-check",
        OnError::SuddenDeath => "sudden-death",
        OnError::MarkDown => "mark-down",
    };
    let marked_down = if backend.shut_when_down { "shutdown" } else { "keep" };
    Tree::Map(vec![
        ("name", backend.name.as_str().into()),
        ("balance", backend.balance.name().into()),
        ("connection", if backend.keep_alive { "keep-alive" } else { "server-close" }.into()),
        ("retries", backend.retries.into()),
        ("redispatch", backend.redispatch.into()),
        ("retry_on", retry_on(&backend.retry_on)),
        ("connect_try", backend.connect_try.into()),
        (
            "alerts",
            Tree::Map(vec![
                ("mode", mode.into()),
                ("try_timeout", alerts.try_timeout.into()),
                ("deadline", alerts.deadline.into()),
                ("memory", alerts.memory.into()),
            ]),
        ),
        ("health_check", check(&backend.check)),
        (
            "observe",
            Tree::Map(vec![
                ("mode", observe.into()),
                ("error_limit", backend.observe.error_limit.into()),
                ("on_error", on_error.into()),
            ]),
        ),
        ("on_marked_down", marked_down.into()),
        ("timeouts", timeouts(&backend.timeouts)),
        ("pool_size", backend.pool_size.into()),
        ("pool_idle", backend.pool_idle.into()),
        ("all_backups", backend.all_backups.into()),
        ("servers", Tree::List(backend.servers.iter().map(server).collect())),
    ])
}

fn retry_on(rule: &RetryOn) -> Tree {
    let words = [
        ("conn-failure", rule.conn_failure),
        ("empty-response", rule.empty_response),
        ("junk-response", rule.junk_response),
        ("response-timeout", rule.response_timeout),
    ];
    let named = words.into_iter().filter(|(_, on)| *on).map(|(word, _)| word.to_owned());
    texts(named.chain(rule.statuses.iter().map(u16::to_string)))
}

fn check(check: &CheckOptions) -> Tree {
    let init = match check.init {
        InitialHealth::Up => "up",
        InitialHealth::FullyUp => "fully-up",
        InitialHealth::Down => "down",
    };
    let range = |(low, high): &(u16, u16)| match low == high {
        true => low.to_string(),
        false => format!("{low}-{high}"),
    };
    Tree::Map(vec![
        ("path", check.path.as_str().into()),
        ("method", check.method.as_str().into()),
        ("host", check.host.as_str().into()),
        ("expect", texts(check.expect.iter().map(range))),
        ("interval", check.interval.into()),
        ("fast_interval", check.fast_interval.into()),
        ("down_interval", check.down_interval.into()),
        ("fall", check.fall.into()),
        ("rise", check.rise.into()),
        ("spread", format!("{}%", check.spread).as_str().into()),
        ("init", init.into()),
        ("disable_on_404", check.disable_on_404.into()),
        ("tls", check.tls.into()),
    ])
}

fn server(server: &ServerOptions) -> Tree {
    let mut fields = vec![
        ("name", server.name.as_str().into()),
        ("address", server.address.as_str().into()),
        ("weight", server.weight.into()),
        ("maxconn", server.maxconn.into()),
        ("maxqueue", server.maxqueue.into()),
        ("backup", server.backup.into()),
        ("slow_start", server.slow_start.into()),
        ("disabled", server.disabled.into()),
        ("check", server.check.into()),
    ];
    fields.extend(server.health.as_ref().map(|own| ("health_check", check(own))));
    fields.extend(server.tls.as_ref().map(|tls| ("tls", tls_server(tls))));
    Tree::Map(fields)
}

fn tls_server(tls: &TlsServer) -> Tree {
    let mut fields = vec![("ca_file", path(tls.ca.as_deref())), ("verify", tls.verify.into())];
    fields.extend(tls.server_name.as_deref().map(|name| ("server_name", name.into())));
    let own = tls.certificate.as_deref().zip(tls.key.as_deref());
    if let Some((certificate, key)) = own {
        fields.extend([("cert_file", certificate.into()), ("key_file", key.into())]);
    }
    Tree::Map(fields)
}

fn stats(stats: &StatsOptions) -> Tree {
    let mode = match stats.admin {
        AdminMode::Off => "off",
        AdminMode::Token => "token",
        AdminMode::Basic => "basic",
        AdminMode::Any => "any",
    };
    let mut admin = vec![("mode", mode.into()), ("token_file", path(stats.token_file.as_deref()))];
    let mut fields = vec![
        ("bind", Tree::List(stats.bind.iter().map(bind).collect())),
        ("uri", stats.uri.as_str().into()),
        ("alias", texts(stats.alias.iter().cloned())),
        ("hosts", texts(stats.hosts.iter().cloned())),
        ("refresh", stats.refresh.into()),
        ("maxconn", stats.maxconn.into()),
        ("legends", stats.legends.into()),
        ("haproxy_metrics", stats.haproxy_metrics.into()),
    ];
    match &stats.users {
        Some(auth) if stats.users_only => fields.push(("basic_auth", users(auth))),
        Some(BasicAuth { users_file, users, realm }) => {
            let listed = users.iter().map(|(name, _)| format!("{name}: {HIDDEN}"));
            admin.extend([
                ("users_file", path(users_file.as_deref())),
                ("realm", realm.as_str().into()),
            ]);
            if !users.is_empty() {
                admin.push(("users", texts(listed)));
            }
        }
        None => {}
    }
    fields.push(("admin", Tree::Map(admin)));
    Tree::Map(fields)
}

/// One line: JSON, or a flow of YAML, whose keys need no quotes.
fn flow(tree: &Tree, quoted: bool) -> String {
    let quote = if quoted { "\"" } else { "" };
    match tree {
        Tree::Scalar(text) => text.clone(),
        Tree::List(all) => {
            let all: Vec<_> = all.iter().map(|one| flow(one, quoted)).collect();
            format!("[{}]", all.join(", "))
        }
        Tree::Map(fields) => {
            let one = |(key, value): &(&str, Tree)| {
                format!("{quote}{key}{quote}: {}", flow(value, quoted))
            };
            let all: Vec<_> = fields.iter().map(one).collect();
            format!("{{{}}}", all.join(", "))
        }
    }
}

/// A line for each field of the upper levels; what is small stays on one.
fn block(out: &mut String, tree: &Tree, indent: usize) {
    let Tree::Map(fields) = tree else { return };
    for (at, (key, value)) in fields.iter().enumerate() {
        // The first field of a list's entry stands behind its dash.
        let dashed = at == 0 && out.ends_with("- ");
        let space = if dashed { 0 } else { indent };
        let small = flow(value, false);
        let lists_maps = |all: &Vec<Tree>| all.iter().any(|one| matches!(one, Tree::Map(_)));
        match value {
            Tree::List(all) if lists_maps(all) => {
                let _ = writeln!(out, "{:space$}{key}:", "");
                for one in all {
                    let _ = write!(out, "{:1$}- ", "", indent + 2);
                    match one {
                        Tree::Map(_) if flow(one, false).len() > 160 => block(out, one, indent + 4),
                        one => {
                            let _ = writeln!(out, "{}", flow(one, false));
                        }
                    }
                }
            }
            Tree::Map(_) if small.len() > 120 => {
                let _ = writeln!(out, "{:space$}{key}:", "");
                block(out, value, indent + 2);
            }
            _ => {
                let _ = writeln!(out, "{:space$}{key}: {small}", "");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;

    #[track_caller]
    fn reads_back(text: &str) {
        let config = parse(text, "lb.yml").unwrap_or_else(|e| panic!("{e}"));
        let shown = config.to_yaml();
        let again = parse(&shown, "shown").unwrap_or_else(|e| panic!("{e}\n{shown}"));
        assert_eq!(again, config, "{shown}");
        let json = parse(&config.to_json(), "json").unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(json, config);
    }

    #[test]
    fn what_is_shown_reads_back_as_the_same() {
        reads_back("backends: [{name: b, servers: ['a:1', '[::1]:2']}]\n");
        reads_back(
            "
global: {threads: 3, user: u, watchdog: {after: 90s, url: 'http://h/x'}, log: [{to: 'udp://h:514', level: notice}, {to: /x, format: json}]}
admin_socket: {path: /s, mode: '0600', level: operator, owner: 'a:b'}
timeouts: {client: 1500ms}
frontends:
  - name: f
    bind: ['*:1', {address: '[::]:2', v6only: true, accept_proxy: false, tls: {cert_file: /c, key_file: /k, min_version: TLS13, certificates: [{cert_file: /d, key_file: /l}]}}]
    tls: {cert_file: /c, key_file: /k, client_ca: /a, verify: optional, client_cert_header: X-CN}
    forward_for: {except: [10.0.0.0/8, '::1'], header: X-Y}
    via: lb
    basic_auth: {users_file: /u, realm: 'a b'}
    proxy_from: [0.0.0.0/0, '2001:db8::/32']
    allow: [192.0.2.7]
backends:
  - name: b
    retry_on: [junk-response, 503]
    alerts: {mode: fanout, memory: 1GiB}
    observe: {mode: layer7, on_error: mark-down}
    on_marked_down: shutdown
    health_check: {expect: [200, 300-399], interval: 250ms, spread: 10%}
    servers:
      - {name: x, address: 'a:1', maxqueue: 4, slow_start: 1m, tls: {ca_file: /a, server_name: n, cert_file: /c, key_file: /k}}
      - {name: y, address: 'b:1', health_check: {path: '/\"q', tls: false}, tls: {verify: false}}
stats: {bind: ['*:3'], alias: ['/haproxy?stats'], hosts: [h], admin: {mode: basic, users_file: /v}}
",
        );
        reads_back(
            "backends: [{name: b, retry_on: [none], servers: ['a:1']}]\nstats:\nadmin_socket:\n",
        );
        reads_back(
            "backends: [{name: b, servers: ['a:1']}]\nstats: {basic_auth: {users_file: /u}}\n",
        );
    }

    #[test]
    fn passwords_are_not_shown() {
        let hash = "$2b$10$abcdefghijklmnopqrstuu5Tz0eyRXa8p1J0nGv7kF8tqQkMeSmIa";
        let text = format!(
            "backends: [{{name: b, servers: ['a:1']}}]\nstats: {{admin: {{mode: basic, users: {{ann: {hash}}}}}}}\n"
        );
        let config = parse(&text, "lb.yml").unwrap();
        let shown = config.to_yaml() + &config.to_json();
        assert!(shown.contains("ann: <secret>") && !shown.contains("$2b"), "{shown}");
    }
}
