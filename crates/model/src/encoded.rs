//! The encoded forms of one batch.

use std::sync::OnceLock;

use crate::EncodingId;

/// The bytes of a batch in each encoding that was used.
///
/// A linked list that only grows, so that references to its bytes stay valid without a lock. A batch has few encodings.
#[derive(Debug, Default)]
pub(crate) struct EncodedForms(OnceLock<Box<Encoded>>);

#[derive(Debug)]
struct Encoded {
    id: EncodingId,
    parameters: Box<str>,
    bytes: OnceLock<Vec<u8>>,
    next: EncodedForms,
}

impl EncodedForms {
    /// Returns the bytes in an encoding; calls `encode` on first use.
    pub(crate) fn get_or_encode(
        &self,
        id: &EncodingId,
        parameters: &str,
        encode: impl FnOnce() -> Vec<u8>,
    ) -> &[u8] {
        let mut list = self;
        loop {
            let encoded = list.0.get_or_init(|| {
                Box::new(Encoded {
                    id: id.clone(),
                    parameters: parameters.into(),
                    bytes: OnceLock::new(),
                    next: Self::default(),
                })
            });
            if encoded.is(id, parameters) {
                return encoded.bytes.get_or_init(encode);
            }
            list = &encoded.next;
        }
    }

    /// Whether the batch was encoded in this encoding.
    pub(crate) fn has(&self, id: &EncodingId, parameters: &str) -> bool {
        let mut list = self;
        while let Some(encoded) = list.0.get() {
            if encoded.is(id, parameters) {
                return encoded.bytes.get().is_some();
            }
            list = &encoded.next;
        }
        false
    }
}

impl Encoded {
    fn is(&self, id: &EncodingId, parameters: &str) -> bool {
        self.id == *id && *self.parameters == *parameters
    }
}
