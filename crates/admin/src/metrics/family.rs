//! A metric family: its name, its help, and how its values are read from a snapshot.

use std::fmt;

use nephoscope_config::hide_userinfo;
use nephoscope_polling::stats::{Histogram, LATENESS_BUCKETS};
use prometheus_client::encoding::{MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use crate::metrics::Snapshot;

/// A metric family. Values are in base units (seconds, bytes), and the unit is the end of the name.
pub struct Family {
    /// The name without unit and without what its type adds (`_total`, `_info`).
    pub name: &'static str,
    /// The unit, if it has one.
    pub unit: Option<BaseUnit>,
    /// Its type.
    pub kind: Kind,
    /// The names of its labels, in order.
    pub labels: &'static [&'static str],
    /// One sentence.
    pub help: &'static str,
    /// Gives its values.
    pub(crate) read: fn(&Snapshot, &mut Series<'_>) -> fmt::Result,
}

/// The type of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A number that goes up and down.
    Gauge,
    /// A number that only grows, until the agent starts anew.
    Counter,
    /// Values by size.
    Histogram,
    /// Text in labels; the value is 1.
    Info,
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
    /// The word in the reference and in the exposition.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Histogram => "histogram",
            Self::Info => "info",
        }
    }

    /// The type in the exposition's terms.
    pub(crate) fn metric_type(self) -> MetricType {
        match self {
            Self::Gauge => MetricType::Gauge,
            Self::Counter => MetricType::Counter,
            Self::Histogram => MetricType::Histogram,
            Self::Info => MetricType::Info,
        }
    }

    /// What is added to the name of each of its series.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Self::Gauge | Self::Histogram => "",
            Self::Counter => "_total",
            Self::Info => "_info",
        }
    }
}

impl BaseUnit {
    /// The word at the end of a name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Seconds => "seconds",
            Self::Bytes => "bytes",
        }
    }

    /// The unit in the exposition's terms.
    pub(crate) fn unit(self) -> Unit {
        match self {
            Self::Seconds => Unit::Seconds,
            Self::Bytes => Unit::Bytes,
        }
    }
}

impl Family {
    /// The name as one queries it: with the unit, and with what its type adds.
    pub fn full_name(&self) -> String {
        let unit = self
            .unit
            .map(|unit| format!("_{}", unit.as_str()))
            .unwrap_or_default();
        format!("{}{unit}{}", self.name, self.kind.suffix())
    }
}

/// Takes the values of one family.
pub(crate) struct Series<'a> {
    encoder: MetricEncoder<'a>,
    kind: Kind,
    labels: &'static [&'static str],
}

impl<'a> Series<'a> {
    /// For the family of this encoder.
    pub(crate) fn new(encoder: MetricEncoder<'a>, family: &Family) -> Self {
        Self {
            encoder,
            kind: family.kind,
            labels: family.labels,
        }
    }

    /// A count, with the values of the family's labels.
    pub(crate) fn count(&mut self, labels: &[&str], value: u64) -> fmt::Result {
        let kind = self.kind;
        self.with(labels, |encoder| match kind {
            Kind::Counter => encoder.encode_counter::<NoLabelSet, _, u64>(&value, None),
            _ => encoder.encode_gauge(&value),
        })
    }

    /// A number of things that there are, with the values of the family's labels.
    pub(crate) fn size(&mut self, labels: &[&str], value: usize) -> fmt::Result {
        self.count(labels, u64::try_from(value).unwrap_or(u64::MAX))
    }

    /// Whether something is so: 1 or 0.
    pub(crate) fn flag(&mut self, labels: &[&str], value: bool) -> fmt::Result {
        self.count(labels, u64::from(value))
    }

    /// A number in the family's unit, with the values of the family's labels.
    pub(crate) fn amount(&mut self, labels: &[&str], value: f64) -> fmt::Result {
        let kind = self.kind;
        self.with(labels, |encoder| match kind {
            Kind::Counter => encoder.encode_counter::<NoLabelSet, _, f64>(&value, None),
            _ => encoder.encode_gauge(&value),
        })
    }

    /// The texts of an info family.
    pub(crate) fn info(&mut self, labels: &[&str]) -> fmt::Result {
        let labels = self.named(labels);
        self.encoder.encode_info(&labels)
    }

    /// How late things were.
    pub(crate) fn histogram(&mut self, labels: &[&str], histogram: &Histogram) -> fmt::Result {
        let count = histogram.counts.last().copied().unwrap_or(0);
        // Of each bucket alone: the encoder adds them up again.
        let mut below = 0;
        let bounds = LATENESS_BUCKETS.iter().copied().chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds
            .zip(histogram.counts)
            .map(|(bound, counted)| {
                (
                    bound,
                    counted.saturating_sub(std::mem::replace(&mut below, counted)),
                )
            })
            .collect();
        self.with(labels, |encoder| {
            encoder.encode_histogram::<NoLabelSet>(histogram.sum, count, &buckets, None)
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
