//! Reads the values of a YAML text. Only this module uses the YAML crate.
//!
//! Text is read as `serde_yaml::Value` with `apply_merge`, because deserializing into types directly would lose merge keys. The caller
//! scans the text before ([`position`](crate::position)), which bounds the depth and the expansion of aliases.

use serde_json::{Map, Number, Value};

use crate::path::ValuePath;
use crate::problem::Problem;

/// A parser error with its byte offset.
#[derive(Debug)]
pub(crate) struct YamlError {
    pub(crate) message: String,
    pub(crate) offset: Option<usize>,
}

impl From<serde_yaml::Error> for YamlError {
    fn from(error: serde_yaml::Error) -> Self {
        let offset = error.location().map(|location| location.index());
        // The message ends with the position, which the excerpt shows.
        let text = error.to_string();
        let message = text.split(" at line ").next().unwrap_or(&text).to_owned();
        Self { message, offset }
    }
}

/// A value that a configuration cannot contain.
#[derive(Debug)]
pub(crate) struct Unsupported {
    pub(crate) problem: Problem,
    pub(crate) path: ValuePath,
}

/// Reads one document and applies merge keys. Unsupported values are replaced by the most probable value.
pub(crate) fn parse(text: &str) -> Result<(Value, Vec<Unsupported>), YamlError> {
    let mut value: serde_yaml::Value = serde_yaml::from_str(text)?;
    let mut unsupported = Vec::new();
    if let Err(error) = value.apply_merge() {
        return Err(YamlError {
            message: error.to_string(),
            offset: None,
        });
    }
    let json = convert(value, &mut ValuePath::top(), &mut unsupported);
    Ok((json, unsupported))
}

fn convert(value: serde_yaml::Value, path: &mut ValuePath, unsupported: &mut Vec<Unsupported>) -> Value {
    let mut reject = |problem, path: &ValuePath| {
        unsupported.push(Unsupported {
            problem,
            path: path.clone(),
        })
    };
    match value {
        serde_yaml::Value::Null => Value::Null,
        serde_yaml::Value::Bool(flag) => Value::Bool(flag),
        serde_yaml::Value::String(text) => Value::String(text),
        serde_yaml::Value::Number(number) => match json_number(&number) {
            Some(number) => Value::Number(number),
            None => {
                reject(Problem::NotFinite, path);
                Value::String(number.to_string())
            }
        },
        serde_yaml::Value::Sequence(items) => {
            let mut list = Vec::with_capacity(items.len());
            for (index, item) in items.into_iter().enumerate() {
                path.push(index);
                list.push(convert(item, path, unsupported));
                path.pop();
            }
            Value::Array(list)
        }
        serde_yaml::Value::Mapping(entries) => {
            let mut map = Map::with_capacity(entries.len());
            for (key, value) in entries {
                let Some(key) = key_text(key) else {
                    unsupported.push(Unsupported {
                        problem: Problem::KeyNotText,
                        path: path.clone(),
                    });
                    continue;
                };
                path.push(key.as_str());
                let value = convert(value, path, unsupported);
                path.pop();
                map.insert(key, value);
            }
            Value::Object(map)
        }
        serde_yaml::Value::Tagged(tagged) => {
            let tag = tagged.tag.to_string();
            reject(Problem::Tag, path);
            match tagged.value {
                // `- !disk.*` without quotation marks is a tag without a value.
                serde_yaml::Value::Null => Value::String(tag),
                serde_yaml::Value::String(text) if text.is_empty() => Value::String(tag),
                other => convert(other, path, unsupported),
            }
        }
    }
}

fn json_number(number: &serde_yaml::Number) -> Option<Number> {
    if let Some(whole) = number.as_i64() {
        Some(whole.into())
    } else if let Some(whole) = number.as_u64() {
        Some(whole.into())
    } else {
        number.as_f64().and_then(Number::from_f64)
    }
}

/// Returns the text of a key. Numbers and booleans are converted, as in JSON that Python writes.
fn key_text(key: serde_yaml::Value) -> Option<String> {
    match key {
        serde_yaml::Value::String(text) => Some(text),
        serde_yaml::Value::Number(number) => Some(number.to_string()),
        serde_yaml::Value::Bool(flag) => Some(flag.to_string()),
        serde_yaml::Value::Null => Some("null".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merge_keys_and_aliases_work() {
        let text = "a: &a {x: 1, y: 2}\nb: &b {z: 3}\nc: {<<: [*a, *b], y: 4}\nd: *a\n";
        let (value, unsupported) = parse(text).expect("YAML");
        assert!(unsupported.is_empty());
        assert_eq!(value["c"], serde_json::json!({"y": 4, "x": 1, "z": 3}));
        assert_eq!(value["d"], serde_json::json!({"x": 1, "y": 2}));
    }

    #[test]
    fn values_that_json_does_not_support_are_reported() {
        let (value, unsupported) = parse("a: [!disk.root, .inf]\n1: x\n? [b]\n: y\n").expect("YAML");
        let unsupported: Vec<_> = unsupported
            .iter()
            .map(|value| (value.problem, value.path.to_string()))
            .collect();
        assert_eq!(
            unsupported,
            [
                (Problem::Tag, "a[0]".to_owned()),
                (Problem::NotFinite, "a[1]".to_owned()),
                (Problem::KeyNotText, String::new())
            ]
        );
        assert_eq!(value, serde_json::json!({"a": ["!disk.root", ".inf"], "1": "x"}));
    }
}
