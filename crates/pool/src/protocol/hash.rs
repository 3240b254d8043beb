//! The protocol's hash function: SipHash-1-3 with key 0.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

/// Hashes several texts, each with its length in front, so that different lists have different inputs.
pub(super) fn hash_fields(fields: &[&str]) -> u64 {
    let mut bytes = Vec::new();
    for field in fields {
        bytes.extend_from_slice(&u64::try_from(field.len()).unwrap_or(u64::MAX).to_be_bytes());
        bytes.extend_from_slice(field.as_bytes());
    }
    hash(&bytes)
}

/// Hashes bytes.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(bytes);
    hasher.finish()
}
