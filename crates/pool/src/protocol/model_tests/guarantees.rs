//! The guarantees that hold at the end of the modelled time.

use super::fixtures::*;
use super::setup::*;
use super::world::*;
use crate::protocol::machine::OnLoss;
use crate::protocol::{AgentId, Plan, PlanMember, UnitHash};

impl World {
    /// Describes a move.
    pub(super) fn describe(&self, action: &Move) -> String {
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

    /// Returns whether nothing more can happen without a fault.
    pub(super) fn ended(&self, setup: &Setup) -> bool {
        self.next_step(0).is_none()
            && !self.is_slow()
            && self.next_time(setup).is_none_or(|time| time > setup.end())
    }

    fn is_slow(&self) -> bool {
        let mut processes = self.agents.iter().filter_map(|agent| agent.process.as_ref());
        processes.any(|process| process.link == Link::Slow && !process.paused)
    }

    /// Returns a lost or duplicate sample that violates the guarantees.
    pub(super) fn violated_guarantee(&self, setup: &Setup) -> Option<String> {
        for cycle in 1..=setup.cycles {
            for unit in 0..units(setup).len() {
                for resource in 0..keys(setup).len() {
                    let samples = self.samples.get(&(cycle, unit, resource)).map_or(0, Vec::len);
                    let what = format!("resource {resource} of unit {unit} in cycle {cycle}");
                    if samples == 0 && self.guarantees_coverage(setup, cycle, unit) {
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

    /// Returns whether the table of guarantees covers a sample. If the cycle has a plan: one of its candidates ran and,
    /// under `pause`, reached etcd, from the edge until the end. If it has none: all candidates of the last plan did.
    fn guarantees_coverage(&self, setup: &Setup, cycle: u64, unit: usize) -> bool {
        let unit = UnitHash::of("", &units(setup)[unit]);
        let Some((start, plan)) = self.plans.iter().rfind(|(start, _)| cycle_at(**start) <= cycle) else {
            // The guarantees start with the first plan.
            return false;
        };
        let candidates: Vec<_> = plan
            .members
            .iter()
            .filter(|member| member.units.contains(&unit))
            .collect();
        let before = self.plans.values().rfind(|before| before.start < *start);
        // Unknowable without etcd: a share of a plan that went to a member with a smaller share before, because this or
        // another member was added or removed.
        let listed = |plan: &Plan, id: &AgentId| plan.members.iter().any(|member| member.id == *id);
        // A process that was started since does not know the previous plan.
        let knew = |before: &Plan, id: &AgentId| {
            before
                .members
                .iter()
                .any(|member| member.id == *id && self.is_of_running_process(member))
        };
        let new = candidates
            .iter()
            .any(|member| !before.is_some_and(|before| knew(before, &member.id)));
        let less = before.is_some_and(|before| before.members.iter().any(|member| !listed(plan, &member.id)));
        let wiped = self.seen.contains(&(Kind::Wipe as u8));
        if wiped && setup.on_loss == OnLoss::Pause {
            return false;
        }
        let unreached = wiped || self.down.contains(&cycle) || self.seen.contains(&(Kind::Cut as u8));
        if (unreached && new) || (self.down.contains(&cycle) && less) {
            return false;
        }
        let ran = |member: &&PlanMember| {
            let agent = (0..self.agents.len()).find(|agent| agent_id(*agent) == member.id);
            agent.is_some_and(|agent| {
                !self.agents[agent].missed.contains(&cycle) && self.ran_since(agent, cycle)
            })
        };
        // A lasting membership covers the others' unfinished work. Without one, each agent polls only its own share.
        let lasts = |member: &&PlanMember| self.etcd.holds(&member.id, member.incarnation);
        let all = !candidates.is_empty()
            && candidates
                .iter()
                .all(|member| ran(member) && self.is_of_running_process(member));
        let planned = cycle_at(*start) == cycle;
        // A death is known in time only if etcd reports it in time.
        let away = [cycle, cycle + 1, cycle + 2]
            .iter()
            .any(|cycle| self.down.contains(cycle));
        let in_time = !away && !self.prolonged.contains(&cycle);
        let one = planned && in_time && candidates.iter().any(|member| ran(member) && lasts(member));
        one || (all && !(unreached && less) && setup.on_loss == OnLoss::Continue)
    }

    /// Returns whether a membership belongs to the current or last process of its agent.
    fn is_of_running_process(&self, member: &PlanMember) -> bool {
        let agent = (0..self.agents.len()).find(|agent| agent_id(*agent) == member.id);
        agent.is_some_and(|agent| member.incarnation > incarnation(agent, self.agents[agent].crashed))
    }

    /// Returns whether an agent ran until the last takeover of a cycle was over.
    fn ran_since(&self, agent: usize, cycle: u64) -> bool {
        let agent = &self.agents[agent];
        !agent.missed.contains(&(cycle + 1)) && !agent.missed.contains(&(cycle + 2))
    }
}
