//! Listening sockets: addresses as HAProxy writes them, one socket a worker thread, a busy port found before any is opened.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};

use socket2::{Domain, Protocol, Socket, Type};

use crate::LbError;
use crate::config::{BindOptions, Config, FrontendOptions};
use crate::inherit::Inherited;
use crate::sockets::{Owner, owner_of};

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
        Listeners::take(config, threads, &mut Inherited::default())
    }

    /// As [`Listeners::bind`], but what was inherited is not bound again.
    pub(crate) fn take(
        config: &Config,
        threads: usize,
        inherited: &mut Inherited,
    ) -> Result<Self, LbError> {
        let mut listeners = Listeners::default();
        for (owner, bind, backlog) in Owner::all(config) {
            let mut sockets = inherited.take(&owner, bind);
            if sockets.is_empty() {
                let count = if owner.frontend.is_some() { threads } else { 1 };
                sockets = bind_all(bind, count, backlog)
                    .map_err(|source| listen_error(&bind.address, source))?;
            }
            let named = |f: &FrontendOptions| Some(&f.name) == owner.frontend.as_ref();
            match config.frontends.iter().position(named) {
                Some(at) => listeners.frontends.extend(sockets.into_iter().map(|s| (at, s))),
                None => listeners.stats.extend(sockets),
            }
        }
        Ok(listeners)
    }

    /// The sockets with those to whom they belong.
    pub(crate) fn owned(self, config: &Config) -> Vec<(Owner, TcpListener)> {
        let fronts = self.frontends.into_iter().filter_map(|(position, socket)| {
            let front = config.frontends.get(position)?;
            Some((owner_of(Some(&front.name), &front.bind, &socket), socket))
        });
        let binds = config.stats.as_ref().map_or(&[][..], |s| &s.bind);
        let stats = self.stats.into_iter().map(|s| (owner_of(None, binds, &s), s));
        fronts.chain(stats).collect()
    }
}

/// An address that cannot be had.
pub(crate) fn listen_error(address: &str, source: io::Error) -> LbError {
    LbError::Listen { address: address.to_owned(), source }
}

/// Whether a socket bound to `address` serves `bind`.
pub(crate) fn fits(bind: &BindOptions, address: SocketAddr) -> bool {
    let same = |wanted: &SocketAddr| wanted.ip() == address.ip() && wanted.port() == address.port();
    resolve(&bind.address).is_ok_and(|all| all.iter().any(same))
}

/// Binds `count` sockets to each address of `bind`. A plain bind comes first: sockets that share a port would hide that another process has it.
pub(crate) fn bind_all(
    bind: &BindOptions,
    count: usize,
    backlog: u32,
) -> io::Result<Vec<TcpListener>> {
    let mut sockets = Vec::new();
    for address in resolve(&bind.address)? {
        let probe = open(address, bind.v6only, false)?;
        let bound = probe.local_addr()?.as_socket().unwrap_or(address);
        drop(probe);
        for _ in 0..count.max(1) {
            let socket = open(bound, bind.v6only, true)?;
            socket.listen(i32::try_from(backlog.max(128)).unwrap_or(i32::MAX))?;
            sockets.push(socket.into());
        }
    }
    Ok(sockets)
}

fn open(address: SocketAddr, v6only: bool, share: bool) -> io::Result<Socket> {
    let socket =
        Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(v6only || !address.ip().is_unspecified())?;
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
        let bind = |text: &str| bind_all(&BindOptions::new(text), 2, 16);
        let first = bind("127.0.0.1:0").unwrap();
        let address = first[0].local_addr().unwrap();
        assert_eq!(first[1].local_addr().unwrap(), address);
        let error = bind(&address.to_string()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }
}
