//! The moves of the world.

use std::collections::BTreeSet;

use super::fixtures::*;
use super::setup::*;
use super::world::*;
use crate::protocol::division::Candidates;
use crate::protocol::machine::OnLoss;
use crate::protocol::{
    Action, Condition, Entry, Event, Key, KeyHash, Now, PlanAnswer, Portion, RegisteredUnits, Request,
    Session, UnitHash, Value, Verdict, WorkName, Written,
};

impl World {
    /// Creates a world in which the members of `setup` have joined and know each other.
    pub(super) fn new(setup: &Setup) -> Self {
        let mut world = Self::empty(setup);
        for agent in 0..setup.members {
            world.start(setup, agent);
        }
        let begin = edge_of(1 + u64::from(setup.warm)) - AHEAD - 1;
        loop {
            if let Some(step) = world.next_step(0) {
                world.run(setup, step.0, step.1);
            } else if world.next_time(setup).is_some_and(|time| time <= begin) {
                world.advance(setup);
            } else {
                break;
            }
        }
        world
    }

    /// Returns all possible moves.
    pub(super) fn moves(&self, setup: &Setup) -> Vec<Move> {
        let mut moves = Vec::new();
        if self.violation.is_some() {
            return moves;
        }
        let mut from = 0;
        while let Some((agent, step)) = self.next_step(from) {
            moves.push(Move::Run(agent, step));
            from = agent + 1;
            if !setup.orders {
                break;
            }
        }
        let quiet = moves.is_empty();
        let next = self.next_step(0).map(|(agent, _)| agent);
        for (index, agent) in self.agents.iter().enumerate() {
            moves.extend(
                self.slow_steps(index)
                    .into_iter()
                    .map(|step| Move::Run(index, step)),
            );
            if agent.late_write.is_some() && quiet {
                moves.push(Move::LateWrite(index));
            }
        }
        if quiet {
            let slow = |agent: &Agent| {
                agent
                    .process
                    .as_ref()
                    .is_some_and(|process| process.link == Link::Slow)
            };
            let slow = (0..self.agents.len()).filter(|index| slow(&self.agents[*index]));
            moves.extend(slow.map(|agent| Move::Recover(Recovery::Release(agent))));
        }
        let open = self.now < edge_of(setup.cycles + 1);
        if quiet {
            if self
                .next_time(setup)
                .is_some_and(|time| time <= setup.end() && self.may_wait(time))
            {
                moves.push(Move::Advance);
            }
            if open {
                self.quiet_moves(&mut moves);
            }
        }
        if self.faults > 0 && open {
            let first = self.faults == setup.faults;
            for kind in if first { setup.first } else { setup.others } {
                match kind {
                    Kind::Down if self.etcd.up => moves.push(Move::Fault(*kind, 0)),
                    Kind::Wipe if self.etcd.up => moves.push(Move::Fault(*kind, 0)),
                    Kind::Down | Kind::Wipe => {}
                    // A fault of one agent commutes with the moves of the others.
                    _ => moves.extend(
                        (0..self.agents.len())
                            .filter(|agent| quiet || self.step_of(*agent).is_some())
                            .filter(|agent| setup.orders || next.is_none_or(|next| next == *agent))
                            .filter(|agent| self.can_inject(*kind, *agent))
                            .map(|agent| Move::Fault(*kind, agent)),
                    ),
                }
            }
        }
        moves
    }

    /// Adds moves that happen between two moments, after all steps of the first one.
    fn quiet_moves(&self, moves: &mut Vec<Move>) {
        for (index, agent) in self.agents.iter().enumerate() {
            if !agent.started {
                moves.push(Move::Start(index));
            }
            match &agent.process {
                None if agent.started && !agent.stopped => {
                    moves.push(Move::Recover(Recovery::Restart(index)))
                }
                None => {}
                Some(process) => {
                    if process.paused {
                        for hasty in [false, true] {
                            moves.push(Move::Recover(Recovery::Resume { agent: index, hasty }));
                        }
                    } else if self.stops > 0 && !agent.stopped && process.link == Link::Up && self.etcd.up {
                        moves.push(Move::Stop(index));
                    }
                    if process.link == Link::Cut {
                        moves.push(Move::Recover(Recovery::Heal(index)));
                    }
                }
            }
        }
        if !self.etcd.up {
            moves.push(Move::Recover(Recovery::Up { extend: false }));
            moves.push(Move::Recover(Recovery::Up { extend: true }));
        }
    }

    /// Returns whether no slow link must deliver its messages before this time.
    fn may_wait(&self, time: u64) -> bool {
        let mut processes = self.agents.iter().filter_map(|agent| agent.process.as_ref());
        processes.all(|process| process.link != Link::Slow || process.paused || time <= process.slow_until)
    }

    fn can_inject(&self, kind: Kind, agent: usize) -> bool {
        let Some(process) = &self.agents[agent].process else {
            return false;
        };
        match kind {
            Kind::Crash => true,
            Kind::Pause => !process.paused,
            Kind::Cut => process.link != Link::Cut,
            // Only with pending messages: otherwise the fault has no effect yet.
            Kind::Delay => {
                process.link == Link::Up
                    && !(process.requests.is_empty()
                        && process.replies.is_empty()
                        && process.watch.is_empty())
            }
            Kind::Watch => process.watching && !process.watch.is_empty(),
            Kind::Expire => process
                .lease
                .is_some_and(|lease| self.etcd.leases.contains_key(&lease)),
            Kind::Down | Kind::Wipe => false,
        }
    }

    pub(super) fn make(&mut self, setup: &Setup, action: Move) {
        match action {
            Move::Advance => self.advance(setup),
            Move::Run(agent, step) => self.run(setup, agent, step),
            Move::Fault(kind, agent) => self.inject(kind, agent),
            Move::LateWrite(agent) => {
                if let Some((key, value, only_if)) = self.agents[agent].late_write.take() {
                    self.write(key, value, &only_if, None);
                }
            }
            Move::Recover(recovery) => self.recover(setup, recovery),
            Move::Start(agent) => self.start(setup, agent),
            Move::Stop(agent) => {
                self.stops -= 1;
                let now = self.now;
                self.agents[agent]
                    .missed
                    .extend([now / INTERVAL, (now + AHEAD) / INTERVAL]);
                self.agents[agent].stopped = true;
                self.event(setup, agent, Event::Stopping);
            }
        }
        for agent in 0..self.agents.len() {
            self.request_plans(setup, agent);
            self.leave_when_done(setup, agent);
        }
    }

    // ---- time

    /// Returns the next moment at which something is due.
    pub(super) fn next_time(&self, setup: &Setup) -> Option<u64> {
        let mut times = BTreeSet::new();
        for cycle in 1..=setup.cycles {
            times.extend([edge_of(cycle) - AHEAD, edge_of(cycle)]);
        }
        for agent in &self.agents {
            let Some(process) = &agent.process else { continue };
            if process.paused {
                continue;
            }
            if let Some(tick) = process.machine.next_tick() {
                times.insert(millis(tick));
            }
            times.extend(process.join_at);
            if process.link == Link::Cut || !self.etcd.up {
                times.extend(process.requests.iter().map(|sent| sent.at + REQUEST));
            }
            for work in process.works.values() {
                if let Stage::Confirming { since, .. } = work.stage {
                    times.insert(since + REQUEST);
                }
            }
        }
        for (lease, until) in &self.etcd.leases {
            if self.etcd.up && !self.kept(*lease) {
                times.insert(*until);
            }
        }
        times.into_iter().find(|time| *time > self.now)
    }

    /// Returns whether a running process with a connection to etcd keeps a lease alive.
    fn kept(&self, lease: u32) -> bool {
        self.agents.iter().any(|agent| {
            agent.process.as_ref().is_some_and(|process| {
                process.lease == Some(lease) && !process.paused && process.link != Link::Cut && self.etcd.up
            })
        })
    }

    fn advance(&mut self, setup: &Setup) {
        let Some(time) = self.next_time(setup) else { return };
        let reaches = self.etcd.up;
        if !reaches {
            self.down.extend(self.now / INTERVAL..=time / INTERVAL);
        }
        for agent in &mut self.agents {
            let runs = agent.process.as_ref().is_some_and(|process| {
                let connected = reaches && process.link != Link::Cut;
                !process.paused && (connected || setup.on_loss == OnLoss::Continue)
            });
            if !runs || agent.stopped {
                agent.missed.extend(self.now / INTERVAL..=time / INTERVAL);
            }
        }
        // Keepalives are so frequent that no single one matters.
        for agent in 0..self.agents.len() {
            let Some(process) = &self.agents[agent].process else {
                continue;
            };
            let (Some(lease), true) = (
                process.lease,
                !process.paused && process.link != Link::Cut && self.etcd.up,
            ) else {
                continue;
            };
            if let Some(until) = self.etcd.leases.get_mut(&lease) {
                *until = time + TTL;
                self.now = time;
                self.acknowledge(agent, time);
                self.event(setup, agent, Event::KeptAlive { sent: boot(time) });
            } else if !self.agents[agent].stopped {
                self.process(agent).lease = None;
                self.process(agent).replies.push_back(Event::LeaseGone);
            }
        }
        self.now = time;
        let over: Vec<_> = self
            .etcd
            .leases
            .iter()
            .filter(|(_, until)| **until <= time)
            .map(|(lease, _)| *lease)
            .collect();
        if self.etcd.up {
            for lease in over {
                let entries = self.etcd.revoke(lease);
                self.publish(entries);
            }
        }
        for agent in 0..self.agents.len() {
            self.wake(setup, agent);
        }
    }

    /// Triggers an agent's timers at this moment.
    fn wake(&mut self, setup: &Setup, agent: usize) {
        let (now, up) = (self.now, self.etcd.up);
        let Some(process) = self.agents[agent]
            .process
            .as_mut()
            .filter(|process| !process.paused)
        else {
            return;
        };
        if process.link == Link::Cut || !up {
            let mut failed = Vec::new();
            let mut gone = false;
            while let Some(sent) = process.requests.front()
                && sent.at + REQUEST <= now
            {
                // An agent that cannot revoke its lease stops anyway.
                gone |= sent.request == Outgoing::Revoke;
                failed.extend(sent.request.name());
                process.requests.pop_front();
            }
            if gone {
                self.agents[agent].process = None;
                return;
            }
            if !failed.is_empty() && !process.lost {
                process.lost = true;
                self.event(setup, agent, Event::StoreLost);
            }
            for request in failed {
                self.event(setup, agent, Event::Failed(request));
            }
        }
        if self.process(agent).join_at.is_some_and(|at| at <= now) {
            self.process(agent).join_at = None;
            self.send(agent, Outgoing::Join);
        }
        for cycle in 1..=setup.cycles {
            if edge_of(cycle) - AHEAD == now && !self.agents[agent].stopped {
                self.event(setup, agent, Event::Prepare(edge(cycle)));
            }
            if edge_of(cycle) == now && !self.agents[agent].stopped {
                self.process(agent).plan_requests.insert(cycle);
            }
        }
        if self
            .process(agent)
            .machine
            .next_tick()
            .is_some_and(|tick| tick <= boot(now))
        {
            self.event(setup, agent, Event::Tick);
        }
        let unanswered: Vec<_> = self
            .process(agent)
            .works
            .iter()
            .filter(
                |(_, work)| matches!(work.stage, Stage::Confirming { since, .. } if since + REQUEST <= now),
            )
            .map(|(name, _)| name.clone())
            .collect();
        for name in unanswered {
            self.settle(setup, agent, &name);
        }
    }

    // ---- steps of agents

    /// Returns the next step of the first agent, from `from` on, that has one.
    pub(super) fn next_step(&self, from: usize) -> Option<(usize, Step)> {
        (from..self.agents.len()).find_map(|index| self.step_of(index).map(|step| (index, step)))
    }

    fn step_of(&self, agent: usize) -> Option<Step> {
        let process = self.agents[agent].process.as_ref()?;
        if process.paused {
            return None;
        }
        if process.link == Link::Up && self.etcd.up {
            if !process.replies.is_empty() {
                return Some(Step::Reply);
            }
            if !process.watch.is_empty() {
                return Some(Step::Watch);
            }
            if !process.watching && process.lease.is_some() {
                return Some(Step::Resync);
            }
            if !process.requests.is_empty() {
                return Some(Step::Execute);
            }
        }
        self.work_step(process)
    }

    fn work_step(&self, process: &Process) -> Option<Step> {
        let ready = |(name, work): (&WorkName, &Work)| {
            let ready = match work.stage {
                Stage::Polling | Stage::Polled { .. } | Stage::HandedOver => true,
                Stage::Confirming { at, .. } => {
                    let units: Vec<_> = work.units.iter().cloned().collect();
                    process
                        .machine
                        .may_hand_over(boot(self.now), name, &units, boot(at))
                        != Verdict::Unconfirmed
                }
            };
            ready.then(|| Step::Work(name.clone()))
        };
        process.works.iter().find_map(ready)
    }

    /// Returns steps that may happen now or later: those of slow links, and requests that a process sent before it was
    /// paused.
    fn slow_steps(&self, agent: usize) -> Vec<Step> {
        let mut steps = Vec::new();
        let Some(process) = &self.agents[agent].process else {
            return steps;
        };
        if !self.etcd.up {
            return steps;
        }
        // A message that takes longer than a request's timeout is dropped.
        let young = process
            .requests
            .front()
            .is_some_and(|sent| self.now <= sent.at + REQUEST);
        if process.paused && process.link == Link::Up && young {
            steps.push(Step::Execute);
        }
        steps
    }

    fn run(&mut self, setup: &Setup, agent: usize, step: Step) {
        match step {
            Step::Execute => self.execute(agent),
            Step::Reply => {
                if let Some(event) = self.process(agent).replies.pop_front() {
                    self.event(setup, agent, event);
                }
            }
            Step::Watch => {
                if let Some(entry) = self.process(agent).watch.pop_front() {
                    self.event(setup, agent, Event::Watched(entry));
                }
            }
            Step::Resync => {
                let snapshot = self.etcd.watched();
                let process = self.process(agent);
                process.watching = true;
                process.lost = false;
                process.replies.push_back(Event::Synced(snapshot));
            }
            Step::Work(name) => self.work(setup, agent, &name),
        }
    }

    /// Executes an agent's first request in etcd.
    fn execute(&mut self, agent: usize) {
        let Some(sent) = self.process(agent).requests.pop_front() else {
            return;
        };
        let now = self.now;
        match sent.request {
            Outgoing::Join => {
                if let Some(lease) = self.agents[agent].lease.take() {
                    let entries = self.etcd.revoke(lease);
                    self.publish(entries);
                }
                let lease = self.etcd.grant(now + TTL);
                self.agents[agent].lease = Some(lease);
                self.agents[agent].memberships += 1;
                let incarnation = incarnation(agent, self.agents[agent].memberships);
                self.deadlines.insert(incarnation, deadline(sent.at));
                let snapshot = self.etcd.watched();
                let process = self.process(agent);
                process.lease = Some(lease);
                process.watching = true;
                process.lost = false;
                process.replies.clear();
                process.watch.clear();
                process.replies.push_back(Event::Session(Session {
                    incarnation,
                    sent: boot(sent.at),
                    snapshot,
                }));
            }
            Outgoing::Write(key, value, only_if) => {
                let lease = self.process(agent).lease;
                match self.write(key.clone(), value, &only_if, lease) {
                    Some(written) => self
                        .process(agent)
                        .replies
                        .push_back(Event::Written(key, written)),
                    None => self.process(agent).replies.push_back(Event::LeaseGone),
                }
            }
            Outgoing::Read(scope) => {
                let snapshot = self.etcd.read(&scope);
                self.process(agent)
                    .replies
                    .push_back(Event::Read(scope, snapshot));
            }
            Outgoing::Renew => {
                let lease = self.process(agent).lease;
                match lease.filter(|lease| self.etcd.leases.contains_key(lease)) {
                    Some(lease) => {
                        self.etcd.leases.insert(lease, now + TTL);
                        self.process(agent)
                            .replies
                            .push_back(Event::KeptAlive { sent: boot(sent.at) });
                    }
                    None => {
                        self.process(agent).lease = None;
                        self.process(agent).replies.push_back(Event::LeaseGone);
                    }
                }
            }
            Outgoing::Lost(request) => self.process(agent).replies.push_back(Event::Failed(request)),
            Outgoing::Revoke => {
                if let Some(lease) = self.agents[agent].lease.take() {
                    let entries = self.etcd.revoke(lease);
                    self.publish(entries);
                }
                self.agents[agent].process = None;
            }
        }
    }

    /// Executes a write and checks its invariants.
    fn write(
        &mut self,
        key: Key,
        value: Value,
        only_if: &[Condition],
        lease: Option<u32>,
    ) -> Option<Written> {
        if let (Key::Plan(_), Value::Plan(plan)) = (&key, &value) {
            let before = self.etcd.plan(&schedule()).cloned();
            let writer = plan.writer.clone();
            let listed = plan
                .members
                .iter()
                .find(|member| member.id == writer)
                .map(|member| member.incarnation);
            let current = self.etcd.incarnation(&writer);
            let (written, entry) = self.etcd.write(key, value.clone(), only_if, None)?;
            if matches!(written, Written::Done(_)) {
                if before.is_some_and(|before| before.start >= plan.start) {
                    self.violate("a plan was changed, or its start did not grow");
                }
                if listed.is_none() || listed != current {
                    self.violate("a plan was written by an agent that was not a member");
                }
                self.plans.entry(plan.start).or_insert_with(|| plan.clone());
            }
            self.publish(entry.into_iter().collect());
            return Some(written);
        }
        let lease = lease.filter(|_| key.under_presence());
        let (written, entry) = self.etcd.write(key, value, only_if, lease)?;
        self.publish(entry.into_iter().collect());
        Some(written)
    }

    /// Delivers changes to the watches.
    fn publish(&mut self, entries: Vec<Entry>) {
        for agent in &mut self.agents {
            if let Some(process) = &mut agent.process
                && process.watching
                && process.link != Link::Cut
            {
                let watched = entries
                    .iter()
                    .filter(|entry| !matches!(entry.key, Key::Marks(..)));
                process.watch.extend(watched.cloned());
            }
        }
    }

    // ---- the engine

    /// Requests the plans of started cycles, as the engine does.
    fn request_plans(&mut self, setup: &Setup, agent: usize) {
        let now = self.times();
        let Some(process) = self.agents[agent]
            .process
            .as_mut()
            .filter(|process| !process.paused)
        else {
            return;
        };
        let requested: Vec<_> = process.plan_requests.iter().copied().collect();
        let mut started = false;
        for cycle in requested {
            match process.machine.plan(now, &edge(cycle).cycle) {
                PlanAnswer::Wait => continue,
                PlanAnswer::NoShare(_) => {}
                PlanAnswer::Assigned(division) => {
                    let name = name_of(cycle, None);
                    let former = process.machine.runs_by_earlier_plans(&name.schedule, name.start);
                    process.works.insert(name, Work::new(division, former));
                    started = true;
                }
            }
            process.plan_requests.remove(&cycle);
        }
        if started {
            self.event(setup, agent, Event::Tick);
        }
    }

    /// Advances a work item by one step.
    fn work(&mut self, setup: &Setup, agent: usize, name: &WorkName) {
        let now = self.now;
        let Some(work) = self.process(agent).works.get(name).cloned() else {
            return;
        };
        match work.stage {
            Stage::Polling => self.set_stage(agent, name, Stage::Polled { at: now }),
            Stage::Polled { at } | Stage::Confirming { at, .. } => {
                let units: Vec<_> = work.units.iter().cloned().collect();
                let verdict = self
                    .process(agent)
                    .machine
                    .may_hand_over(boot(now), name, &units, boot(at));
                match verdict {
                    Verdict::Allow => self.hand_over(setup, agent, name, &work, at),
                    Verdict::Reject => self.give_up(setup, agent, name, &work),
                    Verdict::Unconfirmed => {
                        self.set_stage(agent, name, Stage::Confirming { at, since: now });
                        self.event(setup, agent, Event::ConfirmLease);
                    }
                }
            }
            Stage::HandedOver => {
                self.process(agent).works.remove(name);
                for unit in &work.units {
                    let event = Event::Finished {
                        work: name.clone(),
                        unit: unit.clone(),
                    };
                    self.event(setup, agent, event);
                }
            }
        }
    }

    /// Decides at the fence without an answer.
    fn settle(&mut self, setup: &Setup, agent: usize, name: &WorkName) {
        let now = self.now;
        let Some(work) = self.process(agent).works.get(name).cloned() else {
            return;
        };
        let Stage::Confirming { at, .. } = work.stage else {
            return;
        };
        let units: Vec<_> = work.units.iter().cloned().collect();
        if self
            .process(agent)
            .machine
            .unanswered(boot(now), name, &units, boot(at))
        {
            self.hand_over(setup, agent, name, &work, at);
        } else {
            self.give_up(setup, agent, name, &work);
        }
    }

    fn set_stage(&mut self, agent: usize, name: &WorkName, stage: Stage) {
        if let Some(work) = self.process(agent).works.get_mut(name) {
            work.stage = stage;
        }
    }

    fn give_up(&mut self, setup: &Setup, agent: usize, name: &WorkName, work: &Work) {
        self.process(agent).works.remove(name);
        for unit in &work.units {
            let event = Event::GaveUp {
                work: name.clone(),
                unit: unit.clone(),
            };
            self.event(setup, agent, event);
        }
    }

    fn hand_over(&mut self, setup: &Setup, agent: usize, name: &WorkName, work: &Work, at: u64) {
        let cycle = cycle_at(name.start);
        for (number, unit) in units(setup).iter().enumerate() {
            let Portion::Resources(claim) = work.division.portion(unit) else {
                continue;
            };
            for (resource, key) in keys(setup).iter().enumerate() {
                if claim.owns(KeyHash::of(key)) {
                    self.judge(setup, agent, name, work, at, number, resource);
                    self.samples
                        .entry((cycle, number, resource))
                        .or_default()
                        .push(agent);
                }
            }
        }
        self.set_stage(agent, name, Stage::HandedOver);
    }

    /// Checks whether a sample may be handed over, by the true state of the world.
    #[allow(clippy::too_many_arguments, reason = "one sample's circumstances")]
    fn judge(
        &mut self,
        setup: &Setup,
        agent: usize,
        name: &WorkName,
        work: &Work,
        at: u64,
        unit: usize,
        resource: usize,
    ) {
        // After a wipe the true state is unknown.
        if self.seen.contains(&(Kind::Wipe as u8)) {
            return;
        }
        let Some(plan) = self.plans.get(&name.start).cloned() else {
            if !work.former {
                self.violate("a sample was handed over without a plan");
            }
            return;
        };
        let id = agent_id(agent);
        let unit_hash = UnitHash::of("", &units(setup)[unit]);
        let candidates = Candidates::of(&plan, unit_hash);
        let me = plan.members.iter().position(|member| member.id == id);
        let Some(me) = me.filter(|me| candidates.numbers().contains(me)) else {
            if !work.former {
                self.violate("an agent outside of the plan handed over a sample");
            }
            return;
        };
        let etcd = self.etcd.clone();
        let out = |number: &usize| {
            let member = &plan.members[*number];
            !etcd.holds(&member.id, member.incarnation)
                || etcd.gave_up(&name.schedule, member.incarnation, plan.start, unit_hash)
        };
        let ranking = candidates.ranking(KeyHash::of(&keys(setup)[resource]));
        let ahead_are_out = ranking.iter().take_while(|number| **number != me).all(out);
        if !ahead_are_out && !work.former {
            self.violate("a sample was handed over although a member that ranks before is not out");
        }
        let counted_on = plan.members[me].incarnation;
        let deadline = self.deadlines.get(&counted_on).copied().unwrap_or(0);
        let process = self.agents[agent].process.as_ref();
        let knows = process.is_some_and(|process| process.machine.membership_is_not(counted_on));
        let others = candidates
            .numbers()
            .iter()
            .any(|number| *number != me && !out(number));
        let answer_timed_out = process.is_some_and(|process| process.machine.was_unanswered());
        if setup.on_loss == OnLoss::Pause && at >= deadline {
            self.violate("under pause, a sample was handed over that was polled after the lease's deadline");
        }
        if knows && others && at >= deadline && !work.former && !answer_timed_out {
            self.violate("a sample was handed over for a lost membership, although others have it");
        }
    }

    fn leave_when_done(&mut self, setup: &Setup, agent: usize) {
        let stopped = self.agents[agent].stopped;
        let Some(process) = &self.agents[agent].process else {
            return;
        };
        // First other members must know; then all running work has ended.
        let idle = process.requests.is_empty() && process.replies.is_empty() && process.watch.is_empty();
        if stopped && !process.paused && process.works.is_empty() && idle && !process.machine.has_left() {
            self.event(setup, agent, Event::Leave);
        }
    }

    // ---- the machine

    fn times(&self) -> Now {
        Now {
            boot: boot(self.now),
            wall: wall(self.now),
        }
    }

    /// Feeds an event to an agent's machine, and starts its actions.
    fn event(&mut self, setup: &Setup, agent: usize, event: Event) {
        let now = self.times();
        if let Event::KeptAlive { sent } = &event {
            self.acknowledge(agent, millis(*sent));
        }
        let Some(process) = self.agents[agent].process.as_mut() else {
            return;
        };
        let actions = process.machine.step(now, event);
        for action in actions {
            self.act(setup, agent, action);
        }
    }

    /// Updates the deadline of the current membership.
    fn acknowledge(&mut self, agent: usize, sent: u64) {
        let current = incarnation(agent, self.agents[agent].memberships);
        let until = self.deadlines.entry(current).or_default();
        *until = (*until).max(deadline(sent));
    }

    fn act(&mut self, setup: &Setup, agent: usize, action: Action) {
        let now = self.now;
        match action {
            Action::Join { after } => {
                let process = self.process(agent);
                // The agent drops everything of the previous membership.
                process.requests.clear();
                process.replies.clear();
                process.watch.clear();
                process.watching = false;
                process.lease = None;
                let at = now + u64::try_from(after.as_millis()).unwrap();
                if at > now {
                    process.join_at = Some(at);
                } else {
                    self.send(agent, Outgoing::Join);
                }
            }
            Action::Write { key, value, only_if } => self.send(agent, Outgoing::Write(key, value, only_if)),
            Action::Read(scope) => self.send(agent, Outgoing::Read(scope)),
            Action::RenewLease => self.send(agent, Outgoing::Renew),
            Action::Revoke => self.send(agent, Outgoing::Revoke),
            Action::Begin { cycle, .. } => {
                let number = cycle_at(cycle.start);
                self.process(agent).plan_requests.insert(number);
            }
            Action::TakeOver {
                cycle,
                takeover,
                units,
                division,
                ..
            } => {
                let name = name_of(cycle_at(cycle.start), Some(takeover));
                let mut work = Work::new(division, false);
                work.units = units.into_iter().collect();
                self.process(agent).works.insert(name, work);
            }
            Action::Cancel(cycle) => {
                let works: Vec<_> = self
                    .process(agent)
                    .works
                    .iter()
                    .filter(|(name, work)| name.start == cycle.start && work.stage == Stage::Polling)
                    .map(|(name, work)| (name.clone(), work.clone()))
                    .collect();
                for (name, work) in works {
                    self.give_up(setup, agent, &name, &work);
                }
            }
            Action::Notice(_) => {}
        }
    }

    fn send(&mut self, agent: usize, request: Outgoing) {
        let at = self.now;
        self.process(agent).requests.push_back(Sent { request, at });
    }

    fn process(&mut self, agent: usize) -> &mut Process {
        self.agents[agent].process.as_mut().unwrap()
    }

    // ---- faults and their ends

    fn start(&mut self, setup: &Setup, agent: usize) {
        self.agents[agent].started = true;
        self.agents[agent].process = Some(Process::new(setup, agent));
        let in_progress = (1..=setup.cycles)
            .rev()
            .find(|cycle| edge_of(*cycle) <= self.now)
            .map(edge);
        let units = RegisteredUnits {
            units: registered(setup, agent),
            meters: 0,
            in_progress: in_progress.into_iter().collect(),
        };
        self.event(setup, agent, Event::Register(units));
        // A near edge was already announced.
        for cycle in 1..=setup.cycles {
            if (edge_of(cycle) - AHEAD..edge_of(cycle)).contains(&self.now) {
                self.event(setup, agent, Event::Prepare(edge(cycle)));
            }
        }
    }

    fn inject(&mut self, kind: Kind, agent: usize) {
        self.faults -= 1;
        // An agent that was paused before, and ran for a moment, has renewed its lease and seems alive.
        let stopped_before =
            self.seen.contains(&(Kind::Pause as u8)) && !self.agents[agent].missed.is_empty();
        if matches!(kind, Kind::Pause | Kind::Crash) && stopped_before {
            let current = self.now / INTERVAL;
            self.prolonged.extend(current.saturating_sub(1)..=current);
        }
        self.seen.insert(kind as u8);
        match kind {
            Kind::Crash => {
                // Other agents must take over its cycles: those that it has started, or whose plan lists it.
                let now = self.now;
                self.agents[agent]
                    .missed
                    .extend([now / INTERVAL, (now + AHEAD) / INTERVAL]);
                self.agents[agent].crashed = self.agents[agent].memberships;
                let process = self.agents[agent].process.take().unwrap();
                self.agents[agent].late_write =
                    process.requests.into_iter().find_map(|sent| match sent.request {
                        Outgoing::Write(key @ Key::Plan(_), value, only_if) => Some((key, value, only_if)),
                        _ => None,
                    });
            }
            Kind::Pause => self.process(agent).paused = true,
            Kind::Cut => {
                self.process(agent).link = Link::Cut;
                self.cut_off(agent);
            }
            Kind::Delay => self.slow_down(agent),
            Kind::Watch => {
                let process = self.process(agent);
                process.watching = false;
                process.watch.clear();
            }
            Kind::Expire => {
                let lease = self.process(agent).lease.unwrap();
                let entries = self.etcd.revoke(lease);
                self.publish(entries);
            }
            Kind::Down => {
                self.etcd.up = false;
                for agent in 0..self.agents.len() {
                    if self.agents[agent].process.is_some() {
                        self.cut_off(agent);
                    }
                }
            }
            Kind::Wipe => {
                self.etcd.wipe();
                // etcd was restarted: pending messages are lost.
                for agent in 0..self.agents.len() {
                    self.agents[agent].late_write = None;
                    if let Some(process) = &mut self.agents[agent].process {
                        for sent in &mut process.requests {
                            if let Some(request) = sent.request.name() {
                                sent.request = Outgoing::Lost(request);
                            }
                        }
                        self.cut_off(agent);
                    }
                }
            }
        }
    }

    /// Pending messages are lost, executed or not; a keepalive detects it.
    fn cut_off(&mut self, agent: usize) {
        let now = self.now;
        let process = self.process(agent);
        process.watching = false;
        process.watch.clear();
        let answers = std::mem::take(&mut process.replies);
        for sent in &mut process.requests {
            sent.at = now;
        }
        let lost = answers.into_iter().filter_map(|event| match event {
            Event::Written(key, _) => Some(Outgoing::Lost(Request::Write(key))),
            Event::Read(scope, _) => Some(Outgoing::Lost(Request::Read(scope))),
            Event::Session(_) => Some(Outgoing::Lost(Request::Join)),
            _ => None,
        });
        let requests = lost
            .chain([Outgoing::Renew])
            .map(|request| Sent { request, at: now });
        process.requests.extend(requests.collect::<Vec<_>>());
    }

    fn recover(&mut self, setup: &Setup, recovery: Recovery) {
        match recovery {
            Recovery::Resume { agent, hasty } => {
                let now = self.now;
                let process = self.process(agent);
                process.paused = false;
                // The process continues either after or before it reads its pending messages.
                if hasty && process.link == Link::Up {
                    self.slow_down(agent);
                }
                self.send(agent, Outgoing::Renew);
                for cycle in 1..=setup.cycles {
                    let name = name_of(cycle, None);
                    let seen = self
                        .process(agent)
                        .machine
                        .knows_cycle(&name.schedule, name.start);
                    let (begin, end) = (edge_of(cycle), edge_of(cycle + 1));
                    if (begin - AHEAD..begin).contains(&now) && !seen {
                        self.event(setup, agent, Event::Prepare(edge(cycle)));
                    }
                    // The engine starts a cycle late if its edge passed while the process was paused.
                    if (begin..end).contains(&now)
                        && !self
                            .process(agent)
                            .machine
                            .has_started(&name.schedule, name.start)
                    {
                        self.process(agent).plan_requests.insert(cycle);
                    }
                }
                self.event(setup, agent, Event::Tick);
            }
            Recovery::Release(agent) => self.process(agent).link = Link::Up,
            Recovery::Heal(agent) => {
                self.process(agent).link = Link::Up;
                self.reconnect(agent);
            }
            Recovery::Restart(agent) => self.start(setup, agent),
            Recovery::Up { extend } => {
                self.etcd.up = true;
                if extend {
                    for until in self.etcd.leases.values_mut() {
                        *until = self.now + TTL;
                    }
                }
                // Agents that are dead or paused by then seem alive for longer: through etcd, or through a keepalive that
                // arrives now.
                let mut processes = self.agents.iter().filter_map(|agent| agent.process.as_ref());
                if extend || processes.any(|process| process.paused && process.lease.is_some()) {
                    let current = self.now / INTERVAL;
                    self.prolonged.extend(current.saturating_sub(1)..=current);
                }
                let over: Vec<_> = self
                    .etcd
                    .leases
                    .iter()
                    .filter(|(_, until)| **until <= self.now)
                    .map(|(lease, _)| *lease)
                    .collect();
                for lease in over {
                    self.etcd.revoke(lease);
                }
                for agent in 0..self.agents.len() {
                    if self.agents[agent].process.is_some() {
                        self.reconnect(agent);
                    }
                }
            }
        }
    }

    /// Reconnects an agent: its keepalive checks the lease, then it reads everything again.
    fn reconnect(&mut self, agent: usize) {
        if self.process(agent).lease.is_some() {
            self.send(agent, Outgoing::Renew);
        }
    }

    fn slow_down(&mut self, agent: usize) {
        let until = self.now + REQUEST;
        let process = self.process(agent);
        process.link = Link::Slow;
        process.slow_until = until;
    }

    fn violate(&mut self, what: &'static str) {
        self.violation.get_or_insert(what);
    }
}

impl Outgoing {
    fn name(&self) -> Option<Request> {
        Some(match self {
            Self::Join => Request::Join,
            Self::Write(key, ..) => Request::Write(key.clone()),
            Self::Read(scope) => Request::Read(scope.clone()),
            Self::Renew => Request::RenewLease,
            Self::Lost(request) => request.clone(),
            Self::Revoke => return None,
        })
    }
}
