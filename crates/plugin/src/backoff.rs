//! Delays between retries: exponential backoff with jitter, so that agents that failed together do not retry together.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Computes delays between a minimum and a maximum.
#[derive(Debug)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    /// A random source that differs between processes. It is not used for secrets.
    random: RandomState,
    drawn: u64,
}

impl Backoff {
    /// Creates a backoff with delays from `min` to `max`.
    pub fn new(min: Duration, max: Duration) -> Self {
        Self {
            min,
            max: max.max(min),
            random: RandomState::new(),
            drawn: 0,
        }
    }

    /// Returns the delay after `attempts` consecutive failures (from 1): a random value between half and all of
    /// `min * 2^(attempts - 1)`, clamped to `min` and `max`.
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
    fn delays_grow_from_min_to_max_with_jitter() {
        let (min, max) = (Duration::from_millis(100), Duration::from_secs(30));
        let mut backoff = Backoff::new(min, max);
        assert_eq!(backoff.pause(1), min);
        for attempts in 2..100 {
            let whole = (min * 2u32.saturating_pow(attempts - 1).min(1 << 20)).min(max);
            let pause = backoff.pause(attempts);
            assert!(pause >= whole / 2 && pause <= whole, "{attempts}: {pause:?}");
        }
        let drawn: std::collections::HashSet<_> = (0..100).map(|_| backoff.pause(u32::MAX)).collect();
        assert!(drawn.len() > 50, "delays have jitter: {}", drawn.len());
    }

    #[test]
    fn extreme_limits_are_accepted() {
        let mut backoff = Backoff::new(Duration::from_secs(5), Duration::from_secs(1));
        assert_eq!(backoff.pause(9), Duration::from_secs(5));
        let mut backoff = Backoff::new(Duration::ZERO, Duration::MAX);
        assert_eq!(backoff.pause(0), Duration::ZERO);
        let mut backoff = Backoff::new(Duration::from_secs(u64::MAX), Duration::MAX);
        assert!(backoff.pause(40) >= Duration::from_secs(u64::MAX));
    }
}
