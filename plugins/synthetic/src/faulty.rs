//! A pollster and a discovery that inject faults by name.

use std::sync::Arc;

use async_trait::async_trait;
use nephoscope_model::{MeterDef, Resource, Subject};
use nephoscope_plugin::{
    Discovery, DiscoveryPlugin, DiscoveryRun, Failure, PartitionMode, PollRun, Pollster, PollsterPlugin,
    Registration, Scope, register,
};

use crate::fault::{Fault, FaultInjector, panic_with, sleep};
use crate::options::Options;

const FAULTY: MeterDef = MeterDef::gauge("synthetic.faulty", "fault", "1 for each resource that was polled");

/// The resource and the discovery parameter without a fault.
const NONE: &str = "none";

/// The number of resources per page of an endless discovery.
const PAGE: u64 = 500;

register!(Registration::Pollster(
    PollsterPlugin::new("synthetic.faulty", "synthetic", |context| {
        let options = Options::read(context)?;
        Ok(Arc::new(FaultyPollster(FaultInjector {
            blocking: context.blocking().clone(),
            block_for: options.block_for.into(),
        })))
    })
    .namespaces(&["synthetic"])
    .description("Injects the fault that each resource names, for example with `resources: [hang]`")
    .meters(&[FAULTY])
));

struct FaultyPollster(FaultInjector);

#[async_trait]
impl Pollster for FaultyPollster {
    async fn poll(&self, run: &mut PollRun) -> Result<(), Failure> {
        while let Some(page) = run.next_page().await {
            for resource in page.iter() {
                // A suffix after a dot allows several resources with one fault: `transient.1`.
                let name = resource.key().split('.').next().unwrap_or_default();
                if name == NONE {
                    let subject = Subject::new(resource.key().clone()).shared();
                    let mut report = run.report(resource);
                    report.add(FAULTY.name, &subject, 1_u64);
                    report.send().await?;
                    continue;
                }
                match Fault::ALL.into_iter().find(|fault| fault.option() == name) {
                    Some(fault) => self.0.inject(fault, run, resource, FAULTY.name).await?,
                    None => run.fail(
                        resource,
                        Failure::not_supported(format!(
                            "unknown fault `{name}`; expected one of: {}",
                            names()
                        )),
                    ),
                }
            }
        }
        Ok(())
    }
}

fn names() -> String {
    let mut names = NONE.to_owned();
    for fault in Fault::ALL {
        names.push_str(", ");
        names.push_str(fault.option());
    }
    names
}

register!(Registration::Discovery(
    DiscoveryPlugin::new("synthetic-faulty", "synthetic", |context| {
        let options = Options::read(context)?;
        Ok(Arc::new(FaultyDiscovery {
            block_for: options.block_for.into(),
        }))
    })
    .namespaces(&["synthetic"])
    .description(
        "Lists three resources, with the fault in the parameter: `synthetic-faulty://hang` \
         (`none`, `error`, `unreachable`, `hang`, `panic`, `block_worker`, `endless`, `duplicates`)"
    )
    .scope(Scope::Shared)
    .partition(PartitionMode::Resource)
));

struct FaultyDiscovery {
    block_for: std::time::Duration,
}

#[async_trait]
impl Discovery for FaultyDiscovery {
    /// Sends three resources before the fault: they remain listed.
    async fn discover(&self, run: &mut DiscoveryRun) -> Result<(), Failure> {
        let fault = run.parameter().unwrap_or_default().to_owned();
        let three = || {
            (0..3)
                .map(|index| Resource::new(format!("none.{index}")))
                .collect()
        };
        let message = || format!("injected fault `{fault}`");
        run.send(three()).await?;
        match fault.as_str() {
            NONE => Ok(()),
            "error" => Err(Failure::transient(message())),
            "unreachable" => Err(Failure::unreachable(message())),
            "hang" => std::future::pending().await,
            "panic" => panic_with(&message()),
            "block_worker" => {
                sleep(self.block_for);
                Ok(())
            }
            "duplicates" => Ok(run.send(three()).await?),
            "endless" => {
                let mut first = 0_u64;
                loop {
                    let page =
                        (first..first + PAGE).map(|index| Resource::new(format!("none.endless-{index}")));
                    run.send(page.collect()).await?;
                    first += PAGE;
                }
            }
            _ => Err(Failure::permanent(format!(
                "unknown fault `{fault}` of a discovery; expected one of: none, error, unreachable, hang, panic, \
                 block_worker, endless, duplicates"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nephoscope_plugin::testing::{Kit, Outcome};
    use serde_json::json;
    use std::time::Duration;

    /// Polls a healthy resource, the fault, and another healthy resource.
    async fn poll(fault: &str) -> Outcome {
        let kit = Kit::new("synthetic").options(json!({ "block_for": "1ms" }));
        let setup = kit
            .pollster("synthetic.faulty")
            .resources(["none.before", fault, "none.after"]);
        setup.deadline(Duration::from_secs(60)).poll().await
    }

    #[tokio::test(start_paused = true)]
    async fn each_fault_has_its_effect() {
        let mut text = String::new();
        for fault in Fault::ALL
            .into_iter()
            .filter(|fault| ![Fault::Flood, Fault::BlockCall].contains(fault))
        {
            let outcome = poll(fault.option()).await;
            text.push_str(&format!(
                "# {}\n{}{}",
                fault.option(),
                outcome.text(),
                outcome.problems()
            ));
        }
        insta::assert_snapshot!(text);
    }

    #[tokio::test]
    async fn a_blocking_call_is_awaited() {
        let outcome = poll("block_call").await;
        outcome.assert_clean();
        assert_eq!(outcome.samples.len(), 3);
    }

    #[tokio::test]
    async fn a_blocking_call_beyond_the_deadline_fails_its_resource() {
        let kit = Kit::new("synthetic").options(json!({ "block_for": "2s" }));
        let setup = kit
            .pollster("synthetic.faulty")
            .resources(["none.before", "block_call"]);
        let outcome = setup.deadline(Duration::from_millis(10)).poll().await;
        assert_eq!(outcome.reported, ["none.before"]);
        assert!(
            outcome.error.is_some() || !outcome.failures.is_empty(),
            "{}",
            outcome.problems()
        );
    }

    #[tokio::test]
    async fn a_flood_is_a_million_samples() {
        let outcome = poll("flood").await;
        outcome.assert_clean();
        assert_eq!(outcome.samples.len(), 1_000_002);
    }

    #[tokio::test]
    async fn an_unknown_fault_is_rejected() {
        let outcome = poll("nonsense").await;
        insta::assert_snapshot!(outcome.problems(), @r"
        nonsense: not_supported: unknown fault `nonsense`; expected one of: none, transient, unreachable, permanent, not_supported, error, hang, panic, block_call, block_worker, undeclared_meter, not_a_number, flood
        ");
    }

    #[tokio::test(start_paused = true)]
    async fn each_discovery_fault_has_its_effect() {
        let mut text = String::new();
        for fault in [
            "none",
            "error",
            "unreachable",
            "hang",
            "panic",
            "block_worker",
            "duplicates",
            "endless",
            "nonsense",
        ] {
            let kit = Kit::new("synthetic").options(json!({ "block_for": "1ms" }));
            let url = format!("synthetic-faulty://{fault}");
            let listing = kit.discovery(&url).limit(2000).list().await;
            text.push_str(&match listing {
                Ok(resources) => format!("{fault}: {} resources\n", resources.len()),
                Err(failure) => format!("{fault}: {}: {}\n", failure.kind(), failure.chain()),
            });
        }
        insta::assert_snapshot!(text);
    }
}
