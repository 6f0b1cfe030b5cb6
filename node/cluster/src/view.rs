//! The cluster as this node sees it at one moment: plain values for ranks, status, headers and pages.

use crate::owner::Behind;

/// What a member is to this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MemberState {
    /// Control connections in both directions and a recent Pong.
    Live,
    /// No Pong for too long.
    Unreachable,
    /// Its address refuses connections.
    Dead,
    /// It said goodbye.
    Left,
}

impl MemberState {
    /// The label value of `tocsin_cluster_peer_state`.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Unreachable => "unreachable",
            Self::Dead => "dead",
            Self::Left => "left",
        }
    }
}

/// The hash of a configuration and when its node loaded it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigHash {
    /// Hash of what was parsed.
    pub hash: u64,
    /// Hybrid clock of the load: of equally frequent hashes the later one leads.
    pub loaded_hlc: u64,
}

/// One node of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its node id: `--cluster.peer-name` or what it drew at its first start.
    pub name: String,
    /// Hash of the name, as in [`crate::Stamp::node`].
    pub node: u64,
    /// `host:port` that it advertises.
    pub address: String,
    /// Whether it is this node.
    pub me: bool,
    /// What it is to this node; this node itself is always live.
    pub state: MemberState,
    /// Whether it notifies: it said that it is ready.
    pub ready: bool,
    /// Whether it is on its way out.
    pub leaving: bool,
    /// Its version, empty when not known.
    pub version: String,
    /// Its configuration, when known.
    pub config: Option<ConfigHash>,
    /// Whether its disk works.
    pub disk_ok: bool,
    /// Its own clock minus the median of the cluster, in milliseconds, as it measured.
    pub clock_offset_ms: i64,
    /// Why it ranks behind the others, if it does.
    pub behind: Option<Behind>,
}

/// What the status calls the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClusterStatus {
    /// No network.
    Disabled,
    /// Not ready yet.
    Settling,
    /// Ready.
    Ready,
}

impl ClusterStatus {
    /// Upstream's word.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Settling => "settling",
            Self::Ready => "ready",
        }
    }
}

/// The cluster as this node sees it. A new one is made at every change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Disabled, settling or ready.
    pub status: ClusterStatus,
    /// This node's id.
    pub name: String,
    /// `host:port` that this node advertises, with the real port; empty without network.
    pub address: String,
    /// All members that are not forgotten, this node too, sorted by name.
    pub members: Vec<Member>,
    /// Place of this node among the live ones by name.
    pub position: usize,
    /// Live members, this node too.
    pub live: usize,
    /// Members that have not left, and configured addresses not reached yet.
    pub known: usize,
    /// Some member that has not left is not live, since less than an hour.
    pub split: bool,
    /// Hash that most live ready nodes hold.
    pub leading_config: Option<u64>,
    /// Wall time in milliseconds until which alerts that end by expiry count as firing, as the latest that any node published; 0: none.
    pub hold_until_ms: i64,
    /// Wall time in milliseconds of the start that the hold belongs to.
    pub hold_start_ms: i64,
}

impl View {
    /// Members as upstream's status shows them: neither dead nor left.
    pub fn present(&self) -> impl Iterator<Item = &Member> {
        let present = |state| matches!(state, MemberState::Live | MemberState::Unreachable);
        self.members.iter().filter(move |member| present(member.state))
    }

    /// Members that are dead or unreachable, for upstream's `failed_peers`, with addresses never reached.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.known.saturating_sub(self.live)
    }

    /// This node among the members.
    #[must_use]
    pub fn me(&self) -> Option<&Member> {
        self.members.iter().find(|member| member.me)
    }
}
