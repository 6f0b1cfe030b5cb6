//! A new configuration under running traffic: everything is checked first, then swapped at once. What stays the same keeps its state.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::backend::{Admin, Backend, Server};
use crate::balancer::{Balancer, Topology};
use crate::config::{BackendOptions, CheckOptions, Config, LogTo, ServerOptions};
use crate::sink::Sink;
use crate::{LbError, admin, load, page};

/// Reads the configuration again and swaps it in.
/// # Errors
/// Why nothing was changed.
pub(crate) fn reload(lb: &Arc<Balancer>, who: &str) -> Result<(), LbError> {
    let flags = lb.flags.as_ref().ok_or(LbError::NoServers)?;
    let result = load(flags).and_then(|config| swap(lb, config));
    lb.reloaded.store(result.is_ok(), Relaxed);
    match &result {
        Ok(()) => {
            tracing::info!("configuration loaded");
            lb.event(who, "configuration loaded".to_owned());
        }
        Err(error) => {
            tracing::error!(error = %error, "configuration was not loaded, the old one stays");
            lb.event(who, format!("configuration was not loaded: {error}"));
        }
    }
    result
}

/// Replaces the proxies by those of `config`.
fn swap(lb: &Arc<Balancer>, config: Config) -> Result<(), LbError> {
    let _one_at_a_time = lb.changing();
    let old = lb.topology.load_full();
    if let Some(what) = needs_handover(&old.config, &config) {
        return Err(LbError::NeedsHandover { what });
    }
    let sink = if old.config.log == config.log && !has_files(&config) {
        None
    } else {
        Some(Sink::open(&config.log)?)
    };
    let socket = match (&config.admin_socket, &old.config.admin_socket) {
        (Some(wanted), before) if before.as_ref() != Some(wanted) => Some(admin::bind(wanted)?),
        _ => None,
    };
    let sockets = lb.sockets.bind_new(&config, lb.workers)?;
    let fresh = Topology::new(config, lb.workers);
    let backends: Vec<_> = fresh.backends.iter().map(|b| merge(&old, b, lb.workers)).collect();
    for server in backends.iter().flat_map(|b| &b.servers) {
        crate::run::resolve(server);
        server.load_tls();
    }
    let frontends = fresh.frontends.iter().map(|front| {
        let before = old.frontends.iter().find(|f| f.options.name == front.options.name);
        let backend = backends.iter().find(|b| b.id == front.backend.id);
        let backend = backend.unwrap_or(&front.backend).clone();
        Arc::new(match before {
            Some(before) => (**front).clone().after(before, backend),
            None => front.over(backend),
        })
    });
    let new = Topology {
        frontends: frontends.collect(),
        backends,
        config: fresh.config.clone(),
        stats_id: fresh.stats_id,
        stats_users: fresh.stats_users.clone(),
    };
    if new.config.global.maxconn != old.config.global.maxconn {
        lb.maxconn.store(new.config.global.maxconn, Relaxed);
    }
    lb.topology.store(Arc::new(new));
    let stats = lb.sockets.open(sockets)?;
    stats.into_iter().for_each(|accepting| drop(tokio::spawn(page::listen(lb.clone(), accepting))));
    let topology = lb.topology.load();
    lb.sockets.close_others(&topology.config);
    if let Some((sink, writer)) = sink {
        lb.log.switch(sink, writer);
    }
    switch_socket(lb, &old.config, &topology.config, socket);
    lb.freed.notify_waiters();
    lb.changed.notify_one();
    Ok(())
}

/// Files are opened again at each reload, so that they can be moved away before.
fn has_files(config: &Config) -> bool {
    config.log.iter().any(|log| matches!(log.to, LogTo::File(_)))
}

/// The admin socket moves; whoever is connected stays so.
fn switch_socket(
    lb: &Arc<Balancer>,
    old: &Config,
    new: &Config,
    bound: Option<std::os::unix::net::UnixListener>,
) {
    if old.admin_socket == new.admin_socket {
        return;
    }
    let path = |config: &Config| config.admin_socket.as_ref().map(|s| s.path.clone());
    match (bound, &new.admin_socket) {
        (Some(listener), Some(options)) => admin::serve_on(lb, listener, options.clone()),
        _ => admin::stop(lb),
    }
    if let Some(gone) = path(old).filter(|p| Some(p) != path(new).as_ref()) {
        admin::unlink(&gone);
    }
}

/// The first thing that cannot change under running traffic.
fn needs_handover(old: &Config, new: &Config) -> Option<&'static str> {
    let (before, after) = (&old.global, &new.global);
    let changes = [
        ("threads", before.threads != after.threads),
        ("user", before.user != after.user),
        ("group", before.group != after.group),
        ("chroot", before.chroot != after.chroot),
    ];
    changes.into_iter().find(|(_, changed)| *changed).map(|(what, _)| what)
}

/// The checks of a server: its own, else the backend's.
fn checks<'a>(server: &'a ServerOptions, options: &'a BackendOptions) -> &'a CheckOptions {
    server.health.as_ref().unwrap_or(&options.check)
}

/// A backend with the servers of the old one that are still the same.
fn merge(old: &Topology, fresh: &Backend, workers: usize) -> Arc<Backend> {
    let before = old.backends.iter().find(|b| b.options.name == fresh.options.name);
    let Some(before) = before else {
        return Arc::new(Backend::new(fresh.id, fresh.options.clone(), workers));
    };
    let options: &BackendOptions = &fresh.options;
    let servers = (1..).zip(&options.servers).map(|(id, wanted)| {
        let known = before.servers.iter().find(|s| s.name() == wanted.name);
        match known {
            Some(s)
                if s.options == *wanted && s.check == *checks(wanted, options) && s.id == id =>
            {
                s.clone()
            }
            known => {
                let server = Server::new(id, wanted.clone(), options.check.clone(), workers);
                // What the operator asked for stays, unless the file says otherwise now.
                let asked = known.map(|s| (s.snapshot(0).admin, s.options.disabled));
                if let Some((admin, false)) = asked
                    && admin != Admin::Ready
                {
                    server.set_admin(admin, 0);
                }
                Arc::new(server)
            }
        }
    });
    Arc::new(before.replaced(fresh.id, options.clone(), servers.collect()))
}
