//! A temporary folder for each test: configuration, state, output.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::launch::Launch;
use crate::program::Program;

/// The placeholder of the lab's folder in configurations.
const PLACE: &str = "$LAB";

/// A folder in which the program runs without the machine's configuration. It is deleted at the end of the test.
#[derive(Debug)]
pub struct Lab {
    folder: TempDir,
}

impl Default for Lab {
    fn default() -> Self {
        Self::new()
    }
}

impl Lab {
    /// Creates an empty folder.
    #[must_use]
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("there is room for a folder"),
        }
    }

    /// Creates a folder with this `polling.yaml`; see [`Lab::write`].
    #[must_use]
    pub fn with(config: &str) -> Self {
        let lab = Self::new();
        lab.config(config);
        lab
    }

    /// Returns the folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns a path in the folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes `polling.yaml`, see [`Lab::write`].
    pub fn config(&self, text: &str) -> PathBuf {
        self.write("polling.yaml", text)
    }

    /// Writes a file and replaces `$LAB` by the path of the folder.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        let place = self.folder.path().to_str().expect("the path is text");
        fs::write(&path, text.replace(PLACE, place)).expect("a file can be written");
        path
    }

    /// Replaces a file atomically, as editors and configuration tools do; see [`Lab::write`].
    pub fn replace(&self, name: &str, text: &str) {
        let new = self.write(&format!("{name}.new"), text);
        fs::rename(new, self.path(name)).expect("a file can be renamed");
    }

    /// Returns the text of a file.
    #[must_use]
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("failed to read {name}: {error}"))
    }

    /// Prepares the program with these arguments, in this folder and with an environment that contains only the lab's
    /// variables.
    #[must_use]
    pub fn nephoscope(&self, arguments: &[&str]) -> Launch {
        Launch::new(self.folder.path(), arguments)
    }

    /// Starts `nephoscope run` with the lab's `polling.yaml`. The log has a line for the end of each cycle.
    #[must_use]
    pub fn run(&self) -> Program {
        self.nephoscope(&["run", "--log-level", "debug"]).start()
    }

    /// Replaces the folder's path in a text by `$LAB`, so that texts of different runs can be compared.
    #[must_use]
    pub fn without_place(&self, text: &str) -> String {
        text.replace(self.folder.path().to_str().expect("the path is text"), PLACE)
    }
}
