//! The YAML file into configuration: every key with its default, every mistake with its place.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tocsin_service::mistake::{Mistake, Mistakes};
use tocsin_service::yaml::{self, Field, Section};

use super::flag::{is_host_port, is_name};
use super::front::{basic_auth, binds, frontend};
use super::log::logs;
use super::{
    AdminMode, AdminSocket, AlertMode, AlertOptions, BackendOptions, Balance, CheckOptions, Config,
    FrontendOptions, Global, InitialHealth, Level, Observe, ObserveMode, OnError, RetryOn,
    ServerOptions, StatsOptions, Timeouts, TlsServer, Watchdog,
};

/// Reads and checks a file.
/// # Errors
/// All mistakes of the file at once, or why it cannot be read.
pub fn load(path: &Path) -> Result<Config, Mistakes> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|e| {
        Mistakes::from(Mistake::of_file(name.as_str(), format!("cannot be read: {e}")))
    })?;
    parse(&text, &name)
}

/// Reads and checks a text; `file` is its name in messages.
/// # Errors
/// All mistakes at once.
pub fn parse(text: &str, file: &str) -> Result<Config, Mistakes> {
    yaml::parse(text, file)?.read(root).map(|reading| reading.value)
}

fn root(section: &Section<'_>) -> Config {
    let timeouts = timeouts(&section.section_or_empty("timeouts"), Timeouts::default());
    let default = Config::default();
    let frontends: Vec<_> =
        section.list("frontends").iter().filter_map(|f| frontend(f, timeouts)).collect();
    let backends: Vec<_> =
        section.list("backends").iter().filter_map(|f| backend(f, timeouts)).collect();
    let mut frontends = if frontends.is_empty() {
        {
            let first = |f| FrontendOptions { timeouts, default_backend: String::new(), ..f };
            default.frontends.into_iter().map(first).collect()
        }
    } else {
        frontends
    };
    let backends = if backends.is_empty() {
        default.backends.into_iter().map(|b| BackendOptions { timeouts, ..b }).collect()
    } else {
        backends
    };
    for frontend in &mut frontends {
        if frontend.default_backend.is_empty() {
            frontend.default_backend.clone_from(&backends[0].name);
        } else if !backends.iter().any(|b| b.name == frontend.default_backend) {
            let wanted = &frontend.default_backend;
            section.mistake(format!("frontend {:?} names no backend: {wanted:?}", frontend.name));
        }
    }
    unique(section, "frontend", frontends.iter().map(|f| f.name.as_str()));
    unique(section, "backend", backends.iter().map(|b| b.name.as_str()));
    let stats = match section.field("stats") {
        Some(field) if field.is_null() => None,
        _ => Some(stats(&section.section_or_empty("stats"))),
    };
    let global_section = section.section_or_empty("global");
    let log = logs(&global_section);
    Config {
        global: global(&global_section),
        log,
        admin_socket: match section.field("admin_socket") {
            Some(field) if field.is_null() => None,
            _ => Some(admin_socket(&section.section_or_empty("admin_socket"))),
        },
        frontends,
        backends,
        stats,
    }
}

fn unique<'a>(section: &Section<'_>, what: &str, names: impl Iterator<Item = &'a str>) {
    let mut seen = Vec::new();
    for name in names {
        if seen.contains(&name) {
            section.mistake(format!("two of the {what}s are called {name:?}"));
        }
        seen.push(name);
    }
}

pub(super) fn number<T: TryFrom<u64>>(section: &Section<'_>, key: &'static str, default: T) -> T {
    let Some(field) = section.given(key) else { return default };
    let Some(value) = field.unsigned() else { return default };
    T::try_from(value).unwrap_or_else(|_| {
        field.mistake(format!("{value} is too large"));
        default
    })
}

/// One of several words.
pub(super) fn word<T: Copy>(
    section: &Section<'_>,
    key: &'static str,
    words: &[(&str, T)],
    default: T,
) -> T {
    let Some(field) = section.given(key) else { return default };
    let Some(text) = field.text() else { return default };
    match words.iter().find(|(name, _)| *name == text) {
        Some((_, value)) => *value,
        None => {
            let names: Vec<_> = words.iter().map(|(name, _)| *name).collect();
            field.mistake(format!("{text:?} is none of {}", names.join(", ")));
            default
        }
    }
}

/// A size such as `16KiB`, `64MiB` or a plain number of bytes.
pub(super) fn size(section: &Section<'_>, key: &'static str, default: u64) -> u64 {
    let Some(field) = section.given(key) else { return default };
    let Some(text) = field.text() else { return default };
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("B", 0), ("", 0)];
    let parsed = units.iter().find_map(|(unit, shift)| {
        let digits = text.strip_suffix(unit)?.trim();
        digits.parse::<u64>().ok()?.checked_shl(*shift)
    });
    parsed.unwrap_or_else(|| {
        field.mistake(format!("{text:?} is not a size such as 64MiB"));
        default
    })
}

pub(super) fn name(section: &Section<'_>, what: &str) -> String {
    match section.given("name").and_then(|f| f.text().map(|t| (f, t))) {
        Some((_, text)) if is_name(&text) => text,
        Some((field, text)) => {
            field.mistake(format!("{text:?} has other characters than letters, digits and -_.:"));
            text
        }
        None => {
            section.mistake(format!("a {what} needs a name"));
            String::new()
        }
    }
}

pub(super) fn timeouts(section: &Section<'_>, default: Timeouts) -> Timeouts {
    Timeouts {
        http_request: section.duration_or("http_request", default.http_request),
        http_keep_alive: section.duration_or("http_keep_alive", default.http_keep_alive),
        client: section.duration_or("client", default.client),
        connect: section.duration_or("connect", default.connect),
        queue: section.duration_or("queue", default.queue),
        server: section.duration_or("server", default.server),
        check: section.duration_or("check", default.check),
    }
}

fn global(section: &Section<'_>) -> Global {
    let default = Global::default();
    let path = |key| section.given(key).and_then(|f| f.text()).filter(|t| !t.is_empty());
    Global {
        maxconn: number(section, "maxconn", default.maxconn),
        threads: number(section, "threads", default.threads),
        daemon: section.bool_or("daemon", false),
        pid_file: path("pid_file").map(PathBuf::from),
        user: path("user"),
        group: path("group"),
        chroot: path("chroot").map(PathBuf::from),
        hard_stop_after: section.duration_or("hard_stop_after", default.hard_stop_after),
        compat_version: section.text_or("compat_version", &default.compat_version),
        watchdog: section.section("watchdog").and_then(|s| watchdog(&s)),
    }
}

fn watchdog(section: &Section<'_>) -> Option<Watchdog> {
    let after = section.duration_or("after", Duration::ZERO);
    let url = section.text_or("url", "");
    if url.is_empty() {
        if !after.is_zero() {
            section.mistake("a watchdog needs a url");
        }
        return None;
    }
    if crate::watchdog::parts(&url).is_none() {
        section.mistake("the url must be http://HOST/PATH or https://HOST/PATH");
    }
    Some(Watchdog { after, url })
}

fn admin_socket(section: &Section<'_>) -> AdminSocket {
    let default = AdminSocket::default();
    let levels = [("user", Level::User), ("operator", Level::Operator), ("admin", Level::Admin)];
    let mode = section.given("mode").and_then(|f| f.text().map(|t| (f, t)));
    let mode = mode.map_or(default.mode, |(field, text)| {
        u32::from_str_radix(&text, 8).ok().filter(|m| *m <= 0o777).unwrap_or_else(|| {
            field.mistake(format!("{text:?} is not an octal mode such as \"0660\""));
            default.mode
        })
    });
    AdminSocket {
        given: section.has("path"),
        path: PathBuf::from(section.text_or("path", &default.path.display().to_string())),
        mode,
        owner: section.given("owner").and_then(|f| f.text()).filter(|t| !t.is_empty()),
        level: word(section, "level", &levels, default.level),
        timeout: section.duration_or("timeout", default.timeout),
        maxconn: number(section, "maxconn", default.maxconn),
    }
}

const MARKED_DOWN: [(&str, bool); 3] =
    [("keep", false), ("shutdown", true), ("shutdown-sessions", true)];

fn backend(field: &Field<'_>, inherited: Timeouts) -> Option<BackendOptions> {
    let section = field.section()?;
    let default = BackendOptions::named(&name(&section, "backend"));
    let kinds = [
        ("roundrobin", Balance::RoundRobin),
        ("leastconn", Balance::LeastConn),
        ("random", Balance::Random),
        ("first", Balance::First),
    ];
    let connections = [("keep-alive", true), ("server-close", false)];
    let checks = check(&section.section_or_empty("health_check"), default.check);
    let servers: Vec<_> =
        (1..).zip(section.list("servers")).filter_map(|(n, f)| server(&f, n, &checks)).collect();
    if servers.is_empty() {
        section.mistake("a backend needs servers");
    }
    unique(&section, "server", servers.iter().map(|s| s.name.as_str()));
    Some(BackendOptions {
        balance: word(&section, "balance", &kinds, default.balance),
        keep_alive: word(&section, "connection", &connections, true),
        retries: number(&section, "retries", default.retries),
        redispatch: section.bool_or("redispatch", true),
        retry_on: retry_on(&section, default.retry_on),
        connect_try: section.duration_or("connect_try", default.connect_try),
        alerts: alerts(&section.section_or_empty("alerts"), default.alerts),
        check: checks,
        observe: observe(&section.section_or_empty("observe"), default.observe),
        shut_when_down: word(&section, "on_marked_down", &MARKED_DOWN, false),
        timeouts: timeouts(&section.section_or_empty("timeouts"), inherited),
        pool_size: number(&section, "pool_size", default.pool_size),
        pool_idle: section.duration_or("pool_idle", default.pool_idle),
        all_backups: section.bool_or("all_backups", false),
        servers,
        name: default.name,
    })
}

fn retry_on(section: &Section<'_>, default: RetryOn) -> RetryOn {
    if !section.has("retry_on") {
        return default;
    }
    let mut rule = RetryOn::nothing();
    for field in section.list("retry_on") {
        let Some(text) = field.text() else { continue };
        match text.as_str() {
            "conn-failure" => rule.conn_failure = true,
            "empty-response" => rule.empty_response = true,
            "junk-response" => rule.junk_response = true,
            "response-timeout" => rule.response_timeout = true,
            "all-retryable-errors" => rule = RetryOn::all(),
            "none" => {}
            code => match code.parse().ok().filter(|c| RetryOn::STATUSES.contains(c)) {
                Some(code) if rule.statuses.contains(&code) => {}
                Some(code) => rule.statuses.push(code),
                None => field.mistake(format!("{text:?} is {RETRY_WORDS}")),
            },
        }
    }
    rule
}

const RETRY_WORDS: &str = "none of none, conn-failure, empty-response, junk-response, \
     response-timeout, all-retryable-errors, 401, 403, 404, 408, 425, 429, 500, 501, 502, 503, 504";

fn alerts(section: &Section<'_>, default: AlertOptions) -> AlertOptions {
    let modes =
        [("balance", AlertMode::Balance), ("fanout", AlertMode::Fanout), ("auto", AlertMode::Auto)];
    AlertOptions {
        mode: word(section, "mode", &modes, default.mode),
        try_timeout: section.duration_or("try_timeout", default.try_timeout),
        deadline: section.duration_or("deadline", default.deadline),
        memory: size(section, "memory", default.memory),
    }
}

fn observe(section: &Section<'_>, default: Observe) -> Observe {
    let modes = [
        ("none", ObserveMode::None),
        ("layer4", ObserveMode::Layer4),
        ("layer7", ObserveMode::Layer7),
    ];
    let actions = [
        ("fastinter", OnError::FastInter),
        ("fail-check", OnError::FailCheck),
        ("sudden-death", OnError::SuddenDeath),
        ("mark-down", OnError::MarkDown),
    ];
    Observe {
        mode: word(section, "mode", &modes, default.mode),
        error_limit: number(section, "error_limit", default.error_limit),
        on_error: word(section, "on_error", &actions, default.on_error),
    }
}

fn check(section: &Section<'_>, default: CheckOptions) -> CheckOptions {
    let inits = [
        ("up", InitialHealth::Up),
        ("fully-up", InitialHealth::FullyUp),
        ("down", InitialHealth::Down),
    ];
    let positive = |key, default: u32| {
        let value = number(section, key, default);
        if value == 0 {
            section.mistake(format!("{key} must be at least 1"));
        }
        value.max(1)
    };
    CheckOptions {
        path: section.text_or("path", &default.path),
        method: section.text_or("method", &default.method),
        host: section.text_or("host", &default.host),
        expect: expect(section, default.expect),
        interval: section.duration_or("interval", default.interval),
        fast_interval: section.duration_or("fast_interval", default.fast_interval),
        down_interval: section.duration_or("down_interval", default.down_interval),
        fall: positive("fall", default.fall),
        rise: positive("rise", default.rise),
        spread: percent(section, "spread", default.spread),
        init: word(section, "init", &inits, default.init),
        disable_on_404: section.bool_or("disable_on_404", default.disable_on_404),
        tls: section.bool_or("tls", default.tls),
    }
}

/// `5%` or `5`, at most 50.
fn percent(section: &Section<'_>, key: &'static str, default: u32) -> u32 {
    let Some(field) = section.given(key) else { return default };
    let Some(text) = field.text() else { return default };
    let value = text.trim_end_matches('%').parse().ok().filter(|p| *p <= 50);
    value.unwrap_or_else(|| {
        field.mistake(format!("{text:?} is not a share from 0% to 50%"));
        default
    })
}

/// Codes and ranges: `200`, `200-299`.
fn expect(section: &Section<'_>, default: Vec<(u16, u16)>) -> Vec<(u16, u16)> {
    if !section.has("expect") {
        return default;
    }
    let range = |field: &Field<'_>| {
        let text = field.text()?;
        let (low, high) = text.split_once('-').unwrap_or((&text, &text));
        let code = |t: &str| t.parse::<u16>().ok().filter(|c| (100..600).contains(c));
        let range = code(low).zip(code(high)).filter(|(l, h)| l <= h);
        if range.is_none() {
            field.mistake(format!("{text:?} is not a status or a range such as 200-299"));
        }
        range
    };
    section.list("expect").iter().filter_map(range).collect()
}

fn server(field: &Field<'_>, position: usize, checks: &CheckOptions) -> Option<ServerOptions> {
    let address = |field: &Field<'_>, text: String| {
        if !is_host_port(&text) {
            field.mistake(format!("{text:?} is not HOST:PORT"));
        }
        text
    };
    if matches!(field.node().kind(), yaml::Kind::Scalar(_)) {
        let address = address(field, field.text()?);
        return Some(ServerOptions::new(&format!("alertmanager{position}"), &address));
    }
    let section = field.section()?;
    let Some(target) = section.given("address") else {
        section.mistake("a server needs an address");
        return None;
    };
    let name = name(&section, "server");
    let plain = ServerOptions::new(&name, &address(&target, target.text()?));
    let weight = number(&section, "weight", plain.weight);
    if weight > 256 {
        section.mistake("weight must be from 0 to 256");
    }
    Some(ServerOptions {
        weight,
        maxconn: number(&section, "maxconn", 0),
        maxqueue: number(&section, "maxqueue", 0),
        health: section.section("health_check").map(|s| check(&s, checks.clone())),
        backup: section.bool_or("backup", false),
        slow_start: section.duration_or("slow_start", Duration::ZERO),
        disabled: section.bool_or("disabled", false),
        check: section.bool_or("check", true),
        tls: section.section("tls").map(|s| tls_server(&s)),
        ..plain
    })
}

pub(super) fn path(section: &Section<'_>, key: &'static str) -> Option<PathBuf> {
    section.given(key).and_then(|f| f.text()).filter(|t| !t.is_empty()).map(PathBuf::from)
}

fn tls_server(section: &Section<'_>) -> TlsServer {
    let (certificate, key) = (path(section, "cert_file"), path(section, "key_file"));
    if certificate.is_some() != key.is_some() {
        section.mistake("cert_file and key_file belong together");
    }
    TlsServer {
        ca: path(section, "ca_file"),
        server_name: section.given("server_name").and_then(|f| f.text()),
        certificate,
        key,
        verify: section.bool_or("verify", true),
    }
}

fn stats(section: &Section<'_>) -> StatsOptions {
    let default = StatsOptions::default();
    let admin = section.section_or_empty("admin");
    let modes = [
        ("off", AdminMode::Off),
        ("token", AdminMode::Token),
        ("basic", AdminMode::Basic),
        ("any", AdminMode::Any),
    ];
    let mode = word(&admin, "mode", &modes, default.admin);
    let readers = section.section("basic_auth").and_then(|s| basic_auth(&s, "tocsin lb"));
    let admins = basic_auth(&admin, "tocsin lb");
    if admins.is_some() && readers.is_some() {
        section.mistake("basic_auth names the users, admin cannot name others");
    }
    if mode == AdminMode::Basic && admins.is_none() && readers.is_none() {
        admin.mistake("mode: basic needs users_file or users");
    }
    if mode != AdminMode::Basic && admins.is_some() {
        admin.mistake("users are for mode: basic");
    }
    let users_only = readers.is_some();
    let alias = section.texts("alias");
    if alias.iter().any(|a| !a.starts_with('/')) {
        section.mistake("an alias must begin with /");
    }
    let file = admin.given("token_file").and_then(|f| f.text()).filter(|t| !t.is_empty());
    let uri = section.text_or("uri", &default.uri);
    if !uri.starts_with('/') {
        section.mistake("uri must begin with /");
    }
    StatsOptions {
        bind: binds(section, default.bind),
        uri,
        refresh: section.duration_or("refresh", default.refresh),
        maxconn: number(section, "maxconn", default.maxconn),
        admin: mode,
        token_file: file.map(PathBuf::from),
        users: readers.or(admins),
        users_only,
        alias,
        hosts: section.texts("hosts"),
        legends: section.bool_or("legends", true),
        haproxy_metrics: section.bool_or("haproxy_metrics", true),
    }
}

#[cfg(test)]
mod tests {
    use super::super::LogTo;
    use super::*;

    #[test]
    fn a_list_of_servers_is_a_whole_file() {
        let text = "backends:\n  - name: b\n    servers: [10.0.0.1:9093, '[::1]:9093']\n";
        let config = parse(text, "lb.yml").unwrap();
        let names: Vec<_> = config.backends[0].servers.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["alertmanager1", "alertmanager2"]);
        assert_eq!(config.frontends[0].default_backend, "b");
        assert_eq!(config.frontends[0].maxconn, 3000);
    }

    #[test]
    fn keys_are_read_and_inherited() {
        let text = "
global: {maxconn: 100, threads: 2, log: [{to: stderr, format: json}]}
timeouts: {client: 5s, server: 6s}
frontends:
  - name: f
    bind: ['127.0.0.1:9093']
    timeouts: {client: 7s}
    limits: {body_bytes: 1MiB}
backends:
  - name: b
    balance: leastconn
    connection: server-close
    retry_on: [none]
    alerts: {mode: fanout}
    observe: {mode: layer4, error_limit: 3, on_error: mark-down}
    health_check: {interval: 2s, expect: [200, 300-399], spread: 10%}
    servers: [{name: x, address: 'a:1', weight: 0, backup: true, slow_start: 1m}]
stats:
admin_socket: {path: /tmp/x, mode: '0600', level: user}
";
        let config = parse(text, "lb.yml").unwrap();
        let (front, back) = (&config.frontends[0], &config.backends[0]);
        assert_eq!(front.timeouts.client, Duration::from_secs(7));
        assert_eq!(
            (front.timeouts.server, front.limits.body_bytes),
            (Duration::from_secs(6), 1 << 20)
        );
        assert_eq!((back.balance, back.keep_alive), (Balance::LeastConn, false));
        assert!(!back.retry_on.conn_failure && back.servers[0].backup);
        assert_eq!(back.check.expect, [(200, 200), (300, 399)]);
        assert_eq!(back.observe.on_error, OnError::MarkDown);
        assert_eq!((config.stats, &config.log[0].to), (None, &LogTo::Stderr));
        assert_eq!(config.admin_socket.unwrap().mode, 0o600);
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let text = "
frontends: [{name: f, default_backend: c}]
backends:
  - name: b
    balence: roundrobin
    retries: many
    servers: [{name: 'a b', address: nowhere}]
";
        let error = parse(text, "lb.yml").unwrap_err().to_string();
        for part in
            ["lb.yml:5:5", "did you mean \"balance\"?", "retries", "HOST:PORT", "names no backend"]
        {
            assert!(error.contains(part), "{part} not in {error}");
        }
    }
}
