//! The words for kinds of values in messages.

use serde_json::{Map, Value};

use crate::format::Format;

/// Returns the kind of a value, as part of a sentence.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a fractional number",
        Value::Number(_) => "an integer",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

pub(super) fn describe(keywords: &Map<String, Value>, allowed: &[&str]) -> String {
    if let Some(format) = keywords
        .get("format")
        .and_then(Value::as_str)
        .and_then(Format::named)
    {
        return format.expected().to_owned();
    }
    let words = allowed.iter().filter(|name| **name != "null").map(|name| {
        match *name {
            "boolean" => "true or false",
            "integer" => "an integer",
            "number" => "a number",
            "string" => "text",
            "array" => "a list",
            "object" => "a mapping",
            other => other,
        }
        .to_owned()
    });
    let words = alternatives(words);
    if words.is_empty() {
        "nothing".to_owned()
    } else {
        words
    }
}

/// Joins alternatives: `a`, `a or b`, `a, b or c`.
pub(super) fn alternatives(words: impl IntoIterator<Item = String>) -> String {
    let mut words: Vec<String> = words.into_iter().collect();
    match words.pop() {
        Some(last) if words.is_empty() => last,
        Some(last) => format!("{} or {last}", words.join(", ")),
        None => String::new(),
    }
}
