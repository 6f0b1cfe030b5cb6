//! `/status` and `/config`: this node, its peers, what it runs with.

use std::sync::Arc;

use askama::Template;
use http::Response;
use tocsin_cluster::{Behind, ClusterStatus, Member, MemberState, PeerFacts, View};
use tocsin_service::web::Body;

use super::frame::{Frame, page as answer};
use super::when::{When, span, span_ms};
use crate::api::{App, Asked, BUILD};

#[derive(Template)]
#[template(path = "status.html", whitespace = "minimize")]
struct StatusPage {
    f: Frame,
    verdict: String,
    clustered: bool,
    authenticated: bool,
    peers: Vec<Peer>,
    facts: Vec<(&'static str, String)>,
    started: When,
    uptime: String,
    loaded: Option<When>,
    reload: String,
    flags: Vec<(&'static str, String)>,
    numbers: Vec<(&'static str, String)>,
}

struct Peer {
    name: String,
    me: bool,
    address: String,
    /// `live`, `dead`, …
    state: &'static str,
    class: &'static str,
    ready: bool,
    version: String,
    config: &'static str,
    clock: String,
    clock_off: bool,
    lag: String,
    queue: String,
    heard: String,
    round_trip: String,
    note: &'static str,
}

fn peer(member: &Member, view: &View, facts: Option<&PeerFacts>) -> Peer {
    let offset = member.clock_offset_ms;
    let config = match member.config {
        None => "unknown",
        Some(config) if Some(config.hash) == view.leading_config => "same",
        Some(_) => "different",
    };
    let none = || "–".to_owned();
    let live = member.state == MemberState::Live;
    Peer {
        name: member.name.clone(),
        me: member.me,
        address: member.address.clone(),
        state: if member.leaving && live { "leaving" } else { member.state.label() },
        class: if live {
            "well"
        } else if member.state == MemberState::Left {
            ""
        } else {
            "ill"
        },
        ready: member.ready,
        version: member.version.clone(),
        config,
        clock: match offset {
            _ if !live => none(),
            0 => "0 ms".to_owned(),
            _ => {
                format!("{}{}", if offset > 0 { "+" } else { "−" }, span_ms(offset.unsigned_abs()))
            }
        },
        clock_off: offset.abs() > 1_000,
        lag: facts.map_or_else(none, |facts| {
            span_ms(u64::try_from(facts.lag.as_millis()).unwrap_or(u64::MAX))
        }),
        queue: facts.map_or_else(none, |facts| bytes(facts.queue_bytes as u64)),
        heard: match facts.and_then(|facts| facts.last_contact) {
            Some(ago) => {
                format!("{} ago", span_ms(u64::try_from(ago.as_millis()).unwrap_or(u64::MAX)))
            }
            None => none(),
        },
        round_trip: match facts.and_then(|facts| facts.round_trip) {
            Some(time) => format!("{:.1} ms", time.as_secs_f64() * 1000.0),
            None => none(),
        },
        note: match member.behind {
            None if !member.disk_ok => "disk failed",
            None => "",
            Some(Behind::Config) => "waits behind: other configuration",
            Some(Behind::Clock) => "waits behind: clock",
            Some(Behind::Disk) => "waits behind: disk",
        },
    }
}

/// In units of 1024.
pub(super) fn bytes(count: u64) -> String {
    let mut unit = 0;
    let mut rest = count;
    while rest >= 10 * 1024 && unit < 4 {
        rest /= 1024;
        unit += 1;
    }
    format!("{rest} {}", ["B", "KiB", "MiB", "GiB", "TiB"][unit])
}

fn verdict(view: &View) -> String {
    if view.status == ClusterStatus::Disabled {
        return "This node runs alone: clustering is disabled.".to_owned();
    }
    let live = format!("{} of {} peers are live", view.live, view.known);
    let ready = view.members.iter().filter(|member| member.state == MemberState::Live);
    if ready.clone().any(|member| !member.ready) {
        return format!("{live}; not all of them are ready yet.");
    }
    if view.live < view.known {
        return format!("{live}. The others notify in place of the missing.");
    }
    if ready.clone().any(|member| member.behind == Some(Behind::Config)) {
        return format!("{live}, but they do not all run the same configuration.");
    }
    format!("{live}, ready, and run the same configuration.")
}

/// The page.
pub(super) fn page(app: &Arc<App>, asked: &Asked<'_>) -> Response<Body> {
    let engine = &app.engine;
    let cluster = engine.cluster();
    let (view, facts) = (cluster.view(), cluster.facts());
    let find = |name: &str| facts.peers.iter().find(|peer| peer.name == name);
    let peers = view.members.iter().map(|member| peer(member, &view, find(&member.name)));
    let config = engine.config();
    let numbers = engine.numbers();
    let loaded = numbers.counts.reload.succeeded_at;
    #[expect(clippy::cast_possible_truncation, reason = "seconds since 1970")]
    let loaded = jiff::Timestamp::from_second(loaded as i64).ok();
    answer(
        asked,
        &StatusPage {
            f: Frame::new(app, asked, "status", "cluster log silences"),
            verdict: verdict(&view),
            clustered: view.status != ClusterStatus::Disabled,
            authenticated: facts.authenticated,
            peers: peers.collect(),
            facts: vec![
                ("Version", env!("CARGO_PKG_VERSION").to_owned()),
                ("Speaks the API of", BUILD.version.to_owned()),
                ("Revision", BUILD.revision.to_owned()),
                ("Built", BUILD.date.to_owned()),
                ("Configuration hash", format!("{:016x}", config.cfg_hash)),
            ]
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .collect(),
            started: When::moment(engine.started_at()),
            uptime: span(tocsin_core::time::since(asked.now, engine.started_at())),
            loaded: loaded.map(|at| When::distance(at, asked.now)),
            reload: engine.reload_mistake().unwrap_or_default(),
            flags: flags(app),
            numbers: numbers_of(&numbers, &facts),
        },
    )
}

fn numbers_of(
    numbers: &crate::engine::Numbers,
    facts: &tocsin_cluster::ClusterFacts,
) -> Vec<(&'static str, String)> {
    let [active, pending, expired] = numbers.silences;
    vec![
        ("Alerts stored", numbers.stored_alerts.to_string()),
        ("Groups", numbers.groups.to_string()),
        ("Silences", format!("{active} active, {pending} pending, {expired} expired")),
        ("Notification log entries", numbers.log_entries.to_string()),
        ("Receivers", format!("{} with {} integrations", numbers.receivers, numbers.integrations)),
        ("Memory", resident().map(bytes).unwrap_or_default()),
        ("Writes waited for", facts.writes.to_string()),
        ("Claims under way", facts.claims_in_flight.to_string()),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty())
    .collect()
}

/// Resident memory in bytes.
fn resident() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// The flags that matter to a reader; none of them is secret.
fn flags(app: &App) -> Vec<(&'static str, String)> {
    let options = app.engine.options();
    let path = |path: &std::path::Path| path.display().to_string();
    vec![
        ("--config.file", path(&options.config_file)),
        ("--storage.path", path(&options.storage_path)),
        ("--data.retention", span(options.data_retention)),
        ("--web.external-url", app.engine.external_url().to_owned()),
        ("--web.route-prefix", app.prefix.clone() + "/"),
        ("--cluster.listen-address", options.cluster.listen_address.clone()),
        ("--cluster.peer", options.cluster.peers.join(", ")),
        ("--cluster.peer-timeout", span(options.cluster.peer_timeout)),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty())
    .collect()
}

#[derive(Template)]
#[template(path = "config.html", whitespace = "minimize")]
struct ConfigPage {
    f: Frame,
    lines: Vec<String>,
    warnings: Vec<String>,
    file: String,
}

/// The configuration in effect, with secrets hidden.
pub(super) fn config(app: &Arc<App>, asked: &Asked<'_>) -> Response<Body> {
    let config = app.engine.config();
    answer(
        asked,
        &ConfigPage {
            f: Frame::new(app, asked, "status", "cluster"),
            lines: config.original.lines().map(str::to_owned).collect(),
            warnings: config.warnings.iter().map(|warning| warning.to_string()).collect(),
            file: app.engine.options().config_file.display().to_string(),
        },
    )
}
