//! The encodings of one batch, each made once.

use std::sync::OnceLock;

use crate::{Encoding, EncodingId};

/// The bytes of a batch in each encoding that was asked for.
///
/// It is a list that only grows, so that references to its bytes stay valid without a lock: a batch has few encodings.
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
    /// The bytes in `encoding`, made by `encode` if nobody has yet.
    pub(crate) fn get_or_encode(&self, encoding: &dyn Encoding, encode: impl FnOnce() -> Vec<u8>) -> &[u8] {
        let (id, parameters) = (encoding.id(), encoding.parameters());
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
            if encoded.is(&id, parameters) {
                return encoded.bytes.get_or_init(encode);
            }
            list = &encoded.next;
        }
    }

    /// Whether the bytes in `encoding` are there.
    pub(crate) fn has(&self, encoding: &dyn Encoding) -> bool {
        let (id, parameters) = (encoding.id(), encoding.parameters());
        let mut list = self;
        while let Some(encoded) = list.0.get() {
            if encoded.is(&id, parameters) {
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
