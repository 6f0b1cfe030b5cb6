//! The flags of `tocsin lb`. It holds their names, defaults and shapes; what they mean together is `config`'s.

use std::path::PathBuf;

use crate::config::{AdminMode, LogFormat, LogLevel, ServerFlag};

/// What `tocsin lb` can do but serve.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Action {
    /// Translate a haproxy.cfg; lines without an equivalent are named, exit code 2 if one changes traffic
    Convert {
        /// The file
        file: PathBuf,
    },
}

/// Flags of `tocsin lb`; `--backend` alone is a complete start.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Flags {
    /// Something else than serving
    #[command(subcommand)]
    pub action: Option<Action>,
    /// YAML file with frontends, backends and limits
    #[arg(long = "config.file", value_name = "FILE", env = "TOCSIN_LB_CONFIG_FILE")]
    pub config_file: Option<PathBuf>,
    /// Check the configuration, print what it means and leave
    #[arg(long = "config.check")]
    pub config_check: bool,
    /// Let a new process take over from the running balancer without losing a connection, and leave
    #[arg(long)]
    pub upgrade: bool,
    /// A server, repeatable; replaces the servers of the file
    #[arg(long = "backend", value_name = "HOST:PORT[,weight=N][,name=X][,backup]")]
    pub backend: Vec<ServerFlag>,
    /// Where clients connect, repeatable [default: *:9093]
    #[arg(long = "listen-address", value_name = "ADDRESS")]
    pub listen_address: Vec<String>,
    /// Where the stats page is; empty for none [default: *:8404]
    #[arg(long = "stats.listen-address", value_name = "ADDRESS")]
    pub stats_listen_address: Option<String>,
    /// Who may change state on the stats page [default: token]
    #[arg(long = "stats.admin", value_name = "MODE")]
    pub stats_admin: Option<AdminMode>,
    /// Path of the admin socket; empty for none [default: /run/tocsin-lb/lb.sock where possible]
    #[arg(long = "admin.socket", value_name = "PATH")]
    pub admin_socket: Option<String>,
    /// Format of the access log [default: httplog]
    #[arg(long = "log.format", value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// Least severity that is logged [default: info]
    #[arg(long = "log.level", value_name = "LEVEL")]
    pub log_level: Option<LogLevel>,
    /// Worker threads; 0 for one a CPU
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// Go to the background once the sockets are bound
    #[arg(long)]
    pub daemon: bool,
    /// File that receives the process id
    #[arg(long = "pid-file", value_name = "FILE")]
    pub pid_file: Option<PathBuf>,
}
