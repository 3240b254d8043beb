//! A pool of real agents on a real etcd, to which things are done.

use std::collections::BTreeSet;

use nephoscope_pool::protocol::AgentId;
use nephoscope_pool::protocol::ranking::{KeyHash, MemberHash, ranked};

use super::agent::Agent;
use super::clock;
use super::draw::Draw;
use super::fault::{Kind, Script, Step, name, scripts};
use super::report::{Incident, Report};
use super::setting::{Duty, METER, Setting};
use super::watcher::{Seen, Watcher};
use crate::oracle::{Fault, Files, Lease, Meter, Resource, Run, Schedule, Silence};
use crate::{Deadline, Etcd, PATIENCE, Weather};

/// How much later than the agents the watcher may see what happens in etcd, in seconds: all of it runs on one machine that
/// has other things to do.
const SLACK: f64 = 0.5;

/// How often programs are looked after while nothing happens in etcd.
const LOOK: std::time::Duration = std::time::Duration::from_millis(200);

/// A pool to which things are done.
#[derive(Debug)]
pub struct Scene {
    setting: Setting,
    etcd: Etcd,
    watcher: Watcher,
    /// The first ones are there from begin to end; those after them came in storms.
    agents: Vec<Agent>,
    incidents: Vec<Incident>,
    faults: Vec<Fault>,
    /// What agents did not say although they had to.
    unsaid: Vec<String>,
    /// When agents could not have had an answer of etcd.
    silences: Vec<Silence>,
}

impl Scene {
    /// Starts everything, and waits until all agents are in one plan.
    ///
    /// # Panics
    ///
    /// If they do not come together.
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
            unsaid: Vec::new(),
            silences: Vec::new(),
        };
        scene.agents.iter_mut().for_each(Agent::start);
        let gathered = scene.wait(Deadline::start(), |scene| scene.gathered());
        assert!(gathered.is_some(), "no plan with all agents\n{}", scene.logs());
        scene
    }

    /// The boot clock, in seconds.
    #[must_use]
    pub fn now(&self) -> f64 {
        clock::now()
    }

    /// Lets the pool do its work for so many seconds.
    pub fn rest(&mut self, seconds: f64) {
        self.wait_until(clock::now() + seconds);
    }

    /// Lets the pool do its work until so many seconds after the next edge.
    pub fn after_an_edge(&mut self, seconds: f64) {
        let interval = f64::from(self.setting.interval);
        let epoch = clock::epoch();
        let next = ((clock::now() - epoch) / interval).ceil() * interval;
        self.wait_until(epoch + next + seconds);
    }

    /// Does something to the pool, and waits until all agents are back in it.
    pub fn suffer(&mut self, kind: Kind, draw: &mut Draw) -> &Incident {
        let ranking = self.ranking(draw);
        let scripts = scripts(kind, &self.setting, &ranking, draw);
        for agent in &mut self.agents {
            agent.left_out = agent.says_left_out();
        }
        let from = clock::now();
        let spans = self.play(&scripts);
        let end = clock::now();
        // Members again within a cycle, and in the plan of the next edge; the last of what they had to do alone ends after that.
        let patience = std::time::Duration::from_secs_f64(2.0 * self.setting.patience() + 2.0);
        let joined = self.wait(Deadline::after(PATIENCE), |scene| scene.joined());
        let listed = self.wait(Deadline::after(PATIENCE), |scene| scene.gathered());
        let ready = self.wait(Deadline::after(patience), |scene| scene.ready());
        if ready.is_none() {
            self.unsaid.push(format!(
                "{kind}: not every agent says that it is ready: {}",
                self.readiness()
            ));
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

    /// Waits until all that was done can be judged, stops everything, and says what came of it.
    ///
    /// # Panics
    ///
    /// If an agent does not stop as it should.
    #[must_use]
    pub fn end(mut self) -> Report {
        let lease = f64::from(self.setting.lease);
        // The cycle that a fault strikes and the one after it, and the time in which they can be taken over.
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
        let mut strange = Vec::new();
        for agent in &self.agents {
            let mut samples = agent.samples();
            samples.retain(|sample| sample.meter() == METER);
            let (known, unknown) = files.read(&agent.id, samples);
            written.extend(known);
            strange.extend(unknown);
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
            // No agent is excused: with polls that end in time, each cycle has somebody to poll it.
            skipped: Vec::new(),
            counted: Vec::new(),
            faults: self.faults,
            silences: self.silences,
        };
        let mut complaints = self.unsaid;
        complaints.extend(late(&run));
        Report::new(self.setting, run, strange, self.incidents, complaints, log)
    }

    /// Plays scripts at the same time; tells when the first step of each began, and the last one was over.
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
                // The next one is not stopped before this one is back.
                self.expect("a restarted agent is a member", |scene| {
                    let agent = &scene.agents[*agent];
                    scene.watcher.look(|seen| is_member(agent, seen))
                });
            }
            Step::Reload(agent, duty) => self.reload(*agent, *duty),
            Step::Impostor(agent) => self.impostor(*agent),
            Step::Weather(agent, weather) => self.weather(*agent, *weather),
            Step::Storm(count) => {
                let came = self.agents.len();
                for number in 0..*count {
                    let id = format!("guest-{}", came + number);
                    self.agents.push(Agent::direct(id, &self.setting, &self.etcd));
                }
                self.agents[came..].iter_mut().for_each(Agent::start);
                let all = self.setting.agents + count;
                self.expect("a plan with all that came", |scene| {
                    scene
                        .watcher
                        .look(|seen| seen.plans.last().is_some_and(|plan| plan.members.len() == all))
                });
            }
            Step::Calm => {
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
            Step::Complain(agents) => self.complaints(agents),
        }
    }

    /// Notes which membership of an agent is about to end.
    fn remember(&mut self, agent: usize) {
        let agent = &mut self.agents[agent];
        let standing = self.watcher.look(|seen| seen.members.get(&agent.id).cloned());
        // One that is killed before it is a member again leaves what was noted before.
        if let Some(standing) = standing {
            agent.former = Some(standing.incarnation);
        }
    }

    fn weather(&mut self, number: usize, weather: Weather) {
        let agent = &self.agents[number];
        // Before it is fair again, and after it is not any more.
        let of_agent =
            |silence: &&mut Silence| silence.agent == agent.id && silence.to == Some(f64::INFINITY);
        if let Some(silence) = self.silences.iter_mut().find(of_agent) {
            silence.to = Some(clock::now());
        }
        agent.weather(weather);
        // Answers need not come under `continue`: the agent may go on without.
        if self.setting.pauses && matches!(weather, Weather::Cut | Weather::HalfOpen) {
            self.falls_silent(number, Some(f64::INFINITY));
        }
    }

    /// Notes that an agent cannot have an answer of etcd from now on.
    fn falls_silent(&mut self, agent: usize, to: Option<f64>) {
        self.silences.push(Silence {
            agent: self.agents[agent].id.clone(),
            from: clock::now(),
            to,
        });
    }

    fn reload(&mut self, agent: usize, duty: Duty) {
        self.agents[agent].reload(&self.setting, duty);
        let id = self.agents[agent].id.clone();
        let carries_side = self.setting.side > 0 && duty != Duty::Other;
        self.expect("an agent's key says what it carries now", |scene| {
            scene.watcher.look(|seen| {
                let standing = seen.members.get(&id);
                let side = |units: &BTreeSet<String>| scene.setting.side_unit(units.iter()).is_some();
                standing.is_some_and(|standing| side(&standing.units) == carries_side)
            })
        });
    }

    /// A second process with an agent's id must go, and say why.
    fn impostor(&mut self, agent: usize) {
        let id = &self.agents[agent].id;
        let mut impostor = Agent::direct(id.clone(), &self.setting, &self.etcd);
        let refused = impostor.refused();
        if !refused.contains("in use by an agent on host") {
            self.unsaid.push(format!(
                "a second {id} did not say that the id is in use:\n{refused}"
            ));
        }
        let samples = impostor.samples().len();
        if samples > 0 {
            self.unsaid.push(format!("a second {id} wrote {samples} samples"));
        }
    }

    /// Each of these agents must show that it does not reach etcd: in readiness, in the metrics, and with one ERROR.
    fn complaints(&mut self, agents: &[usize]) {
        for agent in agents {
            let agent = &mut self.agents[*agent];
            agent.drain();
            let errors = agent.says_left_out() - agent.left_out;
            if errors != 1 {
                self.unsaid.push(format!(
                    "{} was out of the pool for a whole cycle, and said so {errors} times",
                    agent.id
                ));
            }
            let Some(program) = agent.answering() else {
                continue;
            };
            let reasons = program.get("/readyz").json()["reasons"].to_string();
            let metrics = program.get("/metrics");
            let trouble = metrics.metric("nephoscope_etcd_unhealthy_seconds", &[]);
            if reasons == "[]" || trouble == 0.0 {
                self.unsaid.push(format!(
                    "{} does not reach etcd, and says {reasons}, with {trouble} s of trouble",
                    agent.id
                ));
            }
        }
    }

    /// Whether each agent is a member; since when.
    fn joined(&self) -> Option<f64> {
        let agents = &self.agents[..self.setting.agents];
        self.watcher.look(|seen| {
            if !agents.iter().all(|agent| is_member(agent, seen)) {
                return None;
            }
            seen.joined.iter().map(|joined| joined.at).max_by(f64::total_cmp)
        })
    }

    /// Whether the newest plan lists all agents, as they are there now, and nobody else; since when.
    fn gathered(&self) -> Option<f64> {
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

    /// Whether each agent says that it is ready and that nothing is wrong.
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

    /// The agents in the order in which they own a drawn resource, by the newest plan.
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

    /// Waits until something is found; nothing if the time is up.
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

/// Samples that were handed over although they were polled after the deadline of a lease that cannot have been renewed. The oracle,
/// which knows only when keys went, sees later ones.
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

/// Whether the key of the agent's present process stands.
fn is_member(agent: &Agent, seen: &Seen) -> bool {
    let standing = seen.members.get(&agent.id);
    standing.is_some_and(|standing| !standing.leaving && Some(&standing.incarnation) != agent.former.as_ref())
}

/// The places of agents in the order in which they own a resource; they must stand in the order of their ids, as in plans.
pub(super) fn order(key: &str, agents: &[&str]) -> Vec<usize> {
    let ids = agents.iter().filter_map(|id| AgentId::new(id));
    let hashes: Vec<_> = ids.map(|id| MemberHash::of(&id)).collect();
    ranked(&hashes, KeyHash::of(key))
}
