//! The benchmarks by name. Each runs in a separate process.

use std::process::{Command, Stdio};

use crate::error::{BenchError, Context};
use crate::figure::Figure;
use crate::{
    agreement, blocked, central, compute, drain, encoding, hang, lateness, memory, ownership, program,
    rabbitmq, scale, scheduler, spool, throughput, traffic,
};

/// The time that a benchmark may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    /// Medians of several runs.
    Full,
    /// Enough to see a change during development.
    Quick,
}

impl Effort {
    /// Selects one of two numbers.
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
            Self::Memory => "memory of the idle program, compared with collectd and node_exporter",
            Self::Connected => "its memory with a connection to RabbitMQ",
            Self::Start => "from starting the program to its first sample",
            Self::Throughput => "samples through the engine",
            Self::Encoding => "samples to the bytes of notifications",
            Self::Rabbitmq => "confirmed batches to a RabbitMQ, compared with peers",
            Self::Spool => "batches into the queue on disk, and a backlog at the start",
            Self::Drain => "draining a spool into RabbitMQ",
            Self::Scale => "time and memory of a million resources",
            Self::Scheduler => "cost of the scheduler",
            Self::Lateness => "how late cycles start",
            Self::Hang => "how late cycles start next to hung polls",
            Self::Blocked => "effect of a blocked publisher on cycles and other publishers",
            Self::Compute => "100 instances, compared with collectd",
            Self::Central => "requests of ten agents to a simulated cloud, compared with ceilometer",
            Self::Ownership => "ownership: time, balance, moved keys, compared with tooz's ring",
            Self::Agreement => "time until all members know a plan",
            Self::Traffic => "load of a pool on etcd",
        }
    }

    /// Runs it in this process.
    pub(crate) fn run(self, effort: Effort) -> Result<Vec<Figure>, BenchError> {
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

    /// Runs it in a separate process.
    pub(crate) fn run_apart(self, effort: Effort) -> Result<Vec<Figure>, BenchError> {
        let this = std::env::current_exe().context("find this program")?;
        let mut command = Command::new(this);
        command.args(["--here", self.name()]).stderr(Stdio::inherit());
        if effort == Effort::Quick {
            command.arg("--quick");
        }
        let output = command.output().context("start the benchmark")?;
        if !output.status.success() {
            return Err(BenchError::new("the benchmark failed"));
        }
        Figure::read_all(&String::from_utf8_lossy(&output.stdout))
    }
}
