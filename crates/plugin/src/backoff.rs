//! The pauses between retries: they grow, and agents that failed together do not come back together.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Draws pauses between a shortest and a longest one.
#[derive(Debug)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    /// A source of numbers that differs between processes; nothing secret hangs on it.
    random: RandomState,
    drawn: u64,
}

impl Backoff {
    /// Pauses from `min` to `max`.
    pub fn new(min: Duration, max: Duration) -> Self {
        Self {
            min,
            max: max.max(min),
            random: RandomState::new(),
            drawn: 0,
        }
    }

    /// The pause after the `attempts`-th failure in a row (from 1): drawn between the half and the whole of
    /// `min` doubled with each failure, and never outside of `min` and `max`.
    pub fn pause(&mut self, attempts: u32) -> Duration {
        let doublings = attempts.saturating_sub(1).min(31);
        let whole = self.min.saturating_mul(1 << doublings).min(self.max);
        self.drawn = self.drawn.wrapping_add(1);
        let share = u32::from(self.random.hash_one(self.drawn) as u16);
        let half = whole / 2;
        (half + half.saturating_mul(share) / u32::from(u16::MAX)).clamp(self.min, self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_from_the_shortest_to_the_longest_and_differ() {
        let (min, max) = (Duration::from_millis(100), Duration::from_secs(30));
        let mut backoff = Backoff::new(min, max);
        assert_eq!(backoff.pause(1), min);
        for attempts in 2..100 {
            let whole = (min * 2u32.saturating_pow(attempts - 1).min(1 << 20)).min(max);
            let pause = backoff.pause(attempts);
            assert!(pause >= whole / 2 && pause <= whole, "{attempts}: {pause:?}");
        }
        let drawn: std::collections::HashSet<_> = (0..100).map(|_| backoff.pause(u32::MAX)).collect();
        assert!(drawn.len() > 50, "agents are spread: {}", drawn.len());
    }

    #[test]
    fn odd_limits_are_borne() {
        let mut backoff = Backoff::new(Duration::from_secs(5), Duration::from_secs(1));
        assert_eq!(backoff.pause(9), Duration::from_secs(5));
        let mut backoff = Backoff::new(Duration::ZERO, Duration::MAX);
        assert_eq!(backoff.pause(0), Duration::ZERO);
        let mut backoff = Backoff::new(Duration::from_secs(u64::MAX), Duration::MAX);
        assert!(backoff.pause(40) >= Duration::from_secs(u64::MAX));
    }
}
