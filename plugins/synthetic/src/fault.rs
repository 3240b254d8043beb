//! Injected faults of services and plugins.

use std::sync::Arc;
use std::time::Duration;

use nephoscope_model::{Resource, Subject};
use nephoscope_plugin::{BlockingPool, Failure, PollRun};

/// The number of samples of a flood.
const FLOOD: usize = 1_000_000;

/// A meter that no pollster declares.
const UNDECLARED: &str = "synthetic.undeclared";

/// An injected fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Transient,
    Unreachable,
    Permanent,
    NotSupported,
    Error,
    Hang,
    Panic,
    BlockCall,
    BlockWorker,
    UndeclaredMeter,
    NotANumber,
    Flood,
}

impl Fault {
    pub(crate) const ALL: [Self; 12] = [
        Self::Transient,
        Self::Unreachable,
        Self::Permanent,
        Self::NotSupported,
        Self::Error,
        Self::Hang,
        Self::Panic,
        Self::BlockCall,
        Self::BlockWorker,
        Self::UndeclaredMeter,
        Self::NotANumber,
        Self::Flood,
    ];

    /// The name in options, and as a resource of `synthetic.faulty`.
    pub(crate) fn option(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Unreachable => "unreachable",
            Self::Permanent => "permanent",
            Self::NotSupported => "not_supported",
            Self::Error => "error",
            Self::Hang => "hang",
            Self::Panic => "panic",
            Self::BlockCall => "block_call",
            Self::BlockWorker => "block_worker",
            Self::UndeclaredMeter => "undeclared_meter",
            Self::NotANumber => "not_a_number",
            Self::Flood => "flood",
        }
    }
}

/// Injects faults into a poll.
#[derive(Clone)]
pub(crate) struct FaultInjector {
    pub(crate) blocking: BlockingPool,
    pub(crate) block_for: Duration,
}

impl FaultInjector {
    /// Injects a fault into the poll of `resource`; `meter` is one that the pollster declares.
    ///
    /// # Errors
    ///
    /// The fault ends the poll.
    pub(crate) async fn inject(
        &self,
        fault: Fault,
        run: &mut PollRun,
        resource: &Resource,
        meter: &str,
    ) -> Result<(), Failure> {
        let message = || format!("injected fault `{}`", fault.option());
        match fault {
            Fault::Transient => run.fail(resource, Failure::transient(message())),
            Fault::Unreachable => run.fail(resource, Failure::unreachable(message())),
            Fault::Permanent => run.fail(resource, Failure::permanent(message())),
            Fault::NotSupported => run.fail(resource, Failure::not_supported(message())),
            Fault::Error => return Err(Failure::transient(message())),
            Fault::Hang => std::future::pending().await,
            Fault::Panic => panic_with(&message()),
            Fault::BlockCall => self.block_call(run, resource, meter).await?,
            Fault::BlockWorker => {
                sleep(self.block_for);
                self.report(run, resource, meter, |_, _| {}).await?;
            }
            Fault::UndeclaredMeter => {
                self.report(run, resource, meter, |report, subject| {
                    report.add(UNDECLARED, subject, 1_u64)
                })
                .await?;
            }
            Fault::NotANumber => {
                self.report(run, resource, meter, |report, subject| {
                    report.add(meter, subject, f64::NAN)
                })
                .await?;
            }
            Fault::Flood => {
                self.report(run, resource, meter, |report, subject| {
                    for _ in 1..FLOOD {
                        report.add(meter, subject, 1_u64);
                    }
                })
                .await?;
            }
        }
        Ok(())
    }

    async fn block_call(&self, run: &mut PollRun, resource: &Resource, meter: &str) -> Result<(), Failure> {
        let time = self.block_for;
        let deadline = run.context().deadline;
        let called = self
            .blocking
            .call("synthetic.block", deadline, move || sleep(time))
            .await;
        match called {
            Ok(()) => self.report(run, resource, meter, |_, _| {}).await,
            Err(error) => {
                run.fail(
                    resource,
                    Failure::transient("the blocking call did not complete").caused_by(error),
                );
                Ok(())
            }
        }
    }

    /// Reports a valid sample, and what `add` adds.
    async fn report(
        &self,
        run: &mut PollRun,
        resource: &Resource,
        meter: &str,
        add: impl FnOnce(&mut nephoscope_plugin::Report<'_>, &Arc<Subject>) + Send,
    ) -> Result<(), Failure> {
        let subject = Subject::new(resource.key().clone()).shared();
        let mut report = run.report(resource);
        report.add(meter, &subject, 1_u64);
        add(&mut report, &subject);
        Ok(report.send().await?)
    }
}

/// Blocks the thread.
#[allow(clippy::disallowed_methods, reason = "the fault blocks the thread")]
pub(crate) fn sleep(time: Duration) {
    std::thread::sleep(time);
}

/// Panics.
#[allow(clippy::panic, reason = "the fault is a panic")]
pub(crate) fn panic_with(message: &str) -> ! {
    panic!("{message}")
}
