//! Errors of etcd, as far as the protocol distinguishes them.

use std::error::Error as _;
use std::fmt::Write as _;
use std::time::Duration;

use etcd_client::Error;

/// The error of a call to etcd.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// No endpoint is reachable: a write was not executed.
    #[error("cannot reach etcd: {reason}")]
    Unreachable {
        /// The error of each endpoint.
        reason: String,
    },
    /// An endpoint received the request and did not answer: a write may have been executed, or may still be.
    #[error("no answer from etcd: {reason}")]
    Unanswered {
        /// The endpoint, and the timeout or the broken connection.
        reason: String,
    },
    /// The reachable endpoints belong to a cluster without a majority: a write was not executed.
    #[error("etcd has no leader: {reason}")]
    NoLeader {
        /// etcd's message.
        reason: String,
    },
    /// The user has no permission for this under the prefix.
    #[error(
        "permission denied by etcd; grant the user a role with readwrite permission on the prefix: {reason}"
    )]
    PermissionDenied {
        /// etcd's message.
        reason: String,
    },
    /// etcd does not know the user, or the password is wrong.
    #[error("etcd rejected `user` and `password`: {reason}")]
    Credentials {
        /// etcd's message.
        reason: String,
    },
    /// etcd rejects writes because its database has reached the quota.
    #[error(
        "etcd's database exceeds its quota (alarm NOSPACE); compact and defragment it, then disarm the alarm"
    )]
    NoSpace,
    /// The lease of a write does not exist.
    #[error("the lease does not exist")]
    LeaseGone,
    /// The requested revision is compacted.
    #[error("etcd has compacted the revision")]
    Compacted,
    /// etcd was wiped, restored or replaced. All previous knowledge of it is void. The next call uses the new etcd as if it
    /// were the first.
    #[error("etcd has lost its history: {reason}")]
    HistoryChanged {
        /// How it was detected.
        reason: String,
    },
    /// The answer is larger than any data of a pool.
    #[error("the data under {under} in etcd exceeds {limit}")]
    TooLarge {
        /// The keys.
        under: String,
        /// The limit.
        limit: &'static str,
    },
    /// A file in `tls` cannot be used.
    #[error("`coordination.tls` cannot be used: {reason}")]
    Tls {
        /// The option and the error.
        reason: String,
    },
    /// Any other error of etcd.
    #[error("etcd rejected the request: {reason}")]
    Rejected {
        /// etcd's message.
        reason: String,
    },
}

impl StoreError {
    /// Returns whether a failed write may have been executed, or may still be.
    pub fn may_have_happened(&self) -> bool {
        matches!(self, Self::Unanswered { .. })
    }

    /// Returns whether the error may resolve itself: it is neither a configuration error nor an exceeded quota.
    pub fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::Unanswered { .. }
                | Self::NoLeader { .. }
                | Self::LeaseGone
                | Self::Compacted
                | Self::HistoryChanged { .. }
        )
    }

    /// Returns the name of the error in readiness and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "etcd_unreachable",
            Self::Unanswered { .. } => "etcd_no_answer",
            Self::NoLeader { .. } => "etcd_no_leader",
            Self::PermissionDenied { .. } => "etcd_permission_denied",
            Self::Credentials { .. } => "etcd_credentials",
            Self::NoSpace => "etcd_quota_exceeded",
            Self::LeaseGone => "etcd_lease_gone",
            Self::Compacted => "etcd_compacted",
            Self::HistoryChanged { .. } => "etcd_wiped",
            Self::TooLarge { .. } => "etcd_too_large",
            Self::Tls { .. } => "etcd_tls",
            Self::Rejected { .. } => "etcd_error",
        }
    }

    pub(super) fn timed_out(endpoint: &str, limit: Duration) -> Self {
        Self::Unanswered {
            reason: format!("{endpoint} did not answer within {} ms", limit.as_millis()),
        }
    }
}

/// The error of an attempt at one endpoint.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) error: StoreError,
    pub(super) retry: Retry,
}

/// How a failed attempt can be retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retry {
    /// Not at all: the answer is final.
    Never,
    /// At another endpoint, or at the same one later; the connection is healthy.
    OtherEndpoint,
    /// Over a new connection: this one is broken.
    Reconnect,
    /// Over a new connection to the same endpoint, which gets a new token. The request was rejected before it had an
    /// effect.
    Authenticate,
}

/// gRPC status codes as numbers: the crate that names them is not a dependency.
mod code {
    pub(super) const CANCELLED: i32 = 1;
    pub(super) const UNKNOWN: i32 = 2;
    pub(super) const INVALID_ARGUMENT: i32 = 3;
    pub(super) const DEADLINE_EXCEEDED: i32 = 4;
    pub(super) const NOT_FOUND: i32 = 5;
    pub(super) const PERMISSION_DENIED: i32 = 7;
    pub(super) const RESOURCE_EXHAUSTED: i32 = 8;
    pub(super) const FAILED_PRECONDITION: i32 = 9;
    pub(super) const OUT_OF_RANGE: i32 = 11;
    pub(super) const INTERNAL: i32 = 13;
    pub(super) const UNAVAILABLE: i32 = 14;
    pub(super) const UNAUTHENTICATED: i32 = 16;
}

/// etcd's messages (`api/v3rpc/rpctypes/error.go` of etcd), where the codes are ambiguous.
mod text {
    pub(super) const PREFIX: &str = "etcdserver: ";
    pub(super) const NO_LEADER: &str = "etcdserver: no leader";
    pub(super) const USER_EMPTY: &str = "etcdserver: user name is empty";
    pub(super) const OLD_AUTH_REVISION: &str = "etcdserver: revision of auth store is old";
    pub(super) const AUTH_FAILED: &str = "etcdserver: authentication failed, invalid user ID or password";
    pub(super) const AUTH_NOT_ENABLED: &str = "etcdserver: authentication is not enabled";
    pub(super) const NO_SPACE: &str = "etcdserver: mvcc: database space exceeded";
    pub(super) const LEASE_NOT_FOUND: &str = "etcdserver: requested lease not found";
    pub(super) const LEASE_EXISTS: &str = "etcdserver: lease already exists";
    pub(super) const COMPACTED: &str = "etcdserver: mvcc: required revision has been compacted";
    /// From etcd-client.
    pub(super) const KEEPALIVE_NOT_FOUND: &str = "lease not found";
    /// From tonic, for a message above the client's limit.
    pub(super) const MESSAGE_TOO_LARGE: &str = "message length too large";
}

/// Returns whether etcd reports that authentication is not enabled.
pub(super) fn is_auth_disabled(error: &Error) -> bool {
    matches!(error, Error::GRpcStatus(status) if status.message() == text::AUTH_NOT_ENABLED)
}

/// Returns whether a lease with this id already exists.
pub(super) fn lease_exists(error: &Error) -> bool {
    matches!(error, Error::GRpcStatus(status) if status.message() == text::LEASE_EXISTS)
}

/// Classifies a client error at `endpoint`.
pub(super) fn failed(error: &Error, endpoint: &str) -> Failed {
    let of = |error, retry| Failed { error, retry };
    let status = match error {
        Error::GRpcStatus(status) => status,
        Error::LeaseKeepAliveError(text) if text == text::KEEPALIVE_NOT_FOUND => {
            return of(StoreError::LeaseGone, Retry::Never);
        }
        // From a closed channel, or a stream that ended without a status.
        _ => {
            let reason = format!("{endpoint}: {error}");
            return of(StoreError::Unanswered { reason }, Retry::Reconnect);
        }
    };
    let message = status.message();
    let reason = || format!("{endpoint}: {message}");
    let number = i32::from(status.code());
    match (number, message) {
        (_, text::NO_LEADER) => of(StoreError::NoLeader { reason: reason() }, Retry::OtherEndpoint),
        (_, text::NO_SPACE) => of(StoreError::NoSpace, Retry::Never),
        (_, text::COMPACTED) => of(StoreError::Compacted, Retry::Never),
        (code::NOT_FOUND, text::LEASE_NOT_FOUND) => of(StoreError::LeaseGone, Retry::Never),
        (_, text::AUTH_FAILED) => of(StoreError::Credentials { reason: reason() }, Retry::Never),
        (code::UNAUTHENTICATED, _) | (_, text::USER_EMPTY | text::OLD_AUTH_REVISION) => {
            of(StoreError::Credentials { reason: reason() }, Retry::Authenticate)
        }
        (code::PERMISSION_DENIED, _) => of(StoreError::PermissionDenied { reason: reason() }, Retry::Never),
        (code::OUT_OF_RANGE, _) if message.contains(text::MESSAGE_TOO_LARGE) => {
            let error = StoreError::TooLarge {
                under: endpoint.to_owned(),
                limit: "4 MiB in one message",
            };
            of(error, Retry::Never)
        }
        // The leader changes, the disk is slow, the server is busy: etcd's message, over a healthy connection.
        (code::UNAVAILABLE | code::UNKNOWN | code::DEADLINE_EXCEEDED | code::RESOURCE_EXHAUSTED, _)
            if message.starts_with(text::PREFIX) =>
        {
            of(StoreError::Unanswered { reason: reason() }, Retry::OtherEndpoint)
        }
        (
            code::UNAVAILABLE | code::UNKNOWN | code::DEADLINE_EXCEEDED | code::CANCELLED | code::INTERNAL,
            _,
        ) => {
            let reason = format!("{endpoint}: {}", with_causes(message, status.source()));
            of(StoreError::Unanswered { reason }, Retry::Reconnect)
        }
        (code::INVALID_ARGUMENT | code::FAILED_PRECONDITION, _) => {
            of(StoreError::Rejected { reason: reason() }, Retry::Never)
        }
        _ => of(StoreError::Rejected { reason: reason() }, Retry::Never),
    }
}

/// Returns the text of a status and of its sources, such as a refused connection or an untrusted certificate.
pub(super) fn with_causes(message: &str, mut cause: Option<&(dyn std::error::Error + 'static)>) -> String {
    let mut text = message.to_owned();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            let _ = write!(text, ": {next}");
        }
        cause = error.source();
    }
    text
}
