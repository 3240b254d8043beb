//! The payload of a batch: samples or events.

use crate::{Event, Sample};

/// The payload of a batch.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Payload {
    /// Samples, in the order in which they were reported.
    Samples(Vec<Sample>),
    /// Events, in the order of their arrival.
    Events(Vec<Event>),
}

/// The kinds of payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PayloadKind {
    /// Samples.
    Samples,
    /// Events.
    Events,
}

impl Payload {
    /// The kind of the payload.
    pub fn kind(&self) -> PayloadKind {
        match self {
            Self::Samples(_) => PayloadKind::Samples,
            Self::Events(_) => PayloadKind::Events,
        }
    }

    /// The number of samples or events.
    pub fn len(&self) -> usize {
        match self {
            Self::Samples(samples) => samples.len(),
            Self::Events(events) => events.len(),
        }
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
