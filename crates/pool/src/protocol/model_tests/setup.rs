//! The setup of a model: its agents and faults.

use crate::protocol::Rules;
use crate::protocol::machine::OnLoss;

/// The setup of a model.
#[derive(Debug, Clone)]
pub(super) struct Setup {
    pub(super) agents: usize,
    /// How many of them are members at the start; the others start at any time.
    pub(super) members: usize,
    /// Whether the first cycle starts before faults are possible, so that the pool has a plan.
    pub(super) warm: bool,
    /// The number of cycles.
    pub(super) cycles: u64,
    pub(super) faults: u8,
    /// The kinds of the first fault and of the others, by which a search can be divided.
    pub(super) first: &'static [Kind],
    pub(super) others: &'static [Kind],
    pub(super) on_loss: OnLoss,
    pub(super) rules: Rules,
    /// The first agent has a second unit that no other agent has.
    pub(super) uneven: bool,
    /// The number of agents that may stop gracefully.
    pub(super) stops: u8,
    /// Steps of different agents may happen in any order.
    pub(super) orders: bool,
}

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// A process is killed. It may start again at any later time.
    Crash,
    /// A process is stopped for a while; its sent messages still arrive.
    Pause,
    /// The connection between an agent and etcd is lost for a while; pending messages are lost.
    Cut,
    /// Messages between an agent and etcd are delayed for a while; keepalives arrive.
    Delay,
    /// An agent's watch loses its pending events and breaks.
    Watch,
    /// An agent's lease ends early.
    Expire,
    /// No agent reaches etcd for a while.
    Down,
    /// etcd loses everything.
    Wipe,
}

impl Kind {
    pub(super) const ALL: &'static [Self] = &[
        Self::Crash,
        Self::Pause,
        Self::Cut,
        Self::Delay,
        Self::Watch,
        Self::Expire,
        Self::Down,
        Self::Wipe,
    ];

    /// The faults of agents and their messages, which do not affect etcd.
    pub(super) const OF_AGENTS: &'static [Self] = &[
        Self::Crash,
        Self::Pause,
        Self::Cut,
        Self::Delay,
        Self::Watch,
        Self::Expire,
    ];
}
