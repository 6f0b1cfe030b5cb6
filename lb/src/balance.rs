//! Which of the eligible servers is next. Pure: weights and loads come as arguments, the only state is the credit of each server.

/// One server in the eyes of a balancing rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// Its place in the backend.
    pub position: usize,
    /// Its effective weight, over 0.
    pub weight: u32,
    /// Streams it serves now.
    pub active: u32,
}

/// Smooth weighted round robin: interleaved, not in bursts. Servers that come and go leave the others' credit alone.
#[derive(Clone, Debug, Default)]
pub(crate) struct RoundRobin {
    credit: Vec<i64>,
}

impl RoundRobin {
    /// The next server: each candidate gains its weight, the richest pays the sum.
    pub(crate) fn next(&mut self, candidates: impl Iterator<Item = Candidate>) -> Option<usize> {
        let mut total = 0;
        let mut best: Option<(i64, usize)> = None;
        for candidate in candidates {
            if self.credit.len() <= candidate.position {
                self.credit.resize(candidate.position + 1, 0);
            }
            let weight = i64::from(candidate.weight);
            let credit = &mut self.credit[candidate.position];
            *credit += weight;
            total += weight;
            if best.is_none_or(|(most, _)| *credit > most) {
                best = Some((*credit, candidate.position));
            }
        }
        let (_, position) = best?;
        self.credit[position] -= total;
        Some(position)
    }
}

/// Whether `a` is less busy than `b` for its weight. Multiplied out, so that nothing is rounded.
fn less_busy(a: Candidate, b: Candidate) -> bool {
    u64::from(a.active) * u64::from(b.weight) < u64::from(b.active) * u64::from(a.weight)
}

/// Fewest streams for its weight; `turns` breaks ties in turn.
pub(crate) fn least_busy(
    turns: &mut RoundRobin,
    candidates: impl Iterator<Item = Candidate> + Clone,
) -> Option<usize> {
    let least = candidates.clone().reduce(|a, b| if less_busy(b, a) { b } else { a })?;
    turns.next(candidates.filter(|c| !less_busy(least, *c)))
}

/// The less busy of two drawn by `seed`, weights counted.
pub(crate) fn better_of_two(
    seed: u64,
    candidates: impl Iterator<Item = Candidate> + Clone,
) -> Option<usize> {
    let total: u64 = candidates.clone().map(|c| u64::from(c.weight)).sum();
    let draw = |ticket: u64| {
        let mut left = ticket.checked_rem(total)?;
        candidates.clone().find(|c| {
            let hit = left < u64::from(c.weight);
            left = left.saturating_sub(u64::from(c.weight));
            hit
        })
    };
    let (a, b) = (draw(seed & 0xffff_ffff)?, draw(seed >> 32)?);
    Some(if less_busy(b, a) { b.position } else { a.position })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn servers(weights: &[u32]) -> impl Iterator<Item = Candidate> + Clone {
        weights.iter().enumerate().filter(|(_, w)| **w > 0).map(|(position, w)| Candidate {
            position,
            weight: *w,
            active: 0,
        })
    }

    fn picks(weights: &[u32], count: usize) -> Vec<usize> {
        let mut turns = RoundRobin::default();
        (0..count).map(|_| turns.next(servers(weights)).unwrap()).collect()
    }

    #[test]
    fn equal_servers_take_turns() {
        assert_eq!(picks(&[1, 1, 1], 6), [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn weights_are_interleaved() {
        assert_eq!(picks(&[3, 1], 8), [0, 0, 1, 0, 0, 0, 1, 0]);
    }

    #[test]
    fn weight_zero_takes_nothing() {
        assert_eq!(picks(&[1, 0, 1], 4), [0, 2, 0, 2]);
        assert_eq!(RoundRobin::default().next(servers(&[0])), None);
    }

    #[test]
    fn least_busy_counts_weight_and_takes_turns() {
        let mut turns = RoundRobin::default();
        let loads = [(4, 2), (1, 1), (2, 1)];
        let all = loads.iter().enumerate().map(|(position, (active, weight))| Candidate {
            position,
            weight: *weight,
            active: *active,
        });
        assert_eq!(least_busy(&mut turns, all), Some(1));
        let idle: Vec<_> =
            (0..4).map(|_| least_busy(&mut turns, servers(&[1, 1])).unwrap()).collect();
        assert_eq!(idle.iter().filter(|p| **p == 0).count(), 2);
    }

    proptest! {
        #[test]
        fn shares_follow_weights(weights in proptest::collection::vec(1u32..20, 1..6)) {
            let total: u32 = weights.iter().sum();
            let picks = picks(&weights, total as usize * 3);
            for (position, weight) in weights.iter().enumerate() {
                let count = picks.iter().filter(|p| **p == position).count();
                prop_assert_eq!(count, *weight as usize * 3);
            }
        }

        #[test]
        fn two_draws_hit_only_candidates(seed: u64, weights in proptest::collection::vec(0u32..9, 1..6)) {
            let hit = better_of_two(seed, servers(&weights));
            prop_assert_eq!(hit.is_some(), weights.iter().any(|w| *w > 0));
            prop_assert!(hit.is_none_or(|p| weights[p] > 0));
        }
    }
}
