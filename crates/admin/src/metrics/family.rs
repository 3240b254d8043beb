//! A metric family: its name, its help, and the function that reads its values from a snapshot.

use std::fmt;

use nephoscope_config::hide_userinfo;
use nephoscope_model::Histogram;
use prometheus_client::encoding::{MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use crate::metrics::Snapshot;

/// A metric family. Values are in base units (seconds, bytes), and the name ends with the unit.
pub struct Family {
    /// The name without the unit and the suffix of its type (`_total`, `_info`).
    pub name: &'static str,
    /// The unit, if it has one.
    pub unit: Option<BaseUnit>,
    /// The type.
    pub kind: Kind,
    /// The names of the labels, in order.
    pub labels: &'static [&'static str],
    /// Whether the family may change.
    pub stability: Stability,
    /// One sentence.
    pub help: &'static str,
    /// Writes the values.
    pub(crate) read: fn(&Snapshot, &mut Series<'_>) -> fmt::Result,
}

/// The type of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A number that goes up and down.
    Gauge,
    /// A number that only grows until the agent restarts.
    Counter,
    /// Counts of values in buckets.
    Histogram,
    /// Text in labels; the value is 1.
    Info,
}

/// The stability of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stability {
    /// The name, type, unit and labels change only in a breaking version.
    Stable,
    /// Any version may change or remove the family.
    Experimental,
}

impl Stability {
    /// Returns the name in the reference.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Experimental => "experimental",
        }
    }
}

/// The unit of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BaseUnit {
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
}

impl Kind {
    /// Returns the name in the reference and in the output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Histogram => "histogram",
            Self::Info => "info",
        }
    }

    /// Returns the type of the encoder.
    pub(crate) fn metric_type(self) -> MetricType {
        match self {
            Self::Gauge => MetricType::Gauge,
            Self::Counter => MetricType::Counter,
            Self::Histogram => MetricType::Histogram,
            Self::Info => MetricType::Info,
        }
    }

    /// Returns the suffix that the type adds to the names of its series.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Self::Gauge | Self::Histogram => "",
            Self::Counter => "_total",
            Self::Info => "_info",
        }
    }
}

impl BaseUnit {
    /// Returns the suffix of names with this unit.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Seconds => "seconds",
            Self::Bytes => "bytes",
        }
    }

    /// Returns the unit of the encoder.
    pub(crate) fn unit(self) -> Unit {
        match self {
            Self::Seconds => Unit::Seconds,
            Self::Bytes => Unit::Bytes,
        }
    }
}

impl Family {
    /// Returns the name for queries, with the suffixes of the unit and the type.
    pub fn full_name(&self) -> String {
        let unit = self
            .unit
            .map(|unit| format!("_{}", unit.as_str()))
            .unwrap_or_default();
        format!("{}{unit}{}", self.name, self.kind.suffix())
    }
}

/// Writes the values of one family.
pub(crate) struct Series<'a> {
    encoder: MetricEncoder<'a>,
    kind: Kind,
    labels: &'static [&'static str],
}

impl<'a> Series<'a> {
    /// Creates a writer for the family of this encoder.
    pub(crate) fn new(encoder: MetricEncoder<'a>, family: &Family) -> Self {
        Self {
            encoder,
            kind: family.kind,
            labels: family.labels,
        }
    }

    /// Writes a count with the values of the labels.
    pub(crate) fn count(&mut self, labels: &[&str], value: u64) -> fmt::Result {
        let kind = self.kind;
        self.with(labels, |encoder| match kind {
            Kind::Counter => encoder.encode_counter::<NoLabelSet, _, u64>(&value, None),
            _ => encoder.encode_gauge(&value),
        })
    }

    /// Writes a number of items with the values of the labels.
    pub(crate) fn size(&mut self, labels: &[&str], value: usize) -> fmt::Result {
        self.count(labels, u64::try_from(value).unwrap_or(u64::MAX))
    }

    /// Writes 1 or 0.
    pub(crate) fn flag(&mut self, labels: &[&str], value: bool) -> fmt::Result {
        self.count(labels, u64::from(value))
    }

    /// Writes a number in the unit of the family.
    pub(crate) fn amount(&mut self, labels: &[&str], value: f64) -> fmt::Result {
        let kind = self.kind;
        self.with(labels, |encoder| match kind {
            Kind::Counter => encoder.encode_counter::<NoLabelSet, _, f64>(&value, None),
            _ => encoder.encode_gauge(&value),
        })
    }

    /// Writes the labels of an info family.
    pub(crate) fn info(&mut self, labels: &[&str]) -> fmt::Result {
        let labels = self.named(labels);
        self.encoder.encode_info(&labels)
    }

    /// Writes a histogram.
    pub(crate) fn histogram(&mut self, labels: &[&str], histogram: &Histogram) -> fmt::Result {
        let buckets: Vec<(f64, u64)> = histogram.buckets().collect();
        self.with(labels, |encoder| {
            encoder.encode_histogram::<NoLabelSet>(histogram.sum(), histogram.count(), &buckets, None)
        })
    }

    fn with(
        &mut self,
        labels: &[&str],
        encode: impl FnOnce(&mut MetricEncoder<'_>) -> fmt::Result,
    ) -> fmt::Result {
        if self.labels.is_empty() {
            return encode(&mut self.encoder);
        }
        let labels = self.named(labels);
        encode(&mut self.encoder.encode_family(&labels)?)
    }

    fn named(&self, values: &[&str]) -> Vec<(&'static str, String)> {
        debug_assert_eq!(values.len(), self.labels.len(), "every label has a value");
        self.labels
            .iter()
            .zip(values)
            .map(|(name, value)| (*name, hide_userinfo(value)))
            .collect()
    }
}
