//! The faults that can be injected into a pool, as steps with their times.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use super::draw::Draw;
use super::setting::{Role, Setting};
use crate::Network;
use crate::oracle::Effect;

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// SIGKILL, and a start some time later.
    Kill,
    /// SIGSTOP for three leases, then SIGCONT.
    Pause,
    /// SIGTERM, and a start some time later.
    Stop,
    /// All agents are restarted, one after the other.
    RollingRestart,
    /// All agents get another configuration, one after the other, then the previous one.
    RollingReload,
    /// Twenty more agents join at once, and leave at once.
    JoinStorm,
    /// A second process with the id of a living agent.
    SameId,
    /// etcd is suspended for two leases.
    EtcdFrozen,
    /// etcd is killed and started again.
    EtcdKilled,
    /// etcd is killed and returns empty.
    EtcdWiped,
    /// One agent does not reach etcd for three leases and two cycles: connections break, or answers are lost.
    OneCutOff,
    /// Half of the agents do not reach etcd for as long.
    HalfCutOff,
    /// All messages between agents and etcd are delayed.
    Slow,
    /// One of three nodes of etcd is killed and started again.
    OneNodeKilled,
    /// Two of three nodes are killed and started again.
    TwoNodesKilled,
    /// The owner of a resource is killed, and its successor after its takeover.
    OwnerAndSuccessor,
    /// Several faults of agents at the same time.
    Mixture,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 17] = [
        Self::Kill,
        Self::Pause,
        Self::Stop,
        Self::RollingRestart,
        Self::RollingReload,
        Self::JoinStorm,
        Self::SameId,
        Self::EtcdFrozen,
        Self::EtcdKilled,
        Self::EtcdWiped,
        Self::OneCutOff,
        Self::HalfCutOff,
        Self::Slow,
        Self::OneNodeKilled,
        Self::TwoNodesKilled,
        Self::OwnerAndSuccessor,
        Self::Mixture,
    ];

    /// Returns the name for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill -9",
            Self::Pause => "SIGSTOP for 3 leases",
            Self::Stop => "SIGTERM",
            Self::RollingRestart => "rolling restart",
            Self::RollingReload => "rolling reload",
            Self::JoinStorm => "20 join at once",
            Self::SameId => "same id twice",
            Self::EtcdFrozen => "etcd frozen for 2 leases",
            Self::EtcdKilled => "etcd killed",
            Self::EtcdWiped => "etcd wiped",
            Self::OneCutOff => "one agent cut off",
            Self::HalfCutOff => "half cut off",
            Self::Slow => "slow network",
            Self::OneNodeKilled => "1 of 3 etcd nodes killed",
            Self::TwoNodesKilled => "2 of 3 etcd nodes killed",
            Self::OwnerAndSuccessor => "owner, then successor killed",
            Self::Mixture => "mixture",
        }
    }

    /// Returns whether it is possible in this setting.
    #[must_use]
    pub fn fits(self, setting: &Setting) -> bool {
        match self {
            // Without a majority, etcd is unavailable too.
            Self::OneNodeKilled | Self::TwoNodesKilled => setting.nodes == 3 && !setting.pauses,
            Self::OwnerAndSuccessor | Self::Mixture => setting.agents > 3,
            // These guarantees hold only with `continue`.
            Self::EtcdFrozen | Self::EtcdKilled | Self::EtcdWiped => !setting.pauses,
            _ => true,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.name())
    }
}

/// One step of a fault. Agents are named by their numbers.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    Kill(usize),
    Start(usize),
    Freeze(usize),
    Thaw(usize),
    /// SIGTERM, and a wait for its end.
    Stop(usize),
    /// The same, then a start.
    Restart(usize),
    /// Another configuration and SIGHUP, and a wait until its key shows it.
    Reload(usize, Role),
    /// Another process with this agent's id, and a wait for its end.
    DuplicateId(usize),
    /// Changes the network between an agent and all nodes of etcd.
    Network(usize, Network),
    /// This many further agents, and a wait until a plan lists all of them.
    Storm(usize),
    /// Stops them and waits for their end.
    StopStorm,
    FreezeEtcd,
    ThawEtcd,
    KillNodes(Vec<usize>),
    StartNodes,
    WipeEtcd,
    /// These agents must have reported that they do not reach etcd, and that they were out of the pool for a whole cycle.
    ExpectErrors(Vec<usize>),
}

/// Steps, each with its seconds after the start.
#[derive(Debug, Clone)]
pub(super) struct Script {
    pub steps: Vec<(f64, Step)>,
    /// Its possible effect.
    pub effect: Option<Effect>,
    /// Whether agents may behave as under the fault until they are back in the pool.
    pub lingers: bool,
}

/// Draws the steps. `ranking` is the order of the agents for one resource.
pub(super) fn scripts(kind: Kind, setting: &Setting, ranking: &[usize], draw: &mut Draw) -> Vec<Script> {
    if kind == Kind::Mixture {
        return mixture(setting, draw);
    }
    let some = draw.some(setting.agents, setting.agents);
    vec![script(kind, setting, &some, ranking, draw)]
}

/// Returns the name of an agent.
pub(super) fn name(agent: usize) -> String {
    format!("agent-{agent}")
}

/// At least one agent has no fault. Faults of etcd are excluded: without etcd nothing is guaranteed for a death.
fn mixture(setting: &Setting, draw: &mut Draw) -> Vec<Script> {
    const KINDS: [Kind; 5] = [Kind::Kill, Kind::Pause, Kind::Stop, Kind::OneCutOff, Kind::Slow];
    // A share survives at most three deaths.
    let victims = draw.some(draw.clone().number(2..4), setting.agents - 1);
    let mut scripts = Vec::new();
    for victim in victims {
        let kind = KINDS[draw.number(0..KINDS.len())];
        let mut script = script(kind, setting, &[victim], &[], draw);
        let late = draw.seconds(0.0, f64::from(setting.interval));
        for (at, _) in &mut script.steps {
            *at += late;
        }
        scripts.push(script);
    }
    scripts
}

/// Returns a fault of these agents.
fn script(kind: Kind, setting: &Setting, agents: &[usize], ranking: &[usize], draw: &mut Draw) -> Script {
    let (interval, lease) = (f64::from(setting.interval), f64::from(setting.lease));
    let first = agents[0];
    let after = draw.seconds(0.1, 1.5 * interval);
    let death = Some(Effect::Death);
    // An edge falls between any three of them.
    let gap = 0.4 * interval;
    let (steps, effect) = match kind {
        Kind::Kill => (vec![(0.0, Step::Kill(first)), (after, Step::Start(first))], death),
        Kind::Pause => (
            vec![(0.0, Step::Freeze(first)), (3.0 * lease, Step::Thaw(first))],
            death,
        ),
        Kind::Stop => (vec![(0.0, Step::Stop(first)), (after, Step::Start(first))], None),
        Kind::RollingRestart => {
            let restart = |(place, agent): (usize, &usize)| (place as f64 * gap, Step::Restart(*agent));
            (agents.iter().enumerate().map(restart).collect(), None)
        }
        Kind::RollingReload => {
            // Two agents always carry everything.
            let other = |place: usize| {
                if place + 2 < agents.len() {
                    Role::Other
                } else {
                    Role::More
                }
            };
            let there = agents
                .iter()
                .enumerate()
                .map(|(place, agent)| Step::Reload(*agent, other(place)));
            let back = agents.iter().map(|agent| Step::Reload(*agent, Role::Usual));
            let steps = there.chain(back).enumerate();
            (
                steps.map(|(place, step)| (place as f64 * gap, step)).collect(),
                None,
            )
        }
        Kind::JoinStorm => (vec![(0.0, Step::Storm(20)), (interval, Step::StopStorm)], None),
        Kind::SameId => (vec![(0.0, Step::DuplicateId(first))], None),
        Kind::EtcdFrozen => (
            vec![(0.0, Step::FreezeEtcd), (2.0 * lease, Step::ThawEtcd)],
            Some(Effect::EtcdAway),
        ),
        Kind::EtcdKilled => (
            vec![
                (0.0, Step::KillNodes((0..setting.nodes).collect())),
                (after.max(0.5 * lease), Step::StartNodes),
            ],
            Some(Effect::EtcdAway),
        ),
        Kind::EtcdWiped => (vec![(0.0, Step::WipeEtcd)], Some(Effect::EtcdEmptied)),
        Kind::OneCutOff | Kind::HalfCutOff => {
            let count = if kind == Kind::OneCutOff {
                1
            } else {
                agents.len() / 2
            };
            let cut = &agents[..count];
            let network = if draw.number(0..2) == 0 {
                Network::Cut
            } else {
                Network::HalfOpen
            };
            let all = |at: f64, network| cut.iter().map(move |agent| (at, Step::Network(*agent, network)));
            // At least two edges pass while each of them is out of the pool.
            let end = (3.0 * lease).max(lease + 2.2 * interval);
            let mut steps: Vec<_> = all(0.0, network).collect();
            steps.push((end, Step::ExpectErrors(cut.to_vec())));
            steps.extend(all(end, Network::Normal));
            let effect = if setting.pauses {
                Effect::Death
            } else {
                Effect::CutOff(cut.iter().map(|agent| name(*agent)).collect::<BTreeSet<_>>())
            };
            (steps, Some(effect))
        }
        Kind::Slow => {
            let slow = Network::Slow(Duration::from_secs_f64(draw.seconds(0.02, 0.15)));
            let all = |at: f64, network| {
                agents
                    .iter()
                    .map(move |agent| (at, Step::Network(*agent, network)))
            };
            let steps = all(0.0, slow).chain(all(1.5 * interval, Network::Normal));
            (steps.collect(), None)
        }
        Kind::OneNodeKilled | Kind::TwoNodesKilled => {
            let count = if kind == Kind::OneNodeKilled { 1 } else { 2 };
            let nodes = draw.some(count, setting.nodes);
            (
                vec![
                    (0.0, Step::KillNodes(nodes)),
                    (after.max(lease), Step::StartNodes),
                ],
                // Without one node, etcd is unavailable until it has a new leader.
                Some(Effect::EtcdAway),
            )
        }
        Kind::OwnerAndSuccessor => {
            let [owner, successor] = [0, 1].map(|place| ranking.get(place).copied().unwrap_or(agents[place]));
            // The owner's key is removed at the end of its lease at the latest; its successor is polling then.
            let second = lease + draw.seconds(0.0, 1.5);
            (
                vec![
                    (0.0, Step::Kill(owner)),
                    (second, Step::Kill(successor)),
                    (second + after, Step::Start(owner)),
                    (second + after, Step::Start(successor)),
                ],
                death,
            )
        }
        Kind::Mixture => unreachable!("a mixture has several scripts"),
    };
    Script {
        steps,
        lingers: !matches!(effect, None | Some(Effect::Death)),
        effect,
    }
}
