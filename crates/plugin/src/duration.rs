//! Durations in human-readable form: `300`, `30s`, `1h30m`, `250ms`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};
use thiserror::Error;

/// The maximum duration in a configuration: 10 years of 366 days.
pub const MAX_DURATION: Duration = Duration::from_secs(3_660 * 86_400);

/// The units, largest first, with their length in milliseconds.
const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// A duration in a configuration file: a whole number of seconds, or numbers with units (`d`, `h`, `m`, `s`, `ms`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HumanDuration(pub Duration);

/// Why a text is not a duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DurationError {
    /// The text does not have the form of a duration.
    #[error("expected a number of seconds or a duration such as `30s` or `1h30m`")]
    Form,
    /// The unit of a number is unknown.
    #[error("expected one of the units `d`, `h`, `m`, `s`, `ms`")]
    Unit,
    /// Longer than [`MAX_DURATION`].
    #[error("a duration is at most 3660 days long")]
    TooLong,
}

impl HumanDuration {
    /// A duration of this many seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }
}

impl From<HumanDuration> for Duration {
    fn from(human: HumanDuration) -> Self {
        human.0
    }
}

impl FromStr for HumanDuration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        let text = text.trim();
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            let seconds: u64 = text.parse().map_err(|_| DurationError::TooLong)?;
            return bounded(seconds.checked_mul(1_000));
        }
        let mut total = Some(0_u64);
        let mut rest = text;
        if rest.is_empty() {
            return Err(DurationError::Form);
        }
        while !rest.is_empty() {
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let (number, after) = rest.split_at(digits);
            if number.is_empty() {
                return Err(DurationError::Form);
            }
            let letters = after.len() - after.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
            let (unit, after) = after.split_at(letters);
            let Some((_, length)) = UNITS.iter().find(|(name, _)| *name == unit) else {
                return Err(if unit.is_empty() {
                    DurationError::Form
                } else {
                    DurationError::Unit
                });
            };
            let part = number
                .parse::<u64>()
                .ok()
                .and_then(|number| number.checked_mul(*length));
            total = total.zip(part).and_then(|(total, part)| total.checked_add(part));
            rest = after.trim_start();
        }
        bounded(total)
    }
}

fn bounded(milliseconds: Option<u64>) -> Result<HumanDuration, DurationError> {
    milliseconds
        .map(Duration::from_millis)
        .filter(|duration| *duration <= MAX_DURATION)
        .map(HumanDuration)
        .ok_or(DurationError::TooLong)
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if left == 0 {
            return f.write_str("0s");
        }
        for (unit, length) in UNITS {
            if left >= length {
                write!(f, "{}{unit}", left / length)?;
                left %= length;
            }
        }
        Ok(())
    }
}

impl Serialize for HumanDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Human;

        impl Visitor<'_> for Human {
            type Value = HumanDuration;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of seconds or a duration such as `30s` or `1h30m`")
            }

            fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<HumanDuration, E> {
                bounded(seconds.checked_mul(1_000)).map_err(E::custom)
            }

            fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<HumanDuration, E> {
                let seconds = u64::try_from(seconds).map_err(|_| E::custom(DurationError::Form))?;
                self.visit_u64(seconds)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<HumanDuration, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_any(Human)
    }
}

impl JsonSchema for HumanDuration {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["integer", "string"], "format": "duration", "minimum": 0 })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_parsed() {
        let read = |text: &str| text.parse::<HumanDuration>().map(|human| human.0.as_millis());
        assert_eq!(read("300"), Ok(300_000));
        assert_eq!(read(" 5m "), Ok(300_000));
        assert_eq!(read("1h30m"), Ok(5_400_000));
        assert_eq!(read("1h 30m"), Ok(5_400_000));
        assert_eq!(read("90s"), Ok(90_000));
        assert_eq!(read("250ms"), Ok(250));
        assert_eq!(read("1d"), Ok(86_400_000));
        for text in ["", " ", "m", "-5", "5m3", "1.5s", "١s"] {
            assert_eq!(read(text), Err(DurationError::Form), "{text}");
        }
        assert_eq!(read("5min"), Err(DurationError::Unit));
        for text in [
            "99999999999999999999",
            "99999999999999999999d",
            "4000d",
            "18446744073709551615d",
        ] {
            assert_eq!(read(text), Err(DurationError::TooLong), "{text}");
        }
    }

    proptest! {
        #[test]
        fn display_and_parse_round_trip(milliseconds in 0_u64..MAX_DURATION.as_millis() as u64) {
            let human = HumanDuration(Duration::from_millis(milliseconds));
            prop_assert_eq!(human.to_string().parse(), Ok(human));
        }

        #[test]
        fn parsing_never_panics(text in ".{0,30}") {
            let _ = text.parse::<HumanDuration>();
        }
    }
}
