//! Listening sockets: addresses as HAProxy writes them, one socket a worker thread, a busy port found before any is opened.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};

use socket2::{Domain, Protocol, Socket, Type};

use crate::LbError;
use crate::config::Config;

/// Bound sockets: for each frontend in order one or more, and those of the stats page.
#[derive(Debug, Default)]
pub struct Listeners {
    /// Position of the frontend and its socket; several of one address share its load.
    pub frontends: Vec<(usize, TcpListener)>,
    /// Sockets of the stats listener.
    pub stats: Vec<TcpListener>,
}

impl Listeners {
    /// Binds everything that `config` names, each frontend address once for each of `threads`.
    /// # Errors
    /// [`LbError::Listen`] names the first address that cannot be had.
    pub fn bind(config: &Config, threads: usize) -> Result<Self, LbError> {
        let mut listeners = Listeners::default();
        for (position, frontend) in config.frontends.iter().enumerate() {
            for bind in &frontend.bind {
                let sockets = bind_all(&bind.address, threads, frontend.maxconn);
                let sockets = sockets.map_err(|source| listen_error(&bind.address, source))?;
                listeners.frontends.extend(sockets.into_iter().map(|s| (position, s)));
            }
        }
        for bind in config.stats.iter().flat_map(|s| &s.bind) {
            let sockets = bind_all(&bind.address, 1, 128);
            let sockets = sockets.map_err(|source| listen_error(&bind.address, source))?;
            listeners.stats.extend(sockets);
        }
        Ok(listeners)
    }
}

fn listen_error(address: &str, source: io::Error) -> LbError {
    LbError::Listen { address: address.to_owned(), source }
}

/// Binds `count` sockets to each address of `text`. A plain bind comes first: sockets that share a port would hide that another process has it.
fn bind_all(text: &str, count: usize, backlog: u32) -> io::Result<Vec<TcpListener>> {
    let mut sockets = Vec::new();
    for address in resolve(text)? {
        let probe = open(address, false)?;
        let bound = probe.local_addr()?.as_socket().unwrap_or(address);
        drop(probe);
        for _ in 0..count.max(1) {
            let socket = open(bound, true)?;
            socket.listen(i32::try_from(backlog.max(128)).unwrap_or(i32::MAX))?;
            sockets.push(socket.into());
        }
    }
    Ok(sockets)
}

fn open(address: SocketAddr, share: bool) -> io::Result<Socket> {
    let socket =
        Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(share)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Addresses of `*:9093` (all of IPv4), `:9093` (the same), `[::]:9093` (both families), `HOST:PORT`.
fn resolve(text: &str) -> io::Result<Vec<SocketAddr>> {
    let bad =
        || io::Error::new(io::ErrorKind::InvalidInput, "not an address of the form HOST:PORT");
    let (host, port) = text.rsplit_once(':').ok_or_else(bad)?;
    let port: u16 = port.parse().map_err(|_| bad())?;
    match host {
        "" | "*" => Ok(vec![(Ipv4Addr::UNSPECIFIED, port).into()]),
        "::" | "[::]" => Ok(vec![(Ipv6Addr::UNSPECIFIED, port).into()]),
        _ => {
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let mut addresses: Vec<_> = (host, port).to_socket_addrs()?.collect();
            addresses.dedup();
            Ok(addresses)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let got: Vec<_> = resolve(text).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(got, expected, "{text}");
    }

    #[test]
    fn addresses_are_haproxys() {
        check("*:9093", &["0.0.0.0:9093"]);
        check(":9093", &["0.0.0.0:9093"]);
        check("[::]:9093", &["[::]:9093"]);
        check("127.0.0.1:1", &["127.0.0.1:1"]);
        assert!(resolve("9093").is_err());
        assert!(resolve("*:99999").is_err());
    }

    #[test]
    fn busy_port_is_found_though_sockets_share() {
        let first = bind_all("127.0.0.1:0", 2, 16).unwrap();
        let address = first[0].local_addr().unwrap();
        assert_eq!(first[1].local_addr().unwrap(), address);
        let error = bind_all(&address.to_string(), 2, 16).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }
}
