//! The alert node: configuration, notification, engine, API, pages. [`run`] builds all parts in order and is the only place
//! that knows them all.

pub mod api;
mod clock;
pub mod config;
pub mod engine;
pub mod events;
#[doc(hidden)]
pub mod fuzz;
pub mod message;
pub mod metrics;
pub mod notify;
pub mod options;
mod trace;
pub mod ui;

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;

use tocsin_cluster::{Cluster, ClusterError, SyncMode, Trust};
use tocsin_service::clock::Clock;
use tocsin_service::systemd::Notifier;
use tokio_util::sync::CancellationToken;
use tracing::info;

use clock::ClusterClock;
use engine::{Engine, Handle, ReloadError, Tables};
use notify::{BadNetwork, Deny, Parts};
pub use options::Options;

/// Why a node cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The directory of `--storage.path`.
    #[error("storage directory {path:?} cannot be made")]
    Storage {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The configuration, its templates, its integrations.
    #[error("error loading configuration file: {0}")]
    Config(ReloadError),
    /// `--web.external-url`.
    #[error("{0}")]
    ExternalUrl(String),
    /// `--receivers.deny-cidr`.
    #[error("--receivers.deny-cidr")]
    Deny(#[from] BadNetwork),
    /// Storage, cluster port, secrets.
    #[error("cluster cannot start")]
    Cluster(#[from] ClusterError),
    /// `--cluster.secret-file` or `--cluster.tls-config`.
    #[error("{0}")]
    Trust(String),
    /// The web configuration or a listener.
    #[error("HTTP cannot be served")]
    Web(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A thread.
    #[error("a thread cannot be started")]
    Thread(#[source] std::io::Error),
    /// No handler for a signal.
    #[error("signals cannot be heard")]
    Signal(#[source] std::io::Error),
}

/// Runs a node until `stop`: the configuration is read before anybody is joined; alerts are taken and shown before the node
/// is ready; nothing is told before. SIGHUP reloads.
/// # Errors
/// [`NodeError`] when it cannot start.
pub async fn run(
    options: Options,
    listeners: Vec<TcpListener>,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) -> Result<(), NodeError> {
    std::fs::create_dir_all(&options.storage_path)
        .map_err(|source| NodeError::Storage { path: options.storage_path.clone(), source })?;
    let external_url: Arc<str> = external_url(&options, &listeners)?.into();
    let system = Arc::new(Notifier::from_environment());
    let status = format!("node, its pages are at {external_url}");
    let deny = Deny::parse(options.receivers_deny_cidr.iter().map(String::as_str))?;
    let deliveries = CancellationToken::new();
    let machine = clock;
    let corrected = Arc::new(ClusterClock::new(Arc::clone(&machine)));
    let clock: Arc<dyn Clock> = Arc::clone(&corrected) as _;
    let parts = {
        let (clock, external_url) = (Arc::clone(&clock), Arc::clone(&external_url));
        move |templates| Parts { templates, clock, external_url, deny }
    };
    let live =
        engine::load(&options, parts, deliveries.child_token()).await.map_err(NodeError::Config)?;
    let tables = Tables::new(&clock);
    let joined = CancellationToken::new();
    let cluster_options = cluster_options(&options)?;
    let cluster =
        Cluster::start(cluster_options, tables.by_kind(), machine, joined.clone()).await?;
    let following = {
        let cluster = Arc::clone(&cluster);
        tokio::spawn(async move { corrected.follow(&cluster).await })
    };
    let (engine, handle) =
        Engine::new(options, clock, tables, Arc::clone(&cluster), external_url, live, deliveries);
    let serving = CancellationToken::new();
    let web = tokio::spawn(api::serve(handle.clone(), listeners, serving.clone()));
    let reloads = tokio::spawn(reload_on_signal(handle.clone())?);
    system.status(&status);
    system.ready();
    let web = async {
        match web.await {
            Ok(end) => end,
            Err(panic) => Err(NodeError::Web(Box::new(panic))),
        }
    };
    let end = engine_until(engine, &cluster, stop, web, &system).await;
    reloads.abort();
    following.abort();
    serving.cancel();
    cluster.leave().await;
    if let Some(spans) = handle.spans() {
        spans.flush(SPANS_GRACE).await;
    }
    end
}

/// What the last spans get to be delivered when the node stops.
const SPANS_GRACE: std::time::Duration = std::time::Duration::from_secs(5);

/// The version that clients of Alertmanager see: that of the version whose behaviour is kept, with ours behind it.
pub const VERSION: &str = concat!("0.34.0+tocsin.", env!("CARGO_PKG_VERSION"));

/// Runs the engine on a thread of its own, so that telling never keeps posts waiting.
/// # Errors
/// When there is no thread for it.
fn on_own_thread(
    engine: Engine,
    stop: CancellationToken,
    system: Arc<Notifier>,
) -> Result<impl Future<Output = ()>, NodeError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(NodeError::Thread)?;
    let (ended, end) = tokio::sync::oneshot::channel::<()>();
    let work = move || {
        // On the engine's own thread: when that is stuck, so is the sign of life.
        runtime.block_on(async {
            tokio::select! {
                () = engine.run(stop) => {}
                () = show_life(&system) => {}
            }
        });
        drop(ended);
    };
    std::thread::Builder::new()
        .name("tocsin-engine".into())
        .spawn(work)
        .map_err(NodeError::Thread)?;
    Ok(async move {
        // It only ever ends by being dropped.
        let _ = end.await;
    })
}

/// Tells the service manager's watchdog that all is well, for as long as it is polled.
async fn show_life(system: &Notifier) {
    let Some(period) = system.watchdog_period() else { return std::future::pending().await };
    let mut ticks = tokio::time::interval(period);
    loop {
        ticks.tick().await;
        system.alive();
    }
}

/// Runs the engine until `stop` or until HTTP cannot be served any more.
async fn engine_until(
    engine: Engine,
    cluster: &Cluster,
    stop: CancellationToken,
    web: impl Future<Output = Result<(), NodeError>>,
    system: &Arc<Notifier>,
) -> Result<(), NodeError> {
    let ending = CancellationToken::new();
    let running = on_own_thread(engine, ending.clone(), Arc::clone(system))?;
    tokio::pin!(running, web);
    let end = tokio::select! {
        () = stop.cancelled() => Ok(()),
        () = &mut running => Ok(()),
        refused = cluster.failed() => Err(NodeError::Cluster(refused)),
        end = &mut web => end,
    };
    info!("Shutting down gracefully");
    system.stopping();
    cluster.set_leaving();
    ending.cancel();
    running.await;
    end
}

/// Reloads at each SIGHUP; those that come while one is on its way are one more.
fn reload_on_signal(handle: Handle) -> Result<impl Future<Output = ()>, NodeError> {
    let kind = tokio::signal::unix::SignalKind::hangup();
    let mut hangups = tokio::signal::unix::signal(kind).map_err(NodeError::Signal)?;
    Ok(async move {
        while hangups.recv().await.is_some() {
            // Logged where it failed.
            let _ = handle.reload().await;
        }
    })
}

/// Where people find this server, without a slash at the end.
fn external_url(options: &Options, listeners: &[TcpListener]) -> Result<String, NodeError> {
    let given = options.web.external_url.as_str();
    if given.is_empty() {
        let port =
            listeners.first().and_then(|one| one.local_addr().ok()).map_or(9093, |at| at.port());
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        return Ok(format!("http://{host}:{port}"));
    }
    let url = url::Url::parse(given)
        .map_err(|error| NodeError::ExternalUrl(format!("parse {given:?}: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(NodeError::ExternalUrl(format!(
            "{given:?}: invalid {:?} scheme, only 'http' and 'https' are supported",
            url.scheme()
        )));
    }
    Ok(given.trim_end_matches('/').to_owned())
}

fn cluster_options(options: &Options) -> Result<tocsin_cluster::Options, NodeError> {
    let flags = &options.cluster;
    Ok(tocsin_cluster::Options {
        storage: Some(options.storage_path.clone()),
        sync: if options.storage_sync { SyncMode::Group } else { SyncMode::Off },
        listen: flags.listen_address.clone(),
        advertise: flags.advertise_address.clone().unwrap_or_default(),
        name: flags.peer_name.clone().unwrap_or_default(),
        peers: flags.peers.clone(),
        label: flags.label.clone(),
        trust: trust(options)?,
        require_auth: flags.require_auth,
        peer_timeout: flags.peer_timeout,
        resolve_timeout: flags.peers_resolve_timeout,
        gossip_interval: flags.gossip_interval,
        pushpull_interval: flags.pushpull_interval,
        tcp_timeout: flags.tcp_timeout,
        probe_timeout: flags.probe_timeout,
        probe_interval: flags.probe_interval,
        settle_timeout: flags.settle_timeout,
        reconnect_interval: flags.reconnect_interval,
        reconnect_timeout: flags.reconnect_timeout,
        write_acks: flags.write_acks,
        write_timeout: flags.write_timeout,
        claim_wait: flags.claim_wait,
        expiry_hold: flags.expiry_hold,
        version: VERSION.to_owned(),
        ..tocsin_cluster::Options::default()
    })
}

fn trust(options: &Options) -> Result<Trust, NodeError> {
    let flags = &options.cluster;
    if let Some(path) = &flags.secret_file {
        let text = read("--cluster.secret-file", path)?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        return Ok(Trust::Secrets(lines.map(str::to_owned).collect()));
    }
    match &flags.tls_config {
        Some(path) => {
            let certificates = config::cluster_tls(path)
                .map_err(|mistakes| NodeError::Trust(mistakes.to_string()))?;
            Ok(Trust::Certificates(Box::new(certificates)))
        }
        None => Ok(Trust::Anyone),
    }
}

fn read(flag: &str, path: &std::path::Path) -> Result<String, NodeError> {
    std::fs::read_to_string(path)
        .map_err(|error| NodeError::Trust(format!("{flag}: open {}: {error}", path.display())))
}
