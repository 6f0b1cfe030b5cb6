//! Ended spans wait here until there are enough of them or some time has passed; then they are sent together. Nobody ever
//! waits for it: what does not fit is dropped and counted. Bounds are upstream's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tocsin_service::clock::Clock;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::{export::Exporter, otlp};
use crate::config::Tracing;
use crate::notify::{BuildError, report};

/// Spans that may wait.
const QUEUE: usize = 2048;
/// As many are sent together.
const BATCH: usize = 512;
/// As long they wait for others.
const PATIENCE: Duration = Duration::from_secs(5);
/// What an export may take, all its attempts together.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(30);
/// Before another attempt, growing by half each time.
const RETRY: Duration = Duration::from_secs(5);

/// Where ended spans go.
pub(crate) struct Sink {
    fraction: f64,
    queue: mpsc::Sender<Item>,
    clock: Arc<dyn Clock>,
    dropped: Arc<AtomicU64>,
}

enum Item {
    Span(Box<otlp::Span>),
    /// Everything before it shall be sent now.
    Flush(oneshot::Sender<()>),
}

impl Sink {
    /// Prepares the connection and starts the task that sends. It ends, having sent everything, when the sink is dropped.
    /// # Errors
    /// On certificates, headers or an address that cannot be used.
    pub(crate) fn open(config: &Tracing, clock: &Arc<dyn Clock>) -> Result<Arc<Self>, BuildError> {
        let exporter = Exporter::build(config)?;
        let (queue, inbox) = mpsc::channel(QUEUE);
        let dropped = Arc::<AtomicU64>::default();
        tokio::spawn(run(inbox, exporter, Arc::clone(&dropped)));
        info!(component = "tracing", endpoint = %config.endpoint, "spans are sent");
        let (fraction, clock) = (config.sampling_fraction, Arc::clone(clock));
        Ok(Arc::new(Self { fraction, queue, clock, dropped }))
    }

    /// Which part of traces is kept.
    pub(super) fn fraction(&self) -> f64 {
        self.fraction
    }

    /// Nanoseconds since 1970.
    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.clock.now().as_nanosecond()).unwrap_or(0)
    }

    pub(super) fn push(&self, span: otlp::Span) {
        if self.queue.try_send(Item::Span(Box::new(span))).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Sends what there is, as far as `limit` allows.
    pub(crate) async fn flush(&self, limit: Duration) {
        let flushed = async {
            let (done, flushed) = oneshot::channel();
            if self.queue.send(Item::Flush(done)).await.is_ok() {
                // The task has ended: there is nobody left to send.
                let _ = flushed.await;
            }
        };
        if tokio::time::timeout(limit, flushed).await.is_err() {
            warn!(component = "tracing", "some spans were not delivered, the node stops");
        }
    }
}

async fn run(mut inbox: mpsc::Receiver<Item>, exporter: Exporter, dropped: Arc<AtomicU64>) {
    let mut spans = Vec::new();
    let mut due = Instant::now();
    loop {
        let (mut flushed, mut ends) = (None, false);
        tokio::select! {
            item = inbox.recv() => match item {
                Some(Item::Span(span)) => {
                    if spans.is_empty() {
                        due = Instant::now() + PATIENCE;
                    }
                    spans.push(*span);
                    if spans.len() < BATCH {
                        continue;
                    }
                }
                Some(Item::Flush(done)) => flushed = Some(done),
                None => ends = true,
            },
            () = tokio::time::sleep_until(due), if !spans.is_empty() => {}
        }
        if !spans.is_empty() {
            send(&exporter, std::mem::take(&mut spans)).await;
        }
        let lost = dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            warn!(component = "tracing", spans = lost, "spans dropped, too many were waiting");
        }
        if let Some(flushed) = flushed {
            // Who asked may have gone.
            let _ = flushed.send(());
        }
        if ends {
            return;
        }
    }
}

async fn send(exporter: &Exporter, spans: Vec<otlp::Span>) {
    let count = spans.len();
    let deadline = Instant::now() + EXPORT_TIMEOUT;
    let message = exporter.encode(&otlp::request(spans));
    let mut wait = RETRY;
    loop {
        match exporter.send(message.clone()).await {
            Ok(()) => return debug!(component = "tracing", spans = count, "spans delivered"),
            Err(error) if error.retry() && Instant::now() + wait < deadline => {
                debug!(component = "tracing", spans = count, error = %report(&error), "will retry");
            }
            Err(error) => {
                warn!(component = "tracing", spans = count, error = %report(&error), "spans could not be delivered");
                return;
            }
        }
        tokio::time::sleep(wait).await;
        wait = wait.mul_f64(1.5);
    }
}
