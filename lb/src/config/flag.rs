//! Flags into configuration: the shape of `--backend`, and what each flag replaces.

use std::path::PathBuf;
use std::str::FromStr;

use super::{AdminSocket, BindOptions, Config, ServerOptions};
use crate::flags::Flags;

/// Why a `--backend` was not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadServer {
    /// No port.
    #[error("{0:?} is not HOST:PORT")]
    Address(String),
    /// Not a number from 0 to 256.
    #[error("weight {0:?} is not a number from 0 to 256")]
    Weight(String),
    /// A part that is none of `weight=`, `name=`, `backup`.
    #[error("{0:?} is none of weight=N, name=X, backup")]
    Part(String),
}

/// One `--backend HOST:PORT[,weight=N][,name=X][,backup]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerFlag {
    /// `HOST:PORT`.
    pub address: String,
    /// Share of the traffic.
    pub weight: u32,
    /// Name, if given.
    pub name: Option<String>,
    /// Used only where no other is up.
    pub backup: bool,
}

impl FromStr for ServerFlag {
    type Err = BadServer;

    fn from_str(text: &str) -> Result<Self, BadServer> {
        let mut parts = text.split(',');
        let address = parts.next().unwrap_or_default();
        if !is_host_port(address) {
            return Err(BadServer::Address(address.to_owned()));
        }
        let mut flag =
            ServerFlag { address: address.to_owned(), weight: 1, name: None, backup: false };
        for part in parts {
            match part.split_once('=') {
                Some(("weight", n)) => {
                    let weight = n.parse().ok().filter(|w| *w <= 256);
                    flag.weight = weight.ok_or_else(|| BadServer::Weight(n.to_owned()))?;
                }
                Some(("name", name)) if is_name(name) => flag.name = Some(name.to_owned()),
                None if part == "backup" => flag.backup = true,
                _ => return Err(BadServer::Part(part.to_owned())),
            }
        }
        Ok(flag)
    }
}

/// Whether `text` is `HOST:PORT` or `[ADDRESS]:PORT` with a port from 1 to 65535.
pub(crate) fn is_host_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let bracketed = host.starts_with('[') && host.ends_with(']');
    let plain = !host.contains([':', '/', ' ']) && !host.is_empty();
    (bracketed || plain) && port.parse::<u16>().is_ok_and(|p| p != 0)
}

/// Whether `text` may name a proxy or a server, as in HAProxy: letters, digits and `-_.:`.
pub(crate) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b))
}

/// Puts the flags over `config`: what was given replaces, what was not stays.
pub fn from_flags(mut config: Config, flags: &Flags) -> Config {
    if let Some(backend) = config.backends.first_mut().filter(|_| !flags.backend.is_empty()) {
        backend.servers = flags.backend.iter().enumerate().map(server).collect();
    }
    if let Some(frontend) =
        config.frontends.first_mut().filter(|_| !flags.listen_address.is_empty())
    {
        frontend.bind = flags.listen_address.iter().map(|a| BindOptions::new(a)).collect();
    }
    match flags.stats_listen_address.as_deref() {
        Some("") => config.stats = None,
        Some(address) => {
            config.stats.get_or_insert_default().bind = vec![BindOptions::new(address)];
        }
        None => {}
    }
    if let (Some(stats), Some(mode)) = (config.stats.as_mut(), flags.stats_admin) {
        stats.admin = mode;
    }
    match flags.admin_socket.as_deref() {
        Some("") => config.admin_socket = None,
        Some(path) => {
            let socket = config.admin_socket.get_or_insert_with(AdminSocket::default);
            socket.path = PathBuf::from(path);
            socket.given = true;
        }
        None => {}
    }
    for log in &mut config.log {
        log.format = flags.log_format.unwrap_or(log.format);
        log.level = flags.log_level.unwrap_or(log.level);
    }
    config.global.threads = flags.threads.unwrap_or(config.global.threads);
    config.global.daemon |= flags.daemon;
    config.global.pid_file = flags.pid_file.clone().or(config.global.pid_file);
    config
}

fn server((position, flag): (usize, &ServerFlag)) -> ServerOptions {
    let name = flag.name.clone().unwrap_or_else(|| format!("alertmanager{}", position + 1));
    let plain = ServerOptions::new(&name, &flag.address);
    ServerOptions { weight: flag.weight, backup: flag.backup, ..plain }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<(&str, u32, Option<&str>, bool), BadServer>) {
        let got = text.parse::<ServerFlag>();
        let want = expected.map(|(address, weight, name, backup)| ServerFlag {
            address: address.to_owned(),
            weight,
            name: name.map(str::to_owned),
            backup,
        });
        assert_eq!(got, want, "{text}");
    }

    #[test]
    fn backend_flag_has_weight_name_and_backup() {
        check("a:9093", Ok(("a:9093", 1, None, false)));
        check("[::1]:9093,backup", Ok(("[::1]:9093", 1, None, true)));
        check("10.0.0.1:1,weight=256,name=n-1", Ok(("10.0.0.1:1", 256, Some("n-1"), false)));
    }

    #[test]
    fn bad_backend_flags_are_named() {
        check("a", Err(BadServer::Address("a".into())));
        check("a:0", Err(BadServer::Address("a:0".into())));
        check("::1:9093", Err(BadServer::Address("::1:9093".into())));
        check("a:1,weight=257", Err(BadServer::Weight("257".into())));
        check("a:1,wieght=2", Err(BadServer::Part("wieght=2".into())));
        check("a:1,name=x y", Err(BadServer::Part("name=x y".into())));
    }

    #[test]
    fn flags_replace_what_they_name() {
        let flags = Flags {
            backend: vec!["a:1".parse().unwrap(), "b:2,name=z".parse().unwrap()],
            stats_listen_address: Some(String::new()),
            admin_socket: Some("/tmp/x".into()),
            ..Flags::default()
        };
        let config = from_flags(Config::default(), &flags);
        let names: Vec<_> = config.backends[0].servers.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["alertmanager1", "z"]);
        assert!(config.stats.is_none());
        assert!(config.admin_socket.unwrap().given);
        assert_eq!(config.frontends[0].bind[0].address, "*:9093");
    }
}
