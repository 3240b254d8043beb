//! The encoding of a set of units.

use super::bounds::{MAX_UNITS, bounded};
use crate::protocol::bad::BadReason;
use crate::protocol::ids::UnitHash;
use crate::protocol::member::UnitSet;

pub(super) fn units_form(units: &UnitSet) -> Vec<String> {
    units.iter().map(UnitHash::to_string).collect()
}

pub(super) fn units_of(units: &[String]) -> Result<UnitSet, BadReason> {
    bounded(units.len(), "units", MAX_UNITS)?;
    units
        .iter()
        .map(|unit| UnitHash::parse(unit).ok_or(BadReason::Field("units")))
        .collect()
}
