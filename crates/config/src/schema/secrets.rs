//! Finds secret values.

use serde_json::Value;

use super::reference::{DEEPEST, reference};
use crate::path::ValuePath;

/// Returns the paths of all values whose schema has `writeOnly: true`.
pub fn secrets(schema: &Value, value: &Value) -> Vec<ValuePath> {
    let mut paths = Vec::new();
    find_secrets(schema, schema, value, &mut ValuePath::top(), 0, &mut paths);
    paths
}

/// Returns the names of all properties whose schema has `writeOnly: true`.
pub fn secret_names(schema: &Value) -> Vec<String> {
    let mut names = Vec::new();
    let mut waiting = vec![schema];
    while let Some(schema) = waiting.pop() {
        match schema {
            Value::Object(keywords) => {
                if let Some(Value::Object(properties)) = keywords.get("properties") {
                    names.extend(
                        properties
                            .iter()
                            .filter(|(_, property)| is_secret(property))
                            .map(|(name, _)| name.clone()),
                    );
                }
                waiting.extend(keywords.values());
            }
            Value::Array(schemas) => waiting.extend(schemas),
            _ => {}
        }
    }
    names.sort();
    names.dedup();
    names
}

fn is_secret(schema: &Value) -> bool {
    schema.get("writeOnly") == Some(&Value::Bool(true))
        || ["anyOf", "oneOf", "allOf"]
            .iter()
            .filter_map(|keyword| schema.get(keyword)?.as_array())
            .flatten()
            .any(is_secret)
}

fn find_secrets(
    root: &Value,
    schema: &Value,
    value: &Value,
    path: &mut ValuePath,
    depth: usize,
    paths: &mut Vec<ValuePath>,
) {
    if depth > DEEPEST {
        return;
    }
    if is_secret(schema) {
        paths.push(path.clone());
        return;
    }
    if let Some(target) = reference(root, schema) {
        find_secrets(root, target, value, path, depth + 1, paths);
    }
    for branches in ["anyOf", "oneOf", "allOf"]
        .iter()
        .filter_map(|keyword| schema.get(keyword)?.as_array())
    {
        for branch in branches {
            find_secrets(root, branch, value, path, depth + 1, paths);
        }
    }
    match value {
        Value::Object(entries) => {
            let properties = schema.get("properties").and_then(Value::as_object);
            for (key, value) in entries {
                let property = properties.and_then(|properties| properties.get(key));
                if let Some(property) = property.or_else(|| schema.get("additionalProperties")) {
                    path.push(key.as_str());
                    find_secrets(root, property, value, path, depth + 1, paths);
                    path.pop();
                }
            }
        }
        Value::Array(items) => {
            if let Some(item_schema) = schema.get("items") {
                for (index, item) in items.iter().enumerate() {
                    path.push(index);
                    find_secrets(root, item_schema, item, path, depth + 1, paths);
                    path.pop();
                }
            }
        }
        _ => {}
    }
}
