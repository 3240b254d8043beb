//! What a run of a pollster produced.

use std::fmt::Write as _;

use nephoscope_model::{Batch, JsonLines, Resource, Sample};
use parking_lot::Mutex;

use crate::{Failure, FailureKind, RunObserver};

/// What a run of a pollster produced.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Outcome {
    /// The samples, in the order in which they were reported.
    pub samples: Vec<Sample>,
    /// The keys of the resources that were reported on, in order.
    pub reported: Vec<String>,
    /// The resources that failed, in order.
    pub failures: Vec<ResourceFailure>,
    /// What the plugin did that it must not do; a panic stands here too.
    pub defects: Vec<String>,
    /// What ended the poll early.
    pub error: Option<Failure>,
}

/// A resource that could not be measured.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResourceFailure {
    /// The resource's key.
    pub key: String,
    /// What the engine concludes.
    pub kind: FailureKind,
    /// The message with all its causes.
    pub chain: String,
}

impl Outcome {
    /// Fails the test unless every resource was measured and nothing else went wrong.
    #[track_caller]
    pub fn assert_clean(&self) {
        assert!(
            self.failures.is_empty() && self.defects.is_empty() && self.error.is_none(),
            "the poll was not clean:\n{}",
            self.troubles()
        );
    }

    /// The samples as lines of `resource id, meter, value unit`, in the order in which they were reported.
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

    /// The values of the samples, in the order in which they were reported.
    pub fn volumes(&self) -> Vec<String> {
        let samples = self.samples.iter();
        samples.map(|sample| sample.volume.to_string()).collect()
    }

    /// The samples in the message form that publishers send, one JSON object a line. Ids and times depend
    /// on the cycle alone, so that the text can stand in a snapshot.
    pub fn json_lines(&self) -> String {
        let batch = Batch::new(self.samples.clone(), "openstack".into());
        String::from_utf8_lossy(batch.encoded(&JsonLines).unwrap_or_default()).into_owned()
    }

    /// What went wrong, a line each: failures of resources, defects, the error.
    pub fn troubles(&self) -> String {
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

/// Writes down what a run says of its resources.
#[derive(Default)]
pub(super) struct Recorder(Mutex<Outcome>);

impl Recorder {
    /// What was written down so far.
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
