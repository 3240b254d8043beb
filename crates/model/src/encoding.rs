//! The names of encodings, and errors of decoding.

use std::borrow::Cow;
use std::fmt;

/// The name and the version of an encoding, which a spool stores with the bytes.
///
/// A new version is needed when the bytes of the previous one cannot be read as bytes of the new one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EncodingId {
    name: Cow<'static, str>,
    version: u16,
}

impl EncodingId {
    /// The length limit of a name in bytes, given by the format of the spool.
    pub const MAX_NAME: usize = 32;

    /// Creates the id of an encoding of this program: lowercase letters, digits and hyphens, at most [`EncodingId::MAX_NAME`]
    /// bytes.
    pub const fn new(name: &'static str, version: u16) -> Self {
        Self {
            name: Cow::Borrowed(name),
            version,
        }
    }

    /// Creates the id of an encoding that was read from a spool. This program may not support it.
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

    /// Whether a spool can store the name: it is not empty, not longer than [`EncodingId::MAX_NAME`], and contains only lowercase
    /// letters, digits and hyphens.
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

/// A failure to decode stored bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The encoding does not support decoding.
    #[error("the encoding does not support decoding")]
    NotSupported,
    /// The bytes are of another format, or corrupt.
    #[error("cannot decode the bytes: {0}")]
    Malformed(String),
    /// The bytes have another encoding.
    #[error(transparent)]
    WrongEncoding(#[from] WrongEncoding),
}

/// A stored batch was requested in an encoding other than its own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the batch is stored as {stored}, but {requested} was requested")]
pub struct WrongEncoding {
    /// The encoding of the stored bytes.
    pub stored: EncodingId,
    /// The requested encoding.
    pub requested: EncodingId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_simple() {
        for name in ["json-lines", "otlp2", &"a".repeat(32)] {
            assert!(EncodingId::stored(name.to_owned(), 1).is_valid(), "{name}");
        }
        for name in ["", "JSON", "a b", "a/b", "ä", &"a".repeat(33)] {
            assert!(!EncodingId::stored(name.to_owned(), 1).is_valid(), "{name}");
        }
    }
}
