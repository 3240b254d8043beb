//! An agent of a scene: its folder, its proxies, and its process, if it runs.

use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::fault::name;
use super::setting::{Role, Setting};
use crate::{Etcd, Lab, Network, Program, Proxy, Sample, Signal, failpoints_path, samples_in};

/// The log message of an agent, once, after it was out of the pool for a whole cycle.
const LEFT_OUT: &str = "not a member of the pool for a whole cycle";

/// The variable that disables a rule in a program with the feature `model` of `nephoscope-pool`.
const RULE_VARIABLE: &str = "NEPHOSCOPE_WITHOUT_RULE";

/// An agent.
#[derive(Debug)]
pub(super) struct Agent {
    /// `agent.id`.
    pub id: String,
    lab: Lab,
    /// One per node of etcd; none for agents whose network has no faults.
    proxies: Vec<Proxy>,
    endpoints: Vec<String>,
    prefix: String,
    /// A disabled safety rule.
    without: Option<&'static str>,
    program: Option<Program>,
    frozen: bool,
    stopping: bool,
    /// The membership of its last process: its key may remain for a while after the process.
    pub former: Option<String>,
    /// The number of errors about being out of the pool when a fault started.
    pub left_out: usize,
    /// The log of earlier processes.
    past: String,
}

impl Agent {
    /// Creates an agent whose network can fail.
    pub(super) fn behind_proxies(number: usize, setting: &Setting, etcd: &Etcd) -> Self {
        let proxies: Vec<_> = etcd
            .nodes
            .iter()
            .map(|node| Proxy::without_record(node.port))
            .collect();
        let endpoints = proxies.iter().map(|proxy| etcd.url(proxy.port)).collect();
        Self::new(name(number), setting, endpoints, etcd.prefix(), proxies)
    }

    /// Creates an agent that always reaches etcd.
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
        let lab = Lab::with(&setting.config(&id, &endpoints, &prefix, Role::Usual));
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

    /// Starts it if it does not run.
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

    /// Starts it with the expectation that it ends by itself, waits for that, and returns its log.
    pub(super) fn refused(&mut self) -> String {
        self.lab.nephoscope(&["run"]).finish().expect(3).stderr
    }

    /// Sends SIGTERM.
    pub(super) fn terminate(&mut self) {
        // A second signal would end it without waiting for unfinished work.
        if let Some(program) = self.program.as_ref().filter(|_| !self.stopping) {
            program.signal(Signal::TERM);
            self.stopping = true;
        }
    }

    /// Stops it and waits until it ends.
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

    /// Replaces its configuration.
    pub(super) fn reload(&self, setting: &Setting, role: Role) {
        let config = setting.config(&self.id, &self.endpoints, &self.prefix, role);
        self.lab.replace("polling.yaml", &config);
        if let Some(program) = &self.program {
            program.signal(Signal::HUP);
        }
    }

    /// Changes its network to etcd.
    pub(super) fn network(&self, network: Network) {
        self.proxies.iter().for_each(|proxy| proxy.set(network));
    }

    /// Reads its log, so that it never blocks; asserts that it has not ended by itself.
    pub(super) fn drain(&mut self) {
        if let Some(program) = &mut self.program {
            program.let_run(Duration::ZERO);
            assert!(
                program.is_alive(),
                "{} ended by itself:\n{}",
                self.id,
                program.stderr()
            );
        }
    }

    /// Returns the process if it can answer.
    pub(super) fn answering(&self) -> Option<&Program> {
        let program = self.program.as_ref().filter(|_| !self.frozen)?;
        // A killed process leaves its socket, on which no process answers until the next one listens.
        UnixStream::connect(program.admin()).is_ok().then_some(program)
    }

    /// Returns the number of errors about being out of the pool.
    pub(super) fn left_out_errors(&self) -> usize {
        let log = self.log();
        let lines = log.lines().filter(|line| line.contains(LEFT_OUT));
        lines.filter(|line| line.contains("ERROR")).count()
    }

    /// Returns the log of all its processes.
    pub(super) fn log(&self) -> String {
        let present = self.program.as_ref().map(Program::stderr).unwrap_or_default();
        self.past.clone() + &present
    }

    /// Returns the samples of all its processes.
    pub(super) fn samples(&self) -> Vec<Sample> {
        samples_in(&self.lab.path("samples"))
    }
}
