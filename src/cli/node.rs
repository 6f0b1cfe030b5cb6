//! The flags of `tocsin node`: upstream's names and defaults, then ours in a group of their own.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::TypedValueParser as _;
use clap::{ArgAction, Args};
use tocsin_node::options::{BadFeatures, ClusterOptions, Features, Options, WebOptions};
use tocsin_service::duration::parse_go_duration;

use crate::logging::{Format, Threshold};

/// The flags that have a `--no-` form.
pub(super) const BOOLEANS: [&str; 7] = [
    "log.silences",
    "web.systemd-socket",
    "cluster.allow-insecure-public-advertise-address-discovery",
    "config.check",
    "cluster.require-auth",
    "web.enable-receiver-test",
    "web.api-v1",
];

const OURS: &str = "Tocsin's own";

/// All flags of `tocsin node`.
#[derive(Clone, Debug, Args)]
#[command(disable_version_flag = true)]
pub(crate) struct NodeFlags {
    /// Configuration file
    #[arg(
        long = "config.file",
        value_name = "FILE",
        env = "TOCSIN_CONFIG_FILE",
        default_value = "alertmanager.yml"
    )]
    config_file: PathBuf,
    /// Directory for alerts, silences and the notification log
    #[arg(
        long = "storage.path",
        value_name = "DIR",
        env = "TOCSIN_STORAGE_PATH",
        default_value = "data/"
    )]
    storage_path: PathBuf,
    /// How long expired silences and log entries are kept
    #[arg(long = "data.retention", value_name = "TIME", default_value = "120h", value_parser = positive)]
    data_retention: Duration,
    /// Time between two clean-ups of the stored data
    #[arg(long = "data.maintenance-interval", value_name = "TIME", default_value = "15m", value_parser = positive)]
    data_maintenance_interval: Duration,
    /// Most silences kept, expired ones included; 0 is no limit
    #[arg(long = "silences.max-silences", value_name = "N", default_value_t = 0, allow_hyphen_values = true, value_parser = count())]
    silences_max: usize,
    /// Largest size of one silence in bytes; 0 is no limit
    #[arg(long = "silences.max-silence-size-bytes", value_name = "N", default_value_t = 0, allow_hyphen_values = true, value_parser = count())]
    silence_max_size_bytes: usize,
    /// Log each silence that is created, changed or expired
    #[arg(long = "log.silences", value_name = "BOOL", default_value_t = false, default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set)]
    log_silences: bool,
    /// Time between two collections of resolved alerts
    #[arg(long = "alerts.gc-interval", value_name = "TIME", default_value = "30m", value_parser = positive)]
    alerts_gc_interval: Duration,
    /// Most alerts of one alertname; 0 is no limit
    #[arg(long = "alerts.per-alertname-limit", value_name = "N", default_value_t = 0, allow_hyphen_values = true, value_parser = count())]
    alerts_per_alertname_limit: usize,
    /// Time between two clean-ups of empty groups
    #[arg(long = "dispatch.maintenance-interval", value_name = "TIME", default_value = "30s", value_parser = positive)]
    dispatch_maintenance_interval: Duration,
    /// No group is told sooner than this after the start
    #[arg(long = "dispatch.start-delay", value_name = "TIME", default_value = "0s", value_parser = duration)]
    dispatch_start_delay: Duration,
    /// Address to serve API and pages on (repeatable)
    #[arg(long = "web.listen-address", value_name = "ADDRESS", default_value = ":9093", action = ArgAction::Append)]
    web_listen_addresses: Vec<String>,
    /// Serve on the sockets that systemd passes instead
    #[arg(long = "web.systemd-socket", value_name = "BOOL", default_value_t = false, default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set)]
    pub(crate) web_systemd_socket: bool,
    /// File with TLS and authentication settings for the web port
    #[arg(long = "web.config.file", value_name = "FILE", default_value = "")]
    web_config_file: String,
    /// URL under which people reach this node; used in links
    #[arg(long = "web.external-url", value_name = "URL", default_value = "")]
    web_external_url: String,
    /// Prefix of all routes; the path of the external URL when absent
    #[arg(long = "web.route-prefix", value_name = "PATH")]
    web_route_prefix: Option<String>,
    /// Most GET requests at a time; 0 is the larger of 8 and the processors
    #[arg(long = "web.get-concurrency", value_name = "N", default_value_t = 0, allow_hyphen_values = true, value_parser = count())]
    web_get_concurrency: usize,
    /// Longest time for one request; 0 is no limit
    #[arg(long = "web.timeout", value_name = "TIME", default_value = "0s", value_parser = duration)]
    web_timeout: Duration,
    /// Taken as Debian's package passes it, without effect: the pages are built in
    #[arg(long = "web.ui-path", value_name = "DIR", hide = true)]
    _web_ui_path: Option<PathBuf>,
    /// Taken without effect: there is no garbage collector to tune
    #[arg(long = "auto-gomemlimit.ratio", value_name = "N", hide = true, value_parser = ratio)]
    _auto_gomemlimit_ratio: Option<f64>,
    /// Address for the peers; empty means no cluster
    #[arg(long = "cluster.listen-address", value_name = "ADDRESS", default_value = "0.0.0.0:9094")]
    cluster_listen_address: String,
    /// Address that peers are told to use
    #[arg(long = "cluster.advertise-address", value_name = "ADDRESS", default_value = "")]
    cluster_advertise_address: String,
    /// Name of this node; when empty one is made and kept in the storage directory
    #[arg(long = "cluster.peer-name", value_name = "NAME", default_value = "")]
    cluster_peer_name: String,
    /// A peer's address (repeatable)
    #[arg(long = "cluster.peer", value_name = "ADDRESS", action = ArgAction::Append)]
    cluster_peers: Vec<String>,
    /// How long a node waits for each better-ranked one to tell a group
    #[arg(long = "cluster.peer-timeout", value_name = "TIME", default_value = "15s", value_parser = duration)]
    cluster_peer_timeout: Duration,
    /// Time for resolving the peers' names
    #[arg(long = "cluster.peers-resolve-timeout", value_name = "TIME", default_value = "15s", value_parser = duration)]
    cluster_peers_resolve_timeout: Duration,
    /// Time between two gossip messages
    #[arg(long = "cluster.gossip-interval", value_name = "TIME", default_value = "200ms", value_parser = duration)]
    cluster_gossip_interval: Duration,
    /// Time between two comparisons of the whole state
    #[arg(long = "cluster.pushpull-interval", value_name = "TIME", default_value = "1m", value_parser = duration)]
    cluster_pushpull_interval: Duration,
    /// Time for connecting, reading and writing between peers
    #[arg(long = "cluster.tcp-timeout", value_name = "TIME", default_value = "10s", value_parser = duration)]
    cluster_tcp_timeout: Duration,
    /// Time for one answer to a probe
    #[arg(long = "cluster.probe-timeout", value_name = "TIME", default_value = "500ms", value_parser = duration)]
    cluster_probe_timeout: Duration,
    /// Time between two probes
    #[arg(long = "cluster.probe-interval", value_name = "TIME", default_value = "1s", value_parser = duration)]
    cluster_probe_interval: Duration,
    /// Longest wait for the peers' state after the start
    #[arg(long = "cluster.settle-timeout", value_name = "TIME", default_value = "1m", value_parser = duration)]
    cluster_settle_timeout: Duration,
    /// Time between two attempts to reach a lost peer
    #[arg(long = "cluster.reconnect-interval", value_name = "TIME", default_value = "10s", value_parser = duration)]
    cluster_reconnect_interval: Duration,
    /// A lost peer is forgotten after this
    #[arg(long = "cluster.reconnect-timeout", value_name = "TIME", default_value = "6h", value_parser = duration)]
    cluster_reconnect_timeout: Duration,
    /// File with TLS settings for the connections between peers
    #[arg(long = "cluster.tls-config", value_name = "FILE", default_value = "")]
    cluster_tls_config: String,
    /// Advertise a public address when there is no private one
    #[arg(long = "cluster.allow-insecure-public-advertise-address-discovery", value_name = "BOOL", default_value_t = false, default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set)]
    cluster_allow_public: bool,
    /// Name of the cluster; nodes with another one are refused
    #[arg(long = "cluster.label", value_name = "NAME", default_value = "")]
    cluster_label: String,
    /// Features to switch on, separated by commas
    #[arg(long = "enable-feature", value_name = "LIST", default_value = "")]
    enable_feature: String,
    /// Lowest severity that is logged
    #[arg(
        long = "log.level",
        value_name = "LEVEL",
        default_value = "info",
        ignore_case = true,
        value_enum
    )]
    pub(crate) log_level: Threshold,
    /// Form of the log lines
    #[arg(long = "log.format", value_name = "FORMAT", default_value = "logfmt", value_enum)]
    pub(crate) log_format: Format,

    /// Check the configuration file, say what is wrong with it, and end
    #[arg(help_heading = OURS, long = "config.check", value_name = "BOOL", default_value_t = false, default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set)]
    pub(crate) config_check: bool,
    /// When a write counts as stored: after the disk has it (group) or at once (off)
    #[arg(help_heading = OURS, long = "storage.sync", value_name = "WHEN", default_value = "group", value_parser = ["group", "off"])]
    storage_sync: String,
    /// Peers that must have an alert before it is acknowledged
    #[arg(help_heading = OURS, long = "cluster.write-acks", value_name = "N", default_value_t = 1)]
    cluster_write_acks: usize,
    /// Longest wait for them
    #[arg(help_heading = OURS, long = "cluster.write-timeout", value_name = "TIME", default_value = "500ms", value_parser = duration)]
    cluster_write_timeout: Duration,
    /// Longest wait for the peers' word before a notification is sent; 0 asks nobody
    #[arg(help_heading = OURS, long = "cluster.claim-wait", value_name = "TIME", default_value = "250ms", value_parser = duration)]
    cluster_claim_wait: Duration,
    /// File with the cluster's shared secret
    #[arg(help_heading = OURS, long = "cluster.secret-file", value_name = "FILE")]
    cluster_secret_file: Option<PathBuf>,
    /// Refuse to start without a secret or certificates for the cluster
    #[arg(help_heading = OURS, long = "cluster.require-auth", value_name = "BOOL", default_value_t = false, default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set)]
    cluster_require_auth: bool,
    /// How long an alert that nobody re-sends counts as firing while a peer is away
    #[arg(help_heading = OURS, long = "cluster.expiry-hold", value_name = "TIME", default_value = "5m", value_parser = duration)]
    cluster_expiry_hold: Duration,
    /// Pattern of other sites' origins that may write
    #[arg(help_heading = OURS, long = "web.cors.origin", value_name = "REGEX")]
    web_cors_origin: Option<String>,
    /// Host names that requests may name, separated by commas; all when absent
    #[arg(help_heading = OURS, long = "web.allowed-hosts", value_name = "LIST", default_value = "")]
    web_allowed_hosts: String,
    /// Allow sending a test notification from the pages
    #[arg(help_heading = OURS, long = "web.enable-receiver-test", value_name = "BOOL", default_value_t = false, default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set)]
    web_enable_receiver_test: bool,
    /// Serve API v1 as Alertmanager 0.26 did
    #[arg(help_heading = OURS, long = "web.api-v1", value_name = "BOOL", default_value_t = true, default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set)]
    web_api_v1: bool,
    /// Request header that names who creates a silence
    #[arg(help_heading = OURS, long = "web.creator-header", value_name = "NAME")]
    web_creator_header: Option<String>,
    /// Network that no receiver may be in (repeatable)
    #[arg(help_heading = OURS, long = "receivers.deny-cidr", value_name = "CIDR", action = ArgAction::Append)]
    receivers_deny_cidr: Vec<String>,
}

impl NodeFlags {
    /// The features of `--enable-feature`.
    /// # Errors
    /// An unknown one, or two that exclude each other.
    pub(crate) fn features(&self) -> Result<Features, BadFeatures> {
        Features::parse(&self.enable_feature)
    }

    /// Their names as written.
    pub(crate) fn feature_names(&self) -> impl Iterator<Item = &str> {
        self.enable_feature.split(',').filter(|name| !name.is_empty())
    }

    /// The addresses to serve on, as written.
    pub(crate) fn listen_addresses(&self) -> &[String] {
        &self.web_listen_addresses
    }

    /// The flags as the node takes them.
    /// # Errors
    /// A sentence naming the flag whose value cannot be obeyed.
    pub(crate) fn options(&self, features: Features) -> Result<Options, String> {
        for (name, path) in
            [("config.file", &self.config_file), ("storage.path", &self.storage_path)]
        {
            if path.as_os_str().is_empty() {
                return Err(format!("--{name} must not be empty"));
            }
        }
        self.check_cluster()?;
        Ok(Options {
            config_file: self.config_file.clone(),
            storage_path: self.storage_path.clone(),
            storage_sync: self.storage_sync == "group",
            data_retention: self.data_retention,
            data_maintenance_interval: self.data_maintenance_interval,
            silences_max: self.silences_max,
            silence_max_size_bytes: self.silence_max_size_bytes,
            log_silences: self.log_silences,
            alerts_gc_interval: self.alerts_gc_interval,
            alerts_per_alertname_limit: self.alerts_per_alertname_limit,
            dispatch_maintenance_interval: self.dispatch_maintenance_interval,
            dispatch_start_delay: self.dispatch_start_delay,
            web: self.web(),
            cluster: self.cluster(),
            features,
            receivers_deny_cidr: self.receivers_deny_cidr.clone(),
        })
    }

    /// Upstream's rule: with a cluster, none of its times may be zero.
    fn check_cluster(&self) -> Result<(), String> {
        if self.cluster_listen_address.is_empty() {
            return Ok(());
        }
        let times = [
            ("peer-timeout", self.cluster_peer_timeout),
            ("peers-resolve-timeout", self.cluster_peers_resolve_timeout),
            ("gossip-interval", self.cluster_gossip_interval),
            ("pushpull-interval", self.cluster_pushpull_interval),
            ("tcp-timeout", self.cluster_tcp_timeout),
            ("probe-timeout", self.cluster_probe_timeout),
            ("probe-interval", self.cluster_probe_interval),
            ("reconnect-interval", self.cluster_reconnect_interval),
            ("reconnect-timeout", self.cluster_reconnect_timeout),
        ];
        match times.iter().find(|(_, time)| time.is_zero()) {
            Some((name, _)) => {
                Err(format!("--cluster.{name} must be positive when clustering is enabled"))
            }
            None => Ok(()),
        }
    }

    fn web(&self) -> WebOptions {
        WebOptions {
            config_file: given(&self.web_config_file).map(PathBuf::from),
            external_url: self.web_external_url.clone(),
            route_prefix: self.web_route_prefix.clone(),
            get_concurrency: self.web_get_concurrency,
            timeout: self.web_timeout,
            cors_origin: self.web_cors_origin.clone(),
            allowed_hosts: self
                .web_allowed_hosts
                .split(',')
                .filter(|host| !host.is_empty())
                .map(str::to_owned)
                .collect(),
            enable_receiver_test: self.web_enable_receiver_test,
            api_v1: self.web_api_v1,
            creator_header: self.web_creator_header.clone(),
        }
    }

    fn cluster(&self) -> ClusterOptions {
        ClusterOptions {
            listen_address: self.cluster_listen_address.clone(),
            advertise_address: given(&self.cluster_advertise_address),
            peer_name: given(&self.cluster_peer_name),
            peers: self.cluster_peers.clone(),
            peer_timeout: self.cluster_peer_timeout,
            peers_resolve_timeout: self.cluster_peers_resolve_timeout,
            gossip_interval: self.cluster_gossip_interval,
            pushpull_interval: self.cluster_pushpull_interval,
            tcp_timeout: self.cluster_tcp_timeout,
            probe_timeout: self.cluster_probe_timeout,
            probe_interval: self.cluster_probe_interval,
            settle_timeout: self.cluster_settle_timeout,
            reconnect_interval: self.cluster_reconnect_interval,
            reconnect_timeout: self.cluster_reconnect_timeout,
            tls_config: given(&self.cluster_tls_config).map(PathBuf::from),
            allow_public_advertise: self.cluster_allow_public,
            label: self.cluster_label.clone(),
            write_acks: self.cluster_write_acks,
            write_timeout: self.cluster_write_timeout,
            claim_wait: self.cluster_claim_wait,
            secret_file: self.cluster_secret_file.clone(),
            require_auth: self.cluster_require_auth,
            expiry_hold: self.cluster_expiry_hold,
        }
    }
}

/// Upstream's empty text is our absence.
fn given(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn duration(text: &str) -> Result<Duration, String> {
    let time = parse_go_duration(text).map_err(|error| error.to_string())?;
    // As upstream reads them, what is below zero means what zero means.
    Ok(Duration::try_from(time).unwrap_or_default())
}

fn positive(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    if time.is_zero() { Err(format!("{text:?} must be positive")) } else { Ok(time) }
}

/// A limit: everything below one is none.
fn count() -> impl clap::builder::TypedValueParser<Value = usize> {
    clap::value_parser!(i64).map(|number| usize::try_from(number).unwrap_or(0))
}

fn ratio(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(ratio) if ratio > 0.0 && ratio <= 1.0 => Ok(ratio),
        _ => Err("--auto-gomemlimit.ratio must be greater than 0 and less than or equal to 1."
            .to_owned()),
    }
}
