//! What a value breaks.

use crate::path::ValuePath;
use crate::problem::Problem;

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
