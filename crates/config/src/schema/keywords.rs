//! The supported keywords of JSON Schema.

use serde_json::Value;

use crate::format::Format;

/// Returns the keywords and formats of a schema that [`super::check`] does not support, without duplicates.
pub fn unsupported(schema: &Value) -> Vec<String> {
    const KNOWN: &[&str] = &[
        "$ref",
        "$defs",
        "type",
        "properties",
        "required",
        "additionalProperties",
        "items",
        "enum",
        "const",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "uniqueItems",
        "anyOf",
        "oneOf",
        "allOf",
        "format",
        // Annotations, and `writeOnly` for `secrets`.
        "$schema",
        "title",
        "description",
        "default",
        "examples",
        "writeOnly",
        "deprecated",
    ];
    const NUMBERS: &[&str] = &[
        "int8", "int16", "int32", "int64", "int", "uint8", "uint16", "uint32", "uint64", "uint", "float",
        "double",
    ];
    fn walk(schema: &Value, unknown: &mut Vec<String>) {
        let Value::Object(keywords) = schema else { return };
        for (keyword, argument) in keywords {
            match (keyword.as_str(), argument) {
                ("properties" | "$defs", Value::Object(named)) => {
                    named.values().for_each(|schema| walk(schema, unknown))
                }
                ("items" | "additionalProperties", schema) => walk(schema, unknown),
                ("anyOf" | "oneOf" | "allOf", Value::Array(schemas)) => {
                    schemas.iter().for_each(|schema| walk(schema, unknown));
                }
                ("format", Value::String(name)) => {
                    if Format::named(name).is_none() && !NUMBERS.contains(&name.as_str()) {
                        unknown.push(format!("format {name}"));
                    }
                }
                (keyword, _) => {
                    if !KNOWN.contains(&keyword) {
                        unknown.push(keyword.to_owned());
                    }
                }
            }
        }
    }
    let mut unknown = Vec::new();
    walk(schema, &mut unknown);
    unknown.sort();
    unknown.dedup();
    unknown
}
