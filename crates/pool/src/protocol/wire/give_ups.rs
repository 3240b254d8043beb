//! The encoding of give-ups.

use nephoscope_model::Timestamp;
use serde::{Deserialize, Serialize};

use super::bounds::{MAX_CYCLES, bounded};
use super::units::{units_form, units_of};
use crate::protocol::invalid::InvalidReason;
use crate::protocol::mark::GiveUps;
use crate::protocol::member::Versions;

#[derive(Serialize, Deserialize)]
pub(super) struct GiveUpsForm {
    protocol: u32,
    hash: u32,
    cycles: Vec<GivenUpForm>,
}

#[derive(Serialize, Deserialize)]
struct GivenUpForm {
    start: i64,
    units: Vec<String>,
}

impl From<&GiveUps> for GiveUpsForm {
    fn from(give_ups: &GiveUps) -> Self {
        let cycles = give_ups.cycles.iter().map(|(start, units)| GivenUpForm {
            start: start.as_millis(),
            units: units_form(units),
        });
        Self {
            protocol: Versions::CURRENT.protocol,
            hash: Versions::CURRENT.hash,
            cycles: cycles.collect(),
        }
    }
}

impl GiveUpsForm {
    pub(super) fn check(self) -> Result<GiveUps, InvalidReason> {
        bounded(self.cycles.len(), "cycles", MAX_CYCLES)?;
        let cycles = self
            .cycles
            .into_iter()
            .map(|cycle| Ok((Timestamp::from_millis(cycle.start), units_of(&cycle.units)?)));
        Ok(GiveUps {
            cycles: cycles.collect::<Result<_, InvalidReason>>()?,
        })
    }
}
