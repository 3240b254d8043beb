//! Something that happened, with typed traits.

use std::sync::Arc;

use crate::{MessageId, Timestamp, Value};

/// An event: what a service said that happened, and the traits that were taken from it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Event {
    /// Published as `message_id`: the id of the notification that the event comes from.
    pub id: MessageId,
    /// Published as `event_type`, for example `compute.instance.create.end`.
    pub event_type: Arc<str>,
    /// Published as `generated`: when it happened, in UTC.
    pub generated: Timestamp,
    /// Its traits, in the order of their definitions.
    pub traits: Vec<Trait>,
    /// Published as `raw`: the notification itself, or an empty mapping where it is not kept.
    pub raw: Value,
}

impl Event {
    /// An event without traits, and without the notification itself.
    pub fn new(id: MessageId, event_type: impl Into<Arc<str>>, generated: Timestamp) -> Self {
        Self {
            id,
            event_type: event_type.into(),
            generated,
            traits: Vec::new(),
            raw: Value::Map(Vec::new()),
        }
    }

    /// Adds a trait.
    #[must_use]
    pub fn with(mut self, name: impl Into<Arc<str>>, value: TraitValue) -> Self {
        self.traits.push(Trait {
            name: name.into(),
            value,
        });
        self
    }

    /// Keeps the notification itself.
    #[must_use]
    pub fn raw(mut self, raw: Value) -> Self {
        self.raw = raw;
        self
    }
}

/// A named and typed value of an event.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Trait {
    /// Its name.
    pub name: Arc<str>,
    /// Its value.
    pub value: TraitValue,
}

/// The value of a trait; ceilometer has these four types.
#[derive(Debug, Clone, PartialEq)]
pub enum TraitValue {
    /// Text; type code 1.
    Text(Arc<str>),
    /// A whole number; type code 2.
    Int(i64),
    /// A floating-point number; type code 3.
    Float(f64),
    /// A time; type code 4.
    Time(Timestamp),
}

impl TraitValue {
    /// The number that ceilometer's messages have for the type.
    pub fn code(&self) -> u8 {
        match self {
            Self::Text(_) => 1,
            Self::Int(_) => 2,
            Self::Float(_) => 3,
            Self::Time(_) => 4,
        }
    }
}
