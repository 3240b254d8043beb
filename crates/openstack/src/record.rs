//! An entry of a list, reduced to the members that a plugin declared.

use std::fmt;
use std::sync::Arc;

use nephoscope_plugin::model::{ResourceBody, Value};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

/// An entry of a list, reduced to the members that the plugin declared. The others are skipped while it is read.
#[derive(Clone)]
pub struct Record {
    members: Members,
    /// In the order of `members`; null for a member that the service did not send.
    values: Box<[Value]>,
}

/// The names of the members that are stored, for all records of a list.
pub type Members = Arc<[&'static str]>;

/// The value of a member that is not declared.
const NULL: &Value = &Value::Null;

impl Record {
    /// Reads an entry and stores these members.
    ///
    /// # Errors
    ///
    /// The entry is not a JSON object.
    pub fn read(entry: &[u8], members: &Members) -> Result<Self, serde_json::Error> {
        let mut json = serde_json::Deserializer::from_slice(entry);
        let record = RecordSeed(members).deserialize(&mut json)?;
        json.end()?;
        Ok(record)
    }

    /// Returns the value of a member; null if the service did not send it, or the plugin did not declare it.
    pub fn get(&self, member: &str) -> &Value {
        let index = self.members.iter().position(|name| *name == member);
        index.and_then(|index| self.values.get(index)).unwrap_or(NULL)
    }

    /// Sets the value of a member, for example from another answer. Does nothing if the member is not declared.
    pub fn set(&mut self, member: &str, value: impl Into<Value>) {
        let index = self.members.iter().position(|name| *name == member);
        if let Some(entry) = index.and_then(|index| self.values.get_mut(index)) {
            *entry = value.into();
        }
    }

    /// Returns the text of a member if it is a string.
    pub fn text(&self, member: &str) -> Option<&str> {
        self.get(member).as_text()
    }
}

impl ResourceBody for Record {
    fn describe(&self) -> Value {
        Value::Map(
            self.members
                .iter()
                .zip(&self.values)
                .map(|(name, value)| ((*name).into(), value.clone()))
                .collect(),
        )
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_map()
            .entries(self.members.iter().zip(&self.values))
            .finish()
    }
}

struct RecordSeed<'a>(&'a Members);

impl<'de> DeserializeSeed<'de> for RecordSeed<'_> {
    type Value = Record;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Record, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for RecordSeed<'_> {
    type Value = Record;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Record, A::Error> {
        let mut values = vec![Value::Null; self.0.len()].into_boxed_slice();
        while let Some(index) = map.next_key_seed(MemberSeed(self.0))? {
            match index.and_then(|index| values.get_mut(index)) {
                Some(value) => *value = map.next_value()?,
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Record {
            members: self.0.clone(),
            values,
        })
    }
}

/// The index of a member's name among the declared ones.
struct MemberSeed<'a>(&'a Members);

impl<'de> DeserializeSeed<'de> for MemberSeed<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Option<usize>, D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for MemberSeed<'_> {
    type Value = Option<usize>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("the name of a member")
    }

    fn visit_str<E>(self, name: &str) -> Result<Option<usize>, E> {
        Ok(self.0.iter().position(|known| *known == name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_with_its_declared_members() {
        let entry = br#"{"id": "a", "si\u007ae": 1.0, "secret": {"x": ["canary"]}, "tags": ["t"]}"#;
        let record = Record::read(entry, &["size", "id", "tags", "owner"].into()).unwrap();
        assert_eq!(record.text("id"), Some("a"));
        assert_eq!(record.get("size"), &Value::Float(1.0));
        assert_eq!(record.get("owner"), &Value::Null);
        assert_eq!(record.get("secret"), &Value::Null);
        assert!(!format!("{record:?}{:?}", record.describe()).contains("canary"));
        assert!(Record::read(b"[7]", &["id"].into()).is_err());
        assert!(Record::read(b"{} x", &["id"].into()).is_err());
    }
}
