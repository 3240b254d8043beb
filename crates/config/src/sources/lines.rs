//! On which line a value is.

use crate::finding::Document;
use crate::path::ValuePath;

/// Tells the lines of values that are asked for in the order of the file, going through it once.
pub(super) struct Lines<'a> {
    document: Option<&'a Document>,
    offset: usize,
    line: usize,
}

impl<'a> Lines<'a> {
    pub(super) fn new(document: Option<&'a Document>) -> Self {
        Self {
            document,
            offset: 0,
            line: 1,
        }
    }

    /// The line of the value, counted from 1.
    pub(super) fn of(&mut self, path: &ValuePath) -> usize {
        let Some(document) = self.document else { return 1 };
        let offset = document.find(path).map_or(0, |found| found.value.start);
        if offset < self.offset {
            // An alias points back.
            (self.offset, self.line) = (0, 1);
        }
        let passed = document
            .text
            .as_bytes()
            .get(self.offset..offset)
            .unwrap_or_default();
        self.line += passed.iter().filter(|byte| **byte == b'\n').count();
        self.offset = offset;
        self.line
    }
}
