//! Compares the committed pages with the generated ones.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nephoscope_plugin::Catalog;

use crate::references::pages;

/// An error of the comparison or of the update.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReferencesError {
    /// The folder could not be created or read.
    #[error("use the folder {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A page could not be read, written or removed.
    #[error("use the page {}", path.display())]
    Page {
        /// The page.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

/// The folder of the committed pages.
pub(crate) struct Committed {
    folder: PathBuf,
}

impl Committed {
    /// Uses this folder, which need not exist.
    pub(crate) fn at(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    /// Returns a text for each page that differs from the generated one.
    pub(crate) fn differences(&self, catalog: &Catalog) -> Result<Vec<String>, ReferencesError> {
        let committed = self.read()?;
        let generated = pages(catalog);
        let mut differences = Vec::new();
        for (name, text) in &generated {
            match committed.get(*name) {
                Some(old) if old == text => {}
                Some(old) => differences.push(difference(name, old, text)),
                None => differences.push(format!("{name} is missing")),
            }
        }
        let others = committed
            .keys()
            .filter(|name| !generated.contains_key(name.as_str()));
        differences.extend(others.map(|name| format!("{name} is not generated")));
        Ok(differences)
    }

    /// Writes all pages, and removes those that are no longer generated.
    pub(crate) fn update(&self, catalog: &Catalog) -> Result<(), ReferencesError> {
        fs::create_dir_all(&self.folder).map_err(|source| self.of_folder(source))?;
        let generated = pages(catalog);
        for name in self.read()?.into_keys() {
            if !generated.contains_key(name.as_str()) {
                self.page(&name, |path| fs::remove_file(path))?;
            }
        }
        for (name, text) in generated {
            self.page(name, |path| fs::write(path, text))?;
        }
        Ok(())
    }

    /// Returns the pages by name.
    fn read(&self) -> Result<BTreeMap<String, String>, ReferencesError> {
        let mut found = BTreeMap::new();
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
            entries => entries.map_err(|source| self.of_folder(source))?,
        };
        for entry in entries {
            let name = entry.map_err(|source| self.of_folder(source))?.file_name();
            if let Some(name) = name.to_str().filter(|name| name.ends_with(".md")) {
                let text = self.page(name, |path| fs::read_to_string(path))?;
                found.insert(name.to_owned(), text);
            }
        }
        Ok(found)
    }

    fn page<T>(&self, name: &str, act: impl FnOnce(&Path) -> io::Result<T>) -> Result<T, ReferencesError> {
        let path = self.folder.join(name);
        act(&path).map_err(|source| ReferencesError::Page { path, source })
    }

    fn of_folder(&self, source: io::Error) -> ReferencesError {
        ReferencesError::Folder {
            path: self.folder.clone(),
            source,
        }
    }
}

/// Returns the lines that are in only one of two pages.
fn difference(name: &str, old: &str, new: &str) -> String {
    let only = |text: &str, other: &str, mark: char| {
        let lines = text
            .lines()
            .filter(|line| !other.lines().any(|known| known == *line));
        lines.map(|line| format!("\n{mark} {line}")).collect::<String>()
    };
    let lines = only(old, new, '-') + &only(new, old, '+');
    if lines.is_empty() {
        return format!("{name} differs in the order of its lines");
    }
    format!("{name} differs:{lines}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_written_compared_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("docs/reference");
        let committed = Committed::at(&inner);
        let catalog = Catalog::collect().unwrap();
        let count = pages(&catalog).len();
        assert_eq!(committed.differences(&catalog).unwrap().len(), count);
        committed.update(&catalog).unwrap();
        assert!(committed.differences(&catalog).unwrap().is_empty());
        assert_eq!(fs::read_dir(&inner).unwrap().count(), count);

        fs::write(inner.join("former.md"), "# Former\n").unwrap();
        fs::write(inner.join("calls.md"), "# Calls\n").unwrap();
        let differences = committed.differences(&catalog).unwrap();
        assert_eq!(differences.len(), 2, "{differences:?}");
        assert!(differences[0].starts_with("calls.md differs:\n+ "));
        assert_eq!(differences[1], "former.md is not generated");
        committed.update(&catalog).unwrap();
        assert!(committed.differences(&catalog).unwrap().is_empty());
    }

    #[test]
    fn a_difference_shows_the_lines_of_either_page() {
        assert_eq!(
            difference("a.md", "# A\nold\nkept\n", "# A\nkept\nnew\n"),
            "a.md differs:\n- old\n+ new"
        );
        assert_eq!(
            difference("a.md", "one\ntwo\n", "two\none\n"),
            "a.md differs in the order of its lines"
        );
    }
}
