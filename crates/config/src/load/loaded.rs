//! A loaded configuration.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use crate::diagnostic::Diagnostic;
use crate::finding::Document;
use crate::redact::Words;
use crate::sections::Config;

/// A loaded configuration with its warnings.
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Warnings about probable mistakes.
    pub warnings: Vec<Diagnostic>,
    /// The files of the configuration, for watching.
    pub files: Vec<PathBuf>,
    /// The folders of the configuration, for watching.
    pub folders: Vec<PathBuf>,
    /// Whether it is the built-in configuration.
    pub built_in: bool,
    pub(crate) documents: Vec<Document>,
    /// The document of each top-level key.
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
