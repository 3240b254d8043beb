//! What cannot be read, and why.

use super::member::Versions;

/// A key or value that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
#[error("{key}: {reason}")]
pub struct BadValue {
    /// The key as it stands in etcd; bytes that are no text are escaped.
    pub key: String,
    /// What is wrong.
    pub reason: BadReason,
}

/// What is wrong with a key or value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum BadReason {
    /// The key is none of the protocol's.
    #[error("not a key of the protocol")]
    Key,
    /// There is too much of something.
    #[error("more than {1} {0}")]
    TooMuch(&'static str, usize),
    /// It is no JSON, or not of the form of its kind.
    #[error("{0}")]
    Form(String),
    /// A field has a value that cannot be.
    #[error("`{0}` has a value that cannot be")]
    Field(&'static str),
    /// It was written in versions that this program does not know.
    #[error("written in protocol {} with hash {}", .0.protocol, .0.hash)]
    Versions(Versions),
}
