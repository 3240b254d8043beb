//! The encoding of a set of units.

use super::bounds::{MAX_UNITS, bounded};
use crate::protocol::ids::UnitHash;
use crate::protocol::invalid::InvalidReason;
use crate::protocol::member::UnitSet;

pub(super) fn units_form(units: &UnitSet) -> Vec<String> {
    units.iter().map(UnitHash::to_string).collect()
}

pub(super) fn units_of(units: &[String]) -> Result<UnitSet, InvalidReason> {
    bounded(units.len(), "units", MAX_UNITS)?;
    units
        .iter()
        .map(|unit| UnitHash::parse(unit).ok_or(InvalidReason::Field("units")))
        .collect()
}
