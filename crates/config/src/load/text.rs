//! A text, taken apart by both parsers.

use serde_json::{Map, Value};

use crate::finding::{Document, Finding, Findings, Part, Place};
use crate::path::ValuePath;
use crate::position::{self, Flaw};
use crate::problem::Problem;
use crate::schema;
use crate::yaml;

/// The top-level keys of the document's text; none if it cannot be used. The document keeps where its values are.
pub(super) fn parse(
    documents: &mut [Document],
    document: usize,
    text: &str,
    findings: &mut Findings,
) -> Option<Map<String, Value>> {
    match position::survey(text) {
        Ok(survey) => {
            let empty = survey.tree.is_none() && survey.flaws.is_empty();
            let flawed = !survey.flaws.is_empty();
            for flaw in survey.flaws {
                let finding = flawed_text(flaw, document, text);
                findings.add(finding);
            }
            if empty {
                return Some(Map::new());
            }
            if flawed {
                return None;
            }
            if let Some(document) = documents.get_mut(document) {
                document.tree = survey.tree;
            }
        }
        // Without anchors there is nothing that could grow, so the other parser may try, though no place will be known.
        Err(flaw) if text.contains('&') || yaml::parse(text).is_err() => {
            let finding = flawed_text(flaw, document, text);
            findings.add(finding);
            return None;
        }
        Err(_) => {}
    }
    let (value, unfit) = match yaml::parse(text) {
        Ok(parsed) => parsed,
        Err(error) => {
            let span = error
                .offset
                .map(|offset| offset.min(text.len())..offset.min(text.len()));
            let place = span.map_or(Place::whole(document), |span| Place::span(document, span));
            let finding = Finding::error(
                Problem::Syntax,
                format!("the file is not YAML: {}", error.message),
            );
            findings.add(finding.at(place, "here"));
            return None;
        }
    };
    for flaw in unfit {
        report_unfit(documents, document, flaw, findings);
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
                .then_some("begin with `sources:` and indent the list below it");
            findings.add(finding.help(help));
            None
        }
    }
}

fn report_unfit(documents: &[Document], document: usize, unfit: yaml::Unfit, findings: &mut Findings) {
    let finding = match unfit.problem {
        // The tag is not repeated: it may be a secret without quotation marks.
        Problem::Tag => Finding::error(Problem::Tag, "a YAML tag has no meaning here")
            .help(Some("text that begins with `!` needs quotation marks")),
        Problem::NotFinite => Finding::error(unfit.problem, "a number is infinite or not a number"),
        problem => Finding::error(problem, "a key is not text"),
    };
    let place = Place::of(documents, document, &unfit.path, Part::Value);
    findings.add(finding.at(place.clone(), ""));
    findings.mute(place);
}

fn flawed_text(flaw: Flaw, document: usize, text: &str) -> Finding {
    let Flaw {
        problem,
        span,
        label,
        also,
    } = flaw;
    let title = match problem {
        Problem::Syntax => "the file is not YAML",
        Problem::DuplicateKey => "a key stands twice in one mapping",
        Problem::SeveralDocuments => "the file holds more than one YAML document",
        Problem::TooDeep => "values are nested too deep",
        Problem::TooMany => "the file holds too many values",
        Problem::AliasCycle => "an alias refers to the value that it is part of",
        Problem::NumberTooBig => "a number is too big",
        Problem::Merge => "a merge key is given something else than a mapping",
        _ => "a key is not text",
    };
    let help = match problem {
        Problem::Syntax if label.contains("tab") => Some("indent with blanks".to_owned()),
        Problem::Syntax => syntax_help(text, span.start),
        Problem::NumberTooBig => Some("if text is meant, put it in quotation marks".to_owned()),
        Problem::SeveralDocuments => {
            Some("keep the first, or put the other into a file of its own".to_owned())
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

/// What is most often meant by text that is not YAML.
fn syntax_help(text: &str, offset: usize) -> Option<String> {
    let rest = text.get(offset..)?;
    match rest.chars().next()? {
        // The text itself is not repeated: it may be a secret.
        first @ ('*' | '!' | '&' | '@' | '`' | '|' | '>') => {
            Some(format!("text that begins with `{first}` needs quotation marks"))
        }
        '[' => Some("a pattern with `[` needs quotation marks".to_owned()),
        ':' => Some(
            "text with `: ` in it needs quotation marks; keys of one mapping are indented alike".to_owned(),
        ),
        _ => None,
    }
}
