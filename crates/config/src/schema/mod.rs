//! Checks values against JSON schemas. All violations are reported, each with its path.
//!
//! The checks support the keywords of schemas that are generated from types. [`unsupported`] returns the unsupported keywords of a
//! schema.

mod checker;
mod keywords;
mod reference;
mod secrets;
#[cfg(test)]
mod tests;
mod violation;
mod words;

use serde_json::Value;

use crate::path::ValuePath;
use checker::Checker;

pub use keywords::unsupported;
pub use secrets::{secret_names, secrets};
pub use violation::Violation;
pub(crate) use words::kind;

/// Returns all violations of the schema.
pub fn check(schema: &Value, value: &Value) -> Vec<Violation> {
    Checker::new(schema).run(schema, value, &mut ValuePath::top(), 0)
}
