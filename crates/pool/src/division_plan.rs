//! A division as the plan of the engine's interface.

use std::num::NonZeroUsize;
use std::sync::Arc;

use nephoscope_coordination::{Plan, Share, Unit};

use crate::protocol::{Division, KeyHash, Portion, UnitHash, UnitSet};

/// This agent's assignment in a work item.
pub(super) struct DivisionPlan {
    pub(super) division: Arc<Division>,
    pub(super) group_prefix: Arc<str>,
}

impl Plan for DivisionPlan {
    fn lists(&self, units: &[Unit]) -> bool {
        let hashes: UnitSet = units
            .iter()
            .map(|unit| UnitHash::of(&self.group_prefix, unit))
            .collect();
        self.division.lists(&hashes)
    }

    fn share(&self, unit: &Unit) -> Share {
        match self.division.portion(unit) {
            Portion::None => Share::None,
            Portion::All => Share::All,
            Portion::Resources(claim) => Share::Resources(Arc::new(move |key| claim.owns(KeyHash::of(key)))),
        }
    }

    fn members(&self, unit: &Unit) -> NonZeroUsize {
        NonZeroUsize::new(self.division.members(unit)).unwrap_or(NonZeroUsize::MIN)
    }
}
