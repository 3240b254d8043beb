//! One value of one meter of one resource at one time.

use std::sync::Arc;

use crate::{MessageId, Meter, Subject, Timestamp, Volume};

/// A sample. What it shares with others of its resource or meter is held by reference.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Sample {
    /// Whose value this is.
    pub subject: Arc<Subject>,
    /// Which quantity.
    pub meter: Arc<Meter>,
    /// The value, in the meter's unit.
    pub volume: Volume,
    /// Seconds on the clock that the pollster measured with, for rates that a wall clock cannot give.
    pub monotonic_time: Option<f64>,
    /// The time at which the pollster run began, the same for all its samples.
    pub timestamp: Timestamp,
    /// The same for every delivery of this sample, by whichever agent.
    pub id: MessageId,
}

impl Sample {
    /// A value without a time on the monotonic clock.
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

    /// Read when the clock that the pollster measures with was at so many seconds.
    #[must_use]
    pub fn read_at(mut self, monotonic_time: impl Into<Option<f64>>) -> Self {
        self.monotonic_time = monotonic_time.into();
        self
    }
}
