//! Agents that share a cloud, on one etcd.

use std::collections::BTreeMap;
use std::time::Duration;

use nephoscope_cloud::{Cloud, Counted, Size};
use nephoscope_tests::{Deadline, Etcd, Lab, Program};
use serde::Deserialize;
use tokio::runtime::Runtime;

use crate::clocks;
use crate::error::{BenchError, Context};
use crate::process;

/// Seconds between cycles.
pub(crate) const INTERVAL: u64 = 10;

/// The interval of checks of the agents outside of measurements.
pub(crate) const LOOK: Duration = Duration::from_millis(100);

/// The meters: volumes, floating IPs, images, zones and their record sets, the accounts of projects.
pub(crate) const METERS: &str = r#"["volume.size", "ip.floating", "image.size", "dns.zone.*", "storage.*"]"#;

/// A pool of agents.
pub(crate) struct Pool<'a> {
    agents: Vec<(Lab, Program)>,
    runtime: &'a Runtime,
    _etcd: Etcd,
}

/// A cycle of the whole pool.
#[derive(Debug)]
pub(crate) struct Cycle {
    /// The record of each agent.
    pub(crate) records: Vec<Record>,
    /// The requests to the cloud.
    pub(crate) requests: Vec<Counted>,
    /// The processor time of the whole interval.
    pub(crate) busy: Busy,
}

/// Processor time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Busy {
    /// Of all agents.
    pub(crate) agents: Duration,
    /// Of this process, which contains the cloud.
    pub(crate) cloud: Duration,
}

impl Busy {
    /// Returns the difference.
    fn since(self, before: Self) -> Self {
        Self {
            agents: self.agents.saturating_sub(before.agents),
            cloud: self.cloud.saturating_sub(before.cloud),
        }
    }
}

#[derive(Debug, Deserialize)]
struct Records {
    cycles: Vec<Record>,
}

/// A part of `/api/v1/cycles`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Record {
    cycle: Id,
    /// In seconds.
    pub(crate) duration: f64,
    pub(crate) samples: u64,
    pub(crate) polls: Vec<Poll>,
    takeover: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
struct Id {
    number: i64,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Poll {
    pub(crate) pollster: String,
    pub(crate) resources: u64,
    pub(crate) samples: u64,
    /// By kind.
    pub(crate) failures: BTreeMap<String, u64>,
}

impl Record {
    /// Returns how many resources a pollster measured, failed ones included.
    pub(crate) fn resources(&self, pollster: &str) -> u64 {
        let polls = self.polls.iter().filter(|poll| poll.pollster == pollster);
        polls
            .map(|poll| poll.resources + poll.failures.values().sum::<u64>())
            .sum()
    }

    /// Returns the number of a pollster's samples.
    pub(crate) fn samples_of(&self, pollster: &str) -> u64 {
        let polls = self.polls.iter().filter(|poll| poll.pollster == pollster);
        polls.map(|poll| poll.samples).sum()
    }
}

impl<'a> Pool<'a> {
    /// Starts agents with a bound on concurrent requests, but none on their rate.
    pub(crate) fn start(runtime: &'a Runtime, cloud: &Cloud, agents: usize) -> Result<Self, BenchError> {
        let etcd = Etcd::start();
        let mut options = cloud.options();
        if let Some(options) = options.as_object_mut() {
            options.insert("rate".to_owned(), 0.into());
            // A service that was unavailable is tried again in the next cycle.
            options.insert("breaker_interval".to_owned(), (INTERVAL / 2).into());
        }
        let endpoints = serde_json::to_string(&etcd.endpoints()).context("write the endpoints")?;
        let mut started = Vec::new();
        for number in 0..agents {
            let lab = Lab::with(&format!(
                "agent: {{namespaces: [central], id: agent-{number}, host: host-{number}, state_dir: $LAB/state}}\n\
                 coordination: {{backend: etcd, endpoints: {endpoints}}}\n\
                 notifier: {{publishers: [{{name: none, url: \"discard:\"}}]}}\n\
                 plugins: {{openstack: {options}}}\n\
                 sources: [{{name: cloud, interval: {INTERVAL}, meters: {METERS}}}]\n",
            ));
            let program = lab.nephoscope(&["run"]).start();
            started.push((lab, program));
        }
        let pool = Self {
            agents: started,
            runtime,
            _etcd: etcd,
        };
        pool.divides()?;
        pool.rest();
        Ok(pool)
    }

    /// Returns the requests of a cycle by `nephoscope check --cost`.
    pub(crate) fn declared(&self, size: &Size) -> Result<u64, BenchError> {
        let (lab, _) = self
            .agents
            .first()
            .ok_or_else(|| BenchError::new("there is no agent"))?;
        let members = self.agents.len().to_string();
        let resources = format!(
            "volumes={},images={},dns_zones={},tenant={}",
            size.volumes,
            size.images,
            size.zones,
            size.projects + 1
        );
        let arguments = [
            "check",
            "--cost",
            "--format",
            "json",
            "--members",
            &members,
            "--resources",
            &resources,
        ];
        let printed = lab.nephoscope(&arguments).finish().stdout;
        let mut declared = 0;
        for line in printed.lines() {
            let row: serde_json::Value = serde_json::from_str(line).context("read the declared cost")?;
            // Hourly requests have no cost per cycle.
            declared += row["per_cycle"].as_u64().unwrap_or_default();
        }
        Ok(declared)
    }

    /// Waits until every agent knows a plan that lists all.
    fn divides(&self) -> Result<(), BenchError> {
        let all = self.agents.len();
        let soon = |pool: &Self| pool.sleep(LOOK);
        self.wait("a plan with all agents", soon, || {
            self.agents.iter().all(|(_, program)| {
                if !program.admin().exists() {
                    return false;
                }
                let members = program.json("/api/v1/members");
                let schedules = members["pool"]["schedules"].as_array();
                schedules.is_some_and(|schedules| {
                    let whole = |schedule: &serde_json::Value| schedule["members"] == all;
                    !schedules.is_empty() && schedules.iter().all(whole)
                })
            })
        })
    }

    /// Returns the next complete cycle. `before` is called between the cycle before it and this one.
    pub(crate) fn cycle(&self, cloud: &Cloud, before: impl FnOnce()) -> Result<Cycle, BenchError> {
        let reached = self.ended()?;
        let busy = self.busy()?;
        cloud.forget_counts();
        before();
        let next = self.after(reached)?;
        let requests = cloud.counts();
        let busy = self.busy()?.since(busy);
        let records = self.agents.iter().map(|(_, program)| {
            let found = records(program)?.into_iter().find(|record| record.cycle == next);
            found.ok_or_else(|| BenchError::new("an agent has no record of the cycle"))
        });
        Ok(Cycle {
            records: records.collect::<Result<_, _>>()?,
            requests,
            busy,
        })
    }

    /// Returns the latest cycle, once all agents have ended it.
    fn ended(&self) -> Result<Id, BenchError> {
        self.between(|records| records.map(|record| record.cycle).max())
    }

    /// Returns the first cycle after this one, once all agents have ended it.
    fn after(&self, cycle: Id) -> Result<Id, BenchError> {
        self.between(|records| {
            records
                .map(|record| record.cycle)
                .filter(|found| *found > cycle)
                .min()
        })
    }

    /// Waits until `which` finds the same cycle in the records of every agent.
    fn between(
        &self,
        which: impl Fn(&mut dyn Iterator<Item = Record>) -> Option<Id>,
    ) -> Result<Id, BenchError> {
        let mut found = None;
        self.wait("a cycle of all agents", Self::rest, || {
            let of = |program: &Program| which(&mut records(program).ok()?.into_iter());
            let ended: Option<Vec<_>> = self.agents.iter().map(|(_, program)| of(program)).collect();
            found = ended.and_then(|ended| {
                let first = *ended.first()?;
                ended.iter().all(|cycle| *cycle == first).then_some(first)
            });
            found.is_some()
        })?;
        found.ok_or_else(|| BenchError::new("the agents have no cycle in common"))
    }

    /// Returns the processor time so far.
    fn busy(&self) -> Result<Busy, BenchError> {
        let mut agents = Duration::ZERO;
        for (_, program) in &self.agents {
            agents += process::cpu(program.id())?;
        }
        Ok(Busy {
            agents,
            cloud: clocks::cpu(),
        })
    }

    /// Sleeps until the middle of an interval, when one cycle has ended and the next one has not started. A request to the
    /// agents needs processor time, which must not be part of a cycle.
    fn rest(&self) {
        let interval = INTERVAL * 1000;
        let passed = clocks::wall().as_millis().unsigned_abs() % interval;
        self.sleep(Duration::from_millis(
            (interval + interval / 2 - passed) % interval,
        ));
    }

    fn sleep(&self, time: Duration) {
        self.runtime.block_on(async { tokio::time::sleep(time).await });
    }

    /// Checks a condition repeatedly, with pauses.
    fn wait(
        &self,
        what: &str,
        pause: impl Fn(&Self),
        mut reached: impl FnMut() -> bool,
    ) -> Result<(), BenchError> {
        let deadline = Deadline::start();
        while !reached() {
            if deadline.left().is_zero() {
                let first = self.agents.first();
                let readiness = first.map(|(_, program)| program.get("/readyz").body);
                return Err(BenchError::new(format!(
                    "timed out waiting for {what}; the first agent reports: {}",
                    readiness.unwrap_or_default()
                )));
            }
            pause(self);
        }
        Ok(())
    }
}

/// Returns the ended cycles of an agent, without its takeovers.
pub(crate) fn records(program: &Program) -> Result<Vec<Record>, BenchError> {
    let answer = program.json("/api/v1/cycles");
    let records: Records = serde_json::from_value(answer).context("read the cycles of an agent")?;
    let own = records.cycles.into_iter();
    Ok(own.filter(|record| record.takeover.is_none()).collect())
}
