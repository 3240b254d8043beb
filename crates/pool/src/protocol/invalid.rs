//! Invalid keys and values.

use super::member::Versions;

/// An invalid key or value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
#[error("{key}: {reason}")]
pub struct InvalidRecord {
    /// The key in etcd; bytes that are not UTF-8 text are escaped.
    pub key: String,
    /// The reason.
    pub reason: InvalidReason,
}

/// The reason why a key or value is invalid.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum InvalidReason {
    /// The key is not part of the protocol.
    #[error("not a key of the protocol")]
    Key,
    /// A limit is exceeded.
    #[error("more than {1} {0}")]
    LimitExceeded(&'static str, usize),
    /// The value is not JSON, or lacks the form of its kind.
    #[error("{0}")]
    Form(String),
    /// A field has an invalid value.
    #[error("`{0}` has an invalid value")]
    Field(&'static str),
    /// It was written in versions that this program does not support.
    #[error("unsupported protocol {} with hash {}", .0.protocol, .0.hash)]
    Versions(Versions),
}
