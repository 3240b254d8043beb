//! Definitions that a family creates from its options and files when a configuration is loaded.

mod location;
mod problem;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::files::{FileError, read_file};
use crate::options;
use crate::{DiscoveryDefinition, OptionsError, PollsterDefinition};

pub use location::Location;
pub use problem::{DefinitionProblem, ProblemPlace, ProblemSeverity};

/// The maximum size of a definition file, in bytes.
pub const MAX_DEFINITION_FILE: u64 = 4 * 1024 * 1024;

/// The maximum number of files in a folder of definitions.
pub const MAX_DEFINITION_FILES: usize = 10_000;

/// The maximum total size of the definition files that a family reads, in bytes.
pub const MAX_DEFINITIONS: u64 = 64 * 1024 * 1024;

/// The context in which a family creates definitions: its options, and access to files.
///
/// The agent watches each file and folder that is read here, and reloads when it changes.
pub struct ExpandContext<'a> {
    family: &'static str,
    options: &'a Value,
    namespaces: &'a [String],
    state_dir: Option<&'a Path>,
    read: RefCell<DefinitionFiles>,
    /// The total size of the texts in bytes.
    bytes: Cell<u64>,
}

/// The files that families read to create their definitions.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct DefinitionFiles {
    /// The files that could be read, with their text.
    pub texts: Vec<(PathBuf, Arc<str>)>,
    /// All files, including those that could not be read.
    pub files: Vec<PathBuf>,
    /// The folders that were listed.
    pub folders: Vec<PathBuf>,
    /// The extensions of the files in those folders.
    pub extensions: BTreeSet<String>,
}

impl DefinitionFiles {
    pub(crate) fn add(&mut self, other: Self) {
        self.texts.extend(other.texts);
        self.files.extend(other.files);
        self.folders.extend(other.folders);
        self.extensions.extend(other.extensions);
    }
}

impl<'a> ExpandContext<'a> {
    pub(crate) fn new(
        family: &'static str,
        options: &'a Value,
        namespaces: &'a [String],
        state_dir: Option<&'a Path>,
    ) -> Self {
        Self {
            family,
            options,
            namespaces,
            state_dir,
            read: RefCell::default(),
            bytes: Cell::new(0),
        }
    }

    pub(crate) fn into_files(self) -> DefinitionFiles {
        self.read.into_inner()
    }

    /// Parses the family's options, which match their schema.
    ///
    /// # Errors
    ///
    /// When they do not match their type.
    pub fn options<T: DeserializeOwned>(&self) -> Result<T, OptionsError> {
        options::read(self.options)
    }

    /// The agent's namespaces.
    pub fn namespaces(&self) -> &[String] {
        self.namespaces
    }

    /// The folder in which the agent stores its state across restarts; `None` if it has none.
    pub fn state_dir(&self) -> Option<&Path> {
        self.state_dir
    }

    /// Reads a regular file of at most [`MAX_DEFINITION_FILE`] bytes. All files together may have at most
    /// [`MAX_DEFINITIONS`] bytes.
    ///
    /// # Errors
    ///
    /// When the file could not be read.
    pub fn read(&self, path: &Path) -> Result<Arc<str>, FileError> {
        let mut read = self.read.borrow_mut();
        read.files.push(path.to_owned());
        let left = MAX_DEFINITIONS.saturating_sub(self.bytes.get());
        let bytes = read_file(path, MAX_DEFINITION_FILE.min(left))?;
        self.bytes.set(self.bytes.get() + bytes.len() as u64);
        let text: Arc<str> = match String::from_utf8(bytes) {
            Ok(text) => text.into(),
            Err(error) => return Err(FileError::NotText(error.utf8_error().valid_up_to())),
        };
        read.texts.push((path.to_owned(), text.clone()));
        Ok(text)
    }

    /// Lists the files of a folder with one of these extensions (such as `yaml`), sorted by name, at most
    /// [`MAX_DEFINITION_FILES`]. Files whose names begin with a dot are skipped.
    ///
    /// # Errors
    ///
    /// When the folder could not be read.
    pub fn list(&self, folder: &Path, extensions: &[&str]) -> Result<Vec<PathBuf>, FileError> {
        let mut read = self.read.borrow_mut();
        read.folders.push(folder.to_owned());
        read.extensions
            .extend(extensions.iter().map(|extension| (*extension).to_owned()));
        drop(read);
        let mut files = Vec::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let hidden = path
                .file_name()
                .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            let wanted = path
                .extension()
                .is_some_and(|extension| extensions.iter().any(|wanted| extension == *wanted));
            if hidden || !wanted {
                continue;
            }
            if files.len() == MAX_DEFINITION_FILES {
                return Err(FileError::TooMany(MAX_DEFINITION_FILES));
            }
            files.push(path);
        }
        files.sort();
        Ok(files)
    }
}

impl std::fmt::Debug for ExpandContext<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("ExpandContext")
            .field("family", &self.family)
            .finish_non_exhaustive()
    }
}

/// The definitions of a family, and the problems of those that it could not create.
///
/// Names and meters are unique within a namespace. Two definitions with one name are an error. A definition with the name
/// of a compiled plugin is rejected.
#[derive(Debug, Default)]
pub struct Expansion {
    pub(crate) discoveries: Vec<DiscoveryDefinition>,
    pub(crate) pollsters: Vec<PollsterDefinition>,
    pub(crate) problems: Vec<DefinitionProblem>,
    pub(crate) secrets: Vec<String>,
}

impl Expansion {
    /// An empty expansion.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a discovery.
    pub fn add_discovery(&mut self, discovery: DiscoveryDefinition) {
        self.discoveries.push(discovery);
    }

    /// Adds a pollster.
    pub fn add_pollster(&mut self, pollster: PollsterDefinition) {
        self.pollsters.push(pollster);
    }

    /// Adds a problem.
    pub fn add_problem(&mut self, problem: DefinitionProblem) {
        self.problems.push(problem);
    }

    /// Redacts a secret that was read, for example a password, in every message that shows a line of a file.
    pub fn hide(&mut self, secret: impl Into<String>) {
        self.secrets.push(secret.into());
    }
}
