//! Static resources from the configuration file.

use serde_json::Value;

/// An item of `resources:`. Any value is allowed; pollsters interpret it.
#[derive(Clone, Debug, PartialEq)]
pub struct StaticResource {
    key: String,
    value: Value,
}

impl StaticResource {
    /// Wraps the value and computes its key.
    pub fn new(value: Value) -> Self {
        let key = match &value {
            Value::String(text) => text.clone(),
            other => canonical(other).to_string(),
        };
        Self { key, value }
    }

    /// The key, equal for equal values in any key order: a string as it is, any other value as JSON with sorted keys.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The value as written.
    pub fn value(&self) -> &Value {
        &self.value
    }
}

/// Returns the value with the keys of all mappings sorted. The configuration loader bounds its depth.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.iter().map(canonical).collect()),
        Value::Object(fields) => {
            let mut sorted: Vec<_> = fields.iter().collect();
            sorted.sort_by_key(|(key, _)| *key);
            Value::Object(
                sorted
                    .into_iter()
                    .map(|(key, value)| (key.clone(), canonical(value)))
                    .collect(),
            )
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_static_resources_are_stable() {
        let key = |json: &str| {
            StaticResource::new(serde_json::from_str(json).expect("JSON"))
                .key()
                .to_owned()
        };
        assert_eq!(key(r#""https://example.test/""#), "https://example.test/");
        assert_eq!(
            key(r#"{"b": [1, {"d": 1, "c": null}], "a": 2}"#),
            r#"{"a":2,"b":[1,{"c":null,"d":1}]}"#
        );
        assert_eq!(key(r#"{"a": 2, "b": 1}"#), key(r#"{"b": 1, "a": 2}"#));
        assert_eq!(key("5"), "5");
    }
}
