//! Why a benchmark gave no figure.

use std::error::Error;

/// A benchmark that could not be run to its end; completes "failed to ...".
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub(crate) struct Trouble {
    what: String,
    #[source]
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Trouble {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            source: None,
        }
    }

    /// The text and all causes, as `text: cause: cause`.
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

/// Says what was being done when an error came.
pub(crate) trait During<T> {
    fn during(self, what: &str) -> Result<T, Trouble>;
}

impl<T, E: Into<Box<dyn Error + Send + Sync>>> During<T> for Result<T, E> {
    fn during(self, what: &str) -> Result<T, Trouble> {
        self.map_err(|error| Trouble {
            what: what.to_owned(),
            source: Some(error.into()),
        })
    }
}
