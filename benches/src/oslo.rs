//! oslo.messaging's notifier, from PyPI.

use nephoscope_model::{Batch, JsonLines, Sample};

use crate::error::BenchError;
use crate::instances::BATCH;
use crate::python::Python;

/// Sends the samples from standard input, one JSON object per line, and prints the confirmed samples per second.
const PROGRAM: &str = include_str!("../oslo/notify.py");

/// A Python with oslo.messaging.
pub(crate) struct Oslo(Python);

impl Oslo {
    /// Installs it if it is missing.
    pub(crate) fn installed() -> Result<Self, BenchError> {
        Python::with("oslo.messaging", "oslo_messaging").map(Self)
    }

    /// Returns samples per second to the broker at `port`.
    pub(crate) fn rate(&self, port: u16, samples: &[Sample]) -> Result<f64, BenchError> {
        let lines = Batch::new(samples.to_vec(), "openstack".into());
        let url = format!("rabbit://guest:guest@127.0.0.1:{port}/");
        let text = self.0.run(
            PROGRAM,
            &[&url, &BATCH.to_string()],
            lines.encoded(&JsonLines).unwrap_or_default(),
        )?;
        text.trim()
            .parse()
            .map_err(|_| BenchError::new(format!("Python printed `{}` instead of a rate", text.trim())))
    }
}
