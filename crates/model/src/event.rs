//! Events with typed traits.

use std::sync::Arc;

use crate::{MessageId, Timestamp, Value};

/// An event: a notification of a service, with the traits extracted from it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Event {
    /// Published as `message_id`: the id of the notification.
    pub id: MessageId,
    /// Published as `event_type`, for example `compute.instance.create.end`.
    pub event_type: Arc<str>,
    /// Published as `generated`: the time of the event in UTC.
    pub generated: Timestamp,
    /// Its traits, in the order of their definitions.
    pub traits: Vec<Trait>,
    /// Published as `raw`: the notification, or an empty mapping if it was not requested.
    pub raw: Value,
}

impl Event {
    /// Creates an event without traits and without the notification.
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

    /// Sets the notification.
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
    /// The type code in ceilometer's messages.
    pub fn code(&self) -> u8 {
        match self {
            Self::Text(_) => 1,
            Self::Int(_) => 2,
            Self::Float(_) => 3,
            Self::Time(_) => 4,
        }
    }
}
