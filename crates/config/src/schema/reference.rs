//! References within a schema, and their limits.

use serde_json::Value;

use crate::position::MAX_DEPTH;

/// The maximum number of nested references.
const MAX_REFERENCES: usize = 32;

/// The maximum depth of recursion through schema and value.
pub(super) const DEEPEST: usize = MAX_REFERENCES + MAX_DEPTH;

/// Returns the target of the schema's reference.
pub(super) fn reference<'a>(root: &'a Value, schema: &Value) -> Option<&'a Value> {
    root.pointer(schema.get("$ref")?.as_str()?.strip_prefix('#')?)
}
