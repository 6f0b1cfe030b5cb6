//! Health checks: a new connection each, HAProxy's results by the layer that failed, and what a Tocsin node says of its cluster.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tocsin_service::wire::{CLUSTER, ClusterSeen};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::backend::{ClusterView, Server, Target};
use crate::balancer::Balancer;
use crate::config::{CheckOptions, Timeouts};
use crate::health::{CheckResult, CheckStatus};

/// Bytes of an answer that are looked at.
const ANSWER_MAX: usize = 16 << 10;

/// Checks one server until the task is dropped. `place` of `count` spreads the first checks.
pub(crate) async fn watch(lb: Arc<Balancer>, server: Arc<Server>, place: u32, count: u32) {
    let mut wait = server.check_interval() * place / count.max(1);
    let mut jitter = u64::from(server.id) * 0x9e37 + 1;
    loop {
        let _ = tokio::time::timeout(wait, server.kick.notified()).await;
        if !server.wants_checks() {
            wait = server.check.interval;
            continue;
        }
        let Some(backend) = lb.backend_of(&server) else { return };
        server.check_begins();
        look_up(&server, backend.options.timeouts.connect).await;
        let (result, cluster) = check(&server, &backend.options.timeouts).await;
        let change = server.check_ends(result, cluster, lb.clock.now_ms());
        if let Some(change) = change {
            lb.server_changed(&backend, &server, &change, "check");
        }
        wait = spread(server.check_interval(), server.check.spread, &mut jitter);
    }
}

/// Looks up a named server again; what is not found keeps its address.
async fn look_up(server: &Server, limit: Duration) {
    let target = server.target();
    if target.text.parse::<SocketAddr>().is_ok() {
        return;
    }
    let found = tokio::time::timeout(limit, tokio::net::lookup_host(&target.text)).await;
    let Ok(Ok(found)) = found else { return };
    let found: Vec<_> = found.collect();
    let same = target.address.is_some_and(|a| found.contains(&a));
    if let Some(first) = found.first().filter(|_| !same) {
        server.set_target(Target { text: target.text.clone(), address: Some(*first) });
    }
}

/// An interval with up to `percent` more or less.
fn spread(interval: Duration, percent: u32, state: &mut u64) -> Duration {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    let draw = u32::try_from((*state >> 33) % 2001).unwrap_or(1000);
    let part = interval * percent / 100;
    (interval + part * draw / 1000).saturating_sub(part)
}

/// Checks once, and asks a Tocsin node whether it is ready.
async fn check(server: &Server, timeouts: &Timeouts) -> (CheckResult, Option<ClusterView>) {
    let target = server.target();
    let Some(address) = target.address else {
        let info = "name cannot be resolved".to_owned();
        let status = CheckStatus::SocketError;
        return (CheckResult { status, http: None, duration_ms: 0, info }, None);
    };
    let options = &server.check;
    let began = Instant::now();
    let asked = ask(server, address, &target.text, &options.path, timeouts).await;
    let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    match asked {
        Err((status, info)) => (CheckResult { status, http: None, duration_ms, info }, None),
        Ok(answer) => {
            let status = judge(answer.status, options);
            let info = match status {
                CheckStatus::L7Status => answer.phrase,
                _ => String::new(),
            };
            let result = CheckResult { status, http: Some(answer.status), duration_ms, info };
            let Some(seen) = answer.cluster.filter(|_| status.passed()) else {
                return (result, None);
            };
            let ready = ask(server, address, &target.text, "/-/ready", timeouts).await;
            let ready = ready.is_ok_and(|a| a.status == 200);
            (result, Some(ClusterView { live: seen.live, known: seen.known, ready }))
        }
    }
}

fn judge(status: u16, options: &CheckOptions) -> CheckStatus {
    if options.expect.iter().any(|(low, high)| (*low..=*high).contains(&status)) {
        CheckStatus::L7Ok
    } else if status == 404 && options.disable_on_404 {
        CheckStatus::L7OkConditional
    } else {
        CheckStatus::L7Status
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    phrase: String,
    cluster: Option<ClusterSeen>,
}

/// Asks for one path on a new connection: at most `min(connect, interval)` to connect, then `check` to read.
async fn ask(
    server: &Server,
    address: SocketAddr,
    host: &str,
    path: &str,
    timeouts: &Timeouts,
) -> Result<Answer, (CheckStatus, String)> {
    let options = &server.check;
    let limit = timeouts.connect.min(options.interval);
    let connecting = tokio::time::timeout(limit, TcpStream::connect(address)).await;
    let stream = match connecting {
        Err(_) => return Err((CheckStatus::L4Timeout, String::new())),
        Ok(Err(error)) => return Err(connect_failed(&error)),
        Ok(Ok(stream)) => stream,
    };
    let host = if options.host.is_empty() { host } else { &options.host };
    let method = &options.method;
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: tocsin-lb\r\nConnection: close\r\n\r\n"
    );
    let limit = if timeouts.check.is_zero() { options.interval } else { timeouts.check };
    let tls = if options.tls { server.tls() } else { Ok(None) };
    let tls = tls.map_err(|e| (CheckStatus::SocketError, e.to_string()))?;
    let answer = match tls {
        None => tokio::time::timeout(limit, exchange(stream, &request)).await,
        Some(tls) => {
            let shaking = tls.connector.connect(tls.name.clone(), stream);
            let stream = match tokio::time::timeout(limit, shaking).await {
                Err(_) => return Err((CheckStatus::L6Timeout, String::new())),
                Ok(Err(error)) => return Err((CheckStatus::L6Response, error.to_string())),
                Ok(Ok(stream)) => stream,
            };
            tokio::time::timeout(limit, exchange(stream, &request)).await
        }
    };
    answer.unwrap_or(Err((CheckStatus::L7Timeout, String::new())))
}

/// Sends the request and reads the answer's header.
async fn exchange(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    request: &str,
) -> Result<Answer, (CheckStatus, String)> {
    let sent = stream.write_all(request.as_bytes()).await;
    sent.map_err(|e| (CheckStatus::L7Response, os_text(&e)))?;
    read(&mut stream).await
}

fn connect_failed(error: &io::Error) -> (CheckStatus, String) {
    use io::ErrorKind::{AddrInUse, AddrNotAvailable, PermissionDenied, TimedOut};
    let status = match error.kind() {
        TimedOut => CheckStatus::L4Timeout,
        AddrInUse | AddrNotAvailable | PermissionDenied => CheckStatus::SocketError,
        _ => CheckStatus::L4Connection,
    };
    (status, os_text(error))
}

/// The system's words for an error, without its number.
fn os_text(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

/// Reads the header of an answer and, to be polite, what of its body comes at once.
async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Answer, (CheckStatus, String)> {
    let mut bytes = Vec::with_capacity(1024);
    loop {
        let n = stream.read_buf(&mut bytes).await;
        let n = n.map_err(|e| (CheckStatus::L7Response, os_text(&e)))?;
        let end = memchr::memmem::find(&bytes, b"\r\n\r\n");
        if let Some(end) = end {
            return parse(&bytes[..end])
                .ok_or((CheckStatus::L7Response, "not an HTTP answer".to_owned()));
        }
        if n == 0 || bytes.len() > ANSWER_MAX {
            let info = "answer ends within its header".to_owned();
            return Err((CheckStatus::L7Response, info));
        }
    }
}

/// Status and cluster header of an answer's header.
fn parse(header: &[u8]) -> Option<Answer> {
    let text = String::from_utf8_lossy(header);
    let mut lines = text.split("\r\n");
    let rest = lines.next()?.strip_prefix("HTTP/1.")?;
    let status = rest.get(2..5)?.parse().ok().filter(|s| (100..600).contains(s))?;
    let phrase = rest.get(6..).unwrap_or_default().trim().to_owned();
    let cluster = lines.filter_map(|line| line.split_once(':')).find_map(|(name, value)| {
        name.eq_ignore_ascii_case(CLUSTER.as_str()).then(|| ClusterSeen::parse(value))?
    });
    Some(Answer { status, phrase, cluster })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_parse(text: &str, expected: Option<(u16, Option<(u32, u32)>)>) {
        let got = parse(text.as_bytes());
        assert_eq!(
            got.map(|a| (a.status, a.cluster.map(|c| (c.live, c.known)))),
            expected,
            "{text}"
        );
    }

    #[test]
    fn answers_are_read_with_their_cluster() {
        check_parse("HTTP/1.1 200 OK\r\nTocsin-Cluster: live=2 known=3", Some((200, Some((2, 3)))));
        check_parse("HTTP/1.0 503 No\r\nX: y", Some((503, None)));
        check_parse("HTTP/1.1 abc", None);
        check_parse("HTTP/1.1 20", None);
        check_parse("SSH-2.0-x", None);
    }

    #[test]
    fn statuses_are_judged_as_configured() {
        let exact = CheckOptions::default();
        assert_eq!(judge(200, &exact), CheckStatus::L7Ok);
        assert_eq!(judge(204, &exact), CheckStatus::L7Status);
        let wide = CheckOptions { expect: vec![(200, 399)], disable_on_404: true, ..exact };
        assert_eq!(judge(302, &wide), CheckStatus::L7Ok);
        assert_eq!(judge(404, &wide), CheckStatus::L7OkConditional);
    }

    #[test]
    fn jitter_stays_within_its_share() {
        let mut state = 1;
        for _ in 0..1000 {
            let wait = spread(Duration::from_secs(10), 5, &mut state);
            assert!((9500..=10500).contains(&wait.as_millis()), "{wait:?}");
        }
    }
}
