//! The error of a benchmark.

use std::error::Error;

/// A benchmark that failed; completes "failed to ...".
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub(crate) struct BenchError {
    what: String,
    #[source]
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl BenchError {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            source: None,
        }
    }

    /// Returns the text and all causes, as `text: cause: cause`.
    pub(crate) fn chain(&self) -> String {
        let mut text = self.what.clone();
        let mut source = self.source();
        while let Some(error) = source {
            text.push_str(": ");
            text.push_str(&error.to_string());
            source = error.source();
        }
        text
    }
}

/// Adds to an error what failed.
pub(crate) trait Context<T> {
    fn context(self, what: &str) -> Result<T, BenchError>;
}

impl<T, E: Into<Box<dyn Error + Send + Sync>>> Context<T> for Result<T, E> {
    fn context(self, what: &str) -> Result<T, BenchError> {
        self.map_err(|error| BenchError {
            what: what.to_owned(),
            source: Some(error.into()),
        })
    }
}
