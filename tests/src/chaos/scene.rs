//! A pool of real agents on a real etcd, into which faults are injected.

use std::collections::BTreeSet;

use nephoscope_pool::protocol::AgentId;
use nephoscope_pool::protocol::ranking::{KeyHash, MemberHash, ranked};

use super::agent::Agent;
use super::clock;
use super::draw::Draw;
use super::fault::{Kind, Script, Step, name, scripts};
use super::report::{Incident, Report};
use super::setting::{METER, Role, Setting};
use super::watcher::{Seen, Watcher};
use crate::oracle::{Fault, Files, Lease, Meter, Resource, Run, Schedule, Silence};
use crate::{Deadline, Etcd, Network, PATIENCE};

/// The maximum delay with which the watcher sees changes in etcd, in seconds: everything runs on one loaded machine.
const SLACK: f64 = 0.5;

/// How often the processes are checked while etcd does not change.
const LOOK: std::time::Duration = std::time::Duration::from_millis(200);

/// A pool for faults.
#[derive(Debug)]
pub struct Scene {
    setting: Setting,
    etcd: Etcd,
    watcher: Watcher,
    /// The first ones run from start to end; further ones are those of storms.
    agents: Vec<Agent>,
    incidents: Vec<Incident>,
    faults: Vec<Fault>,
    /// Errors that agents failed to report.
    unreported: Vec<String>,
    /// When agents received no answer from etcd.
    silences: Vec<Silence>,
}

impl Scene {
    /// Starts all processes, and waits until one plan lists all agents.
    ///
    /// # Panics
    ///
    /// Panics if no plan lists them in time.
    #[must_use]
    pub fn begin(setting: Setting) -> Self {
        let etcd = Etcd::build().nodes(setting.nodes).start();
        let watcher = Watcher::start(etcd.endpoints(), etcd.prefix());
        let agents = (0..setting.agents).map(|number| Agent::behind_proxies(number, &setting, &etcd));
        let mut scene = Self {
            agents: agents.collect(),
            setting,
            etcd,
            watcher,
            incidents: Vec::new(),
            faults: Vec::new(),
            unreported: Vec::new(),
            silences: Vec::new(),
        };
        scene.agents.iter_mut().for_each(Agent::start);
        let all_listed = scene.wait(Deadline::start(), |scene| scene.all_listed());
        assert!(all_listed.is_some(), "no plan with all agents\n{}", scene.logs());
        scene
    }

    /// Returns the boot clock in seconds.
    #[must_use]
    pub fn now(&self) -> f64 {
        clock::now()
    }

    /// Lets the pool run for this many seconds.
    pub fn rest(&mut self, seconds: f64) {
        self.wait_until(clock::now() + seconds);
    }

    /// Lets the pool run until this many seconds after the next edge.
    pub fn after_an_edge(&mut self, seconds: f64) {
        let interval = f64::from(self.setting.interval);
        let epoch = clock::epoch();
        let next = ((clock::now() - epoch) / interval).ceil() * interval;
        self.wait_until(epoch + next + seconds);
    }

    /// Injects a fault, and waits until all agents are back in the pool.
    pub fn inject(&mut self, kind: Kind, draw: &mut Draw) -> &Incident {
        let ranking = self.ranking(draw);
        let scripts = scripts(kind, &self.setting, &ranking, draw);
        for agent in &mut self.agents {
            agent.left_out = agent.left_out_errors();
        }
        let from = clock::now();
        let spans = self.play(&scripts);
        let end = clock::now();
        // They are members again within a cycle, and in the plan of the next edge; their work alone ends after that.
        let patience = std::time::Duration::from_secs_f64(2.0 * self.setting.patience() + 2.0);
        let joined = self.wait(Deadline::after(PATIENCE), |scene| scene.joined());
        let listed = self.wait(Deadline::after(PATIENCE), |scene| scene.all_listed());
        let ready = self.wait(Deadline::after(patience), |scene| scene.ready());
        if ready.is_none() {
            self.unreported
                .push(format!("{kind}: not every agent is ready: {}", self.readiness()));
        }
        let back = clock::now();
        for (script, (from, to)) in scripts.iter().zip(spans) {
            self.faults.extend(script.effect.clone().map(|effect| Fault {
                from,
                to: if script.lingers { back } else { to },
                effect,
            }));
        }
        let incident = Incident {
            kind,
            steps: scripts
                .iter()
                .flat_map(|script| &script.steps)
                .map(|(at, step)| format!("{at:.1} s {step:?}"))
                .collect(),
            from,
            end,
            joined: joined.map(|at| at - end),
            listed: listed.map(|at| at - end),
        };
        self.incidents.push(incident);
        &self.incidents[self.incidents.len() - 1]
    }

    /// Waits until all faults can be judged, stops everything, and returns the report.
    ///
    /// # Panics
    ///
    /// Panics if an agent does not stop properly.
    #[must_use]
    pub fn end(mut self) -> Report {
        let lease = f64::from(self.setting.lease);
        // The cycle that a fault hits and the next one, and the time in which they can be taken over.
        self.rest(2.0 * f64::from(self.setting.interval) + 4.0 * (lease + 1.0) + 1.0);
        let end = clock::now();
        let epoch = clock::epoch();
        self.agents.iter_mut().for_each(Agent::terminate);
        self.agents.iter_mut().for_each(Agent::stop);
        let log: Vec<_> = self
            .agents
            .iter()
            .map(|agent| (agent.id.clone(), agent.log()))
            .collect();
        let schedules = vec![self.schedule()];
        let mut files = Files::new(&schedules, epoch, "synthetic");
        let mut written = Vec::new();
        let mut unidentified = Vec::new();
        for agent in &self.agents {
            let mut samples = agent.samples();
            samples.retain(|sample| sample.meter() == METER);
            let (known, unknown) = files.read(&agent.id, samples);
            written.extend(known);
            unidentified.extend(unknown);
        }
        let Seen {
            plans,
            joined,
            gone,
            gave_up,
            ..
        } = self.watcher.take();
        let run = Run {
            schedules: schedules.clone(),
            epoch,
            end,
            lease: Lease {
                ttl: lease,
                pauses: self.setting.pauses,
            },
            slack: SLACK,
            written,
            plans,
            joined,
            gone,
            gave_up,
            // No agent is excused: with polls that end in time, each cycle has an owner.
            skipped: Vec::new(),
            counted: Vec::new(),
            faults: self.faults,
            silences: self.silences,
        };
        let mut problems = self.unreported;
        problems.extend(late(&run));
        Report::new(self.setting, run, unidentified, self.incidents, problems, log)
    }

    /// Runs scripts in parallel. Returns for each when its first step started and its last step ended.
    fn play(&mut self, scripts: &[Script]) -> Vec<(f64, f64)> {
        let begin = clock::now();
        let mut steps: Vec<_> = scripts
            .iter()
            .enumerate()
            .flat_map(|(number, script)| script.steps.iter().map(move |(at, step)| (*at, number, step)))
            .collect();
        steps.sort_by(|one, other| one.0.total_cmp(&other.0));
        let mut spans = vec![(f64::INFINITY, 0.0_f64); scripts.len()];
        for (at, number, step) in steps {
            self.wait_until(begin + at);
            let span = &mut spans[number];
            span.0 = span.0.min(clock::now());
            self.take(step);
            spans[number].1 = clock::now();
        }
        spans
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Kill(agent) => {
                self.remember(*agent);
                self.agents[*agent].kill();
                self.falls_silent(*agent, None);
            }
            Step::Start(agent) => self.agents[*agent].start(),
            Step::Freeze(agent) => {
                self.agents[*agent].freeze();
                self.falls_silent(*agent, None);
            }
            Step::Thaw(agent) => self.agents[*agent].thaw(),
            Step::Stop(agent) => {
                self.remember(*agent);
                self.agents[*agent].stop();
            }
            Step::Restart(agent) => {
                self.remember(*agent);
                self.agents[*agent].stop();
                self.agents[*agent].start();
                // Restart the next one only after this one is back.
                self.expect("a restarted agent is a member", |scene| {
                    let agent = &scene.agents[*agent];
                    scene.watcher.look(|seen| is_member(agent, seen))
                });
            }
            Step::Reload(agent, role) => self.reload(*agent, *role),
            Step::DuplicateId(agent) => self.duplicate_id(*agent),
            Step::Network(agent, network) => self.network(*agent, *network),
            Step::Storm(count) => {
                let came = self.agents.len();
                for number in 0..*count {
                    let id = format!("guest-{}", came + number);
                    self.agents.push(Agent::direct(id, &self.setting, &self.etcd));
                }
                self.agents[came..].iter_mut().for_each(Agent::start);
                let all = self.setting.agents + count;
                self.expect("a plan with all new agents", |scene| {
                    scene
                        .watcher
                        .look(|seen| seen.plans.last().is_some_and(|plan| plan.members.len() == all))
                });
            }
            Step::StopStorm => {
                let guests = &mut self.agents[self.setting.agents..];
                guests.iter_mut().for_each(Agent::terminate);
                guests.iter_mut().for_each(Agent::stop);
            }
            Step::FreezeEtcd => self.etcd.freeze_all(),
            Step::ThawEtcd => self.etcd.thaw_all(),
            Step::KillNodes(nodes) => {
                for node in nodes {
                    self.etcd.nodes[*node].kill();
                }
            }
            Step::StartNodes => self.etcd.start_all(),
            Step::WipeEtcd => {
                self.etcd.kill_all();
                self.watcher.emptied();
                self.etcd.wipe();
            }
            Step::ExpectErrors(agents) => self.check_errors(agents),
        }
    }

    /// Stores the membership of an agent that is about to end.
    fn remember(&mut self, agent: usize) {
        let agent = &mut self.agents[agent];
        let standing = self.watcher.look(|seen| seen.members.get(&agent.id).cloned());
        // An agent that is killed before it is a member again leaves the stored membership unchanged.
        if let Some(standing) = standing {
            agent.former = Some(standing.incarnation);
        }
    }

    fn network(&mut self, number: usize, network: Network) {
        let agent = &self.agents[number];
        // Before it is normal again, and after it is no longer normal.
        let of_agent =
            |silence: &&mut Silence| silence.agent == agent.id && silence.to == Some(f64::INFINITY);
        if let Some(silence) = self.silences.iter_mut().find(of_agent) {
            silence.to = Some(clock::now());
        }
        agent.network(network);
        // Under `continue` answers are not needed: the agent may continue without.
        if self.setting.pauses && matches!(network, Network::Cut | Network::HalfOpen) {
            self.falls_silent(number, Some(f64::INFINITY));
        }
    }

    /// Records that an agent receives no answer from etcd from now on.
    fn falls_silent(&mut self, agent: usize, to: Option<f64>) {
        self.silences.push(Silence {
            agent: self.agents[agent].id.clone(),
            from: clock::now(),
            to,
        });
    }

    fn reload(&mut self, agent: usize, role: Role) {
        self.agents[agent].reload(&self.setting, role);
        let id = self.agents[agent].id.clone();
        let carries_side = self.setting.side > 0 && role != Role::Other;
        self.expect("an agent's key has its new units", |scene| {
            scene.watcher.look(|seen| {
                let standing = seen.members.get(&id);
                let side = |units: &BTreeSet<String>| scene.setting.side_unit(units.iter()).is_some();
                standing.is_some_and(|standing| side(&standing.units) == carries_side)
            })
        });
    }

    /// A second process with an agent's id must end with an error.
    fn duplicate_id(&mut self, agent: usize) {
        let id = &self.agents[agent].id;
        let mut duplicate_id = Agent::direct(id.clone(), &self.setting, &self.etcd);
        let refused = duplicate_id.refused();
        if !refused.contains("in use by an agent on host") {
            self.unreported.push(format!(
                "a second {id} did not report that the id is in use:\n{refused}"
            ));
        }
        let samples = duplicate_id.samples().len();
        if samples > 0 {
            self.unreported
                .push(format!("a second {id} wrote {samples} samples"));
        }
    }

    /// Each of these agents must report that it does not reach etcd: in readiness, in the metrics, and with one ERROR.
    fn check_errors(&mut self, agents: &[usize]) {
        for agent in agents {
            let agent = &mut self.agents[*agent];
            agent.drain();
            let errors = agent.left_out_errors() - agent.left_out;
            if errors != 1 {
                self.unreported.push(format!(
                    "{} was out of the pool for a whole cycle, and reported it {errors} times",
                    agent.id
                ));
            }
            let Some(program) = agent.answering() else {
                continue;
            };
            let reasons = program.get("/readyz").json()["reasons"].to_string();
            let metrics = program.get("/metrics");
            let unhealthy = metrics.metric("nephoscope_etcd_unhealthy_seconds", &[]);
            if reasons == "[]" || unhealthy == 0.0 {
                self.unreported.push(format!(
                    "{} does not reach etcd, and reports {reasons}, and has been unhealthy for {unhealthy} s",
                    agent.id
                ));
            }
        }
    }

    /// Returns since when each agent is a member.
    fn joined(&self) -> Option<f64> {
        let agents = &self.agents[..self.setting.agents];
        self.watcher.look(|seen| {
            if !agents.iter().all(|agent| is_member(agent, seen)) {
                return None;
            }
            seen.joined.iter().map(|joined| joined.at).max_by(f64::total_cmp)
        })
    }

    /// Returns since when the newest plan lists exactly the present agents.
    fn all_listed(&self) -> Option<f64> {
        self.joined()?;
        self.watcher.look(|seen| {
            let plan = seen.plans.last()?;
            let as_listed = |member: &crate::oracle::PlanMember| {
                let standing = seen.members.get(&member.agent);
                standing.is_some_and(|standing| standing.incarnation == member.incarnation)
            };
            let whole = plan.members.len() == self.setting.agents && plan.members.iter().all(as_listed);
            whole.then_some(plan.at)
        })
    }

    /// Returns whether each agent is ready without any reason.
    fn ready(&self) -> Option<()> {
        let agents = &self.agents[..self.setting.agents];
        let well = |agent: &Agent| {
            let program = agent.answering();
            program.is_some_and(|program| {
                let answer = program.get("/readyz");
                answer.status == 200 && answer.json()["reasons"].as_array().is_some_and(Vec::is_empty)
            })
        };
        agents.iter().all(well).then_some(())
    }

    fn readiness(&self) -> String {
        let agents = self.agents[..self.setting.agents].iter();
        let answers = agents.map(|agent| match agent.answering() {
            Some(program) => format!("{}: {}", agent.id, program.get("/readyz").body),
            None => format!("{}: no answer", agent.id),
        });
        answers.collect::<Vec<_>>().join("; ")
    }

    /// Returns the agents in the order in which they own a random resource, by the newest plan.
    fn ranking(&self, draw: &mut Draw) -> Vec<usize> {
        let keys: Vec<_> = self.setting.keys().collect();
        let key = &keys[draw.number(0..keys.len())];
        let mut names: Vec<_> = (0..self.setting.agents).map(name).collect();
        names.sort();
        let borrowed: Vec<_> = names.iter().map(String::as_str).collect();
        let number = |place: usize| (0..self.setting.agents).find(|agent| name(*agent) == names[place]);
        order(key, &borrowed).into_iter().filter_map(number).collect()
    }

    fn schedule(&self) -> Schedule {
        let setting = &self.setting;
        let unit = setting.unit();
        let other = self.watcher.look(|seen| {
            let members = seen.plans.iter().flat_map(|plan| &plan.members);
            setting.side_unit(members.flat_map(|member| &member.units))
        });
        let resource = |unit: &String| {
            let unit = unit.clone();
            move |key| Resource {
                key,
                unit: unit.clone(),
            }
        };
        let mut resources: Vec<_> = setting.keys().map(resource(&unit)).collect();
        if let Some(side) = &other {
            resources.extend(setting.side_keys().map(resource(side)));
        }
        Schedule {
            id: setting.schedule(),
            interval: i64::from(setting.interval) * 1000,
            offset: 0,
            resources,
            meters: vec![Meter {
                name: METER.to_owned(),
                everywhere: true,
            }],
        }
    }

    fn wait_until(&mut self, moment: f64) {
        let _ = self.wait(Deadline::after(clock::until(moment)), |_| None::<()>);
    }

    fn expect(&mut self, what: &str, there: impl Fn(&Self) -> bool) {
        let come = self.wait(Deadline::start(), |scene| there(scene).then_some(()));
        assert!(come.is_some(), "waited for: {what}\n{}", self.logs());
    }

    /// Waits until something is found; `None` at the deadline.
    fn wait<T>(&mut self, deadline: Deadline, found: impl Fn(&Self) -> Option<T>) -> Option<T> {
        loop {
            self.agents.iter_mut().for_each(Agent::drain);
            if let Some(found) = found(self) {
                return Some(found);
            }
            if deadline.has_passed() {
                return None;
            }
            self.watcher.wait(deadline.left().min(LOOK));
        }
    }

    fn logs(&self) -> String {
        let logs = self
            .agents
            .iter()
            .map(|agent| format!("--- {}:\n{}", agent.id, agent.log()));
        logs.collect()
    }
}

/// Returns samples that were handed over although they were polled after the deadline of a lease that cannot have been
/// renewed. The oracle knows only when keys were removed, and finds later ones.
fn late(run: &Run) -> Vec<String> {
    let ttl = run.lease.ttl;
    let mut late = Vec::new();
    for Silence { agent: id, from, to } in &run.silences {
        let deadline = from + ttl - (ttl / 10.0).max(0.2);
        let joined = run
            .joined
            .iter()
            .filter(|joined| joined.agent == *id && joined.at > *from);
        let again = joined.map(|joined| joined.at).fold(f64::INFINITY, f64::min);
        let end = to.unwrap_or(again).min(again);
        let written = run.written.iter().filter(|sample| sample.agent == *id);
        let after = written.filter(|sample| deadline < sample.finished && sample.finished < end);
        late.extend(after.map(|sample| {
            format!(
                "{id} handed {} over in {}, which was polled {:.3} s after the deadline of its lease",
                sample.resource,
                sample.cycle,
                sample.finished - deadline
            )
        }));
    }
    late
}

/// Returns whether the key of the agent's process exists.
fn is_member(agent: &Agent, seen: &Seen) -> bool {
    let standing = seen.members.get(&agent.id);
    standing.is_some_and(|standing| !standing.leaving && Some(&standing.incarnation) != agent.former.as_ref())
}

/// Returns the indexes of agents in the order in which they own a resource. The input must be sorted by id, as in plans.
pub(super) fn order(key: &str, agents: &[&str]) -> Vec<usize> {
    let ids = agents.iter().filter_map(|id| AgentId::new(id));
    let hashes: Vec<_> = ids.map(|id| MemberHash::of(&id)).collect();
    ranked(&hashes, KeyHash::of(key))
}
