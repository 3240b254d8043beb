//! The protocol as a pure state machine: events in, actions out; without I/O, clock or randomness.
//!
//! [`Machine`] is one agent. Its driver feeds it events ([`Event`]) with the time of both clocks, executes its actions
//! ([`Action`]), and wakes it when requested ([`Machine::next_tick`]). The program, the unit tests and the model run the
//! same machine. The rules and their reasons are in `docs/coordination.md`.
//!
//! | module | content |
//! | --- | --- |
//! | [`machine`] | the machine |
//! | [`event`], [`action`] | its input and output |
//! | [`division`] | one agent's share of a cycle |
//! | [`ranking`] | the order of members for a resource |
//! | [`member`], [`plan`], [`mark`] | the values in etcd |
//! | [`record`], [`wire`] | their keys and encoding |
//! | [`lease`] | the validity of the lease for its holder |
//! | [`notice`], [`status`] | log and readiness |
//! | [`ownership`] | owners, computed without etcd |
//! | [`process`] | the membership file of the previous process |

use std::time::Duration;

use nephoscope_coordination::MAX_ANSWER_TIME;

pub mod action;
mod clocks;
mod cycle;
pub mod division;
pub mod event;
mod hash;
pub mod ids;
mod invalid;
pub mod lease;
pub mod machine;
pub mod mark;
pub mod member;
#[cfg(test)]
mod model_tests;
pub mod notice;
pub mod ownership;
pub mod plan;
pub mod process;
pub mod ranking;
pub mod record;
mod rules;
mod schedule;
pub mod status;
mod view;
pub mod wire;

pub use action::{Action, Condition, Scope};
pub use division::{Division, Portion};
pub use event::{Edge, Event, Now, RegisteredUnits, Request, Session, Snapshot, WorkName, Written};
pub use ids::{AgentId, Incarnation, Revision, UnitHash};
pub use invalid::{InvalidReason, InvalidRecord};
pub use lease::{Lease, LeaseState, record_ttl};
pub use machine::{Machine, NoShare, OnLoss, Options, PlanAnswer, Verdict};
pub use mark::{GiveUps, Marks, Step};
pub use member::{Member, UnitSet, Versions};
pub use notice::{Notice, Severity};
pub use ownership::Ownership;
pub use plan::{Plan, PlanMember};
pub use process::{MemberFile, MemberFileError, Predecessor};
pub use ranking::KeyHash;
pub use record::{Content, Entry, Key, Value};
#[cfg(any(test, feature = "model"))]
pub use rules::Rules;
pub use status::{Membership, Reason, ScheduleStatus, Status};
pub use wire::Prefix;

/// The minimum time to wait for an answer of etcd before an agent continues without it. A plan that is missing this long
/// after the edge counts as lost. A longer `coordination.request_timeout` replaces it: [`Options::answer_timeout`].
pub const MIN_ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
/// The maximum `coordination.request_timeout`: the engine waits no longer for an answer that depends on a request.
pub const MAX_REQUEST_TIMEOUT: Duration = MAX_ANSWER_TIME;
/// How long a new member writes no plan: it waits for other agents that join at the same time.
pub const JOIN_SETTLE: Duration = Duration::from_secs(2);
/// The delay between the ranked writers of a missing plan.
pub const WRITER_STEP: Duration = Duration::from_millis(50);
/// The longest time before the edge at which a plan is written.
pub const MAX_LEAD: Duration = Duration::from_secs(1);
/// The maximum number of deaths on one share that are followed by a takeover: a resource that kills its agent must not kill
/// the pool.
pub const MAX_DEATHS: usize = 3;
/// The longest pause between two attempts to join.
pub const MAX_BACKOFF: Duration = Duration::from_secs(5);

/// Returns how long before its edge a plan is written.
pub fn lead(interval: Duration) -> Duration {
    MAX_LEAD.min(interval / 10)
}

/// Returns the time until a death is known to all members and its work is taken over: the lease expires, and the marks are
/// read.
pub fn takeover_wait(lease_ttl: Duration, answer_timeout: Duration) -> Duration {
    lease_ttl.saturating_add(answer_timeout)
}
