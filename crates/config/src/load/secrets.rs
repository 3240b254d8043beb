//! The secrets that messages must not show: ranges of documents, and words anywhere.

use std::ops::Range;

use serde_json::Value;

use super::request::LoadRequest;
use crate::finding::Document;
use crate::near::nearest;
use crate::path::{Segment, ValuePath};
use crate::position::Tree;
use crate::problem::Problem;
use crate::redact::{Redaction, Words, by_lines, looks_secret};
use crate::schema::{self, Violation};

/// The known secrets of a configuration.
pub(super) struct Secrets<'a> {
    request: &'a LoadRequest,
    /// Secrets by their text.
    pub(super) words: Words,
    /// Ranges of documents.
    hidden: Vec<(usize, Range<usize>)>,
}

impl<'a> Secrets<'a> {
    /// Creates an empty collection. The schemas of the request define which options are secret.
    pub(super) fn new(request: &'a LoadRequest) -> Self {
        Self {
            request,
            words: Words::default(),
            hidden: Vec::new(),
        }
    }

    /// Hides values that are secret by their schema.
    pub(super) fn hide(
        &mut self,
        documents: &[Document],
        document: usize,
        schema: &Value,
        value: &Value,
        path: &ValuePath,
    ) {
        let tree = tree(documents, document);
        for secret in schema::secrets(schema, value) {
            let found = secret
                .segments()
                .iter()
                .try_fold(value, |value, segment| match segment {
                    Segment::Key(key) => value.get(key),
                    Segment::Index(index) => value.get(index),
                });
            if let Some(text) = found.and_then(Value::as_str) {
                self.words.add(text);
            }
            let spans = tree
                .map(|tree| tree.scalars(&path.join(&secret)))
                .unwrap_or_default();
            let text = documents
                .get(document)
                .map_or("", |document| document.text.as_str());
            let hidden = spans
                .into_iter()
                .filter(|span| !is_placeholder(text.get(span.clone()).unwrap_or_default()));
            self.hidden.extend(hidden.map(|span| (document, span)));
        }
    }

    /// Hides secrets under misspelled keys and in values of the wrong type.
    pub(super) fn hide_misplaced(
        &mut self,
        documents: &[Document],
        document: usize,
        schema: &Value,
        violations: &[Violation],
        path: &ValuePath,
    ) {
        let names = schema::secret_names(schema);
        let secret =
            |key: &str| looks_secret(key) || nearest(key, names.iter().map(String::as_str)).is_some();
        let Some(tree) = tree(documents, document) else {
            return;
        };
        for violation in violations {
            let path = path.join(&violation.path);
            let key_is_secret = matches!(path.segments().last(), Some(Segment::Key(key)) if secret(key));
            let spans = if violation.problem == Problem::UnknownKey && key_is_secret {
                tree.scalars(&path)
            } else {
                tree.hidden_under(&path, secret)
            };
            self.hidden.extend(spans.into_iter().map(|span| (document, span)));
        }
    }

    /// Hides values that look secret where no schema exists.
    pub(super) fn hide_likely(&mut self, documents: &[Document], document: usize, path: &ValuePath) {
        let Some(tree) = tree(documents, document) else {
            return;
        };
        let spans = match path.segments().last() {
            Some(Segment::Key(key)) if looks_secret(key) => tree.scalars(path),
            _ => tree.hidden_under(path, looks_secret),
        };
        self.hidden.extend(spans.into_iter().map(|span| (document, span)));
    }

    /// Hides values that look secret in a text that could not be parsed.
    pub(super) fn hide_lines(&mut self, documents: &[Document], document: usize) {
        let schemas = self
            .request
            .families
            .values()
            .chain(self.request.publishers.values());
        let names: Vec<String> = schemas.flatten().flat_map(schema::secret_names).collect();
        let secret =
            |key: &str| looks_secret(key) || nearest(key, names.iter().map(String::as_str)).is_some();
        let ranges = documents
            .get(document)
            .map(|document| by_lines(&document.text, secret))
            .unwrap_or_default();
        self.hidden
            .extend(ranges.into_iter().map(|range| (document, range)));
    }

    /// Sets the redaction of each document, and returns the words.
    pub(super) fn redact(mut self, documents: &mut [Document]) -> Words {
        for (document, range) in &self.hidden {
            let written = documents
                .get(*document)
                .and_then(|document| document.text.get(range.clone()));
            // Messages may quote the value.
            self.words
                .add(written.unwrap_or_default().trim_matches(['"', '\'']));
        }
        let mut hidden: Vec<Vec<Range<usize>>> = vec![Vec::new(); documents.len()];
        for (document, range) in self.hidden.drain(..) {
            if let Some(ranges) = hidden.get_mut(document) {
                ranges.push(range);
            }
        }
        for (document, ranges) in documents.iter_mut().zip(hidden) {
            document.redaction = Redaction::new(&document.text, ranges, &self.words);
        }
        self.words
    }
}

fn tree(documents: &[Document], document: usize) -> Option<&Tree> {
    documents.get(document)?.tree.as_ref()
}

/// Returns whether a scalar consists of one placeholder, which is not secret.
fn is_placeholder(written: &str) -> bool {
    let bare = written.trim_matches(['"', '\'']);
    let inner = bare.strip_prefix("${").and_then(|inner| inner.strip_suffix('}'));
    inner.is_some_and(|inner| {
        !inner.contains('}') && (inner.starts_with("env:") || inner.starts_with("file:"))
    })
}
