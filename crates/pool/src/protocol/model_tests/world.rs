//! Agents with their engines, etcd, and what can happen between them.
//!
//! Time is that of one clock, and goes from one moment at which something is due to the next. Without a fault every message
//! arrives, and every poll ends, before time goes on; so what happens is determined, but for the faults: when they strike,
//! what they hit, and when they end. A fault strikes between any two steps.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use nephoscope_coordination::Unit;
use nephoscope_model::Timestamp;

use super::etcd::{Etcd, LeaseNumber};
use super::scenery::{agent_id, options};
use super::setup::{Kind, Setup};
use crate::protocol::{
    Condition, Division, Entry, Event, Incarnation, Key, Machine, Plan, Request, Scope, Value, WorkName,
};

/// One thing that happens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Move {
    /// Time goes on to the next moment at which something is due.
    Advance,
    /// An agent, or its link to etcd, does its next step.
    Run(usize, Step),
    Fault(Kind, usize),
    /// What a process sent before its crash arrives after it.
    Straggler(usize),
    /// A fault ends.
    Recover(Recovery),
    Start(usize),
    Stop(usize),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Recovery {
    /// With `hasty`, the process goes on before it gets what has come for it meanwhile.
    Resume {
        agent: usize,
        hasty: bool,
    },
    /// What was held up gets through.
    Release(usize),
    Heal(usize),
    Restart(usize),
    /// etcd is back; its leases go on as they were, or begin anew as after the choice of a new leader.
    Up {
        extend: bool,
    },
}

/// A step of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Step {
    /// The first of its requests is done by etcd.
    Execute,
    /// It gets the first answer.
    Reply,
    /// It gets the first event of its watch.
    Watch,
    /// It reads everything anew after its watch broke.
    Resync,
    /// A work goes on.
    Work(WorkName),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct World {
    pub(super) now: u64,
    pub(super) etcd: Etcd,
    pub(super) agents: Vec<Agent>,
    pub(super) faults: u8,
    pub(super) stops: u8,
    /// Cycles during which nobody reached etcd, at some time.
    pub(super) down: BTreeSet<u64>,
    /// Cycles in which leases were prolonged of agents that do not run: that may become known when it is too late.
    pub(super) prolonged: BTreeSet<u64>,
    /// Which kinds of faults there were.
    pub(super) seen: BTreeSet<u8>,
    /// Every plan that was ever written, by start; of two only the first.
    pub(super) plans: BTreeMap<Timestamp, Plan>,
    /// The deadline of each membership's lease, as far as it was acknowledged.
    pub(super) deadlines: BTreeMap<Incarnation, u64>,
    /// Who handed over what: by cycle, unit and resource, the agents in the order of time.
    pub(super) samples: BTreeMap<(u64, usize, usize), Vec<usize>>,
    /// What must not happen, and did.
    pub(super) violation: Option<&'static str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Agent {
    pub(super) process: Option<Process>,
    /// How many memberships it began.
    pub(super) memberships: u32,
    /// The lease in `state_dir/member.json`.
    pub(super) lease: Option<LeaseNumber>,
    /// A write that was on its way when the process ended.
    pub(super) straggler: Option<(Key, Value, Vec<Condition>)>,
    /// Its memberships up to this one ended with a process.
    pub(super) crashed: u32,
    pub(super) started: bool,
    pub(super) stopped: bool,
    /// Cycles during which it did not run, or could not be expected to poll.
    pub(super) missed: BTreeSet<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Process {
    pub(super) machine: Machine,
    pub(super) paused: bool,
    pub(super) link: Link,
    /// Until when the link may be slow: a request that takes longer has failed, and a watch that says nothing so long is broken.
    pub(super) slow_until: u64,
    pub(super) requests: VecDeque<Sent>,
    pub(super) replies: VecDeque<Event>,
    pub(super) watch: VecDeque<Entry>,
    /// Whether the watch stands.
    pub(super) watching: bool,
    pub(super) lease: Option<LeaseNumber>,
    pub(super) join_at: Option<u64>,
    pub(super) works: BTreeMap<WorkName, Work>,
    /// Cycles of which the engine waits for the plan.
    pub(super) asks: BTreeSet<u64>,
    /// Etcd does not answer, and the machine knows.
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
    /// It was done, and the answer was lost: only its failure will be known.
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
    Asking { at: u64, since: u64 },
    Handed,
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
            asks: BTreeSet::new(),
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
