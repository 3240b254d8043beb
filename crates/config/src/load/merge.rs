//! Selects the document of each section.

use std::collections::BTreeMap;

use super::files::Files;
use super::request::LoadRequest;
use super::secrets::Secrets;
use crate::finding::{Document, Finding, Findings, Part, Place};
use crate::near::nearest;
use crate::path::ValuePath;
use crate::problem::Problem;

/// The top-level keys.
const SECTIONS: [&str; 5] = ["agent", "coordination", "notifier", "plugins", "sources"];

/// The document of each top-level key.
pub(super) type Sections = BTreeMap<&'static str, usize>;

/// Selects the last document that has a section.
pub(super) fn merge(
    files: &Files,
    request: &LoadRequest,
    findings: &mut Findings,
    secrets: &mut Secrets<'_>,
) -> Sections {
    let documents = &files.documents;
    let mut sections = Sections::new();
    for (document, written) in documents.iter().enumerate() {
        for key in written.values.keys() {
            let path = ValuePath::top().at(key.as_str());
            let Some(section) = SECTIONS.into_iter().find(|section| section == key) else {
                secrets.hide_likely(documents, document, &path);
                findings.add(unknown_section(documents, document, key, &path, request.strict));
                continue;
            };
            let earlier = sections.insert(section, document);
            if let (Some(earlier), "sources") = (earlier, section) {
                let first = Place::of(documents, earlier, &path, Part::Key);
                let second = Place::of(documents, document, &path, Part::Key);
                let finding = Finding::error(Problem::DuplicateSources, "two files have `sources`")
                    .at(second, "second definition")
                    .also(first, "first definition")
                    .help(Some("define all sources in one file"));
                findings.add(finding);
            }
        }
    }
    if !sections.contains_key("sources") && !files.incomplete {
        let names: Vec<String> = files
            .files
            .iter()
            .map(|file| format!("`{}`", file.display()))
            .collect();
        let finding = Finding::error(Problem::SourcesMissing, "`sources` is missing").help(Some(
            "add `sources:` with a list, or `sources: []` to poll nothing",
        ));
        let finding = match names.as_slice() {
            [_] => finding.at(Place::whole(0), ""),
            _ => finding.note(format!("searched {}", names.join(", "))),
        };
        findings.add(finding);
    }
    sections
}

fn unknown_section(
    documents: &[Document],
    document: usize,
    key: &str,
    path: &ValuePath,
    strict: bool,
) -> Finding {
    let title = format!(
        "unknown top-level key `{}`",
        key.chars().take(60).collect::<String>()
    );
    let finding = if strict {
        Finding::error(Problem::UnknownTopLevel, title)
    } else {
        Finding::warning(Problem::UnknownTopLevel, title)
    };
    let near = nearest(key, SECTIONS).map(|near| format!("did you mean `{near}`?"));
    let place = Place::of(documents, document, path, Part::Key);
    finding.at(place, "this key has no effect").help(near)
}
