//! What a cluster is started with. Plain values; flags and files are read elsewhere.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// When a write counts as on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyncMode {
    /// After fdatasync, one for all that wait.
    #[default]
    Group,
    /// After write: safe from the end of the process, not from power loss.
    Off,
}

/// Whom a node trusts on its cluster port.
#[derive(Clone, Default)]
pub enum Trust {
    /// Anybody who can reach the port: encrypted, not authenticated.
    #[default]
    Anyone,
    /// Whoever knows the first secret or one of the others; the first signs.
    Secrets(Vec<String>),
    /// Certificates from files, as upstream's `--cluster.tls-config`.
    Certificates(Box<Certificates>),
}

impl fmt::Debug for Trust {
    /// Says which kind of trust it is, nothing secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Anyone => "Anyone",
            Self::Secrets(_) => "Secrets(<secret>)",
            Self::Certificates(_) => "Certificates(<secret>)",
        })
    }
}

/// The parts of a `--cluster.tls-config` file, as PEM texts.
#[derive(Clone, Default)]
pub struct Certificates {
    /// Chain that this node shows to those who dial it.
    pub server_cert: String,
    /// Its key.
    pub server_key: String,
    /// Authorities of the certificates that dialling nodes must show.
    pub server_client_ca: String,
    /// One of these names must be in their certificates; empty: any.
    pub client_allowed_sans: Vec<String>,
    /// Chain that this node shows when it dials.
    pub client_cert: String,
    /// Its key.
    pub client_key: String,
    /// Authorities of the certificates of nodes that are dialled; the system's when empty.
    pub client_ca: String,
    /// Name to expect in their certificates; the dialled address when empty.
    pub client_server_name: String,
    /// Accept any certificate from nodes that are dialled.
    pub client_skip_verify: bool,
}

/// How a node stores, talks and decides. The defaults are those of the flags.
#[derive(Clone, Debug)]
pub struct Options {
    /// `--storage.path`; files lie in `tocsin/` below it. `None`: memory only.
    pub storage: Option<PathBuf>,
    /// `--storage.sync`.
    pub sync: SyncMode,
    /// `--cluster.listen-address`, `host:port` or `:port`; empty: no network.
    pub listen: String,
    /// `--cluster.advertise-address`; empty: found out.
    pub advertise: String,
    /// `--cluster.peer-name`; empty: the stored one, else random.
    pub name: String,
    /// `--cluster.peer`.
    pub peers: Vec<String>,
    /// `--cluster.label`.
    pub label: String,
    /// `--cluster.tls-config`, `--cluster.secret-file`.
    pub trust: Trust,
    /// `--cluster.require-auth`: refuse to start with [`Trust::Anyone`].
    pub require_auth: bool,
    /// `--cluster.peer-timeout`: how long each rank waits for the one before it.
    pub peer_timeout: Duration,
    /// `--cluster.peers-resolve-timeout`.
    pub resolve_timeout: Duration,
    /// `--cluster.gossip-interval`.
    pub gossip_interval: Duration,
    /// `--cluster.pushpull-interval`: digest sync with a random peer.
    pub pushpull_interval: Duration,
    /// `--cluster.tcp-timeout`.
    pub tcp_timeout: Duration,
    /// `--cluster.probe-timeout`.
    pub probe_timeout: Duration,
    /// `--cluster.probe-interval`.
    pub probe_interval: Duration,
    /// `--cluster.settle-timeout`: bound of the initial sync; zero: ready at once.
    pub settle_timeout: Duration,
    /// `--cluster.reconnect-interval`.
    pub reconnect_interval: Duration,
    /// `--cluster.reconnect-timeout`: a member not seen for this long is forgotten.
    pub reconnect_timeout: Duration,
    /// `--cluster.write-acks`: live peers that must have an alert before its answer.
    pub write_acks: usize,
    /// `--cluster.write-timeout`: bound of that wait.
    pub write_timeout: Duration,
    /// Bound of the wait of a silence for all live peers.
    pub silence_timeout: Duration,
    /// `--cluster.claim-wait`: bound of a claim's round; zero: no claims.
    pub claim_wait: Duration,
    /// `--cluster.expiry-hold`.
    pub expiry_hold: Duration,
    /// Version shown to peers.
    pub version: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            storage: None,
            sync: SyncMode::Group,
            listen: "0.0.0.0:9094".into(),
            advertise: String::new(),
            name: String::new(),
            peers: Vec::new(),
            label: String::new(),
            trust: Trust::Anyone,
            require_auth: false,
            peer_timeout: Duration::from_secs(15),
            resolve_timeout: Duration::from_secs(15),
            gossip_interval: Duration::from_millis(200),
            pushpull_interval: Duration::from_secs(60),
            tcp_timeout: Duration::from_secs(10),
            probe_timeout: Duration::from_millis(500),
            probe_interval: Duration::from_secs(1),
            settle_timeout: Duration::from_secs(60),
            reconnect_interval: Duration::from_secs(10),
            reconnect_timeout: Duration::from_secs(6 * 3600),
            write_acks: 1,
            write_timeout: Duration::from_millis(500),
            silence_timeout: Duration::from_secs(1),
            claim_wait: Duration::from_millis(250),
            expiry_hold: Duration::from_secs(5 * 60),
            version: env!("CARGO_PKG_VERSION").into(),
        }
    }
}

impl Options {
    /// No network and no disk: what most tests want.
    #[must_use]
    pub fn alone() -> Self {
        Self { listen: String::new(), ..Self::default() }
    }

    /// A peer without Pong for this long is unreachable.
    pub(crate) fn unreachable_after(&self) -> Duration {
        let probes = self.probe_interval * 3 + self.probe_timeout * 2;
        probes.max(self.gossip_interval * 10)
    }
}
