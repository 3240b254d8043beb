//! The table of everything that can be wrong.

use serde::{Serialize, Serializer};

/// How much something matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// It keeps the agent from its work.
    NotReady,
    /// The agent works, but not as well as it should.
    Degraded,
}

impl Weight {
    /// The word in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotReady => "not_ready",
            Self::Degraded => "degraded",
        }
    }
}

impl Serialize for Weight {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// What is said of a code.
struct Entry {
    word: &'static str,
    weight: Weight,
    meaning: &'static str,
}

/// Makes [`ReasonCode`] of its rows. A row is all that is said of a code: name, weight, word, meaning.
macro_rules! reason_codes {
    ($($name:ident, $weight:ident, $word:literal, $meaning:literal;)*) => {
        /// What can be wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum ReasonCode {
            $(#[doc = $meaning] $name,)*
        }

        impl ReasonCode {
            /// All codes, in the order in which they are documented.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            fn entry(self) -> Entry {
                match self {
                    $(Self::$name => Entry { word: $word, weight: Weight::$weight, meaning: $meaning },)*
                }
            }
        }
    };
}

reason_codes! {
    Starting, NotReady, "starting",
        "No configuration is applied yet.";
    Stopping, NotReady, "stopping",
        "The agent was told to end.";
    SchedulerStuck, NotReady, "scheduler_stuck",
        "The scheduler does not wake up, so that no cycle starts.";
    NoPlan, NotReady, "no_plan",
        "Resources that agents share were not polled in the last cycle of a schedule: there was no plan with this agent in it.";
    NothingPublished, NotReady, "nothing_published",
        "No publisher takes samples, and neither does a spool: all queues are full and samples are lost.";
    ConfigurationRejected, Degraded, "configuration_rejected",
        "The configuration on disk has errors; the one before is in use.";
    RestartNeeded, Degraded, "restart_needed",
        "Keys of the configuration on disk take effect after a restart; what they said before is in use.";
    StateNotWritten, Degraded, "state_not_written",
        "Which cycles are finished cannot be written to `agent.state_dir`: a restart may poll the cycle in progress twice.";
    NothingToPoll, Degraded, "nothing_to_poll",
        "The configuration asks for nothing that the loaded plugins can poll.";
    ListingFailed, Degraded, "listing_failed",
        "A discovery failed in the last cycle that asked it.";
    PublisherRetrying, Degraded, "publisher_retrying",
        "A publisher could not deliver; its samples wait.";
    PublisherBlocked, Degraded, "publisher_blocked",
        "A publisher takes nothing and its queue is full: its samples are lost.";
    SpoolFailing, Degraded, "spool_failing",
        "A publisher's spool takes nothing: its samples stay in memory.";
    SpoolEncodingKept, Degraded, "spool_encoding_kept",
        "A publisher's spool holds samples in an encoding that the publisher does not take: they stay there until a publisher takes them, or `nephoscope spool` drops them.";
    PluginUnavailable, Degraded, "plugin_unavailable",
        "A plugin was not loaded: this machine is not fit for it.";
    DefinitionSetAside, Degraded, "definition_set_aside",
        "A definition in a file that a plugin reads is not used; the others are. `nephoscope check` shows what is wrong with it.";
    PollsterHangs, Degraded, "pollster_hangs",
        "A run blocks its thread; the pollster is not started again until it ends.";
    CallsHang, Degraded, "calls_hang",
        "Blocking calls of a plugin family did not end by their deadline and still hang.";
    CallsExhausted, Degraded, "calls_exhausted",
        "Too many blocking calls of a plugin family hang: it may start no further ones.";
    NotJoined, NotReady, "not_joined",
        "Shared resources are not polled: this agent is not a member of its pool yet, or no longer, and joins.";
    DuplicateId, NotReady, "duplicate_id",
        "Shared resources are not polled: another agent that lives has the same `agent.id`.";
    Paused, NotReady, "paused",
        "Shared resources are not polled: etcd cannot be reached, and `coordination.on_loss` is `pause`.";
    ClockSkew, NotReady, "clock_skew",
        "The clock of this host differs from those of the other members: this agent writes no plan.";
    UnknownVersions, NotReady, "unknown_versions",
        "Shared resources of a schedule are not polled: its plans are made in a version that this program does not know.";
    Degraded, Degraded, "degraded",
        "etcd cannot be reached, or had no plan in time: shared resources are polled as they were divided last.";
    LeaseUnconfirmed, Degraded, "lease_unconfirmed",
        "The lease of this agent was not acknowledged in time: samples of shared resources wait for an answer.";
    InvalidKey, Degraded, "invalid_key",
        "A key of the pool in etcd cannot be read.";
    ConfigMismatch, Degraded, "config_mismatch",
        "Members with the same units want different meters of them: their configurations differ.";
    EtcdUnreachable, Degraded, "etcd_unreachable",
        "No endpoint of etcd answers, or none that has a leader.";
    EtcdPermissionDenied, Degraded, "etcd_permission_denied",
        "The user may not read or write what begins with `coordination.prefix`.";
    EtcdCredentials, Degraded, "etcd_credentials",
        "etcd does not accept `coordination.user` and `coordination.password`, or wants them.";
    EtcdTls, Degraded, "etcd_tls",
        "A file that `coordination.tls` names cannot be used.";
    EtcdQuotaExceeded, Degraded, "etcd_quota_exceeded",
        "etcd takes no writes: its database has reached its quota (alarm NOSPACE).";
    EtcdQuotaLow, Degraded, "etcd_quota_low",
        "etcd's database has reached 80 % of its quota.";
    EtcdError, Degraded, "etcd_error",
        "etcd answers with an error.";
}

impl ReasonCode {
    /// The word in answers, and the label in metrics.
    pub fn as_str(self) -> &'static str {
        self.entry().word
    }

    /// How much it matters.
    pub fn weight(self) -> Weight {
        self.entry().weight
    }

    /// What it means, in a sentence or two.
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
    fn every_code_has_a_word_of_its_own_and_a_sentence() {
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
