//! What the command line says, as plain values. Parsing belongs to the binary; defaults are upstream's.

use std::path::PathBuf;
use std::time::Duration;

/// All flags of `tocsin node`, parsed.
#[derive(Debug, Clone)]
pub struct Options {
    /// `--config.file`.
    pub config_file: PathBuf,
    /// `--storage.path`: created when absent.
    pub storage_path: PathBuf,
    /// `--storage.sync`: whether acknowledged writes are synced to the disk (`group`) or not (`off`).
    pub storage_sync: bool,
    /// `--data.retention`: of expired silences and log entries.
    pub data_retention: Duration,
    /// `--data.maintenance-interval`.
    pub data_maintenance_interval: Duration,
    /// `--silences.max-silences`: 0 is unlimited; expired ones count.
    pub silences_max: usize,
    /// `--silences.max-silence-size-bytes`: 0 is unlimited.
    pub silence_max_size_bytes: usize,
    /// `--log.silences`.
    pub log_silences: bool,
    /// `--alerts.gc-interval`.
    pub alerts_gc_interval: Duration,
    /// `--alerts.per-alertname-limit`: 0 is unlimited.
    pub alerts_per_alertname_limit: usize,
    /// `--dispatch.maintenance-interval`.
    pub dispatch_maintenance_interval: Duration,
    /// `--dispatch.start-delay`: no group is told sooner after the process start.
    pub dispatch_start_delay: Duration,
    /// `--web.*`.
    pub web: WebOptions,
    /// `--cluster.*`.
    pub cluster: ClusterOptions,
    /// `--enable-feature`, taken apart.
    pub features: Features,
    /// `--receivers.deny-cidr`, as written: networks that no receiver may be reached in.
    pub receivers_deny_cidr: Vec<String>,
}

/// The `--web.*` flags. The listen addresses are the binary's: it binds before it runs.
#[derive(Debug, Clone)]
pub struct WebOptions {
    /// `--web.config.file`: TLS and authentication.
    pub config_file: Option<PathBuf>,
    /// `--web.external-url`: empty means `http://<hostname>:<port of the first listener>`.
    pub external_url: String,
    /// `--web.route-prefix`: absent means the path of the external URL.
    pub route_prefix: Option<String>,
    /// `--web.get-concurrency`: 0 means the larger of 8 and the number of processors.
    pub get_concurrency: usize,
    /// `--web.timeout`: zero is none.
    pub timeout: Duration,
    /// `--web.cors.origin`: the pattern of origins that are answered; absent means any.
    pub cors_origin: Option<String>,
    /// `--web.allowed-hosts`: empty means any.
    pub allowed_hosts: Vec<String>,
    /// `--web.enable-receiver-test`.
    pub enable_receiver_test: bool,
    /// `--web.api-v1`: serve API v1 as 0.26 did; otherwise 410.
    pub api_v1: bool,
    /// `--web.creator-header`: the request header that names who creates a silence.
    pub creator_header: Option<String>,
}

/// The `--cluster.*` flags.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// `--cluster.listen-address`: empty disables clustering.
    pub listen_address: String,
    /// `--cluster.advertise-address`.
    pub advertise_address: Option<String>,
    /// `--cluster.peer-name`: absent means the stored or a new random name.
    pub peer_name: Option<String>,
    /// `--cluster.peer`, each as written (names are resolved again and again).
    pub peers: Vec<String>,
    /// `--cluster.peer-timeout`: wait per rank.
    pub peer_timeout: Duration,
    /// `--cluster.peers-resolve-timeout`.
    pub peers_resolve_timeout: Duration,
    /// `--cluster.gossip-interval`.
    pub gossip_interval: Duration,
    /// `--cluster.pushpull-interval`: between digest rounds.
    pub pushpull_interval: Duration,
    /// `--cluster.tcp-timeout`.
    pub tcp_timeout: Duration,
    /// `--cluster.probe-timeout`.
    pub probe_timeout: Duration,
    /// `--cluster.probe-interval`.
    pub probe_interval: Duration,
    /// `--cluster.settle-timeout`: bound of the first synchronisation; zero is ready at once.
    pub settle_timeout: Duration,
    /// `--cluster.reconnect-interval`.
    pub reconnect_interval: Duration,
    /// `--cluster.reconnect-timeout`: a lost peer is forgotten after this.
    pub reconnect_timeout: Duration,
    /// `--cluster.tls-config`: mutual TLS of our own certificates.
    pub tls_config: Option<PathBuf>,
    /// `--cluster.allow-insecure-public-advertise-address-discovery`.
    pub allow_public_advertise: bool,
    /// `--cluster.label`.
    pub label: String,
    /// `--cluster.write-acks`: peers that must have a write before it is answered.
    pub write_acks: usize,
    /// `--cluster.write-timeout`: bound of that wait.
    pub write_timeout: Duration,
    /// `--cluster.claim-wait`: bound of the wait for answers to a claim; zero sends no claims.
    pub claim_wait: Duration,
    /// `--cluster.secret-file`.
    pub secret_file: Option<PathBuf>,
    /// `--cluster.require-auth`.
    pub require_auth: bool,
    /// `--cluster.expiry-hold`: how long alerts that end by expiry count as firing while the cluster is split.
    pub expiry_hold: Duration,
}

/// The features of `--enable-feature`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Features {
    /// `alert-names-in-metrics`.
    pub alert_names_in_metrics: bool,
    /// `receiver-name-in-metrics`.
    pub receiver_name_in_metrics: bool,
    /// `group-key-in-metrics`.
    pub group_key_in_metrics: bool,
    /// `classic-mode`: excludes `utf8-strict-mode`.
    pub classic_mode: bool,
    /// `utf8-strict-mode`.
    pub utf8_strict_mode: bool,
    /// `auto-gomemlimit`: accepted, without effect.
    pub auto_gomemlimit: bool,
    /// `event-recorder`.
    pub event_recorder: bool,
}

/// A feature list that cannot be obeyed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadFeatures {
    /// A name that no version of ours knows; an empty one too.
    #[error("unknown option '{0}' for --enable-feature")]
    Unknown(String),
    /// Both matcher dialects were asked for.
    #[error("cannot have both classic and UTF-8 modes enabled")]
    BothModes,
}

impl Features {
    /// Takes a comma-separated list apart; spaces are not trimmed, the empty text is no feature.
    /// # Errors
    /// [`BadFeatures`] on an unknown name or on both matcher modes.
    pub fn parse(list: &str) -> Result<Self, BadFeatures> {
        let mut features = Self::default();
        if list.is_empty() {
            return Ok(features);
        }
        for name in list.split(',') {
            *features.flag(name).ok_or_else(|| BadFeatures::Unknown(name.to_owned()))? = true;
        }
        if features.classic_mode && features.utf8_strict_mode {
            return Err(BadFeatures::BothModes);
        }
        Ok(features)
    }

    fn flag(&mut self, name: &str) -> Option<&mut bool> {
        Some(match name {
            "alert-names-in-metrics" => &mut self.alert_names_in_metrics,
            "receiver-name-in-metrics" => &mut self.receiver_name_in_metrics,
            "group-key-in-metrics" => &mut self.group_key_in_metrics,
            "classic-mode" => &mut self.classic_mode,
            "utf8-strict-mode" => &mut self.utf8_strict_mode,
            "auto-gomemlimit" => &mut self.auto_gomemlimit,
            "event-recorder" => &mut self.event_recorder,
            _ => return None,
        })
    }
}

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

impl Default for Options {
    fn default() -> Self {
        Self {
            config_file: "alertmanager.yml".into(),
            storage_path: "data/".into(),
            storage_sync: true,
            data_retention: 120 * 60 * MINUTE,
            data_maintenance_interval: 15 * MINUTE,
            silences_max: 0,
            silence_max_size_bytes: 0,
            log_silences: false,
            alerts_gc_interval: 30 * MINUTE,
            alerts_per_alertname_limit: 0,
            dispatch_maintenance_interval: 30 * SECOND,
            dispatch_start_delay: Duration::ZERO,
            web: WebOptions::default(),
            cluster: ClusterOptions::default(),
            features: Features::default(),
            receivers_deny_cidr: Vec::new(),
        }
    }
}

impl Default for WebOptions {
    fn default() -> Self {
        Self {
            config_file: None,
            external_url: String::new(),
            route_prefix: None,
            get_concurrency: 0,
            timeout: Duration::ZERO,
            cors_origin: None,
            allowed_hosts: Vec::new(),
            enable_receiver_test: false,
            api_v1: true,
            creator_header: None,
        }
    }
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self {
            listen_address: "0.0.0.0:9094".to_owned(),
            advertise_address: None,
            peer_name: None,
            peers: Vec::new(),
            peer_timeout: 15 * SECOND,
            peers_resolve_timeout: 15 * SECOND,
            gossip_interval: Duration::from_millis(200),
            pushpull_interval: MINUTE,
            tcp_timeout: 10 * SECOND,
            probe_timeout: Duration::from_millis(500),
            probe_interval: SECOND,
            settle_timeout: MINUTE,
            reconnect_interval: 10 * SECOND,
            reconnect_timeout: 6 * 60 * MINUTE,
            tls_config: None,
            allow_public_advertise: false,
            label: String::new(),
            write_acks: 1,
            write_timeout: Duration::from_millis(500),
            claim_wait: Duration::from_millis(250),
            secret_file: None,
            require_auth: false,
            expiry_hold: 5 * MINUTE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(list: &str, expected: Result<Features, BadFeatures>) {
        assert_eq!(Features::parse(list), expected);
    }

    #[test]
    fn features_are_a_list_without_spaces() {
        check("", Ok(Features::default()));
        let both = Features { classic_mode: true, event_recorder: true, ..Features::default() };
        check("classic-mode,event-recorder", Ok(both));
        check("classic-mode, event-recorder", Err(BadFeatures::Unknown(" event-recorder".into())));
        check("auto-gomaxprocs", Err(BadFeatures::Unknown("auto-gomaxprocs".into())));
        check("classic-mode,", Err(BadFeatures::Unknown(String::new())));
        check("classic-mode,utf8-strict-mode", Err(BadFeatures::BothModes));
    }
}
