//! Values formatted as Python strings, which ceilometer publishes for images.

use nephoscope_model::Value;

/// Returns `str(value)`.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone().into_owned(),
        other => {
            let mut out = String::new();
            literal(&mut out, other);
            out
        }
    }
}

/// Appends `repr(value)`.
fn literal(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("None"),
        Value::Bool(true) => out.push_str("True"),
        Value::Bool(false) => out.push_str("False"),
        Value::Int(number) => out.push_str(&number.to_string()),
        Value::Uint(number) => out.push_str(&number.to_string()),
        // Differs from Python for very large and very small numbers, which images do not have.
        Value::Float(number) => out.push_str(&format!("{number:?}")),
        Value::Text(text) => quoted(out, text),
        Value::List(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                comma(out, index);
                literal(out, item);
            }
            out.push(']');
        }
        Value::Map(map) => {
            out.push('{');
            for (index, (key, item)) in map.iter().enumerate() {
                comma(out, index);
                quoted(out, key);
                out.push_str(": ");
                literal(out, item);
            }
            out.push('}');
        }
    }
}

fn comma(out: &mut String, index: usize) {
    if index > 0 {
        out.push_str(", ");
    }
}

/// Quotes a text as Python does: in double quotes if it contains only single ones.
fn quoted(out: &mut String, text: &str) {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    out.push(quote);
    for character in text.chars() {
        match character {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            _ if character == quote => {
                out.push('\\');
                out.push(quote);
            }
            _ if character.is_control() => out.push_str(&format!("\\x{:02x}", u32::from(character))),
            _ => out.push(character),
        }
    }
    out.push(quote);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_formatted_as_in_python() {
        // The expected values were printed by Python.
        for (json, expected) in [
            ("null", "None"),
            ("true", "True"),
            ("false", "False"),
            ("-7", "-7"),
            ("18446744073709551615", "18446744073709551615"),
            ("1.0", "1.0"),
            ("\"it's\"", "it's"),
            ("[]", "[]"),
            (r#"["a", 1, null]"#, "['a', 1, None]"),
            (r#"["it's"]"#, r#"["it's"]"#),
            (r#"["it's \"so\""]"#, r#"['it\'s "so"']"#),
            (
                r#"{"k": "v", "č": [true, "a\nb\\\u0001"]}"#,
                r"{'k': 'v', 'č': [True, 'a\nb\\\x01']}",
            ),
        ] {
            let value: serde_json::Value = serde_json::from_str(json).unwrap();
            assert_eq!(text(&value.into()), expected);
        }
    }
}
