//! What is promised of every end of the model's time.

use super::scenery::*;
use super::world::*;

impl World {
    /// A move, with what it is about.
    pub(super) fn told(&self, action: &Move) -> String {
        let Move::Run(agent, step) = action else {
            return format!("{action:?}");
        };
        let Some(process) = &self.agents[*agent].process else {
            return format!("{action:?}");
        };
        let about = match step {
            Step::Execute => format!("{:?}", process.requests.front().map(|sent| &sent.request)),
            Step::Reply => format!("{:?}", process.replies.front()),
            Step::Watch => format!("{:?}", process.watch.front()),
            Step::Resync => String::new(),
            Step::Work(name) => format!("{:?}", process.works.get(name).map(|work| work.stage)),
        };
        format!("{agent} {step:?} {about}")
    }

    /// Whether nothing more can happen by itself.
    pub(super) fn ended(&self, setup: &Setup) -> bool {
        self.next_step(0).is_none() && self.next_time(setup).is_none_or(|time| time > setup.end())
    }

    /// What is lost or doubled against the promises; `None` if all is well.
    pub(super) fn broken_promise(&self, setup: &Setup) -> Option<String> {
        for cycle in 1..=setup.last() {
            for unit in 0..units(setup).len() {
                for resource in 0..keys(setup).len() {
                    let samples = self.samples.get(&(cycle, unit, resource)).map_or(0, Vec::len);
                    let what = format!("resource {resource} of unit {unit} in cycle {cycle}");
                    if samples == 0 && self.promises_coverage(setup, cycle, unit) {
                        return Some(format!("{what}: lost"));
                    }
                    if samples > 1 && self.seen.is_empty() {
                        return Some(format!("{what}: {samples} samples without a fault"));
                    }
                }
            }
        }
        None
    }

    /// Whether somebody is there that could have polled.
    fn promises_coverage(&self, _setup: &Setup, cycle: u64, unit: usize) -> bool {
        // From the first plan on.
        if !self.plans.keys().any(|start| cycle_at(*start) <= cycle) {
            return false;
        }
        let carriers = if unit == 0 { 0..self.agents.len() } else { 0..1 };
        let mut lives = carriers.filter_map(|agent| self.agents[agent].process.as_ref());
        lives.any(|process| !process.paused && process.link != Link::Cut)
    }
}
