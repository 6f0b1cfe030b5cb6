//! `/api/v2/status` as upstream has it, and `/api/v2/status/ha` with what is ours.

use http::{Response, StatusCode};
use tocsin_cluster::{ClusterStatus, PeerFacts, View};
use tocsin_service::web::Body;

use super::{
    App,
    error::json_response,
    json::push_string,
    original, times,
    wire::{push, push_array},
};

/// Upstream's status object.
pub(super) fn v2(app: &App) -> Response<Body> {
    let config = app.engine.config();
    let view = app.engine.cluster().view();
    let mut out = Vec::with_capacity(config.original.len() + 1024);
    push(&mut out, "{\"cluster\":{");
    if view.status != ClusterStatus::Disabled {
        push_field(&mut out, "name", &view.name);
        out.push(b',');
    }
    push(&mut out, "\"peers\":");
    push_peers(&mut out, &view, ["address", "name"]);
    out.push(b',');
    push_field(&mut out, "status", view.status.label());
    push(&mut out, "},\"config\":{");
    push_field(&mut out, "original", &original::for_all_versions(&config.original));
    push(&mut out, "},\"uptime\":");
    times::push_millis(&mut out, app.engine.started_at());
    push(&mut out, ",\"versionInfo\":");
    push_version(&mut out);
    push(&mut out, "}\n");
    json_response(StatusCode::OK, out)
}

/// The description of API v2 for tools.
pub(super) fn openapi() -> Response<Body> {
    json_response(StatusCode::OK, include_str!("openapi.json"))
}

/// Appends the peers that are there, this node too; none when clustering is disabled.
pub(super) fn push_peers(out: &mut Vec<u8>, view: &View, order: [&str; 2]) {
    let enabled = view.status != ClusterStatus::Disabled;
    push_array(out, view.present().filter(|_| enabled), |out, member| {
        out.push(b'{');
        for (index, field) in order.into_iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            let text = if field == "name" { &member.name } else { &member.address };
            push_field(out, field, text);
        }
        out.push(b'}');
    });
}

/// Appends a name and a text.
pub(super) fn push_field(out: &mut Vec<u8>, name: &str, text: &str) {
    push_string(out, name);
    out.push(b':');
    push_string(out, text);
}

/// What a build says of itself.
pub(crate) struct Build {
    pub(crate) branch: &'static str,
    pub(crate) date: &'static str,
    pub(crate) user: &'static str,
    pub(crate) go_version: &'static str,
    pub(crate) revision: &'static str,
    pub(crate) version: &'static str,
}

/// This build. Clients read `goVersion` as a text; there is none to tell.
pub(crate) const BUILD: Build = Build {
    branch: "HEAD",
    date: match option_env!("TOCSIN_BUILD_DATE") {
        Some(date) => date,
        None => "",
    },
    user: "tocsin",
    go_version: "",
    revision: match option_env!("TOCSIN_REVISION") {
        Some(revision) => revision,
        None => "",
    },
    version: crate::VERSION,
};

/// Appends versionInfo.
pub(super) fn push_version(out: &mut Vec<u8>) {
    let fields = [
        ("branch", BUILD.branch),
        ("buildDate", BUILD.date),
        ("buildUser", BUILD.user),
        ("goVersion", BUILD.go_version),
        ("revision", BUILD.revision),
        ("version", BUILD.version),
    ];
    out.push(b'{');
    for (index, (name, text)) in fields.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        push_field(out, name, text);
    }
    out.push(b'}');
}

/// How this node sees every other one, and itself.
pub(super) fn ha(app: &App) -> Response<Body> {
    let cluster = app.engine.cluster();
    let (view, facts, ready) = (cluster.view(), cluster.facts(), cluster.ready());
    let ready = ready.borrow();
    let mut out = Vec::with_capacity(4096);
    out.push(b'{');
    push_field(&mut out, "name", &view.name);
    out.push(b',');
    push_field(&mut out, "address", &view.address);
    out.push(b',');
    push_field(&mut out, "status", view.status.label());
    push(&mut out, &format!(",\"ready\":{},", ready.is_ready()));
    push_field(&mut out, "reason", ready.reason());
    push(
        &mut out,
        &format!(
            ",\"position\":{},\"live\":{},\"known\":{},\"split\":{},\"authenticated\":{}",
            view.position, view.live, view.known, view.split, facts.authenticated
        ),
    );
    push(&mut out, &format!(",\"claimsInFlight\":{}", facts.claims_in_flight));
    push(&mut out, ",\"members\":");
    push_array(&mut out, &view.members, |out, member| {
        let peer = facts.peers.iter().find(|peer| peer.name == member.name);
        push_member(out, member, &view, peer);
    });
    push(&mut out, ",\"digests\":");
    push_array(&mut out, &facts.digests, |out, (kind, digest)| {
        push(out, &format!("{{\"kind\":{kind},\"digest\":\"{digest:016x}\"}}"));
    });
    push(&mut out, "}\n");
    json_response(StatusCode::OK, out)
}

fn push_member(
    out: &mut Vec<u8>,
    member: &tocsin_cluster::Member,
    view: &View,
    peer: Option<&PeerFacts>,
) {
    out.push(b'{');
    push_field(out, "name", &member.name);
    out.push(b',');
    push_field(out, "address", &member.address);
    out.push(b',');
    push_field(out, "state", member.state.label());
    push(out, &format!(",\"self\":{},\"ready\":{},", member.me, member.ready));
    push(out, &format!("\"leaving\":{},\"diskOk\":{},", member.leaving, member.disk_ok));
    push_field(out, "version", &member.version);
    if let Some(config) = member.config {
        let same = view.leading_config == Some(config.hash);
        push(out, &format!(",\"configHash\":\"{:016x}\",\"configLeads\":{same}", config.hash));
    }
    push(out, &format!(",\"clockOffsetMs\":{}", member.clock_offset_ms));
    if let Some(behind) = member.behind {
        out.push(b',');
        push_field(out, "rankedBehind", behind.label());
    }
    if let Some(peer) = peer {
        push(out, &format!(",\"lagMs\":{}", peer.lag.as_millis()));
        push(out, &format!(",\"queueBytes\":{}", peer.queue_bytes));
        if let Some(time) = peer.round_trip {
            push(out, &format!(",\"roundTripUs\":{}", time.as_micros()));
        }
        if let Some(time) = peer.last_contact {
            push(out, &format!(",\"lastContactMs\":{}", time.as_millis()));
        }
    }
    out.push(b'}');
}
