//! What the servers say of themselves: version, configuration, members, clock. Shown, and one thing decided: whether a server is an alert node at all.

use std::sync::Arc;
use std::time::Duration;

use pingora_core::protocols::http::v1::client::HttpSession;
use serde_json::Value;

use crate::backend::Server;
use crate::balancer::Balancer;
use crate::watch::Watch;
use crate::wire;

/// Between two looks at a server.
const INTERVAL: Duration = Duration::from_secs(10);
/// Longest wait for its answer.
const LIMIT: Duration = Duration::from_secs(5);
/// Bytes of its answer that are read: a status holds the whole configuration.
const ANSWER_MAX: usize = 4 << 20;
/// Clocks that differ by more are told.
pub(crate) const CLOCK_LIMIT_S: i64 = 5;

/// What a server said of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// An alert node.
    Node(Node),
    /// Something else that answers over HTTP: it has no alerts to share.
    Stranger,
}

/// An alert node's own words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Node {
    /// Its version.
    pub version: String,
    /// A number that differs where configurations do.
    pub config: u64,
    /// Members that it sees.
    pub members: u64,
    /// Seconds that its clock is ahead of ours.
    pub ahead_s: i64,
}

/// Looks at one server until the task is dropped.
pub(crate) async fn watch(lb: Arc<Balancer>, server: Arc<Server>) {
    let mut looks = tokio::time::interval(INTERVAL);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        if let Ok(Some(peer)) = tokio::time::timeout(LIMIT, look(&lb, &server)).await {
            server.set_peer(peer);
        }
    }
}

/// Asks once. Nothing is learnt from a server that cannot be reached or says an error.
async fn look(lb: &Balancer, server: &Server) -> Option<Peer> {
    let target = server.target();
    let watch = Arc::<Watch>::default();
    let wire = wire::connect(target.address?, server.tls().ok()?, LIMIT, &watch).await.ok()?;
    let host = if server.check.host.is_empty() { &target.text } else { &server.check.host };
    let request = format!(
        "GET /api/v2/status HTTP/1.1\r\nHost: {host}\r\nUser-Agent: tocsin-lb\r\nConnection: close\r\n\r\n"
    );
    wire.send::<&[u8]>(request.as_bytes(), &[]).await.ok()?;
    let mut session = HttpSession::new(Box::new(wire));
    session.read_response().await.ok()?;
    let header = session.resp_header()?;
    if header.status != 200 {
        return None;
    }
    let date = header.headers.get("date").and_then(|d| d.to_str().ok()).map(str::to_owned);
    let mut body = Vec::new();
    while let Some(piece) = session.read_body_ref().await.ok()? {
        body.extend_from_slice(piece);
        if body.len() > ANSWER_MAX {
            return None;
        }
    }
    let ahead_s = date.and_then(|d| seconds(&d)).map_or(0, |there| there - lb.now().as_second());
    Some(read(&body, ahead_s))
}

/// Reads a status: an alert node's has its version.
fn read(body: &[u8], ahead_s: i64) -> Peer {
    let status: Value = serde_json::from_slice(body).unwrap_or_default();
    let Some(version) = status["versionInfo"]["version"].as_str() else { return Peer::Stranger };
    let config = status["config"]["original"].as_str().unwrap_or_default();
    Peer::Node(Node {
        version: version.to_owned(),
        config: hash(config.as_bytes()),
        members: status["cluster"]["peers"].as_array().map_or(0, |peers| peers.len() as u64),
        ahead_s,
    })
}

/// FNV-1a, which is enough to see a difference.
fn hash(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3))
}

/// Seconds of the epoch of an HTTP date.
fn seconds(date: &str) -> Option<i64> {
    jiff::fmt::rfc2822::parse(date).ok().map(|time| time.timestamp().as_second())
}

/// What differs between the alert nodes of a pool, as sentences.
pub(crate) fn differences(nodes: &[(String, Node)]) -> Vec<String> {
    let mut found = Vec::new();
    let Some((first_name, first)) = nodes.first() else { return found };
    for (name, node) in &nodes[1..] {
        if node.version != first.version {
            let (a, b) = (&first.version, &node.version);
            found.push(format!("{first_name} runs {a}, {name} runs {b}"));
        }
        if node.config != first.config {
            found.push(format!("{first_name} and {name} have different configurations"));
        }
        if node.members != first.members {
            let (a, b) = (first.members, node.members);
            found.push(format!("{first_name} sees {a} members, {name} sees {b}"));
        }
    }
    for (name, node) in nodes.iter().filter(|(_, n)| n.ahead_s.abs() > CLOCK_LIMIT_S) {
        found.push(format!("the clock of {name} differs by {} s", node.ahead_s));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(version: &str, config: &str, members: usize) -> Node {
        let peers = vec!["{}"; members].join(",");
        let body = format!(
            "{{\"versionInfo\":{{\"version\":\"{version}\"}},\"config\":{{\"original\":\"{config}\"}},\
             \"cluster\":{{\"peers\":[{peers}]}}}}"
        );
        match read(body.as_bytes(), 0) {
            Peer::Node(node) => node,
            Peer::Stranger => panic!("{body}"),
        }
    }

    #[test]
    fn only_a_status_with_a_version_is_an_alert_nodes() {
        assert_eq!(node("0.27.0", "a", 3).members, 3);
        assert_eq!(read(b"xxxx", 0), Peer::Stranger);
        assert_eq!(read(b"{\"versionInfo\":{}}", 0), Peer::Stranger);
    }

    #[test]
    fn differences_are_told() {
        let named = |name: &str, node| (name.to_owned(), node);
        assert!(
            differences(&[named("a", node("1", "c", 2)), named("b", node("1", "c", 2))]).is_empty()
        );
        let late = Node { ahead_s: -9, ..node("2", "d", 1) };
        let found = differences(&[named("a", node("1", "c", 2)), named("b", late)]);
        assert_eq!(
            found,
            [
                "a runs 1, b runs 2",
                "a and b have different configurations",
                "a sees 2 members, b sees 1",
                "the clock of b differs by -9 s",
            ]
        );
    }

    #[test]
    fn dates_are_http_dates() {
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
    }
}
