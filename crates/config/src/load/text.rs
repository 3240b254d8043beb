//! Parses a text with both parsers.

use serde_json::{Map, Value};

use crate::finding::{Document, Finding, Findings, Part, Place};
use crate::path::ValuePath;
use crate::position::{self, TextError};
use crate::problem::Problem;
use crate::schema;
use crate::yaml;

/// Returns the top-level keys of the document's text, or `None` if it has errors. Stores the positions in the document.
pub(super) fn parse(
    documents: &mut [Document],
    document: usize,
    text: &str,
    findings: &mut Findings,
) -> Option<Map<String, Value>> {
    match position::scan(text) {
        Ok(scan) => {
            let empty = scan.tree.is_none() && scan.errors.is_empty();
            let failed = !scan.errors.is_empty();
            for error in scan.errors {
                findings.add(text_finding(error, document, text));
            }
            if empty {
                return Some(Map::new());
            }
            if failed {
                return None;
            }
            if let Some(document) = documents.get_mut(document) {
                document.tree = scan.tree;
            }
        }
        // Without anchors the text cannot expand, so that the other parser is safe, but positions are unknown.
        Err(error) if text.contains('&') || yaml::parse(text).is_err() => {
            findings.add(text_finding(error, document, text));
            return None;
        }
        Err(_) => {}
    }
    let (value, unsupported) = match yaml::parse(text) {
        Ok(parsed) => parsed,
        Err(error) => {
            let span = error
                .offset
                .map(|offset| offset.min(text.len())..offset.min(text.len()));
            let place = span.map_or(Place::whole(document), |span| Place::span(document, span));
            let finding = Finding::error(Problem::Syntax, format!("invalid YAML: {}", error.message));
            findings.add(finding.at(place, "here"));
            return None;
        }
    };
    for value in unsupported {
        report_unsupported(documents, document, value, findings);
    }
    match value {
        Value::Object(values) => Some(values),
        Value::Null => Some(Map::new()),
        other => {
            let place = Place::of(documents, document, &ValuePath::top(), Part::Value);
            let label = format!(
                "expected a mapping with the key `sources`, found {}",
                schema::kind(&other)
            );
            let finding = Finding::error(Problem::NotMapping, "the file is not a mapping").at(place, label);
            let help = other
                .is_array()
                .then_some("start with `sources:` and indent the list below it");
            findings.add(finding.help(help));
            None
        }
    }
}

fn report_unsupported(
    documents: &[Document],
    document: usize,
    value: yaml::Unsupported,
    findings: &mut Findings,
) {
    let finding = match value.problem {
        // The message does not quote the tag, which may be a secret without quotation marks.
        Problem::Tag => Finding::error(Problem::Tag, "YAML tags are not supported")
            .help(Some("text that begins with `!` needs quotation marks")),
        Problem::NotFinite => Finding::error(value.problem, "a number is infinite or not a number"),
        problem => Finding::error(problem, "a key is not text"),
    };
    let place = Place::of(documents, document, &value.path, Part::Value);
    findings.add(finding.at(place.clone(), ""));
    findings.suppress(place);
}

fn text_finding(error: TextError, document: usize, text: &str) -> Finding {
    let TextError {
        problem,
        span,
        label,
        also,
    } = error;
    let title = match problem {
        Problem::Syntax => "invalid YAML",
        Problem::DuplicateKey => "duplicate key in a mapping",
        Problem::SeveralDocuments => "the file contains more than one YAML document",
        Problem::TooDeep => "values are nested too deeply",
        Problem::TooMany => "the file contains too many values",
        Problem::AliasCycle => "an alias refers to the value that contains it",
        Problem::NumberTooBig => "a number is too large",
        Problem::Merge => "the value of a merge key is not a mapping",
        _ => "a key is not text",
    };
    let help = match problem {
        Problem::Syntax if label.contains("tab") => Some("indent with spaces".to_owned()),
        Problem::Syntax => syntax_help(text, span.start),
        Problem::NumberTooBig => Some("put text in quotation marks".to_owned()),
        Problem::SeveralDocuments => {
            Some("keep the first document, or move the other to another file".to_owned())
        }
        _ => None,
    };
    let mut finding = Finding::error(problem, title)
        .at(Place::span(document, span), label)
        .help(help);
    if let Some((span, label)) = also {
        finding = finding.also(Place::span(document, span), label);
    }
    finding
}

/// Returns the most probable fix of a syntax error.
fn syntax_help(text: &str, offset: usize) -> Option<String> {
    let rest = text.get(offset..)?;
    match rest.chars().next()? {
        // The message does not quote the text, which may be a secret.
        first @ ('*' | '!' | '&' | '@' | '`' | '|' | '>') => {
            Some(format!("text that begins with `{first}` needs quotation marks"))
        }
        '[' => Some("a pattern with `[` needs quotation marks".to_owned()),
        ':' => Some(
            "text that contains `: ` needs quotation marks; keys of a mapping have the same indentation"
                .to_owned(),
        ),
        _ => None,
    }
}
