//! Checking values against JSON schemas: all that is wrong at once, each with its path.
//!
//! This knows the keywords that schemas generated from types use, and no others; [`unsupported`] tells which ones of a schema it
//! would pass over.

mod checker;
mod keywords;
mod secrets;
#[cfg(test)]
mod tests;
mod words;

use serde_json::Value;

use crate::path::ValuePath;
use crate::position::MAX_DEPTH;
use crate::problem::Problem;
use checker::Checker;

pub use keywords::unsupported;
pub use secrets::{secret_names, secrets};
pub(crate) use words::kind;

/// What a value breaks. Nothing in it quotes the value, which may be secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What kind of problem it is.
    pub problem: Problem,
    /// The value, or for an unknown key the entry; below the value that was checked.
    pub path: ValuePath,
    /// What is expected instead, as part of a sentence after "expected".
    pub expected: String,
    /// What kind of value is there, for a wrong type: "text", "a list".
    pub found: Option<&'static str>,
    /// Something possible that is nearly the same.
    pub near: Option<String>,
    /// The missing key.
    pub missing: Option<String>,
}

/// References to references, and the like, end here.
const MAX_REFERENCES: usize = 32;

/// How far a walk through schema and value goes down.
const DEEPEST: usize = MAX_REFERENCES + MAX_DEPTH;

/// Everything about the value that the schema does not allow.
pub fn check(schema: &Value, value: &Value) -> Vec<Violation> {
    Checker::new(schema).run(schema, value, &mut ValuePath::top(), 0)
}

fn reference<'a>(root: &'a Value, schema: &Value) -> Option<&'a Value> {
    root.pointer(schema.get("$ref")?.as_str()?.strip_prefix('#')?)
}
