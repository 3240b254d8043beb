//! What can go wrong between a plugin and a service.

use std::error::Error;

use nephoscope_plugin::{Failure, FailureKind};

/// Why a service has not given what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The configuration names no cloud; said once in the log.
    #[error("no credentials for OpenStack are configured")]
    NoCredentials,
    /// Keystone gave no token.
    #[error("no token from {url}")]
    NoToken {
        /// Where Keystone is.
        url: String,
        /// What it said, or why it was not reached.
        source: Box<ApiError>,
    },
    /// Keystone was asked in vain a moment ago, and is not asked again yet.
    #[error("no token: the last attempt failed: {reason}")]
    TokenRefusedBefore {
        /// What the attempt ended with.
        reason: String,
    },
    /// The catalog does not have the service.
    #[error("the catalog has no {interface} endpoint of type `{service_type}`{region}")]
    NoEndpoint {
        /// The type that was looked for.
        service_type: String,
        /// The interface.
        interface: &'static str,
        /// ` in region ...`, if one is wanted.
        region: String,
    },
    /// The endpoint in the catalog or the configuration is no URL that can be asked.
    #[error("the endpoint of {service} is not usable: {reason}")]
    BadEndpoint {
        /// The service.
        service: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The service does not speak a version of its API that the plugin knows.
    #[error("{service} speaks {found}, and {wanted} is needed")]
    Version {
        /// The service.
        service: &'static str,
        /// What is needed.
        wanted: String,
        /// What it has.
        found: String,
    },
    /// The service was not reached: no connection, no TLS session, or it broke before the answer.
    #[error("{service} cannot be reached")]
    Unreachable {
        /// The service.
        service: &'static str,
        /// The reason.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The service did not answer in time.
    #[error("{service} did not answer {what} within {seconds} s")]
    TimedOut {
        /// The service.
        service: &'static str,
        /// The request.
        what: String,
        /// How long it had.
        seconds: u64,
    },
    /// The service answered with an error.
    #[error("{service} answered {status} to {what}{message}")]
    Status {
        /// The service.
        service: &'static str,
        /// The request: method and path template.
        what: String,
        /// The HTTP status.
        status: u16,
        /// What the answer says, as `: ...`; cut and cleaned.
        message: String,
    },
    /// The service does not have what the path names: an extension is not there. It is asked again later.
    #[error("{service} does not have {what}")]
    Absent {
        /// The service.
        service: &'static str,
        /// The request: method and path template.
        what: String,
    },
    /// The answer cannot be read.
    #[error("the answer of {service} to {what} cannot be read: {reason}")]
    Answer {
        /// The service.
        service: &'static str,
        /// The request: method and path template.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A link leads to another place than the endpoint, which must not get the token.
    #[error("{service} links to {link}, which is not at its endpoint {endpoint}")]
    ForeignLink {
        /// The service.
        service: &'static str,
        /// The origin that the link leads to.
        link: String,
        /// The origin of the endpoint.
        endpoint: String,
    },
    /// The service has failed several times in a row and is left alone for a while.
    #[error("{service} is left alone after repeated failures: {reason}")]
    CircuitOpen {
        /// The service.
        service: &'static str,
        /// What the last failure was.
        reason: String,
        /// Whether it could not be reached at all.
        unreachable: bool,
    },
}

impl ApiError {
    /// The HTTP status, if the service answered with one.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// What the engine is to conclude.
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::NoCredentials
            | Self::NoEndpoint { .. }
            | Self::Version { .. }
            | Self::Absent { .. }
            | Self::Status { status: 404, .. } => FailureKind::NotSupported,
            Self::NoToken { .. }
            | Self::TokenRefusedBefore { .. }
            | Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::CircuitOpen {
                unreachable: true, ..
            } => FailureKind::Unreachable,
            Self::BadEndpoint { .. }
            | Self::Status { .. }
            | Self::Answer { .. }
            | Self::ForeignLink { .. }
            | Self::CircuitOpen { .. } => FailureKind::Transient,
        }
    }

    /// Whether any other request to the service would fail in the same way now.
    pub(crate) fn is_of_the_service(&self) -> bool {
        matches!(
            self,
            Self::NoCredentials
                | Self::NoToken { .. }
                | Self::TokenRefusedBefore { .. }
                | Self::NoEndpoint { .. }
                | Self::BadEndpoint { .. }
                | Self::Version { .. }
                | Self::CircuitOpen { .. }
        )
    }

    /// The error and its causes in one line.
    pub(crate) fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = self.source();
        while let Some(error) = source {
            text.push_str(": ");
            text.push_str(&error.to_string());
            source = error.source();
        }
        text
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        let kind = error.kind();
        let message = error.to_string();
        let mut failure = Failure::new(kind, message);
        let mut causes = Vec::new();
        let mut source = error.source();
        while let Some(cause) = source {
            causes.push(cause.to_string());
            source = cause.source();
        }
        if !causes.is_empty() {
            failure = failure.caused_by(causes.join(": "));
        }
        failure
    }
}
