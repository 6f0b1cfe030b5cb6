//! How busy the process is: CPU of the last second, bytes sent a second. Pure; the clock and the counts come as arguments.

/// Readings of the last second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load {
    cpu_us: u64,
    bytes: u64,
    at_ms: u64,
    /// Share of the last second that all threads were idle, in per cent.
    idle_percent: Option<u64>,
    /// Bytes a second to clients.
    bytes_per_s: u64,
}

impl Load {
    /// Takes a reading at `now_ms`: CPU time used so far by `threads`, bytes sent so far. Once a second.
    pub(crate) fn sample(&mut self, now_ms: u64, cpu_us: u64, threads: u64, bytes: u64) {
        let spent_ms = now_ms.saturating_sub(self.at_ms);
        if spent_ms > 0 {
            let had_us = spent_ms * 1000 * threads.max(1);
            let busy = cpu_us.saturating_sub(self.cpu_us).saturating_mul(100) / had_us;
            self.idle_percent = Some(100u64.saturating_sub(busy));
            self.bytes_per_s = bytes.saturating_sub(self.bytes).saturating_mul(1000) / spent_ms;
        }
        (self.cpu_us, self.bytes, self.at_ms) = (cpu_us, bytes, now_ms);
    }

    /// Per cent of the last second without work.
    pub(crate) fn idle_percent(&self) -> u64 {
        self.idle_percent.unwrap_or(100)
    }

    /// Bytes a second to clients.
    pub(crate) fn bytes_per_s(&self) -> u64 {
        self.bytes_per_s
    }
}

/// CPU time that the process has used, in microseconds.
pub(crate) fn cpu_us() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    u64::try_from(time.tv_sec * 1_000_000 + time.tv_nsec / 1000).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_is_what_was_not_spent() {
        let mut load = Load::default();
        load.sample(1000, 0, 2, 0);
        assert_eq!((load.idle_percent(), load.bytes_per_s()), (100, 0));
        load.sample(2000, 500_000, 2, 3000);
        assert_eq!((load.idle_percent(), load.bytes_per_s()), (75, 3000));
        load.sample(4000, 4_500_000, 2, 3000);
        assert_eq!((load.idle_percent(), load.bytes_per_s()), (0, 0));
    }
}
