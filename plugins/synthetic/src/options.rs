//! The options under `plugins: {synthetic: ...}`.

use std::time::Duration;

use nephoscope_plugin::{BuildContext, HumanDuration, OptionsError};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::fault::Fault;

/// Options of the synthetic plugins. All values are derived from the seed, the cycle's number and the names of the
/// resources: all agents with the same options produce the same values.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Options {
    /// The seed of the values and of the resources that fail.
    pub(crate) seed: u64,
    /// The fraction of the resources that is replaced by new ones in each cycle. Above 0, ids contain the number of
    /// replacements: `synthetic-000000-7`.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub(crate) churn: f64,
    /// How often each meter of each resource is reported per cycle.
    #[schemars(range(min = 1, max = 100_000))]
    pub(crate) samples_per_resource: u32,
    /// The time to measure one page of resources (up to 500).
    pub(crate) latency: HumanDuration,
    /// The maximum random delay that is added to the latency of each page.
    pub(crate) jitter: HumanDuration,
    /// How long the faults `block_call` and `block_worker` block.
    pub(crate) block_for: HumanDuration,
    /// The fractions of the resources of the pollster `synthetic` that fail, per fault.
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
    /// Reads and checks the family's options.
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
            "faults" => "the sum of the rates must be at most 1".to_owned(),
            _ => "must be from 0 to 1".to_owned(),
        },
    ))
}

/// The fractions of the resources that fail, from 0 to 1; their sum is at most 1. Other resources fail in each cycle,
/// except with `permanent` and `not_supported`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Faults {
    /// Fail once, and may succeed in the next cycle.
    #[schemars(range(min = 0.0, max = 1.0))]
    transient: f64,
    /// Fail as if the service were unreachable.
    #[schemars(range(min = 0.0, max = 1.0))]
    unreachable: f64,
    /// Fail in every cycle.
    #[schemars(range(min = 0.0, max = 1.0))]
    permanent: f64,
    /// Do not support the meters, in any cycle.
    #[schemars(range(min = 0.0, max = 1.0))]
    not_supported: f64,
    /// End the poll with an error.
    #[schemars(range(min = 0.0, max = 1.0))]
    error: f64,
    /// Make the poll hang and ignore cancellation.
    #[schemars(range(min = 0.0, max = 1.0))]
    hang: f64,
    /// Make the poll panic.
    #[schemars(range(min = 0.0, max = 1.0))]
    panic: f64,
    /// Make a blocking call on its own thread for `block_for`.
    #[schemars(range(min = 0.0, max = 1.0))]
    block_call: f64,
    /// Block the thread of the poll for `block_for`, as a faulty plugin does.
    #[schemars(range(min = 0.0, max = 1.0))]
    block_worker: f64,
    /// Also report an undeclared meter.
    #[schemars(range(min = 0.0, max = 1.0))]
    undeclared_meter: f64,
    /// Also report a value that is not a number.
    #[schemars(range(min = 0.0, max = 1.0))]
    not_a_number: f64,
    /// Report a million samples.
    #[schemars(range(min = 0.0, max = 1.0))]
    flood: f64,
}

impl Faults {
    /// Returns each fault with its rate.
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
    fn options_out_of_range_are_rejected() {
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
          option `faults`: the sum of the rates must be at most 1
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
