//! The last hour of a server in steps of ten seconds: requests, errors, times. Pure; bounded.

use std::collections::VecDeque;

use crate::stats::{BUCKETS, Totals, quantile_us};

/// Steps that are kept: an hour.
pub(crate) const STEPS: usize = 360;

/// One step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Point {
    /// Streams that began.
    pub requests: u64,
    /// Connections and answers that failed, 5xx among them.
    pub errors: u64,
    /// Time below which half of the streams ended.
    pub p50_us: u64,
    /// Time below which 99 of 100 streams ended.
    pub p99_us: u64,
}

/// The steps so far, the oldest first.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    points: VecDeque<Point>,
    last: Totals,
    counts: [u64; BUCKETS],
}

impl Default for Series {
    fn default() -> Self {
        Series { points: VecDeque::new(), last: Totals::default(), counts: [0; BUCKETS] }
    }
}

impl Series {
    /// Takes in the sums since the start, ten seconds after the last call.
    pub(crate) fn step(&mut self, totals: Totals, counts: [u64; BUCKETS]) {
        let grown = totals.since(&self.last);
        let mut fresh = counts;
        for (new, old) in fresh.iter_mut().zip(self.counts) {
            *new = new.saturating_sub(old);
        }
        if self.points.len() == STEPS {
            self.points.pop_front();
        }
        self.points.push_back(Point {
            requests: grown.total,
            errors: grown.connection_errors + grown.response_errors + grown.answers_5xx,
            p50_us: quantile_us(&fresh, 500),
            p99_us: quantile_us(&fresh, 990),
        });
        (self.last, self.counts) = (totals, counts);
    }

    /// The steps, the oldest first.
    pub(crate) fn points(&self) -> impl Iterator<Item = &Point> + Clone {
        self.points.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_what_grew_and_an_hour_is_kept() {
        let mut series = Series::default();
        let mut counts = [0; BUCKETS];
        for n in 1..=400 {
            counts[20] += 10;
            let totals = Totals { total: n * 10, answers_5xx: n, ..Totals::default() };
            series.step(totals, counts);
        }
        assert_eq!(series.points().count(), STEPS);
        let last = series.points().last().unwrap();
        assert_eq!((last.requests, last.errors), (10, 1));
        assert!(last.p50_us > 0 && last.p50_us == last.p99_us);
        series.step(series.last.clone(), counts);
        assert_eq!(*series.points().last().unwrap(), Point::default());
    }
}
