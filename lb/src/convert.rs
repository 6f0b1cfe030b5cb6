//! `haproxy.cfg` into our YAML. What has no equivalent is named, line by line; nothing is guessed.

mod emit;
mod line;

pub use line::{Left, LeftKind};
use line::{Words, duration, words};

use crate::config::is_name;

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
    binds: Vec<Bind>,
    accepts_proxy: bool,
    default_backend: Option<String>,
    forward_for: Option<bool>,
    forward_if_none: bool,
    forward_header: Option<String>,
    forward_except: Vec<String>,
    forwarded_proto: bool,
    auth: Option<(String, String)>,
    auth_acls: Vec<(String, String)>,
    retry_on: Option<String>,
    all_backups: Option<bool>,
    on_404: Option<bool>,
    separate_errors: bool,
    dont_log_null: bool,
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

/// An address, with what is said about it beside.
#[derive(Clone, Debug, Default)]
struct Bind {
    address: String,
    accepts_proxy: bool,
    settings: Settings,
    tls: Settings,
}

#[derive(Clone, Debug, Default)]
struct Stats {
    enabled: bool,
    uri: Option<String>,
    refresh: Option<String>,
    admin: bool,
    users: Vec<(String, String)>,
    realm: Option<String>,
}

#[derive(Clone, Debug, Default)]
struct Server {
    name: String,
    address: String,
    options: Settings,
    tls: Option<Settings>,
    checked: bool,
}

#[derive(Clone, Debug, Default)]
struct Global {
    values: Settings,
    socket: Settings,
    logs: Vec<Settings>,
    tag: Option<String>,
    base: String,
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
    /// Users by list, and whether all of them can be carried.
    lists: Vec<UserList>,
    left: Vec<Left>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Section {
    #[default]
    None,
    Global,
    Defaults,
    Proxy,
    Users,
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
            ["userlist", name, ..] => {
                self.lists.push(((*name).to_owned(), Vec::new(), true));
                self.enter(Section::Users)
            }
            [
                "peers" | "resolvers" | "cache" | "program" | "mailers" | "ring" | "http-errors"
                | "fcgi-app" | "crt-store",
                ..,
            ] => {
                self.section = Section::None;
                traffic("there is no such section here")
            }
            words => match (self.section, self.proxies.last_mut()) {
                (Section::Global, _) => self.global.line(words),
                (Section::Defaults, _) => self.defaults.line(words, &[]),
                (Section::Proxy, Some(proxy)) => proxy.line(words, &self.lists),
                (Section::Users, _) => user(words, self.lists.last_mut()),
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
            _ if !is_name(name) => traffic("the name has characters that no name has"),
            [] => Ok(()),
            _ => traffic("further words after the name are not understood"),
        }
    }

    fn finish(mut self) -> Converted {
        let is_stats = |p: &Proxy| p.stats.enabled && p.servers.is_empty();
        let stats = self.proxies.iter().find(|p| is_stats(p)).cloned();
        self.proxies.retain(|p| !is_stats(p));
        let told = |p: &Proxy| p.separate_errors;
        if self.proxies.iter().any(told) {
            if self.global.logs.is_empty() {
                self.global.logs.push(vec![("to", "stdout".to_owned())]);
            }
            let key = ("separate_errors", "true".to_owned());
            self.global.logs.iter_mut().for_each(|log| log.push(key.clone()));
        }
        let yaml = emit::yaml(&self.global, &self.proxies, stats.as_ref(), &self.lists);
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
            ["log", target, rest @ ..] => self.logs.push(log(target, rest)?),
            ["log-tag", tag] => self.tag = Some((*tag).to_owned()),
            ["crt-base", base] => self.base = format!("{}/", base.trim_end_matches('/')),
            ["user", name] => self.values.push(("user", format!("{name:?}"))),
            ["group", name] => self.values.push(("group", format!("{name:?}"))),
            ["stats", "timeout", time] => self.socket.push(("timeout", duration(time)?)),
            ["stats", "socket", path, rest @ ..] => return self.socket(path, rest),
            ["chroot", ..] => {
                return harmless(
                    "the service's unit confines it: from within a chroot no file is read again",
                );
            }
            ["nbproc", ..] => return harmless("there is one process with threads"),
            [word, ..] if word.starts_with("ssl-") || word.starts_with("tune.") => {
                return harmless("there is no such setting here");
            }
            ["ca-base" | "log-send-hostname" | "node" | "description", ..] => {
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
        let mut owner = (String::new(), String::new());
        while let Some(word) = rest.next() {
            match (*word, rest.next()) {
                ("mode", Some(mode)) => {
                    let mode = format!("\"0{}\"", mode.trim_start_matches('0'));
                    self.socket.push(("mode", mode));
                }
                ("level", Some(level)) => self.socket.push(("level", (*level).to_owned())),
                ("expose-fd", Some(_)) => {}
                ("user", Some(name)) => owner.0 = (*name).to_owned(),
                ("group", Some(name)) => owner.1 = (*name).to_owned(),
                _ => return harmless("further words of the socket are not understood"),
            }
        }
        if !(owner.0.is_empty() && owner.1.is_empty()) {
            let (user, group) = owner;
            self.socket.push(("owner", format!("\"{user}:{group}\"")));
        }
        Ok(())
    }
}

impl Proxy {
    fn line(&mut self, words: &[&str], lists: &[UserList]) -> Result {
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
            ["http-check", "disable-on-404"] => self.on_404 = Some(true),
            ["http-check", "send", rest @ ..] => return self.check_request(rest),
            ["http-check", ..] => {
                return traffic("only http-check expect status and send are known");
            }
            ["default-server", rest @ ..] => {
                let options = server_options(rest)?;
                if options.tls.is_some() {
                    return traffic("TLS of default-server is to be set at each server");
                }
                self.default_server.extend(options.settings);
            }
            ["server", name, address, rest @ ..] => return self.server(name, address, rest),
            ["stats", rest @ ..] => return self.stats(rest),
            ["retry-on", words @ ..] => self.retry_on = Some(words.join(", ")),
            ["acl", name, test] if test.starts_with("http_auth(") => {
                let list = test["http_auth(".len()..].trim_end_matches(')').to_owned();
                self.auth_acls.push(((*name).to_owned(), list));
            }
            ["http-request", "auth", rest @ ..] => return self.auth(rest, lists),
            ["http-request", "set-header", name, "http" | "https", ..]
                if name.eq_ignore_ascii_case("x-forwarded-proto") =>
            {
                self.forwarded_proto = true;
            }
            ["http-reuse", "safe" | "aggressive" | "always"] => {}
            ["http-reuse", "never"] => self.server_close = Some(true),
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
            ("dontlognull", []) => self.dont_log_null = on,
            ("http-server-close" | "httpclose" | "forceclose", []) => self.server_close = Some(on),
            ("http-keep-alive", []) => self.server_close = Some(!on),
            ("forwardfor", rest) => {
                self.forward_for = Some(on);
                return self.forward(rest);
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
            ("log-separate-errors", []) => self.separate_errors = on,
            ("log-health-checks" | "logasap" | "contstats", _) => {
                return harmless("there is no such option here");
            }
            ("allbackups", []) => self.all_backups = Some(on),
            _ => return traffic("there is no such option here"),
        }
        Ok(())
    }

    fn bind(&mut self, address: &str, rest: &[&str]) -> Result {
        let mut bind = Bind::default();
        let mut certificates = Vec::new();
        let mut is_tls = false;
        let mut http2 = false;
        let mut words = rest.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().map_or("", |w| *w);
            match *word {
                "ssl" => is_tls = true,
                "crt" => certificates.push(value().to_owned()),
                "ca-file" => bind.tls.push(("client_ca", format!("{:?}", value()))),
                "verify" => bind.tls.push(("verify", value().to_owned())),
                "ssl-min-ver" => match value() {
                    "TLSv1.3" => bind.tls.push(("min_version", "TLS13".to_owned())),
                    "TLSv1.0" | "TLSv1.1" | "TLSv1.2" => {}
                    _ => return traffic("ssl-min-ver is not understood"),
                },
                "alpn" => http2 = value().split(',').any(|p| p == "h2"),
                "accept-proxy" => {
                    self.accepts_proxy = true;
                    bind.accepts_proxy = true;
                }
                "v6only" => bind.settings.push(("v6only", "true".to_owned())),
                "v4v6" => {}
                "name" | "maxconn" | "backlog" => {
                    value();
                }
                _ => return traffic("words after the address are not understood"),
            }
        }
        if is_tls {
            let Some((first, more)) = certificates.split_first() else {
                return traffic("TLS needs a certificate");
            };
            // HAProxy keeps certificate and key in one file.
            bind.tls.insert(0, ("key_file", format!("{first:?}")));
            bind.tls.insert(0, ("cert_file", format!("{first:?}")));
            if !more.is_empty() {
                let pair = |c: &String| format!("{{cert_file: {c:?}, key_file: {c:?}}}");
                let pairs: Vec<_> = more.iter().map(pair).collect();
                bind.tls.push(("certificates", format!("[{}]", pairs.join(", "))));
            }
            if !http2 {
                bind.settings.push(("http2", "false".to_owned()));
            }
        } else if !bind.tls.is_empty() || !certificates.is_empty() {
            return traffic("certificates without ssl");
        }
        for address in address.split(',') {
            self.binds.push(Bind { address: address.to_owned(), ..bind.clone() });
        }
        Ok(())
    }

    /// Words after `option forwardfor`.
    fn forward(&mut self, words: &[&str]) -> Result {
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match (*word, words.len()) {
                ("if-none", _) => self.forward_if_none = true,
                ("except", 1..) => {
                    self.forward_except.extend(words.next().map(|w| (*w).to_owned()));
                }
                ("header", 1..) => self.forward_header = words.next().map(|w| (*w).to_owned()),
                _ => return traffic("words after forwardfor are not understood"),
            }
        }
        Ok(())
    }

    /// Words after `http-check send`.
    fn check_request(&mut self, words: &[&str]) -> Result {
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().map_or("", |w| *w);
            let (key, text) = match *word {
                "meth" => ("method", value().to_owned()),
                "uri" => ("path", value().to_owned()),
                "ver" => {
                    value();
                    continue;
                }
                "hdr" if value().eq_ignore_ascii_case("host") => ("host", value().to_owned()),
                _ => return traffic("a check has a method, a target and a Host"),
            };
            self.check.retain(|(k, _)| *k != key);
            self.check.push((key, text));
        }
        Ok(())
    }

    /// `[realm R] unless …` with a list of users.
    fn auth(&mut self, words: &[&str], lists: &[UserList]) -> Result {
        let (realm, rest) = match words {
            ["realm", realm, rest @ ..] => (*realm, rest),
            rest => (self.name.as_str(), rest),
        };
        let list = match rest {
            ["unless", "{", test, "}"] if test.starts_with("http_auth(") => {
                Some(test["http_auth(".len()..].trim_end_matches(')').to_owned())
            }
            ["unless", name] => {
                self.auth_acls.iter().find(|(acl, _)| acl == name).map(|(_, list)| list.clone())
            }
            _ => None,
        };
        let found = lists.iter().find(|(name, ..)| Some(name) == list.as_ref());
        match found {
            None => traffic("only http-request auth unless { http_auth(LIST) } is known"),
            Some((_, _, false)) => traffic("its list has passwords that are not bcrypt hashes"),
            Some((name, ..)) => {
                self.auth = Some((realm.to_owned(), name.clone()));
                Ok(())
            }
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
        if !is_name(name) {
            return traffic("the name has characters that no name has");
        }
        let options = server_options(rest)?;
        let address =
            if address.contains(':') { address.to_owned() } else { format!("{address}:80") };
        let ServerWords { settings, tls, checked } = options;
        let name = name.to_owned();
        self.servers.push(Server { name, address, options: settings, tls, checked });
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
            ["realm", realm] => self.stats.realm = Some((*realm).to_owned()),
            ["auth", pair] => {
                let Some((name, password)) = pair.split_once(':') else {
                    return harmless("no user and password");
                };
                let Some(hash) = tocsin_service::web::hash(password) else {
                    return harmless("the password cannot be hashed");
                };
                self.stats.users.push((name.to_owned(), hash));
            }
            ["hide-version", ..] => return harmless("the version is shown"),
            _ => return harmless("there is no such setting of the page"),
        }
        Ok(())
    }
}

/// What the words after a server's address say.
#[derive(Debug, Default)]
struct ServerWords {
    settings: Settings,
    tls: Option<Settings>,
    checked: bool,
}

/// Words after a server's address.
fn server_options(words: &[&str]) -> std::result::Result<ServerWords, Left> {
    let mut options = Vec::new();
    let mut tls: Settings = Vec::new();
    let mut is_tls = false;
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
            "maxqueue" => options.push(("maxqueue", value().to_owned())),
            "slowstart" => options.push(("slow_start", duration(value())?)),
            "inter" => options.push(("interval", duration(value())?)),
            "fastinter" => options.push(("fast_interval", duration(value())?)),
            "downinter" => options.push(("down_interval", duration(value())?)),
            "fall" => options.push(("fall", value().to_owned())),
            "rise" => options.push(("rise", value().to_owned())),
            "on-marked-down" if value() == "shutdown-sessions" => {
                options.push(("on_marked_down", "shutdown".to_owned()));
            }
            "observe" => options.push(("mode", value().to_owned())),
            "error-limit" => options.push(("error_limit", value().to_owned())),
            "on-error" => options.push(("on_error", value().to_owned())),
            "ssl" => is_tls = true,
            "check-ssl" => {}
            "no-check-ssl" => options.push(("tls", "false".to_owned())),
            "verify" if value() == "none" => tls.push(("verify", "false".to_owned())),
            "verify" => {}
            "ca-file" => tls.push(("ca_file", format!("{:?}", value()))),
            "crt" => {
                let file = format!("{:?}", value());
                tls.push(("cert_file", file.clone()));
                tls.push(("key_file", file));
            }
            "sni" => {
                let name = value().trim_start_matches("str(").trim_end_matches(')').to_owned();
                tls.push(("server_name", name));
            }
            other => {
                traffic(&format!(
                    "{other:?} of a server has no equivalent, the server is left out"
                ))?;
            }
        }
    }
    if !is_tls && !tls.is_empty() {
        traffic("TLS settings without ssl, the server is left out")?;
    }
    Ok(ServerWords { settings: options, tls: is_tls.then_some(tls), checked })
}

/// Name, users with their hashes, and whether all of them can be carried.
type UserList = (String, Vec<(String, String)>, bool);

/// A line of a `userlist`.
fn user(words: &[&str], list: Option<&mut UserList>) -> Result {
    let Some((_, users, whole)) = list else { return traffic("it belongs to no list") };
    match words {
        ["user", name, "password", hash, ..] if hash.starts_with("$2") => {
            users.push(((*name).to_owned(), (*hash).to_owned()));
            Ok(())
        }
        ["user", name, "insecure-password", password, ..] => {
            match tocsin_service::web::hash(password) {
                Some(hash) => {
                    users.push(((*name).to_owned(), hash));
                    Ok(())
                }
                None => traffic("the password cannot be hashed"),
            }
        }
        ["group", ..] => harmless("there are no groups"),
        _ => {
            *whole = false;
            traffic("the password is no bcrypt hash")
        }
    }
}

/// A target of `log` with its words.
fn log(target: &str, words: &[&str]) -> std::result::Result<Settings, Left> {
    let udp = |address: &str| match address.rsplit_once(':') {
        Some((_, port)) if port.parse::<u16>().is_ok() => format!("\"udp://{address}\""),
        _ => format!("\"udp://{address}:514\""),
    };
    let to = match target {
        "stdout" | "stderr" => target.to_owned(),
        path if path.starts_with('/') => format!("\"unix://{path}\""),
        other if other.contains('@') => match other.split_once('@') {
            Some(("udp" | "udp4" | "ipv4", address)) => udp(address),
            Some(("unix", path)) => format!("\"unix://{path}\""),
            _ => return Err(no_log("there is no such target")),
        },
        address => udp(address),
    };
    let mut settings = vec![("to", to), ("format", "httplog".to_owned())];
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match *word {
            "len" | "sample" => {
                words.next();
            }
            "format" => match words.next() {
                Some(&"raw") => settings.push(("prefix", "none".to_owned())),
                Some(format @ (&"rfc3164" | &"rfc5424")) => {
                    settings.push(("prefix", (*format).to_owned()));
                }
                _ => return Err(no_log("there is no such format")),
            },
            facility if crate::config::FACILITIES.contains(&facility) => {
                settings.push(("facility", facility.to_owned()));
                if let Some(level) = words.next() {
                    settings.push(("level", log_level(level)?.to_owned()));
                }
                words.next();
            }
            _ => return Err(no_log("its words are not understood")),
        }
    }
    Ok(settings)
}

fn log_level(level: &str) -> std::result::Result<&'static str, Left> {
    Ok(match level {
        "debug" => "debug",
        "info" => "info",
        "notice" => "notice",
        "warning" => "warn",
        "emerg" | "alert" | "crit" | "err" => "error",
        _ => return Err(no_log("there is no such level")),
    })
}

fn no_log(why: &str) -> Left {
    Left { number: 0, line: String::new(), why: why.to_owned(), kind: LeftKind::Operation }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, AdminMode, Level};

    const GUIDE: &str = include_str!("../../tests/golden/guide_haproxy.cfg");

    #[test]
    fn the_guides_file_becomes_our_defaults() {
        let converted = convert(GUIDE);
        assert!(!converted.changes_traffic(), "{:?}", converted.left);
        let left: Vec<_> = converted.left.iter().map(|l| l.line.as_str()).collect();
        assert_eq!(left, ["chroot /var/lib/haproxy"]);
        let config = config::parse(&converted.yaml, "lb.yml").unwrap_or_else(|e| panic!("{e}"));
        let mut wanted = config::Config::default();
        wanted.global.daemon = true;
        wanted.global.user = Some("haproxy".to_owned());
        wanted.global.group = Some("haproxy".to_owned());
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
        left("frontend f\n bind *:443 ssl\n", "needs a certificate", LeftKind::Traffic);
        left("frontend f\n bind *:443 strict-sni\n", "are not understood", LeftKind::Traffic);
        left("userlist u\n user a password $6$x\n", "no bcrypt hash", LeftKind::Traffic);
        let auth = "userlist u\n user a password $6$x\nfrontend f\n http-request auth unless { http_auth(u) }\n";
        left(auth, "not bcrypt hashes", LeftKind::Traffic);
        left("global\n log 10.0.0.1 local9\n", "not understood", LeftKind::Operation);
        left("backend b\n balance source\n", "no such balancing", LeftKind::Traffic);
        left("backend b\n server a 1.2.3.4:5 send-proxy\n", "\"send-proxy\"", LeftKind::Traffic);
        left("defaults\n mode tcp\n", "only HTTP", LeftKind::Traffic);
        left("global\n tune.bufsize 1\n", "no such setting", LeftKind::Operation);
        left("peers p\n peer x 1.1.1.1:1\n", "no such section", LeftKind::Traffic);
        left("defaults\n timeout client soon\n", "not a time", LeftKind::Traffic);
    }

    fn whole(text: &str) -> config::Config {
        let converted = convert(text);
        assert_eq!(converted.left, []);
        config::parse(&converted.yaml, "x").unwrap_or_else(|e| panic!("{e}\n{}", converted.yaml))
    }

    #[test]
    fn tls_users_and_retries_are_carried() {
        let text = "\
userlist ops
    user ann password $2b$10$abcdefghijklmnopqrstuu5Tz0eyRXa8p1J0nGv7kF8tqQkMeSmIa
frontend f
    bind *:443 ssl crt /a.pem crt /b.pem ca-file /ca.pem verify required alpn h2,http/1.1
    bind 10.0.0.1:80 accept-proxy
    option forwardfor except 127.0.0.0/8 header X-Client
    acl known http_auth(ops)
    http-request auth realm Ops unless known
    http-request set-header X-Forwarded-Proto https if { ssl_fc }
    default_backend b
backend b
    retry-on conn-failure 503 junk-response
    option allbackups
    option httpchk
    http-check send meth GET uri /-/healthy hdr Host am
    server a 10.0.0.1:9093 check ssl ca-file /ca.pem sni str(am.example) maxqueue 5 on-marked-down shutdown-sessions observe layer7 error-limit 4 on-error mark-down
    server c 10.0.0.2:9093 check ssl verify none crt /own.pem no-check-ssl
";
        let config = whole(text);
        let (front, back) = (&config.frontends[0], &config.backends[0]);
        let tls = front.bind[0].tls.as_ref().unwrap();
        assert_eq!((tls.certificate.clone(), tls.more.len()), ("/a.pem".into(), 1));
        assert!(tls.verify == config::ClientVerify::Required && front.bind[0].http2);
        assert_eq!(front.proxy_from.len(), 2);
        assert!(!front.bind[0].accept_proxy && front.bind[1].accept_proxy);
        assert_eq!(
            (front.forward_for.header.as_str(), front.forward_for.except.len()),
            ("X-Client", 1)
        );
        assert!(front.forwarded_proto);
        let users = front.basic_auth.as_ref().unwrap();
        assert_eq!((users.realm.as_str(), users.users[0].0.as_str()), ("Ops", "ann"));
        assert!(back.retry_on.conn_failure && back.retry_on.junk_response);
        assert_eq!(back.retry_on.statuses, [503]);
        assert!(back.all_backups && back.shut_when_down);
        assert_eq!((back.check.path.as_str(), back.check.host.as_str()), ("/-/healthy", "am"));
        assert_eq!((back.observe.error_limit, back.servers[0].maxqueue), (4, 5));
        let tls = back.servers[0].tls.as_ref().unwrap();
        assert_eq!((tls.server_name.as_deref(), tls.verify), (Some("am.example"), true));
        let other = back.servers[1].tls.as_ref().unwrap();
        assert!(!other.verify && other.certificate.is_some());
        assert!(!back.servers[1].health.as_ref().unwrap().tls);
    }

    #[test]
    fn logs_and_passwords_of_the_page_are_carried() {
        let text = "\
global
    log /dev/log local1 notice
    log 10.0.0.9 local0
    log udp@h:515 format rfc5424 daemon err
    log-tag haproxy
    stats socket /run/x.sock mode 600 user root group adm level operator
defaults
    option log-separate-errors
    server a 1.2.3.4:5
frontend stats
    bind :8404
    stats enable
    stats realm Ops
    stats auth ann:secret
    stats admin if TRUE
";
        let converted =
            convert(&text.replace("    server a 1.2.3.4:5\n", "backend b\n server a 1.2.3.4:5\n"));
        assert_eq!(converted.left, []);
        let config = config::parse(&converted.yaml, "x")
            .unwrap_or_else(|e| panic!("{e}\n{}", converted.yaml));
        let to: Vec<_> = config.log.iter().map(|l| &l.to).collect();
        let udp = |a: &str| config::LogTo::Udp(a.to_owned());
        assert_eq!(
            to,
            [&config::LogTo::Unix("/dev/log".into()), &udp("10.0.0.9:514"), &udp("h:515")]
        );
        assert_eq!((config.log[0].level, config.log[0].facility), (config::LogLevel::Notice, 17));
        assert_eq!(config.log[2].prefix, config::LogPrefix::Rfc5424);
        assert!(config.log.iter().all(|l| l.tag == "haproxy" && l.separate_errors));
        assert_eq!(config.admin_socket.as_ref().unwrap().owner.as_deref(), Some("root:adm"));
        let stats = config.stats.as_ref().unwrap();
        assert_eq!(stats.admin, AdminMode::Basic);
        assert!(stats.users_only && !converted.yaml.contains("secret"));
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
