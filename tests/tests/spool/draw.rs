//! Random numbers from a seed.

use std::time::Duration;

/// A random number generator (splitmix64).
#[derive(Debug)]
pub(crate) struct Draw(u64);

impl Draw {
    /// Uses the seed in `NEPHOSCOPE_SEED`, or a new one, and prints it.
    pub(crate) fn of_this_run() -> Self {
        let given = std::env::var("NEPHOSCOPE_SEED").ok();
        let seed = given.map_or_else(unlike_others, |seed| seed.parse().expect("a seed is a number"));
        println!("NEPHOSCOPE_SEED={seed} repeats this run");
        Self(seed)
    }

    fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Draws a number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.number() % end
    }

    /// Draws a time below `end`.
    pub(crate) fn time(&mut self, end: Duration) -> Duration {
        let end = u64::try_from(end.as_micros()).expect("a short time");
        Duration::from_micros(self.below(end))
    }
}

fn unlike_others() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(0)
}

/// Returns whether this is the long run.
pub(crate) fn long() -> bool {
    std::env::var_os("NEPHOSCOPE_LONG").is_some()
}
