//! The benchmarks by name, and how each is run in a process of its own.

use std::process::{Command, Stdio};

use crate::figure::Figure;
use crate::trouble::{During, Trouble};
use crate::{
    agreement, blocked, central, compute, drain, encoding, hang, lateness, memory, ownership, program,
    rabbitmq, scale, scheduler, spool, throughput, traffic,
};

/// How much time figures may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    /// Medians of several runs.
    Full,
    /// Good enough to see a change while working on it.
    Quick,
}

impl Effort {
    /// One of two numbers.
    pub(crate) fn of<T>(self, full: T, quick: T) -> T {
        match self {
            Self::Full => full,
            Self::Quick => quick,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bench {
    Memory,
    Connected,
    Start,
    Throughput,
    Encoding,
    Rabbitmq,
    Spool,
    Drain,
    Scale,
    Scheduler,
    Lateness,
    Hang,
    Blocked,
    Compute,
    Central,
    Ownership,
    Agreement,
    Traffic,
}

impl Bench {
    pub(crate) const ALL: [Self; 18] = [
        Self::Memory,
        Self::Connected,
        Self::Start,
        Self::Throughput,
        Self::Encoding,
        Self::Rabbitmq,
        Self::Spool,
        Self::Drain,
        Self::Scale,
        Self::Scheduler,
        Self::Lateness,
        Self::Hang,
        Self::Blocked,
        Self::Compute,
        Self::Central,
        Self::Ownership,
        Self::Agreement,
        Self::Traffic,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Connected => "connected",
            Self::Start => "start",
            Self::Throughput => "throughput",
            Self::Encoding => "encoding",
            Self::Rabbitmq => "rabbitmq",
            Self::Spool => "spool",
            Self::Drain => "drain",
            Self::Scale => "scale",
            Self::Scheduler => "scheduler",
            Self::Lateness => "lateness",
            Self::Hang => "hang",
            Self::Blocked => "blocked",
            Self::Compute => "compute",
            Self::Central => "central",
            Self::Ownership => "ownership",
            Self::Agreement => "agreement",
            Self::Traffic => "traffic",
        }
    }

    pub(crate) fn about(self) -> &'static str {
        match self {
            Self::Memory => "memory of the idle program, beside collectd and node_exporter",
            Self::Connected => "its memory with a connection to RabbitMQ",
            Self::Start => "from starting the program to its first sample",
            Self::Throughput => "samples through the engine",
            Self::Encoding => "samples to the bytes of notifications",
            Self::Rabbitmq => "confirmed batches to a RabbitMQ of its own, and peers",
            Self::Spool => "batches into the queue on disk, and a backlog at the start",
            Self::Drain => "a spool that is emptied into RabbitMQ",
            Self::Scale => "time and memory of a million resources",
            Self::Scheduler => "what the scheduler itself costs",
            Self::Lateness => "how late cycles start",
            Self::Hang => "how late cycles start beside polls that hang",
            Self::Blocked => "what a publisher that is blocked costs the cycles and the others",
            Self::Compute => "100 instances, beside collectd",
            Self::Central => "a simulated cloud that ten agents share, beside what ceilometer asks of it",
            Self::Ownership => "who owns what: time, balance, what moves, beside tooz's ring",
            Self::Agreement => "how soon a plan is known to all, on an etcd of its own",
            Self::Traffic => "what a pool costs etcd",
        }
    }

    /// Runs it in this process.
    pub(crate) fn run(self, effort: Effort) -> Result<Vec<Figure>, Trouble> {
        match self {
            Self::Memory => memory::idle(effort),
            Self::Connected => memory::connected(effort),
            Self::Start => program::start(effort),
            Self::Throughput => throughput::run(effort),
            Self::Encoding => encoding::run(effort),
            Self::Rabbitmq => rabbitmq::run(effort),
            Self::Spool => spool::run(effort),
            Self::Drain => drain::run(effort),
            Self::Scale => scale::run(effort),
            Self::Scheduler => scheduler::run(effort),
            Self::Lateness => lateness::run(effort),
            Self::Hang => hang::run(effort),
            Self::Blocked => blocked::run(effort),
            Self::Compute => compute::run(effort),
            Self::Central => central::run(effort),
            Self::Ownership => ownership::run(effort),
            Self::Agreement => agreement::run(effort),
            Self::Traffic => traffic::run(effort),
        }
    }

    /// Runs it in a process of its own.
    pub(crate) fn run_apart(self, effort: Effort) -> Result<Vec<Figure>, Trouble> {
        let this = std::env::current_exe().during("find this program")?;
        let mut command = Command::new(this);
        command.args(["--here", self.name()]).stderr(Stdio::inherit());
        if effort == Effort::Quick {
            command.arg("--quick");
        }
        let output = command.output().during("start the benchmark")?;
        if !output.status.success() {
            return Err(Trouble::new("the benchmark failed"));
        }
        Figure::read_all(&String::from_utf8_lossy(&output.stdout))
    }
}
