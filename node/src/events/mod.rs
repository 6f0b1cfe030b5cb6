//! The event recorder: what happened to alerts and silences, written where `event_recorder` of the configuration says.
//!
//! Who records never waits: an event goes into a bounded queue, and a thread of its own makes its JSON and writes it. What
//! does not fit is dropped and counted.

mod output;
mod shape;
mod webhook;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tocsin_cluster::Cluster;
use tocsin_service::clock::Clock;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{error, info};

pub(crate) use shape::{
    Alert, EventData, GroupInfo, GroupedAlert, InhibitRule, Integration, Moment, MutedAlert,
    Notification, Number, Seconds, matchers, reason,
};

use crate::config::EventRecorder;
use crate::notify::Parts;
use output::Outputs;
use shape::Event;

/// How many events may wait to be written; further ones are dropped.
const QUEUE: usize = 8192;
/// How long the outputs may take to write what they have when the node stops.
const CLOSE_MAX: Duration = Duration::from_secs(10);

/// A handle for those who record; does nothing unless the feature is on.
pub(crate) struct Recorder(Option<Active>);

struct Active {
    events: mpsc::Sender<Event>,
    wanted: watch::Sender<Option<Wanted>>,
    numbers: Arc<Mutex<EventNumbers>>,
    cluster: Arc<Cluster>,
    clock: Arc<dyn Clock>,
    instance: Arc<str>,
    /// Ends the thread, which writes what is left first.
    close: watch::Sender<bool>,
    ended: Mutex<Option<oneshot::Receiver<()>>>,
    /// Tells the groups of this process from those of others.
    seed: u64,
}

/// Where to write.
#[derive(Clone)]
struct Wanted {
    config: EventRecorder,
    parts: Parts,
}

/// What has been counted; outputs are named `file:<path>`, `stdout` and `webhook:<scheme and host>`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EventNumbers {
    /// Events by type, output, and `success` or `error`.
    pub recorded: BTreeMap<(&'static str, Arc<str>, &'static str), u64>,
    /// Bytes by type and output.
    pub bytes: BTreeMap<(&'static str, Arc<str>), u64>,
    /// Events that found the queue full, by type.
    pub dropped: BTreeMap<&'static str, u64>,
    /// Events that cannot be written as JSON, by type.
    pub unwritable: BTreeMap<&'static str, u64>,
    /// Events that found the queue of an output full, by output.
    pub output_drops: BTreeMap<Arc<str>, u64>,
    /// Events that wait now.
    pub queued: u64,
}

impl Recorder {
    /// A recorder; one that is `on` has a thread of its own.
    pub(crate) fn new(on: bool, cluster: &Arc<Cluster>, clock: &Arc<dyn Clock>) -> Self {
        if !on {
            return Self(None);
        }
        let (events, queue) = mpsc::channel(QUEUE);
        let (wanted, wants) = watch::channel(None);
        let (close, closing) = watch::channel(false);
        let numbers = Arc::<Mutex<EventNumbers>>::default();
        let writer = Writer {
            queue,
            wants,
            closing,
            numbers: Arc::clone(&numbers),
            outputs: Outputs::default(),
        };
        let ended = match writer.start() {
            Ok(ended) => Mutex::new(Some(ended)),
            Err(failure) => {
                error!(component = "eventrecorder", error = %failure, "no thread for the event recorder, nothing is recorded");
                return Self(None);
            }
        };
        let instance = rustix::system::uname().nodename().to_string_lossy().into();
        let seed = getrandom::u64().unwrap_or_default();
        Self(Some(Active {
            events,
            wanted,
            numbers,
            cluster: Arc::clone(cluster),
            clock: Arc::clone(clock),
            instance,
            close,
            ended,
            seed,
        }))
    }

    /// Whether anybody reads what is recorded.
    pub(crate) fn is_on(&self) -> bool {
        self.0.as_ref().is_some_and(|active| active.wanted.borrow().is_some())
    }

    /// Records what `data` answers; it is asked only when the recorder is on.
    pub(crate) fn record(&self, data: impl FnOnce() -> EventData) {
        let Some(active) = self.0.as_ref().filter(|_| self.is_on()) else { return };
        let position = active.cluster.view().position;
        let event = Event {
            timestamp: Moment(active.clock.now()),
            instance: Arc::clone(&active.instance),
            data: data(),
            cluster_position: u32::try_from(position).unwrap_or(u32::MAX),
        };
        if let Err(full) = active.events.try_send(event) {
            let kind = full.into_inner().data.kind();
            *lock(&active.numbers).dropped.entry(kind).or_default() += 1;
        }
    }

    /// Writes to the outputs of that configuration from now on.
    pub(crate) fn apply(&self, config: Option<&EventRecorder>, parts: &Parts) {
        let Some(active) = &self.0 else { return };
        let wanted = config.map(|config| Wanted { config: config.clone(), parts: parts.clone() });
        active.wanted.send_replace(wanted);
    }

    /// What has been counted; `None` when the feature is off.
    pub(crate) fn numbers(&self) -> Option<EventNumbers> {
        let active = self.0.as_ref()?;
        let queued = active.events.max_capacity() - active.events.capacity();
        Some(EventNumbers { queued: queued as u64, ..lock(&active.numbers).clone() })
    }

    /// An identity for a group of this process: a UUID of version 4.
    pub(crate) fn group_uuid(&self, group: u64) -> String {
        let seed = self.0.as_ref().map_or(0, |active| active.seed);
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&seed.to_be_bytes());
        bytes[8..].copy_from_slice(&group.to_be_bytes());
        uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
    }

    /// Writes what is left, as far as there is time.
    pub(crate) async fn close(&self) {
        let Some(active) = &self.0 else { return };
        active.close.send_replace(true);
        let ended = active.ended.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(ended) = ended {
            // It only ever ends by being dropped; too long: what was not written is lost.
            let _ = tokio::time::timeout(CLOSE_MAX, ended).await;
        }
    }
}

/// The thread that writes.
struct Writer {
    queue: mpsc::Receiver<Event>,
    wants: watch::Receiver<Option<Wanted>>,
    closing: watch::Receiver<bool>,
    numbers: Arc<Mutex<EventNumbers>>,
    outputs: Outputs,
}

impl Writer {
    fn start(self) -> std::io::Result<oneshot::Receiver<()>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (ended, end) = oneshot::channel::<()>();
        std::thread::Builder::new().name("tocsin-events".into()).spawn(move || {
            runtime.block_on(self.run());
            drop(ended);
        })?;
        Ok(end)
    }

    async fn run(mut self) {
        loop {
            tokio::select! {
                biased;
                // First, so that what is recorded after a reload goes where the new configuration says.
                changed = self.wants.changed() => match changed {
                    Ok(()) => self.change_outputs(),
                    Err(_) => break,
                },
                event = self.queue.recv() => match event {
                    Some(event) => self.tell(&event),
                    None => break,
                },
                _ = self.closing.changed() => break,
            }
        }
        self.queue.close();
        while let Some(event) = self.queue.recv().await {
            self.tell(&event);
        }
        self.outputs.close().await;
    }

    fn change_outputs(&mut self) {
        let wanted = self.wants.borrow_and_update().clone();
        let Some(Wanted { config, parts }) = wanted else {
            self.outputs.replace(Outputs::default());
            return;
        };
        let (outputs, failed) = Outputs::build(&config, &parts, &self.numbers);
        if failed && !self.outputs.is_empty() {
            error!(component = "eventrecorder", "outputs cannot be replaced, the old ones stay");
            outputs.discard();
            return;
        }
        info!(component = "eventrecorder", outputs = outputs.len(), "event recorder configured");
        self.outputs.replace(outputs);
    }

    fn tell(&mut self, event: &Event) {
        let kind = event.data.kind();
        let json = match serde_json::to_vec(event) {
            Ok(json) => json,
            Err(failure) => {
                *lock(&self.numbers).unwritable.entry(kind).or_default() += 1;
                error!(component = "eventrecorder", event_type = kind, error = %failure, "event cannot be written as JSON");
                return;
            }
        };
        let mut line = json;
        line.push(b'\n');
        let line = bytes::Bytes::from(line);
        for output in self.outputs.iter_mut() {
            let written = output.write(&line);
            let mut numbers = lock(&self.numbers);
            let result = if written.is_ok() { "success" } else { "error" };
            let name = Arc::clone(output.name());
            *numbers.recorded.entry((kind, Arc::clone(&name), result)).or_default() += 1;
            match written {
                Ok(bytes) => *numbers.bytes.entry((kind, name)).or_default() += bytes as u64,
                Err(failure) => {
                    error!(component = "eventrecorder", event_type = kind, output = %name, error = %failure, "event cannot be written");
                }
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
