//! Samples in the program's output: JSON in ceilometer's message format.

use std::path::Path;

use serde_json::Value;

/// A sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample(pub Value);

impl Sample {
    /// Parses a line; returns `None` if it is not a sample.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(line).ok()?;
        value.get("counter_name").is_some().then_some(Self(value))
    }

    fn text(&self, key: &str) -> &str {
        self.0
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_else(|| panic!("no text as `{key}`: {self:?}"))
    }

    /// `counter_name`
    #[must_use]
    pub fn meter(&self) -> &str {
        self.text("counter_name")
    }

    /// `resource_id`
    #[must_use]
    pub fn resource(&self) -> &str {
        self.text("resource_id")
    }

    /// `message_id`
    #[must_use]
    pub fn id(&self) -> &str {
        self.text("message_id")
    }

    /// `counter_unit`
    #[must_use]
    pub fn unit(&self) -> &str {
        self.text("counter_unit")
    }

    /// `counter_volume`
    #[must_use]
    pub fn volume(&self) -> f64 {
        let volume = self.0.get("counter_volume").and_then(Value::as_f64);
        volume.unwrap_or_else(|| panic!("no numeric volume: {self:?}"))
    }
}

/// Returns the samples of a text in which every line is a sample.
#[must_use]
pub fn samples(text: &str) -> Vec<Sample> {
    assert!(
        text.is_empty() || text.ends_with('\n'),
        "a truncated line at the end: {:?}",
        text.lines().last()
    );
    let lines = text.lines();
    lines
        .map(|line| Sample::parse(line).unwrap_or_else(|| panic!("not a sample: {line:?}")))
        .collect()
}

/// Returns the samples of a file, or none without the file. It omits an incomplete line at the end, which the program may be
/// writing.
#[must_use]
pub fn samples_in(path: &Path) -> Vec<Sample> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    samples(text.rfind('\n').map_or("", |end| &text[..=end]))
}
