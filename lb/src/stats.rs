//! Counters of a frontend, a backend or a server. Each worker thread writes a shard of its own without locked instructions; readers add the shards up.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

/// Buckets of a latency histogram, four an octave of microseconds.
pub(crate) const BUCKETS: usize = 104;
/// Samples a second of a [`Meter`].
const SAMPLES: usize = 10;
/// Length of the sliding means.
const WINDOW: u64 = 1024;

/// A counter that one thread writes and all read.
#[derive(Debug, Default)]
pub(crate) struct Cell(AtomicU64);

impl Cell {
    /// Adds `n`; only the owner of the shard may call it.
    pub(crate) fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// Takes `n` away; only the owner of the shard may call it.
    pub(crate) fn sub(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_sub(n), Relaxed);
    }

    fn raise(&self, n: u64) {
        if n > self.0.load(Relaxed) {
            self.0.store(n, Relaxed);
        }
    }

    /// The value now.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident)*) => {
        /// What one worker counted.
        #[derive(Debug, Default)]
        #[repr(align(128))]
        pub(crate) struct Shard {
            $($(#[$doc])* pub(crate) $name: Cell,)*
            current: Cell,
            last_ms: Cell,
            times: [Sliding; 4],
            histogram: Histogram,
        }

        /// Sums over all workers.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub(crate) struct Totals { $($(#[$doc])* pub(crate) $name: u64,)* }

        impl Shard {
            /// Adds a number to each count by its name; only while nobody else writes.
            fn restore(&self, of: impl Fn(&str) -> u64) {
                $(self.$name.add(of(stringify!($name)));)*
            }
        }

        impl Totals {
            /// Each sum with its name.
            pub(crate) fn named(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name),)*]
            }
            fn add(&mut self, shard: &Shard) { $(self.$name += shard.$name.get();)* }
            /// The difference to an earlier reading.
            #[must_use]
            pub(crate) fn since(&self, earlier: &Totals) -> Totals {
                Totals { $($name: self.$name.saturating_sub(earlier.$name),)* }
            }
        }
    };
}

counters! {
    /// Streams, or client connections on a frontend.
    total
    /// Bytes from clients, headers included.
    bytes_in
    /// Bytes to clients, headers included.
    bytes_out
    /// Requests denied.
    denied_requests
    /// Responses denied.
    denied_responses
    /// Requests that were bad, aborted or late.
    request_errors
    /// Connections that failed.
    connection_errors
    /// Responses that failed.
    response_errors
    /// Attempts repeated on the same server.
    retries
    /// Requests taken away to another server.
    redispatches
    /// Times chosen.
    chosen
    /// Requests.
    requests
    /// Answers 1xx.
    answers_1xx
    /// Answers 2xx.
    answers_2xx
    /// Answers 3xx.
    answers_3xx
    /// Answers 4xx.
    answers_4xx
    /// Answers 5xx.
    answers_5xx
    /// Other answers.
    answers_other
    /// Transfers cut by the client.
    client_aborts
    /// Transfers cut by the server.
    server_aborts
    /// Requests answered here.
    intercepted
    /// Connections opened to servers.
    connects
    /// Connections to servers used again.
    reuses
    /// Internal errors.
    internal_errors
    /// Observed failures.
    observed_failures
    /// Attempts repeated after they were sent.
    replays
}

/// The four times of a stream, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Times {
    /// Waiting for a server.
    pub queue: u64,
    /// Connecting.
    pub connect: u64,
    /// To the header of the answer.
    pub response: u64,
    /// All of it.
    pub total: u64,
}

/// Mean of about the last 1024 values, and the largest.
#[derive(Debug, Default)]
struct Sliding {
    sum: Cell,
    count: Cell,
    max: Cell,
}

impl Sliding {
    fn record(&self, value: u64) {
        let sum = self.sum.get();
        let count = self.count.get();
        let leaving = if count < WINDOW { 0 } else { sum / WINDOW };
        self.sum.add(value.wrapping_sub(leaving));
        self.count.add(u64::from(count < WINDOW));
        self.max.raise(value);
    }
}

/// Latencies by powers of the fourth root of two.
#[derive(Debug)]
struct Histogram([Cell; BUCKETS]);

impl Default for Histogram {
    fn default() -> Self {
        Histogram(std::array::from_fn(|_| Cell::default()))
    }
}

/// Bucket of a latency: a quarter of the octave it is in.
fn bucket(us: u64) -> usize {
    let octave = u64::from(63 - us.max(4).leading_zeros());
    let quarter = (us.max(4) >> (octave - 2)) & 3;
    usize::try_from((octave - 2) * 4 + quarter).map_or(BUCKETS - 1, |b| b.min(BUCKETS - 1))
}

/// Upper end of a bucket in microseconds.
pub(crate) fn bucket_end_us(bucket: usize) -> u64 {
    let (octave, quarter) = (bucket / 4 + 2, (bucket % 4) as u64);
    (quarter + 5) << (octave - 2)
}

/// All counters of one row of the stats page.
#[derive(Debug)]
pub(crate) struct Counters {
    shards: Box<[Shard]>,
    baseline: Mutex<Totals>,
    most: AtomicU64,
    meters: Mutex<Meters>,
}

/// Rates over the last second, with the largest seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meters {
    /// Of [`Totals::total`].
    pub sessions: Meter,
    /// Of [`Totals::requests`].
    pub requests: Meter,
}

/// A total watched ten times a second.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meter {
    ring: [u64; SAMPLES],
    next: usize,
    /// Now, per second.
    pub rate: u64,
    /// The largest.
    pub max: u64,
}

impl Meter {
    /// A meter of a total that has stood at `total` for a while.
    fn from(total: u64) -> Self {
        Meter { ring: [total; SAMPLES], ..Meter::default() }
    }

    /// Takes in the total, a tenth of a second after the last call.
    pub(crate) fn sample(&mut self, total: u64) {
        self.rate = total.saturating_sub(self.ring[self.next]);
        self.ring[self.next] = total;
        self.next = (self.next + 1) % SAMPLES;
        self.max = self.max.max(self.rate);
    }
}

impl Counters {
    /// Counters for `workers` threads, one more shard for the control thread.
    pub(crate) fn new(workers: usize) -> Self {
        Counters {
            shards: (0..=workers).map(|_| Shard::default()).collect(),
            baseline: Mutex::default(),
            most: AtomicU64::new(0),
            meters: Mutex::default(),
        }
    }

    /// The shard of worker `worker`.
    pub(crate) fn shard(&self, worker: usize) -> &Shard {
        &self.shards[worker.min(self.shards.len() - 1)]
    }

    /// One more at work.
    pub(crate) fn begin(&self, worker: usize) {
        let shard = self.shard(worker);
        shard.current.add(1);
        shard.total.add(1);
        let now = self.current();
        if now > self.most.load(Relaxed) {
            self.most.fetch_max(now, Relaxed);
        }
    }

    /// One less at work, at `now_ms` of uptime.
    pub(crate) fn end(&self, worker: usize, now_ms: u64) {
        let shard = self.shard(worker);
        shard.current.sub(1);
        shard.last_ms.raise(now_ms.max(1));
    }

    /// At work now.
    pub(crate) fn current(&self) -> u64 {
        self.shards.iter().map(|s| s.current.get()).fold(0, u64::wrapping_add)
    }

    /// Most at work at once.
    pub(crate) fn most(&self) -> u64 {
        self.most.load(Relaxed)
    }

    /// Uptime in ms at the end of the last stream.
    pub(crate) fn last_ms(&self) -> Option<u64> {
        self.shards.iter().map(|s| s.last_ms.get()).max().filter(|ms| *ms > 0)
    }

    /// Counts an answer by its status.
    pub(crate) fn answer(&self, worker: usize, status: u16) {
        let shard = self.shard(worker);
        let cell = match status / 100 {
            1 => &shard.answers_1xx,
            2 => &shard.answers_2xx,
            3 => &shard.answers_3xx,
            4 => &shard.answers_4xx,
            5 => &shard.answers_5xx,
            _ => &shard.answers_other,
        };
        cell.add(1);
    }

    /// Takes in the times of one stream.
    pub(crate) fn times(&self, worker: usize, times: Times) {
        let shard = self.shard(worker);
        let values = [times.queue, times.connect, times.response, times.total];
        for (sliding, value) in shard.times.iter().zip(values) {
            sliding.record(value);
        }
        shard.histogram.0[bucket(times.total)].add(1);
    }

    /// Means over the last streams, and maxima.
    pub(crate) fn mean_and_max(&self) -> (Times, Times) {
        let mean = |i: usize| {
            let sum: u64 = self.shards.iter().map(|s| s.times[i].sum.get()).sum();
            let count: u64 = self.shards.iter().map(|s| s.times[i].count.get()).sum();
            sum.checked_div(count).unwrap_or(0)
        };
        let max = |i: usize| self.shards.iter().map(|s| s.times[i].max.get()).max().unwrap_or(0);
        let of = |f: &dyn Fn(usize) -> u64| Times {
            queue: f(0),
            connect: f(1),
            response: f(2),
            total: f(3),
        };
        (of(&mean), of(&max))
    }

    /// Counts of each latency bucket since the start.
    pub(crate) fn histogram(&self) -> [u64; BUCKETS] {
        std::array::from_fn(|i| self.shards.iter().map(|s| s.histogram.0[i].get()).sum())
    }

    /// Sums since the start, whatever was cleared since.
    pub(crate) fn raw(&self) -> Totals {
        let mut totals = Totals::default();
        for shard in &self.shards {
            totals.add(shard);
        }
        totals
    }

    /// Sums since the last [`Counters::clear`].
    pub(crate) fn totals(&self) -> Totals {
        self.raw().since(&lock(&self.baseline))
    }

    /// Forgets the maxima, and with `all` every sum.
    pub(crate) fn clear(&self, all: bool) {
        self.most.store(self.current(), Relaxed);
        let mut meters = lock(&self.meters);
        meters.sessions.max = meters.sessions.rate;
        meters.requests.max = meters.requests.rate;
        drop(meters);
        for sliding in self.shards.iter().flat_map(|s| &s.times) {
            sliding.max.0.store(0, Relaxed);
        }
        if all {
            *lock(&self.baseline) = self.raw();
        }
    }

    /// Takes a sample of the rates; ten times a second.
    pub(crate) fn sample(&self) {
        let raw = self.raw();
        let mut meters = lock(&self.meters);
        meters.sessions.sample(raw.total);
        meters.requests.sample(raw.requests);
    }

    /// Takes in the sums of a process before, by their names; before the first stream.
    pub(crate) fn restore(&self, of: impl Fn(&str) -> u64) {
        self.shards[0].restore(of);
        let raw = self.raw();
        let mut meters = lock(&self.meters);
        meters.sessions = Meter::from(raw.total);
        meters.requests = Meter::from(raw.requests);
    }

    /// Rates now.
    pub(crate) fn meters(&self) -> Meters {
        lock(&self.meters).clone()
    }
}

/// Value below which `share` of the counts lie, in microseconds; 0 without counts.
pub(crate) fn quantile_us(counts: &[u64; BUCKETS], per_mille: u64) -> u64 {
    let total: u64 = counts.iter().sum();
    let wanted = (total * per_mille).div_ceil(1000);
    let mut seen = 0;
    for (bucket, count) in counts.iter().enumerate() {
        seen += count;
        if total > 0 && seen >= wanted {
            return bucket_end_us(bucket);
        }
    }
    0
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn shards_add_up_and_clear_keeps_what_runs() {
        let counters = Counters::new(2);
        counters.begin(0);
        counters.begin(1);
        counters.shard(1).bytes_in.add(5);
        counters.end(0, 7);
        assert_eq!((counters.current(), counters.most(), counters.last_ms()), (1, 2, Some(7)));
        assert_eq!((counters.totals().total, counters.totals().bytes_in), (2, 5));
        counters.clear(true);
        assert_eq!((counters.totals().total, counters.current(), counters.most()), (0, 1, 1));
        assert_eq!(counters.raw().total, 2);
    }

    #[test]
    fn rate_is_of_the_last_second() {
        let mut meter = Meter::default();
        for total in 1..=20 {
            meter.sample(total * 3);
        }
        assert_eq!((meter.rate, meter.max), (30, 30));
        (0..10).for_each(|_| meter.sample(60));
        assert_eq!((meter.rate, meter.max), (0, 30));
    }

    #[test]
    fn mean_forgets_slowly() {
        let counters = Counters::new(1);
        let times = |total| Times { total, ..Times::default() };
        (0..2000).for_each(|_| counters.times(0, times(1000)));
        assert_eq!(counters.mean_and_max().0.total, 1000);
        (0..9000).for_each(|_| counters.times(0, times(10)));
        assert!(counters.mean_and_max().0.total < 20);
        assert_eq!(counters.mean_and_max().1.total, 1000);
    }

    proptest! {
        #[test]
        fn bucket_holds_its_value(us in 0u64..60_000_000) {
            let b = bucket(us);
            prop_assert!(us < bucket_end_us(b));
            prop_assert!(b == 0 || bucket_end_us(b - 1) <= us);
        }
    }
}
