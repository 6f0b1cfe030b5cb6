//! `haproxy.cfg` into our YAML. What has no equivalent is named, line by line; nothing is guessed.

mod emit;
mod line;

pub use line::{Left, LeftKind};
use line::{Words, duration, words};

/// What a file became.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Converted {
    /// Our YAML.
    pub yaml: String,
    /// Lines that are not in it.
    pub left: Vec<Left>,
}

impl Converted {
    /// Whether a line was left out that changes what happens to traffic.
    pub fn changes_traffic(&self) -> bool {
        self.left.iter().any(|l| l.kind == LeftKind::Traffic)
    }
}

/// Keys of ours with their values as YAML.
type Settings = Vec<(&'static str, String)>;

/// Settings that `defaults` hands down.
#[derive(Clone, Debug, Default)]
struct Proxy {
    name: String,
    kind: Kind,
    timeouts: Settings,
    maxconn: Option<String>,
    binds: Vec<String>,
    default_backend: Option<String>,
    forward_for: Option<bool>,
    forward_if_none: bool,
    log_null: bool,
    balance: Option<String>,
    server_close: Option<bool>,
    retries: Option<String>,
    redispatch: Option<bool>,
    check: Settings,
    checked: bool,
    default_server: Settings,
    servers: Vec<Server>,
    stats: Stats,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Defaults,
    Frontend,
    Backend,
    Listen,
}

#[derive(Clone, Debug, Default)]
struct Stats {
    enabled: bool,
    uri: Option<String>,
    refresh: Option<String>,
    admin: bool,
}

#[derive(Clone, Debug, Default)]
struct Server {
    name: String,
    address: String,
    options: Settings,
    checked: bool,
}

#[derive(Clone, Debug, Default)]
struct Global {
    values: Settings,
    socket: Settings,
    log: Option<&'static str>,
}

/// Translates the text of a `haproxy.cfg`.
pub fn convert(text: &str) -> Converted {
    let mut reader = Reader::default();
    for (number, line) in (1..).zip(text.lines()) {
        let words = words(line);
        if !words.is_empty() {
            reader.line(number, line.trim(), &words);
        }
    }
    reader.finish()
}

#[derive(Debug, Default)]
struct Reader {
    global: Global,
    defaults: Proxy,
    proxies: Vec<Proxy>,
    section: Section,
    left: Vec<Left>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Section {
    #[default]
    None,
    Global,
    Defaults,
    Proxy,
}

/// Why a line could not be translated.
type Result = std::result::Result<(), Left>;

fn harmless(why: &str) -> Result {
    Err(Left { number: 0, line: String::new(), why: why.to_owned(), kind: LeftKind::Operation })
}

fn traffic(why: &str) -> Result {
    Err(Left { number: 0, line: String::new(), why: why.to_owned(), kind: LeftKind::Traffic })
}

impl Reader {
    fn line(&mut self, number: usize, line: &str, words: &Words) {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let result = match words.as_slice() {
            ["global", ..] => self.enter(Section::Global),
            ["defaults", ..] => {
                self.defaults = Proxy::default();
                self.enter(Section::Defaults)
            }
            ["frontend", name, rest @ ..] => self.begin(Kind::Frontend, name, rest),
            ["backend", name, rest @ ..] => self.begin(Kind::Backend, name, rest),
            ["listen", name, rest @ ..] => self.begin(Kind::Listen, name, rest),
            [
                "peers" | "resolvers" | "userlist" | "cache" | "program" | "mailers" | "ring"
                | "http-errors" | "fcgi-app" | "crt-store",
                ..,
            ] => {
                self.section = Section::None;
                traffic("there is no such section here")
            }
            words => match (self.section, self.proxies.last_mut()) {
                (Section::Global, _) => self.global.line(words),
                (Section::Defaults, _) => self.defaults.line(words),
                (Section::Proxy, Some(proxy)) => proxy.line(words),
                _ => traffic("it belongs to a section that was left out"),
            },
        };
        if let Err(left) = result {
            self.left.push(Left { number, line: line.to_owned(), ..left });
        }
    }

    fn enter(&mut self, section: Section) -> Result {
        self.section = section;
        Ok(())
    }

    fn begin(&mut self, kind: Kind, name: &str, rest: &[&str]) -> Result {
        self.section = Section::Proxy;
        let proxy = Proxy { name: name.to_owned(), kind, ..self.defaults.clone() };
        self.proxies.push(proxy);
        match rest {
            [] => Ok(()),
            _ => traffic("further words after the name are not understood"),
        }
    }

    fn finish(mut self) -> Converted {
        let is_stats = |p: &Proxy| p.stats.enabled && p.servers.is_empty();
        let stats = self.proxies.iter().find(|p| is_stats(p)).cloned();
        self.proxies.retain(|p| !is_stats(p));
        let yaml = emit::yaml(&self.global, &self.proxies, stats.as_ref());
        Converted { yaml, left: self.left }
    }
}

impl Global {
    fn line(&mut self, words: &[&str]) -> Result {
        match words {
            ["daemon"] => self.values.push(("daemon", "true".to_owned())),
            ["maxconn", n] => self.values.push(("maxconn", (*n).to_owned())),
            ["nbthread", n] => self.values.push(("threads", (*n).to_owned())),
            ["pidfile", path] => self.values.push(("pid_file", format!("{path:?}"))),
            ["hard-stop-after", time] => self.values.push(("hard_stop_after", duration(time)?)),
            ["log", "stdout", ..] => self.log = Some("stdout"),
            ["log", "stderr", ..] => self.log = Some("stderr"),
            ["log", ..] => return harmless("logs go to standard output, the journal takes them"),
            ["stats", "timeout", time] => self.socket.push(("timeout", duration(time)?)),
            ["stats", "socket", path, rest @ ..] => return self.socket(path, rest),
            ["chroot", ..] | ["user" | "group", ..] => {
                return harmless("the service's unit confines it and chooses its user");
            }
            ["nbproc", ..] => return harmless("there is one process with threads"),
            [word, ..] if word.starts_with("ssl-") || word.starts_with("tune.") => {
                return harmless("there is no such setting here");
            }
            [
                "ca-base" | "crt-base" | "log-tag" | "log-send-hostname" | "node" | "description",
                ..,
            ] => {
                return harmless("there is no such setting here");
            }
            _ => return traffic("there is no such setting here"),
        }
        Ok(())
    }

    fn socket(&mut self, path: &str, rest: &[&str]) -> Result {
        if !path.starts_with('/') {
            return harmless("the admin socket is a unix socket");
        }
        self.socket.push(("path", format!("{path:?}")));
        let mut rest = rest.iter();
        while let Some(word) = rest.next() {
            match (*word, rest.next()) {
                ("mode", Some(mode)) => {
                    let mode = format!("\"0{}\"", mode.trim_start_matches('0'));
                    self.socket.push(("mode", mode));
                }
                ("level", Some(level)) => self.socket.push(("level", (*level).to_owned())),
                ("expose-fd", Some(_)) => {}
                _ => return harmless("further words of the socket are not understood"),
            }
        }
        Ok(())
    }
}

impl Proxy {
    fn line(&mut self, words: &[&str]) -> Result {
        match words {
            ["mode", "http"] | ["log", "global"] | ["no", "log"] => {}
            ["mode", ..] => return traffic("only HTTP is balanced"),
            ["log", ..] => return harmless("logs go to standard output, the journal takes them"),
            ["maxconn", n] => self.maxconn = Some((*n).to_owned()),
            ["timeout", name, time] => return self.timeout(name, time),
            ["retries", n] => self.retries = Some((*n).to_owned()),
            ["option", name, rest @ ..] => return self.option(name, rest, true),
            ["no", "option", name, rest @ ..] => return self.option(name, rest, false),
            ["bind", address, rest @ ..] => return self.bind(address, rest),
            ["default_backend", name] => self.default_backend = Some((*name).to_owned()),
            ["balance", name] => return self.balance(name),
            ["http-check", "expect", "status", codes] => self.expect(codes),
            ["http-check", ..] => return traffic("only http-check expect status is known"),
            ["default-server", rest @ ..] => {
                let (options, _) = server_options(rest)?;
                self.default_server.extend(options);
            }
            ["server", name, address, rest @ ..] => return self.server(name, address, rest),
            ["stats", rest @ ..] => return self.stats(rest),
            ["errorfile", ..] => return harmless("error answers have texts of their own"),
            _ => return traffic("there is no such setting here"),
        }
        Ok(())
    }

    fn timeout(&mut self, name: &str, time: &str) -> Result {
        let key = match name {
            "http-request" => "http_request",
            "http-keep-alive" => "http_keep_alive",
            "client" => "client",
            "connect" => "connect",
            "queue" => "queue",
            "server" => "server",
            "check" => "check",
            "tunnel" | "client-fin" | "server-fin" | "tarpit" => {
                return harmless("there is nothing that it would limit");
            }
            _ => return traffic("there is no such timeout"),
        };
        let time = duration(time)?;
        self.timeouts.retain(|(k, _)| *k != key);
        self.timeouts.push((key, time));
        Ok(())
    }

    fn option(&mut self, name: &str, rest: &[&str], on: bool) -> Result {
        match (name, rest) {
            ("httplog" | "http-use-htx" | "tcpka" | "clitcpka" | "srvtcpka", _) => {}
            ("dontlognull", []) => self.log_null = !on,
            ("http-server-close" | "httpclose" | "forceclose", []) => self.server_close = Some(on),
            ("http-keep-alive", []) => self.server_close = Some(!on),
            ("forwardfor", []) => self.forward_for = Some(on),
            ("forwardfor", ["if-none"]) => {
                self.forward_for = Some(on);
                self.forward_if_none = true;
            }
            ("redispatch", []) => self.redispatch = Some(on),
            ("httpchk", rest) => {
                self.checked = on;
                let (method, path) = match rest {
                    [] => ("OPTIONS", "/"),
                    [path] => ("OPTIONS", *path),
                    [method, path, ..] => (*method, *path),
                };
                self.check.retain(|(k, _)| !matches!(*k, "method" | "path"));
                self.check.push(("method", method.to_owned()));
                self.check.push(("path", path.to_owned()));
                if rest.len() > 3 || rest.get(2).is_some_and(|v| v.contains('\\')) {
                    return traffic("headers of a check cannot be set but for Host");
                }
            }
            ("log-health-checks" | "logasap" | "log-separate-errors" | "contstats", _) => {
                return harmless("there is no such option here");
            }
            ("allbackups", []) => return traffic("set all_backups by hand"),
            _ => return traffic("there is no such option here"),
        }
        Ok(())
    }

    fn bind(&mut self, address: &str, rest: &[&str]) -> Result {
        self.binds.extend(address.split(',').map(str::to_owned));
        match rest {
            [] => Ok(()),
            _ => traffic("the address is kept, what follows it is not understood"),
        }
    }

    fn balance(&mut self, name: &str) -> Result {
        match name {
            "roundrobin" | "leastconn" | "first" | "random" => {
                self.balance = Some(name.to_owned());
                Ok(())
            }
            "static-rr" => {
                self.balance = Some("roundrobin".to_owned());
                Ok(())
            }
            _ => traffic("there is no such balancing here"),
        }
    }

    fn expect(&mut self, codes: &str) {
        self.check.retain(|(k, _)| *k != "expect");
        self.check.push(("expect", format!("[{codes}]")));
    }

    fn server(&mut self, name: &str, address: &str, rest: &[&str]) -> Result {
        let (options, checked) = server_options(rest)?;
        let address =
            if address.contains(':') { address.to_owned() } else { format!("{address}:80") };
        let server = Server { name: name.to_owned(), address, options, checked };
        self.servers.push(server);
        Ok(())
    }

    fn stats(&mut self, rest: &[&str]) -> Result {
        self.stats.enabled = true;
        match rest {
            ["enable"] | ["show-legends" | "show-desc" | "show-node", ..] => {}
            ["uri", uri] => self.stats.uri = Some((*uri).to_owned()),
            ["refresh", time] => self.stats.refresh = Some(duration(time)?),
            ["admin", "if", "TRUE"] => self.stats.admin = true,
            ["admin", ..] => return harmless("who may change state is asked for the admin token"),
            ["hide-version" | "realm" | "auth", ..] => {
                return harmless("the page is readable by all, changes need the admin token");
            }
            _ => return harmless("there is no such setting of the page"),
        }
        Ok(())
    }
}

/// Words after a server's address, and whether it is checked.
fn server_options(words: &[&str]) -> std::result::Result<(Settings, bool), Left> {
    let mut options = Vec::new();
    let mut checked = false;
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().map_or("", |w| *w);
        match *word {
            "check" => checked = true,
            "no-check" => checked = false,
            "backup" => options.push(("backup", "true".to_owned())),
            "disabled" => options.push(("disabled", "true".to_owned())),
            "weight" => options.push(("weight", value().to_owned())),
            "maxconn" => options.push(("maxconn", value().to_owned())),
            "slowstart" => options.push(("slow_start", duration(value())?)),
            "inter" => options.push(("interval", duration(value())?)),
            "fastinter" => options.push(("fast_interval", duration(value())?)),
            "downinter" => options.push(("down_interval", duration(value())?)),
            "fall" => options.push(("fall", value().to_owned())),
            "rise" => options.push(("rise", value().to_owned())),
            other => {
                traffic(&format!(
                    "{other:?} of a server has no equivalent, the server is left out"
                ))?;
            }
        }
    }
    Ok((options, checked))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, AdminMode, Level};

    const GUIDE: &str = "\
global
    daemon
    maxconn 4096
    log stdout local0 info
    chroot /var/lib/haproxy
    stats socket /run/haproxy/admin.sock mode 660 level admin
    stats timeout 30s
    user haproxy
    group haproxy

defaults
    mode http
    log global
    option httplog
    option dontlognull
    option http-server-close
    option forwardfor
    option redispatch
    retries 3
    timeout http-request 10s
    timeout queue 1m
    timeout connect 10s
    timeout client 1m
    timeout server 1m
    timeout http-keep-alive 10s
    timeout check 10s
    maxconn 3000

frontend alertmanager_frontend
    bind *:9093
    default_backend alertmanager_backend

backend alertmanager_backend
    balance roundrobin
    option httpchk GET /-/healthy
    http-check expect status 200
    server alertmanager1 203.0.113.10:9093 check inter 10s fall 3 rise 2
    server alertmanager2 203.0.113.11:9093 check inter 10s fall 3 rise 2
    server alertmanager3 203.0.113.12:9093 check inter 10s fall 3 rise 2

frontend stats
    bind *:8404
    stats enable
    stats uri /stats
    stats refresh 30s
    stats admin if TRUE
";

    #[test]
    fn the_guides_file_becomes_our_defaults() {
        let converted = convert(GUIDE);
        assert!(!converted.changes_traffic(), "{:?}", converted.left);
        let left: Vec<_> = converted.left.iter().map(|l| l.line.as_str()).collect();
        assert_eq!(left, ["chroot /var/lib/haproxy", "user haproxy", "group haproxy"]);
        let config = config::parse(&converted.yaml, "lb.yml").unwrap_or_else(|e| panic!("{e}"));
        let mut wanted = config::Config::default();
        wanted.global.daemon = true;
        let socket = wanted.admin_socket.as_mut().unwrap();
        socket.path = "/run/haproxy/admin.sock".into();
        socket.given = true;
        assert_eq!(socket.level, Level::Admin);
        wanted.stats.as_mut().unwrap().admin = AdminMode::Any;
        wanted.backends[0].keep_alive = false;
        wanted.backends[0].servers = (1..=3)
            .map(|n| {
                let address = format!("203.0.113.{}:9093", 9 + n);
                config::ServerOptions::new(&format!("alertmanager{n}"), &address)
            })
            .collect();
        assert_eq!(config, wanted, "{}", converted.yaml);
    }

    #[track_caller]
    fn left(lines: &str, why: &str, kind: LeftKind) {
        let converted = convert(lines);
        let found = converted.left.iter().any(|l| l.why.contains(why) && l.kind == kind);
        assert!(found, "{:?}", converted.left);
    }

    #[test]
    fn what_cannot_be_carried_is_named() {
        left("frontend f\n acl x path /y\n", "no such setting", LeftKind::Traffic);
        left("frontend f\n bind *:443 ssl crt /x.pem\n", "what follows it", LeftKind::Traffic);
        left("backend b\n balance source\n", "no such balancing", LeftKind::Traffic);
        left("backend b\n server a 1.2.3.4:5 send-proxy\n", "\"send-proxy\"", LeftKind::Traffic);
        left("defaults\n mode tcp\n", "only HTTP", LeftKind::Traffic);
        left("global\n tune.bufsize 1\n", "no such setting", LeftKind::Operation);
        left("peers p\n peer x 1.1.1.1:1\n", "no such section", LeftKind::Traffic);
        left("defaults\n timeout client soon\n", "not a time", LeftKind::Traffic);
    }

    #[test]
    fn a_listen_section_is_a_frontend_and_a_backend() {
        let text = "defaults\n timeout server 1500\nlisten am\n bind :9093\n balance leastconn\n \
                    default-server inter 3s fall 2\n server a 10.0.0.1:9093 check weight 5 backup # x\n \
                    server b 10.0.0.2:9093\n";
        let converted = convert(text);
        assert_eq!(converted.left, []);
        let config = config::parse(&converted.yaml, "x").unwrap_or_else(|e| panic!("{e}"));
        let backend = &config.backends[0];
        assert_eq!(
            (backend.name.as_str(), config.frontends[0].default_backend.as_str()),
            ("am", "am")
        );
        assert_eq!(backend.timeouts.server.as_millis(), 1500);
        assert_eq!((backend.check.interval.as_secs(), backend.check.fall), (3, 2));
        assert!(backend.servers[0].backup && backend.servers[0].check && !backend.servers[1].check);
        assert_eq!(backend.servers[0].weight, 5);
    }
}
