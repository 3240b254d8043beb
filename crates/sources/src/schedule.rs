//! Schedules: the edges at which a source is polled, and the identities of cycles.

use std::fmt;
use std::time::Duration;

use croner::Cron;
use croner::parser::{CronParser, Seconds};
use jiff::tz::TimeZone;
use nephoscope_model::{CycleId, ScheduleId, Timestamp};

/// The maximum interval: a year and a day. It allows yearly polls and catches typing errors.
pub const MAX_INTERVAL: Duration = Duration::from_secs(366 * 24 * 3600);

/// In milliseconds.
const HOUR: i64 = 3_600_000;

/// The maximum number of edges of a cron expression that are counted to estimate the edges per hour.
const MAX_COUNTED_EDGES: u32 = 10_000;

/// Edges on the wall clock: at a fixed interval, or from a cron expression.
///
/// Every agent computes the same edges; an edge in UTC milliseconds is the identity of a cycle.
#[derive(Clone)]
pub struct Schedule {
    id: ScheduleId,
    edges: Edges,
}

#[derive(Clone)]
enum Edges {
    /// Start times that are `offset` more than a multiple of `interval`, in milliseconds since the epoch.
    Every { interval: i64, offset: i64 },
    /// A cron expression in a time zone.
    Cron { cron: Box<Cron>, time_zone: TimeZone },
}

/// Why a schedule is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// The interval is zero.
    #[error("an interval is at least 1 second")]
    TooShort,
    /// The interval is too long.
    #[error("an interval is at most 366 days")]
    TooLong,
    /// The interval or offset has a fraction of a second.
    #[error("intervals and offsets are whole seconds")]
    Fraction,
    /// The offset is not less than the interval.
    #[error("an offset is less than its interval")]
    OffsetTooLong,
    /// The expression is not a valid cron expression.
    #[error("not a cron expression of 6 fields (second minute hour day month weekday): {0}")]
    Cron(String),
    /// The expression never matches.
    #[error("the cron expression never matches")]
    Never,
    /// The time zone is unknown on this machine.
    #[error("unknown time zone `{0}`; expected a name such as `UTC` or `Europe/Prague`")]
    TimeZone(String),
}

impl Schedule {
    /// A schedule every `interval`, at `offset` after whole multiples of the interval since 1970 in UTC.
    pub fn every(interval: Duration, offset: Duration) -> Result<Self, ScheduleError> {
        if interval.subsec_nanos() != 0 || offset.subsec_nanos() != 0 {
            return Err(ScheduleError::Fraction);
        }
        if interval.is_zero() {
            return Err(ScheduleError::TooShort);
        }
        if interval > MAX_INTERVAL {
            return Err(ScheduleError::TooLong);
        }
        if offset >= interval {
            return Err(ScheduleError::OffsetTooLong);
        }
        // Both are below a year and a day.
        let seconds = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
        let (interval, offset) = (seconds(interval), seconds(offset));
        Ok(Self {
            id: ScheduleId::new(format!("every:{interval}:{offset}")),
            edges: Edges::Every {
                interval: interval * 1000,
                offset: offset * 1000,
            },
        })
    }

    /// A schedule from a cron expression with seconds (six fields, or seven with a year) in a time zone by its IANA name.
    /// When clocks are set back an hour, a fixed time of that hour occurs once.
    pub fn cron(expression: &str, time_zone: &str) -> Result<Self, ScheduleError> {
        let cron = CronParser::builder()
            .seconds(Seconds::Required)
            .build()
            .parse(expression)
            .map_err(|error| ScheduleError::Cron(error.to_string()))?;
        let zone = if time_zone == "UTC" {
            TimeZone::UTC
        } else {
            TimeZone::get(time_zone).map_err(|_| ScheduleError::TimeZone(time_zone.to_owned()))?
        };
        let fields: Vec<_> = expression.split_whitespace().collect();
        let schedule = Self {
            id: ScheduleId::new(format!("cron:{}:{time_zone}", fields.join(" "))),
            edges: Edges::Cron {
                cron: Box::new(cron),
                time_zone: zone,
            },
        };
        // From 2020: an expression with an earlier year never matches.
        let start = Timestamp::from_millis(1_577_836_800_000);
        schedule.edge_after(start).ok_or(ScheduleError::Never)?;
        Ok(schedule)
    }

    /// The canonical text, equal on every agent with the same schedule.
    pub fn id(&self) -> &ScheduleId {
        &self.id
    }

    /// The first edge after `time`; `None` for a cron expression whose year is over.
    pub fn edge_after(&self, time: Timestamp) -> Option<Timestamp> {
        match &self.edges {
            Edges::Every { interval, offset } => {
                let multiple = (time.as_millis() - offset).div_euclid(*interval) + 1;
                Some(Timestamp::from_millis(multiple * interval + offset))
            }
            Edges::Cron { cron, time_zone } => {
                let from = zoned(time, time_zone)?;
                cron.find_next_occurrence(&from, false)
                    .ok()
                    .map(|edge| edge_of(&edge))
            }
        }
    }

    /// The last edge at or before `time`.
    pub fn edge_at_or_before(&self, time: Timestamp) -> Option<Timestamp> {
        match &self.edges {
            Edges::Every { interval, offset } => {
                let multiple = (time.as_millis() - offset).div_euclid(*interval);
                Some(Timestamp::from_millis(multiple * interval + offset))
            }
            Edges::Cron { cron, time_zone } => {
                let from = zoned(time, time_zone)?;
                cron.find_previous_occurrence(&from, true)
                    .ok()
                    .map(|edge| edge_of(&edge))
            }
        }
    }

    /// The time from the edge `start` to the next one: the maximum duration of a cycle.
    pub fn interval_from(&self, start: Timestamp) -> Duration {
        match &self.edges {
            Edges::Every { interval, .. } => Duration::from_millis(interval.unsigned_abs()),
            Edges::Cron { .. } => {
                let next = self.edge_after(start).map_or(start, |next| next);
                let micros = next.as_micros().saturating_sub(start.as_micros());
                match u64::try_from(micros) {
                    Ok(micros) if micros > 0 => Duration::from_micros(micros),
                    // The last edge: no later one limits the cycle.
                    _ => MAX_INTERVAL,
                }
            }
        }
    }

    /// The average number of edges per hour. For a cron expression, over the four weeks from `time`, or over a year if those
    /// have no edge.
    pub fn per_hour(&self, time: Timestamp) -> f64 {
        let interval = match &self.edges {
            Edges::Every { interval, .. } => *interval,
            Edges::Cron { .. } => return self.counted_per_hour(time),
        };
        HOUR as f64 / interval as f64
    }

    fn counted_per_hour(&self, time: Timestamp) -> f64 {
        for hours in [4 * 7 * 24, 366 * 24] {
            let end = Timestamp::from_millis(time.as_millis() + hours * HOUR);
            let edges = std::iter::successors(self.edge_after(time), |edge| self.edge_after(*edge));
            let mut last = time;
            let mut count: u32 = 0;
            for edge in edges.take_while(|edge| *edge <= end) {
                last = edge;
                count += 1;
                if count == MAX_COUNTED_EDGES {
                    break;
                }
            }
            // At the maximum count, the rate up to the last counted edge is extrapolated.
            let passed = if count == MAX_COUNTED_EDGES { last } else { end };
            if count > 0 {
                return f64::from(count) / ((passed.as_millis() - time.as_millis()) as f64 / HOUR as f64);
            }
        }
        0.0
    }

    /// The identity of the cycle that starts at the edge `start`.
    pub fn cycle(&self, start: Timestamp) -> CycleId {
        let number = match &self.edges {
            Edges::Every { interval, offset } => (start.as_millis() - offset).div_euclid(*interval),
            Edges::Cron { .. } => start.as_millis().div_euclid(1000),
        };
        CycleId::new(self.id.clone(), start, number)
    }
}

impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Schedule {}

impl fmt::Debug for Schedule {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Schedule({})", self.id)
    }
}

/// Human-readable form: `every 5m`, `every 10s + 2s`, `cron 0 */5 * * * * UTC`.
impl fmt::Display for Schedule {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.edges {
            Edges::Every { interval, offset } => {
                write!(out, "every {}", Human(*interval / 1000))?;
                if *offset > 0 {
                    write!(out, " + {}", Human(*offset / 1000))?;
                }
                Ok(())
            }
            Edges::Cron { .. } => {
                let text = self.id.as_str();
                let text = text.strip_prefix("cron:").unwrap_or(text);
                let (expression, zone) = text.rsplit_once(':').unwrap_or((text, ""));
                write!(out, "cron {expression} {zone}")
            }
        }
    }
}

/// Seconds displayed as `1h30m`, without zero parts.
struct Human(i64);

impl fmt::Display for Human {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        for (size, letter) in [(86_400, 'd'), (3600, 'h'), (60, 'm'), (1, 's')] {
            if rest >= size {
                write!(out, "{}{letter}", rest / size)?;
                rest %= size;
            }
        }
        Ok(())
    }
}

fn zoned(time: Timestamp, zone: &TimeZone) -> Option<jiff::Zoned> {
    let instant = jiff::Timestamp::from_microsecond(time.as_micros()).ok()?;
    Some(instant.to_zoned(zone.clone()))
}

fn edge_of(zoned: &jiff::Zoned) -> Timestamp {
    Timestamp::from_millis(zoned.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::from_millis(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn edges_per_hour_are_counted() {
        let monday = at("2026-01-05T00:00:00Z");
        let every = |interval| {
            Schedule::every(seconds(interval), seconds(0))
                .unwrap()
                .per_hour(monday)
        };
        assert_eq!(every(300), 12.0);
        assert_eq!(every(7200), 0.5);
        let cron = |text| Schedule::cron(text, "UTC").unwrap().per_hour(monday);
        assert_eq!(cron("0 */5 * * * *"), 12.0);
        assert_eq!(cron("* * * * * *"), 3600.0);
        // Five of seven days, ten of 24 hours.
        assert!((cron("0 0 8-17 * * 1-5") - 50.0 / 168.0).abs() < 1e-9);
        assert!((cron("0 0 0 24 12 *") - 1.0 / (366.0 * 24.0)).abs() < 1e-9);
    }

    #[test]
    fn intervals_align_to_the_epoch_and_offsets_shift_them() {
        let plain = Schedule::every(seconds(300), seconds(0)).unwrap();
        assert_eq!(
            plain.edge_after(at("2026-01-02T03:04:05Z")),
            Some(at("2026-01-02T03:05:00Z"))
        );
        assert_eq!(
            plain.edge_after(at("2026-01-02T03:05:00Z")),
            Some(at("2026-01-02T03:10:00Z"))
        );
        assert_eq!(
            plain.edge_at_or_before(at("2026-01-02T03:05:00Z")),
            Some(at("2026-01-02T03:05:00Z"))
        );
        let shifted = Schedule::every(seconds(300), seconds(7)).unwrap();
        assert_eq!(
            shifted.edge_after(at("2026-01-02T03:05:00Z")),
            Some(at("2026-01-02T03:05:07Z"))
        );
        assert_eq!(
            shifted.cycle(at("2026-01-02T03:05:07Z")).number,
            plain.cycle(at("2026-01-02T03:05:00Z")).number
        );
    }

    #[test]
    fn the_id_does_not_depend_on_the_spelling() {
        assert_eq!(
            Schedule::every(seconds(300), seconds(0)).unwrap().id().as_str(),
            "every:300:0"
        );
        let cron = Schedule::cron("0  */5 * * *   *", "UTC").unwrap();
        assert_eq!(cron.id().as_str(), "cron:0 */5 * * * *:UTC");
    }

    #[test]
    fn schedules_have_a_readable_form() {
        let shown = |interval, offset| {
            Schedule::every(seconds(interval), seconds(offset))
                .unwrap()
                .to_string()
        };
        assert_eq!(shown(300, 0), "every 5m");
        assert_eq!(shown(5405, 2), "every 1h30m5s + 2s");
        assert_eq!(
            Schedule::cron("0 0 3 * * *", "UTC").unwrap().to_string(),
            "cron 0 0 3 * * * UTC"
        );
    }

    #[test]
    fn invalid_schedules_are_rejected() {
        assert_eq!(
            Schedule::every(seconds(0), seconds(0)),
            Err(ScheduleError::TooShort)
        );
        assert_eq!(
            Schedule::every(Duration::from_millis(1500), seconds(0)),
            Err(ScheduleError::Fraction)
        );
        assert_eq!(
            Schedule::every(seconds(10), seconds(10)),
            Err(ScheduleError::OffsetTooLong)
        );
        assert_eq!(
            Schedule::every(seconds(400 * 86_400), seconds(0)),
            Err(ScheduleError::TooLong)
        );
        assert!(matches!(
            Schedule::cron("* * * * *", "UTC"),
            Err(ScheduleError::Cron(_))
        ));
        assert!(matches!(
            Schedule::cron("0 0 0 1 1 * 1999", "UTC"),
            Err(ScheduleError::Never | ScheduleError::Cron(_))
        ));
        assert_eq!(
            Schedule::cron("0 0 0 * * *", "Mars/Olympus"),
            Err(ScheduleError::TimeZone("Mars/Olympus".into()))
        );
    }

    #[test]
    fn cron_edges_follow_daylight_saving_time() {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let cron = CronParser::builder()
            .seconds(Seconds::Required)
            .build()
            .parse("0 0 12 * * *")
            .unwrap();
        let schedule = Schedule {
            id: ScheduleId::new("cron:test"),
            edges: Edges::Cron {
                cron: Box::new(cron),
                time_zone: zone,
            },
        };
        let winter = schedule.edge_after(at("2026-03-27T20:00:00Z"));
        assert_eq!(winter, Some(at("2026-03-28T11:00:00Z")));
        assert_eq!(
            schedule.edge_after(winter.unwrap()),
            Some(at("2026-03-29T10:00:00Z"))
        );
        assert_eq!(schedule.edge_at_or_before(at("2026-03-29T09:59:59Z")), winter);
        assert_eq!(schedule.interval_from(winter.unwrap()), seconds(23 * 3600));
    }
}
