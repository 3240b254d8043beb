//! JSON-like values of resource metadata that distinguish integers and floating-point numbers.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// Larger mappings are searched with a hash map.
const FEW_KEYS: usize = 16;

/// Keys and values in insertion order, like in a Python dictionary.
pub type Map = Vec<(Cow<'static, str>, Value)>;

/// A value of resource metadata.
///
/// `1` and `1.0` are different: ceilometer signs Python's text of a number.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Value {
    /// Python's `None`.
    #[default]
    Null,
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// An integer above `i64::MAX`.
    Uint(u64),
    /// A floating-point number.
    Float(f64),
    /// Text.
    Text(Cow<'static, str>),
    /// A list.
    List(Vec<Value>),
    /// A mapping with distinct keys.
    Map(Map),
}

impl Value {
    /// The text, if the value is text.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The value under `key`, if the value is a mapping with this key.
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

/// Reads self-describing formats such as JSON. The last value of a duplicate key wins.
impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Value;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("any value")
            }

            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value::Null)
            }

            fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
                Ok(flag.into())
            }

            fn visit_i64<E>(self, int: i64) -> Result<Value, E> {
                Ok(int.into())
            }

            fn visit_u64<E>(self, int: u64) -> Result<Value, E> {
                Ok(int.into())
            }

            fn visit_f64<E>(self, float: f64) -> Result<Value, E> {
                Ok(float.into())
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
                self.visit_string(text.to_owned())
            }

            fn visit_string<E>(self, text: String) -> Result<Value, E> {
                Ok(text.into())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(Value::List(list))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
                let mut map = Map::new();
                while let Some(key) = entries.next_key::<String>()? {
                    map.push((key.into(), entries.next_value()?));
                }
                Ok(Value::Map(distinct(map)))
            }
        }

        from.deserialize_any(Any)
    }
}

/// Removes duplicate keys: each keeps its first position and its last value.
fn distinct(map: Map) -> Map {
    let known = |at: usize, key: &str| map.iter().take(at).any(|(other, _)| other == key);
    if map.len() <= FEW_KEYS && !map.iter().enumerate().any(|(at, (key, _))| known(at, key)) {
        return map;
    }
    let mut places = HashMap::with_capacity(map.len());
    let mut out = Map::with_capacity(map.len());
    for (key, value) in map {
        let place = *places.entry(key.clone()).or_insert(out.len());
        match out.get_mut(place) {
            Some((_, earlier)) => *earlier = value,
            None => out.push((key, value)),
        }
    }
    out
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
    fn the_last_value_of_a_duplicate_key_wins() {
        for others in [0, FEW_KEYS, 100_000] {
            let others: String = (0..others)
                .map(|other| format!(r#","{other}":{other}"#))
                .collect();
            let text = format!(r#"{{"a":1,"b":2{others},"a":{{"c":3,"c":4}}}}"#);
            let value: Value = serde_json::from_str(&text).unwrap();
            let wanted = format!(r#"{{"a":{{"c":4}},"b":2{others}}}"#);
            assert!(serde_json::to_string(&value).unwrap() == wanted);
        }
    }

    #[test]
    fn json_keeps_the_type_of_numbers_and_the_order_of_keys() {
        let text = r#"{"z":1,"a":1.0,"big":18446744073709551615,"neg":-7,"list":[null,true,"č"]}"#;
        let value: Value = serde_json::from_str(text).unwrap();
        assert_eq!(
            value,
            Value::from(serde_json::from_str::<serde_json::Value>(text).unwrap())
        );
        assert_eq!(value.get("z"), Some(&Value::Int(1)));
        assert_eq!(value.get("a"), Some(&Value::Float(1.0)));
        assert_eq!(value.get("big"), Some(&Value::Uint(u64::MAX)));
        assert_eq!(serde_json::to_string(&value).unwrap(), text);
    }

    #[test]
    fn missing_values_become_null() {
        assert_eq!(Value::from(None::<u64>), Value::Null);
        assert_eq!(Value::from(Some(3u64)), Value::Int(3));
    }
}
