//! What a run leaves for the oracle.

use std::collections::BTreeSet;
use std::fmt;

/// A start of a schedule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cycle {
    /// The schedule's canonical text, `every:8:0`.
    pub schedule: String,
    /// Its nominal start, in milliseconds since the epoch.
    pub start: i64,
}

impl fmt::Display for Cycle {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}@{}", self.schedule, self.start)
    }
}

/// A schedule that is judged, and what is polled on it.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// Its canonical text.
    pub id: String,
    /// In milliseconds.
    pub interval: i64,
    /// In milliseconds.
    pub offset: i64,
    /// What every carrier of their units lists from the begin of the run to its end.
    pub resources: Vec<Resource>,
    /// What is measured of each of them.
    pub meters: Vec<Meter>,
}

/// A resource that agents share.
#[derive(Debug, Clone)]
pub struct Resource {
    /// Its key, and the resource id of its samples.
    pub key: String,
    /// Its unit, as plans name it.
    pub unit: String,
}

/// A meter.
#[derive(Debug, Clone)]
pub struct Meter {
    /// Its name.
    pub name: String,
    /// Whether every agent that carries the unit wants it. If not, it comes once at most, and may be missing.
    pub everywhere: bool,
}

/// A sample that an agent wrote.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    /// The id of the agent.
    pub agent: String,
    /// The key of the resource.
    pub resource: String,
    /// The meter.
    pub meter: String,
    /// The cycle that its message id was made of.
    pub cycle: Cycle,
    /// The message id.
    pub id: String,
    /// When the run began that it came of.
    pub began: f64,
    /// When its poll ended.
    pub finished: f64,
}

/// A plan as it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Of which cycle.
    pub cycle: Cycle,
    /// When it was seen.
    pub at: f64,
    /// Who is in it.
    pub members: Vec<PlanMember>,
}

/// A member as a plan lists it.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanMember {
    /// The id of the agent.
    pub agent: String,
    /// Which of its lives.
    pub incarnation: String,
    /// The units that it carries on the plan's schedule.
    pub units: BTreeSet<String>,
}

/// A member's key came.
#[derive(Debug, Clone, PartialEq)]
pub struct Joined {
    /// The id of the agent.
    pub agent: String,
    /// Which of its lives.
    pub incarnation: String,
    /// When that was seen.
    pub at: f64,
}

/// A member's key went: it was deleted, or its lease ran out.
#[derive(Debug, Clone, PartialEq)]
pub struct Gone {
    /// Which of the agent's lives.
    pub incarnation: String,
    /// When that was seen.
    pub at: f64,
}

/// A member gave a unit up.
#[derive(Debug, Clone, PartialEq)]
pub struct GaveUp {
    /// Which member.
    pub incarnation: String,
    /// In which cycle.
    pub cycle: Cycle,
    /// Which unit.
    pub unit: String,
    /// When that was seen.
    pub at: f64,
}

/// An agent says that it did not poll its share of a cycle: the one before still ran, or it had no plan.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Skipped {
    /// The id of the agent.
    pub agent: String,
    /// The cycle.
    pub cycle: Cycle,
}

/// How many cycles of a schedule an agent's counters say it did not poll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// The id of the agent.
    pub agent: String,
    /// The schedule.
    pub schedule: String,
    /// Overrun and lost ones, over all lives of the agent in the run.
    pub cycles: usize,
}

/// Something was done to the pool.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// When it began.
    pub from: f64,
    /// When it was over.
    pub to: f64,
    /// What it may do.
    pub effect: Effect,
}

/// An agent cannot have had an answer of etcd to anything that it sent in this time.
#[derive(Debug, Clone, PartialEq)]
pub struct Silence {
    /// The id of the agent.
    pub agent: String,
    /// When it began.
    pub from: f64,
    /// When it ended; until the agent is a member again if the process was stopped or killed.
    pub to: Option<f64>,
}

/// What a fault may do to the cycles that it touches. Without a fault, and with a join, a graceful stop, a rolling restart or a
/// reload, each sample comes exactly once: these are no faults here.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// An agent was killed or stopped, or has lost its lease while alive. Every sample comes; rightful successors may repeat some.
    Death,
    /// These agents do not reach etcd and go on (`on_loss: continue`), with what they own under either of the last two plans.
    CutOff(BTreeSet<String>),
    /// Nobody reaches etcd, and all go on like that.
    EtcdAway,
    /// etcd lost its data: the cycle is divided anew.
    EtcdEmptied,
    /// Nothing is promised: all are dead, or cut off with `on_loss: pause`.
    Anything,
}

/// What leases can do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lease {
    /// `lease_ttl`, in seconds.
    pub ttl: f64,
    /// `on_loss: pause`: nothing goes after the end of a lease, whoever else is alive.
    pub pauses: bool,
}

/// Who comes after whom.
pub trait Ranking {
    /// The places of `members` in the order in which they own the resource with this key.
    fn order(&self, key: &str, members: &[&str]) -> Vec<usize>;
}

impl<F: Fn(&str, &[&str]) -> Vec<usize>> Ranking for F {
    fn order(&self, key: &str, members: &[&str]) -> Vec<usize> {
        self(key, members)
    }
}

/// All that a run leaves.
#[derive(Debug, Clone)]
pub struct Run {
    /// What is judged.
    pub schedules: Vec<Schedule>,
    /// The boot clock at the epoch: what has to be added to seconds since the epoch. (Nobody steps the wall clock in a run.)
    pub epoch: f64,
    /// When the run ended: cycles that could still be taken over then are not judged.
    pub end: f64,
    /// The leases of all agents.
    pub lease: Lease,
    /// How much later than the agents the harness may have seen what happened in etcd, in seconds.
    pub slack: f64,
    /// What was written.
    pub written: Vec<Written>,
    /// In the order in which they were written.
    pub plans: Vec<Plan>,
    /// Members that came.
    pub joined: Vec<Joined>,
    /// Members that went.
    pub gone: Vec<Gone>,
    /// What was given up.
    pub gave_up: Vec<GaveUp>,
    /// What was not polled, by cycle.
    pub skipped: Vec<Skipped>,
    /// What was not polled, as counted; agents that are not named are not checked.
    pub counted: Vec<Counted>,
    /// What was done.
    pub faults: Vec<Fault>,
    /// What that kept agents from hearing. Of `on_loss: continue` those alone that could not go on without.
    pub silences: Vec<Silence>,
}
