//! JSON-like values of resource metadata, with the difference between whole and floating numbers kept.

use std::borrow::Cow;

use serde::ser::{Serialize, SerializeMap, Serializer};

/// Keys and values in the order in which they were put in, as a Python dictionary keeps them.
pub type Map = Vec<(Cow<'static, str>, Value)>;

/// A value of resource metadata.
///
/// `1` and `1.0` stay different: ceilometer signs the text that Python prints for a number.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Value {
    /// Python's `None`.
    #[default]
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number above `i64::MAX`.
    Uint(u64),
    /// A floating-point number.
    Float(f64),
    /// Text.
    Text(Cow<'static, str>),
    /// A list.
    List(Vec<Value>),
    /// A mapping; keys are expected to be distinct.
    Map(Map),
}

impl Value {
    /// The text, if this is text.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The value under `key`, if this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Value> {
        match self {
            Value::Map(map) => map.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            _ => None,
        }
    }
}

impl From<serde_json::Value> for Value {
    fn from(json: serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(flag) => Value::Bool(flag),
            serde_json::Value::Number(number) => {
                if let Some(int) = number.as_i64() {
                    Value::Int(int)
                } else if let Some(uint) = number.as_u64() {
                    Value::Uint(uint)
                } else {
                    Value::Float(number.as_f64().unwrap_or(f64::NAN))
                }
            }
            serde_json::Value::String(text) => Value::Text(Cow::Owned(text)),
            serde_json::Value::Array(items) => Value::List(items.into_iter().map(Value::from).collect()),
            serde_json::Value::Object(map) => Value::Map(
                map.into_iter()
                    .map(|(key, value)| (Cow::Owned(key), Value::from(value)))
                    .collect(),
            ),
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(flag) => serializer.serialize_bool(*flag),
            Value::Int(int) => serializer.serialize_i64(*int),
            Value::Uint(uint) => serializer.serialize_u64(*uint),
            Value::Float(float) => serializer.serialize_f64(*float),
            Value::Text(text) => serializer.serialize_str(text),
            Value::List(items) => serializer.collect_seq(items),
            Value::Map(map) => {
                let mut out = serializer.serialize_map(Some(map.len()))?;
                for (key, value) in map {
                    out.serialize_entry(key.as_ref(), value)?;
                }
                out.end()
            }
        }
    }
}

macro_rules! value_from {
    ($($type:ty => |$value:ident| $make:expr),+ $(,)?) => {$(
        impl From<$type> for Value {
            fn from($value: $type) -> Self {
                $make
            }
        }
    )+};
}

value_from! {
    bool => |value| Value::Bool(value),
    i64 => |value| Value::Int(value),
    i32 => |value| Value::Int(value.into()),
    u32 => |value| Value::Int(value.into()),
    u64 => |value| i64::try_from(value).map_or(Value::Uint(value), Value::Int),
    f64 => |value| Value::Float(value),
    &'static str => |value| Value::Text(Cow::Borrowed(value)),
    String => |value| Value::Text(Cow::Owned(value)),
    Cow<'static, str> => |value| Value::Text(value),
    Vec<Value> => |value| Value::List(value),
    Map => |value| Value::Map(value),
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_keeps_the_kind_of_numbers_and_the_order_of_keys() {
        let text = r#"{"z":1,"a":1.0,"big":18446744073709551615,"neg":-7,"list":[null,true,"č"]}"#;
        let value = Value::from(serde_json::from_str::<serde_json::Value>(text).unwrap());
        assert_eq!(value.get("z"), Some(&Value::Int(1)));
        assert_eq!(value.get("a"), Some(&Value::Float(1.0)));
        assert_eq!(value.get("big"), Some(&Value::Uint(u64::MAX)));
        assert_eq!(serde_json::to_string(&value).unwrap(), text);
    }

    #[test]
    fn missing_things_become_null() {
        assert_eq!(Value::from(None::<u64>), Value::Null);
        assert_eq!(Value::from(Some(3u64)), Value::Int(3));
    }
}
