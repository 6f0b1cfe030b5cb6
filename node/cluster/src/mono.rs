//! Monotonic time that goes on while the machine sleeps; everything here that measures a span uses it.

use std::time::Duration;

/// Time since boot, sleep included.
pub(crate) fn now() -> Duration {
    #[cfg(test)]
    if let Some(now) = simulated() {
        return now;
    }
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let secs = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(secs, nanos)
}

#[cfg(test)]
thread_local! {
    /// When the simulation that runs on this thread began, on tokio's paused clock.
    static SIMULATION: std::cell::Cell<Option<tokio::time::Instant>> = const { std::cell::Cell::new(None) };
}

/// From now on this thread's time is that of tokio's paused clock.
#[cfg(test)]
pub(crate) fn simulate() {
    SIMULATION.set(Some(tokio::time::Instant::now()));
}

#[cfg(test)]
fn simulated() -> Option<Duration> {
    SIMULATION.get().map(|begun| begun.elapsed() + Duration::from_secs(1_000))
}
