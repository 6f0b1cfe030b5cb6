//! Networks that no receiver may be reached in (`--receivers.deny-cidr`): a configured or templated
//! URL must not become a way into the inner network.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// A set of denied networks; empty allows all.
#[derive(Debug, Default)]
pub struct Deny(Vec<Network>);

/// Leading bits of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    base: IpAddr,
    bits: u32,
}

/// A network that is not written as `10.0.0.0/8` or `fd00::/8`.
#[derive(Debug, thiserror::Error)]
#[error("{text:?} is no network: write an address, a slash and the number of leading bits")]
pub struct BadNetwork {
    text: String,
}

/// The receiver's address is denied.
#[derive(Debug, thiserror::Error)]
#[error("the address {0} is denied by --receivers.deny-cidr")]
pub(crate) struct Denied(IpAddr);

impl Deny {
    /// Parses networks such as `10.0.0.0/8`; a bare address is that address alone.
    /// # Errors
    /// Names the first text that is no network.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Arc<Self>, BadNetwork> {
        let networks: Result<Vec<_>, _> = texts
            .into_iter()
            .map(|text| Network::parse(text).ok_or_else(|| BadNetwork { text: text.to_owned() }))
            .collect();
        Ok(Arc::new(Self(networks?)))
    }

    /// Refuses a URL whose host is a denied address; names are checked when they are resolved.
    pub(crate) fn check(&self, url: &Url) -> Result<(), Denied> {
        match url.host() {
            Some(Host::Ipv4(address)) => self.check_address(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => self.check_address(IpAddr::V6(address)),
            Some(Host::Domain(_)) | None => Ok(()),
        }
    }

    /// Refuses a denied address.
    pub(crate) fn check_address(&self, address: IpAddr) -> Result<(), Denied> {
        let denied = self.0.iter().any(|network| network.contains(address.to_canonical()));
        if denied { Err(Denied(address)) } else { Ok(()) }
    }

    /// The system's resolver without denied addresses.
    pub(crate) fn resolver(self: &Arc<Self>) -> Arc<dyn Resolve> {
        Arc::new(Resolver(Arc::clone(self)))
    }

    /// The allowed addresses of a host.
    /// # Errors
    /// When the name does not resolve, or to denied addresses alone.
    pub(crate) async fn lookup(&self, host: &str, port: u16) -> std::io::Result<Vec<SocketAddr>> {
        let mut allowed = Vec::new();
        let mut denied = None;
        for address in tokio::net::lookup_host((host, port)).await? {
            match self.check_address(address.ip()) {
                Ok(()) => allowed.push(address),
                Err(error) => denied = Some(error),
            }
        }
        match denied {
            Some(error) if allowed.is_empty() => Err(std::io::Error::other(error)),
            _ => Ok(allowed),
        }
    }
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (base, bits) = match text.split_once('/') {
            Some((base, bits)) => (base.parse().ok()?, Some(bits.parse().ok()?)),
            None => (text.parse().ok()?, None),
        };
        let width = if matches!(base, IpAddr::V4(_)) { 32 } else { 128 };
        let bits = bits.unwrap_or(width);
        (bits <= width).then_some(Self { base, bits })
    }

    fn contains(&self, address: IpAddr) -> bool {
        let same =
            |a: u128, b: u128, width: u32| self.bits == 0 || (a ^ b) >> (width - self.bits) == 0;
        match (self.base, address) {
            (IpAddr::V4(a), IpAddr::V4(b)) => same(a.to_bits().into(), b.to_bits().into(), 32),
            (IpAddr::V6(a), IpAddr::V6(b)) => same(a.to_bits(), b.to_bits(), 128),
            _ => false,
        }
    }
}

struct Resolver(Arc<Deny>);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let deny = Arc::clone(&self.0);
        Box::pin(async move {
            let found = deny.lookup(name.as_str(), 0).await?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(networks: &[&str], url: &str, allowed: bool) {
        let deny = Deny::parse(networks.iter().copied()).unwrap();
        let url = Url::parse(url).unwrap();
        assert_eq!(deny.check(&url).is_ok(), allowed, "{networks:?} {url}");
    }

    #[test]
    fn addresses_in_a_denied_network_are_refused() {
        check(&["10.0.0.0/8", "fd00::/8"], "http://10.1.2.3/", false);
        check(&["10.0.0.0/8", "fd00::/8"], "http://[fd12::1]/", false);
        check(&["10.0.0.0/8"], "http://11.0.0.1/", true);
        check(&["10.0.0.0/8"], "http://[::ffff:10.0.0.1]/", false);
        check(&["127.0.0.1"], "http://127.0.0.2/", true);
        check(&["0.0.0.0/0"], "http://192.0.2.1/", false);
        check(&[], "http://127.0.0.1/", true);
    }

    #[test]
    fn a_bad_network_is_named() {
        for text in ["10.0.0.0/33", "example.org", "10.0.0.0/-1", ""] {
            assert!(Deny::parse([text]).unwrap_err().to_string().contains(text), "{text}");
        }
    }

    #[tokio::test]
    async fn a_name_with_denied_addresses_alone_does_not_resolve() {
        let deny = Deny::parse(["127.0.0.0/8", "::1"]).unwrap();
        let error = deny.lookup("localhost", 80).await.unwrap_err().to_string();
        assert!(error.contains("denied"), "{error}");
    }
}
