//! How batches become bytes: the trait that publishers implement, and the names of encodings.

use std::borrow::Cow;
use std::fmt;

use crate::{Batch, Payload, PayloadKind};

/// The name and the version of an encoding, as a spool stores them with the bytes.
///
/// The version changes when bytes of the former version cannot be read as bytes of the new one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EncodingId {
    name: Cow<'static, str>,
    version: u16,
}

impl EncodingId {
    /// The longest name, in bytes: a spool has so much room for it.
    pub const MAX_NAME: usize = 32;

    /// An encoding of a program: lowercase letters, digits and hyphens, at most [`EncodingId::MAX_NAME`] bytes.
    pub const fn new(name: &'static str, version: u16) -> Self {
        Self {
            name: Cow::Borrowed(name),
            version,
        }
    }

    /// An encoding that was read from a spool. This program may not have it.
    pub fn stored(name: String, version: u16) -> Self {
        Self {
            name: Cow::Owned(name),
            version,
        }
    }

    /// Its name, for example `json-lines`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its version.
    pub fn version(&self) -> u16 {
        self.version
    }

    /// Whether a spool can store the name: it is not empty, not longer than [`EncodingId::MAX_NAME`], and has only
    /// lowercase letters, digits and hyphens.
    pub fn is_valid(&self) -> bool {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        (1..=Self::MAX_NAME).contains(&self.name.len()) && self.name.bytes().all(fits)
    }
}

/// `json-lines/1`
impl fmt::Display for EncodingId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.name, self.version)
    }
}

/// Turns batches into bytes, and bytes that a spool stored into their payload again.
///
/// A publisher declares the encoding that its spool stores. Publishers whose encodings have the same id and the same
/// parameters share the bytes of a batch: it is encoded once for all of them.
///
/// ```
/// use nephoscope_model::{Batch, Encoding, EncodingId};
///
/// /// The names of the meters, one in a line.
/// #[derive(Debug)]
/// struct Names;
///
/// impl Encoding for Names {
///     fn id(&self) -> EncodingId {
///         EncodingId::new("names", 1)
///     }
///
///     fn encode(&self, batch: &Batch) -> Vec<u8> {
///         let names = batch.samples().iter().map(|sample| format!("{}\n", sample.meter.name));
///         names.collect::<String>().into_bytes()
///     }
/// }
///
/// let batch = Batch::new(Vec::new(), "openstack".into());
/// assert_eq!(batch.encoded(&Names)?, b"");
/// # Ok::<(), nephoscope_model::WrongEncoding>(())
/// ```
pub trait Encoding: fmt::Debug + Send + Sync + 'static {
    /// Its name and version.
    fn id(&self) -> EncodingId;

    /// What tells encodings apart that have the same id and whose options give other bytes. It is not stored: bytes
    /// of all of them are read alike.
    fn parameters(&self) -> &str {
        ""
    }

    /// Whether it encodes batches of this kind. Only samples by default.
    fn takes(&self, kind: PayloadKind) -> bool {
        kind == PayloadKind::Samples
    }

    /// The payload of `batch` as bytes. Only called with batches that have their payload, of a kind that it takes.
    fn encode(&self, batch: &Batch) -> Vec<u8>;

    /// The payload of bytes that [`Encoding::encode`] gave, for publishers that need the samples again after a spool
    /// stored them.
    ///
    /// # Errors
    ///
    /// [`DecodeError::NotSupported`] by default; an error where the bytes are not what `encode` gives.
    fn decode(&self, bytes: &[u8]) -> Result<Payload, DecodeError> {
        let _ = bytes;
        Err(DecodeError::NotSupported)
    }
}

/// Why stored bytes give no payload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The encoding only encodes.
    #[error("the encoding does not decode")]
    NotSupported,
    /// The bytes are not of this encoding, or damaged.
    #[error("the bytes do not decode: {0}")]
    Malformed(String),
    /// The bytes are of another encoding.
    #[error(transparent)]
    WrongEncoding(#[from] WrongEncoding),
}

/// A stored batch was asked for in another encoding than the one it was stored in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the batch is stored as {stored}, not as {wanted}")]
pub struct WrongEncoding {
    /// The encoding of the stored bytes.
    pub stored: EncodingId,
    /// The encoding that was asked for.
    pub wanted: EncodingId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_plain() {
        for name in ["json-lines", "otlp2", &"a".repeat(32)] {
            assert!(EncodingId::stored(name.to_owned(), 1).is_valid(), "{name}");
        }
        for name in ["", "JSON", "a b", "a/b", "ä", &"a".repeat(33)] {
            assert!(!EncodingId::stored(name.to_owned(), 1).is_valid(), "{name}");
        }
    }
}
