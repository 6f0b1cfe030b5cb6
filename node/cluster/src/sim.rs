//! Whole clusters on one thread, with simulated time and network: seeded faults, then what must hold.
//! `TOCSIN_SEEDS=1000 cargo test -p tocsin-cluster sim::` runs more seeds, `TOCSIN_SEED=7` one.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tocsin_service::clock::Clock;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::core::lock;
use crate::mesh::net::{Io, Listener, Network};
use crate::record::kind;
use crate::store::{Notice, Store};
use crate::{
    Bag, Claim, ClaimRequest, Cluster, Draft, Need, Options, Record, Release, StoreFacts, Table,
};

const PORT: u16 = 9094;

/// Random numbers that a seed repeats.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % n
    }

    fn pick(&mut self, n: usize) -> usize {
        usize::try_from(self.below(n as u64)).unwrap()
    }
}

/// Wall time of one node: the paused clock, and how wrong it is.
struct SimClock {
    begun: Instant,
    skew_ms: i64,
}

impl Clock for SimClock {
    fn now(&self) -> jiff::Timestamp {
        let elapsed = i64::try_from(self.begun.elapsed().as_millis()).unwrap();
        jiff::Timestamp::from_millisecond(1_800_000_000_000 + elapsed + self.skew_ms).unwrap()
    }
}

/// All cables. A cut one loses nothing and says nothing: bytes wait, as TCP's do.
#[derive(Default)]
struct Hub {
    listeners: Mutex<HashMap<SocketAddr, mpsc::Sender<(Io, SocketAddr)>>>,
    cuts: Mutex<HashMap<(IpAddr, IpAddr), watch::Sender<bool>>>,
}

impl Hub {
    fn cut(&self, from: IpAddr, to: IpAddr, cut: bool) {
        let mut cuts = lock(&self.cuts);
        cuts.entry((from, to)).or_insert_with(|| watch::Sender::new(false)).send_replace(cut);
    }

    fn heal(&self) {
        lock(&self.cuts).values().for_each(|cut| {
            cut.send_replace(false);
        });
    }

    fn direction(&self, from: IpAddr, to: IpAddr) -> watch::Receiver<bool> {
        let mut cuts = lock(&self.cuts);
        cuts.entry((from, to)).or_insert_with(|| watch::Sender::new(false)).subscribe()
    }
}

async fn open(direction: &mut watch::Receiver<bool>) {
    // The hub outlives every cable.
    let _ = direction.wait_for(|cut| !cut).await;
    sleep(Duration::from_millis(1)).await;
    let _ = direction.wait_for(|cut| !cut).await;
}

async fn carry(
    mut from: tokio::io::ReadHalf<DuplexStream>,
    mut to: tokio::io::WriteHalf<DuplexStream>,
    mut direction: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).await.unwrap_or(0);
        open(&mut direction).await;
        if read == 0 {
            let _ = to.shutdown().await;
            return;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

/// One node's socket.
struct Plug {
    hub: Arc<Hub>,
    ip: IpAddr,
}

struct Socket {
    hub: Arc<Hub>,
    address: SocketAddr,
    incoming: mpsc::Receiver<(Io, SocketAddr)>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        lock(&self.hub.listeners).remove(&self.address);
    }
}

#[async_trait]
impl Network for Plug {
    async fn dial(&self, address: SocketAddr) -> io::Result<Io> {
        let mut there = self.hub.direction(self.ip, address.ip());
        let mut back = self.hub.direction(address.ip(), self.ip);
        open(&mut there).await;
        open(&mut back).await;
        let listener = lock(&self.hub.listeners).get(&address).cloned();
        let listener = listener.ok_or(io::ErrorKind::ConnectionRefused)?;
        let (near, near_cable) = tokio::io::duplex(64 * 1024);
        let (far, far_cable) = tokio::io::duplex(64 * 1024);
        let (near_read, near_write) = tokio::io::split(near_cable);
        let (far_read, far_write) = tokio::io::split(far_cable);
        tokio::spawn(carry(near_read, far_write, there));
        tokio::spawn(carry(far_read, near_write, back));
        let from = SocketAddr::new(self.ip, 40_000);
        let far: Io = Box::new(far);
        listener.send((far, from)).await.map_err(|_| io::ErrorKind::ConnectionRefused)?;
        Ok(Box::new(near))
    }

    async fn listen(&self, _host: &str, port: u16) -> io::Result<Box<dyn Listener>> {
        let address = SocketAddr::new(self.ip, port);
        let (tx, incoming) = mpsc::channel(16);
        lock(&self.hub.listeners).insert(address, tx);
        Ok(Box::new(Socket { hub: Arc::clone(&self.hub), address, incoming }))
    }

    fn is_open(&self) -> bool {
        false
    }
}

#[async_trait]
impl Listener for Socket {
    fn address(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }

    async fn accept(&mut self) -> io::Result<(Io, SocketAddr)> {
        self.incoming.recv().await.ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

/// What a node's disk has, and keeps when its node dies. Writes are safe some milliseconds after they were asked for; what is not safe then is gone.
struct Disk {
    records: Arc<Mutex<Vec<Record>>>,
    sync: Duration,
    stop: CancellationToken,
}

impl Store for Disk {
    fn append(&self, batches: &[Bytes], notice: Option<Notice>) {
        let (records, batches) = (Arc::clone(&self.records), batches.to_vec());
        let (stop, sync) = (self.stop.clone(), self.sync);
        tokio::spawn(async move {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = sleep(sync) => {}
            }
            for batch in batches {
                lock(&records).extend(crate::record::decode(batch).unwrap().0);
            }
            if let Some(notice) = notice {
                (notice.call)(true);
            }
        });
    }

    fn facts(&self) -> StoreFacts {
        StoreFacts { healthy: true, durable: true, ..StoreFacts::default() }
    }

    fn close(&self) {}
}

struct Node {
    cluster: Arc<Cluster>,
    tables: BTreeMap<crate::Kind, Arc<Bag>>,
    _stop: DropGuard,
}

impl Node {
    fn has(&self, key: &str) -> bool {
        self.tables[&kind::ALERT].stamp(key.as_bytes()).is_some()
    }
}

/// A cluster, and what it acknowledged.
struct Sim {
    seed: u64,
    random: Random,
    begun: Instant,
    hub: Arc<Hub>,
    skews: Vec<i64>,
    nodes: Vec<Option<Node>>,
    disks: Vec<Arc<Mutex<Vec<Record>>>>,
    acked: BTreeSet<String>,
    on_one_disk: BTreeSet<String>,
    written: u32,
    did: Vec<String>,
}

fn ip(node: usize) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, u8::try_from(node + 1).unwrap()).into()
}

impl Sim {
    /// `count` nodes, started within a few seconds of each other.
    async fn new(seed: u64, count: usize) -> Self {
        crate::mono::simulate();
        let mut random = Random(seed);
        let skews = (0..count).map(|_| i64::try_from(random.below(4_000)).unwrap() - 2_000);
        let mut sim = Self {
            seed,
            skews: skews.collect(),
            random,
            begun: Instant::now(),
            hub: Arc::default(),
            nodes: (0..count).map(|_| None).collect(),
            disks: (0..count).map(|_| Arc::default()).collect(),
            acked: BTreeSet::new(),
            on_one_disk: BTreeSet::new(),
            written: 0,
            did: Vec::new(),
        };
        for node in 0..count {
            sim.start(node).await;
            let pause = sim.random.below(1_500);
            sleep(Duration::from_millis(pause)).await;
        }
        sim
    }

    async fn start(&mut self, node: usize) {
        let count = self.nodes.len();
        let options = Options {
            name: format!("node-{node}"),
            listen: SocketAddr::new(ip(node), PORT).to_string(),
            peers: (0..count).map(|peer| SocketAddr::new(ip(peer), PORT).to_string()).collect(),
            ..Options::default()
        };
        let tables: BTreeMap<_, _> =
            [kind::ALERT, kind::LOG].map(|kind| (kind, Arc::new(Bag::new(kind)))).into();
        let given = tables.iter().map(|(kind, bag)| (*kind, Arc::clone(bag) as Arc<dyn Table>));
        let clock = SimClock { begun: self.begun, skew_ms: self.skews[node] };
        let plug = Plug { hub: Arc::clone(&self.hub), ip: ip(node) };
        let (stop, given) = (CancellationToken::new(), given.collect());
        let records = Arc::clone(&self.disks[node]);
        let sync = Duration::from_millis(1 + self.random.below(8));
        let loaded = lock(&records).clone();
        let disk = Arc::new(Disk { records, sync, stop: stop.clone() });
        let (clock, plug) = (Arc::new(clock), Arc::new(plug));
        let cluster = Cluster::simulate(options, given, clock, &stop, plug, (loaded, disk));
        let cluster = cluster.await.unwrap();
        self.nodes[node] = Some(Node { cluster, tables, _stop: stop.drop_guard() });
    }

    /// Ends the node at once; with its disk, unless only the power went.
    fn kill(&mut self, node: usize, disk: bool) {
        self.nodes[node] = None;
        if disk {
            self.disks[node] = Arc::default();
        }
        self.log(format!("kill {node}, disk lost: {disk}"));
    }

    fn up(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|node| self.nodes[*node].is_some()).collect()
    }

    fn node(&self, node: usize) -> &Node {
        self.nodes[node].as_ref().unwrap()
    }

    fn log(&mut self, what: String) {
        let at = self.begun.elapsed().as_millis();
        self.did.push(format!("{at} ms: {what}"));
    }

    #[track_caller]
    fn fail(&self, what: &str) -> ! {
        let story = self.did.join("\n");
        panic!(
            "seed {}: {what}\nTOCSIN_SEED={} cargo test -p tocsin-cluster sim::\n{story}",
            self.seed, self.seed
        )
    }

    async fn write(&mut self, node: usize) {
        self.written += 1;
        let key = format!("key {}", self.written);
        let draft = Draft {
            kind: kind::ALERT,
            key: Bytes::from(key.clone()),
            rank: 0,
            expires_at_ms: i64::MAX,
            body: Bytes::from_static(b"body"),
        };
        let cluster = Arc::clone(&self.node(node).cluster);
        let outcome = cluster.write(Need::Alerts, |writer| writer.put(draft)).await.1;
        self.log(format!("{key} on {node}: {outcome:?}"));
        if outcome.degraded.is_none() {
            // Alone, a node promises no more than its disk.
            let safe = if outcome.peers > 0 { &mut self.acked } else { &mut self.on_one_disk };
            safe.insert(key);
        }
    }

    /// Everybody up sees everybody up, is ready, and holds the same.
    fn is_whole(&self) -> bool {
        let up = self.up();
        let first = self.node(up[0]).cluster.facts().digests;
        up.iter().all(|node| {
            let cluster = &self.node(*node).cluster;
            let view = cluster.view();
            let ready = view.members.iter().filter(|member| member.ready).count();
            cluster.ready().borrow().is_ready()
                && *cluster.caught_up().borrow()
                && view.live == up.len()
                && up.len() <= ready
                && cluster.facts().digests == first
        })
    }

    /// Heals everything and starts who is down; answers how long it took until the cluster was whole.
    async fn recover(&mut self) -> Duration {
        self.hub.heal();
        for node in 0..self.nodes.len() {
            if self.nodes[node].is_none() {
                self.start(node).await;
            }
        }
        self.log("heal all".into());
        let healed = Instant::now();
        while !self.is_whole() {
            if Duration::from_secs(60) < healed.elapsed() {
                self.fail(&format!("not whole a minute after the last fault:\n{}", self.show()));
            }
            sleep(Duration::from_millis(50)).await;
        }
        healed.elapsed()
    }

    fn show(&self) -> String {
        let line = |node: usize| {
            let cluster = &self.node(node).cluster;
            let view = cluster.view();
            let members = view
                .members
                .iter()
                .map(|member| format!("{} {:?} ready={}", member.name, member.state, member.ready));
            let members: Vec<_> = members.collect();
            format!(
                "{node}: {:?} caught up={} {:x?} {members:?}\n  {}",
                *cluster.ready().borrow(),
                *cluster.caught_up().borrow(),
                cluster.facts().digests,
                cluster.lines(),
            )
        };
        self.up().into_iter().map(line).collect::<Vec<_>>().join("\n")
    }

    fn check_acked(&self) {
        for node in self.up() {
            if let Some(lost) = self.acked.iter().find(|key| !self.node(node).has(key)) {
                self.fail(&format!("{lost} was acknowledged and is not on {node}"));
            }
        }
    }

    async fn fault(&mut self) {
        let count = self.nodes.len();
        let (a, b) = (self.random.pick(count), self.random.pick(count));
        match self.random.below(12) {
            0 | 1 => {
                self.hub.cut(ip(a), ip(b), true);
                self.hub.cut(ip(b), ip(a), true);
                self.log(format!("cut {a} and {b}"));
            }
            2 => {
                self.hub.cut(ip(a), ip(b), true);
                self.log(format!("cut {a} to {b}"));
            }
            3 => {
                for other in 0..count {
                    self.hub.cut(ip(a), ip(other), true);
                    self.hub.cut(ip(other), ip(a), true);
                }
                self.log(format!("isolate {a}"));
            }
            4 => {
                self.hub.heal();
                self.log("heal".into());
            }
            // Only out of a whole cluster: what two hold may be lost when both lose their disks at once.
            5 if self.up().len() > 1 && self.is_whole() => {
                let node = self.up()[self.random.pick(self.up().len())];
                self.write(node).await;
                self.kill(node, true);
                sleep(Duration::from_millis(self.random.below(3_000))).await;
            }
            7 if self.up().len() > 1 => {
                let node = self.up()[self.random.pick(self.up().len())];
                self.kill(node, false);
            }
            6 => {
                for node in 0..count {
                    if self.nodes[node].is_none() {
                        self.start(node).await;
                        self.log(format!("start {node}"));
                    }
                }
            }
            _ => {
                let up = self.up();
                let node = up[self.random.pick(up.len())];
                self.write(node).await;
            }
        }
        sleep(Duration::from_millis(self.random.below(2_500))).await;
    }
}

/// One node's notifier, as far as claims go; counts what it sends.
async fn notify(node: usize, cluster: Arc<Cluster>, sent: Arc<Mutex<Vec<(usize, Duration)>>>) {
    let key = Bytes::from_static(b"group:receiver");
    loop {
        if cluster.read(kind::LOG, &key).is_some() {
            return;
        }
        let request = ClaimRequest {
            kind: kind::LOG,
            key: key.clone(),
            group_key: Bytes::from_static(b"group"),
            known: None,
            hold: Duration::from_secs(30),
        };
        match cluster.claim(request).await {
            Claim::Granted(grant) if !grant.is_lost() => {
                grant.sending();
                lock(&sent).push((node, crate::mono::now()));
                sleep(Duration::from_millis(300)).await;
                let (rank, expires_at_ms, body) = (0, i64::MAX, Bytes::new());
                let draft = Draft { kind: kind::LOG, key: key.clone(), rank, expires_at_ms, body };
                cluster.write(Need::Log, |writer| writer.put(draft)).await;
                grant.release(Release::Ok);
                return;
            }
            Claim::Busy(busy) => busy.wait(Duration::from_millis(200)).await,
            Claim::Granted(_) | Claim::Done => {}
        }
    }
}

fn seeds(default: u64) -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match number("TOCSIN_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("TOCSIN_SEEDS").unwrap_or(default),
    }
}

/// Each seed on a runtime of its own, so that no task of one lives in the next.
fn each_seed<F: Future<Output = ()>>(default: u64, run: impl Fn(u64) -> F) {
    for seed in seeds(default) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_time().start_paused(true);
        runtime.build().unwrap().block_on(run(seed));
    }
}

#[test]
fn what_was_acknowledged_survives_faults_and_all_agree_in_the_end() {
    each_seed(20, |seed| async move {
        let mut sim = Sim::new(seed, 3 + usize::try_from(seed % 3).unwrap()).await;
        sim.recover().await;
        for _ in 0..25 {
            sim.fault().await;
        }
        sim.recover().await;
        sim.check_acked();
    });
}

#[test]
fn a_healed_cluster_is_whole_within_seconds() {
    each_seed(10, |seed| async move {
        let mut sim = Sim::new(seed, 3).await;
        sim.recover().await;
        for other in [1, 2] {
            sim.hub.cut(ip(0), ip(other), true);
            sim.hub.cut(ip(other), ip(0), true);
        }
        sleep(Duration::from_secs(20 + sim.random.below(40))).await;
        let views = [0, 1, 2].map(|node| sim.node(node).cluster.view().live);
        assert_eq!(views, [1, 2, 2], "seed {seed}");
        for node in 0..3 {
            sim.write(node).await;
        }
        let took = sim.recover().await;
        assert!(took < Duration::from_secs(6), "seed {seed}: {took:?}");
    });
}

#[test]
fn all_start_at_once_and_are_ready_soon() {
    each_seed(10, |seed| async move {
        let mut sim = Sim::new(seed, 3).await;
        let took = sim.recover().await;
        assert!(took < Duration::from_secs(4), "seed {seed}: {took:?}");
        let owners: usize = (0..3).map(|node| sim.node(node).cluster.rank(b"group").own).sum();
        assert_eq!(owners, 3);
    });
}

#[test]
fn of_all_that_claim_at_once_one_sends() {
    each_seed(20, |seed| async move {
        let mut sim = Sim::new(seed, 3 + usize::try_from(seed % 3).unwrap()).await;
        sim.recover().await;
        let sent = Arc::new(Mutex::new(Vec::new()));
        let notifiers: Vec<_> = (0..sim.nodes.len())
            .map(|node| {
                let (cluster, sent) = (Arc::clone(&sim.node(node).cluster), Arc::clone(&sent));
                let pause = Duration::from_millis(sim.random.below(6));
                tokio::spawn(async move {
                    sleep(pause).await;
                    notify(node, cluster, sent).await;
                })
            })
            .collect();
        for notifier in notifiers {
            timeout(Duration::from_secs(60), notifier).await.unwrap().unwrap();
        }
        let sent = lock(&sent);
        assert_eq!(sent.len(), 1, "seed {seed}: {sent:?}");
    });
}

#[test]
fn a_sender_that_dies_is_followed_by_one_other() {
    each_seed(10, |seed| async move {
        let mut sim = Sim::new(seed, 3).await;
        sim.recover().await;
        let sent = Arc::new(Mutex::new(Vec::new()));
        let notifiers: Vec<_> = (0..3)
            .map(|node| {
                let cluster = Arc::clone(&sim.node(node).cluster);
                tokio::spawn(notify(node, cluster, Arc::clone(&sent)))
            })
            .collect();
        while lock(&sent).is_empty() {
            sleep(Duration::from_millis(1)).await;
        }
        sleep(Duration::from_millis(sim.random.below(290))).await;
        let (first, at) = lock(&sent)[0];
        // Its notifier and its node end together.
        notifiers[first].abort();
        sim.kill(first, false);
        for (node, notifier) in notifiers.into_iter().enumerate() {
            let ended = timeout(Duration::from_secs(60), notifier).await.unwrap();
            assert!(node == first || ended.is_ok());
        }
        let sent = lock(&sent);
        assert_eq!(sent.len(), 2, "seed {seed}: {sent:?}");
        let after = sent[1].1 - at;
        assert!(after < Duration::from_secs(2), "seed {seed}: {after:?}");
    });
}

#[test]
fn who_comes_back_catches_up_before_it_acts() {
    each_seed(10, |seed| async move {
        let mut sim = Sim::new(seed, 3).await;
        sim.recover().await;
        for other in [1, 2] {
            sim.hub.cut(ip(0), ip(other), true);
            sim.hub.cut(ip(other), ip(0), true);
        }
        sleep(Duration::from_secs(10)).await;
        sim.write(1).await;
        sim.hub.heal();
        let key = format!("key {}", sim.written);
        let mut whole = false;
        while !whole {
            let node = sim.node(0);
            let (live, caught_up) = (node.cluster.view().live, *node.cluster.caught_up().borrow());
            assert!(live == 1 || !caught_up || node.has(&key), "seed {seed}: acts on an old view");
            whole = live == 3 && caught_up;
            sleep(Duration::from_millis(1)).await;
        }
    });
}

#[test]
fn what_was_acknowledged_survives_power_loss_of_all() {
    each_seed(20, |seed| async move {
        let mut sim = Sim::new(seed, 3).await;
        sim.recover().await;
        for _ in 0..3 {
            for _ in 0..sim.random.below(6) {
                let fault = sim.random.below(4);
                if fault == 0 {
                    let (a, b) = (sim.random.pick(3), sim.random.pick(3));
                    sim.hub.cut(ip(a), ip(b), true);
                    sim.log(format!("cut {a} to {b}"));
                }
                let node = sim.random.pick(3);
                sim.write(node).await;
                sleep(Duration::from_millis(sim.random.below(1_000))).await;
            }
            let node = sim.random.pick(3);
            sim.write(node).await;
            (0..3).for_each(|node| sim.kill(node, false));
            sleep(Duration::from_millis(sim.random.below(5_000))).await;
            sim.recover().await;
            let on_one_disk = std::mem::take(&mut sim.on_one_disk);
            sim.acked.extend(on_one_disk);
            sim.check_acked();
        }
        assert!(!sim.acked.is_empty());
    });
}
