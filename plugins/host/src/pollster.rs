//! A pollster of one area of this machine.

use std::sync::Arc;

use async_trait::async_trait;
use nephoscope_model::MeterDef;
use nephoscope_plugin::{Failure, PollContext, PollRun, Pollster};

use crate::findings::Findings;
use crate::machine::Machine;

/// A part of the machine with its own meters and files.
#[async_trait]
pub(crate) trait Area: Send + Sync + 'static {
    /// The meters.
    const METERS: &'static [MeterDef];

    /// Measures the wanted meters of `machine`.
    async fn measure(&self, machine: &Machine, context: &PollContext, findings: &mut Findings<'_>);
}

/// The pollster of an area.
///
/// Each area is its own pollster, so that a hanging file system affects no other area.
pub(crate) struct HostPollster<A> {
    machine: Arc<Machine>,
    area: A,
}

impl<A> HostPollster<A> {
    pub(crate) fn new(machine: Arc<Machine>, area: A) -> Self {
        Self { machine, area }
    }
}

#[async_trait]
impl<A: Area> Pollster for HostPollster<A> {
    async fn poll(&self, run: &mut PollRun) -> Result<(), Failure> {
        while let Some(page) = run.next_page().await {
            for resource in page.iter() {
                if *resource.key() != self.machine.host {
                    let message = format!("not this host; only `{}` can be measured", self.machine.host);
                    run.fail(resource, Failure::not_supported(message));
                    continue;
                }
                let wanted = A::METERS.iter().map(|meter| meter.name);
                let wanted = wanted.filter(|meter| run.wants(meter)).collect();
                let mut findings = Findings::new(&self.machine, wanted);
                self.area
                    .measure(&self.machine, run.context(), &mut findings)
                    .await;
                findings.send(run, resource).await?;
            }
        }
        Ok(())
    }
}
