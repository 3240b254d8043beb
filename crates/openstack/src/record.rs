//! An entry of a listing, with the members that a plugin named and nothing else.

use std::fmt;
use std::sync::Arc;

use nephoscope_plugin::model::{ResourceBody, Value};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

/// An entry of a listing: of its members those that the plugin named. The others are not kept while it is read.
#[derive(Clone)]
pub struct Record {
    members: Members,
    /// In the order of `members`; what the service did not send is null.
    values: Box<[Value]>,
}

/// The names of members that are kept, for all records of a listing.
pub type Members = Arc<[&'static str]>;

/// What a member that nobody named has.
const NULL: &Value = &Value::Null;

impl Record {
    /// Reads an entry, of whose members these are kept.
    ///
    /// # Errors
    ///
    /// When it is no JSON object.
    pub fn read(entry: &[u8], members: &Members) -> Result<Self, serde_json::Error> {
        let mut json = serde_json::Deserializer::from_slice(entry);
        let record = Keep(members).deserialize(&mut json)?;
        json.end()?;
        Ok(record)
    }

    /// The value of a member; null when the service did not send it, or the plugin did not name it.
    pub fn get(&self, member: &str) -> &Value {
        let place = self.members.iter().position(|name| *name == member);
        place.and_then(|place| self.values.get(place)).unwrap_or(NULL)
    }

    /// Gives a member another value, as where another answer holds it. One that is not kept stays away.
    pub fn set(&mut self, member: &str, value: impl Into<Value>) {
        let place = self.members.iter().position(|name| *name == member);
        if let Some(slot) = place.and_then(|place| self.values.get_mut(place)) {
            *slot = value.into();
        }
    }

    /// The text of a member, if it is one.
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

struct Keep<'a>(&'a Members);

impl<'de> DeserializeSeed<'de> for Keep<'_> {
    type Value = Record;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Record, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Keep<'_> {
    type Value = Record;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Record, A::Error> {
        let mut values = vec![Value::Null; self.0.len()].into_boxed_slice();
        while let Some(place) = map.next_key_seed(Name(self.0))? {
            match place.and_then(|place| values.get_mut(place)) {
                Some(slot) => *slot = map.next_value()?,
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

/// The place of a member's name among those that are kept.
struct Name<'a>(&'a Members);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Option<usize>, D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
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
    fn an_entry_is_read_with_the_members_that_are_wanted() {
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
