//! The schedule of a source.

use std::borrow::Cow;
use std::time::Duration;

use nephoscope_sources::{Schedule, ScheduleError};
use serde_json::{Map, Value};

use super::number::{octal, python_int, sexagesimal};
use super::reader::{Reader, duration};
use crate::duration::HumanDuration;
use crate::finding::{Finding, Part};
use crate::problem::Problem;
use crate::schema::kind;

const INTERVAL_FORM: &str = "a number of seconds or a duration such as `5m`";

impl Reader<'_> {
    pub(super) fn schedule(&mut self, fields: &Map<String, Value>) -> Option<Schedule> {
        match (fields.get("interval"), fields.get("cron")) {
            (None, None) => {
                let help = "add `interval:` with a number of seconds, or `cron:` with an expression";
                self.missing(Problem::IntervalMissing, "interval", help);
                // This reports errors of `offset` as well.
                self.offset(fields);
                None
            }
            (Some(interval), None) => {
                if fields.get("time_zone").is_some_and(|zone| !zone.is_null()) {
                    self.misplaced("time_zone", "cron");
                }
                let written = self.interval(interval);
                let offset = self.offset(fields);
                let (interval, offset) = (written?, offset?);
                match Schedule::every(interval, offset) {
                    Ok(schedule) => Some(schedule),
                    Err(error) => {
                        self.bad_interval(&error);
                        None
                    }
                }
            }
            (None, Some(cron)) => {
                if fields.get("offset").is_some_and(|offset| !offset.is_null()) {
                    self.misplaced("offset", "interval");
                }
                self.cron(cron, fields.get("time_zone"))
            }
            (Some(_), Some(_)) => {
                let title = format!("both `interval` and `cron`{}", self.of_source());
                let finding = self
                    .finding(
                        Problem::ScheduleConflict,
                        title,
                        &self.path.at("cron"),
                        Part::Key,
                        "this is a schedule",
                    )
                    .also(
                        self.place(&self.path.at("interval"), Part::Key),
                        "this is another schedule",
                    )
                    .help(Some("remove one of them"));
                self.findings.add(finding);
                None
            }
        }
    }

    fn misplaced(&mut self, key: &str, other: &str) {
        let title = format!("`{key}`{} without `{other}`", self.of_source());
        let path = self.path.at(key);
        self.error(
            Problem::ScheduleKey,
            title,
            &path,
            Part::Key,
            format!("this belongs to `{other}`"),
        );
    }

    fn interval(&mut self, value: &Value) -> Option<Duration> {
        let path = self.path.at("interval");
        let of_source = self.of_source();
        let invalid = |reader: &mut Self, label: Cow<'static, str>, help: Option<String>| {
            let title = format!("`interval`{of_source} is not an interval");
            let finding = reader.finding(Problem::IntervalInvalid, title, &path, Self::part(value), label);
            reader.findings.add(finding.help(help));
            None
        };
        let seconds = match value {
            Value::Bool(flag) => {
                let finding = Finding::warning(
                    Problem::IntervalConverted,
                    format!("`interval`{of_source} is a boolean"),
                )
                .at(
                    self.place(&path, Part::Value),
                    format!("converted to {} as in ceilometer", i64::from(*flag)),
                );
                if *flag {
                    self.findings.add(finding);
                }
                Some(i128::from(*flag))
            }
            Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
                (Some(whole), _, _) => Some(i128::from(whole)),
                (_, Some(whole), _) => Some(i128::from(whole)),
                (_, _, Some(fraction)) => {
                    // The cast saturates. The range is checked below.
                    let whole = fraction.trunc() as i128;
                    if fraction.fract() != 0.0 && whole > 0 {
                        let title = format!("`interval`{of_source} has a fraction of a second");
                        let finding = Finding::warning(Problem::IntervalConverted, title).at(
                            self.place(&path, Part::Value),
                            format!("converted to {whole} as in ceilometer"),
                        );
                        self.findings.add(finding);
                    }
                    Some(whole)
                }
                _ => None,
            },
            Value::String(text) => {
                let plain = self
                    .documents
                    .get(self.document)
                    .and_then(|d| d.find(&path))
                    .is_some_and(|found| found.plain);
                match python_int(text) {
                    Some(_) if plain && octal(text) => {
                        let help = Some(
                            "ceilometer reads a number that begins with 0 as octal; remove the 0".to_owned(),
                        );
                        return invalid(self, format!("expected {INTERVAL_FORM}").into(), help);
                    }
                    Some(whole) => Some(whole),
                    None => match text.parse::<HumanDuration>() {
                        Ok(duration) if duration.0.is_zero() => Some(0),
                        Ok(duration) => return Some(duration.0),
                        Err(_) => {
                            let help = sexagesimal(text)
                                .map(|seconds| format!("for {seconds} seconds write `{seconds}`"));
                            return invalid(self, format!("expected {INTERVAL_FORM}").into(), help);
                        }
                    },
                }
            }
            _ => None,
        };
        let Some(seconds) = seconds else {
            return invalid(
                self,
                format!("expected {INTERVAL_FORM}, found {}", kind(value)).into(),
                None,
            );
        };
        if seconds <= 0 {
            let title = format!("`interval`{of_source} is not positive");
            self.error(
                Problem::IntervalNotPositive,
                title,
                &path,
                Part::Value,
                "expected at least 1 second",
            );
            return None;
        }
        // Larger values saturate and are reported as too long.
        Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(u64::MAX)))
    }

    fn bad_interval(&mut self, error: &ScheduleError) {
        let of_source = self.of_source();
        let finding = match error {
            ScheduleError::OffsetTooLong => self.finding(
                Problem::OffsetInvalid,
                format!("`offset`{of_source} is not shorter than its interval"),
                &self.path.at("offset"),
                Part::Value,
                "expected less than `interval`",
            ),
            other => self.finding(
                Problem::IntervalRange,
                format!("`interval`{of_source} is out of range"),
                &self.path.at("interval"),
                Part::Value,
                other.to_string(),
            ),
        };
        self.findings.add(finding);
    }

    fn offset(&mut self, fields: &Map<String, Value>) -> Option<Duration> {
        let value = match fields.get("offset") {
            None | Some(Value::Null) => return Some(Duration::ZERO),
            Some(value) => value,
        };
        let offset = duration(value).filter(|offset| offset.subsec_nanos() == 0);
        if offset.is_none() {
            let title = format!("`offset`{} is not a whole number of seconds", self.of_source());
            let path = self.path.at("offset");
            self.error(
                Problem::OffsetInvalid,
                title,
                &path,
                Self::part(value),
                format!("expected {INTERVAL_FORM}"),
            );
        }
        offset
    }

    fn cron(&mut self, value: &Value, zone: Option<&Value>) -> Option<Schedule> {
        let path = self.path.at("cron");
        let of_source = self.of_source();
        let zone_path = self.path.at("time_zone");
        let zone_title = format!("`time_zone`{of_source} is not a time zone");
        let zone = match zone {
            None | Some(Value::Null) => "UTC",
            Some(Value::String(zone)) => zone,
            Some(other) => {
                let label = format!("expected a name such as `Europe/Prague`, found {}", kind(other));
                self.error(
                    Problem::TimeZoneInvalid,
                    zone_title,
                    &zone_path,
                    Self::part(other),
                    label,
                );
                return None;
            }
        };
        let title = format!("`cron`{of_source} is not a cron expression");
        let Value::String(expression) = value else {
            let label = format!("expected text such as `\"0 */5 * * * *\"`, found {}", kind(value));
            self.error(Problem::CronInvalid, title, &path, Self::part(value), label);
            return None;
        };
        match Schedule::cron(expression, zone) {
            Ok(schedule) => Some(schedule),
            Err(ScheduleError::TimeZone(_)) => {
                let label = "expected a time zone of this machine such as `UTC` or `Europe/Prague`";
                self.error(
                    Problem::TimeZoneInvalid,
                    zone_title,
                    &zone_path,
                    Part::Value,
                    label,
                );
                None
            }
            Err(error) => {
                let fields = expression.split_whitespace().count();
                let help = match (&error, fields) {
                    (ScheduleError::Cron(_), 5) => {
                        Some(format!("add the seconds: `\"0 {}\"`", expression.trim()))
                    }
                    _ => None,
                };
                let label = match error {
                    ScheduleError::Never => "this never matches".to_owned(),
                    _ => "expected 6 fields: second minute hour day month weekday".to_owned(),
                };
                let finding = self
                    .finding(Problem::CronInvalid, title, &path, Part::Value, label)
                    .help(help);
                self.findings.add(finding);
                None
            }
        }
    }
}
