//! Clusters of real nodes on loopback, in one process.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tocsin_service::clock::SystemClock;
use tokio_util::sync::CancellationToken;

use crate::record::kind;
use crate::{
    Bag, Claim, ClaimRequest, Cluster, Draft, MemberState, Need, Options, Release, Table, View,
};

/// Everything here must have happened by then, also on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

/// A TCP proxy that can be cut: what runs through it stops, without a word to either side.
struct Proxy {
    address: String,
    cut: tokio::sync::watch::Sender<bool>,
    _stop: tokio_util::sync::DropGuard,
}

impl Proxy {
    async fn to(target: &str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (cut, target) = (tokio::sync::watch::Sender::new(false), target.to_owned());
        let stop = CancellationToken::new();
        let (watching, stopped) = (cut.subscribe(), stop.clone());
        tokio::spawn(async move {
            loop {
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted,
                    () = stopped.cancelled() => return,
                };
                let (near, _) = accepted.unwrap();
                let (target, cut) = (target.clone(), watching.clone());
                tokio::spawn(async move {
                    let far = tokio::net::TcpStream::connect(target).await.ok()?;
                    let (mut near_read, mut near_write) = near.into_split();
                    let (mut far_read, mut far_write) = far.into_split();
                    tokio::select! {
                        _ = pump(&mut near_read, &mut far_write, cut.clone()) => {}
                        _ = pump(&mut far_read, &mut near_write, cut) => {}
                    }
                    Some(())
                });
            }
        });
        Self { address, cut, _stop: stop.drop_guard() }
    }

    fn cut(&self) {
        self.cut.send_replace(true);
    }

    fn heal(&self) {
        self.cut.send_replace(false);
    }
}

async fn pump(
    from: &mut (impl tokio::io::AsyncRead + Unpin),
    to: &mut (impl tokio::io::AsyncWrite + Unpin),
    mut cut: tokio::sync::watch::Receiver<bool>,
) -> Option<()> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut buffer = vec![0; 64 * 1024];
    loop {
        cut.wait_for(|cut| !cut).await.ok()?;
        let length = from.read(&mut buffer).await.ok().filter(|length| *length > 0)?;
        cut.wait_for(|cut| !cut).await.ok()?;
        to.write_all(&buffer[..length]).await.ok()?;
    }
}

struct Node {
    cluster: Arc<Cluster>,
    alerts: Arc<Bag>,
}

fn options(name: &str, peers: &[&Node]) -> Options {
    Options {
        name: name.into(),
        listen: "127.0.0.1:0".into(),
        peers: peers.iter().map(|node| node.cluster.view().address.clone()).collect(),
        // A busy machine must not look like a slow peer.
        write_timeout: LIMIT,
        silence_timeout: LIMIT,
        ..Options::default()
    }
}

async fn start(options: Options) -> Node {
    let alerts = Arc::new(Bag::new(kind::ALERT));
    let table: Arc<dyn Table> = Arc::clone(&alerts) as _;
    let tables = vec![(kind::ALERT, table)];
    let stop = CancellationToken::new();
    let cluster = Cluster::start(options, tables, Arc::new(SystemClock), stop).await.unwrap();
    Node { cluster, alerts }
}

impl Node {
    async fn until(&self, what: &str, holds: impl FnMut(&Arc<View>) -> bool) {
        let mut view = self.cluster.watch();
        let waited = tokio::time::timeout(LIMIT, view.wait_for(holds)).await;
        let seen = self.cluster.view();
        assert!(waited.is_ok(), "{} never saw {what}: {seen:#?}", self.cluster.name());
    }

    async fn live(&self, count: usize) {
        self.until(&format!("{count} live"), |view| view.live == count).await;
    }

    async fn ready(&self) {
        let mut ready = self.cluster.ready();
        let waited = tokio::time::timeout(LIMIT, ready.wait_for(crate::Ready::is_ready)).await;
        let reason = self.cluster.ready().borrow().reason().to_owned();
        assert!(waited.is_ok(), "{} never ready: {reason}", self.cluster.name());
    }

    async fn write(&self, need: Need, key: &str) -> crate::Outcome {
        self.cluster.write(need, |writer| writer.put(draft(key))).await.1
    }

    fn has(&self, key: &str) -> bool {
        self.alerts.stamp(key.as_bytes()).is_some()
    }

    async fn gets(&self, key: &str) {
        eventually(&format!("{key} on {}", self.cluster.name()), || self.has(key)).await;
    }

    fn state_of(&self, name: &str) -> Option<MemberState> {
        let view = self.cluster.view();
        view.members.iter().find(|member| member.name == name).map(|member| member.state)
    }
}

async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let waited = tokio::time::timeout(LIMIT, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "never: {what}");
}

fn draft(key: &str) -> Draft {
    Draft {
        kind: kind::ALERT,
        key: Bytes::copy_from_slice(key.as_bytes()),
        rank: 0,
        expires_at_ms: i64::MAX,
        body: Bytes::from(vec![1; 200]),
    }
}

async fn three() -> [Node; 3] {
    let a = start(options("a", &[])).await;
    let b = start(options("b", &[&a])).await;
    let c = start(options("c", &[&a])).await;
    for node in [&a, &b, &c] {
        node.live(3).await;
        node.ready().await;
    }
    let all_ready = |view: &Arc<View>| view.members.iter().all(|member| member.ready);
    for node in [&a, &b, &c] {
        node.until("all ready", all_ready).await;
    }
    [a, b, c]
}

#[tokio::test]
async fn the_own_address_is_known_at_once() {
    let a = start(options("a", &[])).await;
    let view = a.cluster.view();
    assert_eq!(view.members.len(), 1);
    assert_eq!(view.members[0].address, view.address);
    assert!(view.address.starts_with("127.0.0.1:") && !view.address.ends_with(":0"));
    a.ready().await;
}

#[tokio::test]
async fn three_nodes_find_each_other_and_a_write_reaches_all() {
    let [a, b, c] = three().await;
    let outcome = b.write(Need::Alerts, "one").await;
    assert_eq!(outcome.degraded, None);
    assert!(outcome.peers >= 1);
    a.gets("one").await;
    c.gets("one").await;
    // A silence is on all of them when the answer is there.
    let outcome = c.write(Need::Silences, "two").await;
    assert_eq!((outcome.degraded, outcome.peers), (None, 2));
    assert!(a.has("two") && b.has("two"));
    let owners = [&a, &b, &c].map(|node| node.cluster.rank(b"group").own);
    assert_eq!(owners.iter().sum::<usize>(), 3, "{owners:?}");
}

#[tokio::test]
async fn a_killed_node_is_dead_soon_and_the_ranks_move() {
    let [a, b, c] = three().await;
    let outcome = a.write(Need::Alerts, "before").await;
    assert_eq!(outcome.degraded, None);
    drop(c);
    a.until("c dead", |view| view.live == 2).await;
    b.until("c dead", |view| view.live == 2).await;
    assert_eq!(a.state_of("c"), Some(MemberState::Dead));
    assert!(a.cluster.view().split);
    let ranks = [&a, &b].map(|node| node.cluster.rank(b"group").own);
    assert_eq!(ranks.iter().sum::<usize>(), 1);
    let outcome = a.write(Need::Silences, "after").await;
    assert_eq!((outcome.degraded, outcome.peers), (None, 1));
}

#[tokio::test]
async fn who_says_goodbye_has_left() {
    let [a, b, c] = three().await;
    c.cluster.leave().await;
    drop(c);
    a.until("c left", |view| view.live == 2).await;
    assert_eq!(a.state_of("c"), Some(MemberState::Left));
    b.until("c left", |view| view.live == 2).await;
    assert!(!a.cluster.view().split);
}

#[tokio::test]
async fn an_empty_node_has_everything_before_it_is_ready() {
    let [a, b, c] = three().await;
    let keys: Vec<String> = (0..5_000).map(|n| format!("key {n}")).collect();
    let put = |writer: &mut crate::Writer<'_>| {
        keys.iter().for_each(|key| {
            writer.put(draft(key));
        });
    };
    assert_eq!(a.cluster.write(Need::Silences, put).await.1.degraded, None);
    drop(c);
    a.until("c dead", |view| view.live == 2).await;
    let c = start(options("c", &[&a, &b])).await;
    c.ready().await;
    assert!(keys.iter().all(|key| c.has(key)));
    a.live(3).await;
    assert_eq!(a.cluster.facts().digests, c.cluster.facts().digests);
}

#[tokio::test]
async fn without_an_answer_a_node_goes_alone() {
    let gone = start(options("gone", &[])).await;
    let settle_timeout = Duration::from_millis(600);
    let alone = Options { settle_timeout, ..options("a", &[&gone]) };
    drop(gone);
    let a = start(alone).await;
    assert!(!a.cluster.ready().borrow().is_ready());
    assert_eq!(a.cluster.view().known, 2);
    a.ready().await;
    let outcome = a.write(Need::Alerts, "alone").await;
    assert_eq!(outcome.degraded, None);
}

#[tokio::test]
async fn nodes_with_other_labels_or_secrets_stay_apart() {
    let a = start(options("a", &[])).await;
    let settle_timeout = Duration::from_millis(1_500);
    let b = Options { label: "green".into(), settle_timeout, ..options("b", &[&a]) };
    let b = start(b).await;
    b.ready().await;
    assert_eq!((a.cluster.view().members.len(), b.cluster.view().live), (1, 1));
}

#[tokio::test]
async fn a_second_node_of_the_same_name_gives_up() {
    let a = start(options("a", &[])).await;
    let b = start(options("b", &[&a])).await;
    a.live(2).await;
    b.live(2).await;
    let twin = start(nervous(options("b", &[&a]))).await;
    let failed = tokio::time::timeout(LIMIT, twin.cluster.failed()).await;
    assert!(failed.is_ok());
    assert_eq!(a.state_of("b"), Some(MemberState::Live));
}

/// Quick to notice that a peer is silent.
fn nervous(options: Options) -> Options {
    let probe_interval = Duration::from_millis(100);
    let gossip_interval = Duration::from_millis(50);
    Options { probe_interval, probe_timeout: probe_interval, gossip_interval, ..options }
}

/// Two nodes that reach each other only through proxies.
async fn two_behind_proxies(shape: impl Fn(Options) -> Options) -> ([Node; 2], [Proxy; 2]) {
    // The ports must be known before the proxies, the proxies before the nodes advertise them.
    let ports = [0; 2].map(|_: i32| {
        std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
    });
    let proxies = [Proxy::to(&ports[0]).await, Proxy::to(&ports[1]).await];
    let node = |name: &str, own: usize, other: usize| {
        shape(Options {
            listen: ports[own].clone(),
            advertise: proxies[own].address.clone(),
            peers: vec![proxies[other].address.clone()],
            ..options(name, &[])
        })
    };
    let (a, b) = tokio::join!(start(node("a", 0, 1)), start(node("b", 1, 0)));
    for node in [&a, &b] {
        node.live(2).await;
        node.ready().await;
    }
    ([a, b], proxies)
}

#[tokio::test]
async fn a_partition_is_noticed_and_heals() {
    let ([a, b], proxies) = two_behind_proxies(nervous).await;
    proxies.iter().for_each(Proxy::cut);
    a.until("b unreachable", |view| view.live == 1 && view.split).await;
    b.until("a unreachable", |view| view.live == 1 && view.split).await;
    assert_eq!(a.state_of("b"), Some(MemberState::Unreachable));
    // Both sides go on, each for itself.
    assert_eq!(a.write(Need::Silences, "from a").await.degraded, None);
    assert_eq!(b.write(Need::Silences, "from b").await.degraded, None);
    assert!(a.cluster.rank(b"group").is_owner() && b.cluster.rank(b"group").is_owner());
    proxies.iter().for_each(Proxy::heal);
    for node in [&a, &b] {
        node.live(2).await;
        node.gets("from a").await;
        node.gets("from b").await;
    }
    assert_eq!(a.cluster.facts().digests, b.cluster.facts().digests);
}

#[tokio::test]
async fn a_peer_that_does_not_answer_degrades_a_write() {
    let hasty = |options| Options { write_timeout: Duration::from_millis(200), ..options };
    let ([a, _b], proxies) = two_behind_proxies(hasty).await;
    a.until("b ready", |view| view.members.iter().all(|member| member.ready)).await;
    proxies.iter().for_each(Proxy::cut);
    let outcome = a.write(Need::Alerts, "lonely").await;
    assert_eq!((outcome.degraded, outcome.peers), (Some(crate::Why::Peers), 0));
    assert_eq!(a.cluster.facts().degraded_peers, 1);
}

fn request(key: &'static str) -> ClaimRequest {
    ClaimRequest {
        kind: kind::ALERT,
        key: Bytes::from(key),
        group_key: Bytes::from("group"),
        known: None,
        hold: LIMIT,
    }
}

/// The three, the owner of the group first.
fn by_rank(nodes: [Node; 3]) -> Vec<Node> {
    let mut nodes: Vec<Node> = nodes.into();
    nodes.sort_by_key(|node| node.cluster.rank(b"group").own);
    nodes
}

#[tokio::test]
async fn who_claims_second_hears_busy_then_done() {
    let nodes = by_rank(three().await);
    let Claim::Granted(grant) = nodes[1].cluster.claim(request("told")).await else {
        panic!("nobody else claims it");
    };
    grant.sending();
    // In flight: not even the owner may try.
    let Claim::Busy(busy) = nodes[0].cluster.claim(request("told")).await else {
        panic!("it is in flight");
    };
    assert_eq!(busy.by, nodes[1].cluster.name());
    nodes[1].write(Need::Log, "told").await;
    grant.release(Release::Ok);
    busy.wait(LIMIT).await;
    nodes[0].gets("told").await;
    nodes[2].gets("told").await;
    assert!(matches!(nodes[2].cluster.claim(request("told")).await, Claim::Done));
    assert_eq!(nodes[2].cluster.facts().claims_done, 1);
}

#[tokio::test]
async fn a_failed_attempt_lets_the_next_rank_go() {
    let nodes = by_rank(three().await);
    let rank = nodes[1].cluster.rank(b"group");
    assert!(!nodes[1].cluster.all_better_failed(b"told", &rank));
    let mut changed = nodes[1].cluster.claims_changed();
    let Claim::Granted(grant) = nodes[0].cluster.claim(request("told")).await else {
        panic!("nobody else claims it");
    };
    grant.sending();
    grant.release(Release::Failed);
    assert!(tokio::time::timeout(LIMIT, changed.changed()).await.is_ok());
    assert!(nodes[1].cluster.all_better_failed(b"told", &rank));
    assert!(matches!(nodes[1].cluster.claim(request("told")).await, Claim::Granted(_)));
}

#[tokio::test]
async fn a_pending_claim_gives_way_to_a_higher_score() {
    let nodes = by_rank(three().await);
    let Claim::Granted(lower) = nodes[1].cluster.claim(request("told")).await else {
        panic!("nobody else claims it");
    };
    let Claim::Granted(_higher) = nodes[0].cluster.claim(request("told")).await else {
        panic!("the other one has not begun to send");
    };
    assert!(lower.is_lost());
}

#[tokio::test]
async fn all_restart_at_once_with_what_each_had() {
    let dirs = [0; 3].map(|_: i32| tempfile::tempdir().unwrap());
    let stored = |node: usize, name: &str, peers: &[&Node]| Options {
        storage: Some(dirs[node].path().into()),
        ..options(name, peers)
    };
    let a = start(stored(0, "a", &[])).await;
    let b = start(stored(1, "b", &[&a])).await;
    let c = start(stored(2, "c", &[&a])).await;
    for node in [&a, &b, &c] {
        node.live(3).await;
        node.ready().await;
    }
    assert_eq!(c.write(Need::Silences, "kept").await.degraded, None);
    for node in [a, b, c] {
        node.cluster.leave().await;
    }
    // New ports, as if all addresses had moved: only the configured peer is right.
    let c = start(stored(2, "c", &[])).await;
    let b = start(stored(1, "b", &[&c])).await;
    let a = start(stored(0, "a", &[&c])).await;
    for node in [&a, &b, &c] {
        node.live(3).await;
        node.ready().await;
        assert!(node.has("kept"));
    }
}
