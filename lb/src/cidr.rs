//! Blocks of addresses, and the PROXY protocol by which a balancer in front tells the client's. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// A block such as `10.0.0.0/8`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    base: u128,
    bits: u32,
    is_v4: bool,
}

/// The text is no block of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an address or a block such as 10.0.0.0/8")]
pub struct BadCidr;

fn number(ip: IpAddr) -> (u128, bool) {
    match ip.to_canonical() {
        IpAddr::V4(ip) => (u128::from(ip.to_bits()), true),
        IpAddr::V6(ip) => (ip.to_bits(), false),
    }
}

impl FromStr for Cidr {
    type Err = BadCidr;

    fn from_str(text: &str) -> Result<Self, BadCidr> {
        let (ip, bits) = text.split_once('/').map_or((text, None), |(ip, bits)| (ip, Some(bits)));
        let (base, is_v4) = number(ip.parse().map_err(|_| BadCidr)?);
        let most = if is_v4 { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), str::parse).map_err(|_| BadCidr)?;
        if bits > most { Err(BadCidr) } else { Ok(Cidr { base, bits, is_v4 }) }
    }
}

impl std::fmt::Display for Cidr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ip = match u32::try_from(self.base) {
            Ok(low) if self.is_v4 => IpAddr::V4(Ipv4Addr::from_bits(low)),
            _ => IpAddr::V6(Ipv6Addr::from_bits(self.base)),
        };
        write!(f, "{ip}/{}", self.bits)
    }
}

impl Cidr {
    /// Whether an address lies in it.
    pub fn holds(&self, ip: IpAddr) -> bool {
        let (ip, is_v4) = number(ip);
        let free = if self.is_v4 { 32 } else { 128 } - self.bits;
        is_v4 == self.is_v4 && (free == 128 || ip >> free == self.base >> free)
    }
}

/// The longest PROXY header that is read.
pub(crate) const PROXY_MAX: usize = 536;
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// A PROXY header at the beginning of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proxied {
    /// Not all of it is there yet.
    More,
    /// So many bytes long, and from this client, unless the balancer speaks for itself.
    From(usize, Option<SocketAddr>),
    /// It is none.
    Wrong,
}

/// Reads a PROXY header of version 1 or 2.
pub(crate) fn proxied(bytes: &[u8]) -> Proxied {
    let start = &bytes[..bytes.len().min(12)];
    if bytes.len() >= 12 && start == SIGNATURE {
        return version_2(bytes);
    }
    if SIGNATURE.starts_with(start)
        || b"PROXY ".starts_with(&start[..start.len().min(6)]) && bytes.len() < 6
    {
        return Proxied::More;
    }
    if !bytes.starts_with(b"PROXY ") {
        return Proxied::Wrong;
    }
    match memchr::memchr(b'\n', &bytes[..bytes.len().min(107)]) {
        Some(end) => version_1(&bytes[..end], end + 1),
        None if bytes.len() < 107 => Proxied::More,
        None => Proxied::Wrong,
    }
}

fn version_1(line: &[u8], len: usize) -> Proxied {
    let Some(text) = line.strip_suffix(b"\r").and_then(|l| std::str::from_utf8(l).ok()) else {
        return Proxied::Wrong;
    };
    let words: Vec<_> = text.split(' ').collect();
    match words.as_slice() {
        ["PROXY", "UNKNOWN", ..] => Proxied::From(len, None),
        ["PROXY", "TCP4" | "TCP6", source, _, port, _] => {
            match (source.parse::<IpAddr>(), port.parse::<u16>()) {
                (Ok(ip), Ok(port)) => Proxied::From(len, Some(SocketAddr::new(ip, port))),
                _ => Proxied::Wrong,
            }
        }
        _ => Proxied::Wrong,
    }
}

fn version_2(bytes: &[u8]) -> Proxied {
    let [command, family, high, low] = match bytes.get(12..16) {
        Some(head) => [head[0], head[1], head[2], head[3]],
        None => return Proxied::More,
    };
    let len = usize::from(u16::from_be_bytes([high, low]));
    if command >> 4 != 2 || command & 15 > 1 || len + 16 > PROXY_MAX {
        return Proxied::Wrong;
    }
    let Some(rest) = bytes.get(16..16 + len) else { return Proxied::More };
    let port = |at: usize| Some(u16::from_be_bytes([*rest.get(at)?, *rest.get(at + 1)?]));
    let client = match (command & 15, family >> 4) {
        (1, 1) => {
            let ip: Option<[u8; 4]> = rest.get(..4).and_then(|b| b.try_into().ok());
            ip.map(|ip| IpAddr::V4(Ipv4Addr::from(ip))).zip(port(8))
        }
        (1, 2) => {
            let ip: Option<[u8; 16]> = rest.get(..16).and_then(|b| b.try_into().ok());
            ip.map(|ip| IpAddr::V6(Ipv6Addr::from(ip))).zip(port(32))
        }
        _ => return Proxied::From(16 + len, None),
    };
    client.map_or(Proxied::Wrong, |(ip, port)| {
        Proxied::From(16 + len, Some(SocketAddr::new(ip, port)))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn holds(block: &str, ip: &str, expected: bool) {
        assert_eq!(
            block.parse::<Cidr>().unwrap().holds(ip.parse().unwrap()),
            expected,
            "{block} {ip}"
        );
    }

    #[test]
    fn blocks_hold_their_addresses() {
        holds("10.0.0.0/8", "10.200.1.1", true);
        holds("10.0.0.0/8", "11.0.0.1", false);
        holds("10.0.0.1", "10.0.0.1", true);
        holds("0.0.0.0/0", "1.2.3.4", true);
        holds("0.0.0.0/0", "::1", false);
        holds("::/0", "::1", true);
        holds("10.0.0.0/8", "::ffff:10.1.1.1", true);
        holds("2001:db8::/32", "2001:db8:1::", true);
        assert_eq!("10.0.0.0/33".parse::<Cidr>(), Err(BadCidr));
        assert_eq!("ten".parse::<Cidr>(), Err(BadCidr));
    }

    #[test]
    fn headers_of_both_versions_tell_the_client() {
        let client = |text: &str| Some(text.parse().unwrap());
        let v1 = b"PROXY TCP4 1.2.3.4 5.6.7.8 99 80\r\nGET";
        assert_eq!(proxied(v1), Proxied::From(34, client("1.2.3.4:99")));
        assert_eq!(proxied(b"PROXY UNKNOWN\r\n"), Proxied::From(15, None));
        let mut v2 = SIGNATURE.to_vec();
        v2.extend_from_slice(&[0x21, 0x11, 0, 12, 1, 2, 3, 4, 5, 6, 7, 8, 0, 99, 0, 80]);
        assert_eq!(proxied(&v2), Proxied::From(28, client("1.2.3.4:99")));
        let mut local = SIGNATURE.to_vec();
        local.extend_from_slice(&[0x20, 0, 0, 0]);
        assert_eq!(proxied(&local), Proxied::From(16, None));
        for len in 0..v2.len() {
            assert_eq!(proxied(&v2[..len]), Proxied::More, "{len}");
        }
        for len in 0..34 {
            assert_eq!(proxied(&v1[..len]), Proxied::More, "{len}");
        }
        for wrong in
            [&b"GET / HTTP/1.1\r\n"[..], b"PROXY TCP4 x y z w\r\n", b"PROXY TCP4 1.1.1.1\r\n"]
        {
            assert_eq!(proxied(wrong), Proxied::Wrong);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = proxied(&bytes);
            let _ = proxied(&[&SIGNATURE[..], &bytes].concat());
            let _ = proxied(&[b"PROXY ", &bytes[..]].concat());
        }
    }
}
