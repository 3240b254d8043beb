//! Errors between a plugin and a service.

use std::error::Error;

use nephoscope_plugin::{Failure, FailureKind};

/// Why a request to a service failed.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The configuration names no cloud; logged once.
    #[error("no credentials for OpenStack are configured")]
    NoCredentials,
    /// Keystone issued no token.
    #[error("no token from {url}")]
    NoToken {
        /// Keystone's URL.
        url: String,
        /// Keystone's answer, or why it was not reached.
        source: Box<ApiError>,
    },
    /// Authentication failed a moment ago and is backed off.
    #[error("no token: authentication backs off after a failure: {reason}")]
    AuthenticationBackoff {
        /// The error of the last attempt.
        reason: String,
    },
    /// The catalog lacks the service.
    #[error("the catalog has no {interface} endpoint of type `{service_type}`{region}")]
    NoEndpoint {
        /// The requested type.
        service_type: String,
        /// The interface.
        interface: &'static str,
        /// ` in region ...`, if a region is configured.
        region: String,
    },
    /// The endpoint in the catalog or the configuration is not a usable URL.
    #[error("the endpoint of {service} is not usable: {reason}")]
    BadEndpoint {
        /// The service.
        service: &'static str,
        /// Why.
        reason: String,
    },
    /// The service does not support a version of its API that the plugin knows.
    #[error("{service} supports {found}; {wanted} is required")]
    Version {
        /// The service.
        service: &'static str,
        /// The required version.
        wanted: String,
        /// The supported versions.
        found: String,
    },
    /// The service was not reached: no connection, no TLS session, or the connection broke before the answer.
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
        /// The time limit.
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
        /// The answer's message, as `: ...`; truncated and sanitized.
        message: String,
    },
    /// The service lacks the API at this path, for example an extension. The request is sent again later.
    #[error("{service} does not have {what}")]
    Absent {
        /// The service.
        service: &'static str,
        /// The request: method and path template.
        what: String,
    },
    /// The answer could not be parsed.
    #[error("the answer of {service} to {what} cannot be read: {reason}")]
    Answer {
        /// The service.
        service: &'static str,
        /// The request: method and path template.
        what: String,
        /// Why.
        reason: String,
    },
    /// A link leaves the endpoint; its target must not get the token.
    #[error("{service} links to {link}, which is not at its endpoint {endpoint}")]
    ForeignLink {
        /// The service.
        service: &'static str,
        /// The origin that the link leads to.
        link: String,
        /// The origin of the endpoint.
        endpoint: String,
    },
    /// The circuit is open after repeated failures.
    #[error("{service}: circuit open after repeated failures: {reason}")]
    CircuitOpen {
        /// The service.
        service: &'static str,
        /// The last failure.
        reason: String,
        /// Whether the service could not be reached.
        unreachable: bool,
    },
}

impl ApiError {
    /// Returns the HTTP status if the service answered with one.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Returns how the engine treats the failure.
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::NoCredentials
            | Self::NoEndpoint { .. }
            | Self::Version { .. }
            | Self::Absent { .. }
            | Self::Status { status: 404, .. } => FailureKind::NotSupported,
            Self::NoToken { .. }
            | Self::AuthenticationBackoff { .. }
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

    /// Whether every other request to the service would fail in the same way now.
    pub(crate) fn affects_service(&self) -> bool {
        matches!(
            self,
            Self::NoCredentials
                | Self::NoToken { .. }
                | Self::AuthenticationBackoff { .. }
                | Self::NoEndpoint { .. }
                | Self::BadEndpoint { .. }
                | Self::Version { .. }
                | Self::CircuitOpen { .. }
        )
    }

    /// Returns the error and its causes in one line.
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
