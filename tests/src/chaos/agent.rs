//! An agent of a scene: its folder, its networks, and the process while there is one.

use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::fault::name;
use super::setting::{Duty, Setting};
use crate::{Etcd, Lab, Program, Proxy, Sample, Signal, Weather, failpoints_path, samples_in};

/// What an agent logs, once, when it was out of the pool for a whole cycle.
const LEFT_OUT: &str = "not a member of the pool for a whole cycle";

/// The variable that takes a rule out of a program with the feature `model` of `nephoscope-pool`.
const RULE_VARIABLE: &str = "NEPHOSCOPE_WITHOUT_RULE";

/// An agent.
#[derive(Debug)]
pub(super) struct Agent {
    /// `agent.id`.
    pub id: String,
    lab: Lab,
    /// One for each node of etcd; none for agents to whose network nothing is done.
    proxies: Vec<Proxy>,
    endpoints: Vec<String>,
    prefix: String,
    /// A safety rule that does not hold for it.
    without: Option<&'static str>,
    program: Option<Program>,
    frozen: bool,
    stopping: bool,
    /// The membership of its last process: its key may stand for a while when that is gone.
    pub former: Option<String>,
    /// How often it had said that it was out of the pool when a fault began.
    pub left_out: usize,
    /// What former processes have logged.
    past: String,
}

impl Agent {
    /// One whose network can be bad.
    pub(super) fn behind_proxies(number: usize, setting: &Setting, etcd: &Etcd) -> Self {
        let proxies: Vec<_> = etcd
            .nodes
            .iter()
            .map(|node| Proxy::forgetful(node.port))
            .collect();
        let endpoints = proxies.iter().map(|proxy| etcd.url(proxy.port)).collect();
        Self::new(name(number), setting, endpoints, etcd.prefix(), proxies)
    }

    /// One that reaches etcd at all times.
    pub(super) fn direct(id: String, setting: &Setting, etcd: &Etcd) -> Self {
        Self::new(id, setting, etcd.endpoints(), etcd.prefix(), Vec::new())
    }

    fn new(
        id: String,
        setting: &Setting,
        endpoints: Vec<String>,
        prefix: String,
        proxies: Vec<Proxy>,
    ) -> Self {
        let lab = Lab::with(&setting.config(&id, &endpoints, &prefix, Duty::Usual));
        Self {
            id,
            lab,
            proxies,
            endpoints,
            prefix,
            without: setting.without,
            program: None,
            frozen: false,
            stopping: false,
            former: None,
            left_out: 0,
            past: String::new(),
        }
    }

    /// Starts it, if it does not run.
    pub(super) fn start(&mut self) {
        if self.program.is_none() {
            let launch = self.lab.nephoscope(&["run"]);
            let launch = match self.without {
                Some(rule) => launch.copy_at(failpoints_path()).env(RULE_VARIABLE, rule),
                None => launch,
            };
            self.program = Some(launch.start());
        }
    }

    /// Kills it.
    pub(super) fn kill(&mut self) {
        if let Some(program) = self.program.take() {
            self.past += &program.kill().stderr;
            self.frozen = false;
        }
    }

    /// Starts it where it is expected to end by itself, and waits until it has; what it has logged.
    pub(super) fn refused(&mut self) -> String {
        self.lab.nephoscope(&["run"]).finish().expect(3).stderr
    }

    /// Asks it to stop.
    pub(super) fn terminate(&mut self) {
        // A second signal would not wait for what it has to finish.
        if let Some(program) = self.program.as_ref().filter(|_| !self.stopping) {
            program.signal(Signal::TERM);
            self.stopping = true;
        }
    }

    /// Asks it to stop, and waits until it has.
    pub(super) fn stop(&mut self) {
        self.terminate();
        if let Some(program) = self.program.take() {
            let finished = program.finish();
            self.stopping = false;
            assert_eq!(finished.code(), 0, "{}: {finished}", self.id);
            self.past += &finished.stderr;
        }
    }

    pub(super) fn freeze(&mut self) {
        if let Some(program) = &self.program {
            program.signal(Signal::STOP);
            self.frozen = true;
        }
    }

    pub(super) fn thaw(&mut self) {
        if let Some(program) = &self.program {
            program.signal(Signal::CONT);
            self.frozen = false;
        }
    }

    /// Gives it another configuration.
    pub(super) fn reload(&self, setting: &Setting, duty: Duty) {
        let config = setting.config(&self.id, &self.endpoints, &self.prefix, duty);
        self.lab.replace("polling.yaml", &config);
        if let Some(program) = &self.program {
            program.signal(Signal::HUP);
        }
    }

    /// Changes the weather between it and etcd.
    pub(super) fn weather(&self, weather: Weather) {
        self.proxies.iter().for_each(|proxy| proxy.set(weather));
    }

    /// Takes in what it has logged, so that it never waits for us; it must not have ended by itself.
    pub(super) fn drain(&mut self) {
        if let Some(program) = &mut self.program {
            program.let_run(Duration::ZERO);
            assert!(
                program.is_alive(),
                "{} has ended by itself:\n{}",
                self.id,
                program.stderr()
            );
        }
    }

    /// The process, if it can answer.
    pub(super) fn answering(&self) -> Option<&Program> {
        let program = self.program.as_ref().filter(|_| !self.frozen)?;
        // A killed process leaves its socket, at which nobody answers until the next one listens.
        UnixStream::connect(program.admin()).is_ok().then_some(program)
    }

    /// How often it has said that it is out of the pool.
    pub(super) fn says_left_out(&self) -> usize {
        let log = self.log();
        let lines = log.lines().filter(|line| line.contains(LEFT_OUT));
        lines.filter(|line| line.contains("ERROR")).count()
    }

    /// What it has logged in all its lives.
    pub(super) fn log(&self) -> String {
        let present = self.program.as_ref().map(Program::stderr).unwrap_or_default();
        self.past.clone() + &present
    }

    /// What it has written in all its lives.
    pub(super) fn samples(&self) -> Vec<Sample> {
        samples_in(&self.lab.path("samples"))
    }
}
