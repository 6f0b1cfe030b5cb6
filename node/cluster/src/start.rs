//! Puts the parts together: who this node is, what its disk holds, and the thread that runs everything.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tocsin_service::clock::Clock;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::claim::Claims;
use crate::cluster::ClusterError;
use crate::core::Core;
use crate::member::Members;
use crate::mesh::Net;
use crate::metrics::Counts;
use crate::mono;
use crate::options::Options;
use crate::ready::Ready;
use crate::record::{Kind, Record, key_hash};
use crate::state::{Merged, State};
use crate::store::{Identity, Lock, Log, NoStore, Source, Store, StoreError};
use crate::view::{Member, MemberState};

pub(crate) fn identify(
    dir: Option<&Path>,
    name: &str,
    now_ms: i64,
) -> Result<(Option<Lock>, Identity), StoreError> {
    let name = (!name.is_empty()).then_some(name);
    let now_ms = u64::try_from(now_ms).unwrap_or(0);
    let Some(dir) = dir else { return Ok((None, Identity::unstored(name, now_ms))) };
    let lock = Lock::take(dir)?;
    Ok((Some(lock), Identity::next(dir, name, now_ms)?))
}

pub(crate) fn open_store(
    dir: Option<&Path>,
    options: &Options,
    state: &Arc<State>,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<dyn Store>, StoreError> {
    let Some(dir) = dir else { return Ok(Arc::new(NoStore)) };
    let now_ms = clock.now().as_millisecond();
    let (live, wall) = (Arc::clone(state), Arc::clone(clock));
    let source: Source = Arc::new(move |visit| live.each_live(wall.now().as_millisecond(), visit));
    let mut expired: HashMap<(Kind, Bytes), Record> = HashMap::new();
    let mut load = |record: Record| {
        if state.merge(&record, now_ms) == Merged::Expired {
            let newest = expired.entry((record.kind, record.key.clone())).or_insert(record.clone());
            if newest.stamp < record.stamp {
                *newest = record;
            }
        }
    };
    let log = Log::open(dir, options.sync, &mut load, source)?;
    for record in expired.into_values() {
        if let Some(expires_at_ms) = state.kept_until(&record, now_ms) {
            state.merge(&Record { expires_at_ms, ..record }, now_ms);
        }
    }
    let loaded = log.loaded();
    if loaded.corrupt_files > 0 {
        warn!(
            files = loaded.corrupt_files,
            "part of the storage is damaged, what peers have is fetched again"
        );
    }
    Ok(Arc::new(log))
}

#[expect(clippy::too_many_arguments, reason = "the one place where all parts meet")]
pub(crate) fn core_of(
    options: Options,
    identity: Identity,
    state: Arc<State>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
    claims: Claims,
    net: Net,
) -> Core {
    let node = key_hash(identity.id.as_bytes());
    let network = !options.listen.is_empty();
    let me = Member {
        name: identity.id.clone(),
        node,
        address: String::new(),
        me: true,
        state: MemberState::Live,
        ready: false,
        leaving: false,
        version: options.version.clone(),
        config: None,
        disk_ok: true,
        clock_offset_ms: 0,
        behind: None,
    };
    let members = Members::new(me, network, options.unreachable_after(), options.reconnect_timeout);
    let view = watch::Sender::new(Arc::new(members.view(mono::now())));
    Core {
        options,
        identity,
        node,
        state,
        store,
        clock,
        deadlines: crate::wait::Deadlines::default(),
        members: Mutex::new(members),
        links: Mutex::new(HashMap::new()),
        view,
        ready: watch::Sender::new(Ready::No("starting".into())),
        caught_up: watch::Sender::new(true),
        ticks: watch::Sender::new(0),
        slept_from_ms: AtomicI64::new(0),
        status_changed: watch::Sender::new(0),
        claims: Arc::new(claims),
        counts: Counts::default(),
        net,
        stop,
    }
}

impl Core {
    /// Starts the thread on which everything of the cluster runs.
    pub(crate) async fn start_thread(self: &Arc<Self>) -> Result<(), ClusterError> {
        let (started, start) = oneshot::channel();
        let core = Arc::clone(self);
        std::thread::Builder::new()
            .name("tocsin-mesh".into())
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                match runtime {
                    Ok(runtime) => runtime.block_on(crate::ready::run(&core, started)),
                    Err(error) => {
                        // Nobody waits any more only when the caller was dropped.
                        let _ = started.send(Err(ClusterError::Thread(error)));
                    }
                }
            })
            .map_err(ClusterError::Thread)?;
        let ended = || ClusterError::Thread(std::io::Error::other("it ended at once"));
        start.await.map_err(|_| ended())?
    }
}
