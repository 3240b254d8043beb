//! The options under `plugins: {synthetic: ...}`.

use std::time::Duration;

use nephoscope_plugin::{BuildContext, HumanDuration, OptionsError};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::fault::Fault;

/// Options of the synthetic plugins. Everything is drawn from the seed, the cycle's number and the names of
/// the resources: all agents with the same options see the same.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Options {
    /// Another seed, other values and other resources that fail.
    pub(crate) seed: u64,
    /// The part of the resources that is replaced by new ones in each cycle. Above 0 the ids carry the
    /// number of the replacement: `synthetic-000000-7`.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub(crate) churn: f64,
    /// How often each meter is reported of each resource in a cycle.
    #[schemars(range(min = 1, max = 100_000))]
    pub(crate) samples_per_resource: u32,
    /// How long it takes to measure one page of resources (of up to 500).
    pub(crate) latency: HumanDuration,
    /// Up to this much is added to the latency, another time for each page and cycle.
    pub(crate) jitter: HumanDuration,
    /// How long calls and threads are blocked by the faults `block_call` and `block_worker`.
    pub(crate) block_for: HumanDuration,
    /// Which parts of the resources of the pollster `synthetic` fail, and how.
    pub(crate) faults: Faults,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 0,
            churn: 0.0,
            samples_per_resource: 1,
            latency: HumanDuration(Duration::ZERO),
            jitter: HumanDuration(Duration::ZERO),
            block_for: HumanDuration::from_secs(10),
            faults: Faults::default(),
        }
    }
}

impl Options {
    /// The family's options, checked.
    pub(crate) fn read(context: &BuildContext) -> Result<Self, OptionsError> {
        let options: Self = context.options()?;
        share("churn", options.churn)?;
        if !(1..=100_000).contains(&options.samples_per_resource) {
            return Err(OptionsError::new(
                "samples_per_resource",
                "must be from 1 to 100000",
            ));
        }
        let mut sum = 0.0;
        for (fault, rate) in options.faults.rates() {
            share(&format!("faults.{}", fault.option()), rate)?;
            sum += rate;
        }
        share("faults", sum)?;
        Ok(options)
    }
}

fn share(path: &str, share: f64) -> Result<(), OptionsError> {
    if (0.0..=1.0).contains(&share) {
        return Ok(());
    }
    Err(OptionsError::new(
        path.to_owned(),
        match path {
            "faults" => "the rates must not be more than 1 together".to_owned(),
            _ => "must be from 0 to 1".to_owned(),
        },
    ))
}

/// Which parts of the resources fail, from 0 to 1 each and together. The resources that fail are others in
/// each cycle, but for `permanent` and `not_supported`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Faults {
    /// Fail, and may work in the next cycle.
    #[schemars(range(min = 0.0, max = 1.0))]
    transient: f64,
    /// Fail as if the service could not be reached.
    #[schemars(range(min = 0.0, max = 1.0))]
    unreachable: f64,
    /// Fail in every cycle.
    #[schemars(range(min = 0.0, max = 1.0))]
    permanent: f64,
    /// Do not have what is measured, in any cycle.
    #[schemars(range(min = 0.0, max = 1.0))]
    not_supported: f64,
    /// End the poll with an error.
    #[schemars(range(min = 0.0, max = 1.0))]
    error: f64,
    /// Let the poll hang for ever, whatever tells it to end.
    #[schemars(range(min = 0.0, max = 1.0))]
    hang: f64,
    /// Let the poll panic.
    #[schemars(range(min = 0.0, max = 1.0))]
    panic: f64,
    /// Block a call on a thread of its own for `block_for`.
    #[schemars(range(min = 0.0, max = 1.0))]
    block_call: f64,
    /// Block the thread that the poll runs on for `block_for`, as a badly written plugin does.
    #[schemars(range(min = 0.0, max = 1.0))]
    block_worker: f64,
    /// Report a meter that is not declared beside the others.
    #[schemars(range(min = 0.0, max = 1.0))]
    undeclared_meter: f64,
    /// Report a value that is not a number beside the others.
    #[schemars(range(min = 0.0, max = 1.0))]
    not_a_number: f64,
    /// Report a million samples.
    #[schemars(range(min = 0.0, max = 1.0))]
    flood: f64,
}

impl Faults {
    /// Each fault with its rate.
    pub(crate) fn rates(&self) -> [(Fault, f64); 12] {
        [
            (Fault::Transient, self.transient),
            (Fault::Unreachable, self.unreachable),
            (Fault::Permanent, self.permanent),
            (Fault::NotSupported, self.not_supported),
            (Fault::Error, self.error),
            (Fault::Hang, self.hang),
            (Fault::Panic, self.panic),
            (Fault::BlockCall, self.block_call),
            (Fault::BlockWorker, self.block_worker),
            (Fault::UndeclaredMeter, self.undeclared_meter),
            (Fault::NotANumber, self.not_a_number),
            (Fault::Flood, self.flood),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::collections::BTreeMap;

    use nephoscope_plugin::{BlockingPool, CallCounts, Families};
    use serde_json::{Value, json};

    fn read(options: Value) -> Result<Options, OptionsError> {
        Options::read(&BuildContext::new(
            "node1".into(),
            "synthetic",
            Families::new(
                BTreeMap::from([("synthetic".to_owned(), options)]),
                CallCounts::default(),
            ),
            BlockingPool::default(),
        ))
    }

    #[test]
    fn options_out_of_range_are_refused() {
        let mut text = String::new();
        for options in [
            json!({ "churn": 1.5 }),
            json!({ "samples_per_resource": 0 }),
            json!({ "latency": "soon" }),
            json!({ "faults": { "hang": -0.1 } }),
            json!({ "faults": { "hang": 0.6, "panic": 0.6 } }),
            json!({ "faults": { "nonsense": 1 } }),
        ] {
            text.push_str(&format!("{options}\n  {}\n", read(options.clone()).unwrap_err()));
        }
        insta::assert_snapshot!(text, @r#"
        {"churn":1.5}
          option `churn`: must be from 0 to 1
        {"samples_per_resource":0}
          option `samples_per_resource`: must be from 1 to 100000
        {"latency":"soon"}
          option `latency`: expected a number of seconds or a duration such as `30s` or `1h30m`
        {"faults":{"hang":-0.1}}
          option `faults.hang`: must be from 0 to 1
        {"faults":{"hang":0.6,"panic":0.6}}
          option `faults`: the rates must not be more than 1 together
        {"faults":{"nonsense":1}}
          option `faults.nonsense`: unknown field `nonsense`, expected one of `transient`, `unreachable`, `permanent`, `not_supported`, `error`, `hang`, `panic`, `block_call`, `block_worker`, `undeclared_meter`, `not_a_number`, `flood`
        "#);
    }

    #[test]
    fn every_fault_has_an_option_of_its_name() {
        for fault in Fault::ALL {
            let options = json!({ "faults": { fault.option(): 0.5 } });
            let rates = read(options).unwrap().faults.rates();
            let set: Vec<_> = rates.iter().filter(|(_, rate)| *rate > 0.0).collect();
            assert_eq!(set, [&(fault, 0.5)]);
        }
    }
}
