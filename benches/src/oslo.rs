//! oslo.messaging's notifier, from PyPI.

use nephoscope_model::{Batch, JsonLines, Sample};

use crate::instances::BATCH;
use crate::python::Python;
use crate::trouble::Trouble;

/// Sends the samples that come on standard input, one JSON a line, and prints how many a second were confirmed.
const PROGRAM: &str = include_str!("../oslo/notify.py");

/// A Python that has oslo.messaging.
pub(crate) struct Oslo(Python);

impl Oslo {
    /// Installs it if it is not there.
    pub(crate) fn installed() -> Result<Self, Trouble> {
        Python::with("oslo.messaging", "oslo_messaging").map(Self)
    }

    /// Samples per second to the broker at `port`.
    pub(crate) fn rate(&self, port: u16, samples: &[Sample]) -> Result<f64, Trouble> {
        let lines = Batch::new(samples.to_vec(), "openstack".into());
        let url = format!("rabbit://guest:guest@127.0.0.1:{port}/");
        let text = self.0.run(
            PROGRAM,
            &[&url, &BATCH.to_string()],
            lines.encoded(&JsonLines).unwrap_or_default(),
        )?;
        text.trim()
            .parse()
            .map_err(|_| Trouble::new(format!("Python printed `{}`, no rate", text.trim())))
    }
}
