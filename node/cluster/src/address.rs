//! Addresses: what was given, what names resolve to, what others should dial.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::time::timeout;

/// `host:port`, where an empty host means all interfaces.
pub(crate) fn split(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok()?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    Some((if host.is_empty() { "0.0.0.0" } else { host }, port))
}

/// All addresses of `host:port`.
/// # Errors
/// When the name does not resolve in time.
pub(crate) async fn resolve(text: &str, bound: Duration) -> io::Result<Vec<SocketAddr>> {
    let (host, port) = split(text).ok_or(io::ErrorKind::InvalidInput)?;
    let found = timeout(bound, lookup_host((host, port))).await;
    Ok(found.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??.collect())
}

/// What others should dial when nothing was given: where we are bound, or the address that leads to `towards`.
pub(crate) fn advertised(bound: SocketAddr, towards: Option<SocketAddr>) -> SocketAddr {
    if !bound.ip().is_unspecified() {
        return bound;
    }
    let anywhere = SocketAddr::from(([10, 255, 255, 255], 9));
    let ip = towards.and_then(leads_to).or_else(|| leads_to(anywhere));
    SocketAddr::new(ip.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)), bound.port())
}

/// Our address on the way to `target`. Sends nothing: connecting a UDP socket only asks the routing table.
fn leads_to(target: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr = if target.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        std::net::Ipv6Addr::UNSPECIFIED.into()
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(target).ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_split() {
        assert_eq!(split("a.example:9094"), Some(("a.example", 9094)));
        assert_eq!(split(":9094"), Some(("0.0.0.0", 9094)));
        assert_eq!(split("[::1]:1"), Some(("::1", 1)));
        assert_eq!(split("a.example"), None);
        assert_eq!(split("a:x"), None);
    }

    #[test]
    fn an_unspecified_address_is_not_advertised() {
        let bound = SocketAddr::from(([0, 0, 0, 0], 9094));
        let loopback = SocketAddr::from(([127, 0, 0, 1], 1));
        assert_eq!(advertised(bound, Some(loopback)), SocketAddr::from(([127, 0, 0, 1], 9094)));
        assert!(!advertised(bound, None).ip().is_unspecified());
        assert_eq!(advertised(loopback, None), loopback);
    }
}
