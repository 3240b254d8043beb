//! A configuration that was loaded.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use crate::diagnostic::Diagnostic;
use crate::finding::Document;
use crate::redact::Words;
use crate::sections::Config;

/// A configuration, with what was noticed on the way.
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What is probably not meant as it is written.
    pub warnings: Vec<Diagnostic>,
    /// The files that it was read from, for watching.
    pub files: Vec<PathBuf>,
    /// The folders that were looked into for files, for watching.
    pub folders: Vec<PathBuf>,
    /// Whether it is the built-in one.
    pub built_in: bool,
    pub(crate) documents: Vec<Document>,
    /// Which document each top-level key came from.
    pub(crate) sections: BTreeMap<&'static str, usize>,
    pub(crate) words: Words,
    pub(crate) namespaces_given: bool,
}

impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loaded")
            .field("config", &self.config)
            .field("warnings", &self.warnings)
            .field("files", &self.files)
            .field("folders", &self.folders)
            .field("built_in", &self.built_in)
            .finish_non_exhaustive()
    }
}
