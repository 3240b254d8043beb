//! Keys and values as they are in etcd. What is read is untrusted: it is bounded, checked, and refused with key and reason.

mod give_ups;
mod key;
mod marks;
mod member;
mod plan;
#[cfg(test)]
mod tests;
mod units;

use serde::{Deserialize, Serialize};

use super::member::Versions;
use super::record::{Key, Value};
use give_ups::GiveUpsForm;
use marks::MarksForm;
use member::MemberForm;
use plan::PlanForm;

pub use key::Prefix;

/// The largest value that is read or written, in bytes. etcd itself refuses requests above 1.5 MiB. A plan of 10,000
/// members takes about 1 MB.
pub const MAX_VALUE: usize = 1_400_000;
/// The longest canonical text of a schedule, in bytes.
pub const MAX_SCHEDULE: usize = 1_024;
/// The longest name of a host, in bytes.
pub const MAX_HOST: usize = 1_024;
/// The most members of a plan.
pub const MAX_MEMBERS: usize = 10_000;
/// The most units that a member carries of a schedule, or that a plan lists in all of its sets.
pub const MAX_UNITS: usize = 100_000;
/// The most schedules of a member.
pub const MAX_SCHEDULES: usize = 10_000;
/// The most cycles in one value of marks or give-ups.
pub const MAX_CYCLES: usize = 1_000;
/// The most steps of a unit in marks.
pub const MAX_STEPS: usize = 1_000;

/// A key or value that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
#[error("{key}: {reason}")]
pub struct BadValue {
    /// The key as it stands in etcd; bytes that are no text are escaped.
    pub key: String,
    /// What is wrong.
    pub reason: BadReason,
}

/// What is wrong with a key or value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum BadReason {
    /// The key is none of the protocol's.
    #[error("not a key of the protocol")]
    Key,
    /// There is too much of something.
    #[error("more than {1} {0}")]
    TooMuch(&'static str, usize),
    /// It is no JSON, or not of the form of its kind.
    #[error("{0}")]
    Form(String),
    /// A field has a value that cannot be.
    #[error("`{0}` has a value that cannot be")]
    Field(&'static str),
    /// It was written in versions that this program does not know.
    #[error("written in protocol {} with hash {}", .0.protocol, .0.hash)]
    Versions(Versions),
}

/// The bytes of a value.
///
/// # Errors
///
/// If it is larger than [`MAX_VALUE`].
pub fn encode(value: &Value) -> Result<Vec<u8>, BadReason> {
    let written = match value {
        Value::Member(member) => serde_json::to_vec(&MemberForm::from(member)),
        Value::Plan(plan) => serde_json::to_vec(&PlanForm::from(plan)),
        Value::Marks(marks) => serde_json::to_vec(&MarksForm::from(marks)),
        Value::GiveUps(give_ups) => serde_json::to_vec(&GiveUpsForm::from(give_ups)),
    };
    let bytes = written.map_err(|error| BadReason::Form(error.to_string()))?;
    if bytes.len() > MAX_VALUE {
        return Err(BadReason::TooMuch("bytes", MAX_VALUE));
    }
    Ok(bytes)
}

/// The value that `bytes` are, of the kind that goes with `key`.
///
/// # Errors
///
/// Whatever is wrong with them; nobody is trusted to have written them.
pub fn decode(key: &Key, bytes: &[u8]) -> Result<Value, BadReason> {
    if bytes.len() > MAX_VALUE {
        return Err(BadReason::TooMuch("bytes", MAX_VALUE));
    }
    // Of a version that is not known, no more is read than that.
    let versions: VersionsForm = form(bytes)?;
    let versions = Versions::from(versions);
    if let Key::Member(_) = key {
        return form::<MemberForm>(bytes)?.check(versions).map(Value::Member);
    }
    if !versions.known() {
        return Err(BadReason::Versions(versions));
    }
    match key {
        Key::Member(_) | Key::Plan(_) => form::<PlanForm>(bytes)?.check(versions).map(Value::Plan),
        Key::Marks(..) => form::<MarksForm>(bytes)?.check().map(Value::Marks),
        Key::GiveUps(..) => form::<GiveUpsForm>(bytes)?.check().map(Value::GiveUps),
    }
}

fn form<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, BadReason> {
    serde_json::from_slice(bytes).map_err(|error| BadReason::Form(error.to_string()))
}

fn bounded(count: usize, what: &'static str, bound: usize) -> Result<(), BadReason> {
    if count > bound {
        return Err(BadReason::TooMuch(what, bound));
    }
    Ok(())
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
