//! Monotonic time that goes on while the machine sleeps; everything here that measures a span uses it.

use std::time::Duration;

/// Time since boot, sleep included.
pub(crate) fn now() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let secs = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(secs, nanos)
}
