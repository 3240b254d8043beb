//! A histogram with fixed bounds, for metrics.

use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};

/// Upper bounds for the lateness of cycles, in seconds.
const LATENESS: &[f64] = &[0.001, 0.002, 0.003, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 10.0];

/// Upper bounds for durations of requests, polls and cycles, in seconds.
const DURATIONS: &[f64] = &[
    0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0,
];

/// A histogram of seconds. Its size is fixed by its bounds.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    bounds: &'static [f64],
    /// Values in each bucket alone. The last bucket has no bound.
    counts: Box<[u64]>,
    sum: f64,
}

impl Histogram {
    /// An empty histogram for the lateness of cycles: bounds from 1 ms to 10 s.
    pub fn of_lateness() -> Self {
        Self::new(LATENESS)
    }

    /// An empty histogram for durations: bounds from 1 ms to 10 minutes.
    pub fn of_durations() -> Self {
        Self::new(DURATIONS)
    }

    fn new(bounds: &'static [f64]) -> Self {
        Self {
            bounds,
            counts: vec![0; bounds.len() + 1].into(),
            sum: 0.0,
        }
    }

    /// Adds a value in seconds.
    pub fn add(&mut self, seconds: f64) {
        let bucket = self.bounds.partition_point(|bound| *bound < seconds);
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
        }
        self.sum += seconds;
    }

    /// Adds the values of a histogram with the same bounds.
    pub fn add_all(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.sum += other.sum;
    }

    /// The number of values.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The sum of all values in seconds.
    pub fn sum(&self) -> f64 {
        self.sum
    }

    /// The upper bound of each bucket, and the number of values in that bucket alone. The last bound is infinite.
    pub fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        bounds.zip(self.counts.iter().copied())
    }
}

impl Default for Histogram {
    /// As [`Histogram::of_durations`].
    fn default() -> Self {
        Self::of_durations()
    }
}

/// The upper bound of a bucket, and the number of values up to this bound.
#[derive(Serialize)]
struct Bucket {
    /// `null` in the last bucket.
    le: Option<f64>,
    count: u64,
}

impl Serialize for Histogram {
    /// As `count`, `sum` and cumulative `buckets`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut total = 0;
        let buckets: Vec<Bucket> = self
            .buckets()
            .map(|(bound, count)| {
                total += count;
                let le = bound.is_finite().then_some(bound);
                Bucket { le, count: total }
            })
            .collect();
        let mut shown = serializer.serialize_struct("Histogram", 3)?;
        shown.serialize_field("count", &total)?;
        shown.serialize_field("sum", &self.sum)?;
        shown.serialize_field("buckets", &buckets)?;
        shown.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let mut histogram = Histogram::of_lateness();
        for seconds in [0.002, 0.004, 60.0] {
            histogram.add(seconds);
        }
        let counts: Vec<u64> = histogram.buckets().map(|(_, count)| count).collect();
        assert_eq!(counts, [0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(histogram.count(), 3);
        assert!((histogram.sum() - 60.006).abs() < 1e-9);
    }

    #[test]
    fn json_has_cumulative_buckets() {
        let mut histogram = Histogram::of_lateness();
        histogram.add(0.002);
        histogram.add(60.0);
        let shown = serde_json::to_value(&histogram).unwrap();
        assert_eq!(shown["count"], 2);
        assert_eq!(
            shown["buckets"][0],
            serde_json::json!({ "le": 0.001, "count": 0 })
        );
        assert_eq!(
            shown["buckets"][1],
            serde_json::json!({ "le": 0.002, "count": 1 })
        );
        assert_eq!(
            shown["buckets"][10],
            serde_json::json!({ "le": null, "count": 2 })
        );
    }
}
