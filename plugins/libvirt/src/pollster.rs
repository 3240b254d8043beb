//! Measures the instances of this host.

use std::sync::Arc;

use async_trait::async_trait;
use nephoscope_model::Resource;
use nephoscope_plugin::{Failure, FailureKind, PollRun, Pollster};

use crate::family::Family;
use crate::hypervisor::{self, Snapshot, Trouble};
use crate::instance::{Instance, Source};
use crate::measure::{Measure, Measured, Wanted};

/// The pollster of all meters: one call serves them together.
pub(crate) struct ComputePollster(pub(crate) Arc<Family>);

#[async_trait]
impl Pollster for ComputePollster {
    async fn poll(&self, run: &mut PollRun) -> Result<(), Failure> {
        let wanted = Wanted::of(&self.0.options, |meter| run.wants(meter));
        let mut ended = Ok(());
        while let Some(page) = run.next_page().await {
            let context = run.context().clone();
            let snapshot = tokio::select! {
                biased;
                () = context.cancellation.cancelled() => return Ok(()),
                snapshot = self.0.hypervisor.of_cycle(&context.cache, wanted.groups, context.deadline) => snapshot,
            };
            let snapshot = snapshot.as_ref().as_ref();
            let measure = Measure {
                wanted: &wanted,
                options: &self.0.options,
                history: &self.0.history,
                cycle: &context.cycle,
                at: snapshot.map_or_else(|_| hypervisor::monotonic_seconds(), |snapshot| snapshot.at),
            };
            for resource in page.iter() {
                report(run, resource, snapshot, &measure).await?;
            }
            // What Nova tells is sampled in any case.
            if let Err(trouble) = snapshot {
                ended = Err(trouble.into());
            }
        }
        ended
    }
}

async fn report(
    run: &mut PollRun,
    resource: &Resource,
    snapshot: Result<&Snapshot, &Trouble>,
    measure: &Measure<'_>,
) -> Result<(), Failure> {
    let Some(instance) = resource.body::<Instance>() else {
        run.fail(resource, Failure::not_supported("it is no instance of this host"));
        return Ok(());
    };
    let server = match &instance.server {
        Ok(server) => server,
        Err(problem) => {
            run.fail(resource, Failure::new(FailureKind::Transient, problem.as_str()));
            return Ok(());
        }
    };
    let domain = snapshot
        .ok()
        .and_then(|snapshot| snapshot.find(&instance.identity));
    let definition = domain.and_then(|domain| domain.definition.as_deref());
    let measured = match (domain, definition, instance.source) {
        (Some(domain), Some(Ok(definition)), _) => measure.instance(server, &domain.stats, definition),
        (_, _, Source::Nova) => measure.without_domain(server),
        (_, _, Source::Domain) => Measured::default(),
    };
    if domain.is_none() && measured.samples.is_empty() {
        // That libvirt has nothing to say ends the run.
        if snapshot.is_ok() {
            run.fail(resource, Failure::not_supported("its domain is not there"));
        }
        return Ok(());
    }
    let mut report = run.report(resource);
    for (meter, subject, volume) in &measured.samples {
        report.add_at(meter, subject, *volume, measure.at);
    }
    report.send().await?;
    if measured.is_locked {
        // The samples count; what is missing is said of a part of the instance.
        let part = Resource::new(format!("{}.qemu", resource.key()));
        let message =
            "locked: its QEMU does not answer, so what only QEMU knows of disks and memory is missing";
        run.fail(&part, Failure::transient(message));
    }
    Ok(())
}
