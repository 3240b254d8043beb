//! Whether the agent does its work, and everything that keeps it from doing so.

use std::collections::BTreeSet;
use std::sync::Arc;

use nephoscope_coordination::etcd::StoreError;
use nephoscope_coordination::pool::PoolStatus;
use nephoscope_coordination::protocol::Reason as PoolReason;
use nephoscope_notifier::{PublisherState, PublisherStatus};
use nephoscope_polling::record::CycleRecord;
use nephoscope_polling::stats::{SchedulerStatus, SetAsideStatus, TaskStatus};
use serde::{Serialize, Serializer};

use crate::admin::state::Phase;

/// A scheduler that is alive wakes up every second. One that did not for this long, in seconds, starts no cycles on time.
const STUCK: f64 = 5.0;

/// Whether the agent does its work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Readiness {
    /// Due resources are polled, and samples find somebody who takes them.
    pub(crate) ready: bool,
    /// What is wrong, what matters most first.
    pub(crate) reasons: Vec<Reason>,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Reason {
    /// What it is, for programs.
    #[serde(serialize_with = "as_word")]
    pub(crate) code: ReasonCode,
    /// How much it matters.
    pub(crate) weight: Weight,
    /// What it is, for people.
    pub(crate) text: String,
}

/// How much something matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Weight {
    /// It keeps the agent from its work.
    NotReady,
    /// The agent works, but not as well as it should.
    Degraded,
}

/// What can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReasonCode {
    /// No configuration is applied yet.
    Starting,
    /// The agent was told to end.
    Stopping,
    /// The scheduler does not wake up, so that no cycle starts.
    SchedulerStuck,
    /// Resources that agents share were not polled in the last cycle of a schedule: there was no plan with this agent in it.
    NoPlan,
    /// No publisher takes samples, and neither does a spool: all queues are full and samples are lost.
    NothingPublished,
    /// The configuration on disk has errors; the one before is in use.
    ConfigurationRejected,
    /// The configuration in use is not the whole of the one on disk: some of its keys take effect after a restart.
    RestartNeeded,
    /// Which cycles are finished cannot be written to the state folder.
    StateNotWritten,
    /// The configuration asks for nothing that the loaded plugins can poll.
    NothingToPoll,
    /// A discovery failed in the last cycle that asked it.
    ListingFailed,
    /// A publisher could not deliver; its samples wait.
    PublisherRetrying,
    /// A publisher takes nothing and its queue is full: its samples are lost.
    PublisherBlocked,
    /// A publisher's spool takes nothing: its samples stay in memory.
    SpoolFailing,
    /// A plugin was not loaded: this machine is not fit for it.
    PluginUnavailable,
    /// A definition in a file that a plugin reads is not used, and the others are.
    DefinitionSetAside,
    /// A run blocks its thread; the pollster is not started again until it ends.
    PollsterHangs,
    /// Blocking calls of a plugin family did not end by their deadline and still hang.
    CallsHang,
    /// Too many blocking calls of a plugin family hang: it may start no further ones.
    CallsExhausted,
    /// Shared resources are not polled: this agent is not a member of its pool yet, or no longer, and joins.
    NotJoined,
    /// Shared resources are not polled: another agent that lives has the same `agent.id`.
    IdTaken,
    /// Shared resources are not polled: etcd cannot be reached, and `coordination.on_loss` is `pause`.
    Paused,
    /// The clock of this host differs from those of the other members: this agent writes no plan.
    ClockOff,
    /// Shared resources of a schedule are not polled: its plans are made in a version that this program does not know.
    UnknownVersions,
    /// etcd cannot be reached, or had no plan in time: shared resources are polled as they were divided last.
    Degraded,
    /// The lease of this agent was not acknowledged in time: samples of shared resources wait for an answer.
    LeaseDoubtful,
    /// A key of the pool in etcd cannot be read.
    BadKey,
    /// Members with the same units want different meters of them: their configurations differ.
    Drift,
    /// No endpoint of etcd answers, or none that has a leader.
    EtcdUnreachable,
    /// The user may not read or write what begins with `coordination.prefix`.
    EtcdPermissionDenied,
    /// etcd does not accept `coordination.user` and `coordination.password`, or wants them.
    EtcdCredentials,
    /// A file that `coordination.tls` names cannot be used.
    EtcdTls,
    /// etcd takes no writes: its database has reached its quota (alarm NOSPACE).
    EtcdFull,
    /// etcd's database has reached 80 % of its quota.
    EtcdFilling,
    /// etcd answers with an error.
    EtcdRefuses,
}

impl ReasonCode {
    /// All codes, in the order in which they are documented.
    pub(crate) const ALL: &[Self] = &[
        Self::Starting,
        Self::Stopping,
        Self::SchedulerStuck,
        Self::NoPlan,
        Self::NothingPublished,
        Self::ConfigurationRejected,
        Self::RestartNeeded,
        Self::StateNotWritten,
        Self::NothingToPoll,
        Self::ListingFailed,
        Self::PublisherRetrying,
        Self::PublisherBlocked,
        Self::SpoolFailing,
        Self::PluginUnavailable,
        Self::DefinitionSetAside,
        Self::PollsterHangs,
        Self::CallsHang,
        Self::CallsExhausted,
        Self::NotJoined,
        Self::IdTaken,
        Self::Paused,
        Self::ClockOff,
        Self::UnknownVersions,
        Self::Degraded,
        Self::LeaseDoubtful,
        Self::BadKey,
        Self::Drift,
        Self::EtcdUnreachable,
        Self::EtcdPermissionDenied,
        Self::EtcdCredentials,
        Self::EtcdTls,
        Self::EtcdFull,
        Self::EtcdFilling,
        Self::EtcdRefuses,
    ];

    /// The word in answers.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Stopping => "stopping",
            Self::SchedulerStuck => "scheduler_stuck",
            Self::NoPlan => "no_plan",
            Self::NothingPublished => "nothing_published",
            Self::ConfigurationRejected => "configuration_rejected",
            Self::RestartNeeded => "restart_needed",
            Self::StateNotWritten => "state_not_written",
            Self::NothingToPoll => "nothing_to_poll",
            Self::ListingFailed => "listing_failed",
            Self::PublisherRetrying => "publisher_retrying",
            Self::PublisherBlocked => "publisher_blocked",
            Self::SpoolFailing => "spool_failing",
            Self::PluginUnavailable => "plugin_unavailable",
            Self::DefinitionSetAside => "definition_set_aside",
            Self::PollsterHangs => "pollster_hangs",
            Self::CallsHang => "calls_hang",
            Self::CallsExhausted => "calls_exhausted",
            Self::NotJoined => "not_joined",
            Self::IdTaken => "id_taken",
            Self::Paused => "paused",
            Self::ClockOff => "clock_off",
            Self::UnknownVersions => "unknown_versions",
            Self::Degraded => "degraded",
            Self::LeaseDoubtful => "lease_doubtful",
            Self::BadKey => "bad_key",
            Self::Drift => "drift",
            Self::EtcdUnreachable => "etcd_unreachable",
            Self::EtcdPermissionDenied => "etcd_permission_denied",
            Self::EtcdCredentials => "etcd_credentials",
            Self::EtcdTls => "etcd_tls",
            Self::EtcdFull => "etcd_full",
            Self::EtcdFilling => "etcd_filling",
            Self::EtcdRefuses => "etcd_refuses",
        }
    }

    /// How much it matters.
    pub(crate) fn weight(self) -> Weight {
        match self {
            Self::Starting
            | Self::Stopping
            | Self::SchedulerStuck
            | Self::NoPlan
            | Self::NothingPublished
            | Self::NotJoined
            | Self::IdTaken
            | Self::Paused
            | Self::ClockOff
            | Self::UnknownVersions => Weight::NotReady,
            Self::ConfigurationRejected
            | Self::RestartNeeded
            | Self::StateNotWritten
            | Self::NothingToPoll
            | Self::ListingFailed
            | Self::PublisherRetrying
            | Self::PublisherBlocked
            | Self::SpoolFailing
            | Self::PluginUnavailable
            | Self::DefinitionSetAside
            | Self::PollsterHangs
            | Self::CallsHang
            | Self::CallsExhausted
            | Self::Degraded
            | Self::LeaseDoubtful
            | Self::BadKey
            | Self::Drift
            | Self::EtcdUnreachable
            | Self::EtcdPermissionDenied
            | Self::EtcdCredentials
            | Self::EtcdTls
            | Self::EtcdFull
            | Self::EtcdFilling
            | Self::EtcdRefuses => Weight::Degraded,
        }
    }

    /// What it means, for the reference.
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Self::Starting => "No configuration is applied yet.",
            Self::Stopping => "The agent was told to end.",
            Self::SchedulerStuck => "The scheduler does not wake up, so that no cycle starts.",
            Self::NoPlan => {
                "Resources that agents share were not polled in the last cycle of a schedule: there was no plan with this agent in it."
            }
            Self::NothingPublished => {
                "No publisher takes samples, and neither does a spool: all queues are full and samples are lost."
            }
            Self::ConfigurationRejected => "The configuration on disk has errors; the one before is in use.",
            Self::RestartNeeded => {
                "Keys of the configuration on disk take effect after a restart; what they said before is in use."
            }
            Self::StateNotWritten => {
                "Which cycles are finished cannot be written to `agent.state_dir`: a restart may poll the cycle in progress twice."
            }
            Self::NothingToPoll => "The configuration asks for nothing that the loaded plugins can poll.",
            Self::ListingFailed => "A discovery failed in the last cycle that asked it.",
            Self::PublisherRetrying => "A publisher could not deliver; its samples wait.",
            Self::PublisherBlocked => {
                "A publisher takes nothing and its queue is full: its samples are lost."
            }
            Self::SpoolFailing => "A publisher's spool takes nothing: its samples stay in memory.",
            Self::PluginUnavailable => "A plugin was not loaded: this machine is not fit for it.",
            Self::DefinitionSetAside => {
                "A definition in a file that a plugin reads is not used; the others are. `nephoscope check` shows what is wrong with it."
            }
            Self::PollsterHangs => {
                "A run blocks its thread; the pollster is not started again until it ends."
            }
            Self::CallsHang => {
                "Blocking calls of a plugin family did not end by their deadline and still hang."
            }
            Self::CallsExhausted => {
                "Too many blocking calls of a plugin family hang: it may start no further ones."
            }
            Self::NotJoined => {
                "Shared resources are not polled: this agent is not a member of its pool yet, or no longer, and joins."
            }
            Self::IdTaken => {
                "Shared resources are not polled: another agent that lives has the same `agent.id`."
            }
            Self::Paused => {
                "Shared resources are not polled: etcd cannot be reached, and `coordination.on_loss` is `pause`."
            }
            Self::ClockOff => {
                "The clock of this host differs from those of the other members: this agent writes no plan."
            }
            Self::UnknownVersions => {
                "Shared resources of a schedule are not polled: its plans are made in a version that this program does not know."
            }
            Self::Degraded => {
                "etcd cannot be reached, or had no plan in time: shared resources are polled as they were divided last."
            }
            Self::LeaseDoubtful => {
                "The lease of this agent was not acknowledged in time: samples of shared resources wait for an answer."
            }
            Self::BadKey => "A key of the pool in etcd cannot be read.",
            Self::Drift => {
                "Members with the same units want different meters of them: their configurations differ."
            }
            Self::EtcdUnreachable => "No endpoint of etcd answers, or none that has a leader.",
            Self::EtcdPermissionDenied => {
                "The user may not read or write what begins with `coordination.prefix`."
            }
            Self::EtcdCredentials => {
                "etcd does not accept `coordination.user` and `coordination.password`, or wants them."
            }
            Self::EtcdTls => "A file that `coordination.tls` names cannot be used.",
            Self::EtcdFull => "etcd takes no writes: its database has reached its quota (alarm NOSPACE).",
            Self::EtcdFilling => "etcd's database has reached 80 % of its quota.",
            Self::EtcdRefuses => "etcd answers with an error.",
        }
    }
}

/// What a judgement is made of.
pub(crate) struct Facts {
    pub(crate) phase: Phase,
    /// Errors of the configuration on disk, if it was not taken.
    pub(crate) rejected: Option<usize>,
    /// Keys of the configuration on disk that take effect after a restart.
    pub(crate) after_restart: Vec<&'static str>,
    /// Why finished cycles cannot be written.
    pub(crate) state_trouble: Option<String>,
    pub(crate) scheduler: SchedulerStatus,
    pub(crate) tasks: Vec<TaskStatus>,
    /// The last one of each schedule.
    pub(crate) records: Vec<Arc<CycleRecord>>,
    pub(crate) set_aside: Vec<SetAsideStatus>,
    pub(crate) publishers: Vec<PublisherStatus>,
    /// The pool, if work is shared.
    pub(crate) pool: Option<PoolStatus>,
    pub(crate) unavailable: Vec<(Arc<str>, String)>,
    /// Definitions that are set aside, each with its place and why.
    pub(crate) definitions: Vec<String>,
    /// By plugin family.
    pub(crate) hanging: Vec<HangingCalls>,
}

/// Blocking calls of a plugin family that were given up.
pub(crate) struct HangingCalls {
    pub(crate) family: Arc<str>,
    /// Those that still hang.
    pub(crate) names: Vec<String>,
    /// Whether the family may start no further ones.
    pub(crate) exhausted: bool,
}

impl Readiness {
    /// How many reasons of this code there are.
    pub(crate) fn count(&self, code: ReasonCode) -> usize {
        self.reasons.iter().filter(|reason| reason.code == code).count()
    }
}

impl Facts {
    /// Whether the scheduler lives.
    pub(crate) fn is_alive(scheduler: &SchedulerStatus) -> bool {
        scheduler.since_tick < STUCK
    }

    /// Judges.
    pub(crate) fn judge(&self) -> Readiness {
        let mut reasons = Vec::new();
        self.agent(&mut reasons);
        self.cycles(&mut reasons);
        self.publishers(&mut reasons);
        self.pool(&mut reasons);
        self.plugins(&mut reasons);
        // Stable: within a weight the order above.
        reasons.sort_by_key(|reason| reason.weight);
        Readiness {
            ready: reasons.iter().all(|reason| reason.weight != Weight::NotReady),
            reasons,
        }
    }

    fn agent(&self, reasons: &mut Vec<Reason>) {
        match self.phase {
            Phase::Starting => reasons.push(reason(ReasonCode::Starting, "no configuration is applied yet")),
            Phase::Stopping => reasons.push(reason(ReasonCode::Stopping, "the agent is stopping")),
            Phase::Running if self.tasks.is_empty() => {
                let text = "the configuration asks for nothing that the loaded plugins can poll";
                reasons.push(reason(ReasonCode::NothingToPoll, text));
            }
            Phase::Running => {}
        }
        if self.phase != Phase::Stopping && !Self::is_alive(&self.scheduler) {
            let text = format!(
                "the scheduler did not wake up for {:.0} s",
                self.scheduler.since_tick
            );
            reasons.push(reason(ReasonCode::SchedulerStuck, text));
        }
        if let Some(errors) = self.rejected {
            let text = format!(
                "the configuration on disk has {errors} error(s) and is not in use; the log names them"
            );
            reasons.push(reason(ReasonCode::ConfigurationRejected, text));
        }
        if !self.after_restart.is_empty() {
            let text = format!(
                "changed keys that take effect after a restart: {}",
                self.after_restart.join(", ")
            );
            reasons.push(reason(ReasonCode::RestartNeeded, text));
        }
        if let Some(why) = &self.state_trouble {
            let text = format!("which cycles are finished could not be written to the state folder: {why}");
            reasons.push(reason(ReasonCode::StateNotWritten, text));
        }
    }

    fn cycles(&self, reasons: &mut Vec<Reason>) {
        let mut failed = BTreeSet::new();
        for record in &self.records {
            if let Some(why) = &record.no_plan {
                let text = format!(
                    "shared resources were not polled in the last cycle ({}): {why}",
                    record.schedule
                );
                reasons.push(reason(ReasonCode::NoPlan, text));
            }
            for listing in &record.listings {
                if let Some(failure) = &listing.failure
                    && failure.is_error()
                    && failed.insert(&listing.listing)
                {
                    let text = format!(
                        "the last listing of {} failed: {}",
                        listing.listing, failure.message
                    );
                    reasons.push(reason(ReasonCode::ListingFailed, text));
                }
            }
        }
    }

    fn publishers(&self, reasons: &mut Vec<Reason>) {
        // One that a reload removed no longer counts.
        let used = || {
            self.publishers.iter().filter(|publisher| {
                !matches!(
                    publisher.state,
                    PublisherState::Draining { .. } | PublisherState::Stopped
                )
            })
        };
        let blocked = |publisher: &PublisherStatus| matches!(publisher.state, PublisherState::Blocked { .. });
        if used().next().is_some() && used().all(blocked) {
            let text = "no publisher takes samples: their queues are full and samples are lost";
            reasons.push(reason(ReasonCode::NothingPublished, text));
        }
        for publisher in used() {
            let name = &publisher.name;
            match &publisher.state {
                PublisherState::Retrying { error, attempts, .. } => {
                    let text = format!(
                        "publisher `{name}` failed {attempts} time(s) in a row, its samples wait: {error}"
                    );
                    reasons.push(reason(ReasonCode::PublisherRetrying, text));
                }
                PublisherState::Blocked { error, dropped, .. } => {
                    let why = error.as_deref().unwrap_or("it does not answer");
                    let text =
                        format!("publisher `{name}` takes nothing, {dropped} sample(s) lost so far: {why}");
                    reasons.push(reason(ReasonCode::PublisherBlocked, text));
                }
                PublisherState::Idle
                | PublisherState::Delivering
                | PublisherState::Draining { .. }
                | PublisherState::Stopped => {}
            }
            let spool = publisher.spool.as_ref();
            if let Some(why) = spool.and_then(|spool| spool.failing.as_ref()) {
                let text = format!("the spool of publisher `{name}` takes nothing: {why}");
                reasons.push(reason(ReasonCode::SpoolFailing, text));
            }
        }
    }

    fn pool(&self, reasons: &mut Vec<Reason>) {
        let Some(pool) = &self.pool else { return };
        for found in &pool.agent.reasons {
            let code = match found {
                PoolReason::NotJoined => ReasonCode::NotJoined,
                PoolReason::IdTaken { .. } => ReasonCode::IdTaken,
                PoolReason::StoreLost { polling: true } => ReasonCode::Degraded,
                PoolReason::StoreLost { polling: false } => ReasonCode::Paused,
                PoolReason::LeaseDoubtful => ReasonCode::LeaseDoubtful,
                PoolReason::ClockOff { .. } => ReasonCode::ClockOff,
                PoolReason::UnknownVersions { .. } => ReasonCode::UnknownVersions,
                PoolReason::NoPlan { polled: true, .. } => ReasonCode::Degraded,
                // The record of the cycle says so too, and why.
                PoolReason::NoPlan { polled: false, .. } => continue,
                PoolReason::BadKey { .. } => ReasonCode::BadKey,
                PoolReason::Drift { .. } => ReasonCode::Drift,
            };
            reasons.push(reason(code, found.to_string()));
        }
        for trouble in &pool.troubles {
            let code = match &trouble.error {
                StoreError::PermissionDenied { .. } => ReasonCode::EtcdPermissionDenied,
                StoreError::Credentials { .. } => ReasonCode::EtcdCredentials,
                StoreError::Tls { .. } => ReasonCode::EtcdTls,
                StoreError::NoSpace => ReasonCode::EtcdFull,
                StoreError::Unreachable { .. }
                | StoreError::Unanswered { .. }
                | StoreError::NoLeader { .. } => ReasonCode::EtcdUnreachable,
                StoreError::LeaseGone
                | StoreError::Compacted
                | StoreError::AnotherHistory { .. }
                | StoreError::TooLarge { .. }
                | StoreError::Refused { .. } => ReasonCode::EtcdRefuses,
            };
            let text = format!(
                "failed for {:.0} s to {}: {}",
                trouble.lasts.as_secs_f64(),
                trouble.what,
                trouble.error
            );
            reasons.push(reason(code, text));
        }
        if pool.is_filling()
            && let Some(health) = &pool.health
        {
            let text = format!(
                "etcd's database has {} of {} bytes: turn on auto-compaction, compact and defragment it",
                health.database_bytes, pool.quota
            );
            reasons.push(reason(ReasonCode::EtcdFilling, text));
        }
    }

    fn plugins(&self, reasons: &mut Vec<Reason>) {
        for (plugin, why) in &self.unavailable {
            let text = format!("plugin `{plugin}` is not loaded: {why}");
            reasons.push(reason(ReasonCode::PluginUnavailable, text));
        }
        for definition in &self.definitions {
            let text = format!("a definition is set aside: {definition}");
            reasons.push(reason(ReasonCode::DefinitionSetAside, text));
        }
        for status in self.set_aside.iter().filter(|status| status.hangs) {
            let text = format!(
                "pollster `{}` ({}) hangs and is not started again",
                status.pollster, status.schedule
            );
            reasons.push(reason(ReasonCode::PollsterHangs, text));
        }
        for HangingCalls {
            family,
            names,
            exhausted,
        } in &self.hanging
        {
            if *exhausted {
                let text =
                    format!("too many calls of the family `{family}` hang: it may start no further ones");
                reasons.push(reason(ReasonCode::CallsExhausted, text));
            }
            if !names.is_empty() {
                let text = format!(
                    "calls of the family `{family}` were given up and still hang: {}",
                    names.join(", ")
                );
                reasons.push(reason(ReasonCode::CallsHang, text));
            }
        }
    }
}

fn reason(code: ReasonCode, text: impl Into<String>) -> Reason {
    Reason {
        code,
        weight: code.weight(),
        text: text.into(),
    }
}

fn as_word<S: Serializer>(code: &ReasonCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(code.as_str())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use nephoscope_model::{CycleId, ScheduleId, Timestamp};
    use nephoscope_notifier::Counts;
    use nephoscope_polling::record::{FailureCounts, FailureNote, ListingRecord};
    use nephoscope_polling::stats::Histogram;
    use tokio::time::Instant;

    use super::*;

    fn facts() -> Facts {
        Facts {
            phase: Phase::Running,
            rejected: None,
            after_restart: Vec::new(),
            state_trouble: None,
            scheduler: SchedulerStatus {
                since_tick: 0.9,
                clock_steps: 0,
                restarts: 0,
                now: Timestamp::from_millis(0),
            },
            tasks: vec![TaskStatus {
                schedule: "every 5m".into(),
                schedule_id: "every:300:0".into(),
                sources: Vec::new(),
                runs: Vec::new(),
                next: None,
                running: false,
                cycles: 0,
                successions: 0,
                overruns: 0,
                missed: 0,
                repeated: 0,
                lateness: Histogram::default(),
                last_duration: None,
            }],
            records: Vec::new(),
            set_aside: Vec::new(),
            pool: None,
            publishers: vec![publisher("main", PublisherState::Delivering)],
            unavailable: Vec::new(),
            definitions: Vec::new(),
            hanging: Vec::new(),
        }
    }

    fn publisher(name: &str, state: PublisherState) -> PublisherStatus {
        PublisherStatus {
            name: name.into(),
            url_shown: "discard:".into(),
            state,
            bound: 10,
            queued_samples: 0,
            queued_batches: 0,
            oldest: None,
            spool: None,
            counts: Counts::default(),
        }
    }

    fn blocked() -> PublisherState {
        PublisherState::Blocked {
            since: Instant::now(),
            error: Some("connection refused".into()),
            attempts: 3,
            dropped: 12,
        }
    }

    fn retrying() -> PublisherState {
        PublisherState::Retrying {
            since: Instant::now(),
            error: "connection refused".into(),
            attempts: 3,
        }
    }

    fn record(schedule: &str, no_plan: Option<&str>, failure: Option<&str>) -> Arc<CycleRecord> {
        Arc::new(CycleRecord {
            schedule: "every 5m".into(),
            cycle: CycleId::new(ScheduleId::new(schedule), Timestamp::from_millis(0), 0),
            started: Timestamp::from_millis(0),
            lateness: None,
            duration: Duration::ZERO,
            resources: 0,
            samples: 0,
            failures: FailureCounts::default(),
            listings: failure
                .map(|message| ListingRecord {
                    listing: "volumes".into(),
                    resources: 0,
                    failure: Some(FailureNote {
                        resource: None,
                        kind: "unreachable",
                        message: message.into(),
                    }),
                })
                .into_iter()
                .collect(),
            polls: Vec::new(),
            succession: None,
            no_plan: no_plan.map(str::to_owned),
        })
    }

    fn shown(facts: &Facts) -> String {
        let readiness = facts.judge();
        let mut lines = vec![format!("ready: {}", readiness.ready)];
        lines.extend(
            readiness
                .reasons
                .iter()
                .map(|reason| format!("{:?} {:?}: {}", reason.weight, reason.code, reason.text)),
        );
        lines.join("\n")
    }

    #[test]
    fn an_agent_without_trouble_gives_no_reasons() {
        assert_eq!(shown(&facts()), "ready: true");
    }

    #[test]
    fn an_agent_is_not_ready_before_it_has_a_configuration_nor_while_it_stops() {
        insta::assert_snapshot!(shown(&Facts { phase: Phase::Starting, ..facts() }), @r"
        ready: false
        NotReady Starting: no configuration is applied yet
        ");
        // Then the scheduler sleeps, too, which is as it should be.
        let mut facts = Facts {
            phase: Phase::Stopping,
            ..facts()
        };
        facts.scheduler.since_tick = 20.0;
        insta::assert_snapshot!(shown(&facts), @r"
        ready: false
        NotReady Stopping: the agent is stopping
        ");
    }

    #[test]
    fn a_stuck_scheduler_is_neither_alive_nor_ready() {
        let mut facts = facts();
        facts.scheduler.since_tick = 7.2;
        assert!(!Facts::is_alive(&facts.scheduler));
        insta::assert_snapshot!(shown(&facts), @r"
        ready: false
        NotReady SchedulerStuck: the scheduler did not wake up for 7 s
        ");
    }

    #[test]
    fn an_agent_is_ready_as_long_as_one_publisher_takes_samples() {
        let with = |states: Vec<PublisherState>| Facts {
            publishers: ["a", "b"]
                .into_iter()
                .zip(states)
                .map(|(name, state)| publisher(name, state))
                .collect(),
            ..facts()
        };
        insta::assert_snapshot!(shown(&with(vec![blocked(), PublisherState::Idle])), @r"
        ready: true
        Degraded PublisherBlocked: publisher `a` takes nothing, 12 sample(s) lost so far: connection refused
        ");
        // Its queue still has room.
        insta::assert_snapshot!(shown(&with(vec![blocked(), retrying()])), @r"
        ready: true
        Degraded PublisherBlocked: publisher `a` takes nothing, 12 sample(s) lost so far: connection refused
        Degraded PublisherRetrying: publisher `b` failed 3 time(s) in a row, its samples wait: connection refused
        ");
        insta::assert_snapshot!(shown(&with(vec![blocked(), blocked()])), @r"
        ready: false
        NotReady NothingPublished: no publisher takes samples: their queues are full and samples are lost
        Degraded PublisherBlocked: publisher `a` takes nothing, 12 sample(s) lost so far: connection refused
        Degraded PublisherBlocked: publisher `b` takes nothing, 12 sample(s) lost so far: connection refused
        ");
        let removed = PublisherState::Draining {
            until: Instant::now(),
        };
        insta::assert_snapshot!(shown(&with(vec![blocked(), removed])), @r"
        ready: false
        NotReady NothingPublished: no publisher takes samples: their queues are full and samples are lost
        Degraded PublisherBlocked: publisher `a` takes nothing, 12 sample(s) lost so far: connection refused
        ");
        assert_eq!(
            shown(&with(Vec::new())),
            "ready: true",
            "without publishers nothing can fail"
        );
    }

    #[test]
    fn a_spool_that_takes_nothing_is_told() {
        let mut status = publisher("a", PublisherState::Idle);
        let spool = crate::metrics::example_spool();
        status.spool = Some(spool);
        let facts = Facts {
            publishers: vec![status],
            ..facts()
        };
        insta::assert_snapshot!(shown(&facts), @r"
        ready: true
        Degraded SpoolFailing: the spool of publisher `a` takes nothing: append to the spool: the disk is full
        ");
    }

    #[test]
    fn a_service_that_is_not_there_is_no_failure() {
        let mut record = CycleRecord::clone(&record("every:300:0", None, Some("there is no Manila")));
        for listing in &mut record.listings {
            listing.failure.as_mut().unwrap().kind = "not_supported";
        }
        let facts = Facts {
            records: vec![Arc::new(record)],
            ..facts()
        };
        insta::assert_snapshot!(shown(&facts), @"ready: true");
    }

    #[test]
    fn the_last_cycle_of_each_schedule_counts() {
        let facts = Facts {
            records: vec![
                record("every:300:0", None, Some("no route to host")),
                record("every:60:0", None, Some("another message of the same listing")),
            ],
            ..facts()
        };
        insta::assert_snapshot!(shown(&facts), @r"
        ready: true
        Degraded ListingFailed: the last listing of volumes failed: no route to host
        ");
        let facts = Facts {
            records: vec![record("every:300:0", Some("etcd is away"), None)],
            ..facts
        };
        insta::assert_snapshot!(shown(&facts), @r"
        ready: false
        NotReady NoPlan: shared resources were not polled in the last cycle (every 5m): etcd is away
        ");
    }

    #[test]
    fn what_is_worse_than_it_should_be_is_listed_and_the_agent_is_ready() {
        let facts = Facts {
            rejected: Some(2),
            after_restart: vec!["agent.id", "agent.limits"],
            state_trouble: Some("No space left on device".into()),
            tasks: Vec::new(),
            unavailable: vec![("libvirt".into(), "there is no libvirt.so.0".into())],
            definitions: vec!["/etc/a.yaml:3:1: `wind`: it measures nothing".into()],
            set_aside: vec![SetAsideStatus {
                schedule: "every 5m".into(),
                pollster: "disk".into(),
                hangs: true,
                resources: Vec::new(),
            }],
            hanging: vec![HangingCalls {
                family: "libvirt".into(),
                names: vec!["libvirt.list".into(), "libvirt.stats".into()],
                exhausted: true,
            }],
            ..facts()
        };
        insta::assert_snapshot!(shown(&facts), @r"
        ready: true
        Degraded NothingToPoll: the configuration asks for nothing that the loaded plugins can poll
        Degraded ConfigurationRejected: the configuration on disk has 2 error(s) and is not in use; the log names them
        Degraded RestartNeeded: changed keys that take effect after a restart: agent.id, agent.limits
        Degraded StateNotWritten: which cycles are finished could not be written to the state folder: No space left on device
        Degraded PluginUnavailable: plugin `libvirt` is not loaded: there is no libvirt.so.0
        Degraded DefinitionSetAside: a definition is set aside: /etc/a.yaml:3:1: `wind`: it measures nothing
        Degraded PollsterHangs: pollster `disk` (every 5m) hangs and is not started again
        Degraded CallsExhausted: too many calls of the family `libvirt` hang: it may start no further ones
        Degraded CallsHang: calls of the family `libvirt` were given up and still hang: libvirt.list, libvirt.stats
        ");
    }
}
