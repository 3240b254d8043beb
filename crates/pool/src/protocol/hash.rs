//! The one hash of the protocol: SipHash-1-3 under the key 0.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

/// One hash of several texts, each with its length in front, so that no two lists read alike.
pub(super) fn hash_fields(fields: &[&str]) -> u64 {
    let mut bytes = Vec::new();
    for field in fields {
        bytes.extend_from_slice(&u64::try_from(field.len()).unwrap_or(u64::MAX).to_be_bytes());
        bytes.extend_from_slice(field.as_bytes());
    }
    hash(&bytes)
}

/// The hash of bytes.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(bytes);
    hasher.finish()
}
