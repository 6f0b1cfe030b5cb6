//! A new configuration under running traffic: everything is checked first, then swapped at once. What stays the same keeps its state.

use std::sync::Arc;

use crate::backend::{Admin, Backend, Server};
use crate::balancer::{Balancer, Frontend, Topology};
use crate::config::{BackendOptions, Config, FrontendOptions};
use crate::{LbError, load};

/// Reads the configuration again and swaps it in.
/// # Errors
/// Why nothing was changed.
pub(crate) fn reload(lb: &Balancer, who: &str) -> Result<(), LbError> {
    let flags = lb.flags.as_ref().ok_or(LbError::NoServers)?;
    let result = load(flags).and_then(|config| swap(lb, config));
    lb.reloaded.store(result.is_ok(), std::sync::atomic::Ordering::Relaxed);
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
fn swap(lb: &Balancer, config: Config) -> Result<(), LbError> {
    let _one_at_a_time = lb.changing();
    let old = lb.topology.load_full();
    if let Some(what) = needs_restart(&old.config, &config) {
        return Err(LbError::NeedsRestart { what });
    }
    let fresh = Topology::new(config, lb.workers);
    let backends: Vec<_> = fresh.backends.iter().map(|b| merge(&old, b, lb.workers)).collect();
    for server in backends.iter().flat_map(|b| &b.servers) {
        crate::run::resolve(server);
        server.load_tls();
    }
    let frontends = fresh.frontends.iter().map(|front| {
        let before = old.frontends.iter().find(|f| f.options.name == front.options.name);
        let backend = backends.iter().find(|b| b.id == front.backend.id);
        Arc::new(Frontend {
            id: front.id,
            options: front.options.clone(),
            counters: before.map_or(&front.counters, |f| &f.counters).clone(),
            tls: front.tls.clone(),
            backend: backend.unwrap_or(&front.backend).clone(),
            paused: before.map_or(&front.paused, |f| &f.paused).clone(),
            open: before.map_or(&front.open, |f| &f.open).clone(),
        })
    });
    let new = Topology {
        frontends: frontends.collect(),
        backends,
        config: fresh.config.clone(),
        stats_id: fresh.stats_id,
    };
    lb.topology.store(Arc::new(new));
    lb.changed.notify_one();
    Ok(())
}

/// The first thing that cannot change under running traffic.
fn needs_restart(old: &Config, new: &Config) -> Option<&'static str> {
    let binds = |config: &Config| {
        let bind = |f: &FrontendOptions| (f.name.clone(), f.bind.clone());
        config.frontends.iter().map(bind).collect::<Vec<_>>()
    };
    let stats = |config: &Config| config.stats.as_ref().map(|s| s.bind.clone());
    let changes = [
        ("threads", old.global.threads != new.global.threads),
        ("frontends or their addresses", binds(old) != binds(new)),
        ("the stats address", stats(old) != stats(new)),
        ("the admin socket", old.admin_socket != new.admin_socket),
        ("the log", old.log != new.log),
    ];
    changes.into_iter().find(|(_, changed)| *changed).map(|(what, _)| what)
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
            Some(s) if s.options == *wanted && s.check == options.check && s.id == id => s.clone(),
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
