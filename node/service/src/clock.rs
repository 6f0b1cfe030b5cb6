//! Where the present comes from: rules take `now` as an argument, shells ask the injected clock
//! once per event. Nothing else reads the system's time.

use jiff::Timestamp;

/// Tells the time. Shells hold an `Arc<dyn Clock>`.
pub trait Clock: Send + Sync + 'static {
    /// The present, in UTC.
    fn now(&self) -> Timestamp;
}

/// The machine's own clock.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// Test clock: wall time that moves with tokio's paused timer, so timers and timestamps never part.
#[derive(Debug, Clone, Copy)]
pub struct PausedClock {
    epoch: Timestamp,
    start: tokio::time::Instant,
}

impl PausedClock {
    /// Shows `epoch` now and moves as tokio's timer moves.
    #[must_use]
    pub fn starting_at(epoch: Timestamp) -> Self {
        Self { epoch, start: tokio::time::Instant::now() }
    }
}

impl Clock for PausedClock {
    fn now(&self) -> Timestamp {
        self.epoch.checked_add(self.start.elapsed()).unwrap_or(Timestamp::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn paused_clock_moves_with_the_timer() {
        let epoch: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        let clock = PausedClock::starting_at(epoch);
        assert_eq!(clock.now(), epoch);
        tokio::time::sleep(Duration::from_secs(90)).await;
        assert_eq!(clock.now().to_string(), "2026-11-22T10:01:30Z");
    }
}
