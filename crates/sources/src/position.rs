//! The position of a source in its configuration file.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// A line of a configuration file, displayed as `polling.yaml:12`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The file, by the name under which it was opened.
    pub file: Arc<PathBuf>,
    /// The line, counted from 1.
    pub line: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}
