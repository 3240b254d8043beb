//! Reads samples from files, and finds their cycles.

use std::collections::HashMap;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use nephoscope_model::{CycleId, RunIds, ScheduleId, Timestamp};
use serde_json::Value;

use super::run::{Cycle, Schedule, Written};
use crate::Sample;

/// How many cycles back to search for the cycle of a sample. A takeover ends in the next cycle, and each death delays it by
/// the duration of a lease.
const BACK: i64 = 6;

/// Reads the files of `file://` publishers.
///
/// A sample does not contain its cycle, and its time does not determine it, since a takeover may poll in the next cycle. But
/// the message id depends on the cycle: it is computed for each possible cycle.
pub struct Files<'a> {
    schedules: &'a [Schedule],
    /// The boot clock at the epoch.
    epoch: f64,
    /// The pollster of the samples.
    pollster: &'a str,
    runs: HashMap<Cycle, RunIds>,
}

/// A sample whose id matches no cycle.
#[derive(Debug, Clone, PartialEq)]
pub struct Unknown {
    /// The agent that wrote it.
    pub agent: String,
    /// The sample.
    pub sample: Sample,
}

impl<'a> Files<'a> {
    /// Returns a reader of files with samples of this pollster on these schedules.
    #[must_use]
    pub fn new(schedules: &'a [Schedule], epoch: f64, pollster: &'a str) -> Self {
        Self {
            schedules,
            epoch,
            pollster,
            runs: HashMap::new(),
        }
    }

    /// Returns the samples that `agent` wrote.
    pub fn read(&mut self, agent: &str, samples: Vec<Sample>) -> (Vec<Written>, Vec<Unknown>) {
        let mut written = Vec::with_capacity(samples.len());
        let mut unknown = Vec::new();
        for sample in samples {
            match self.identify(agent, &sample) {
                Some(sample) => written.push(sample),
                None => unknown.push(Unknown {
                    agent: agent.to_owned(),
                    sample,
                }),
            }
        }
        (written, unknown)
    }

    fn identify(&mut self, agent: &str, sample: &Sample) -> Option<Written> {
        let finished = sample.0.get("monotonic_time").and_then(Value::as_f64)?;
        let began = self.epoch + since_epoch(sample.0.get("timestamp")?.as_str()?)?;
        let millis = ((finished - self.epoch) * 1000.0) as i64;
        for schedule in self.schedules {
            let last = (millis - schedule.offset).div_euclid(schedule.interval);
            for number in (last - BACK..=last).rev() {
                let cycle = Cycle {
                    schedule: schedule.id.clone(),
                    start: number * schedule.interval + schedule.offset,
                };
                let ids = self.runs.entry(cycle.clone()).or_insert_with(|| {
                    let cycle = CycleId::new(
                        ScheduleId::new(schedule.id.as_str()),
                        Timestamp::from_millis(cycle.start),
                        number,
                    );
                    // The host is empty: the resources are shared.
                    RunIds::new("", &cycle, self.pollster)
                });
                let key = sample.resource();
                if ids.resource(key).sample(sample.meter(), key, 0).to_string() == sample.id() {
                    return Some(Written {
                        agent: agent.to_owned(),
                        resource: key.to_owned(),
                        meter: sample.meter().to_owned(),
                        cycle,
                        id: sample.id().to_owned(),
                        began,
                        finished,
                    });
                }
            }
        }
        None
    }
}

/// Parses ceilometer's time format into seconds since the epoch.
fn since_epoch(text: &str) -> Option<f64> {
    let time = text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok()?;
    Some(time.timestamp().as_duration().as_secs_f64())
}
