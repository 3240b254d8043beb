//! Converts schema violations to findings.

use crate::finding::{Document, Finding, Part, Place};
use crate::path::{Segment, ValuePath};
use crate::problem::Problem;
use crate::schema::Violation;

/// Converts a violation, whose path is relative to the section.
pub(super) fn finding(
    violation: Violation,
    documents: &[Document],
    document: usize,
    section: &ValuePath,
) -> Finding {
    let Violation {
        problem,
        path,
        expected,
        found,
        near,
        missing,
    } = violation;
    let path = section.join(&path);
    let value_part = if found == Some("nothing") {
        Part::Key
    } else {
        Part::Value
    };
    let near_help = near.map(|near| format!("did you mean `{near}`?"));
    let (title, part, label, help) = match problem {
        Problem::UnknownKey => {
            let (parent, key) = split(&path);
            let key: String = key.chars().take(60).collect();
            let help = near_help.or_else(|| {
                Some(if expected.is_empty() {
                    "no keys are allowed here".to_owned()
                } else {
                    format!("known keys: {expected}")
                })
            });
            (
                format!("unknown key `{key}` in `{parent}`"),
                Part::Key,
                "this key does not exist".to_owned(),
                help,
            )
        }
        Problem::MissingKey => {
            let key = missing.unwrap_or_default();
            (
                format!("`{key}` is missing in `{path}`"),
                Part::Value,
                format!("expected {expected}"),
                None,
            )
        }
        Problem::WrongType => {
            let found = found.map(|found| format!(", found {found}")).unwrap_or_default();
            let part = if matches!(found.as_str(), ", found a list" | ", found a mapping") {
                Part::Key
            } else {
                value_part
            };
            (
                format!("`{path}` has the wrong type"),
                part,
                format!("expected {expected}{found}"),
                near_help,
            )
        }
        Problem::OutOfRange => (
            format!("`{path}` is out of range"),
            Part::Value,
            format!("expected {expected}"),
            near_help,
        ),
        Problem::BadLength => (
            format!("`{path}` is too short or too long"),
            Part::Value,
            format!("expected {expected}"),
            near_help,
        ),
        _ => (
            format!("`{path}` has an invalid value"),
            Part::Value,
            format!("expected {expected}"),
            near_help,
        ),
    };
    let place = Place::of(documents, document, &path, part);
    Finding::error(problem, title).at(place, label).help(help)
}

/// Splits a path into the path of the mapping and the key.
fn split(path: &ValuePath) -> (ValuePath, String) {
    let mut parent = path.clone();
    let key = match path.segments().last() {
        Some(Segment::Key(key)) => key.clone(),
        Some(Segment::Index(index)) => index.to_string(),
        None => String::new(),
    };
    parent.pop();
    (parent, key)
}
