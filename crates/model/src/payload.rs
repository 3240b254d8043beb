//! What a batch carries: samples or events.

use crate::{Event, Sample};

/// What a batch carries.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Payload {
    /// Samples, in the order in which they were reported.
    Samples(Vec<Sample>),
    /// Events, in the order in which they came.
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
    /// Which kind it is.
    pub fn kind(&self) -> PayloadKind {
        match self {
            Self::Samples(_) => PayloadKind::Samples,
            Self::Events(_) => PayloadKind::Events,
        }
    }

    /// How many samples or events it has.
    pub fn len(&self) -> usize {
        match self {
            Self::Samples(samples) => samples.len(),
            Self::Events(events) => events.len(),
        }
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
