//! Samples: one value of one meter of one resource at one time.

use std::sync::Arc;

use crate::{MessageId, Meter, Subject, Timestamp, Volume};

/// A sample. It references the data that it shares with others of its resource or meter.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Sample {
    /// The resource and its owner.
    pub subject: Arc<Subject>,
    /// The meter.
    pub meter: Arc<Meter>,
    /// The value, in the meter's unit.
    pub volume: Volume,
    /// Seconds on the monotonic clock of the measurement, for rates.
    pub monotonic_time: Option<f64>,
    /// The start of the pollster run, equal for all its samples.
    pub timestamp: Timestamp,
    /// The id, equal for every delivery of this sample by any agent.
    pub id: MessageId,
}

impl Sample {
    /// Creates a sample without a monotonic time.
    pub fn new(
        subject: Arc<Subject>,
        meter: Arc<Meter>,
        volume: impl Into<Volume>,
        timestamp: Timestamp,
        id: MessageId,
    ) -> Self {
        Self {
            subject,
            meter,
            volume: volume.into(),
            monotonic_time: None,
            timestamp,
            id,
        }
    }

    /// Sets the monotonic time of the measurement in seconds.
    #[must_use]
    pub fn read_at(mut self, monotonic_time: impl Into<Option<f64>>) -> Self {
        self.monotonic_time = monotonic_time.into();
        self
    }
}
