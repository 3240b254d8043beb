//! Selection of the resources that fail, and of their faults.

use crate::draw::Draw;
use crate::fault::Fault;
use crate::options::{Faults, Options};

/// Selects the resources that fail.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FaultDraw {
    draw: Draw,
    rates: Option<Faults>,
}

impl FaultDraw {
    pub(crate) fn new(options: &Options) -> Self {
        let any = options.faults != Faults::default();
        Self {
            draw: Draw::new(options.seed, "fault"),
            rates: any.then_some(options.faults),
        }
    }

    /// Returns the fault of this resource in this cycle.
    pub(crate) fn of(&self, key: &str, cycle: i64) -> Option<Fault> {
        let rates = self.rates?;
        let resource = self.draw.of(key);
        // Lasting faults depend on the resource only; the others are drawn among the rest in each cycle.
        let lasting = |fault: Fault| matches!(fault, Fault::Permanent | Fault::NotSupported);
        let mut share = resource.share();
        for (fault, rate) in rates.rates().into_iter().filter(|(fault, _)| lasting(*fault)) {
            if share < rate {
                return Some(fault);
            }
            share -= rate;
        }
        let lasting_rates: f64 = rates
            .rates()
            .iter()
            .filter(|(fault, _)| lasting(*fault))
            .map(|(_, rate)| rate)
            .sum();
        let mut share = resource.at(cycle).share() * (1.0 - lasting_rates);
        for (fault, rate) in rates.rates().into_iter().filter(|(fault, _)| !lasting(*fault)) {
            if share < rate {
                return Some(fault);
            }
            share -= rate;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use nephoscope_plugin::testing::Kit;
    use serde_json::json;

    #[tokio::test]
    async fn rates_determine_how_many_resources_fail_and_lasting_faults_last() {
        let kit = Kit::new("synthetic").options(json!({
            "seed": 7,
            "faults": { "transient": 0.1, "permanent": 0.2, "not_supported": 0.05 },
        }));
        let mut failed = Vec::new();
        for cycle in [1, 2] {
            let outcome = kit
                .pollster("synthetic")
                .resources_from("synthetic://2000")
                .cycle(cycle)
                .poll()
                .await;
            assert!(
                outcome.defects.is_empty() && outcome.error.is_none(),
                "{}",
                outcome.problems()
            );
            assert_eq!(outcome.failures.len() + outcome.reported.len(), 2000);
            let of = |kind| {
                let failures = outcome.failures.iter();
                failures
                    .filter(|failure| failure.kind.as_str() == kind)
                    .map(|failure| failure.key.clone())
                    .collect::<Vec<_>>()
            };
            failed.push((of("transient"), of("permanent"), of("not_supported")));
        }
        let [first, second] = failed.as_slice() else {
            unreachable!()
        };
        for (failures, about) in [(&first.0, 200), (&first.1, 400), (&first.2, 100)] {
            assert!(
                failures.len().abs_diff(about) < about / 4,
                "{} of about {about}",
                failures.len()
            );
        }
        assert_ne!(first.0, second.0);
        assert_eq!((&first.1, &first.2), (&second.1, &second.2));
    }
}
