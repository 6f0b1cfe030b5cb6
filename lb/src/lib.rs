//! The balancer: accepts clients, checks servers, spreads requests over those that are up, and says how it goes.
//! It knows alert nodes only by what they say over HTTP.

mod accept;
mod access;
mod admin;
mod alerts;
mod backend;
mod balance;
mod balancer;
pub mod config;
mod control;
mod fanout;
mod flags;
mod head;
mod health;
mod listen;
mod page;
mod peer;
mod pool;
mod probe;
mod proxy;
mod queue;
mod reload;
mod rule;
mod run;
mod stats;
mod token;
mod watch;
mod wire;

use std::path::PathBuf;

use tokio_util::sync::CancellationToken;

pub use config::Config;
pub use flags::Flags;
pub use listen::Listeners;

/// Why the balancer did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum LbError {
    /// No server was named.
    #[error("no servers: give --backend HOST:PORT or a --config.file with servers")]
    NoServers,
    /// The address is taken, not ours, or not an address.
    #[error("cannot listen on {address}: {}", .source)]
    Listen {
        /// As configured.
        address: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The configuration file is wrong.
    #[error("{0}")]
    Config(#[from] tocsin_service::mistake::Mistakes),
    /// A file or directory that was asked for cannot be used.
    #[error("cannot use {}: {}", .path.display(), .source)]
    File {
        /// Its path.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Something that is fixed while the process runs.
    #[error("{what} cannot change without a restart")]
    NeedsRestart {
        /// What was changed.
        what: &'static str,
    },
    /// A thread or runtime could not be made.
    #[error("cannot start: {}", .0)]
    Start(#[source] std::io::Error),
}

/// Binds, serves until SIGTERM or SIGINT, drains and returns.
/// # Errors
/// [`LbError`], each with one clear line: configuration, busy port, unusable path.
pub fn run(flags: Flags) -> Result<(), LbError> {
    let config = load(&flags)?;
    if flags.config_check {
        tracing::info!("configuration is valid");
        return Ok(());
    }
    let listeners = Listeners::bind(&config, threads(&config))?;
    let stop = CancellationToken::new();
    run::serve(config, listeners, stop, Some(flags), true)
}

/// Reads the file, if one is named, and puts the flags over it.
fn load(flags: &Flags) -> Result<Config, LbError> {
    let file = flags.config_file.as_deref().map(config::load).transpose()?;
    let config = config::from_flags(file.unwrap_or_default(), flags);
    if config.backends.iter().all(|b| b.servers.is_empty()) {
        return Err(LbError::NoServers);
    }
    Ok(config)
}

/// Serves on `listeners` until `stop` is cancelled, then drains; blocks the calling thread.
/// # Errors
/// [`LbError::Start`] when threads cannot be made.
pub fn serve(config: Config, listeners: Listeners, stop: CancellationToken) -> Result<(), LbError> {
    run::serve(config, listeners, stop, None, false)
}

/// Serves like [`serve`] what `flags` and their file say, which can be read again by the admin socket and the API.
/// # Errors
/// As [`run`].
pub fn serve_flags(
    flags: Flags,
    listeners: Listeners,
    stop: CancellationToken,
) -> Result<(), LbError> {
    run::serve(load(&flags)?, listeners, stop, Some(flags), false)
}

/// Worker threads: as configured, else one a CPU of the process.
fn threads(config: &Config) -> usize {
    match config.global.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => n,
    }
}
