//! Checking values against JSON schemas: all that is wrong at once, each with its path.
//!
//! This knows the keywords that schemas generated from types use, and no others; [`unsupported`] tells which ones of a schema it
//! would pass over.

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

/// Everything about the value that the schema does not allow.
pub fn check(schema: &Value, value: &Value) -> Vec<Violation> {
    Checker::new(schema).run(schema, value, &mut ValuePath::top(), 0)
}
