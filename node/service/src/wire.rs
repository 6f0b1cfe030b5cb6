//! What the balancer and the node say to each other in HTTP headers: written once, for both.

use std::fmt;

/// On every answer of a node: how many nodes it sees alive and how many it knows, [`ClusterSeen`].
pub const CLUSTER: http::HeaderName = http::HeaderName::from_static("tocsin-cluster");

/// On the answer to a write that is not yet as safe as promised; its value is [`DEGRADED`].
pub const WRITE: http::HeaderName = http::HeaderName::from_static("tocsin-write");

/// Value of [`WRITE`]: the write is in memory, but not yet on disk or on a peer.
pub const DEGRADED: http::HeaderValue = http::HeaderValue::from_static("degraded");

/// Value of [`CLUSTER`]: `live=2 known=3`. A node without a cluster says `live=1 known=1`.
///
/// An older reader ignores words that it does not know, so words may be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClusterSeen {
    /// Nodes alive as seen by the answering node, itself included.
    pub live: u32,
    /// Nodes known, itself included; those that left are not known any more.
    pub known: u32,
}

impl ClusterSeen {
    /// Reads the header's value; nothing when one of the two numbers is absent or no number.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let number = |name: &str| -> Option<u32> {
            let word = text.split_ascii_whitespace().find_map(|word| word.strip_prefix(name))?;
            word.strip_prefix('=')?.parse().ok()
        };
        Some(Self { live: number("live")?, known: number("known")? })
    }

    /// The value as it goes into the header.
    ///
    /// # Panics
    /// Never: digits and letters are valid in a header.
    #[must_use]
    pub fn header_value(&self) -> http::HeaderValue {
        http::HeaderValue::from_str(&self.to_string()).expect("digits and letters are valid")
    }
}

impl fmt::Display for ClusterSeen {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "live={} known={}", self.live, self.known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<(u32, u32)>) {
        let seen = ClusterSeen::parse(text).map(|seen| (seen.live, seen.known));
        assert_eq!(seen, expected, "{text}");
    }

    #[test]
    fn cluster_value_is_read_back() {
        let seen = ClusterSeen { live: 2, known: 3 };
        assert_eq!(ClusterSeen::parse(seen.header_value().to_str().unwrap()), Some(seen));
    }

    #[test]
    fn unknown_words_are_passed_over_and_nonsense_is_nothing() {
        check("live=2 known=3 split=no", Some((2, 3)));
        check("known=3  live=1", Some((1, 3)));
        check("", None);
        check("live=2", None);
        check("live=two known=3", None);
        check("live2 known3", None);
    }
}
