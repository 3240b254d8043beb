//! The values of a YAML text, and the only module that knows which crate reads them.
//!
//! Text goes through `serde_yaml::Value` and `apply_merge` before anything is made of it: read straight into types, merge keys
//! would silently be lost. The caller has looked at the text before ([`position`](crate::position)), so depth and the size of
//! what aliases stand for are bounded here.

use serde_json::{Map, Number, Value};

use crate::path::ValuePath;
use crate::problem::Problem;

/// A text that cannot be read, as the parser says it, with the byte where.
#[derive(Debug)]
pub(crate) struct YamlError {
    pub(crate) message: String,
    pub(crate) offset: Option<usize>,
}

impl From<serde_yaml::Error> for YamlError {
    fn from(error: serde_yaml::Error) -> Self {
        let offset = error.location().map(|location| location.index());
        // The parser's text ends with the place, which is shown anyway.
        let text = error.to_string();
        let message = text.split(" at line ").next().unwrap_or(&text).to_owned();
        Self { message, offset }
    }
}

/// A value that has no place in a configuration.
#[derive(Debug)]
pub(crate) struct Unfit {
    pub(crate) problem: Problem,
    pub(crate) path: ValuePath,
}

/// Reads one document, with merge keys applied. What is unfit is replaced by the value that was probably meant.
pub(crate) fn parse(text: &str) -> Result<(Value, Vec<Unfit>), YamlError> {
    let mut value: serde_yaml::Value = serde_yaml::from_str(text)?;
    let mut unfit = Vec::new();
    if let Err(error) = value.apply_merge() {
        return Err(YamlError {
            message: error.to_string(),
            offset: None,
        });
    }
    let json = convert(value, &mut ValuePath::top(), &mut unfit);
    Ok((json, unfit))
}

fn convert(value: serde_yaml::Value, path: &mut ValuePath, unfit: &mut Vec<Unfit>) -> Value {
    let mut refuse = |problem, path: &ValuePath| {
        unfit.push(Unfit {
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
                refuse(Problem::NotFinite, path);
                Value::String(number.to_string())
            }
        },
        serde_yaml::Value::Sequence(items) => {
            let mut list = Vec::with_capacity(items.len());
            for (index, item) in items.into_iter().enumerate() {
                path.push(index);
                list.push(convert(item, path, unfit));
                path.pop();
            }
            Value::Array(list)
        }
        serde_yaml::Value::Mapping(entries) => {
            let mut map = Map::with_capacity(entries.len());
            for (key, value) in entries {
                let Some(key) = key_text(key) else {
                    unfit.push(Unfit {
                        problem: Problem::KeyNotText,
                        path: path.clone(),
                    });
                    continue;
                };
                path.push(key.as_str());
                let value = convert(value, path, unfit);
                path.pop();
                map.insert(key, value);
            }
            Value::Object(map)
        }
        serde_yaml::Value::Tagged(tagged) => {
            let tag = tagged.tag.to_string();
            refuse(Problem::Tag, path);
            match tagged.value {
                // `- !disk.*` without quotation marks: the tag is all there is.
                serde_yaml::Value::Null => Value::String(tag),
                serde_yaml::Value::String(text) if text.is_empty() => Value::String(tag),
                other => convert(other, path, unfit),
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

/// Numbers and truth values as keys stand for their text, as in JSON that Python writes.
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
        let (value, unfit) = parse(text).expect("YAML");
        assert!(unfit.is_empty());
        assert_eq!(value["c"], serde_json::json!({"y": 4, "x": 1, "z": 3}));
        assert_eq!(value["d"], serde_json::json!({"x": 1, "y": 2}));
    }

    #[test]
    fn what_json_cannot_hold_is_named() {
        let (value, unfit) = parse("a: [!disk.root, .inf]\n1: x\n? [b]\n: y\n").expect("YAML");
        let unfit: Vec<_> = unfit
            .iter()
            .map(|unfit| (unfit.problem, unfit.path.to_string()))
            .collect();
        assert_eq!(
            unfit,
            [
                (Problem::Tag, "a[0]".to_owned()),
                (Problem::NotFinite, "a[1]".to_owned()),
                (Problem::KeyNotText, String::new())
            ]
        );
        assert_eq!(value, serde_json::json!({"a": ["!disk.root", ".inf"], "1": "x"}));
    }
}
