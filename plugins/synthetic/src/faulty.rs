//! A pollster whose resources are faults, and a discovery whose listings are.

use std::sync::Arc;

use async_trait::async_trait;
use nephoscope_model::{MeterDef, Resource, Subject};
use nephoscope_plugin::{
    Discovery, DiscoveryPlugin, DiscoveryRun, Failure, PartitionMode, PollRun, Pollster, PollsterPlugin,
    Registration, Scope, register,
};

use crate::fault::{Culprit, Fault, boom, sleep};
use crate::options::Options;

const FAULTY: MeterDef = MeterDef::gauge(
    "synthetic.faulty",
    "fault",
    "One for each resource that got so far",
);

/// The resource and the listing without a fault.
const NONE: &str = "none";

/// How many resources stand on a page of a listing without end.
const PAGE: u64 = 500;

register!(Registration::Pollster(
    PollsterPlugin::new("synthetic.faulty", "synthetic", |context| {
        let options = Options::read(context)?;
        Ok(Arc::new(FaultyPollster(Culprit {
            blocking: context.blocking().clone(),
            block_for: options.block_for.into(),
        })))
    })
    .namespaces(&["synthetic"])
    .description("Goes wrong as the name of each resource says, for example with `resources: [hang]`")
    .meters(&[FAULTY])
));

struct FaultyPollster(Culprit);

#[async_trait]
impl Pollster for FaultyPollster {
    async fn poll(&self, run: &mut PollRun) -> Result<(), Failure> {
        while let Some(page) = run.next_page().await {
            for resource in page.iter() {
                // What stands behind a dot makes several resources of one fault: `transient.1`.
                let name = resource.key().split('.').next().unwrap_or_default();
                if name == NONE {
                    let subject = Subject::new(resource.key().clone()).shared();
                    let mut report = run.report(resource);
                    report.add(FAULTY.name, &subject, 1_u64);
                    report.send().await?;
                    continue;
                }
                match Fault::ALL.into_iter().find(|fault| fault.option() == name) {
                    Some(fault) => self.0.commit(fault, run, resource, FAULTY.name).await?,
                    None => run.fail(
                        resource,
                        Failure::not_supported(format!("`{name}` is none of the faults: {}", names())),
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
        "Three resources, or a listing that goes wrong: `synthetic-faulty://hang` \
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
    /// The three resources come first: what went wrong later takes nothing back.
    async fn discover(&self, run: &mut DiscoveryRun) -> Result<(), Failure> {
        let fault = run.parameter().unwrap_or_default().to_owned();
        let three = || {
            (0..3)
                .map(|index| Resource::new(format!("none.{index}")))
                .collect()
        };
        let asked_for = || format!("the fault `{fault}` was asked for");
        run.send(three()).await?;
        match fault.as_str() {
            NONE => Ok(()),
            "error" => Err(Failure::transient(asked_for())),
            "unreachable" => Err(Failure::unreachable(asked_for())),
            "hang" => std::future::pending().await,
            "panic" => boom(&asked_for()),
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
                "`{fault}` is none of the faults of a listing: none, error, unreachable, hang, panic, \
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

    /// Polls a healthy resource, then the fault, then another healthy one.
    async fn poll(fault: &str) -> Outcome {
        let kit = Kit::new("synthetic").options(json!({ "block_for": "1ms" }));
        let setup = kit
            .pollster("synthetic.faulty")
            .resources(["none.before", fault, "none.after"]);
        setup.deadline(Duration::from_secs(60)).poll().await
    }

    #[tokio::test(start_paused = true)]
    async fn each_fault_does_what_it_says() {
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
                outcome.troubles()
            ));
        }
        insta::assert_snapshot!(text);
    }

    #[tokio::test]
    async fn a_blocking_call_is_waited_for() {
        let outcome = poll("block_call").await;
        outcome.assert_clean();
        assert_eq!(outcome.samples.len(), 3);
    }

    #[tokio::test]
    async fn a_blocking_call_that_is_too_long_fails_its_resource() {
        let kit = Kit::new("synthetic").options(json!({ "block_for": "2s" }));
        let setup = kit
            .pollster("synthetic.faulty")
            .resources(["none.before", "block_call"]);
        let outcome = setup.deadline(Duration::from_millis(10)).poll().await;
        assert_eq!(outcome.reported, ["none.before"]);
        assert!(
            outcome.error.is_some() || !outcome.failures.is_empty(),
            "{}",
            outcome.troubles()
        );
    }

    #[tokio::test]
    async fn a_flood_is_a_million_samples() {
        let outcome = poll("flood").await;
        outcome.assert_clean();
        assert_eq!(outcome.samples.len(), 1_000_002);
    }

    #[tokio::test]
    async fn a_fault_that_does_not_exist_is_named() {
        let outcome = poll("nonsense").await;
        insta::assert_snapshot!(outcome.troubles(), @r"
        nonsense: not_supported: `nonsense` is none of the faults: none, transient, unreachable, permanent, not_supported, error, hang, panic, block_call, block_worker, undeclared_meter, not_a_number, flood
        ");
    }

    #[tokio::test(start_paused = true)]
    async fn each_listing_goes_wrong_as_it_says() {
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
            let listing = kit.discovery(&url).at_most(2000).list().await;
            text.push_str(&match listing {
                Ok(resources) => format!("{fault}: {} resources\n", resources.len()),
                Err(failure) => format!("{fault}: {}: {}\n", failure.kind(), failure.chain()),
            });
        }
        insta::assert_snapshot!(text);
    }
}
