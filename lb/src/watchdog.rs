//! The alerting path is what nobody alerts on: when no server can be used, or no alerts come any more, a URL is called.

use std::net::ToSocketAddrs;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use pingora_core::protocols::http::v1::client::HttpSession;

use crate::access::json_text;
use crate::balancer::Balancer;
use crate::config::{TlsServer, Watchdog};
use crate::tls;
use crate::wire;

/// How long no server may be usable.
const DOWN_MS: u64 = 60_000;
/// Between two calls while it stays so.
const AGAIN_MS: u64 = 300_000;
/// Longest wait for the URL.
const LIMIT: Duration = Duration::from_secs(10);

/// What the watchdog has seen.
#[derive(Clone, Copy, Debug, Default)]
struct Sight {
    usable_ms: u64,
    called_ms: Option<u64>,
}

impl Sight {
    /// What to say at `now_ms`, if anything.
    fn look(
        &mut self,
        usable: bool,
        posted_ms: u64,
        after_ms: u64,
        now_ms: u64,
    ) -> Option<&'static str> {
        if usable {
            self.usable_ms = now_ms;
        }
        let reason = if now_ms.saturating_sub(self.usable_ms) >= DOWN_MS {
            "no server has been usable for a minute"
        } else if after_ms > 0 && now_ms.saturating_sub(posted_ms) >= after_ms {
            "no alerts were posted"
        } else {
            self.called_ms = None;
            return None;
        };
        if self.called_ms.is_some_and(|called| now_ms.saturating_sub(called) < AGAIN_MS) {
            return None;
        }
        self.called_ms = Some(now_ms);
        Some(reason)
    }
}

/// Watches until the task is dropped.
pub(crate) async fn watch(lb: Arc<Balancer>, options: Watchdog) {
    let mut looks = tokio::time::interval(Duration::from_secs(1));
    let mut sight = Sight::default();
    let after_ms = u64::try_from(options.after.as_millis()).unwrap_or(u64::MAX);
    loop {
        looks.tick().await;
        let usable = lb.topology.load().backends.iter().all(|b| b.usable().next().is_some());
        let posted_ms = lb.posted_ms.load(Relaxed);
        if let Some(reason) = sight.look(usable, posted_ms, after_ms, lb.clock.now_ms()) {
            lb.event("watchdog", reason.to_owned());
            let called = tokio::time::timeout(LIMIT, call(&lb, &options.url, reason)).await;
            if !matches!(called, Ok(Some(200..=299))) {
                tracing::error!(reason, "the watchdog's URL could not be called");
            }
        }
    }
}

/// Posts the reason as JSON and returns the status.
async fn call(lb: &Balancer, url: &str, reason: &str) -> Option<u16> {
    let (host, path, is_tls) = parts(url)?;
    let address = host.to_socket_addrs().ok()?.next()?;
    let verified =
        TlsServer { ca: None, server_name: None, certificate: None, key: None, verify: true };
    let client = if is_tls { Some(Arc::new(tls::client(&verified, &host).ok()?)) } else { None };
    let mut body = b"{\"reason\":".to_vec();
    json_text(&mut body, reason.as_bytes());
    body.extend_from_slice(format!(",\"at\":\"{}\"}}", lb.now()).as_bytes());
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        body.len()
    );
    let watch = Arc::default();
    let wire = wire::connect(address, client, LIMIT, &watch).await.ok()?;
    wire.send(head.as_bytes(), &[body]).await.ok()?;
    let mut session = HttpSession::new(Box::new(wire));
    session.read_response().await.ok()?;
    session.resp_header().map(|h| h.status.as_u16())
}

/// `HOST:PORT`, path, and whether it is https.
pub(crate) fn parts(url: &str) -> Option<(String, &str, bool)> {
    let (rest, is_tls) = match (url.strip_prefix("http://"), url.strip_prefix("https://")) {
        (Some(rest), _) => (rest, false),
        (_, Some(rest)) => (rest, true),
        _ => return None,
    };
    let (host, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let legal = |t: &str| !t.is_empty() && t.bytes().all(|b| (0x21..0x7f).contains(&b));
    if !legal(host) || !legal(path) || host.contains('@') {
        return None;
    }
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let port = if is_tls { 443 } else { 80 };
    let host = if has_port { host.to_owned() } else { format!("{host}:{port}") };
    Some((host, path, is_tls))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_speaks_once_in_a_while_and_stops_when_all_is_well() {
        let mut sight = Sight::default();
        assert_eq!(sight.look(true, 0, 0, 1000), None);
        assert_eq!(sight.look(false, 0, 0, 60_000), None);
        assert!(sight.look(false, 0, 0, 61_000).is_some());
        assert_eq!(sight.look(false, 0, 0, 62_000), None);
        assert!(sight.look(false, 0, 0, 361_000).is_some());
        assert_eq!(sight.look(true, 0, 0, 362_000), None);
        assert_eq!(sight.look(true, 300_000, 100_000, 399_000), None);
        assert_eq!(sight.look(true, 300_000, 100_000, 400_000), Some("no alerts were posted"));
    }

    #[test]
    fn urls_are_taken_apart() {
        let own = |host: &str, path, tls| Some((host.to_owned(), path, tls));
        assert_eq!(parts("http://a/b?c"), own("a:80", "/b?c", false));
        assert_eq!(parts("https://a:8443"), own("a:8443", "/", true));
        assert_eq!(parts("ftp://a"), None);
        assert_eq!(parts("http://u:p@a/"), None);
        assert_eq!(parts("http://a b/"), None);
    }
}
