//! The `sources` of polling.yaml: ceilometer's rules, and additional keys.

mod filter;
mod keys;
mod lines;
mod meters;
mod number;
mod reader;
mod resources;
mod schedule;

use std::sync::Arc;

use nephoscope_sources::{Position, Source};
use serde_json::Value;

use crate::finding::{Document, Finding, Findings, Part, Place};
use crate::path::ValuePath;
use crate::problem::Problem;
use crate::schema::kind;
use lines::Lines;
use reader::Reader;

pub(crate) use filter::bad_filter;

/// Reads all sources of a document. Errors become findings, and sources with errors are not in the result.
pub(crate) fn read(
    documents: &[Document],
    document: usize,
    value: &Value,
    strict: bool,
    findings: &mut Findings,
) -> Vec<Source> {
    let path = ValuePath::top().at("sources");
    let Value::Array(items) = value else {
        let place = Place::of(
            documents,
            document,
            &path,
            if value.is_null() { Part::Key } else { Part::Value },
        );
        let finding = Finding::error(Problem::SourcesNotList, "`sources` is not a list")
            .at(place, format!("expected a list, found {}", kind(value)))
            .help(value.is_null().then_some("write `sources: []` to poll nothing"));
        findings.add(finding);
        return Vec::new();
    };
    let file = Arc::new(
        documents
            .get(document)
            .map(|document| document.path.clone())
            .unwrap_or_default(),
    );
    let mut lines = Lines::new(documents.get(document));
    let mut sources = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let path = path.at(index);
        let mut reader = Reader {
            documents,
            document,
            path: path.clone(),
            findings,
            name: None,
        };
        let Value::Object(fields) = item else {
            let label = format!(
                "expected a mapping with `name`, `interval` and `meters`, found {}",
                kind(item)
            );
            reader.error(
                Problem::SourceNotMapping,
                "a source is not a mapping",
                &path,
                Part::Value,
                label,
            );
            continue;
        };
        let line = lines.of(&path);
        let position = Position {
            file: Arc::clone(&file),
            line,
        };
        sources.extend(reader.source(fields, strict, position));
    }
    sources
}
