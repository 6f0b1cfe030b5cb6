//! What the operating system says of this process: the names of Prometheus' client libraries.

use std::{fs, sync::Arc};

use jiff::Timestamp;
use tocsin_service::metrics::{FloatCounter, Gauge, Registry};

use super::float;

pub(super) struct ProcessMetrics {
    cpu: Arc<FloatCounter>,
    resident: Arc<Gauge>,
    virtual_size: Arc<Gauge>,
    descriptors: Arc<Gauge>,
    descriptors_max: Arc<Gauge>,
    start: Arc<Gauge>,
}

impl ProcessMetrics {
    pub(super) fn new(registry: &Registry) -> Self {
        Self {
            cpu: registry.float_counter(
                "process_cpu_seconds_total",
                "Total user and system CPU time spent in seconds.",
            ),
            resident: registry
                .gauge("process_resident_memory_bytes", "Resident memory size in bytes."),
            virtual_size: registry
                .gauge("process_virtual_memory_bytes", "Virtual memory size in bytes."),
            descriptors: registry.gauge("process_open_fds", "Number of open file descriptors."),
            descriptors_max: registry
                .gauge("process_max_fds", "Maximum number of open file descriptors."),
            start: registry.gauge(
                "process_start_time_seconds",
                "Start time of the process since unix epoch in seconds.",
            ),
        }
    }

    /// What cannot be read stays as it was.
    pub(super) fn show(&self, started_at: Timestamp) {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds fit for 285,000 years")]
        self.start.set(started_at.as_millisecond() as f64 / 1000.0);
        if let Some(stat) = fs::read_to_string("/proc/self/stat").ok().and_then(|text| stat(&text))
        {
            let ticks = float(rustix::param::clock_ticks_per_second());
            self.cpu.mirror(float(stat.cpu_ticks) / ticks);
            self.virtual_size.set(float(stat.virtual_bytes));
            self.resident.set(float(stat.resident_pages * rustix::param::page_size() as u64));
        }
        if let Ok(open) = fs::read_dir("/proc/self/fd") {
            // One of them is the directory itself.
            self.descriptors.set(float((open.count() as u64).saturating_sub(1)));
        }
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        if let Some(most) = limit.current {
            self.descriptors_max.set(float(most));
        }
    }
}

struct Stat {
    cpu_ticks: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

/// Reads `/proc/PID/stat`: fields after the name, which stands in brackets and may hold anything.
fn stat(text: &str) -> Option<Stat> {
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    Some(Stat {
        cpu_ticks: field(14)? + field(15)?,
        virtual_bytes: field(23)?,
        resident_pages: field(24)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_behind_any_name() {
        let text = "7 (a) b (c) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 1 0 99 8192 3 18";
        let stat = stat(text).unwrap();
        assert_eq!((stat.cpu_ticks, stat.virtual_bytes, stat.resident_pages), (300, 8192, 3));
    }
}
