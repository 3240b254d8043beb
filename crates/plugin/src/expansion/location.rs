//! Locations in definition files.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// A location in a file that a family read. It is displayed as `FILE:LINE:COLUMN`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Location {
    file: Arc<Path>,
    /// `None` for the whole file.
    mark: Option<Mark>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Mark {
    line: usize,
    column: usize,
    length: usize,
}

impl Location {
    /// The whole file.
    pub fn file(file: &Path) -> Self {
        Self {
            file: file.into(),
            mark: None,
        }
    }

    /// A location in the same file. Line and column count from 1, the column in characters. `length` is the number of
    /// characters to underline, up to the end of the line.
    #[must_use]
    pub fn at(&self, line: usize, column: usize, length: usize) -> Self {
        let mark = Mark { line, column, length };
        Self {
            file: self.file.clone(),
            mark: Some(mark),
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.file
    }

    /// The line, counted from 1; `None` for the whole file.
    pub fn line(&self) -> Option<usize> {
        self.mark.map(|mark| mark.line)
    }

    /// The column in characters, counted from 1; `None` for the whole file.
    pub fn column(&self) -> Option<usize> {
        self.mark.map(|mark| mark.column)
    }

    /// The number of characters to underline.
    pub fn length(&self) -> usize {
        self.mark.map_or(0, |mark| mark.length)
    }
}

impl fmt::Display for Location {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.file.display())?;
        match self.mark {
            Some(mark) => write!(out, ":{}:{}", mark.line, mark.column),
            None => Ok(()),
        }
    }
}
