//! Attempts until one passes, is refused for good, or time is up. It knows no receiver's protocol.
//! Source: upstream's `notify.RetryStage`.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::{Batch, FailureReason, SendError, Sent, report};

/// How long a request already under way may go on when the server stops.
const GRACE: Duration = Duration::from_secs(10);

/// What the caller decides and observes around the attempts of one flush to one integration.
pub trait Attempts: Send {
    /// Asked before each attempt (the first is 1); may wait, for instance for the peers' consent.
    /// Gives what to send now, or `None` when there is nothing left to do.
    fn next(&mut self, attempt: u32) -> impl Future<Output = Option<Batch>> + Send;

    /// One attempt: makes the request and waits for its answer, usually `Notifier::send`.
    fn send(&mut self, batch: Batch) -> impl Future<Output = Result<Sent, SendError>> + Send;

    /// Told after each attempt, for metrics and claims.
    fn done(&mut self, attempt: &Attempt<'_>) -> impl Future<Output = ()> + Send;
}

/// One attempt, as told to [`Attempts::done`].
#[derive(Debug)]
pub struct Attempt<'a> {
    /// From 1.
    pub number: u32,
    /// When the request began. A log record of its success is stamped with this moment's wall
    /// time, so that an attempt begun later always wins.
    pub began: Instant,
    /// How long it took.
    pub took: Duration,
    /// `None` when time was up before an answer came.
    pub result: Option<&'a Result<Sent, SendError>>,
}

/// How a delivery ended.
#[derive(Debug)]
pub enum Outcome {
    /// It arrived, or nothing had to be told; either is a success.
    Sent {
        /// The receiver's answer.
        sent: Sent,
        /// When the request that passed began.
        began: Instant,
    },
    /// The caller had nothing left to send.
    Nothing,
    /// It did not arrive.
    Failed(Failure),
}

/// A delivery that did not arrive. Its text is upstream's.
#[derive(Debug)]
pub struct Failure {
    /// `receiver/integration[index]`
    pub name: String,
    /// Class for the metric.
    pub reason: FailureReason,
    /// Attempts made.
    pub attempts: u32,
    /// The last error of the receiver; `None` when there was none before time was up.
    pub error: Option<SendError>,
}

impl Failure {
    /// Whether the receiver refused for good; otherwise time was up.
    #[must_use]
    pub fn refused(&self) -> bool {
        self.error.as_ref().is_some_and(|error| !error.retry())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, attempts, .. } = self;
        let why = if self.refused() { " due to unrecoverable error" } else { "" };
        write!(f, "{name}: notify retry canceled{why} after {attempts} attempts: ")?;
        match &self.error {
            Some(error) => f.write_str(&report(error)),
            None if self.reason == FailureReason::ContextCanceled => f.write_str("canceled"),
            None => f.write_str("deadline exceeded"),
        }
    }
}

impl std::error::Error for Failure {}

/// Makes attempts until one passes, is refused for good, `deadline` comes or `stop` is cancelled.
/// A request under way at `stop` may finish within ten seconds; the deadline drops it.
pub async fn deliver(
    name: &str,
    attempts: &mut impl Attempts,
    deadline: Instant,
    stop: &CancellationToken,
) -> Outcome {
    let mut wait = Backoff::default();
    let mut number = 0;
    let mut last: Option<SendError> = None;
    let failed = |reason: Option<FailureReason>, attempts, error: Option<SendError>| {
        let reason = error.as_ref().map(SendError::reason).or(reason);
        let reason = reason.unwrap_or(FailureReason::ContextDeadlineExceeded);
        Outcome::Failed(Failure { name: name.to_owned(), reason, attempts, error })
    };
    loop {
        let next = tokio::select! {
            biased;
            () = stop.cancelled() => {
                return failed(Some(FailureReason::ContextCanceled), number, last);
            }
            () = tokio::time::sleep_until(deadline) => return failed(None, number, last),
            next = attempts.next(number + 1) => next,
        };
        let Some(batch) = next else { return Outcome::Nothing };
        number += 1;
        let began = Instant::now();
        let result = until(deadline, stop, attempts.send(batch)).await;
        attempts
            .done(&Attempt { number, began, took: began.elapsed(), result: result.as_ref() })
            .await;
        match result {
            Some(Ok(sent)) => {
                note_success(name, number);
                return Outcome::Sent { sent, began };
            }
            Some(Err(error)) if !error.retry() => return failed(None, number, Some(error)),
            Some(Err(error)) => {
                note_retry(name, number, &error, last.as_ref());
                last = Some(error);
            }
            None if stop.is_cancelled() => {
                return failed(Some(FailureReason::ContextCanceled), number, last);
            }
            None => return failed(None, number, last),
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep_until(deadline) => {}
            () = tokio::time::sleep(wait.next(random_unit())) => {}
        }
    }
}

/// The answer, unless `deadline` or the grace after `stop` comes first.
async fn until<T>(
    deadline: Instant,
    stop: &CancellationToken,
    work: impl Future<Output = T>,
) -> Option<T> {
    let stopped = async {
        stop.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        biased;
        answer = work => Some(answer),
        () = tokio::time::sleep_until(deadline) => None,
        () = stopped => None,
    }
}

fn note_success(integration: &str, attempt: u32) {
    if attempt == 1 {
        debug!(integration, attempt, "notification sent");
    } else {
        info!(integration, attempt, "notification sent after retry");
    }
}

/// Logs once per distinct text, so that a receiver that is down for an hour fills no disk.
fn note_retry(integration: &str, attempt: u32, error: &SendError, last: Option<&SendError>) {
    let text = report(error);
    if last.map(|last| report(last)).as_deref() != Some(&*text) {
        warn!(integration, attempt, error = %text, "notification failed, will retry");
    }
}

/// Exponential: 500 ms, times 1.5 each, at most 60 s, then ±50 %.
#[derive(Debug)]
struct Backoff {
    interval: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { interval: Duration::from_millis(500) }
    }
}

impl Backoff {
    /// The next wait; `random` is in 0..1.
    fn next(&mut self, random: f64) -> Duration {
        let wait = self.interval.mul_f64(0.5 + random);
        self.interval = self.interval.mul_f64(1.5).min(Duration::from_secs(60));
        wait
    }
}

/// A number in 0..1; without a source of randomness the middle.
fn random_unit() -> f64 {
    getrandom::u32().map_or(0.5, |bits| f64::from(bits) / (f64::from(u32::MAX) + 1.0))
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// Answers from a script; the script's end hangs for ever.
    #[derive(Default)]
    struct Script {
        answers: VecDeque<Result<Sent, SendError>>,
        stop_at: Option<u32>,
        observed: Vec<(u32, bool)>,
    }

    impl Attempts for Script {
        async fn next(&mut self, attempt: u32) -> Option<Batch> {
            (Some(attempt) != self.stop_at).then(Batch::default)
        }

        async fn send(&mut self, _: Batch) -> Result<Sent, SendError> {
            match self.answers.pop_front() {
                Some(answer) => answer,
                None => std::future::pending().await,
            }
        }

        async fn done(&mut self, attempt: &Attempt<'_>) {
            self.observed.push((attempt.number, matches!(attempt.result, Some(Ok(_)))));
        }
    }

    fn later() -> Result<Sent, SendError> {
        Err(SendError::unavailable("unexpected status code 503", FailureReason::ServerError))
    }

    fn never() -> Result<Sent, SendError> {
        Err(SendError::refused("unexpected status code 404", FailureReason::ClientError))
    }

    async fn run(script: &mut Script, stop: &CancellationToken) -> Outcome {
        let deadline = Instant::now() + Duration::from_secs(10);
        deliver("ops/webhook[0]", script, deadline, stop).await
    }

    fn script(answers: impl IntoIterator<Item = Result<Sent, SendError>>) -> Script {
        Script { answers: answers.into_iter().collect(), ..Script::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_go_on_until_one_passes() {
        let mut script = script([later(), later(), Ok(Sent::default())]);
        let outcome = run(&mut script, &CancellationToken::new()).await;
        assert!(matches!(outcome, Outcome::Sent { .. }), "{outcome:?}");
        assert_eq!(script.observed, [(1, false), (2, false), (3, true)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_final() {
        let mut script = script([later(), never(), Ok(Sent::default())]);
        let Outcome::Failed(failure) = run(&mut script, &CancellationToken::new()).await else {
            panic!("it must fail");
        };
        assert_eq!(
            failure.to_string(),
            "ops/webhook[0]: notify retry canceled due to unrecoverable error after 2 attempts: \
             unexpected status code 404"
        );
        assert_eq!(failure.reason, FailureReason::ClientError);
    }

    #[tokio::test(start_paused = true)]
    async fn the_deadline_reports_the_last_error_and_its_class() {
        let mut script = script([later()]);
        let Outcome::Failed(failure) = run(&mut script, &CancellationToken::new()).await else {
            panic!("it must fail");
        };
        assert_eq!((failure.reason, failure.refused()), (FailureReason::ServerError, false));
        assert_eq!(failure.attempts, 2, "the second one hangs until the deadline");
    }

    #[tokio::test(start_paused = true)]
    async fn a_hanging_receiver_exceeds_the_deadline() {
        let Outcome::Failed(failure) = run(&mut script([]), &CancellationToken::new()).await else {
            panic!("it must fail");
        };
        assert_eq!(failure.reason, FailureReason::ContextDeadlineExceeded);
        assert!(failure.to_string().ends_with("after 1 attempts: deadline exceeded"), "{failure}");
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_left_to_send_ends_without_failure() {
        let mut script = Script { stop_at: Some(2), ..script([later()]) };
        let outcome = run(&mut script, &CancellationToken::new()).await;
        assert!(matches!(outcome, Outcome::Nothing), "{outcome:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_starts_no_further_attempt() {
        let stop = CancellationToken::new();
        stop.cancel();
        let mut script = script([Ok(Sent::default())]);
        let outcome = run(&mut script, &stop).await;
        assert!(
            matches!(&outcome, Outcome::Failed(f) if f.reason == FailureReason::ContextCanceled),
            "{outcome:?}"
        );
        assert_eq!(script.observed, []);
    }

    #[test]
    fn waits_grow_to_a_minute() {
        let mut wait = Backoff::default();
        let waits: Vec<u128> = (0..3).map(|_| wait.next(0.5).as_millis()).collect();
        assert_eq!(waits, [500, 750, 1125]);
        for _ in 0..20 {
            wait.next(0.5);
        }
        assert_eq!(wait.next(0.0).as_secs(), 30);
        assert!(wait.next(0.999).as_secs() >= 89);
    }
}
