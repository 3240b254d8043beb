//! Samples that are handed to publishers together.

use std::sync::{Arc, OnceLock};

use crate::{MessageWriter, Sample};

/// A batch: what one hand-over of a pollster run gives to every publisher.
///
/// Publishers share it by reference; a form is encoded once, by the first publisher that asks for it.
#[derive(Debug)]
pub struct Batch {
    samples: Vec<Sample>,
    source: Arc<str>,
    json_lines: OnceLock<Vec<u8>>,
}

impl Batch {
    /// A batch of samples whose `source` is `source` (unless their subject says otherwise).
    pub fn new(samples: Vec<Sample>, source: Arc<str>) -> Self {
        Self {
            samples,
            source,
            json_lines: OnceLock::new(),
        }
    }

    /// The samples, in the order in which they were reported.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// The `source` of samples whose subject does not name one.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The samples in ceilometer's message form, one JSON object a line.
    pub fn json_lines(&self) -> &[u8] {
        self.json_lines.get_or_init(|| {
            // About what a sample without metadata takes; the buffer grows for others.
            const BYTES_A_SAMPLE: usize = 512;
            let mut out = Vec::with_capacity(self.samples.len() * BYTES_A_SAMPLE);
            let mut writer = MessageWriter::new(&self.source);
            for sample in &self.samples {
                writer.write(sample, &mut out);
                out.push(b'\n');
            }
            out
        })
    }
}
