//! A violation of a schema.

use crate::path::ValuePath;
use crate::problem::Problem;

/// A violation of a schema. It does not quote the value, which may be secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The kind of problem.
    pub problem: Problem,
    /// The path of the value, or of the entry for an unknown key, relative to the checked value.
    pub path: ValuePath,
    /// The expected value, as part of a sentence after "expected".
    pub expected: String,
    /// The kind of the value for a wrong type: "text", "a list".
    pub found: Option<&'static str>,
    /// A similar valid value.
    pub near: Option<String>,
    /// The missing key.
    pub missing: Option<String>,
}
