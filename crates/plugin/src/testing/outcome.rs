//! The outcome of a pollster run.

use std::fmt::Write as _;

use nephoscope_model::{Batch, JsonLines, Resource, Sample};
use parking_lot::Mutex;

use crate::{Failure, FailureKind, RunObserver};

/// The outcome of a pollster run.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Outcome {
    /// The samples, in report order.
    pub samples: Vec<Sample>,
    /// The keys of the resources that were reported on, in order.
    pub reported: Vec<String>,
    /// The resources that failed, in order.
    pub failures: Vec<ResourceFailure>,
    /// The rules that the plugin broke, including a panic.
    pub defects: Vec<String>,
    /// What ended the poll early.
    pub error: Option<Failure>,
}

/// The failure of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResourceFailure {
    /// The resource's key.
    pub key: String,
    /// The kind of the failure.
    pub kind: FailureKind,
    /// The message with all its causes.
    pub chain: String,
}

impl Outcome {
    /// Fails the test unless every resource was measured without a defect or error.
    #[track_caller]
    pub fn assert_clean(&self) {
        assert!(
            self.failures.is_empty() && self.defects.is_empty() && self.error.is_none(),
            "the poll was not clean:\n{}",
            self.problems()
        );
    }

    /// The samples as lines of `resource id, meter, value unit`, in report order.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for sample in &self.samples {
            let line = format!(
                "{}  {}  {} {}",
                sample.subject.resource_id, sample.meter.published_name, sample.volume, sample.meter.unit
            );
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{}", line.trim_end());
        }
        text
    }

    /// The values of the samples, in report order.
    pub fn volumes(&self) -> Vec<String> {
        let samples = self.samples.iter();
        samples.map(|sample| sample.volume.to_string()).collect()
    }

    /// The samples in the message format of publishers, one JSON object per line. Ids and times depend only on the cycle, so
    /// the text is suitable for snapshots.
    pub fn json_lines(&self) -> String {
        let batch = Batch::new(self.samples.clone(), "openstack".into());
        String::from_utf8_lossy(batch.encoded(&JsonLines).unwrap_or_default()).into_owned()
    }

    /// All failures of resources, defects and the error, one per line.
    pub fn problems(&self) -> String {
        let mut text = String::new();
        for failure in &self.failures {
            let _ = writeln!(text, "{}: {}: {}", failure.key, failure.kind, failure.chain);
        }
        for defect in &self.defects {
            let _ = writeln!(text, "defect: {defect}");
        }
        if let Some(error) = &self.error {
            let _ = writeln!(text, "error: {}: {}", error.kind(), error.chain());
        }
        text
    }
}

/// Records the outcome of a run.
#[derive(Default)]
pub(super) struct Recorder(Mutex<Outcome>);

impl Recorder {
    /// Takes what was recorded so far.
    pub(super) fn take(&self) -> Outcome {
        std::mem::take(&mut self.0.lock())
    }
}

impl RunObserver for Recorder {
    fn reported(&self, resource: &Resource) {
        self.0.lock().reported.push(resource.key().to_string());
    }

    fn failed(&self, resource: &Resource, failure: Failure) {
        self.0.lock().failures.push(ResourceFailure {
            key: resource.key().to_string(),
            kind: failure.kind(),
            chain: failure.chain(),
        });
    }

    fn defect(&self, message: String) {
        self.0.lock().defects.push(message);
    }
}
