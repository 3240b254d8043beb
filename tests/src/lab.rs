//! A folder of its own for each test: configuration, state, output.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::launch::Launch;
use crate::program::Program;

/// What stands for the lab's folder in configurations.
const PLACE: &str = "$LAB";

/// A folder in which the program runs and knows nothing of the machine's configuration; gone at the end of the test.
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
    /// An empty folder.
    #[must_use]
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("there is room for a folder"),
        }
    }

    /// A folder with this `polling.yaml`, see [`Lab::write`].
    #[must_use]
    pub fn with(config: &str) -> Self {
        let lab = Self::new();
        lab.config(config);
        lab
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A path in the folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes `polling.yaml`, see [`Lab::write`].
    pub fn config(&self, text: &str) -> PathBuf {
        self.write("polling.yaml", text)
    }

    /// Writes a file; `$LAB` in the text becomes the path of the folder.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        let place = self.folder.path().to_str().expect("the path is text");
        fs::write(&path, text.replace(PLACE, place)).expect("a file can be written");
        path
    }

    /// Puts a new file in the place of another in one step, as editors and configuration tools do; see [`Lab::write`].
    pub fn replace(&self, name: &str, text: &str) {
        let new = self.write(&format!("{name}.new"), text);
        fs::rename(new, self.path(name)).expect("a file can be renamed");
    }

    /// The text of a file.
    #[must_use]
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("failed to read {name}: {error}"))
    }

    /// The program with these arguments, in this folder and with nothing in its environment that is not the lab's.
    #[must_use]
    pub fn nephoscope(&self, arguments: &[&str]) -> Launch {
        Launch::new(self.folder.path(), arguments)
    }

    /// Starts `nephoscope run` with the lab's `polling.yaml`; its log has a line for the end of each cycle.
    #[must_use]
    pub fn run(&self) -> Program {
        self.nephoscope(&["run", "--log-level", "debug"]).start()
    }

    /// Takes the folder's path out of a text, so that texts of different runs can be compared.
    #[must_use]
    pub fn without_place(&self, text: &str) -> String {
        text.replace(self.folder.path().to_str().expect("the path is text"), PLACE)
    }
}
