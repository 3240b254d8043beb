//! A figure: a measured value with its budget and method.

use serde::{Deserialize, Deserializer, Serialize};

use crate::error::{BenchError, Context};

/// One line of the table.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Figure {
    /// The name.
    pub(crate) name: String,
    /// The budget; none for a figure that is only for comparison.
    pub(crate) budget: Budget,
    /// The value in `unit`; not finite if the event never occurred, which is `null` in JSON.
    #[serde(deserialize_with = "or_never")]
    pub(crate) measured: f64,
    pub(crate) unit: Unit,
    /// The method, in one sentence.
    pub(crate) how: String,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Budget {
    AtMost(f64),
    AtLeast(f64),
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Unit {
    /// 1,000,000 bytes.
    Megabytes,
    Milliseconds,
    SamplesPerSecond,
    /// Per second.
    PerSecond,
    Percent,
    /// A ratio.
    Times,
    Bytes,
    Microseconds,
    /// A count.
    Count,
}

impl Figure {
    pub(crate) fn new(
        name: impl Into<String>,
        unit: Unit,
        budget: Budget,
        measured: f64,
        how: impl Into<String>,
    ) -> Self {
        Self {
            name: name.into(),
            budget,
            measured,
            unit,
            how: how.into(),
        }
    }

    /// Returns whether the budget is exceeded; a value that is not finite always exceeds it.
    pub(crate) fn is_over(&self) -> bool {
        match self.budget {
            Budget::None => false,
            _ if !self.measured.is_finite() => true,
            Budget::AtMost(most) => self.measured > most,
            Budget::AtLeast(least) => self.measured < least,
        }
    }

    pub(crate) fn verdict(&self) -> &'static str {
        match self.budget {
            Budget::None => "-",
            _ if self.is_over() => "over",
            _ => "ok",
        }
    }

    /// Serializes figures for the parent process.
    pub(crate) fn write_all(figures: &[Self]) -> Result<String, BenchError> {
        serde_json::to_string(figures).context("write the figures")
    }

    pub(crate) fn read_all(text: &str) -> Result<Vec<Self>, BenchError> {
        serde_json::from_str(text).context("read the figures of a benchmark")
    }
}

fn or_never<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

impl Budget {
    pub(crate) fn show(self, unit: Unit) -> String {
        match self {
            Self::AtMost(most) => format!("<= {}", unit.show(most)),
            Self::AtLeast(least) => format!(">= {}", unit.show(least)),
            Self::None => "-".to_owned(),
        }
    }
}

impl Unit {
    pub(crate) fn show(self, value: f64) -> String {
        match self {
            _ if !value.is_finite() => "never".to_owned(),
            Self::Megabytes => format!("{value:.1} MB"),
            Self::Milliseconds => format!("{value:.1} ms"),
            Self::SamplesPerSecond => format!("{}/s", thousands(value)),
            Self::PerSecond => format!("{value:.1}/s"),
            Self::Percent => format!("{value:.2} %"),
            Self::Times => format!("{value:.2} x"),
            Self::Bytes => format!("{value:.0} B"),
            Self::Microseconds => format!("{value:.2} us"),
            Self::Count => format!("{value}"),
        }
    }
}

/// Rounds to thousands, the precision that the noise of the machine permits, with separators.
fn thousands(value: f64) -> String {
    let mut digits = format!("{:.0}", (value / 1000.0).round() * 1000.0);
    let mut place = digits.len();
    while place > 3 {
        place -= 3;
        digits.insert(place, ',');
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_compared_with_its_budget() {
        let figure = |budget| Figure::new("x", Unit::Milliseconds, budget, 3.0, "");
        assert_eq!(figure(Budget::AtMost(3.0)).verdict(), "ok");
        assert_eq!(figure(Budget::AtMost(2.9)).verdict(), "over");
        assert_eq!(figure(Budget::AtLeast(3.1)).verdict(), "over");
        assert_eq!(figure(Budget::None).verdict(), "-");
    }

    #[test]
    fn a_value_that_is_not_finite_is_shown_and_exceeds_every_budget() {
        let never = |budget| Figure::new("x", Unit::Milliseconds, budget, f64::INFINITY, "");
        let written = Figure::write_all(&[never(Budget::AtMost(1.0)), never(Budget::AtLeast(1.0))]).unwrap();
        for figure in Figure::read_all(&written).unwrap() {
            assert_eq!(figure.verdict(), "over");
            assert_eq!(figure.unit.show(figure.measured), "never");
        }
    }

    #[test]
    fn large_numbers_have_separators() {
        assert_eq!(Unit::SamplesPerSecond.show(1_234_567.0), "1,235,000/s");
        assert_eq!(Unit::SamplesPerSecond.show(999.0), "1,000/s");
    }
}
