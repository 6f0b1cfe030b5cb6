//! Digest sync: two nodes find what differs and exchange just that. A conversation of messages; knows no connection.

use std::collections::HashMap;

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::mesh::message::{
    KeyStamp, Message, Records, Root, SyncBuckets, SyncDone, SyncKeys, SyncRoots, Want,
};
use crate::record::{self, Kind, Record, Stamp, kind};
use crate::state::{BUCKETS, State};

/// Bytes of keys in one message; a bucket is never split.
const KEYS_BYTES: usize = 1024 * 1024;
/// Keys asked for in one message.
const WANT_PER_MESSAGE: usize = 500;
/// Records read from the tables at a time.
const RECORDS_PER_STEP: usize = 512;

/// What a sync works on.
pub(crate) trait Replica: Send + Sync {
    fn state(&self) -> &State;
    fn now_ms(&self) -> i64;
    /// Merges and stores; answers how many won.
    fn receive(&self, records: Vec<Record>) -> usize;
}

/// Why a sync did not end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    /// The connection is gone.
    #[error("connection closed during a digest sync")]
    Closed,
    /// The other side sent what does not belong here.
    #[error("unexpected message during a digest sync")]
    Unexpected,
}

/// What one round brought to the side that began it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Round {
    /// Records that won here.
    pub(crate) repaired: usize,
    /// Records that the other side asked for.
    pub(crate) given: usize,
}

/// Alerts and silences come before the log, which is read against them.
fn order(kind: Kind) -> (bool, Kind) {
    (kind != kind::ALERT && kind != kind::SILENCE, kind)
}

fn roots(replica: &dyn Replica) -> HashMap<Kind, u64> {
    replica.state().expire(replica.now_ms());
    replica.state().roots().into_iter().collect()
}

/// One round, as the side that begins it. At its end this side has everything that the other had when it began, and the other way round.
/// # Errors
/// [`Broken`]; what was merged until then stays.
pub(crate) async fn begin(
    replica: &dyn Replica,
    tx: &mpsc::Sender<Message>,
    rx: &mut mpsc::Receiver<Message>,
) -> Result<Round, Broken> {
    let mut mine: Vec<Root> =
        roots(replica).into_iter().map(|(kind, root)| Root { kind, root }).collect();
    mine.sort_by_key(|root| order(root.kind));
    send(tx, Message::SyncRoots(SyncRoots { roots: mine })).await?;
    let mut theirs = Vec::new();
    loop {
        match rx.recv().await.ok_or(Broken::Closed)? {
            Message::SyncBuckets(buckets) => theirs.push(buckets),
            Message::SyncDone(_) => break,
            _ => return Err(Broken::Unexpected),
        }
    }
    theirs.sort_by_key(|buckets| order(buckets.kind));
    let mut round = Round::default();
    for buckets in theirs {
        begin_kind(replica, &buckets, &mut round, tx, rx).await?;
    }
    send(tx, Message::SyncDone(SyncDone { round: true })).await?;
    Ok(round)
}

async fn begin_kind(
    replica: &dyn Replica,
    theirs: &SyncBuckets,
    round: &mut Round,
    tx: &mpsc::Sender<Message>,
    rx: &mut mpsc::Receiver<Message>,
) -> Result<(), Broken> {
    let kind = theirs.kind;
    let mine = replica.state().buckets(kind);
    let theirs_at = |bucket: usize| theirs.digests.get(bucket).copied().unwrap_or(0);
    let differs: Vec<bool> =
        mine.iter().enumerate().map(|(bucket, digest)| *digest != theirs_at(bucket)).collect();
    for question in questions(kind, &differs, replica.state().keys(kind, &differs)) {
        send(tx, Message::SyncKeys(question)).await?;
        let mut wanted = Vec::new();
        loop {
            match rx.recv().await.ok_or(Broken::Closed)? {
                Message::Records(records) => round.repaired += receive(replica, records),
                Message::Want(want) => wanted.extend(want.keys),
                Message::SyncDone(_) => break,
                _ => return Err(Broken::Unexpected),
            }
        }
        round.given += wanted.len();
        give(replica, kind, &wanted, tx).await?;
    }
    Ok(())
}

/// Splits the unequal buckets so that no message holds too many keys.
fn questions(kind: Kind, differs: &[bool], mut keys: Vec<(usize, Bytes, Stamp)>) -> Vec<SyncKeys> {
    keys.sort_unstable_by_key(|(bucket, _, _)| *bucket);
    let mut keys = keys.into_iter().peekable();
    let mut all = Vec::new();
    let mut next = SyncKeys { kind, ..SyncKeys::default() };
    let mut size = 0;
    for bucket in (0..differs.len()).filter(|bucket| differs[*bucket]) {
        next.buckets.extend(u32::try_from(bucket));
        while let Some((_, key, stamp)) = keys.next_if(|(of, _, _)| *of <= bucket) {
            size += key.len() + 32;
            next.keys.push(KeyStamp::new(key, stamp));
        }
        if KEYS_BYTES <= size {
            size = 0;
            all.push(std::mem::replace(&mut next, SyncKeys { kind, ..SyncKeys::default() }));
        }
    }
    if !next.buckets.is_empty() {
        all.push(next);
    }
    all
}

/// Answers one message of a round that the other side began; true when the round is over.
/// # Errors
/// [`Broken`].
pub(crate) async fn answer(
    replica: &dyn Replica,
    message: Message,
    tx: &mpsc::Sender<Message>,
) -> Result<bool, Broken> {
    match message {
        Message::SyncRoots(theirs) => answer_roots(replica, theirs, tx).await?,
        Message::SyncKeys(theirs) => answer_keys(replica, theirs, tx).await?,
        Message::Records(records) => {
            receive(replica, records);
        }
        Message::SyncDone(done) => return Ok(done.round),
        _ => return Err(Broken::Unexpected),
    }
    Ok(false)
}

async fn answer_roots(
    replica: &dyn Replica,
    theirs: SyncRoots,
    tx: &mpsc::Sender<Message>,
) -> Result<(), Broken> {
    let mine = roots(replica);
    let theirs: HashMap<Kind, u64> =
        theirs.roots.into_iter().map(|root| (root.kind, root.root)).collect();
    let mut kinds: Vec<Kind> = mine.keys().chain(theirs.keys()).copied().collect();
    kinds.sort_unstable();
    kinds.dedup();
    for kind in kinds {
        let (mine, theirs) = (mine.get(&kind).copied(), theirs.get(&kind).copied());
        if mine.unwrap_or(0) != theirs.unwrap_or(0) {
            let digests = replica.state().buckets(kind);
            send(tx, Message::SyncBuckets(SyncBuckets { kind, digests })).await?;
        }
    }
    send(tx, Message::SyncDone(SyncDone { round: false })).await
}

async fn answer_keys(
    replica: &dyn Replica,
    theirs: SyncKeys,
    tx: &mpsc::Sender<Message>,
) -> Result<(), Broken> {
    let kind = theirs.kind;
    let mut asked = vec![false; BUCKETS];
    for bucket in &theirs.buckets {
        if let Some(asked) = usize::try_from(*bucket).ok().and_then(|at| asked.get_mut(at)) {
            *asked = true;
        }
    }
    let keys = replica.state().keys(kind, &asked);
    let mut mine: HashMap<Bytes, Stamp> =
        keys.into_iter().map(|(_, key, stamp)| (key, stamp)).collect();
    let mut want = Vec::new();
    for theirs in theirs.keys {
        match mine.get(&theirs.key) {
            Some(stamp) if *stamp == theirs.stamp() => {
                mine.remove(&theirs.key);
            }
            Some(stamp) if theirs.stamp() < *stamp => {}
            _ => {
                mine.remove(&theirs.key);
                want.push(theirs.key);
            }
        }
    }
    let give_keys: Vec<Bytes> = mine.into_keys().collect();
    give(replica, kind, &give_keys, tx).await?;
    for keys in want.chunks(WANT_PER_MESSAGE) {
        send(tx, Message::Want(Want { kind, keys: keys.to_vec() })).await?;
    }
    send(tx, Message::SyncDone(SyncDone { round: false })).await
}

async fn give(
    replica: &dyn Replica,
    kind: Kind,
    keys: &[Bytes],
    tx: &mpsc::Sender<Message>,
) -> Result<(), Broken> {
    for keys in keys.chunks(RECORDS_PER_STEP) {
        let records: Vec<Record> =
            keys.iter().filter_map(|key| replica.state().read(kind, key)).collect();
        for batch in record::encode(&records) {
            send(tx, Message::Records(Records { batch })).await?;
        }
    }
    Ok(())
}

fn receive(replica: &dyn Replica, records: Records) -> usize {
    // A batch that cannot be read brings nothing; the next round finds the difference again.
    record::decode(records.batch).map_or(0, |(records, _)| replica.receive(records))
}

async fn send(tx: &mpsc::Sender<Message>, message: Message) -> Result<(), Broken> {
    tx.send(message).await.map_err(|_| Broken::Closed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Draft;
    use crate::record::tests::record;
    use proptest::prelude::*;

    struct Node {
        state: State,
        now_ms: i64,
    }

    impl Node {
        fn new(node: u64) -> Self {
            Self { state: State::new(node, Vec::new()), now_ms: 10 }
        }
    }

    impl Replica for Node {
        fn state(&self) -> &State {
            &self.state
        }
        fn now_ms(&self) -> i64 {
            self.now_ms
        }
        fn receive(&self, records: Vec<Record>) -> usize {
            self.state.merge_all(records, self.now_ms).len()
        }
    }

    /// One round, and how many messages it took.
    fn sync(a: &Node, b: &Node) -> (Round, usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (to_b, mut at_b) = mpsc::channel(4);
            let (to_a, mut at_a) = mpsc::channel(4);
            let responder = async {
                let mut messages = 0;
                while let Some(message) = at_b.recv().await {
                    messages += 1;
                    if answer(b, message, &to_a).await.unwrap() {
                        break;
                    }
                }
                messages
            };
            let (round, messages) = tokio::join!(begin(a, &to_b, &mut at_a), responder);
            (round.unwrap(), messages)
        })
    }

    fn fill(node: &Node, kind: Kind, keys: std::ops::Range<u32>) {
        node.state.write(node.now_ms, |writer| {
            for key in keys {
                let key = Bytes::from(key.to_be_bytes().to_vec());
                let body = Bytes::from(vec![7; 100]);
                writer.put(Draft { kind, key, rank: 0, expires_at_ms: 1_000, body });
            }
        });
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn sync_repairs_whatever_was_lost(records in proptest::collection::vec(record(), 1..60), heard in proptest::collection::vec(0u8..8, 60)) {
            let nodes = [Node::new(1), Node::new(2), Node::new(3)];
            for (record, heard) in records.iter().zip(&heard) {
                for (bit, node) in nodes.iter().enumerate() {
                    if heard & (1 << bit) != 0 {
                        node.receive(vec![record.clone(), record.clone()]);
                    }
                }
            }
            sync(&nodes[0], &nodes[1]);
            sync(&nodes[1], &nodes[2]);
            sync(&nodes[2], &nodes[0]);
            let wanted = nodes[0].state.roots();
            for node in &nodes[1..] {
                for (kind, root) in node.state.roots() {
                    let of = wanted.iter().find(|(of, _)| *of == kind).map_or(0, |(_, root)| *root);
                    prop_assert_eq!(of, root);
                }
            }
        }
    }

    #[test]
    fn an_empty_node_gets_everything() {
        let (a, b) = (Node::new(1), Node::new(2));
        fill(&b, 1, 0..30_000);
        fill(&b, 3, 0..5);
        let (round, _) = sync(&a, &b);
        assert_eq!(round, Round { repaired: 30_005, given: 0 });
        assert_eq!(a.state.roots(), b.state.roots());
        fill(&a, 2, 0..25_000);
        let (round, _) = sync(&a, &b);
        assert_eq!(round, Round { repaired: 0, given: 25_000 });
        assert_eq!(a.state.roots(), b.state.roots());
    }

    #[test]
    fn equal_nodes_exchange_two_messages() {
        let (a, b) = (Node::new(1), Node::new(2));
        fill(&a, 1, 0..1_000);
        sync(&a, &b);
        let (round, messages) = sync(&a, &b);
        assert_eq!((round, messages), (Round::default(), 2));
    }

    #[test]
    fn the_newer_record_goes_both_ways() {
        let (a, b) = (Node::new(1), Node::new(2));
        fill(&a, 1, 0..10);
        sync(&a, &b);
        fill(&a, 1, 0..3);
        fill(&b, 1, 7..10);
        let (round, _) = sync(&a, &b);
        assert_eq!(round, Round { repaired: 3, given: 3 });
        assert_eq!(a.state.roots(), b.state.roots());
    }

    #[test]
    fn what_expired_on_one_side_is_no_divergence() {
        let (a, mut b) = (Node::new(1), Node::new(2));
        fill(&a, 1, 0..10);
        b.now_ms = 2_000;
        sync(&a, &b);
        assert!(b.state.roots().iter().all(|(_, root)| *root == 0));
    }
}
