//! The data of a run, for the oracle.

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

/// A schedule to judge, and its resources.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// Its canonical text.
    pub id: String,
    /// In milliseconds.
    pub interval: i64,
    /// In milliseconds.
    pub offset: i64,
    /// The resources that every carrier of their units lists during the whole run.
    pub resources: Vec<Resource>,
    /// The meters of each resource.
    pub meters: Vec<Meter>,
}

/// A shared resource.
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
    /// Whether every agent that carries the unit requests it. Otherwise it is written at most once, and may be missing.
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
    /// The cycle of its message id.
    pub cycle: Cycle,
    /// The message id.
    pub id: String,
    /// When its run started.
    pub began: f64,
    /// When its poll ended.
    pub finished: f64,
}

/// A written plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The cycle.
    pub cycle: Cycle,
    /// When it was seen.
    pub at: f64,
    /// Its members.
    pub members: Vec<PlanMember>,
}

/// A member as a plan lists it.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanMember {
    /// The id of the agent.
    pub agent: String,
    /// The incarnation.
    pub incarnation: String,
    /// Its units on the plan's schedule.
    pub units: BTreeSet<String>,
}

/// A member's key was created.
#[derive(Debug, Clone, PartialEq)]
pub struct Joined {
    /// The id of the agent.
    pub agent: String,
    /// The incarnation.
    pub incarnation: String,
    /// When it was seen.
    pub at: f64,
}

/// A member's key was removed: it was deleted, or its lease expired.
#[derive(Debug, Clone, PartialEq)]
pub struct Gone {
    /// The incarnation.
    pub incarnation: String,
    /// When it was seen.
    pub at: f64,
}

/// A member gave a unit up.
#[derive(Debug, Clone, PartialEq)]
pub struct GaveUp {
    /// The incarnation.
    pub incarnation: String,
    /// The cycle.
    pub cycle: Cycle,
    /// The unit.
    pub unit: String,
    /// When it was seen.
    pub at: f64,
}

/// An agent's report that it did not poll its share of a cycle: the previous cycle was still running, or there was no plan.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Skipped {
    /// The id of the agent.
    pub agent: String,
    /// The cycle.
    pub cycle: Cycle,
}

/// The number of cycles of a schedule that an agent counts as not polled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// The id of the agent.
    pub agent: String,
    /// The schedule.
    pub schedule: String,
    /// Overrun and lost cycles, over all processes of the agent in the run.
    pub cycles: usize,
}

/// An injected fault.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// When it started.
    pub from: f64,
    /// When it ended.
    pub to: f64,
    /// Its possible effect.
    pub effect: Effect,
}

/// A time in which an agent received no answer from etcd.
#[derive(Debug, Clone, PartialEq)]
pub struct Silence {
    /// The id of the agent.
    pub agent: String,
    /// When it started.
    pub from: f64,
    /// When it ended. If the process was stopped or killed, it lasts until the agent is a member again.
    pub to: Option<f64>,
}

/// The possible effect of a fault on the cycles that it touches. Without a fault each sample is written exactly once. A join,
/// a graceful stop, a rolling restart and a reload are no faults here.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// An agent was killed or stopped, or lost its lease while alive. Every sample is written; rightful successors may repeat
    /// some.
    Death,
    /// These agents do not reach etcd and continue (`on_loss: continue`) with the resources that they own under either of the
    /// last two plans.
    CutOff(BTreeSet<String>),
    /// No agent reaches etcd, and all continue in this way.
    EtcdAway,
    /// etcd lost its data: the cycle is divided again.
    EtcdEmptied,
    /// No guarantee holds: all agents are dead, or cut off with `on_loss: pause`.
    Anything,
}

/// The options of leases.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lease {
    /// `lease_ttl`, in seconds.
    pub ttl: f64,
    /// `on_loss: pause`: no sample is handed over after the end of a lease.
    pub pauses: bool,
}

/// The order of owners.
pub trait Ranking {
    /// Returns the indexes of `members` in the order in which they own the resource with this key.
    fn order(&self, key: &str, members: &[&str]) -> Vec<usize>;
}

impl<F: Fn(&str, &[&str]) -> Vec<usize>> Ranking for F {
    fn order(&self, key: &str, members: &[&str]) -> Vec<usize> {
        self(key, members)
    }
}

/// The data of a run.
#[derive(Debug, Clone)]
pub struct Run {
    /// The schedules to judge.
    pub schedules: Vec<Schedule>,
    /// The boot clock at the epoch: the offset of boot times to seconds since the epoch. (No fault steps the wall clock.)
    pub epoch: f64,
    /// When the run ended. Cycles that could still be taken over then are not judged.
    pub end: f64,
    /// The leases of all agents.
    pub lease: Lease,
    /// The maximum delay with which the harness sees changes in etcd, in seconds.
    pub slack: f64,
    /// The written samples.
    pub written: Vec<Written>,
    /// In the order in which they were written.
    pub plans: Vec<Plan>,
    /// Members that joined.
    pub joined: Vec<Joined>,
    /// Members that are gone.
    pub gone: Vec<Gone>,
    /// Units that were given up.
    pub gave_up: Vec<GaveUp>,
    /// Cycles that were not polled, as reported.
    pub skipped: Vec<Skipped>,
    /// Cycles that were not polled, as counted. Agents that are not listed are not checked.
    pub counted: Vec<Counted>,
    /// The injected faults.
    pub faults: Vec<Fault>,
    /// When agents received no answer because of the faults. With `on_loss: continue` only agents that needed one.
    pub silences: Vec<Silence>,
}
