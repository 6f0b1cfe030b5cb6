//! The stats listener: the page, its exports, metrics, and the balancer's own health. Read by pingora's sessions like any client.

mod api;
mod change;
mod chart;
mod export;
mod html;
mod metrics;
mod rows;

pub(crate) use export::{json, typed};
pub(crate) use rows::{all as all_rows, csv};

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pingora_core::protocols::http::v1::server::HttpSession;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use crate::access::{Line, json_text};
use crate::balancer::{Balancer, us};
use crate::config::{AdminMode, Limits, StatsOptions, Timeouts};
use crate::head::{Head, client_text, push_int};
use crate::proxy::reason;
use crate::sockets::Accepting;
use crate::watch::{Fired, Phase};
use crate::wire::Wire;

/// Bytes of a form.
const FORM_MAX: usize = 16 << 10;

/// One request to the stats listener.
#[derive(Clone, Debug)]
pub(crate) struct Request<'a> {
    /// Its method.
    pub method: &'a str,
    /// Its path without query and modifiers.
    pub path: &'a str,
    /// Modifiers after `;`.
    pub modifiers: Vec<&'a str>,
    /// Its query.
    pub query: &'a str,
}

/// An answer of the stats listener.
#[derive(Debug)]
pub(crate) struct Answer {
    status: u16,
    kind: &'static str,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Answer {
    fn new(status: u16, kind: &'static str, body: String) -> Self {
        Answer { status, kind, headers: Vec::new(), body }
    }

    fn text(status: u16, body: &str) -> Self {
        Answer::new(status, "text/plain; charset=utf-8", format!("{body}\n"))
    }

    fn json(body: String) -> Self {
        Answer::new(200, "application/json", body).with("Cache-Control", "no-store")
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// Accepts clients of the stats page until the balancer stops or the address is given up.
pub(crate) async fn listen(lb: Arc<Balancer>, accepting: Accepting) {
    let listener = match TcpListener::from_std(accepting.listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(error = %error, "stats socket cannot be watched");
            return;
        }
    };
    loop {
        let freed = lb.freed.notified();
        let most = lb.topology.load().config.stats.as_ref().map_or(0, |s| u64::from(s.maxconn));
        let is_full = lb.stats.current() >= most;
        tokio::select! {
            biased;
            () = accepting.closed.cancelled() => return,
            () = freed, if is_full => {}
            accepted = listener.accept(), if !is_full => match accepted {
                Ok((stream, peer)) => drop(tokio::spawn(client(lb.clone(), stream, peer))),
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }
}

/// Counts a client of the stats page while it lives.
struct Counted(Arc<Balancer>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.stats.end(self.0.workers, self.0.clock.now_ms());
        self.0.freed.notify_waiters();
    }
}

async fn client(lb: Arc<Balancer>, stream: TcpStream, peer: SocketAddr) {
    lb.stats.begin(lb.workers);
    let _counted = Counted(lb.clone());
    let registered = lb.stats_register.add();
    let (watch, timeouts) = (&registered.watch, Timeouts::default());
    let wire = Wire::tcp(stream, watch.clone());
    let limits = Limits::default();
    let mut head = Head::default();
    let mut prefix = None;
    watch.enter(Phase::Head, timeouts.http_request);
    loop {
        wire.begin_head(limits.header_bytes, timeouts.http_request, prefix.as_mut());
        let mut session = HttpSession::new(Box::new(wire.clone()));
        session.set_read_timeout(None);
        session.set_pipelining_enabled(true);
        if let Some(prefix) = prefix.take() {
            session.set_pipelined_prefix(prefix);
        }
        if !matches!(session.read_request().await, Ok(Some(_))) {
            return;
        }
        let began = wire.end_head().unwrap_or_else(Instant::now);
        let raw = session.get_headers_raw_bytes();
        watch.enter(Phase::Client, timeouts.client);
        let (answer, keep) = match head.read_request(&raw, &limits) {
            Ok(()) => (respond(&lb, peer, &head, &raw, &mut session).await, head.keep_alive),
            Err(refusal) => {
                let (status, text) = refusal.answer();
                (Answer::text(status, text), false)
            }
        };
        let keep = keep && !lb.draining.is_cancelled() && session.is_body_done();
        let bytes = serialize(&answer, head.method(&raw) == "HEAD", keep, head.is_11);
        let sent = wire.send::<&[u8]>(&bytes, &[]).await.is_ok();
        note(&lb, &wire, peer, began, answer.status, &head, &raw);
        if !keep || !sent || watch.fired() == Some(Fired::Killed) {
            return wire.close().await;
        }
        match session.reuse().await {
            Ok(Some(reusable)) => prefix = reusable.into_parts().1,
            _ => return,
        }
        watch.enter(Phase::Idle, timeouts.http_keep_alive);
    }
}

/// Counts and logs one request to the stats listener.
fn note(
    lb: &Balancer,
    wire: &Wire,
    peer: SocketAddr,
    began: Instant,
    status: u16,
    head: &Head,
    raw: &[u8],
) {
    let (bytes_in, bytes_out) = wire.take_counts();
    let shard = lb.stats.shard(lb.workers);
    shard.requests.add(1);
    shard.intercepted.add(1);
    shard.bytes_in.add(bytes_in);
    shard.bytes_out.add(bytes_out);
    lb.stats.answer(lb.workers, status);
    let total_us = us(began.elapsed());
    lb.log.line(
        lb.workers,
        &Line {
            client: (&client_text(peer.ip()), peer.port()),
            at_us: lb.clock.us_of(began),
            frontend: ("stats", false),
            backend: "stats",
            server: "<STATS>",
            times: [Some(0), Some(0), Some(0), Some(0), Some(total_us)],
            status,
            bytes_in,
            bytes_out,
            term: *b"LR",
            active: [u64::from(lb.clients()), lb.stats.current(), 0, 0],
            retries: 0,
            redispatched: false,
            reused: false,
            queue: (0, 0),
            request: head.first_line(raw),
            user: None,
            id: (0, 0),
            copies: &[],
        },
    );
}

fn serialize(answer: &Answer, is_head: bool, keep: bool, is_11: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(answer.body.len() + 512);
    out.extend_from_slice(b"HTTP/1.1 ");
    push_int(&mut out, u64::from(answer.status));
    out.extend_from_slice(format!(" {}\r\n", reason(answer.status)).as_bytes());
    out.extend_from_slice(format!("Content-Type: {}\r\n", answer.kind).as_bytes());
    for (name, value) in &answer.headers {
        out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    let connection = match (keep, is_11) {
        (true, true) => "",
        (true, false) => "Connection: keep-alive\r\n",
        (false, _) => "Connection: close\r\n",
    };
    let rest = format!("Content-Length: {}\r\n{connection}\r\n", answer.body.len());
    out.extend_from_slice(rest.as_bytes());
    if !is_head {
        out.extend_from_slice(answer.body.as_bytes());
    }
    out
}

async fn respond(
    lb: &Arc<Balancer>,
    peer: SocketAddr,
    head: &Head,
    raw: &[u8],
    session: &mut HttpSession,
) -> Answer {
    let topology = lb.topology.load();
    let users = topology.stats_users.clone();
    let Some(options) = topology.config.stats.clone() else {
        return Answer::text(404, "not found");
    };
    drop(topology);
    let host = head.values(raw, "host").next().unwrap_or_default();
    if !is_known_host(&options.hosts, host) {
        return Answer::text(403, "this name is not served");
    }
    let target = unaliased(&options, head.target(raw));
    let target = target.as_str();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut parts = path.split(';');
    let path = parts.next().unwrap_or_default();
    let request = Request { method: head.method(raw), path, modifiers: parts.collect(), query };
    let Some(body) = form(session).await else {
        let answer = Answer::text(413, "form too large");
        return answer.with("Location", format!("{};st=EXCD", options.uri));
    };
    let text = |name: &str| {
        let value = head.values(raw, name).next().unwrap_or_default();
        String::from_utf8_lossy(value).into_owned()
    };
    let cookies = text("cookie");
    let mut cookies = cookies.split("; ").filter_map(|c| c.split_once('='));
    let origin = Some(text("origin")).filter(|o| !o.is_empty());
    let proof = change::Proof {
        bearer: text("authorization").strip_prefix("Bearer ").unwrap_or_default().to_owned(),
        cookie: cookies.find(|(n, _)| *n == change::COOKIE).map_or("", |(_, v)| v).to_owned(),
        origin: origin.map(|o| o.split("://").nth(1).unwrap_or("null").to_owned()),
        host: text("host"),
        peer: client_text(peer.ip()),
        user: match &users {
            Some(users) => {
                let given = head.values(raw, "authorization").next();
                users.who(given).await.map(str::to_owned)
            }
            None => None,
        },
    };
    let is_health = matches!(request.path, "/-/healthy" | "/-/ready");
    if let Some(users) = users.filter(|_| options.users_only && proof.user.is_none() && !is_health)
        && !proof.has_token(lb)
    {
        let answer = Answer::text(401, "who are you?");
        return answer.with("WWW-Authenticate", users.challenge());
    }
    route(lb, &options, &request, &proof, &body)
}

/// Whether the listener answers under this name; a port does not matter.
fn is_known_host(hosts: &[String], given: &[u8]) -> bool {
    let given = String::from_utf8_lossy(given);
    let bare = match given.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => &given,
    };
    hosts.is_empty() || hosts.iter().any(|h| h.eq_ignore_ascii_case(bare))
}

/// A target with an alias of the page replaced by the page's own path; modifiers stay.
fn unaliased(options: &StatsOptions, target: &str) -> String {
    let rest = options.alias.iter().find_map(|alias| {
        let rest = target.strip_prefix(alias.as_str())?;
        (rest.is_empty() || rest.starts_with(';')).then_some(rest)
    });
    rest.map_or(target.to_owned(), |rest| format!("{}{rest}", options.uri))
}

/// Reads a small body.
async fn form(session: &mut HttpSession) -> Option<String> {
    let mut body = Vec::new();
    while let Ok(Some(piece)) = session.read_body_bytes().await {
        body.extend_from_slice(&piece);
        if body.len() > FORM_MAX {
            return None;
        }
    }
    Some(String::from_utf8_lossy(&body).into_owned())
}

/// The whole surface of the stats listener.
fn route(
    lb: &Arc<Balancer>,
    options: &StatsOptions,
    request: &Request<'_>,
    proof: &change::Proof,
    body: &str,
) -> Answer {
    let reading = matches!(request.method, "GET" | "HEAD");
    match request.path {
        path if !reading && path == options.uri && request.method == "POST" => {
            change::form(lb, options, request, proof, body)
        }
        "/-/reload" if request.method == "POST" => {
            change::api(lb, &Request { path: "/api/v1/reload", ..request.clone() }, proof, body)
        }
        path if !reading && path.starts_with("/api/v1/") => change::api(lb, request, proof, body),
        _ if !reading => Answer::text(405, "method not allowed").with("Allow", "GET, HEAD"),
        "/-/healthy" => Answer::text(200, "OK"),
        "/-/ready" => ready(lb),
        "/metrics" => {
            let body = metrics::page(lb, options.haproxy_metrics);
            Answer::new(200, "text/plain; version=0.0.4; charset=utf-8", body)
        }
        path if path == html::STYLE_PATH => {
            Answer::new(200, "text/css; charset=utf-8", html::STYLE.to_owned())
                .with("Cache-Control", "public, max-age=31536000, immutable")
        }
        "/" if options.uri != "/" => {
            Answer::text(303, "see the stats page").with("Location", options.uri.clone())
        }
        path if path == options.uri => stats(lb, options, request, proof),
        "/api/v1/config" if !(proof.has_token(lb) || proof.user.is_some()) => {
            problem(401, "the configuration needs the admin token as Authorization: Bearer")
                .with("WWW-Authenticate", "Bearer")
        }
        "/api/v1/config" => Answer::json(lb.topology.load().config.to_json()),
        path if path.starts_with("/api/v1/") => {
            api::read(lb, path).unwrap_or_else(|| problem(404, "not found"))
        }
        _ => Answer::text(404, "not found"),
    }
}

/// An error of the JSON API.
fn problem(status: u16, text: &str) -> Answer {
    let mut body = b"{\"error\":".to_vec();
    json_text(&mut body, text.as_bytes());
    body.push(b'}');
    let body = String::from_utf8_lossy(&body).into_owned();
    Answer::new(status, "application/json", body).with("Cache-Control", "no-store")
}

fn ready(lb: &Balancer) -> Answer {
    let topology = lb.topology.load();
    let usable = topology.backends.iter().all(|b| b.usable().any(|s| s.weight() > 0));
    match (lb.draining.is_cancelled(), usable) {
        (true, _) => Answer::text(503, "draining"),
        (false, false) => Answer::text(503, "a backend has no usable server"),
        (false, true) => Answer::text(200, "OK"),
    }
}

fn stats(
    lb: &Arc<Balancer>,
    options: &StatsOptions,
    request: &Request<'_>,
    proof: &change::Proof,
) -> Answer {
    let has = |name: &str| request.modifiers.contains(&name);
    let scope = query_value(request.query, "scope");
    let mut rows = rows::all(lb, options.legends);
    rows.retain(|row| {
        let server = row.kind == rows::Kind::Server;
        let status = row.get("status");
        let hidden = (has("up") && server && status.starts_with("DOWN"))
            || (has("no-maint") && server && status.starts_with("MAINT"));
        !hidden && row.get("pxname").contains(scope.as_str())
    });
    if has("csv") {
        return Answer::new(200, "text/plain; charset=utf-8", rows::csv(&rows))
            .with("Cache-Control", "no-cache");
    }
    if has("typed") {
        return Answer::new(200, "text/plain; charset=utf-8", export::typed(&rows))
            .with("Cache-Control", "no-cache");
    }
    if has("json-schema") {
        return Answer::new(200, "application/json", crate::admin::SCHEMA.to_owned())
            .with("Cache-Control", "no-cache");
    }
    if has("json") {
        return Answer::new(200, "application/json", export::json(&rows))
            .with("Cache-Control", "no-cache");
    }
    let result = request.modifiers.iter().find_map(|m| m.strip_prefix("st="));
    let view = html::View {
        scope: &scope,
        result,
        may_change: match options.admin {
            AdminMode::Off => html::May::Never,
            AdminMode::Any => html::May::Now,
            AdminMode::Token if proof.has_token(lb) => html::May::Now,
            AdminMode::Token => html::May::WithToken,
            // The password is asked for when something is to be changed.
            AdminMode::Basic => html::May::Now,
        },
    };
    let page = html::page(lb, options, &rows, &view);
    let answer = Answer::new(200, "text/html; charset=utf-8", page)
        .with("Cache-Control", "no-store")
        .with("Content-Security-Policy", html::POLICY)
        .with("X-Content-Type-Options", "nosniff");
    match (has("norefresh"), options.refresh.as_secs()) {
        (true, _) | (_, 0) => answer,
        (false, seconds) => answer.with("Refresh", seconds.to_string()),
    }
}

/// Value of a query or form field, decoded.
fn query_value(query: &str, name: &str) -> String {
    query_values(query, name).into_iter().next().unwrap_or_default()
}

/// All values of a query or form field, decoded.
fn query_values(query: &str, name: &str) -> Vec<String> {
    let fields = query.split('&').filter_map(|f| f.split_once('='));
    fields.filter(|(n, _)| *n == name).map(|(_, v)| decode(v)).collect()
}

fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).and_then(|h| std::str::from_utf8(h).ok());
        let code = hex.and_then(|h| u8::from_str_radix(h, 16).ok());
        match (bytes[at], code) {
            (b'%', Some(code)) => {
                out.push(code);
                at += 3;
            }
            (b'+', _) => {
                out.push(b' ');
                at += 1;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_targets_and_names_are_known() {
        let options = StatsOptions {
            alias: vec!["/haproxy?stats".to_owned()],
            hosts: vec!["lb.example".to_owned()],
            ..StatsOptions::default()
        };
        assert_eq!(unaliased(&options, "/haproxy?stats;csv"), "/stats;csv");
        assert_eq!(unaliased(&options, "/haproxy?statsx"), "/haproxy?statsx");
        let known = |host: &str| is_known_host(&options.hosts, host.as_bytes());
        assert!(known("LB.example") && known("lb.example:8404"));
        assert!(!known("evil.example:8404") && !known(""));
    }

    #[test]
    fn form_fields_are_decoded() {
        assert_eq!(query_value("a=1&scope=x%20y+z%2", "scope"), "x y z%2");
        assert_eq!(query_value("a=1", "scope"), "");
    }
}
