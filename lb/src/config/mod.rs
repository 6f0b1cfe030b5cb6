//! What the balancer was told to do, complete and checked. No option is left open here; the YAML shapes are elsewhere.

mod flag;
mod front;
mod log;
mod read;
mod show;

use std::path::PathBuf;
use std::time::Duration;

use tocsin_service::secret::Secret;

pub use crate::cidr::{BadCidr, Cidr};
pub use flag::{BadServer, ServerFlag, from_flags};
pub(crate) use flag::{is_host_port, is_name};
pub(crate) use log::FACILITIES;
pub use read::{load, parse};

/// The whole configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Limits and identity of the process.
    pub global: Global,
    /// Where the access log goes; one line each to every one.
    pub log: Vec<Log>,
    /// The admin socket, if one is wanted.
    pub admin_socket: Option<AdminSocket>,
    /// Where clients connect.
    pub frontends: Vec<FrontendOptions>,
    /// Pools of servers.
    pub backends: Vec<BackendOptions>,
    /// The stats listener, if one is wanted.
    pub stats: Option<StatsOptions>,
}

/// Limits and identity of the process.
#[derive(Clone, Debug, PartialEq)]
pub struct Global {
    /// Client connections of the whole process.
    pub maxconn: u32,
    /// Worker threads, 0 for one a CPU.
    pub threads: usize,
    /// Whether to go to the background.
    pub daemon: bool,
    /// File for the process id.
    pub pid_file: Option<PathBuf>,
    /// Who the process becomes once its sockets are bound, if it was started as root: a name or a number.
    pub user: Option<String>,
    /// Its group likewise.
    pub group: Option<String>,
    /// Directory out of which nothing can be opened once the sockets are bound.
    pub chroot: Option<PathBuf>,
    /// Longest drain on stop.
    pub hard_stop_after: Duration,
    /// Version told to tools that ask for HAProxy's.
    pub compat_version: String,
    /// Called when the alerting path is broken.
    pub watchdog: Option<Watchdog>,
}

/// A URL that is called when the alerting path is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watchdog {
    /// Longest time without a post of alerts, zero for any.
    pub after: Duration,
    /// Where to post the reason.
    pub url: String,
}

/// Shape of an access log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// HAProxy's `option httplog`.
    Httplog,
    /// One JSON object a line.
    Json,
}

/// Least severity that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum LogLevel {
    /// Everything.
    Debug,
    /// One line a stream, as HAProxy.
    Info,
    /// Only what happens to servers, and streams that went wrong where those are told apart.
    Notice,
    /// Only lines of streams that went wrong.
    Warn,
    /// Only lines of streams that went wrong.
    Error,
}

/// Where the access log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTo {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A file, appended to.
    File(PathBuf),
    /// A syslog server: one datagram a line.
    Udp(String),
    /// The socket of a syslog daemon: one datagram a line.
    Unix(PathBuf),
}

impl LogTo {
    /// Whether it is a syslog server, which takes one message a datagram.
    pub fn is_syslog(&self) -> bool {
        matches!(self, LogTo::Udp(_) | LogTo::Unix(_))
    }
}

/// What stands before each line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogPrefix {
    /// Nothing.
    None,
    /// `<134>Nov 22 19:13:13 tag[pid]: `, as HAProxy sends.
    Rfc3164,
    /// `<134>1 2026-11-22T19:13:13.559+00:00 host tag pid - - `.
    Rfc5424,
}

/// One place for the access log.
#[derive(Clone, Debug, PartialEq)]
pub struct Log {
    /// Where it goes.
    pub to: LogTo,
    /// Shape of a line.
    pub format: LogFormat,
    /// Least severity.
    pub level: LogLevel,
    /// What stands before each line.
    pub prefix: LogPrefix,
    /// Syslog's facility, 0 to 23; 16 is `local0`.
    pub facility: u8,
    /// The program's name in the prefix.
    pub tag: String,
    /// Whether streams that went wrong are errors, and not just lines as any other.
    pub separate_errors: bool,
}

impl Default for Log {
    fn default() -> Self {
        Log {
            to: LogTo::Stdout,
            format: LogFormat::Httplog,
            level: LogLevel::Info,
            prefix: LogPrefix::None,
            facility: 16,
            tag: "tocsin-lb".to_owned(),
            separate_errors: false,
        }
    }
}

/// The admin socket.
#[derive(Clone, Debug, PartialEq)]
pub struct AdminSocket {
    /// Its path.
    pub path: PathBuf,
    /// Permission bits.
    pub mode: u32,
    /// `USER`, `USER:GROUP` or `:GROUP` to whom it is given.
    pub owner: Option<String>,
    /// What its clients may do.
    pub level: Level,
    /// Idle clients are dropped after it.
    pub timeout: Duration,
    /// Clients at once.
    pub maxconn: usize,
    /// Whether the path was asked for: if so, failing to bind it is an error.
    pub given: bool,
}

/// What a client of the admin socket may do; each may do what the ones before may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Reads.
    User,
    /// Also clears counters and sees sessions.
    Operator,
    /// Also changes state.
    Admin,
}

/// Inactivity limits and deadlines.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timeouts {
    /// Absolute, for a complete request header.
    pub http_request: Duration,
    /// Idle wait for the next request.
    pub http_keep_alive: Duration,
    /// Client inactivity.
    pub client: Duration,
    /// Connection to a server, per attempt.
    pub connect: Duration,
    /// Wait for a free server.
    pub queue: Duration,
    /// Server inactivity.
    pub server: Duration,
    /// Reading phase of a check.
    pub check: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Timeouts {
            http_request: seconds(10),
            http_keep_alive: seconds(10),
            client: seconds(60),
            connect: seconds(10),
            queue: seconds(60),
            server: seconds(60),
            check: seconds(10),
        }
    }
}

/// Sizes a client may not exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Request line and headers.
    pub header_bytes: usize,
    /// Header lines.
    pub headers: usize,
    /// Request target.
    pub uri_bytes: usize,
    /// Request body.
    pub body_bytes: u64,
    /// Requests on one connection, 0 for no limit.
    pub requests_per_connection: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            header_bytes: 16 << 10,
            headers: 100,
            uri_bytes: 8 << 10,
            body_bytes: 64 << 20,
            requests_per_connection: 0,
        }
    }
}

/// A place where clients connect.
#[derive(Clone, Debug, PartialEq)]
pub struct FrontendOptions {
    /// Its name in the log and on the page.
    pub name: String,
    /// Addresses to bind.
    pub bind: Vec<BindOptions>,
    /// TLS, for those of its addresses that do not say their own.
    pub tls: Option<TlsBind>,
    /// Connections at once.
    pub maxconn: u32,
    /// Whether `X-Forwarded-For` is appended.
    pub forward_for: ForwardFor,
    /// Whether `X-Forwarded-Proto` is set.
    pub forwarded_proto: bool,
    /// Name for `Via`, empty for no such header.
    pub via: String,
    /// Users, if only those are served.
    pub basic_auth: Option<BasicAuth>,
    /// Connections without a byte are not logged.
    pub dont_log_null: bool,
    /// Sizes.
    pub limits: Limits,
    /// Deadlines.
    pub timeouts: Timeouts,
    /// Clients that are served; empty for all.
    pub allow: Vec<Cidr>,
    /// Balancers in front, which must begin each connection with a PROXY header.
    pub proxy_from: Vec<Cidr>,
    /// Name of the backend.
    pub default_backend: String,
    /// How long the listeners stay open on stop.
    pub shutdown_delay: Duration,
}

/// One address to bind, `*:9093`, `[::]:9093` or `HOST:PORT`.
#[derive(Clone, Debug, PartialEq)]
pub struct BindOptions {
    /// As written.
    pub address: String,
    /// TLS for this address; without it the frontend's.
    pub tls: Option<TlsBind>,
    /// Whether connections from `proxy_from` must begin with a PROXY header.
    pub accept_proxy: bool,
    /// Whether HTTP/2 is offered where there is TLS.
    pub http2: bool,
    /// Whether `[::]` takes IPv6 only.
    pub v6only: bool,
}

impl BindOptions {
    /// An address with all defaults.
    pub fn new(address: &str) -> Self {
        BindOptions {
            address: address.to_owned(),
            tls: None,
            accept_proxy: true,
            http2: true,
            v6only: false,
        }
    }
}

/// Users and their passwords.
#[derive(Clone, Debug, PartialEq)]
pub struct BasicAuth {
    /// File of the form of the node's web configuration: `basic_auth_users`, bcrypt hashes by name.
    pub users_file: Option<PathBuf>,
    /// Further users with their bcrypt hashes.
    pub users: Vec<(String, Secret)>,
    /// Told to the client.
    pub realm: String,
}

/// The forwarding header.
#[derive(Clone, Debug, PartialEq)]
pub struct ForwardFor {
    /// Whether it is appended.
    pub enabled: bool,
    /// Its name.
    pub header: String,
    /// Only where the request has none.
    pub if_none: bool,
    /// Clients for whom it is not appended.
    pub except: Vec<Cidr>,
}

/// How a server is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Balance {
    /// Smooth weighted round robin.
    RoundRobin,
    /// Fewest streams for its weight.
    LeastConn,
    /// The better of two at random.
    Random,
    /// The first below its `maxconn`.
    First,
}

impl Balance {
    /// The name in the configuration and on the page.
    pub fn name(self) -> &'static str {
        match self {
            Balance::RoundRobin => "roundrobin",
            Balance::LeastConn => "leastconn",
            Balance::Random => "random",
            Balance::First => "first",
        }
    }
}

/// Which failures are tried again, beside the rule for alert posts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryOn {
    /// No connection: nothing was sent.
    pub conn_failure: bool,
    /// Closed before a byte of the answer: GET and HEAD, or with `junk_response` and the like whatever is idempotent.
    pub empty_response: bool,
    /// An answer that is cut within its header or is not HTTP.
    pub junk_response: bool,
    /// No header of an answer in time.
    pub response_timeout: bool,
    /// Answers with these statuses.
    pub statuses: Vec<u16>,
}

impl RetryOn {
    /// Statuses that may be tried again, those of `all-retryable-errors` first.
    pub const STATUSES: [u16; 11] = [500, 502, 503, 504, 408, 425, 401, 403, 404, 429, 501];

    /// Nothing.
    pub fn nothing() -> Self {
        RetryOn {
            conn_failure: false,
            empty_response: false,
            junk_response: false,
            response_timeout: false,
            statuses: Vec::new(),
        }
    }

    /// HAProxy's `all-retryable-errors`.
    pub fn all() -> Self {
        RetryOn {
            conn_failure: true,
            empty_response: true,
            junk_response: true,
            response_timeout: true,
            statuses: RetryOn::STATUSES[..6].to_vec(),
        }
    }

    /// Whether something is tried again for which a request must be kept.
    pub fn keeps_requests(&self) -> bool {
        self.junk_response || self.response_timeout || !self.statuses.is_empty()
    }
}

/// Where an alert post goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertMode {
    /// One server, another when it fails.
    Balance,
    /// All servers.
    Fanout,
    /// Balance while every server says that the cluster is whole.
    Auto,
}

/// The own path of alert posts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlertOptions {
    /// Where they go.
    pub mode: AlertMode,
    /// Wait for the header of an answer before another server is tried.
    pub try_timeout: Duration,
    /// No attempt starts after it.
    pub deadline: Duration,
    /// Bytes of all bodies kept at once.
    pub memory: u64,
}

/// Active health checks.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckOptions {
    /// Target asked for.
    pub path: String,
    /// Method used.
    pub method: String,
    /// `Host` sent; empty for the server's address.
    pub host: String,
    /// Codes that pass, as inclusive ranges.
    pub expect: Vec<(u16, u16)>,
    /// Between checks of a server that is up.
    pub interval: Duration,
    /// While it changes state.
    pub fast_interval: Duration,
    /// While it is down.
    pub down_interval: Duration,
    /// Failures that bring it down.
    pub fall: u32,
    /// Passes that bring it up.
    pub rise: u32,
    /// Jitter of the interval, in per cent.
    pub spread: u32,
    /// How a server starts.
    pub init: InitialHealth,
    /// 404 takes a server out of the balance without bringing it down.
    pub disable_on_404: bool,
    /// Whether a server that is spoken to over TLS is checked over TLS, too.
    pub tls: bool,
}

/// Health of a server before its first check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitialHealth {
    /// Up, one failure from down.
    Up,
    /// Up, all failures from down.
    FullyUp,
    /// Down.
    Down,
}

/// Health learnt from traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observe {
    /// What counts.
    pub mode: ObserveMode,
    /// Errors in a row that count as one finding.
    pub error_limit: u32,
    /// What a finding does.
    pub on_error: OnError,
}

/// What of the traffic counts as an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObserveMode {
    /// Nothing.
    None,
    /// Connections that fail.
    Layer4,
    /// Also answers that are none, late, or say that the server is broken.
    Layer7,
}

/// What too many errors in a row do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnError {
    /// Check at once.
    FastInter,
    /// Count as one failed check.
    FailCheck,
    /// One more failure brings it down.
    SuddenDeath,
    /// Down now.
    MarkDown,
}

/// A pool of servers.
#[derive(Clone, Debug, PartialEq)]
pub struct BackendOptions {
    /// Its name.
    pub name: String,
    /// How a server is chosen.
    pub balance: Balance,
    /// Whether connections to servers are used again.
    pub keep_alive: bool,
    /// Further attempts of one request.
    pub retries: u32,
    /// Whether a further attempt may go to another server.
    pub redispatch: bool,
    /// What is tried again.
    pub retry_on: RetryOn,
    /// One attempt's connect while another server is eligible.
    pub connect_try: Duration,
    /// Alert posts.
    pub alerts: AlertOptions,
    /// Health checks.
    pub check: CheckOptions,
    /// What is learnt from traffic.
    pub observe: Observe,
    /// Whether the streams of a server end when it is marked down.
    pub shut_when_down: bool,
    /// Deadlines.
    pub timeouts: Timeouts,
    /// Idle connections a thread keeps.
    pub pool_size: usize,
    /// How long one is kept.
    pub pool_idle: Duration,
    /// All backups at once rather than the first.
    pub all_backups: bool,
    /// The servers.
    pub servers: Vec<ServerOptions>,
}

/// One server.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerOptions {
    /// Its name.
    pub name: String,
    /// `HOST:PORT`.
    pub address: String,
    /// Share of the traffic, 0 to 256.
    pub weight: u32,
    /// Streams at once, 0 for no limit.
    pub maxconn: u32,
    /// Requests that may wait for this very server, 0 for no limit.
    pub maxqueue: u32,
    /// Checks of its own; without them the backend's.
    pub health: Option<CheckOptions>,
    /// Used only where no other is up.
    pub backup: bool,
    /// Ramp after it came up.
    pub slow_start: Duration,
    /// Starts in maintenance.
    pub disabled: bool,
    /// Whether it is checked.
    pub check: bool,
    /// TLS towards it, for traffic and checks.
    pub tls: Option<TlsServer>,
}

/// TLS offered to clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsBind {
    /// PEM of the certificate and its chain.
    pub certificate: PathBuf,
    /// PEM of its key.
    pub key: PathBuf,
    /// Further certificates and keys, for clients that ask for one of their names.
    pub more: Vec<(PathBuf, PathBuf)>,
    /// PEM of the CA of clients.
    pub client_ca: Option<PathBuf>,
    /// Whether clients must have a certificate.
    pub verify: ClientVerify,
    /// TLS 1.3 only.
    pub only_13: bool,
    /// Header that tells the server the common name of the client's certificate; never passed on from a client.
    pub client_header: Option<String>,
}

impl TlsBind {
    /// One certificate for every client.
    pub fn new(certificate: PathBuf, key: PathBuf) -> Self {
        TlsBind {
            certificate,
            key,
            more: Vec::new(),
            client_ca: None,
            verify: ClientVerify::None,
            only_13: false,
            client_header: None,
        }
    }
}

/// Whether clients must have a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientVerify {
    /// None is asked for.
    None,
    /// One that is given must be good.
    Optional,
    /// A good one must be given.
    Required,
}

/// TLS towards a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsServer {
    /// PEM of the CA; without it the system's.
    pub ca: Option<PathBuf>,
    /// Name in its certificate; without it the host of its address.
    pub server_name: Option<String>,
    /// PEM of our own certificate.
    pub certificate: Option<PathBuf>,
    /// PEM of our own key.
    pub key: Option<PathBuf>,
    /// Whether its certificate is verified.
    pub verify: bool,
}

/// Who may change state on the stats listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum AdminMode {
    /// Nobody.
    Off,
    /// Whoever has the token.
    Token,
    /// Users with their passwords.
    Basic,
    /// Everybody, as HAProxy's `stats admin if TRUE`.
    Any,
}

/// The stats listener.
#[derive(Clone, Debug, PartialEq)]
pub struct StatsOptions {
    /// Addresses to bind.
    pub bind: Vec<BindOptions>,
    /// Path of the page.
    pub uri: String,
    /// Told to browsers.
    pub refresh: Duration,
    /// Connections at once.
    pub maxconn: u32,
    /// Who may change state.
    pub admin: AdminMode,
    /// File with the token.
    pub token_file: Option<PathBuf>,
    /// Users for the mode `basic`, and whom the page is for if it is not for all.
    pub users: Option<BasicAuth>,
    /// Whether only users may read it; the balancer's own health is told to all.
    pub users_only: bool,
    /// Further targets of the page, such as `/haproxy?stats`.
    pub alias: Vec<String>,
    /// Names under which the listener answers; empty for any.
    pub hosts: Vec<String>,
    /// Whether addresses are shown.
    pub legends: bool,
    /// Whether `/metrics` has HAProxy's names.
    pub haproxy_metrics: bool,
}

impl Default for Config {
    /// The guide's set-up without servers.
    fn default() -> Self {
        Config {
            global: Global::default(),
            log: vec![Log::default()],
            admin_socket: Some(AdminSocket::default()),
            frontends: vec![FrontendOptions::named("alertmanager_frontend")],
            backends: vec![BackendOptions::named("alertmanager_backend")],
            stats: Some(StatsOptions::default()),
        }
    }
}

impl Default for Global {
    fn default() -> Self {
        Global {
            maxconn: 4096,
            threads: 0,
            daemon: false,
            pid_file: None,
            user: None,
            group: None,
            chroot: None,
            hard_stop_after: Duration::from_secs(30),
            compat_version: "2.6.12".to_owned(),
            watchdog: None,
        }
    }
}

impl Default for AdminSocket {
    fn default() -> Self {
        AdminSocket {
            path: PathBuf::from("/run/tocsin-lb/lb.sock"),
            mode: 0o660,
            owner: None,
            level: Level::Admin,
            timeout: Duration::from_secs(30),
            maxconn: 10,
            given: false,
        }
    }
}

impl FrontendOptions {
    /// The guide's frontend under the name `name`.
    pub fn named(name: &str) -> Self {
        FrontendOptions {
            name: name.to_owned(),
            bind: vec![BindOptions::new("*:9093")],
            tls: None,
            maxconn: 3000,
            forward_for: ForwardFor {
                enabled: true,
                header: "X-Forwarded-For".to_owned(),
                if_none: false,
                except: Vec::new(),
            },
            forwarded_proto: false,
            via: String::new(),
            basic_auth: None,
            dont_log_null: true,
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            allow: Vec::new(),
            proxy_from: Vec::new(),
            default_backend: "alertmanager_backend".to_owned(),
            shutdown_delay: Duration::ZERO,
        }
    }
}

impl BackendOptions {
    /// The guide's backend under the name `name`, without servers.
    pub fn named(name: &str) -> Self {
        BackendOptions {
            name: name.to_owned(),
            balance: Balance::RoundRobin,
            keep_alive: true,
            retries: 3,
            redispatch: true,
            retry_on: RetryOn { conn_failure: true, empty_response: true, ..RetryOn::nothing() },
            connect_try: Duration::from_secs(2),
            alerts: AlertOptions {
                mode: AlertMode::Auto,
                try_timeout: Duration::from_secs(3),
                deadline: Duration::from_secs(9),
                memory: 256 << 20,
            },
            check: CheckOptions::default(),
            observe: Observe {
                mode: ObserveMode::None,
                error_limit: 10,
                on_error: OnError::FailCheck,
            },
            shut_when_down: false,
            timeouts: Timeouts::default(),
            pool_size: 128,
            pool_idle: Duration::from_secs(8),
            all_backups: false,
            servers: Vec::new(),
        }
    }
}

impl Default for CheckOptions {
    fn default() -> Self {
        CheckOptions {
            path: "/-/healthy".to_owned(),
            method: "GET".to_owned(),
            host: String::new(),
            expect: vec![(200, 200)],
            interval: Duration::from_secs(10),
            fast_interval: Duration::ZERO,
            down_interval: Duration::ZERO,
            fall: 3,
            rise: 2,
            spread: 5,
            init: InitialHealth::Up,
            disable_on_404: false,
            tls: true,
        }
    }
}

impl ServerOptions {
    /// A server with all defaults.
    pub fn new(name: &str, address: &str) -> Self {
        ServerOptions {
            name: name.to_owned(),
            address: address.to_owned(),
            weight: 1,
            maxconn: 0,
            maxqueue: 0,
            health: None,
            backup: false,
            slow_start: Duration::ZERO,
            disabled: false,
            check: true,
            tls: None,
        }
    }
}

impl Default for StatsOptions {
    fn default() -> Self {
        StatsOptions {
            bind: vec![BindOptions::new("*:8404")],
            uri: "/stats".to_owned(),
            refresh: Duration::from_secs(30),
            maxconn: 100,
            admin: AdminMode::Token,
            token_file: None,
            users: None,
            users_only: false,
            alias: Vec::new(),
            hosts: Vec::new(),
            legends: true,
            haproxy_metrics: true,
        }
    }
}
