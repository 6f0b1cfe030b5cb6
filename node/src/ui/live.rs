//! `/events`: tells open pages that something has changed, so that they fetch themselves again. It carries no data.
//!
//! Events: `hello` with the start of this process, `changed` with topics (`alerts silences log cluster`), `beat` every two
//! seconds, so that a page knows within five that its node has gone.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use tocsin_service::web::Body;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::frame::banners;
use crate::api::App;

/// Pages that may listen at one time; others ask now and then.
const STREAMS_MAX: usize = 256;
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Looks from one beat to the next.
const BEAT_EVERY: u32 = 4;
/// Events that may wait for a slow client; further ones are joined to the next.
const WAITING_MAX: usize = 4;

/// Room for the pages that listen.
pub(crate) struct Streams {
    room: Arc<Semaphore>,
    stop: CancellationToken,
}

impl Streams {
    /// `stop` ends all of them.
    pub(crate) fn new(stop: CancellationToken) -> Self {
        Self { room: Arc::new(Semaphore::new(STREAMS_MAX)), stop }
    }
}

/// What is compared.
#[derive(PartialEq, Eq, Clone, Copy)]
struct Marks {
    alerts: u64,
    silences: u64,
    log: u64,
    cluster: u64,
}

impl Marks {
    fn now(app: &App) -> Self {
        let [alerts, silences, log] = app.engine.versions();
        let view = app.engine.cluster().view();
        let mut hasher = xxhash_rust::xxh3::Xxh3Default::new();
        (view.live, view.known, app.engine.config().cfg_hash).hash(&mut hasher);
        for banner in banners(app, &view) {
            (banner.title, banner.text).hash(&mut hasher);
        }
        Self { alerts, silences, log, cluster: hasher.finish() }
    }

    /// The topics in which two differ.
    fn differing(self, other: Self) -> String {
        let topics = [
            ("alerts", self.alerts != other.alerts),
            ("silences", self.silences != other.silences),
            ("log", self.log != other.log),
            ("cluster", self.cluster != other.cluster),
        ];
        let differ = topics.into_iter().filter(|(_, differs)| *differs).map(|(topic, _)| topic);
        differ.collect::<Vec<_>>().join(" ")
    }
}

/// Answers with a stream that ends with the client or the node.
pub(super) fn stream(app: &Arc<App>) -> Response<Body> {
    let Ok(room) = Arc::clone(&app.streams.room).try_acquire_owned() else {
        let mut answer = Response::new(Body::from("too many pages listen\n"));
        *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        return answer;
    };
    let (sender, chunks) = mpsc::channel(WAITING_MAX);
    tokio::spawn(tell(Arc::clone(app), sender, room));
    let mut answer = Response::new(Body::received(chunks));
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // nginx would keep events back otherwise.
    let buffering = HeaderName::from_static("x-accel-buffering");
    headers.insert(buffering, HeaderValue::from_static("no"));
    answer
}

async fn tell(app: Arc<App>, sender: mpsc::Sender<Bytes>, _room: OwnedSemaphorePermit) {
    let stop = app.streams.stop.clone();
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = Marks::now(&app);
    let start = app.engine.started_at().as_millisecond();
    let mut looks = 0;
    if sender.try_send(event("hello", &start.to_string())).is_err() {
        return;
    }
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stop.cancelled() => return,
            () = sender.closed() => return,
        }
        let marks = Marks::now(&app);
        looks += 1;
        let next = if marks != told {
            event("changed", &marks.differing(told))
        } else if looks >= BEAT_EVERY {
            event("beat", "1")
        } else {
            continue;
        };
        // A client that takes nothing gets it later, with what has changed by then.
        if sender.try_send(next).is_ok() {
            (told, looks) = (marks, 0);
        }
    }
}

fn event(name: &str, data: &str) -> Bytes {
    format!("event: {name}\ndata: {data}\n\n").into()
}
