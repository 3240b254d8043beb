//! HMAC-SHA256, by the implementation that is the faster one on this processor.
//!
//! Measured with the content of an instance's sample, about 2 kB: with SHA instructions the `sha2` crate is some
//! 5 % faster than AWS-LC; without them AWS-LC, which is linked for TLS anyway, is 1.4 times as fast as `sha2`.

use aws_lc_rs::hmac;
use sha2::{Digest, Sha256};

/// The bytes that SHA-256 takes at a time.
const BLOCK: usize = 64;

/// A key, in a state from which each authentication goes on.
#[derive(Clone)]
pub(crate) enum Hmac {
    /// For processors that have instructions for SHA-256.
    Instructions {
        /// The inner hash after the key.
        inner: Sha256,
        /// The outer hash after the key.
        outer: Sha256,
    },
    /// For others.
    Software(Box<hmac::Key>),
}

impl Hmac {
    /// From a key of any length.
    pub(crate) fn new(key: &[u8]) -> Self {
        if has_instructions() {
            Self::with_instructions(key)
        } else {
            Self::in_software(key)
        }
    }

    /// The `sha2` crate works without the instructions, too, but slower.
    fn with_instructions(key: &[u8]) -> Self {
        let hashed;
        let key = if key.len() > BLOCK {
            hashed = Sha256::digest(key);
            hashed.as_slice()
        } else {
            key
        };
        let keyed = |pad: u8| {
            let mut block = [pad; BLOCK];
            for (byte, key) in block.iter_mut().zip(key) {
                *byte ^= key;
            }
            Sha256::new().chain_update(block)
        };
        Self::Instructions {
            inner: keyed(0x36),
            outer: keyed(0x5c),
        }
    }

    fn in_software(key: &[u8]) -> Self {
        Self::Software(Box::new(hmac::Key::new(hmac::HMAC_SHA256, key)))
    }

    /// The authentication code of a content that stands in several places.
    pub(crate) fn authenticate<'a>(&self, parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
        let mut code = [0; 32];
        match self {
            Self::Instructions { inner, outer } => {
                let mut inner = inner.clone();
                for part in parts {
                    inner.update(part);
                }
                code.copy_from_slice(&outer.clone().chain_update(inner.finalize()).finalize());
            }
            Self::Software(key) => {
                let mut context = hmac::Context::with_key(key);
                for part in parts {
                    context.update(part);
                }
                // Both have the 32 bytes of SHA-256.
                for (to, from) in code.iter_mut().zip(context.sign().as_ref()) {
                    *to = *from;
                }
            }
        }
        code
    }
}

/// Whether the processor has the instructions that the `sha2` crate uses.
fn has_instructions() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("sha") && std::arch::is_x86_feature_detected!("sse4.1");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("sha2");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return false;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_implementations_give_the_same_codes() {
        // RFC 4231, test cases 1, 2 and 6: a short key, a text key, a key longer than a block.
        let vectors: [(&[u8], &[u8], &str); 3] = [
            (
                &[0x0b; 20],
                b"Hi There",
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            ),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
        ];
        for (key, content, expected) in vectors {
            for hmac in [Hmac::with_instructions(key), Hmac::in_software(key)] {
                let (first, second) = content.split_at(3);
                let code = hmac.authenticate([first, b"", second]);
                let text: String = code.iter().map(|byte| format!("{byte:02x}")).collect();
                assert_eq!(text, expected);
            }
        }
    }
}
