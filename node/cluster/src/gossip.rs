//! chitchat: finds members that nobody configured here and carries a few facts of each. Liveness is not its business.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chitchat::{
    ChitchatConfig, ChitchatHandle, ChitchatId, FailureDetectorConfig, ProtocolVersion,
    spawn_chitchat,
};
use tracing::{error, warn};

use crate::bridge::{Bridge, BridgeTransport};
use crate::core::{Core, lock};
use crate::member::Status;
use crate::mesh;
use crate::metrics::Counts;

/// chitchat copies the whole digest into one datagram: dead generations must go soon.
const DEAD_GRACE: Duration = Duration::from_secs(10 * 60);
const TOMBSTONE_GRACE: Duration = Duration::from_secs(60);
/// How often new members are looked for.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A longer value would never arrive and would hold up all that follow.
const VALUE_MAX: usize = 1024;

/// Runs chitchat over the bridge for ever; starts it anew when it ends.
pub(crate) async fn run(core: &Arc<Core>, bridge: &Arc<Bridge>, address: SocketAddr) {
    let mut generation = core.identity.generation;
    loop {
        match start(core, bridge, address, generation).await {
            Ok(chitchat) => {
                let ended = chitchat.termination_watcher();
                tokio::select! {
                    _ = ended => {}
                    () = attend(core, bridge, &chitchat) => {}
                }
                warn!("gossip task ended, starting it again");
            }
            Err(error) => warn!(error = %error, "gossip cannot start"),
        }
        Counts::add(&core.counts.gossip_restarts, 1);
        generation += 1;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn start(
    core: &Core,
    bridge: &Arc<Bridge>,
    address: SocketAddr,
    generation: u64,
) -> anyhow::Result<ChitchatHandle> {
    let config = ChitchatConfig {
        chitchat_id: ChitchatId::new(core.identity.id.as_str(), generation, address),
        cluster_id: core.options.label.clone(),
        gossip_interval: core.options.gossip_interval,
        listen_addr: address,
        seed_nodes: Vec::new(),
        failure_detector_config: FailureDetectorConfig {
            dead_node_grace_period: DEAD_GRACE,
            ..FailureDetectorConfig::default()
        },
        marked_for_deletion_grace_period: TOMBSTONE_GRACE,
        catchup_callback: None,
        extra_liveness_predicate: None,
        protocol_version: ProtocolVersion::V1,
    };
    let facts = facts(core, address);
    spawn_chitchat(config, facts, &BridgeTransport(Arc::clone(bridge))).await
}

/// What this node tells of itself, in all less than 1 KB.
fn facts(core: &Core, address: SocketAddr) -> Vec<(String, String)> {
    let status = core.status();
    let fixed = [
        ("addr", address.to_string()),
        ("ver", core.options.version.clone()),
        ("proto", format!("{}-{}", mesh::message::PROTO_MIN, mesh::message::PROTO_MAX)),
    ];
    let all = fixed.into_iter().chain(changing(&status));
    all.map(|(key, value)| (key.to_owned(), value))
        .filter(|(key, value)| fits(key, value))
        .collect()
}

fn changing(status: &Status) -> [(&'static str, String); 6] {
    let flag = |on: bool| if on { "1" } else { "0" }.to_owned();
    let config = status.config.map(|config| format!("{:x}@{}", config.hash, config.loaded_hlc));
    [
        ("ready", flag(status.ready)),
        ("leaving", flag(status.leaving)),
        ("cfg", config.unwrap_or_default()),
        ("disk", if status.disk_failed { "failed" } else { "ok" }.to_owned()),
        ("hold", format!("{},{}", status.hold_until_ms, status.hold_start_ms)),
        ("clk", status.clock_offset_ms.to_string()),
    ]
}

fn fits(key: &str, value: &str) -> bool {
    let fits = value.len() <= VALUE_MAX;
    if !fits {
        error!(key, bytes = value.len(), "fact is too long to be gossiped");
    }
    fits
}

/// Publishes what changes here and dials who appears there.
async fn attend(core: &Arc<Core>, bridge: &Arc<Bridge>, chitchat: &ChitchatHandle) {
    let mut status = core.status_changed.subscribe();
    let mut every = tokio::time::interval(LOOK_EVERY);
    loop {
        tokio::select! {
            _ = status.changed() => publish(core, chitchat).await,
            _ = every.tick() => look(core, bridge, chitchat).await,
        }
    }
}

async fn publish(core: &Core, chitchat: &ChitchatHandle) {
    let status = core.status();
    chitchat
        .with_chitchat(|chitchat| {
            for (key, value) in changing(&status) {
                if fits(key, &value) {
                    chitchat.self_node_state().set(key, value);
                }
            }
        })
        .await;
}

async fn look(core: &Arc<Core>, bridge: &Arc<Bridge>, chitchat: &ChitchatHandle) {
    let own = core.identity.id.as_str();
    let live: Vec<(String, SocketAddr)> = chitchat
        .with_chitchat(|chitchat| {
            chitchat
                .live_nodes()
                .filter(|id| &*id.node_id != own)
                .map(|id| (id.node_id.to_string(), id.gossip_advertise_addr))
                .collect()
        })
        .await;
    for (id, address) in &live {
        let known = lock(&core.members).peers.contains_key(id);
        if !known {
            mesh::ensure(core, *address, false);
        }
    }
    for peer in bridge.peers() {
        if !live.iter().any(|(_, address)| *address == peer) {
            // The command channel ends with the task, which is watched.
            let _ = chitchat.gossip(peer);
        }
    }
}
