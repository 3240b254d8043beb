//! Diagnostics of definitions that plugin families read from files.

use std::ops::Range;
use std::path::Path;

use nephoscope_plugin::{DefinitionProblem, Expanded, Location, ProblemPlace, ProblemSeverity};
use serde_json::Map;

use crate::diagnostic::{ConfigErrors, Diagnostic};
use crate::finding::{Document, Finding, Findings, Place};
use crate::load::Loaded;
use crate::options::{OptionsOf, option_place};
use crate::problem::Problem;
use crate::redact::{Redaction, Words, by_lines, looks_secret};

/// Converts the problems that families found in their definitions. With `strict`, a rejected definition is an error instead of a
/// warning.
///
/// # Errors
///
/// All errors and warnings, if there is an error. Otherwise returns the warnings.
pub fn definitions(
    loaded: &Loaded,
    expanded: &Expanded,
    strict: bool,
) -> Result<Vec<Diagnostic>, ConfigErrors> {
    let mut of_options = Findings::default();
    let mut of_files = Findings::default();
    let mut words = loaded.words.clone();
    for secret in &expanded.secrets {
        words.add(secret);
    }
    let mut files = Files {
        expanded,
        words: &words,
        documents: Vec::new(),
    };
    for problem in &expanded.problems {
        let finding = finding(problem, strict);
        let label = problem.expected.as_deref().unwrap_or("here");
        match &problem.place {
            ProblemPlace::File(location) => {
                let finding = finding.at(files.place(location), label);
                of_files.add(match &problem.also {
                    Some((also, label)) => finding.also(files.place(also), label.as_str()),
                    None => finding,
                });
            }
            ProblemPlace::Option(option) => {
                let of = OptionsOf::Family(problem.family.to_owned());
                of_options.add(finding.at(option_place(loaded, &of, option).1, label));
            }
            // A location kind of a later version of the interface.
            _ => of_options.add(finding),
        }
    }
    let failed = of_options.has_errors() || of_files.has_errors();
    let documents = files.documents;
    let (mut errors, mut warnings, omitted) = of_options.finish(&loaded.documents, &words);
    let (more_errors, more_warnings, more_omitted) = of_files.finish(&documents, &words);
    errors.extend(more_errors);
    warnings.extend(more_warnings);
    if failed {
        return Err(ConfigErrors {
            errors,
            warnings,
            omitted: omitted + more_omitted,
        });
    }
    Ok(warnings)
}

fn finding(problem: &DefinitionProblem, strict: bool) -> Finding {
    let title = problem.title();
    let finding = match problem.severity {
        ProblemSeverity::Rejected if strict => Finding::error(Problem::DefinitionRejected, title)
            .note("a running agent does not use this definition, and uses the others"),
        ProblemSeverity::Rejected => Finding::warning(Problem::DefinitionRejected, title)
            .note("this definition is not used; the others are"),
        ProblemSeverity::Error => Finding::error(Problem::BadDefinition, title),
    };
    finding.help(problem.help.as_deref())
}

/// The files with problems.
struct Files<'a> {
    expanded: &'a Expanded,
    words: &'a Words,
    documents: Vec<Document>,
}

impl Files<'_> {
    fn place(&mut self, location: &Location) -> Place {
        let path = location.path();
        let known = self.documents.iter().position(|document| document.path == path);
        let index = known.unwrap_or_else(|| {
            self.documents.push(self.document(path));
            self.documents.len() - 1
        });
        let text = self.documents.get(index).map_or("", |document| &document.text);
        match span(text, location) {
            Some(span) => Place::span(index, span),
            None => Place::whole(index),
        }
    }

    fn document(&self, path: &Path) -> Document {
        let mut texts = self.expanded.files.texts.iter();
        let text = texts.find(|(known, _)| known == path);
        let text = text.map(|(_, text)| text.to_string()).unwrap_or_default();
        let redaction = Redaction::new(&text, by_lines(&text, looks_secret), self.words);
        Document {
            path: path.to_owned(),
            text,
            tree: None,
            values: Map::new(),
            redaction,
        }
    }
}

/// Returns the byte range of a location, or `None` if the line does not exist.
fn span(text: &str, location: &Location) -> Option<Range<usize>> {
    let (line, column) = (location.line()?, location.column()?);
    let mut start = 0;
    for _ in 1..line {
        start += text.get(start..)?.find('\n')? + 1;
    }
    let rest = text.get(start..)?;
    let rest = rest.split('\n').next().unwrap_or_default();
    let offset = |characters: usize| {
        let mut indices = rest.char_indices().map(|(at, _)| at);
        indices.nth(characters).unwrap_or(rest.len())
    };
    let first = column.saturating_sub(1);
    Some(start + offset(first)..start + offset(first.saturating_add(location.length())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_end_with_the_line() {
        let file = Location::file(Path::new("a.yaml"));
        let text = "name: x\nunit: °C # °F\nlast";
        let located = |line, column, length| {
            span(text, &file.at(line, column, length)).map(|span| text.get(span).unwrap_or("split"))
        };
        assert_eq!(located(1, 7, 1), Some("x"));
        assert_eq!(located(2, 7, 2), Some("°C"));
        assert_eq!(located(2, 12, 100), Some("°F"));
        assert_eq!(located(3, 1, 4), Some("last"));
        assert_eq!(located(3, 99, 4), Some(""));
        assert_eq!(located(9, 1, 1), None);
        assert_eq!(span(text, &file), None);
    }
}
