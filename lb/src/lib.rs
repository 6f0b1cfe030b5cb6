//! The balancer: accepts clients, checks servers, spreads requests over those that are up, and says how it goes.
//! It knows alert nodes only by what they say over HTTP.

mod accept;
mod access;
mod admin;
mod alerts;
mod backend;
mod balance;
mod balancer;
mod cidr;
pub mod config;
mod control;
pub mod convert;
mod daemon;
mod errors;
mod fanout;
mod flags;
#[doc(hidden)]
pub mod fuzz;
mod handover;
mod head;
mod health;
mod inherit;
mod listen;
mod load;
mod page;
mod peer;
mod pool;
mod privileges;
mod probe;
mod proxy;
mod queue;
mod reload;
mod rule;
mod run;
mod series;
mod sink;
mod sockets;
mod state;
mod stats;
mod subject;
mod tls;
mod token;
mod upgrade;
mod users;
mod watch;
mod watchdog;
mod wire;

use std::path::PathBuf;

use tokio_util::sync::CancellationToken;

pub use config::Config;
pub use flags::{Action, Flags};
pub use listen::Listeners;
pub use tls::TlsError;

/// Why the balancer did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum LbError {
    /// No server was named.
    #[error("no servers: give --backend HOST:PORT or a --config.file with servers")]
    NoServers,
    /// The address is taken, not ours, or not an address.
    #[error("cannot listen on {address}")]
    Listen {
        /// As configured.
        address: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The configuration file is wrong.
    #[error(transparent)]
    Config(#[from] tocsin_service::mistake::Mistakes),
    /// Lines of a `haproxy.cfg` that change traffic have no equivalent; each was named.
    #[error("{0} lines that change traffic were left out")]
    Unconverted(usize),
    /// A file or directory that was asked for cannot be used.
    #[error("cannot use {}", .path.display())]
    File {
        /// Its path.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// TLS cannot be used as configured.
    #[error("{place}: TLS cannot be used")]
    Tls {
        /// The frontend or server.
        place: String,
        /// Why.
        source: tls::TlsError,
    },
    /// Something that is fixed while the process runs.
    #[error("{what} cannot change in a running process: let a new one take over (SIGUSR2)")]
    NeedsHandover {
        /// What was changed.
        what: &'static str,
    },
    /// A log cannot be sent there.
    #[error("cannot log to {to}")]
    Log {
        /// As configured.
        to: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A user or group that the system does not know.
    #[error("nobody is called {name:?}")]
    Identity {
        /// As configured.
        name: String,
    },
    /// Rights could not be given up.
    #[error("rights cannot be given up as configured")]
    Privileges(#[source] std::io::Error),
    /// The running balancer did not hand over.
    #[error("{0}")]
    Handover(String),
    /// A thread or runtime could not be made.
    #[error("cannot start")]
    Start(#[source] std::io::Error),
}

impl LbError {
    /// Exit code of the process: 2 where a translation is not complete, else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            LbError::Unconverted(_) => 2,
            _ => 1,
        }
    }
}

/// Binds, serves until SIGTERM or SIGINT, drains and returns.
/// # Errors
/// [`LbError`], each with one clear line: configuration, busy port, unusable path.
pub fn run(flags: Flags) -> Result<(), LbError> {
    if let Some(Action::Convert { file }) = &flags.action {
        return convert_file(file);
    }
    // Before anything else opens a descriptor.
    let mut inherited = inherit::Inherited::from_environment().map_err(LbError::Start)?;
    let config = load(&flags)?;
    if flags.config_check {
        return say(&mut std::io::stdout(), &config.to_yaml());
    }
    if flags.upgrade {
        return upgrade::ask(&config);
    }
    if config.global.daemon && !daemon::is_background() {
        return daemon::start();
    }
    raise_descriptors(&config);
    let listeners = Listeners::take(&config, threads(&config), &mut inherited)?;
    for address in inherited.forget() {
        tracing::warn!(address, "an inherited socket is in no configuration");
    }
    if let Some(path) = &config.global.pid_file {
        let source = std::fs::write(path, format!("{}\n", std::process::id()));
        source.map_err(|source| LbError::File { path: path.clone(), source })?;
    }
    if daemon::is_background() {
        daemon::detach()?;
    }
    let flags = Some(flags);
    let start = run::Start { config, listeners, flags, inherited, is_service: true };
    run::serve(start, CancellationToken::new())
}

/// Prints a translated `haproxy.cfg`, and names on the side what could not be translated.
fn convert_file(path: &std::path::Path) -> Result<(), LbError> {
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|source| LbError::File { path: path.to_owned(), source })?;
    let converted = convert::convert(&text);
    say(&mut std::io::stdout(), &converted.yaml)?;
    for left in &converted.left {
        say(&mut std::io::stderr(), &format!("{}: {left}\n", path.display()))?;
    }
    match converted.left.iter().filter(|l| l.kind == convert::LeftKind::Traffic).count() {
        0 => Ok(()),
        n => Err(LbError::Unconverted(n)),
    }
}

/// Tries all certificates, users and names before anything is changed.
fn check_files(config: &Config) -> Result<(), LbError> {
    for frontend in &config.frontends {
        for bind in &frontend.bind {
            if let Some(options) = bind.tls.as_ref().or(frontend.tls.as_ref()) {
                let tried = tls::offer(options, bind.http2);
                tried.map_err(|source| LbError::Tls { place: frontend.name.clone(), source })?;
            }
        }
    }
    for server in config.backends.iter().flat_map(|b| &b.servers) {
        if let Some(options) = &server.tls {
            let tried = tls::client(options, &server.address);
            tried.map_err(|source| LbError::Tls { place: server.name.clone(), source })?;
        }
    }
    let fronts = config.frontends.iter().filter_map(|f| f.basic_auth.as_ref());
    for users in fronts.chain(config.stats.as_ref().and_then(|s| s.users.as_ref())) {
        users::Users::load(users)?;
    }
    privileges::check(&config.global)
}

fn say(to: &mut impl std::io::Write, text: &str) -> Result<(), LbError> {
    to.write_all(text.as_bytes()).map_err(LbError::Start)
}

/// Makes room for two descriptors a connection; where the system does not allow it, connections will wait.
fn raise_descriptors(config: &Config) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let wanted = 2 * u64::from(config.global.maxconn) + 200;
    let now = getrlimit(Resource::Nofile);
    if now.current.is_some_and(|current| current < wanted) {
        let most = now.maximum.map_or(wanted, |max| max.min(wanted));
        let limit = Rlimit { current: Some(most), maximum: now.maximum };
        if setrlimit(Resource::Nofile, limit).is_err() || most < wanted {
            tracing::warn!(wanted, most, "too few descriptors for all connections");
        }
    }
}

/// Reads the file, if one is named, and puts the flags over it.
fn load(flags: &Flags) -> Result<Config, LbError> {
    let file = flags.config_file.as_deref().map(config::load).transpose()?;
    let config = config::from_flags(file.unwrap_or_default(), flags);
    if config.backends.iter().all(|b| b.servers.is_empty()) {
        return Err(LbError::NoServers);
    }
    check_files(&config)?;
    Ok(config)
}

/// Serves on `listeners` until `stop` is cancelled, then drains; blocks the calling thread.
/// # Errors
/// [`LbError::Start`] when threads cannot be made.
pub fn serve(config: Config, listeners: Listeners, stop: CancellationToken) -> Result<(), LbError> {
    let inherited = inherit::Inherited::default();
    let start = run::Start { config, listeners, flags: None, inherited, is_service: false };
    run::serve(start, stop)
}

/// Serves like [`serve`] what `flags` and their file say, which can be read again by the admin socket and the API.
/// # Errors
/// As [`run`].
pub fn serve_flags(
    flags: Flags,
    listeners: Listeners,
    stop: CancellationToken,
) -> Result<(), LbError> {
    let (config, flags) = (load(&flags)?, Some(flags));
    let inherited = inherit::Inherited::default();
    let start = run::Start { config, listeners, flags, inherited, is_service: false };
    run::serve(start, stop)
}

/// Worker threads: as configured, else one a CPU of the process.
fn threads(config: &Config) -> usize {
    match config.global.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => n,
    }
}
