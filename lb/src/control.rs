//! What an operator may change at run time, whoever asks: the socket, the page or the API. Every change is an event.

use std::net::ToSocketAddrs;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::backend::{Admin, Backend, Server, Target};
use crate::balancer::{Balancer, Frontend, Topology};
use crate::config::{ServerOptions, is_host_port, is_name};
use crate::sink::Severity;
use crate::watch::Fired;

/// Why a change was refused, in HAProxy's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// No backend of that name.
    #[error("No such backend.")]
    NoBackend,
    /// No server of that name.
    #[error("No such server.")]
    NoServer,
    /// No frontend of that name.
    #[error("No such frontend.")]
    NoFrontend,
    /// It would leave nobody.
    #[error("This is the last usable server; force=1 takes it out all the same.")]
    LastServer,
    /// Anything else.
    #[error("{0}")]
    Bad(String),
}

fn bad(text: &str) -> Refused {
    Refused::Bad(text.to_owned())
}

/// A server and its backend.
pub(crate) type Place = (Arc<Backend>, Arc<Server>);

impl Balancer {
    /// The backend called `name`, or numbered `#name`.
    pub(crate) fn backend(&self, name: &str) -> Result<Arc<Backend>, Refused> {
        let topology = self.topology.load();
        let number = name.strip_prefix('#').and_then(|n| n.parse::<u32>().ok());
        let found = topology.backends.iter().find(|b| match number {
            Some(id) => b.id == id,
            None => b.options.name == name,
        });
        found.cloned().ok_or(Refused::NoBackend)
    }

    /// The server at `backend/server`.
    pub(crate) fn server(&self, path: &str) -> Result<Place, Refused> {
        let (backend, server) =
            path.split_once('/').ok_or_else(|| bad("Require 'backend/server'."))?;
        let backend = self.backend(backend)?;
        let found = backend.servers.iter().find(|s| s.name() == server).cloned();
        Ok((backend, found.ok_or(Refused::NoServer)?))
    }

    /// The frontend called `name`.
    pub(crate) fn frontend(&self, name: &str) -> Result<Arc<Frontend>, Refused> {
        let topology = self.topology.load();
        let found = topology.frontends.iter().find(|f| f.options.name == name);
        found.cloned().ok_or(Refused::NoFrontend)
    }

    /// Sets what the operator wants of a server. `safe` refuses to take the last usable one out.
    pub(crate) fn set_admin(
        &self,
        (backend, server): &Place,
        admin: Admin,
        safe: bool,
        who: &str,
    ) -> Result<bool, Refused> {
        let others = backend.usable().any(|s| !Arc::ptr_eq(s, server));
        if safe && admin != Admin::Ready && server.usable() && !others {
            return Err(Refused::LastServer);
        }
        let old = server.set_admin(admin, self.clock.now_ms());
        if old == admin {
            return Ok(false);
        }
        let path = format!("{}/{}", backend.options.name, server.name());
        let pool_changed = backend.refresh(self.clock.now_ms());
        let pool = backend.snapshot(self.clock.now_ms());
        let left = format!(
            "{} active and {} backup servers left. {} sessions active, 0 requeued, {} remaining in queue.",
            pool.active,
            pool.backup,
            server.active(),
            backend.queue.len()
        );
        let text = match (admin, old) {
            (Admin::Maint, _) => format!("Server {path} is going DOWN for maintenance. {left}"),
            (Admin::Drain, _) => format!("Server {path} enters drain state. {left}"),
            (Admin::Ready, Admin::Maint) => {
                format!("Server {path} is UP/READY (leaving forced maintenance).")
            }
            (Admin::Ready, _) => format!("Server {path} is UP (leaving forced drain)."),
        };
        let severity = if admin == Admin::Ready { Severity::Notice } else { Severity::Alert };
        self.log.sentence(severity, &text);
        self.event(who, text);
        if pool_changed && !pool.up {
            let text = format!("backend {} has no server available!", backend.options.name);
            self.log.sentence(Severity::Emergency, &text);
            self.event(who, text);
        }
        Ok(true)
    }

    /// Sets a weight, `N` or `N%` of the configured one.
    pub(crate) fn set_weight(
        &self,
        (backend, server): &Place,
        text: &str,
        who: &str,
    ) -> Result<(), Refused> {
        let digits = text.strip_suffix('%');
        let number = digits.unwrap_or(text).parse::<u32>();
        let number = number.map_err(|_| bad("Empty weight string empty or preceded by garbage"))?;
        let weight = match digits {
            Some(_) if number > 256 * 100 => return Err(bad("Relative weight too large.")),
            Some(_) => server.options.weight * number / 100,
            None => number,
        };
        if weight > 256 {
            return Err(bad("Absolute weight can only be between 0 and 256 inclusive."));
        }
        let old = server.weight();
        server.set_weight(weight);
        backend.refresh(self.clock.now_ms());
        let path = format!("{}/{}", backend.options.name, server.name());
        self.event(who, format!("weight of {path} changed from {old} to {weight}"));
        Ok(())
    }

    /// Forces health until the next check.
    pub(crate) fn force_health(
        &self,
        (backend, server): &Place,
        up: bool,
        stopping: bool,
        who: &str,
    ) {
        let change = server.force_health(up, stopping, self.clock.now_ms());
        match change {
            Some(change) => self.server_changed(backend, server, &change, who),
            None => {
                let word = if stopping {
                    "stopping"
                } else if up {
                    "up"
                } else {
                    "down"
                };
                let path = format!("{}/{}", backend.options.name, server.name());
                self.event(who, format!("health of {path} forced {word}"));
            }
        }
    }

    /// Stops or resumes checks.
    pub(crate) fn set_checks(&self, (backend, server): &Place, on: bool, who: &str) {
        server.set_checks(on);
        let word = if on { "resumed" } else { "stopped" };
        self.event(who, format!("checks of {}/{} {word}", backend.options.name, server.name()));
    }

    /// Moves a server. Says in HAProxy's words what changed.
    pub(crate) fn set_address(
        &self,
        (backend, server): &Place,
        ip: &str,
        port: Option<&str>,
        who: &str,
    ) -> Result<String, Refused> {
        let target = server.target();
        let (old_host, old_port) = target.text.rsplit_once(':').unwrap_or((&target.text, "0"));
        let old_ip = target.address.map_or(old_host.to_owned(), |a| a.ip().to_string());
        let port = port.unwrap_or(old_port);
        let host = if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() };
        let text = format!("{host}:{port}");
        if !is_host_port(&text) {
            return Err(bad("Invalid addr format."));
        }
        let address = text.to_socket_addrs().ok().and_then(|mut found| found.next());
        let address = address.ok_or_else(|| bad("Invalid addr format."))?;
        let part = |what: &str, old: &str, new: &str| {
            if old == new {
                format!("no need to change the {}", if what == "IP" { "addr" } else { what })
            } else {
                format!("{what} changed from '{old}' to '{new}'")
            }
        };
        let ip_text = part("IP", &old_ip, &address.ip().to_string());
        let port_text = part("port", old_port, port);
        server.set_target(Target { text, address: Some(address) });
        server.kick.notify_one();
        let path = format!("{}/{}", backend.options.name, server.name());
        self.event(who, format!("{path}: {ip_text}, {port_text}"));
        Ok(format!("{ip_text}, {port_text} by 'stats socket command'"))
    }

    /// Ends all streams of a server.
    pub(crate) fn shutdown_sessions(&self, (backend, server): &Place, who: &str) {
        self.end_streams(backend, server, Fired::Killed);
        let path = format!("{}/{}", backend.options.name, server.name());
        self.event(who, format!("streams of {path} ended"));
    }

    /// `server BACKEND/SERVER N`, `frontend NAME N` or `global N`.
    pub(crate) fn set_maxconn(&self, words: &[&str], who: &str) -> Result<(), Refused> {
        let number = |text: &str| text.parse().map_err(|_| bad("Integer value expected."));
        let what = match words {
            ["server", path, n] => {
                self.server(path)?.1.set_maxconn(number(n)?);
                format!("server {path}")
            }
            ["frontend", name, n] => {
                self.frontend(name)?.set_maxconn(number(n)?);
                format!("frontend {name}")
            }
            ["global", n] => {
                let wanted = number(n)?;
                let most = self.topology.load().config.global.maxconn;
                if wanted > most {
                    return Err(Refused::Bad(format!("Value out of range, at most {most}.")));
                }
                self.maxconn.store(wanted, Relaxed);
                "the process".to_owned()
            }
            _ => {
                return Err(bad("'set maxconn' only supports 'frontend', 'server', and 'global'."));
            }
        };
        self.freed.notify_waiters();
        let n = words.last().copied().unwrap_or_default();
        self.event(who, format!("maxconn of {what} set to {n}"));
        Ok(())
    }

    /// `connections global N` or `sessions global N`: the same here, since a connection is a session.
    pub(crate) fn set_rate_limit(&self, words: &[&str], who: &str) -> Result<(), Refused> {
        let ["connections" | "sessions", "global", n] = words else {
            return Err(bad(
                "'set rate-limit' only supports 'connections global' and 'sessions global'.",
            ));
        };
        let rate = n.parse().map_err(|_| bad("Integer value expected."))?;
        // The first second begins with all it may take.
        self.conn_tenths.store(i64::from(rate) * 10, Relaxed);
        self.conn_rate.store(rate, Relaxed);
        self.event(who, format!("connections limited to {n} a second"));
        Ok(())
    }

    /// Gives up the addresses of a frontend until it is configured anew.
    pub(crate) fn stop_frontend(&self, name: &str, who: &str) -> Result<(), Refused> {
        let front = self.frontend(name)?;
        if !front.stop() {
            return Err(bad("Frontend was already shut down."));
        }
        self.sockets.close(|owner| owner.frontend.as_deref() == Some(name));
        let text = format!(
            "Proxy {name} stopped (cumulated conns: FE: {}, BE: 0).",
            front.counters.totals().total
        );
        self.log.sentence(Severity::Notice, &text);
        self.event(who, text);
        Ok(())
    }

    /// Adds a server in maintenance.
    pub(crate) fn add_server(
        &self,
        path: &str,
        address: &str,
        weight: u32,
        check: bool,
        who: &str,
    ) -> Result<(), Refused> {
        let (pool, name) = path.split_once('/').ok_or_else(|| bad("Require 'backend/server'."))?;
        let backend = self.backend(pool)?;
        if backend.servers.iter().any(|s| s.name() == name) {
            return Err(bad("Already exists a server with the same name in backend."));
        }
        if !is_name(name) || !is_host_port(address) || weight > 256 {
            return Err(bad("'server' expects <name> and <addr>[:<port>] as arguments."));
        }
        let options =
            ServerOptions { weight, check, disabled: true, ..ServerOptions::new(name, address) };
        let id = backend.servers.iter().map(|s| s.id).max().unwrap_or(0) + 1;
        let server = Server::new(id, options, backend.options.check.clone(), self.workers);
        if server.target().address.is_none() {
            let found = address.to_socket_addrs().ok().and_then(|mut found| found.next());
            server.set_target(Target { text: address.to_owned(), address: found });
        }
        let mut servers = backend.servers.clone();
        servers.push(Arc::new(server));
        self.replace_servers(&backend, servers);
        self.event(who, format!("server {path} added"));
        Ok(())
    }

    /// Removes a server that is in maintenance and idle.
    pub(crate) fn remove_server(&self, path: &str, who: &str) -> Result<(), Refused> {
        let (backend, server) = self.server(path)?;
        if server.snapshot(0).admin != Admin::Maint {
            return Err(bad("Only servers in maintenance mode can be deleted."));
        }
        if server.active() > 0 {
            return Err(bad("Server still has connections attached to it, cannot remove it."));
        }
        let others = backend.servers.iter().filter(|s| !Arc::ptr_eq(s, &server));
        let servers = others.cloned().collect();
        self.replace_servers(&backend, servers);
        self.event(who, format!("server {path} removed"));
        Ok(())
    }

    fn replace_servers(&self, backend: &Arc<Backend>, servers: Vec<Arc<Server>>) {
        let _one_at_a_time = self.changing();
        let old = self.topology.load_full();
        let pool = Arc::new(backend.replaced(backend.id, backend.options.clone(), servers));
        let swap =
            |b: &Arc<Backend>| if Arc::ptr_eq(b, backend) { pool.clone() } else { b.clone() };
        let frontends = old.frontends.iter().map(|f| Arc::new(f.over(swap(&f.backend))));
        let new = Topology {
            config: old.config.clone(),
            frontends: frontends.collect(),
            backends: old.backends.iter().map(swap).collect(),
            stats_id: old.stats_id,
            stats_users: old.stats_users.clone(),
        };
        self.topology.store(Arc::new(new));
        self.changed.notify_one();
    }

    /// Forgets maxima, and with `all` every count.
    pub(crate) fn clear(&self, all: bool, who: &str) {
        let topology = self.topology.load();
        topology.frontends.iter().for_each(|f| f.counters.clear(all));
        for backend in &topology.backends {
            backend.counters.clear(all);
            backend.servers.iter().for_each(|s| s.counters.clear(all));
        }
        self.stats.clear(all);
        self.event(who, if all { "counters cleared" } else { "maxima cleared" }.to_owned());
    }
}
