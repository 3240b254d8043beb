//! An agent's cycles: when they start, by which plan, and what the engine reports.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use nephoscope_coordination::{BootTime, Unit};
use nephoscope_model::{CycleId, ScheduleId, Timestamp};

use super::super::MAX_DEATHS;
use super::super::action::Action;
use super::super::cycle::{ClaimedStep, Cycle, MembershipState, Progress, Stage, Started};
use super::super::division::{Candidates, Claim, ClaimBasis, Division};
use super::super::event::{Edge, Now, WorkName};
use super::super::ids::UnitHash;
use super::super::invalid::InvalidReason;
use super::super::member::UnitSet;
use super::super::notice::Notice;
use super::super::plan::Plan;
use super::super::schedule::MAX_CYCLES;
use super::presence::Presence;
use super::{Machine, NoShare, OnLoss, Out, Place, PlanAnswer};

impl Machine {
    /// Announces the edge of a cycle.
    pub(super) fn prepare(&mut self, edge: Edge) {
        let timeout = self.options.plan_timeout(edge.interval);
        let schedule = self.schedules.entry(edge.cycle.schedule.clone()).or_default();
        schedule.interval = Some(edge.interval);
        match schedule.cycles.get_mut(&edge.cycle.start) {
            // After a reload or a step of the wall clock the new edge is more accurate.
            Some(cycle) if cycle.stage == Stage::Pending => *cycle = Cycle::new(edge, timeout),
            Some(_) => {}
            None => {
                schedule
                    .cycles
                    .insert(edge.cycle.start, Cycle::new(edge, timeout));
            }
        }
    }

    /// Records a cycle that was in progress when this agent registered its schedule.
    pub(super) fn in_progress(&mut self, edge: Edge) {
        let timeout = self.options.plan_timeout(edge.interval);
        let schedule = self.schedules.entry(edge.cycle.schedule.clone()).or_default();
        schedule.interval.get_or_insert(edge.interval);
        let cycle = schedule.cycles.entry(edge.cycle.start);
        cycle.or_insert_with(|| Cycle {
            stage: Stage::Idle,
            read: true,
            ..Cycle::new(edge, timeout)
        });
    }

    /// Returns the assignment in this cycle. Called at the edge or later, until the answer is not [`PlanAnswer::Wait`].
    pub fn plan(&mut self, now: Now, cycle: &CycleId) -> PlanAnswer {
        if self.stopping || matches!(self.presence, Presence::Left) {
            return PlanAnswer::NoShare(NoShare::Stopping);
        }
        if !self.registered.contains_key(&cycle.schedule) {
            return PlanAnswer::NoShare(NoShare::NotRegistered);
        }
        let Some(known) = self.known_cycle(now, cycle) else {
            return PlanAnswer::NoShare(NoShare::NoPlan);
        };
        if let Some(started) = known.started() {
            return PlanAnswer::Assigned(started.division.clone());
        }
        let (edge, deadline) = (known.edge.edge, known.plan_deadline);
        let plan = self
            .schedules
            .get(&cycle.schedule)
            .and_then(|schedule| schedule.plan_of(cycle.start).cloned());
        let answer = match plan {
            Some(plan) => match self.place_in(&plan) {
                Place::Current(me) => self.start_by_plan(cycle, plan, me, edge),
                Place::Former(me) if self.incarnation().is_some() => {
                    self.start_without_membership(cycle, plan, me)
                }
                Place::Former(_) if now.boot < deadline && self.store => return PlanAnswer::Wait,
                Place::Former(_) => self.start_by_earlier_plans(cycle),
                Place::None => Err(NoShare::NotListed),
            },
            None if self.unknown_versions(&cycle.schedule) => Err(NoShare::UnknownVersions),
            None if now.boot < deadline && self.store => return PlanAnswer::Wait,
            None => self.start_by_earlier_plans(cycle),
        };
        let (stage, answer) = match answer {
            Ok(started) => {
                let division = started.division.clone();
                // Other members have all of it while their memberships last.
                let nothing_left = division.claims.is_empty() && started.membership != MembershipState::Valid;
                let answer = if nothing_left {
                    PlanAnswer::NoShare(NoShare::NotListed)
                } else {
                    PlanAnswer::Assigned(division)
                };
                (Stage::Started(Box::new(started)), answer)
            }
            Err(reason @ (NoShare::NoPlan | NoShare::Paused)) => (Stage::Idle, PlanAnswer::NoShare(reason)),
            Err(reason) => (Stage::Closed, PlanAnswer::NoShare(reason)),
        };
        if let Some(known) = self.cycle_mut(&cycle.schedule, cycle.start) {
            known.stage = stage;
        }
        // The work of members that were not skipped at the edge is taken over.
        self.check_outs = true;
        answer
    }

    /// Returns the prepared cycle. If the cycle was not prepared because its edge had passed before it was seen, derives it
    /// from the wall clock. `None` if the schedule's interval is unknown.
    fn known_cycle(&mut self, now: Now, cycle: &CycleId) -> Option<&mut Cycle> {
        let schedule = self.schedules.get_mut(&cycle.schedule)?;
        let interval = schedule.interval;
        let options = &self.options;
        match schedule.cycles.entry(cycle.start) {
            Entry::Occupied(known) => Some(known.into_mut()),
            Entry::Vacant(place) => {
                let late = now.wall.as_micros().saturating_sub(cycle.start.as_micros());
                let late = Duration::from_micros(u64::try_from(late).unwrap_or(0));
                let interval = interval?;
                let timeout = options.plan_timeout(interval);
                let edge = Edge {
                    cycle: cycle.clone(),
                    edge: now.boot.minus(late),
                    interval,
                };
                let mut known = Cycle::new(edge, timeout);
                // Events from the meantime may not have arrived yet.
                known.plan_deadline = now.boot.plus(timeout);
                Some(place.insert(known))
            }
        }
    }

    pub(super) fn cycle_mut(&mut self, schedule: &ScheduleId, start: Timestamp) -> Option<&mut Cycle> {
        self.schedules.get_mut(schedule)?.cycles.get_mut(&start)
    }

    /// Starts a cycle by its plan: this agent's share, including that of the members that were known to be gone before the
    /// edge.
    fn start_by_plan(
        &self,
        cycle: &CycleId,
        plan: Arc<Plan>,
        me: usize,
        edge: BootTime,
    ) -> Result<Started, NoShare> {
        let initially_out = if self.last_out <= edge {
            self.outs(&cycle.schedule, &plan, me)
        } else {
            BTreeMap::new()
        };
        let mut units = BTreeMap::new();
        let division = self.division(&cycle.schedule, &plan, me, |hash, candidates| {
            let out = initially_out.get(&hash).cloned().unwrap_or_default();
            let claim = Claim::planned(candidates, &ClaimBasis::share(me, &out));
            let step = ClaimedStep {
                out,
                works: BTreeSet::from([None]),
            };
            let progress = Progress {
                running: BTreeSet::from([None]),
                steps: vec![step],
                left: false,
            };
            units.insert(hash, progress);
            claim
        });
        Ok(Started {
            division: Arc::new(division),
            plan: Some((plan, me)),
            incarnation: self.incarnation(),
            membership: MembershipState::Valid,
            units,
        })
    }

    /// Starts a cycle whose plan lists a membership that was lost since: polls the units without another candidate.
    fn start_without_membership(
        &self,
        cycle: &CycleId,
        plan: Arc<Plan>,
        me: usize,
    ) -> Result<Started, NoShare> {
        if self.options.on_loss == OnLoss::Pause {
            return Err(NoShare::NotListed);
        }
        let sole_units = self.sole_units_in(&plan, me);
        let none_out = BTreeSet::new();
        let division = self.division(&cycle.schedule, &plan, me, |hash, candidates| {
            let share = Claim::planned(candidates, &ClaimBasis::share(me, &none_out));
            share.filter(|_| sole_units.contains(&hash))
        });
        let units = plan.members.get(me).map(|member| member.units.clone());
        let left = |hash: &UnitHash| Progress {
            left: !sole_units.contains(hash),
            ..Progress::own()
        };
        let units = units.iter().flat_map(|units| units.iter());
        Ok(Started {
            units: units.map(|hash| (*hash, left(hash))).collect(),
            division: Arc::new(division),
            plan: Some((plan, me)),
            incarnation: None,
            membership: MembershipState::Resolved {
                deadline: BootTime::after_boot(Duration::ZERO),
                sole_units,
            },
        })
    }

    /// Starts a cycle without a plan: polls what this agent owned under the last two plans.
    fn start_by_earlier_plans(&self, cycle: &CycleId) -> Result<Started, NoShare> {
        if self.options.on_loss == OnLoss::Pause {
            return Err(NoShare::Paused);
        }
        let schedule = self.schedules.get(&cycle.schedule).ok_or(NoShare::NoPlan)?;
        let mut plans: BTreeMap<UnitHash, Vec<(Candidates, usize)>> = BTreeMap::new();
        let mut listed = None;
        for known in schedule.plans.iter().rev() {
            let Some((me, member)) = known.me.and_then(|me| Some((me, known.plan.members.get(me)?))) else {
                continue;
            };
            listed.get_or_insert_with(|| (*member.units).clone());
            for hash in member.units.iter() {
                let candidates = self.candidates(&known.plan, *hash);
                if let Some(place) = candidates.place(me) {
                    plans.entry(*hash).or_default().push((candidates, place));
                }
            }
        }
        let known_units = self.units.get(&cycle.schedule).ok_or(NoShare::NoPlan)?;
        let claims: BTreeMap<_, _> = plans
            .into_iter()
            .filter_map(|(hash, plans)| {
                let unit = known_units.get(&hash)?.clone();
                Some((unit, (hash, Arc::new(Claim::by_earlier_plans(plans)))))
            })
            .collect();
        if claims.is_empty() {
            return Err(NoShare::NoPlan);
        }
        let units = claims.values().map(|(hash, _)| (*hash, Progress::own()));
        Ok(Started {
            units: units.collect(),
            division: Arc::new(Division {
                listed: listed.unwrap_or_default(),
                claims,
            }),
            plan: None,
            incarnation: self.incarnation(),
            membership: MembershipState::Valid,
        })
    }

    /// Computes this agent's claims on each of its units of a plan.
    pub(super) fn division(
        &self,
        schedule: &ScheduleId,
        plan: &Plan,
        me: usize,
        mut claim: impl FnMut(UnitHash, Candidates) -> Option<Claim>,
    ) -> Division {
        let known_units = self.units.get(schedule);
        let listed = plan.members.get(me).map(|member| (*member.units).clone());
        let listed: UnitSet = listed.unwrap_or_default();
        let mut claims = BTreeMap::new();
        for hash in &listed {
            let Some(unit) = known_units.and_then(|units| units.get(hash)) else {
                continue;
            };
            if let Some(claim) = claim(*hash, self.candidates(plan, *hash)) {
                claims.insert(unit.clone(), (*hash, Arc::new(claim)));
            }
        }
        Division { listed, claims }
    }

    /// Returns the members of a plan that divide a unit.
    pub(super) fn candidates(&self, plan: &Plan, unit: UnitHash) -> Candidates {
        if self.rules.units {
            Candidates::of(plan, unit)
        } else {
            Candidates::filtered(plan, |_| true)
        }
    }

    /// Returns this agent's units of a plan for which no other candidate's membership exists.
    pub(super) fn sole_units_in(&self, plan: &Plan, me: usize) -> UnitSet {
        let gone = self.gone(plan, me);
        let mine = plan.members.get(me).map(|member| member.units.clone());
        let others_have = |unit: &UnitHash| {
            self.candidates(plan, *unit)
                .numbers()
                .iter()
                .any(|number| *number != me && !gone.contains(number))
        };
        let mine = mine.iter().flat_map(|units| units.iter().copied());
        mine.filter(|unit| !others_have(unit)).collect()
    }

    /// Returns the numbers of the members of a plan whose membership is known to be over, never this agent's.
    pub(super) fn gone(&self, plan: &Plan, me: usize) -> BTreeSet<usize> {
        let members = plan.members.iter().enumerate();
        members
            .filter(|(number, member)| *number != me && self.view.is_gone(&member.id, member.incarnation))
            .map(|(number, _)| number)
            .collect()
    }

    /// Returns, for each of this agent's units of a plan, the candidates that are out of the cycle: gone, or gave the unit
    /// up. Units without such members are omitted.
    pub(super) fn outs(
        &self,
        schedule: &ScheduleId,
        plan: &Plan,
        me: usize,
    ) -> BTreeMap<UnitHash, BTreeSet<u32>> {
        let gone = self.gone(plan, me);
        let mut outs = BTreeMap::new();
        let Some(mine) = plan.members.get(me) else {
            return outs;
        };
        for unit in mine.units.iter() {
            let out: BTreeSet<u32> = self
                .candidates(plan, *unit)
                .numbers()
                .iter()
                .filter(|number| **number != me)
                .filter(|number| {
                    let gave_up = || {
                        plan.members.get(**number).is_some_and(|member| {
                            self.view.gave_up(schedule, member.incarnation, plan.start, *unit)
                        })
                    };
                    gone.contains(number) || gave_up()
                })
                .filter_map(|number| u32::try_from(*number).ok())
                .collect();
            if !out.is_empty() {
                outs.insert(*unit, out);
            }
        }
        outs
    }

    /// Returns the time until which a cycle may be taken over. A death at its end is known after a lease and an answer
    /// timeout, and so is the death of each successor.
    pub(super) fn until(&self, cycle: &Cycle) -> BootTime {
        let plan = cycle.started().and_then(|started| started.plan.as_ref());
        let deaths = plan.map_or(0, |(plan, me)| self.gone(plan, *me).len());
        let waits = u32::try_from(1 + deaths.min(MAX_DEATHS)).unwrap_or(u32::MAX);
        cycle
            .end()
            .plus(self.options.takeover_wait().saturating_mul(waits))
    }

    /// Drops expired cycles.
    pub(super) fn prune(&mut self, now: BootTime) {
        let mut over = Vec::new();
        for (name, schedule) in &self.schedules {
            let too_many = schedule.cycles.len().saturating_sub(MAX_CYCLES);
            for (at, (start, cycle)) in schedule.cycles.iter().enumerate() {
                if at < too_many || now >= self.until(cycle) {
                    over.push((name.clone(), *start));
                }
            }
        }
        for (name, start) in over {
            if let Some(schedule) = self.schedules.get_mut(&name) {
                schedule.cycles.remove(&start);
            }
        }
    }

    /// Records that the engine finished its share of a unit.
    pub(super) fn finished(&mut self, now: Now, work: &WorkName, unit: &Unit) {
        let hash = UnitHash::of(&self.options.group_prefix, unit);
        let Some(schedule) = self.schedules.get_mut(&work.schedule) else {
            return;
        };
        let interval = schedule.interval.unwrap_or_default();
        let Some(started) = schedule.cycles.get_mut(&work.start).and_then(Cycle::started_mut) else {
            return;
        };
        if let Some(progress) = started.units.get_mut(&hash) {
            progress.running.remove(&work.takeover);
        }
        if started.plan.is_some() && started.membership == MembershipState::Valid {
            let all = started.finished();
            schedule.marks.schedule(now.boot, interval, all);
        }
    }

    /// Records that the engine gave up its share of a unit.
    pub(super) fn gave_up(&mut self, now: Now, work: &WorkName, unit: &Unit) {
        let hash = UnitHash::of(&self.options.group_prefix, unit);
        let cycle = self.cycle_mut(&work.schedule, work.start);
        // For a lost membership no record is needed: other members know that it is lost.
        match cycle {
            Some(cycle) if cycle.started().is_some() && !cycle.has_valid_membership() => {
                let started = cycle.started_mut();
                if let Some(progress) = started.and_then(|started| started.units.get_mut(&hash)) {
                    progress.left = true;
                }
            }
            Some(_) => self.give_up(now.boot, &work.schedule, work.start, hash),
            None => {}
        }
    }

    pub(super) fn give_up(&mut self, now: BootTime, name: &ScheduleId, start: Timestamp, unit: UnitHash) {
        let Some(schedule) = self.schedules.get_mut(name) else {
            return;
        };
        if schedule.given_up.cycles.entry(start).or_default().insert(unit) {
            schedule.give_ups.schedule_at(now);
        }
    }

    /// Records that the engine skipped a cycle.
    pub(super) fn skipped(&mut self, cycle: &CycleId) {
        if let Some(known) = self.cycle_mut(&cycle.schedule, cycle.start)
            && known.started().is_none()
        {
            known.stage = Stage::Closed;
        }
    }

    /// A stopping agent starts no cycles: gives up its share of plans whose cycles it has not started.
    pub(super) fn give_up_unstarted_cycles(&mut self, now: Now) {
        if !self.stopping {
            return;
        }
        let mut rest = Vec::new();
        for (name, schedule) in &self.schedules {
            for known in &schedule.plans {
                let cycle = schedule.cycles.get(&known.plan.start);
                let over = cycle.is_some_and(|cycle| now.boot >= self.until(cycle));
                let started = cycle.is_some_and(|cycle| cycle.started().is_some());
                let Place::Current(me) = self.place_in(&known.plan) else {
                    continue;
                };
                if let Some(member) = known.plan.members.get(me)
                    && !started
                    && !over
                {
                    let units = member.units.iter();
                    rest.extend(units.map(|unit| (name.clone(), known.plan.start, *unit)));
                }
            }
        }
        for (name, start, unit) in rest {
            self.give_up(now.boot, &name, start, unit);
        }
    }

    /// Reports each cycle without a plan in time, once. The edge of the next cycle may already be near.
    pub(super) fn report_missing_plans(&mut self, now: Now, out: &mut Out) {
        let on_loss = self.options.on_loss;
        for (name, schedule) in &mut self.schedules {
            // An agent that never saw a plan has just joined.
            let Some(newest) = schedule.plans.back().map(|known| known.plan.start) else {
                continue;
            };
            if !self.registered.contains_key(name) {
                continue;
            }
            for (start, cycle) in &mut schedule.cycles {
                let waiting = matches!(cycle.stage, Stage::Pending | Stage::Idle)
                    || cycle.started().is_some_and(|started| started.plan.is_none());
                if !waiting || cycle.reported || now.boot < cycle.plan_deadline {
                    continue;
                }
                cycle.reported = true;
                if newest < *start {
                    let polled = on_loss == OnLoss::Continue;
                    schedule.missed = Some(polled);
                    out.push(Action::Notice(Notice::NoPlanInTime(cycle.edge.cycle.clone())));
                }
            }
        }
    }

    /// Follows a late plan: polls this agent's share that it has not started yet.
    pub(super) fn catch_up(&mut self, now: Now, out: &mut Out) {
        if self.stopping || !self.holds_lease(now.boot) {
            return;
        }
        let mut late = Vec::new();
        for (name, schedule) in &self.schedules {
            if !self.registered.contains_key(name) {
                continue;
            }
            for (start, cycle) in &schedule.cycles {
                let follows = match &cycle.stage {
                    Stage::Idle => now.boot < cycle.end(),
                    Stage::Started(started) => started.plan.is_none() && now.boot < self.until(cycle),
                    Stage::Pending | Stage::Closed => false,
                };
                if !follows {
                    continue;
                }
                if let Some(plan) = schedule.plan_of(*start)
                    && let Place::Current(me) = self.place_in(plan)
                {
                    late.push((cycle.edge.clone(), plan.clone(), me, self.until(cycle)));
                }
            }
        }
        for (edge, plan, me, until) in late {
            self.catch_up_with(&edge, plan, me, until, out);
        }
    }

    fn catch_up_with(&mut self, edge: &Edge, plan: Arc<Plan>, me: usize, until: BootTime, out: &mut Out) {
        let cycle = &edge.cycle;
        let number = self.next_takeover;
        let none_out = BTreeSet::new();
        let before = self
            .schedules
            .get(&cycle.schedule)
            .and_then(|schedule| schedule.cycles.get(&cycle.start)?.started())
            .cloned();
        let Some(before) = before else {
            // Nothing of it has started: start it now, and the engine requests the plan.
            if let Some(known) = self.cycle_mut(&cycle.schedule, cycle.start) {
                known.stage = Stage::Pending;
            }
            out.push(Action::Begin {
                cycle: cycle.clone(),
                edge: edge.edge,
                interval: edge.interval,
            });
            return;
        };
        let given_up = self.given_up(&cycle.schedule, cycle.start);
        let mut units = before.units.clone();
        let mut division = self.division(&cycle.schedule, &plan, me, |hash, candidates| {
            let except = before.claim(hash);
            let has_all = except
                .as_ref()
                .is_some_and(|claim| claim.includes_share(&candidates));
            let claim = Claim::planned(candidates, &ClaimBasis::share(me, &none_out))?.without(except);
            let progress = units.entry(hash).or_default();
            let mut works = BTreeSet::from([None]);
            let mut claimed = None;
            if !has_all && !given_up.contains(&hash) {
                works.insert(Some(number));
                progress.running.insert(Some(number));
                claimed = Some(claim);
            }
            progress.steps.push(ClaimedStep {
                out: none_out.clone(),
                works,
            });
            claimed
        });
        division.listed = before.division.listed.clone();
        let incarnation = self.incarnation();
        if let Some(started) = self
            .cycle_mut(&cycle.schedule, cycle.start)
            .and_then(Cycle::started_mut)
        {
            started.plan = Some((plan, me));
            started.incarnation = incarnation;
            started.membership = MembershipState::Valid;
            started.units = units;
        }
        self.check_outs = true;
        if !division.claims.is_empty() {
            self.next_takeover += 1;
            out.push(Action::TakeOver {
                cycle: cycle.clone(),
                takeover: number,
                until,
                units: division.claims.keys().cloned().collect(),
                division: Arc::new(division),
            });
        }
    }

    /// Returns the units that this agent gave up in a cycle.
    pub(super) fn given_up(&self, schedule: &ScheduleId, start: Timestamp) -> UnitSet {
        let schedule = self.schedules.get(schedule);
        let units = schedule.and_then(|schedule| schedule.given_up.cycles.get(&start));
        units.cloned().unwrap_or_default()
    }

    /// Returns whether the current plan of a schedule is written in versions that this program does not support.
    pub(super) fn unknown_versions(&self, schedule: &ScheduleId) -> bool {
        self.view.plan(schedule).is_some_and(|slot| {
            slot.value
                .as_ref()
                .is_err_and(|invalid| matches!(invalid.reason, InvalidReason::Versions(_)))
        })
    }
}
