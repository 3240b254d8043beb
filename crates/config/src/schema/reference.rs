//! References within a schema, and where they end.

use serde_json::Value;

use crate::position::MAX_DEPTH;

/// References to references, and the like, end here.
const MAX_REFERENCES: usize = 32;

/// How far a walk through schema and value goes down.
pub(super) const DEEPEST: usize = MAX_REFERENCES + MAX_DEPTH;

/// The schema that this one refers to.
pub(super) fn reference<'a>(root: &'a Value, schema: &Value) -> Option<&'a Value> {
    root.pointer(schema.get("$ref")?.as_str()?.strip_prefix('#')?)
}
