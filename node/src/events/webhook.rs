//! A webhook that takes events: one request an event or one for many, a few at the same time, each tried a few times.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use tocsin_service::clock::{Clock, SystemClock};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tracing::{error, warn};
use url::Url;

use super::{EventNumbers, lock};
use crate::config::{self, BatchBounds};
use crate::notify::http::{Client, Request, read_secret};
use crate::notify::{BuildError, Parts, report};

/// How many events may wait for a webhook; further ones are dropped.
const QUEUE: usize = 1024;
/// No wait between two attempts is longer.
const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// The end that the recorder holds.
pub(super) struct Webhook {
    name: Arc<str>,
    events: mpsc::Sender<Bytes>,
    numbers: Arc<Mutex<EventNumbers>>,
    task: JoinHandle<()>,
}

/// What its requests need.
struct Target {
    name: Arc<str>,
    url: Url,
    client: Client,
    timeout: Duration,
    attempts: u64,
    backoff: Duration,
}

impl Webhook {
    /// # Errors
    /// When there is no usable URL, or the client cannot be built.
    pub(super) fn start(
        config: &config::Webhook,
        parts: &Parts,
        numbers: Arc<Mutex<EventNumbers>>,
    ) -> Result<Self, BuildError> {
        let url = read_secret(&config.url).map_err(|e| BuildError::new("URL of events", e))?;
        let url = Url::parse(&url).map_err(|e| BuildError::new("URL of events", e))?;
        // The rest of the URL may be a secret.
        let name: Arc<str> = format!("webhook:{}", url.origin().ascii_serialization()).into();
        // Waits and tokens go by real time here, whatever the clock of alerts does.
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let client = Client::build(&config.http, &Parts { clock, ..parts.clone() })?;
        let target = Target {
            name: Arc::clone(&name),
            url,
            client,
            timeout: config.timeout,
            attempts: config.max_retries,
            backoff: config.retry_backoff,
        };
        let (events, queue) = mpsc::channel(QUEUE);
        let workers = usize::try_from(config.workers).unwrap_or(1).clamp(1, 1024);
        let task = tokio::spawn(send_all(queue, Arc::new(target), config.batch, workers));
        Ok(Self { name, events, numbers, task })
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Takes an event, unless too many wait already.
    pub(super) fn queue(&self, event: Bytes) {
        if self.events.try_send(event).is_err() {
            *lock(&self.numbers).output_drops.entry(Arc::clone(&self.name)).or_default() += 1;
            warn!(component = "eventrecorder", output = %self.name, "queue of the webhook is full, event dropped");
        }
    }

    /// Ends when what it has is sent or given up.
    pub(super) async fn close(self) {
        drop(self.events);
        // A panic in there was logged.
        let _ = self.task.await;
    }
}

async fn send_all(
    mut queue: mpsc::Receiver<Bytes>,
    target: Arc<Target>,
    batch: Option<BatchBounds>,
    workers: usize,
) {
    let permits = Arc::new(Semaphore::new(workers));
    let sending = TaskTracker::new();
    let mut held = None;
    while let Some(body) = next_body(&mut queue, &mut held, batch).await {
        // Closed never: it lives as long as this.
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { break };
        let target = Arc::clone(&target);
        sending.spawn(async move {
            target.post(body).await;
            drop(permit);
        });
    }
    sending.close();
    sending.wait().await;
}

/// The body of the next request: an event, or an array of those that come within the bounds. What is too much for it is
/// held for the next one.
async fn next_body(
    queue: &mut mpsc::Receiver<Bytes>,
    held: &mut Option<Bytes>,
    batch: Option<BatchBounds>,
) -> Option<Bytes> {
    let first = match held.take() {
        Some(held) => held,
        None => queue.recv().await?,
    };
    let Some(bounds) = batch else { return Some(first) };
    let deadline = Instant::now() + bounds.interval;
    let mut body = vec![b'['];
    body.extend_from_slice(&first);
    let mut events = 1;
    while events < bounds.events {
        let Ok(Some(event)) = tokio::time::timeout_at(deadline, queue.recv()).await else { break };
        // With the comma and the bracket at the end.
        if bounds.bytes < (body.len() + event.len() + 2) as u64 {
            *held = Some(event);
            break;
        }
        body.push(b',');
        body.extend_from_slice(&event);
        events += 1;
    }
    body.push(b']');
    Some(body.into())
}

impl Target {
    async fn post(&self, body: Bytes) {
        let mut backoff = self.backoff.min(BACKOFF_MAX);
        for attempt in 1..=self.attempts {
            let Err(failure) = self.try_once(&body).await else { return };
            warn!(component = "eventrecorder", output = %self.name, attempt, error = failure, "events cannot be sent");
            if attempt < self.attempts {
                tokio::time::sleep(backoff).await;
                backoff = (backoff * 2).min(BACKOFF_MAX);
            }
        }
        error!(component = "eventrecorder", output = %self.name, attempts = self.attempts, "events given up");
    }

    async fn try_once(&self, body: &Bytes) -> Result<(), String> {
        let request = Request::json(Method::POST, self.url.clone(), body.to_vec());
        let answer = tokio::time::timeout(self.timeout, self.client.send(request)).await;
        let answer = answer.map_err(|_| "no answer in time".to_owned())?;
        let answer = answer.map_err(|failure| report(&failure))?;
        answer.check(&[]).map_err(|failure| report(&failure))
    }
}
