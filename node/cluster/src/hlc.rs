//! The hybrid logical clock: 48 bits of wall milliseconds and a 16 bit counter. Knows no record.

/// Bits of a stamp's clock that count within one millisecond.
const COUNTER_BITS: u32 = 16;

/// A clock that never goes back and is ahead of every stamp it has seen.
#[derive(Debug, Default)]
pub(crate) struct Hlc {
    last: u64,
}

impl Hlc {
    /// The next stamp at wall time `now_ms`: greater than any this clock gave or saw.
    pub(crate) fn next(&mut self, now_ms: i64) -> u64 {
        self.last = from_ms(now_ms).max(self.last.saturating_add(1));
        self.last
    }

    /// Moves the clock past `hlc`, which came from elsewhere.
    pub(crate) fn see(&mut self, hlc: u64) {
        self.last = self.last.max(hlc);
    }
}

/// The wall time that `hlc` carries, in milliseconds since 1970.
#[must_use]
pub fn hlc_ms(hlc: u64) -> i64 {
    i64::try_from(hlc >> COUNTER_BITS).unwrap_or(i64::MAX)
}

/// The smallest stamp of the millisecond `now_ms`; times before 1970 count as 1970.
pub(crate) fn from_ms(now_ms: i64) -> u64 {
    let ms = u64::try_from(now_ms).unwrap_or(0).min(u64::MAX >> COUNTER_BITS);
    ms << COUNTER_BITS
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn stamps_rise_under_any_clock(steps in proptest::collection::vec((any::<i64>(), any::<Option<u32>>()), 1..200)) {
            let mut clock = Hlc::default();
            let mut last = 0;
            for (now, seen) in steps {
                if let Some(seen) = seen {
                    clock.see(u64::from(seen) << 20);
                }
                let next = clock.next(now.min(1 << 47));
                prop_assert!(next > last);
                prop_assert!(seen.is_none_or(|seen| next > u64::from(seen) << 20));
                last = next;
            }
        }
    }

    #[test]
    fn a_stamp_carries_its_wall_time() {
        let mut clock = Hlc::default();
        assert_eq!(hlc_ms(clock.next(1_700_000_000_123)), 1_700_000_000_123);
        assert_eq!(hlc_ms(clock.next(5)), 1_700_000_000_123);
    }
}
