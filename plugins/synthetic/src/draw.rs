//! Pseudo-random numbers that are the same on every agent: derived from a seed and names.

/// A pseudo-random number for one purpose, independent of other purposes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Draw(u64);

impl Draw {
    /// Starts with the seed of the options.
    pub(crate) fn new(seed: u64, purpose: &str) -> Self {
        Self(mix(seed ^ text(purpose)))
    }

    /// Mixes in a name.
    pub(crate) fn of(self, name: &str) -> Self {
        Self(mix(self.0 ^ text(name)))
    }

    /// Mixes in a number.
    pub(crate) fn at(self, number: i64) -> Self {
        Self(mix(self.0 ^ mix(number.cast_unsigned())))
    }

    /// Returns an integer.
    pub(crate) fn number(self) -> u64 {
        self.0
    }

    /// Returns a number from 0 up to, but not including, 1.
    pub(crate) fn share(self) -> f64 {
        // The 53 bits that a floating-point number can hold.
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// FNV-1a: names are short, and collisions are harmless.
fn text(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The output function of splitmix64.
fn mix(mut bits: u64) -> u64 {
    bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_uniform_and_depend_on_all_inputs() {
        let draw = Draw::new(1, "test");
        let low = (0..10_000)
            .filter(|number| draw.at(*number).share() < 0.1)
            .count();
        assert!((900..1100).contains(&low), "{low}");
        let numbers = [
            draw.of("a").at(1).number(),
            draw.of("a").at(2).number(),
            draw.of("b").at(1).number(),
            Draw::new(2, "test").of("a").at(1).number(),
            Draw::new(1, "other").of("a").at(1).number(),
        ];
        for (index, number) in numbers.iter().enumerate() {
            assert!(!numbers[..index].contains(number));
        }
    }
}
