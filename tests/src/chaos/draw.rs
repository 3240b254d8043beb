//! Random numbers from a seed, so that a run can be repeated.

use std::ops::Range;

/// A random number generator with a seed (SplitMix64).
#[derive(Debug, Clone)]
pub struct Draw(u64);

impl Draw {
    /// Creates a generator.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// Draws a number in a range.
    pub fn number(&mut self, range: Range<usize>) -> usize {
        let length = range.end.saturating_sub(range.start).max(1) as u64;
        range.start + (self.next() % length) as usize
    }

    /// Draws a duration between two numbers of seconds.
    pub fn seconds(&mut self, from: f64, to: f64) -> f64 {
        from + (to - from) * (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Draws `count` distinct numbers below `of`, in random order.
    pub fn some(&mut self, count: usize, of: usize) -> Vec<usize> {
        let mut all: Vec<_> = (0..of).collect();
        let drawn = (0..count.min(of)).map(|_| all.remove(self.number(0..all.len())));
        drawn.collect()
    }
}
