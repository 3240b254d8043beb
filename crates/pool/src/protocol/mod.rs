//! The protocol's decisions as a pure state machine: events in, actions out; no I/O, no clock, nothing random.
//!
//! [`Machine`] is one agent. Whoever drives it tells it what happens ([`Event`]), with the time of both clocks, does what
//! it wants done ([`Action`]), and wakes it when it asks for that ([`Machine::next_tick`]). The program, the unit tests and
//! the model run the same machine. The rules, and why they hold, are in `docs/coordination.md`.
//!
//! | module | |
//! | --- | --- |
//! | [`machine`] | the machine |
//! | [`event`], [`action`] | its input and output |
//! | [`division`] | what of a cycle is one agent's |
//! | [`ranking`] | in which order members come for a resource |
//! | [`member`], [`plan`], [`mark`] | what stands in etcd |
//! | [`record`], [`wire`] | under which keys, in which form |
//! | [`lease`] | until when a holder may count on it |
//! | [`notice`], [`status`] | what people get to know |
//! | [`ownership`] | who owns what, computed without etcd |
//! | [`process`] | what a process leaves to the next one |

use std::time::Duration;

use nephoscope_coordination::LONGEST_ANSWER;

pub mod action;
mod bad;
mod clocks;
mod cycle;
pub mod division;
pub mod event;
mod hash;
pub mod ids;
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
pub use bad::{BadReason, BadValue};
pub use division::{Division, Portion};
pub use event::{Carry, Edge, Event, Now, Request, Session, Snapshot, WorkName, Written};
pub use ids::{AgentId, Incarnation, Revision, UnitHash};
pub use lease::{Lease, Standing, record_ttl};
pub use machine::{Machine, Nothing, OnLoss, Options, PlanAnswer, Verdict};
pub use mark::{GiveUps, Marks, Step};
pub use member::{Member, UnitSet, Versions};
pub use notice::{Gravity, Notice};
pub use ownership::Ownership;
pub use plan::{Plan, PlanMember};
pub use process::{MemberFile, MemberFileError, Predecessor};
pub use ranking::KeyHash;
pub use record::{Content, Entry, Key, Value};
#[cfg(any(test, feature = "model"))]
pub use rules::Rules;
pub use status::{Membership, Reason, ScheduleStatus, Status};
pub use wire::Prefix;

/// How long a request to etcd is waited for at least before an agent goes on without an answer. A plan that is not there this long
/// after the edge counts as lost. Where `coordination.request_timeout` is longer, it takes its place: [`Options::patience`].
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(1);
/// The longest `coordination.request_timeout`: the engine waits no longer for an answer that depends on a request.
pub const LONGEST_REQUEST_TIMEOUT: Duration = LONGEST_ANSWER;
/// How long a new member writes no plan: it and those that joined with it get to know each other first.
pub const JOIN_SETTLE: Duration = Duration::from_secs(2);
/// How much later than the one before it each member of the ranking writes a plan that is still missing.
pub const WRITER_STEP: Duration = Duration::from_millis(50);
/// The longest time before the edge at which a plan is written.
pub const LONGEST_LEAD: Duration = Duration::from_secs(1);
/// How many deaths on one share are followed by a succession: a resource that kills its agent must not kill the pool.
pub const MAX_DEATHS: usize = 3;
/// The longest pause between two attempts to join.
pub const LONGEST_BACKOFF: Duration = Duration::from_secs(5);

/// How long before its edge a plan is written.
pub fn lead(interval: Duration) -> Duration {
    LONGEST_LEAD.min(interval / 10)
}

/// How long it takes until a death is known to all, and what was left undone is taken over: the lease ends, and the marks are read.
pub fn succession_wait(lease_ttl: Duration, patience: Duration) -> Duration {
    lease_ttl.saturating_add(patience)
}
