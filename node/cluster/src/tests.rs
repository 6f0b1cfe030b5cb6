//! Clusters of real nodes on loopback, in one process.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tocsin_service::clock::SystemClock;
use tokio_util::sync::CancellationToken;

use crate::record::kind;
use crate::{Bag, Cluster, Draft, MemberState, Need, Options, Table, View};

/// Everything here must have happened by then, also on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

struct Node {
    cluster: Arc<Cluster>,
    alerts: Arc<Bag>,
}

fn options(name: &str, peers: &[&Node]) -> Options {
    Options {
        name: name.into(),
        listen: "127.0.0.1:0".into(),
        peers: peers.iter().map(|node| node.cluster.view().address.clone()).collect(),
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
    let quick = Duration::from_millis(50);
    let probes = Options { probe_interval: quick, probe_timeout: quick, ..options("b", &[&a]) };
    let twin = start(probes).await;
    let failed = tokio::time::timeout(LIMIT, twin.cluster.failed()).await;
    assert!(failed.is_ok());
    assert_eq!(a.state_of("b"), Some(MemberState::Live));
}
