//! Failures of a resource, a poll or a discovery run.

use std::error::Error;
use std::fmt;

/// How the engine treats a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum FailureKind {
    /// The service returned an error or an unreadable answer. The next cycle retries.
    Transient,
    /// The service could not be reached (connect, TLS, timeout, no token). In a pool this agent gives up the work, because
    /// another agent may reach the service.
    Unreachable,
    /// This resource will keep failing. It is backed off for more and more cycles, at most an hour.
    Permanent,
    /// This resource, service or machine does not support the request. Not an error. The engine does not log it in each
    /// cycle: a plugin that ends a whole discovery run or poll with it logs it once.
    NotSupported,
    /// The run was ended by its deadline, by a reload or by the end of the program.
    Stopped,
    /// A bug in the plugin: a panic, an undeclared meter, a value that is not a number.
    Defect,
}

impl FailureKind {
    /// All kinds, in declaration order.
    pub const ALL: [Self; 6] = [
        Self::Transient,
        Self::Unreachable,
        Self::Permanent,
        Self::NotSupported,
        Self::Stopped,
        Self::Defect,
    ];

    /// The value in logs, metrics and the admin API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Unreachable => "unreachable",
            Self::Permanent => "permanent",
            Self::NotSupported => "not_supported",
            Self::Stopped => "stopped",
            Self::Defect => "defect",
        }
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// A failure of a resource, a poll or a discovery run: its kind, and a message for the operator.
///
/// Messages are lowercase fragments and never contain a secret.
#[derive(Debug)]
pub struct Failure {
    kind: FailureKind,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Failure {
    /// A failure of this kind.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    /// See [`FailureKind::Transient`].
    pub fn transient(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Transient, message)
    }

    /// See [`FailureKind::Unreachable`].
    pub fn unreachable(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Unreachable, message)
    }

    /// See [`FailureKind::Permanent`].
    pub fn permanent(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Permanent, message)
    }

    /// See [`FailureKind::NotSupported`].
    pub fn not_supported(message: impl Into<String>) -> Self {
        Self::new(FailureKind::NotSupported, message)
    }

    /// Adds the cause.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The kind.
    pub fn kind(&self) -> FailureKind {
        self.kind
    }

    /// The message and all causes, as `message: cause: cause`.
    pub fn chain(&self) -> String {
        let mut text = self.message.clone();
        let mut source = self.source();
        while let Some(error) = source {
            text.push_str(": ");
            text.push_str(&error.to_string());
            source = error.source();
        }
        text
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_lists_every_cause_once() {
        let failure = Failure::unreachable("cannot list volumes")
            .caused_by(std::io::Error::other("connection refused"));
        assert_eq!(failure.chain(), "cannot list volumes: connection refused");
        assert_eq!(failure.to_string(), "cannot list volumes");
    }
}
