//! What is modelled: how many agents, and which faults.

use crate::protocol::Rules;
use crate::protocol::machine::OnLoss;

/// What is modelled.
#[derive(Debug, Clone)]
pub(super) struct Setup {
    pub(super) agents: usize,
    /// How many of them are members when it begins; the others start when they like.
    pub(super) members: usize,
    /// Whether the first cycle begins before anything can go wrong: then the pool has a plan. If not, it has none yet.
    pub(super) warm: bool,
    /// How many cycles there are.
    pub(super) cycles: u64,
    pub(super) faults: u8,
    /// The kinds of which the first fault is, and those of which the others are: a search can be divided by them.
    pub(super) first: &'static [Kind],
    pub(super) others: &'static [Kind],
    pub(super) on_loss: OnLoss,
    pub(super) rules: Rules,
    /// The first agent carries a second unit that no other one does.
    pub(super) uneven: bool,
    /// How many agents may stop as they should.
    pub(super) stops: u8,
    /// Steps of different agents come in any order.
    pub(super) orders: bool,
}

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// A process ends at once. It may start again, at any later moment.
    Crash,
    /// A process stops for a while; what it has sent travels on.
    Pause,
    /// Nothing gets through between an agent and etcd for a while; what was on its way is lost.
    Cut,
    /// What travels between an agent and etcd is held up for a while; keepalives get through.
    Delay,
    /// An agent's watch loses what is on its way, and breaks.
    Watch,
    /// An agent's lease ends before its time.
    Expire,
    /// Nobody reaches etcd for a while.
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

    /// Those that befall agents and their messages, and leave etcd as it is.
    pub(super) const OF_AGENTS: &'static [Self] = &[
        Self::Crash,
        Self::Pause,
        Self::Cut,
        Self::Delay,
        Self::Watch,
        Self::Expire,
    ];
}
