//! `tocsin node`: binds what the flags name, then hands over to the node and waits for a signal.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs as _};
use std::process::ExitCode;
use std::sync::Arc;

use socket2::{Domain, Protocol, Socket, Type};
use tocsin_node::NodeError;
use tocsin_node::engine::ReloadError;
use tocsin_node::options::Options;
use tocsin_service::clock::SystemClock;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::cli::NodeFlags;
use crate::{causes, fail, logging};

/// The kernel's queue of connections that are not accepted yet.
const BACKLOG: i32 = 1024;

/// Runs a node until it is told to stop.
pub(crate) fn run(flags: &NodeFlags) -> ExitCode {
    logging::start(flags.log_format, flags.log_level);
    let features = match flags.features() {
        Ok(features) => features,
        Err(err) => {
            error!(%err, "error parsing the feature flag list");
            return ExitCode::FAILURE;
        }
    };
    let options = match flags.options(features) {
        Ok(options) => options,
        Err(text) => return fail(&format!("tocsin: error: {text}\n")),
    };
    if flags.config_check {
        return check(&options);
    }
    info!(version = tocsin_node::VERSION, "Starting Alertmanager");
    for feature in flags.feature_names() {
        warn!(feature, "feature enabled by flag");
    }
    match serve(flags, options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            error!(err = text, "alertmanager exited with error");
            ExitCode::FAILURE
        }
    }
}

/// Reads the configuration as the node would, and tells all that is wrong with it.
fn check(options: &Options) -> ExitCode {
    match tocsin_node::config::load(&options.config_file, options.features) {
        Ok(_) => fail_not(&format!("{}: good\n", options.config_file.display())),
        Err(mistakes) => fail(&format!("{mistakes}\n")),
    }
}

fn fail_not(text: &str) -> ExitCode {
    let _code = fail(text);
    ExitCode::SUCCESS
}

fn serve(flags: &NodeFlags, options: Options) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start threads: {error}"))?;
    raise_descriptors();
    let listeners = listeners(flags)?;
    runtime.block_on(async {
        let stop = CancellationToken::new();
        watch_signals(stop.clone()).map_err(|error| format!("cannot watch signals: {error}"))?;
        tocsin_node::run(options, listeners, Arc::new(SystemClock), stop).await.map_err(|error| {
            tell_mistakes(&error);
            causes(&error)
        })
    })
}

/// All mistakes of the configuration with the lines they are in; the log has the first and a count.
fn tell_mistakes(error: &NodeError) {
    if let NodeError::Config(ReloadError::Config(mistakes)) = error {
        let _failure = fail(&format!("{mistakes}\n"));
    }
}

/// As many open connections as the system allows at all; the soft limit is meant for older programs.
fn raise_descriptors() {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let most = rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum };
    let _stays_as_it_is = rustix::process::setrlimit(rustix::process::Resource::Nofile, most);
}

/// SIGINT and SIGTERM stop gracefully; SIGHUP is the node's own.
fn watch_signals(stop: CancellationToken) -> std::io::Result<()> {
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        info!("Received shutdown signal, exiting gracefully...");
        stop.cancel();
    });
    Ok(())
}

fn listeners(flags: &NodeFlags) -> Result<Vec<TcpListener>, String> {
    if flags.web_systemd_socket {
        let passed = tocsin_service::systemd::listeners().map_err(|error| causes(&error))?;
        if passed.is_empty() {
            return Err("no socket activation file descriptors found".to_owned());
        }
        return Ok(passed);
    }
    flags.listen_addresses().iter().map(|address| listen(address)).collect()
}

/// Binds one `host:port`; without a host all addresses of both families.
fn listen(address: &str) -> Result<TcpListener, String> {
    let wrong = |error: &dyn std::fmt::Display| format!("listen tcp {address}: {error}");
    if address.starts_with("vsock:") {
        return Err(wrong(&"vsock is not supported, use a TCP address"));
    }
    let (host, port) = address.rsplit_once(':').ok_or_else(|| wrong(&"missing port in address"))?;
    let number: u16 = port.parse().map_err(|_| wrong(&format!("{port:?} is not a port number")))?;
    if host.is_empty() {
        let all = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), number);
        return bind(all)
            .or_else(|_| bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), number)))
            .map_err(|error| wrong(&bind_text(&error)));
    }
    let mut addresses = address.to_socket_addrs().map_err(|error| wrong(&error))?;
    let first = addresses.next().ok_or_else(|| wrong(&"the name has no address"))?;
    bind(first).map_err(|error| wrong(&bind_text(&error)))
}

fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn bind_text(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => "bind: address already in use".to_owned(),
        std::io::ErrorKind::PermissionDenied => "bind: permission denied".to_owned(),
        _ => format!("bind: {error}"),
    }
}
