//! What a family adds to the catalog when a configuration is loaded: definitions that it makes of its options and of files.

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

/// No file of definitions is larger, in bytes.
pub const MAX_DEFINITION_FILE: u64 = 4 * 1024 * 1024;

/// No folder of definitions has more files.
pub const MAX_DEFINITION_FILES: usize = 10_000;

/// All files of definitions that a family reads hold no more bytes together.
pub const MAX_DEFINITIONS: u64 = 64 * 1024 * 1024;

/// What a family may use when it makes definitions: its options, and a way to read files.
///
/// Each file and folder that is read here is watched by an agent, and read again when it has changed.
pub struct ExpandContext<'a> {
    family: &'static str,
    options: &'a Value,
    namespaces: &'a [String],
    state_dir: Option<&'a Path>,
    read: RefCell<DefinitionFiles>,
    /// How many bytes the texts have together.
    bytes: Cell<u64>,
}

/// What families read to make their definitions.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct DefinitionFiles {
    /// The files that could be read, with their text as it was.
    pub texts: Vec<(PathBuf, Arc<str>)>,
    /// All files, also those that could not be read.
    pub files: Vec<PathBuf>,
    /// The folders that were looked into.
    pub folders: Vec<PathBuf>,
    /// The extensions of the files that were looked for in them.
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

    /// The family's options, which fit their schema.
    ///
    /// # Errors
    ///
    /// When they do not fit their type.
    pub fn options<T: DeserializeOwned>(&self) -> Result<T, OptionsError> {
        options::read(self.options)
    }

    /// The namespaces of this agent.
    pub fn namespaces(&self) -> &[String] {
        self.namespaces
    }

    /// The folder in which the agent keeps what it must know after a restart; `None` where there is none.
    pub fn state_dir(&self) -> Option<&Path> {
        self.state_dir
    }

    /// Reads a file: a regular one of at most [`MAX_DEFINITION_FILE`] bytes, as long as all together have at most
    /// [`MAX_DEFINITIONS`].
    ///
    /// # Errors
    ///
    /// Why it could not be read.
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

    /// The files of a folder with one of these extensions (`yaml`), sorted by name; those whose names begin with a dot are
    /// left out. At most [`MAX_DEFINITION_FILES`].
    ///
    /// # Errors
    ///
    /// Why the folder could not be read.
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

/// The definitions of a family, and what is wrong with those that it could not make.
///
/// Names and meters are unique within a namespace. Of two definitions with one name neither is taken, which is an error; one
/// that has the name of a compiled plugin is set aside.
#[derive(Debug, Default)]
pub struct Expansion {
    pub(crate) discoveries: Vec<DiscoveryDefinition>,
    pub(crate) pollsters: Vec<PollsterDefinition>,
    pub(crate) problems: Vec<DefinitionProblem>,
    pub(crate) secrets: Vec<String>,
}

impl Expansion {
    /// Nothing yet.
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

    /// Adds something that is wrong.
    pub fn add_problem(&mut self, problem: DefinitionProblem) {
        self.problems.push(problem);
    }

    /// Hides a text that was read, for example a password, wherever a message shows a line of a file.
    pub fn hide(&mut self, secret: impl Into<String>) {
        self.secrets.push(secret.into());
    }
}
