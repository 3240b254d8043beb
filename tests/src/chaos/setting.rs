//! The parameters of a scene: how many agents, what they share, how fast.

use std::fmt::Write as _;

use nephoscope_coordination::Unit;
use nephoscope_model::{PartitionMode, ScheduleId};
use nephoscope_pool::protocol::UnitHash;

/// The meter that is judged. The other meter of agents changes with reloads.
pub(super) const METER: &str = "synthetic.cycle";

/// The pollster's discovery without any other.
const FALLBACK: &str = "synthetic://10";

/// The parameters of a scene.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Setting {
    /// Agents that run from start to end.
    pub agents: usize,
    /// The number of resources that all agents list.
    pub resources: usize,
    /// The number of resources of a second unit, which agents drop and add again in a rolling reload.
    pub side: usize,
    /// In seconds.
    pub interval: u32,
    /// `lease_ttl`, in seconds.
    pub lease: u32,
    /// `on_loss: pause`.
    pub pauses: bool,
    /// Nodes of etcd.
    pub nodes: usize,
    /// A safety rule that is disabled in the agents: the oracle must detect it.
    pub without: Option<&'static str>,
}

/// The configuration of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The initial one.
    Usual,
    /// The initial one, and one more meter.
    More,
    /// One more meter, without the second unit.
    Other,
}

impl Setting {
    /// Returns the canonical text of the schedule.
    pub(super) fn schedule(&self) -> String {
        format!("every:{}:0", self.interval)
    }

    /// Returns the maximum time from a fault's end until all agents are members again: one cycle.
    #[must_use]
    pub fn patience(&self) -> f64 {
        f64::from(self.interval)
    }

    /// Returns the keys of the first unit.
    pub(super) fn keys(&self) -> impl Iterator<Item = String> {
        (0..self.resources).map(|index| format!("synthetic-{index:06}"))
    }

    /// Returns the keys of the second unit.
    pub(super) fn side_keys(&self) -> impl Iterator<Item = String> {
        (0..self.side).map(|index| format!("side-{index:03}"))
    }

    /// Returns the name of the first unit in plans.
    pub(super) fn unit(&self) -> String {
        self.unit_of(&self.listing())
    }

    /// Returns the second unit among the units of members: it is a static list, which plans name by its content.
    pub(super) fn side_unit<'a>(&self, mut carried: impl Iterator<Item = &'a String>) -> Option<String> {
        // The pollster's default discovery is a unit too, although it is not run while there is another one.
        let others = [self.unit(), self.unit_of(FALLBACK)];
        carried.find(|unit| !others.contains(unit)).cloned()
    }

    fn unit_of(&self, listing: &str) -> String {
        let unit = Unit {
            scope: nephoscope_model::Scope::Shared,
            schedule: ScheduleId::new(self.schedule()),
            discovery: listing.into(),
            mode: PartitionMode::Resource,
        };
        UnitHash::of("", &unit).to_string()
    }

    fn listing(&self) -> String {
        format!("synthetic://{}", self.resources)
    }

    /// Returns an agent's `polling.yaml`.
    pub(super) fn config(&self, id: &str, endpoints: &[String], prefix: &str, role: Role) -> String {
        let endpoints: Vec<_> = endpoints.iter().map(|url| format!("\"{url}\"")).collect();
        let on_loss = if self.pauses { "pause" } else { "continue" };
        let meters = match role {
            Role::Usual => METER.to_owned(),
            Role::More | Role::Other => format!("{METER}, synthetic.wave"),
        };
        // Polls take a while, so that faults hit them in progress.
        let latency = self.interval * 1000 / 16;
        let mut text = format!(
            "agent: {{namespaces: [synthetic], id: {id}, host: host-{id}, state_dir: $LAB/state, shutdown_timeout: 30s}}\n\
             coordination: {{backend: etcd, endpoints: [{}], prefix: {prefix}, lease_ttl: {}s, on_loss: {on_loss}}}\n\
             notifier: {{publishers: [{{name: file, url: \"file://$LAB/samples\"}}]}}\n\
             plugins: {{synthetic: {{latency: {latency}ms, jitter: {}ms}}}}\n\
             sources:\n\
             \x20 - {{name: main, interval: {}, meters: [{meters}], discovery: [\"{}\"]}}\n",
            endpoints.join(", "),
            self.lease,
            2 * latency,
            self.interval,
            self.listing(),
        );
        if self.side > 0 && role != Role::Other {
            let keys: Vec<_> = self.side_keys().collect();
            let _ = writeln!(
                text,
                "  - {{name: side, interval: {}, meters: [{METER}], resources: [{}]}}",
                self.interval,
                keys.join(", ")
            );
        }
        text
    }
}
