//! The pollster of this host's instances.

use std::sync::Arc;

use async_trait::async_trait;
use nephoscope_model::Resource;
use nephoscope_plugin::{Failure, FailureKind, PollRun, Pollster};

use crate::family::Family;
use crate::hypervisor::{self, SnapshotError};
use crate::instance::{Instance, Source};
use crate::measure::{Measure, Measured, Wanted};
use crate::snapshot::Snapshot;

/// The pollster of all meters, which share one call.
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
            // Attributes from Nova are sampled without libvirt too.
            if let Err(error) = snapshot {
                ended = Err(error.into());
            }
        }
        ended
    }
}

async fn report(
    run: &mut PollRun,
    resource: &Resource,
    snapshot: Result<&Snapshot, &SnapshotError>,
    measure: &Measure<'_>,
) -> Result<(), Failure> {
    let Some(instance) = resource.body::<Instance>() else {
        run.fail(resource, Failure::not_supported("not an instance of this host"));
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
        // An unavailable libvirt ends the run.
        if snapshot.is_ok() {
            run.fail(
                resource,
                Failure::not_supported("the instance has no domain on this host"),
            );
        }
        return Ok(());
    }
    let mut report = run.report(resource);
    for (meter, subject, volume) in &measured.samples {
        report.add_at(meter, subject, *volume, measure.at);
    }
    report.send().await?;
    if measured.is_locked {
        // The samples are valid; the missing values are a failure of a part of the instance.
        let part = Resource::new(format!("{}.qemu", resource.key()));
        let message =
            "locked: the instance's QEMU does not respond, so values of disks and memory are missing";
        run.fail(&part, Failure::transient(message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use nephoscope_model::Batch;

    use crate::testing::lab::{Lab, instance};

    #[tokio::test]
    async fn messages_are_those_of_ceilometer() {
        // Recorded from ceilometer, except for the parts that differ per run: times, message id, signature.
        let recorded = [
            concat!(
                r#"{"source":"openstack","counter_name":"disk.device.write.latency","counter_type":"cumulative","#,
                r#""counter_unit":"ns","counter_volume":11,"user_id":"u-1","user_name":null,"project_id":"p-1","project_name":null,"#,
                r#""resource_id":"11111111-1111-1111-1111-111111111111-vda","timestamp":"#,
            ),
            concat!(
                r#","resource_metadata":{"display_name":"web-1","name":"instance-0000000a","#,
                r#""instance_id":"11111111-1111-1111-1111-111111111111","instance_type":"m1.small","#,
                r#""host":"8edaf32f904fe0a52747d82d81d30be6a00dbd088da37b45cc22dfac","instance_host":"cmp-a","#,
                r#""flavor":{"id":"fl-1","name":"m1.small","vcpus":2,"ram":2048,"disk":20,"ephemeral":5,"swap":0,"#,
                r#""extra_specs":{"hw:cpu_policy":"dedicated"}},"status":"active","state":"running","task_state":"","#,
                r#""image":{"id":"img-1"},"image_ref":"img-1","image_ref_url":null,"image_meta":{"base_image_ref":"img-1","#,
                r#""container_format":"bare","disk_format":"qcow2","min_disk":"1","min_ram":"0","os_distro":"debian"},"#,
                r#""architecture":"x86_64","os_type":"hvm","vcpus":2,"memory_mb":2048,"disk_gb":20,"ephemeral_gb":5,"#,
                r#""root_gb":15,"disk_name":"vda"},"message_id":"#,
            ),
            r#","monotonic_time":"#,
            r#","message_signature":"#,
        ];
        let polled = Lab::new([instance()]).cycle(2).await;
        let batch = Batch::new(polled.samples, "openstack".into());
        let messages = String::from_utf8_lossy(batch.encoded(&nephoscope_model::JsonLines).unwrap());
        let is_recorded = |message: &&str| {
            let mut rest = *message;
            recorded.iter().enumerate().all(|(place, part)| {
                let found = rest.find(part).filter(|at| place > 0 || *at == 0);
                found.is_some_and(|at| {
                    rest = &rest[at + part.len()..];
                    true
                })
            })
        };
        assert_eq!(messages.lines().filter(is_recorded).count(), 1, "{messages}");
    }
}
