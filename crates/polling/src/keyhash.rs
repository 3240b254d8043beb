//! 128-bit hashes of resource keys, for sets that do not store the keys.
//!
//! Tenants choose some keys, so every process uses a random hash key, which prevents forced collisions.

use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};

use parking_lot::Mutex;
use siphasher::sip128::{Hasher128, SipHasher13};

/// A keyed hasher for resource keys.
#[derive(Debug, Clone)]
pub struct KeyHasher(SipHasher13);

impl Default for KeyHasher {
    fn default() -> Self {
        // Two states provide two independent random numbers.
        let random = || RandomState::new().build_hasher().finish();
        Self(SipHasher13::new_with_keys(random(), random()))
    }
}

impl KeyHasher {
    /// Hashes a key.
    pub fn hash(&self, key: &str) -> u128 {
        let mut hasher = self.0;
        hasher.write(key.as_bytes());
        hasher.finish128().as_u128()
    }
}

/// A set of the keys seen in a cycle; 37 bytes per key.
#[derive(Debug, Default)]
pub struct KeySet(Mutex<HashSet<u128, BuildHasherDefault<Identity>>>);

impl KeySet {
    /// Adds a key; returns `false` if it was already present.
    pub fn insert(&self, hash: u128) -> bool {
        self.0.lock().insert(hash)
    }
}

/// A hasher for hashes: it truncates them.
#[derive(Debug, Default, Clone, Copy)]
struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, hash: u128) {
        self.0 = hash as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_new_only_once() {
        let (hasher, seen) = (KeyHasher::default(), KeySet::default());
        assert!(seen.insert(hasher.hash("vm-1")));
        assert!(seen.insert(hasher.hash("vm-2")));
        assert!(!seen.insert(hasher.hash("vm-1")));
    }
}
