//! Line numbers of values.

use crate::finding::Document;
use crate::path::ValuePath;

/// Computes the line numbers of values in the order of the file, in one pass.
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

    /// Returns the line of the value, counted from 1.
    pub(super) fn of(&mut self, path: &ValuePath) -> usize {
        let Some(document) = self.document else { return 1 };
        let offset = document.find(path).map_or(0, |found| found.value.start);
        if offset < self.offset {
            // The value of an alias is earlier in the file.
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
