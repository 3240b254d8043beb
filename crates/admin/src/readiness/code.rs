//! The table of readiness reasons.

use serde::{Serialize, Serializer};

/// The severity of a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The agent cannot do its work.
    NotReady,
    /// The agent works, with restrictions.
    Degraded,
}

impl Severity {
    /// Returns the name in responses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotReady => "not_ready",
            Self::Degraded => "degraded",
        }
    }
}

impl Serialize for Severity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// The texts of a code.
struct Entry {
    word: &'static str,
    severity: Severity,
    meaning: &'static str,
}

/// Defines [`ReasonCode`] from rows of name, severity, code and meaning.
macro_rules! reason_codes {
    ($($name:ident, $severity:ident, $word:literal, $meaning:literal;)*) => {
        /// The code of a readiness reason.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum ReasonCode {
            $(#[doc = $meaning] $name,)*
        }

        impl ReasonCode {
            /// All codes in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            fn entry(self) -> Entry {
                match self {
                    $(Self::$name => Entry { word: $word, severity: Severity::$severity, meaning: $meaning },)*
                }
            }
        }
    };
}

reason_codes! {
    Starting, NotReady, "starting",
        "No configuration is applied yet.";
    Stopping, NotReady, "stopping",
        "The agent is stopping.";
    SchedulerStuck, NotReady, "scheduler_stuck",
        "The scheduler does not wake up, so that no cycle starts.";
    NoPlan, NotReady, "no_plan",
        "The last cycle of a schedule did not poll shared resources, because there was no plan with this agent in it.";
    NothingPublished, NotReady, "nothing_published",
        "No publisher and no spool accepts samples: all queues are full and samples are lost.";
    ConfigurationRejected, Degraded, "configuration_rejected",
        "The configuration on disk has errors; the previous configuration is in use.";
    RestartRequired, Degraded, "restart_required",
        "Changed keys of the configuration on disk take effect after a restart; their previous values are in use.";
    StateWriteFailed, Degraded, "state_write_failed",
        "The agent cannot write the finished cycles to `agent.state_dir`; a restart may poll the current cycle twice.";
    NothingToPoll, Degraded, "nothing_to_poll",
        "The configuration selects nothing that the loaded plugins can poll.";
    DiscoveryFailed, Degraded, "discovery_failed",
        "The last run of a discovery failed.";
    PublisherRetrying, Degraded, "publisher_retrying",
        "A publisher cannot deliver; its samples are queued and retried.";
    PublisherBlocked, Degraded, "publisher_blocked",
        "A publisher accepts no samples and its queue is full: its samples are lost.";
    SpoolFailing, Degraded, "spool_failing",
        "A publisher's spool accepts no samples; they stay in memory.";
    SpoolEncodingUnsupported, Degraded, "spool_encoding_unsupported",
        "A publisher's spool contains samples in an encoding that the publisher does not support. They stay there until a publisher supports it, or until `nephoscope spool` drops them.";
    PluginUnavailable, Degraded, "plugin_unavailable",
        "A plugin is not loaded because this machine does not support it.";
    DefinitionRejected, Degraded, "definition_rejected",
        "A definition in a plugin's file has an error and is not used; the other definitions are. `nephoscope check` shows the error.";
    PollsterHung, Degraded, "pollster_hung",
        "A run blocks its thread; the pollster is not started again until the run ends.";
    HungCalls, Degraded, "hung_calls",
        "Blocking calls of a plugin family are running after their deadline.";
    HungCallsLimit, Degraded, "hung_calls_limit",
        "Too many blocking calls of a plugin family hang: the family starts no more calls.";
    NotJoined, NotReady, "not_joined",
        "Shared resources are not polled: this agent is not a member of its pool, and tries to join.";
    DuplicateId, NotReady, "duplicate_id",
        "Shared resources are not polled: another running agent has the same `agent.id`.";
    Paused, NotReady, "paused",
        "Shared resources are not polled: etcd is unreachable, and `coordination.on_loss` is `pause`.";
    ClockSkew, NotReady, "clock_skew",
        "The clock of this host differs from the clocks of the other members: this agent writes no plan.";
    UnknownVersions, NotReady, "unknown_versions",
        "Shared resources of a schedule are not polled: its plans have a version that this program does not know.";
    Degraded, Degraded, "degraded",
        "etcd is unreachable, or had no plan in time: shared resources are polled by the last plan.";
    LeaseUnconfirmed, Degraded, "lease_unconfirmed",
        "etcd did not acknowledge the lease of this agent in time: samples of shared resources wait for the acknowledgement.";
    InvalidKey, Degraded, "invalid_key",
        "A key of the pool in etcd cannot be decoded.";
    ConfigMismatch, Degraded, "config_mismatch",
        "Members poll different meters of the same units: their configurations differ.";
    EtcdUnreachable, Degraded, "etcd_unreachable",
        "No endpoint of etcd responds, or no endpoint has a leader.";
    EtcdPermissionDenied, Degraded, "etcd_permission_denied",
        "The user may not read or write keys under `coordination.prefix`.";
    EtcdCredentials, Degraded, "etcd_credentials",
        "etcd rejects `coordination.user` and `coordination.password`, or requires them.";
    EtcdUnauthenticated, Degraded, "etcd_unauthenticated",
        "`coordination.user` is set, but etcd has authentication disabled: every client can read and write the pool.";
    EtcdTls, Degraded, "etcd_tls",
        "A file in `coordination.tls` cannot be used.";
    EtcdQuotaExceeded, Degraded, "etcd_quota_exceeded",
        "etcd rejects writes: its database has reached its quota (alarm NOSPACE).";
    EtcdQuotaLow, Degraded, "etcd_quota_low",
        "The etcd database has reached 80 % of its quota.";
    EtcdError, Degraded, "etcd_error",
        "etcd returns an error.";
}

impl ReasonCode {
    /// Returns the code in responses and in metric labels.
    pub fn as_str(self) -> &'static str {
        self.entry().word
    }

    /// Returns the severity.
    pub fn severity(self) -> Severity {
        self.entry().severity
    }

    /// Returns the meaning in one or two sentences.
    pub fn meaning(self) -> &'static str {
        self.entry().meaning
    }
}

impl Serialize for ReasonCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_unique_and_have_a_meaning() {
        let words: BTreeSet<&str> = ReasonCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(words.len(), ReasonCode::ALL.len());
        for code in ReasonCode::ALL {
            let word = code.as_str();
            assert!(
                word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'),
                "{word}"
            );
            assert_eq!(word.replace('_', ""), format!("{code:?}").to_lowercase());
            assert!(code.meaning().ends_with('.'), "{word}");
        }
    }
}
