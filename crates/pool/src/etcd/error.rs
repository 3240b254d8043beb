//! Why etcd did not do what it was asked for, as far as the protocol makes a difference.

use std::error::Error as _;
use std::fmt::Write as _;
use std::time::Duration;

use etcd_client::Error;

/// Why a call to etcd failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// No endpoint could be asked: a write has not happened.
    #[error("cannot reach etcd: {reason}")]
    Unreachable {
        /// What happened at each endpoint.
        reason: String,
    },
    /// An endpoint was asked, and no answer came: a write may have happened, or may happen yet.
    #[error("no answer from etcd: {reason}")]
    Unanswered {
        /// From whom, and how long it was waited for or what broke.
        reason: String,
    },
    /// The endpoints that can be reached belong to a cluster without a majority: a write has not happened.
    #[error("etcd has no leader: {reason}")]
    NoLeader {
        /// etcd's own words.
        reason: String,
    },
    /// The user may not do this under the prefix.
    #[error(
        "etcd does not permit this, give the user a role with readwrite permission on the prefix: {reason}"
    )]
    PermissionDenied {
        /// etcd's own words.
        reason: String,
    },
    /// etcd does not know the user, or not with this password.
    #[error("etcd does not accept `user` and `password`: {reason}")]
    Credentials {
        /// etcd's own words.
        reason: String,
    },
    /// etcd takes no writes since its database has reached its quota.
    #[error("etcd is full (alarm NOSPACE), compact and defragment it, then disarm the alarm")]
    NoSpace,
    /// The lease of a write is gone.
    #[error("the lease is gone")]
    LeaseGone,
    /// What was to be read from is compacted.
    #[error("etcd has compacted the revision")]
    Compacted,
    /// etcd is not the one that it was: it was wiped, restored or exchanged. Everything that was known from it is void. The next call
    /// goes to the new one as if it were the first.
    #[error("etcd has lost its history: {reason}")]
    AnotherHistory {
        /// How it was noticed.
        reason: String,
    },
    /// The answer is larger than anything that the pool writes.
    #[error("what etcd has under {under} is too large: more than {limit}")]
    TooLarge {
        /// Which keys.
        under: String,
        /// The bound.
        limit: &'static str,
    },
    /// A file that `tls` names, or what is in it.
    #[error("`coordination.tls` cannot be used: {reason}")]
    Tls {
        /// Which option, and what is wrong.
        reason: String,
    },
    /// Anything else that etcd says.
    #[error("etcd refuses: {reason}")]
    Refused {
        /// etcd's own words.
        reason: String,
    },
}

impl StoreError {
    /// Whether a write may have happened although it failed, or may happen later.
    pub fn may_have_happened(&self) -> bool {
        matches!(self, Self::Unanswered { .. })
    }

    /// Whether it may be over without anybody's doing: it is no fault of the configuration, and etcd is not full.
    pub fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::Unanswered { .. }
                | Self::NoLeader { .. }
                | Self::LeaseGone
                | Self::Compacted
                | Self::AnotherHistory { .. }
        )
    }

    /// The word for it in readiness and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "etcd_unreachable",
            Self::Unanswered { .. } => "etcd_silent",
            Self::NoLeader { .. } => "etcd_without_leader",
            Self::PermissionDenied { .. } => "etcd_permission_denied",
            Self::Credentials { .. } => "etcd_credentials",
            Self::NoSpace => "etcd_full",
            Self::LeaseGone => "etcd_lease_gone",
            Self::Compacted => "etcd_compacted",
            Self::AnotherHistory { .. } => "etcd_wiped",
            Self::TooLarge { .. } => "etcd_too_large",
            Self::Tls { .. } => "etcd_tls",
            Self::Refused { .. } => "etcd_refused",
        }
    }

    pub(super) fn late(endpoint: &str, limit: Duration) -> Self {
        Self::Unanswered {
            reason: format!("{endpoint} did not answer within {} ms", limit.as_millis()),
        }
    }
}

/// What an attempt at one endpoint came to.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) error: StoreError,
    pub(super) cure: Cure,
}

/// What may help after a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cure {
    /// Nothing: the answer is an answer.
    None,
    /// Another endpoint, or the same one a little later; the connection is sound.
    Elsewhere,
    /// Another connection: this one is broken.
    Reconnect,
    /// Another connection to the same endpoint, which gets a new token. The request was refused before it did anything.
    Authenticate,
}

/// Codes of gRPC, as numbers: the crate that names them is not ours to depend on.
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

/// etcd's texts (`api/v3rpc/rpctypes/error.go` of etcd), as far as the codes do not say enough.
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
    /// Of etcd-client.
    pub(super) const KEEPALIVE_NOT_FOUND: &str = "lease not found";
    /// Of tonic, for a message above the limit of the client.
    pub(super) const MESSAGE_TOO_LARGE: &str = "message length too large";
}

/// Whether etcd says that it asks for no users at all.
pub(super) fn asks_for_no_user(error: &Error) -> bool {
    matches!(error, Error::GRpcStatus(status) if status.message() == text::AUTH_NOT_ENABLED)
}

/// Whether a lease of this id is there already.
pub(super) fn lease_exists(error: &Error) -> bool {
    matches!(error, Error::GRpcStatus(status) if status.message() == text::LEASE_EXISTS)
}

/// What an error of the client means, at `endpoint`.
pub(super) fn failed(error: &Error, endpoint: &str) -> Failed {
    let of = |error, cure| Failed { error, cure };
    let status = match error {
        Error::GRpcStatus(status) => status,
        Error::LeaseKeepAliveError(text) if text == text::KEEPALIVE_NOT_FOUND => {
            return of(StoreError::LeaseGone, Cure::None);
        }
        // Of a channel that is closed, and of streams that ended without a word.
        _ => {
            let reason = format!("{endpoint}: {error}");
            return of(StoreError::Unanswered { reason }, Cure::Reconnect);
        }
    };
    let message = status.message();
    let reason = || format!("{endpoint}: {message}");
    let number = i32::from(status.code());
    match (number, message) {
        (_, text::NO_LEADER) => of(StoreError::NoLeader { reason: reason() }, Cure::Elsewhere),
        (_, text::NO_SPACE) => of(StoreError::NoSpace, Cure::None),
        (_, text::COMPACTED) => of(StoreError::Compacted, Cure::None),
        (code::NOT_FOUND, text::LEASE_NOT_FOUND) => of(StoreError::LeaseGone, Cure::None),
        (_, text::AUTH_FAILED) => of(StoreError::Credentials { reason: reason() }, Cure::None),
        (code::UNAUTHENTICATED, _) | (_, text::USER_EMPTY | text::OLD_AUTH_REVISION) => {
            of(StoreError::Credentials { reason: reason() }, Cure::Authenticate)
        }
        (code::PERMISSION_DENIED, _) => of(StoreError::PermissionDenied { reason: reason() }, Cure::None),
        (code::OUT_OF_RANGE, _) if message.contains(text::MESSAGE_TOO_LARGE) => {
            let error = StoreError::TooLarge {
                under: endpoint.to_owned(),
                limit: "4 MiB in one message",
            };
            of(error, Cure::None)
        }
        // A leader that changes, a disk that is slow, a server that is busy: etcd's own words, over a sound connection.
        (code::UNAVAILABLE | code::UNKNOWN | code::DEADLINE_EXCEEDED | code::RESOURCE_EXHAUSTED, _)
            if message.starts_with(text::PREFIX) =>
        {
            of(StoreError::Unanswered { reason: reason() }, Cure::Elsewhere)
        }
        (
            code::UNAVAILABLE | code::UNKNOWN | code::DEADLINE_EXCEEDED | code::CANCELLED | code::INTERNAL,
            _,
        ) => {
            let reason = format!("{endpoint}: {}", with_causes(message, status.source()));
            of(StoreError::Unanswered { reason }, Cure::Reconnect)
        }
        (code::INVALID_ARGUMENT | code::FAILED_PRECONDITION, _) => {
            of(StoreError::Refused { reason: reason() }, Cure::None)
        }
        _ => of(StoreError::Refused { reason: reason() }, Cure::None),
    }
}

/// The text of a status, and of what is behind it: a connection that was refused, a certificate that nobody signed.
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
