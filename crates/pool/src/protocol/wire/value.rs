//! The JSON encoding of values.

use serde::{Deserialize, Serialize};

use super::bounds::MAX_VALUE;
use super::give_ups::GiveUpsForm;
use super::marks::MarksForm;
use super::member::MemberForm;
use super::plan::PlanForm;
use crate::protocol::invalid::InvalidReason;
use crate::protocol::member::Versions;
use crate::protocol::record::{Key, Value};

/// Encodes a value.
///
/// # Errors
///
/// It is larger than [`MAX_VALUE`].
pub fn encode(value: &Value) -> Result<Vec<u8>, InvalidReason> {
    let written = match value {
        Value::Member(member) => serde_json::to_vec(&MemberForm::from(member)),
        Value::Plan(plan) => serde_json::to_vec(&PlanForm::from(plan)),
        Value::Marks(marks) => serde_json::to_vec(&MarksForm::from(marks)),
        Value::GiveUps(give_ups) => serde_json::to_vec(&GiveUpsForm::from(give_ups)),
    };
    let bytes = written.map_err(|error| InvalidReason::Form(error.to_string()))?;
    if bytes.len() > MAX_VALUE {
        return Err(InvalidReason::LimitExceeded("bytes", MAX_VALUE));
    }
    Ok(bytes)
}

/// Decodes a value of the key's kind.
///
/// # Errors
///
/// The bytes are invalid; they are untrusted.
pub fn decode(key: &Key, bytes: &[u8]) -> Result<Value, InvalidReason> {
    if bytes.len() > MAX_VALUE {
        return Err(InvalidReason::LimitExceeded("bytes", MAX_VALUE));
    }
    // Of an unknown version only the version is read.
    let versions: VersionsForm = form(bytes)?;
    let versions = Versions::from(versions);
    if let Key::Member(_) = key {
        return form::<MemberForm>(bytes)?.check(versions).map(Value::Member);
    }
    if !versions.known() {
        return Err(InvalidReason::Versions(versions));
    }
    match key {
        Key::Member(_) | Key::Plan(_) => form::<PlanForm>(bytes)?.check(versions).map(Value::Plan),
        Key::Marks(..) => form::<MarksForm>(bytes)?.check().map(Value::Marks),
        Key::GiveUps(..) => form::<GiveUpsForm>(bytes)?.check().map(Value::GiveUps),
    }
}

fn form<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, InvalidReason> {
    serde_json::from_slice(bytes).map_err(|error| InvalidReason::Form(error.to_string()))
}

#[derive(Serialize, Deserialize)]
struct VersionsForm {
    protocol: u32,
    hash: u32,
}

impl From<VersionsForm> for Versions {
    fn from(VersionsForm { protocol, hash }: VersionsForm) -> Self {
        Self { protocol, hash }
    }
}
