//! The world of the model: agents with their engines, etcd, and their messages.
//!
//! Time is a single clock and advances to the next moment at which something is due. Without a fault every message arrives,
//! and every poll ends, before time advances. The run is therefore determined by the faults: when they occur, what they
//! affect, and when they end. A fault may occur between any two steps.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use nephoscope_coordination::Unit;
use nephoscope_model::Timestamp;

use super::etcd::{Etcd, LeaseNumber};
use super::fixtures::{agent_id, options};
use super::setup::{Kind, Setup};
use crate::protocol::{
    Condition, Division, Entry, Event, Incarnation, Key, Machine, Plan, Request, Scope, Value, WorkName,
};

/// A move.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Move {
    /// Time advances to the next moment at which something is due.
    Advance,
    /// An agent, or its link to etcd, takes its next step.
    Run(usize, Step),
    Fault(Kind, usize),
    /// A message that a process sent before its crash arrives after it.
    LateWrite(usize),
    /// A fault ends.
    Recover(Recovery),
    Start(usize),
    Stop(usize),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Recovery {
    /// With `hasty`, the process continues before it reads its pending messages.
    Resume {
        agent: usize,
        hasty: bool,
    },
    /// Delayed messages are delivered.
    Release(usize),
    Heal(usize),
    Restart(usize),
    /// etcd is back; its leases continue, or are extended as after the election of a new leader.
    Up {
        extend: bool,
    },
}

/// A step of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Step {
    /// etcd executes the agent's first request.
    Execute,
    /// The agent receives the first answer.
    Reply,
    /// The agent receives the first event of its watch.
    Watch,
    /// The agent reads everything again after its watch broke.
    Resync,
    /// A work item advances.
    Work(WorkName),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct World {
    pub(super) now: u64,
    pub(super) etcd: Etcd,
    pub(super) agents: Vec<Agent>,
    pub(super) faults: u8,
    pub(super) stops: u8,
    /// Cycles during which etcd was unreachable for all at some time.
    pub(super) down: BTreeSet<u64>,
    /// Cycles in which leases of stopped agents were extended: their end may become known too late.
    pub(super) prolonged: BTreeSet<u64>,
    /// The kinds of faults that occurred.
    pub(super) seen: BTreeSet<u8>,
    /// The first plan that was written for each start.
    pub(super) plans: BTreeMap<Timestamp, Plan>,
    /// The deadline of each membership's lease, as acknowledged.
    pub(super) deadlines: BTreeMap<Incarnation, u64>,
    /// The agents that handed over each sample, in order, by cycle, unit and resource.
    pub(super) samples: BTreeMap<(u64, usize, usize), Vec<usize>>,
    /// The first violated invariant.
    pub(super) violation: Option<&'static str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Agent {
    pub(super) process: Option<Process>,
    /// The number of its memberships.
    pub(super) memberships: u32,
    /// The lease in `state_dir/member.json`.
    pub(super) lease: Option<LeaseNumber>,
    /// A write that was pending when the process ended.
    pub(super) late_write: Option<(Key, Value, Vec<Condition>)>,
    /// Its memberships up to this one ended with a process.
    pub(super) crashed: u32,
    pub(super) started: bool,
    pub(super) stopped: bool,
    /// Cycles during which it did not run, or was not required to poll.
    pub(super) missed: BTreeSet<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Process {
    pub(super) machine: Machine,
    pub(super) paused: bool,
    pub(super) link: Link,
    /// The time until which the link may be slow: a request that takes longer has failed, and a watch that is silent for
    /// longer is broken.
    pub(super) slow_until: u64,
    pub(super) requests: VecDeque<Sent>,
    pub(super) replies: VecDeque<Event>,
    pub(super) watch: VecDeque<Entry>,
    /// Whether the watch is open.
    pub(super) watching: bool,
    pub(super) lease: Option<LeaseNumber>,
    pub(super) join_at: Option<u64>,
    pub(super) works: BTreeMap<WorkName, Work>,
    /// Cycles whose plan the engine is waiting for.
    pub(super) plan_requests: BTreeSet<u64>,
    /// Whether the machine knows that etcd does not answer.
    pub(super) lost: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Sent {
    pub(super) request: Outgoing,
    pub(super) at: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Outgoing {
    Join,
    Write(Key, Value, Vec<Condition>),
    Read(Scope),
    Renew,
    Revoke,
    /// The request was executed and its answer was lost: only its failure will be known.
    Lost(Request),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Link {
    Up,
    Slow,
    Cut,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Work {
    pub(super) units: BTreeSet<Unit>,
    pub(super) division: Arc<Division>,
    pub(super) former: bool,
    pub(super) stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Stage {
    Polling,
    Polled { at: u64 },
    Confirming { at: u64, since: u64 },
    HandedOver,
}

impl World {
    pub(super) fn empty(setup: &Setup) -> Self {
        Self {
            now: 0,
            etcd: Etcd::default(),
            agents: vec![Agent::default(); setup.agents],
            faults: setup.faults,
            stops: setup.stops,
            down: BTreeSet::new(),
            prolonged: BTreeSet::new(),
            seen: BTreeSet::new(),
            plans: BTreeMap::new(),
            deadlines: BTreeMap::new(),
            samples: BTreeMap::new(),
            violation: None,
        }
    }
}

impl Process {
    pub(super) fn new(setup: &Setup, agent: usize) -> Self {
        Self {
            machine: Machine::with_rules(options(setup, agent_id(agent)), setup.rules),
            paused: false,
            link: Link::Up,
            slow_until: 0,
            requests: VecDeque::new(),
            replies: VecDeque::new(),
            watch: VecDeque::new(),
            watching: false,
            lease: None,
            join_at: None,
            works: BTreeMap::new(),
            plan_requests: BTreeSet::new(),
            lost: false,
        }
    }
}

impl Work {
    pub(super) fn new(division: Arc<Division>, former: bool) -> Self {
        Self {
            units: division.units().cloned().collect(),
            division,
            former,
            stage: Stage::Polling,
        }
    }
}
