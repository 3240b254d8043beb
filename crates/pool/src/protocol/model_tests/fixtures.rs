//! Constants of the model: times, names, resources.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use nephoscope_coordination::{BootTime, Unit};
use nephoscope_model::{CycleId, PartitionMode, ScheduleId, Timestamp};

use super::setup::Setup;
use crate::protocol::machine::Options;
use crate::protocol::ranking::{MemberHash, ranked};
use crate::protocol::{AgentId, Edge, Incarnation, KeyHash, Lease, WorkName};

pub(super) const INTERVAL: u64 = 8_000;
pub(super) const TTL: u64 = 5_000;
pub(super) const REQUEST: u64 = 1_000;
/// How long before an edge the engine announces it.
pub(super) const AHEAD: u64 = 2_000;
/// Wall-clock time at the start of the modelled time, in milliseconds.
const WALL: i64 = 1_700_000_000_000;

pub(super) fn schedule() -> ScheduleId {
    static SCHEDULE: OnceLock<ScheduleId> = OnceLock::new();
    SCHEDULE.get_or_init(|| ScheduleId::new("every:8:0")).clone()
}

/// Returns the edge of a cycle; cycles count from 1.
pub(super) fn edge_of(cycle: u64) -> u64 {
    cycle * INTERVAL
}

pub(super) fn edge(cycle: u64) -> Edge {
    Edge {
        cycle: CycleId::new(schedule(), wall(edge_of(cycle)), cycle as i64),
        edge: boot(edge_of(cycle)),
        interval: Duration::from_millis(INTERVAL),
    }
}

pub(super) fn boot(millis: u64) -> BootTime {
    BootTime::after_boot(Duration::from_millis(millis))
}

pub(super) fn wall(millis: u64) -> Timestamp {
    Timestamp::from_millis(WALL + millis as i64)
}

pub(super) fn millis(time: BootTime) -> u64 {
    time.since_boot().as_millis() as u64
}

/// Returns the time until which a lease that was requested at `sent` is confirmed.
pub(super) fn deadline(sent: u64) -> u64 {
    millis(Lease::new(boot(sent), Duration::from_millis(TTL)).deadline())
}

pub(super) fn agent_id(agent: usize) -> AgentId {
    static IDS: OnceLock<Vec<AgentId>> = OnceLock::new();
    IDS.get_or_init(|| ["a", "b", "c"].into_iter().filter_map(AgentId::new).collect())[agent].clone()
}

/// Returns the incarnation of an agent's nth membership.
pub(super) fn incarnation(agent: usize, membership: u32) -> Incarnation {
    Incarnation((agent as u128 + 1) << 64 | u128::from(membership))
}

pub(super) fn options(setup: &Setup, id: AgentId) -> Options {
    Options {
        id,
        host: "host".into(),
        group_prefix: "".into(),
        lease_ttl: Duration::from_millis(TTL),
        request_timeout: Duration::from_millis(REQUEST),
        on_loss: setup.on_loss,
    }
}

/// Returns the units of the model; only the first agent has the second one.
pub(super) fn units(setup: &Setup) -> Vec<Unit> {
    let unit = |listing: &str| Unit {
        scope: nephoscope_model::Scope::Shared,
        schedule: schedule(),
        discovery: listing.into(),
        mode: PartitionMode::Resource,
    };
    let mut units = vec![unit("listed")];
    if setup.uneven {
        units.push(unit("extra"));
    }
    units
}

pub(super) fn registered(setup: &Setup, agent: usize) -> Vec<Unit> {
    let mut units = units(setup);
    if agent != 0 {
        units.truncate(1);
    }
    units
}

/// Returns one resource for each agent as its owner; with three agents, the rankings are rotations of each other.
pub(super) fn keys(setup: &Setup) -> &'static [Arc<str>] {
    static TWO: OnceLock<Vec<Arc<str>>> = OnceLock::new();
    static THREE: OnceLock<Vec<Arc<str>>> = OnceLock::new();
    let cell = if setup.agents == 2 { &TWO } else { &THREE };
    cell.get_or_init(|| {
        let hashes: Vec<_> = (0..setup.agents)
            .map(|agent| MemberHash::of(&agent_id(agent)))
            .collect();
        let wanted = (0..setup.agents).map(|first| {
            let order: Vec<_> = (0..setup.agents)
                .map(|next| (first + next) % setup.agents)
                .collect();
            let mut names = (0..).map(|number| format!("resource-{number}"));
            let found = names.find(|name| ranked(&hashes, KeyHash::of(name)) == order);
            Arc::from(found.unwrap())
        });
        wanted.collect()
    })
}

pub(super) fn name_of(cycle: u64, takeover: Option<u64>) -> WorkName {
    WorkName {
        schedule: schedule(),
        start: wall(edge_of(cycle)),
        takeover,
    }
}

/// Returns the cycle that starts at a time.
pub(super) fn cycle_at(start: Timestamp) -> u64 {
    (start.as_millis() - WALL) as u64 / INTERVAL
}

impl Setup {
    /// Returns the time at which all takeovers are over.
    pub(super) fn end(&self) -> u64 {
        edge_of(self.cycles + 1) + 4 * (TTL + 1_000)
    }
}
