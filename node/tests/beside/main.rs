//! A hundred generated scripts, played to a node and to Debian's `prometheus-alertmanager` 0.25 at the same time: both tell
//! their webhooks the same of the same groups, in the same order, at the same times. What is known to differ is listed in
//! `verdict.rs`, by name and with its reason.

#![expect(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "the lints' exception for tests does not reach helpers of this kind of test"
)]

mod script;
mod servers;
mod sink;
mod verdict;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use script::{HALF_SECONDS, Script, Step};
use servers::{Debian, Node, Server};
use sink::Sink;

const SCRIPTS: u64 = 100;
/// The first of the seeds that are played.
const SEED: u64 = 1;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_scripts_are_told_alike() {
    let scripts: Vec<_> = (0..SCRIPTS).map(|number| Script::new(number, SEED + number)).collect();
    let sinks = [Sink::start().await, Sink::start().await];
    let config = |sink: &Sink| script::config(&scripts, &sink.url());
    let debian = Debian::start(&config(&sinks[0])).await;
    let node = Node::start(&config(&sinks[1])).await;
    let stalls = Stalls::watch();
    let start = Instant::now() + Duration::from_secs(1);
    let epoch = Timestamp::now() + jiff::SignedDuration::from_secs(1);
    tokio::join!(
        play(&debian.server, &scripts, start, epoch),
        play(&node.server, &scripts, start, epoch)
    );
    // The last ticks: what could still be told is told.
    tokio::time::sleep_until(start + Duration::from_millis(script::END)).await;
    let told = sinks.map(|sink| sink.take(start));
    node.stop().await;
    verdict::compare(&scripts, &told, stalls.longest());
}

/// Sends every step at its moment.
async fn play(server: &Server, scripts: &[Script], start: Instant, epoch: Timestamp) {
    let mut silences = std::collections::HashMap::new();
    for half in 0..HALF_SECONDS {
        tokio::time::sleep_until(start + Duration::from_millis(500 * half)).await;
        let steps = scripts.iter().flat_map(|script| script.steps_at(half));
        let (alerts, others): (Vec<_>, Vec<_>) = steps.partition(|step| step.is_alert());
        let alerts: Vec<_> = alerts.iter().map(|step| step.alert(half, epoch)).collect();
        if !alerts.is_empty() {
            server.post("/api/v2/alerts", &alerts.into()).await;
        }
        for step in others {
            match step {
                Step::Silence { key, .. } => {
                    let answer = server.post("/api/v2/silences", &step.silence(half, epoch)).await;
                    silences.insert(key, answer["silenceID"].as_str().unwrap().to_owned());
                }
                Step::Unsilence { key } => {
                    // One that was never made, or has ended, is left alone.
                    if let Some(id) = silences.remove(key) {
                        server.delete(&format!("/api/v2/silence/{id}")).await;
                    }
                }
                Step::Fire { .. } | Step::Resolve { .. } => {}
            }
        }
    }
}

/// How long this machine kept a thread waiting that wanted to run: no clock of a server can do better meanwhile.
struct Stalls(Arc<AtomicU64>);

impl Stalls {
    fn watch() -> Self {
        let longest = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&longest);
        std::thread::spawn(move || {
            const STEP: Duration = Duration::from_millis(10);
            // Ends with the test, which alone holds the other reference.
            while Arc::strong_count(&seen) > 1 {
                #[expect(
                    clippy::disallowed_methods,
                    reason = "what real time does is the question"
                )]
                let late = {
                    let before = std::time::Instant::now();
                    std::thread::sleep(STEP);
                    before.elapsed().saturating_sub(STEP)
                };
                let late = u64::try_from(late.as_millis()).unwrap_or(u64::MAX);
                seen.fetch_max(late, Ordering::Relaxed);
            }
        });
        Self(longest)
    }

    fn longest(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}
