//! The judge: which agent had to write each sample, and when.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::run::{
    Cycle, Effect, Fault, Plan, PlanMember, Ranking, Resource, Run, Schedule, Skipped, Written,
};
use super::verdict::{Finding, Kind, Place, Verdict};

/// The maximum time from the write of a plan to its edge, in seconds.
const LEAD: f64 = 2.0;

/// The maximum time from the end of a lease until its end is known, in seconds.
pub(super) const KNOWN: f64 = 1.0;

/// The number of deaths that a share survives. Each one extends the time for a takeover.
const DEATHS: f64 = 3.0;

/// Judges a run. `ranking` is the ranking that the agents use.
///
/// For every resource, meter and cycle from a schedule's first plan to the last cycle that no agent can take over any more:
///
/// - exactly one sample, from the owner, if no fault was injected;
/// - at least one sample under a fault that guarantees it, and each further sample from a rightful successor, with the
///   same id. A member's turn comes when all members before it in the ranking are gone, or have given the unit up;
/// - the first sample at most a lease and a second after the owner fell silent, if a successor takes over;
/// - no sample from an agent that the plan does not list with the unit, and none that was polled after the lease of its
///   agent had ended while another carrier was alive.
///
/// Cycles that their owner reports as not polled are excused. Their number must match the agent's counter.
#[must_use]
pub fn judge(run: &Run, ranking: &impl Ranking) -> Verdict {
    let mut judge = Judge::new(run, ranking);
    for schedule in &run.schedules {
        judge.schedule(schedule);
    }
    judge.plans();
    judge.incarnations();
    judge.counters();
    judge.verdict.findings.sort();
    judge.verdict
}

/// Whether it was an agent's turn; an error has the reason.
type Turn = Result<(), &'static str>;

pub(super) struct Judge<'a, R> {
    pub(super) run: &'a Run,
    ranking: &'a R,
    pub(super) plans: HashMap<&'a Cycle, Vec<&'a Plan>>,
    /// By schedule, in order of their starts.
    starts: HashMap<&'a str, BTreeMap<i64, &'a Plan>>,
    written: HashMap<(&'a Cycle, &'a str, &'a str), Vec<&'a Written>>,
    pub(super) gone: HashMap<&'a str, f64>,
    pub(super) gave_up: HashMap<(&'a str, &'a Cycle, &'a str), f64>,
    skipped: HashSet<&'a Skipped>,
    /// The ranking of each set of members, by key: plans have the same members for hours.
    orders: HashMap<(String, Vec<&'a str>), Vec<usize>>,
    verdict: Verdict,
}

/// The earliest time of each key.
fn earliest<K: std::hash::Hash + Eq>(times: impl Iterator<Item = (K, f64)>) -> HashMap<K, f64> {
    let mut first = HashMap::new();
    for (key, at) in times {
        let known: &mut f64 = first.entry(key).or_insert(at);
        *known = known.min(at);
    }
    first
}

impl<'a, R: Ranking> Judge<'a, R> {
    fn new(run: &'a Run, ranking: &'a R) -> Self {
        let mut plans: HashMap<_, Vec<_>> = HashMap::new();
        let mut starts: HashMap<_, BTreeMap<_, _>> = HashMap::new();
        for plan in &run.plans {
            plans.entry(&plan.cycle).or_default().push(plan);
            let of_schedule = starts.entry(plan.cycle.schedule.as_str()).or_default();
            of_schedule.entry(plan.cycle.start).or_insert(plan);
        }
        let mut written: HashMap<_, Vec<_>> = HashMap::new();
        for sample in &run.written {
            let key = (&sample.cycle, sample.resource.as_str(), sample.meter.as_str());
            written.entry(key).or_default().push(sample);
        }
        for samples in written.values_mut() {
            samples.sort_by(|one, other| one.finished.total_cmp(&other.finished));
        }
        let gave_up = run.gave_up.iter();
        Self {
            run,
            ranking,
            plans,
            starts,
            written,
            gone: earliest(run.gone.iter().map(|gone| (gone.incarnation.as_str(), gone.at))),
            gave_up: earliest(
                gave_up.map(|one| ((one.incarnation.as_str(), &one.cycle, one.unit.as_str()), one.at)),
            ),
            skipped: run.skipped.iter().collect(),
            orders: HashMap::new(),
            verdict: Verdict::default(),
        }
    }

    /// Returns the nominal start of a cycle.
    pub(super) fn edge(&self, cycle: &Cycle) -> f64 {
        cycle.start as f64 / 1000.0 + self.run.epoch
    }

    /// Returns how long after the end of a cycle the last successor may still be polling.
    fn aftermath(&self) -> f64 {
        (1.0 + DEATHS) * (self.run.lease.ttl + KNOWN)
    }

    /// Returns the faults that may have affected a cycle.
    fn faults(&self, cycle: &Cycle, interval: f64) -> impl Iterator<Item = &'a Fault> {
        let edge = self.edge(cycle);
        let (begin, end) = (edge - LEAD, edge + interval);
        // A plan lists a dead member while its lease lasts.
        let lasting = self.run.lease.ttl + KNOWN;
        let faults = self.run.faults.iter();
        faults.filter(move |fault| fault.from <= end && fault.to + lasting >= begin)
    }

    fn schedule(&mut self, schedule: &'a Schedule) {
        let Some(first) = self
            .starts
            .get(schedule.id.as_str())
            .and_then(|plans| plans.keys().next().copied())
        else {
            self.find(
                Kind::Missing,
                Place::Schedule(schedule.id.clone()),
                Vec::new(),
                "there was never a plan".to_owned(),
            );
            return;
        };
        let interval = schedule.interval as f64 / 1000.0;
        let mut cycle = Cycle {
            schedule: schedule.id.clone(),
            start: first,
        };
        while self.edge(&cycle) + interval + self.aftermath() <= self.run.end {
            for resource in &schedule.resources {
                for meter in &schedule.meters {
                    self.sample(&cycle, interval, resource, &meter.name, meter.everywhere);
                }
            }
            cycle.start += schedule.interval;
        }
    }

    fn sample(
        &mut self,
        cycle: &Cycle,
        interval: f64,
        resource: &'a Resource,
        meter: &str,
        everywhere: bool,
    ) {
        let samples = self
            .written
            .get(&(cycle, resource.key.as_str(), meter))
            .cloned()
            .unwrap_or_default();
        let place = Place::Sample {
            cycle: cycle.clone(),
            resource: resource.key.clone(),
            meter: meter.to_owned(),
        };
        let faults: Vec<_> = self.faults(cycle, interval).collect();
        if faults.iter().any(|fault| fault.effect == Effect::Anything) {
            self.verdict.excused += 1;
            return;
        }
        if samples.is_empty() {
            if self.is_excused(cycle, resource) {
                self.verdict.excused += 1;
                return;
            }
            self.verdict.judged += 1;
            if everywhere {
                let why = self.why_missing(cycle, resource);
                self.find(Kind::Missing, place, Vec::new(), why);
            }
            return;
        }
        self.verdict.judged += 1;
        let mut wrong = false;
        for sample in &samples {
            if let Err(why) = self.turn(sample, resource, &faults) {
                wrong = true;
                self.find(
                    Kind::OutsidePlan,
                    place.clone(),
                    vec![sample.agent.clone()],
                    why.to_owned(),
                );
            }
            if let Some(why) = self.after_fence(sample, resource, &faults) {
                self.find(Kind::AfterFence, place.clone(), vec![sample.agent.clone()], why);
            }
        }
        if let Some(gap) = self.gap(cycle, resource, &samples, &faults) {
            if gap.silent > gap.bound {
                let agents = samples.iter().map(|sample| sample.agent.clone()).collect();
                let why = format!(
                    "{:.3} s after those before it fell silent, {:.3} s after they were known to be out",
                    gap.silent, gap.known
                );
                self.find(Kind::TakenOverLate, place.clone(), agents, why);
            }
            self.verdict.gaps.push(gap);
        }
        if let [first, rest @ ..] = samples.as_slice()
            && !rest.is_empty()
        {
            let agents: Vec<_> = samples.iter().map(|sample| sample.agent.clone()).collect();
            if rest.iter().any(|sample| sample.id != first.id) {
                let why = "consumers cannot detect that they are the same sample".to_owned();
                self.find(Kind::OtherId, place.clone(), agents.clone(), why);
            }
            let distinct: BTreeSet<_> = agents.iter().collect();
            let (kind, why) = if wrong {
                (Kind::DoubledUnexplained, "it was not the turn of each of them")
            } else if faults.is_empty() {
                (Kind::DoubledUnexplained, "no fault was injected")
            } else if distinct.len() < agents.len() {
                (Kind::DoubledUnexplained, "one agent wrote it twice")
            } else if !everywhere {
                (
                    Kind::DoubledUnexplained,
                    "a meter that not every agent requests is written at most once",
                )
            } else {
                (Kind::DoubledExplained, "it was a successor's turn")
            };
            self.find(kind, place, agents, why.to_owned());
        }
    }

    /// Returns whether the owner reports that it polled nothing in this cycle.
    fn is_excused(&mut self, cycle: &Cycle, resource: &'a Resource) -> bool {
        let Some(plan) = self.plans.get(cycle).and_then(|plans| plans.first()).copied() else {
            // Without a plan no agent owned it: all possible carriers must report the cycle.
            let carriers: Vec<_> = self
                .known_plans(cycle, self.edge(cycle))
                .into_iter()
                .flat_map(|plan| &plan.members)
                .filter(|member| member.units.contains(&resource.unit))
                .collect();
            let reports = |member: &PlanMember| self.reports_skipped(&member.agent, cycle);
            return !carriers.is_empty() && carriers.into_iter().all(reports);
        };
        let order = self.order(plan, resource);
        order
            .first()
            .is_some_and(|owner| self.reports_skipped(&owner.agent, cycle))
    }

    fn reports_skipped(&self, agent: &str, cycle: &Cycle) -> bool {
        self.skipped.contains(&Skipped {
            agent: agent.to_owned(),
            cycle: cycle.clone(),
        })
    }

    fn why_missing(&mut self, cycle: &Cycle, resource: &'a Resource) -> String {
        let Some(plan) = self.plans.get(cycle).and_then(|plans| plans.first()).copied() else {
            return "there was no plan".to_owned();
        };
        let edge = self.edge(cycle);
        let order = self.order(plan, resource);
        let Some(owner) = order.first() else {
            return "no member of the plan carries it".to_owned();
        };
        match self.gone.get(owner.incarnation.as_str()) {
            Some(at) => format!(
                "{} owned it and was gone {:.1} s after the edge; no member took it over",
                owner.agent,
                at - edge
            ),
            None => format!("{} owned it and was alive", owner.agent),
        }
    }

    /// Returns the members of a plan that carry the resource's unit, the owner first.
    pub(super) fn order(&mut self, plan: &'a Plan, resource: &'a Resource) -> Vec<&'a PlanMember> {
        let carriers: Vec<_> = plan
            .members
            .iter()
            .filter(|member| member.units.contains(&resource.unit))
            .collect();
        let names: Vec<_> = carriers.iter().map(|member| member.agent.as_str()).collect();
        let order = self
            .orders
            .entry((resource.key.clone(), names))
            .or_insert_with_key(|(key, names)| self.ranking.order(key, names));
        order
            .iter()
            .filter_map(|place| carriers.get(*place).copied())
            .collect()
    }

    /// Returns the last plans of the schedule up to a cycle that an agent may have known: two, and one more for an agent that
    /// the last one had not reached.
    fn known_plans(&self, cycle: &Cycle, at: f64) -> Vec<&'a Plan> {
        let Some(plans) = self.starts.get(cycle.schedule.as_str()) else {
            return Vec::new();
        };
        let known = plans.range(..=cycle.start).rev().map(|(_, plan)| *plan);
        known
            .filter(|plan| plan.at <= at + self.run.slack)
            .take(3)
            .collect()
    }

    fn turn(&mut self, sample: &Written, resource: &'a Resource, faults: &[&Fault]) -> Turn {
        let plans = self.plans.get(&sample.cycle).cloned().unwrap_or_default();
        let mut turn = Err("the cycle has no plan");
        for plan in &plans {
            turn = self.turn_in(plan, sample, resource);
            if turn.is_ok() {
                return turn;
            }
        }
        // An agent that does not reach etcd, or finds it empty, continues with its last knowledge.
        for fault in faults {
            let goes_on = match &fault.effect {
                Effect::CutOff(agents) => agents.contains(&sample.agent),
                Effect::EtcdAway | Effect::EtcdEmptied => true,
                Effect::Death | Effect::Anything => false,
            };
            if !goes_on {
                continue;
            }
            for plan in self.known_plans(&sample.cycle, fault.from) {
                let order = self.order(plan, resource);
                if order.first().is_some_and(|owner| owner.agent == sample.agent) {
                    return Ok(());
                }
            }
        }
        turn
    }

    /// Returns whether it was the writer's turn by this plan.
    fn turn_in(&mut self, plan: &'a Plan, sample: &Written, resource: &'a Resource) -> Turn {
        let Some(writer) = plan.members.iter().find(|member| member.agent == sample.agent) else {
            return Err("it is not in the plan");
        };
        if !writer.units.contains(&resource.unit) {
            return Err("the plan lists it without the unit");
        }
        let order = self.order(plan, resource);
        for member in order {
            if member.agent == sample.agent {
                return Ok(());
            }
            // Agents may have seen it earlier than the harness, but never after they acted.
            let by = sample.finished + self.run.slack;
            let incarnation = member.incarnation.as_str();
            let gone = self.gone.get(incarnation).is_some_and(|at| *at <= by);
            let key = (incarnation, &plan.cycle, resource.unit.as_str());
            let gave_up = self.gave_up.get(&key).is_some_and(|at| *at <= by);
            if !gone && !gave_up {
                return Err("a member before it in the ranking was alive");
            }
        }
        Err("the ranking does not contain it")
    }

    /// Returns the violation if the sample was polled after its agent lost its lease, and should have been fenced.
    fn after_fence(&mut self, sample: &Written, resource: &'a Resource, faults: &[&Fault]) -> Option<String> {
        let plans = self.plans.get(&sample.cycle).cloned().unwrap_or_default();
        // If there are two plans (etcd was wiped), the last one counts.
        let plan = *plans.last()?;
        let writer = plan.members.iter().find(|member| member.agent == sample.agent)?;
        let gone = *self.gone.get(writer.incarnation.as_str())?;
        // The key is removed after the lease ended by the agent's own count, so no slack is needed.
        if sample.finished <= gone {
            return None;
        }
        if self.run.lease.pauses {
            return Some(format!(
                "{:.3} s after the end of its lease",
                sample.finished - gone
            ));
        }
        // An agent without an answer continues.
        let unanswered = faults.iter().any(|fault| {
            let lasts = fault.from <= sample.finished && sample.finished <= fault.to + KNOWN;
            lasts
                && match &fault.effect {
                    Effect::CutOff(agents) => agents.contains(&sample.agent),
                    Effect::EtcdAway => true,
                    Effect::Death | Effect::EtcdEmptied | Effect::Anything => false,
                }
        });
        if unanswered {
            return None;
        }
        let another = plan.members.iter().find(|member| {
            member.incarnation != writer.incarnation
                && member.units.contains(&resource.unit)
                && self
                    .gone
                    .get(member.incarnation.as_str())
                    .is_none_or(|at| *at > sample.finished)
        })?;
        Some(format!(
            "{:.3} s after its lease was gone, and {} was alive",
            sample.finished - gone,
            another.agent
        ))
    }

    /// Checks that no plan is written twice, and that starts only grow.
    fn plans(&mut self) {
        let mut last: HashMap<&str, (i64, f64)> = HashMap::new();
        for plan in &self.run.plans {
            let known = last.insert(&plan.cycle.schedule, (plan.cycle.start, plan.at));
            let Some((start, at)) = known else {
                continue;
            };
            if plan.cycle.start > start {
                continue;
            }
            // An etcd that lost its data does not know earlier plans.
            let emptied = self.run.faults.iter().any(|fault| {
                fault.effect == Effect::EtcdEmptied
                    && fault.from <= plan.at
                    && at <= fault.to + self.run.slack
            });
            if !emptied {
                let why = if plan.cycle.start == start {
                    "the cycle had a plan already".to_owned()
                } else {
                    format!("written after that of {start}")
                };
                let agents = plan.members.iter().map(|member| member.agent.clone()).collect();
                self.find(Kind::PlanChanged, Place::Cycle(plan.cycle.clone()), agents, why);
            }
        }
    }

    /// Checks that a returning agent has a new incarnation.
    fn incarnations(&mut self) {
        for joined in &self.run.joined {
            if self
                .gone
                .get(joined.incarnation.as_str())
                .is_some_and(|gone| *gone < joined.at)
            {
                let why = format!("{} was gone before", joined.incarnation);
                self.find(
                    Kind::IncarnationReused,
                    Place::Agent,
                    vec![joined.agent.clone()],
                    why,
                );
            }
        }
    }

    /// Checks that the cycles that agents report match their counters.
    fn counters(&mut self) {
        for counted in &self.run.counted {
            let reported = self
                .skipped
                .iter()
                .filter(|skipped| {
                    skipped.agent == counted.agent && skipped.cycle.schedule == counted.schedule
                })
                .count();
            if reported != counted.cycles {
                let why = format!("it counts {} and reports {reported}", counted.cycles);
                let place = Place::Schedule(counted.schedule.clone());
                self.find(Kind::Miscounted, place, vec![counted.agent.clone()], why);
            }
        }
    }

    fn find(&mut self, kind: Kind, place: Place, agents: Vec<String>, why: String) {
        self.verdict.findings.push(Finding {
            kind,
            place,
            agents,
            why,
        });
    }
}
