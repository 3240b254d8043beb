//! Findings of the checks, and their conversion to diagnostics: with lines, without secrets, and sorted.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::PathBuf;

use serde_json::{Map, Value};

use crate::diagnostic::{Diagnostic, Excerpt, Line, MAX_SHOWN, Severity};
use crate::path::ValuePath;
use crate::position::{Found, Tree};
use crate::problem::Problem;
use crate::redact::{Redaction, Words};

/// The maximum number of stored findings. Further findings are counted.
const MAX_FINDINGS: usize = 1_000;

/// The maximum excerpt of a long line: bytes before the mark, and bytes from its start.
const BEFORE: usize = 100;
const FROM: usize = 200;

/// The replacement for the hidden parts of a line.
const CUT: &str = " ... ";

/// A file, or the built-in text. It has no `Debug`, because the text may contain secrets.
pub(crate) struct Document {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
    /// `None` if the parser with positions could not read the text.
    pub(crate) tree: Option<Tree>,
    /// The top-level keys.
    pub(crate) values: Map<String, Value>,
    /// Set when the whole configuration is known.
    pub(crate) redaction: Redaction,
}

impl Document {
    pub(crate) fn find(&self, path: &ValuePath) -> Option<Found> {
        self.tree.as_ref().map(|tree| tree.find(path))
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text
        .as_bytes()
        .iter()
        .take(offset)
        .filter(|byte| **byte == b'\n')
        .count()
}

/// The part of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Key,
    Value,
}

/// A location in one of the documents.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    document: usize,
    /// `None` for the document as a whole.
    span: Option<(usize, usize)>,
}

impl Place {
    pub(crate) fn whole(document: usize) -> Self {
        Self { document, span: None }
    }

    pub(crate) fn span(document: usize, span: Range<usize>) -> Self {
        Self {
            document,
            span: Some((span.start, span.end)),
        }
    }

    /// Returns the location of a value or of its key.
    pub(crate) fn of(documents: &[Document], document: usize, path: &ValuePath, part: Part) -> Self {
        let Some(found) = documents.get(document).and_then(|document| document.find(path)) else {
            return Self::whole(document);
        };
        let span = match (part, found.key) {
            (Part::Key, Some(key)) if found.exact => key,
            _ => found.value,
        };
        Self::span(document, span)
    }
}

/// A finding of a check.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub(crate) problem: Problem,
    pub(crate) severity: Severity,
    pub(crate) title: String,
    /// `None` if no file is concerned.
    pub(crate) place: Option<Place>,
    pub(crate) label: String,
    pub(crate) also: Vec<(Place, String)>,
    pub(crate) notes: Vec<String>,
    pub(crate) help: Option<String>,
}

impl Finding {
    pub(crate) fn error(problem: Problem, title: impl Into<String>) -> Self {
        Self {
            problem,
            severity: Severity::Error,
            title: title.into(),
            place: None,
            label: String::new(),
            also: Vec::new(),
            notes: Vec::new(),
            help: None,
        }
    }

    pub(crate) fn warning(problem: Problem, title: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(problem, title)
        }
    }

    pub(crate) fn at(mut self, place: Place, label: impl Into<String>) -> Self {
        self.place = Some(place);
        self.label = label.into();
        self
    }

    pub(crate) fn also(mut self, place: Place, label: impl Into<String>) -> Self {
        self.also.push((place, label.into()));
        self
    }

    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    pub(crate) fn help(mut self, help: Option<impl Into<String>>) -> Self {
        self.help = help.map(Into::into);
        self
    }
}

/// The findings so far.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    findings: Vec<Finding>,
    errors: usize,
    omitted: usize,
    suppressed: BTreeSet<Place>,
}

impl Findings {
    /// Ignores further findings at this location, which already has one.
    pub(crate) fn suppress(&mut self, place: Place) {
        self.suppressed.insert(place);
    }

    pub(crate) fn add(&mut self, finding: Finding) {
        if finding
            .place
            .as_ref()
            .is_some_and(|place| self.suppressed.contains(place))
        {
            return;
        }
        let error = finding.severity == Severity::Error;
        self.errors += usize::from(error);
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(finding);
        } else {
            self.omitted += usize::from(error);
        }
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// Returns the errors and the warnings, sorted by location, and the number of omitted errors.
    pub(crate) fn finish(
        mut self,
        documents: &[Document],
        words: &Words,
    ) -> (Vec<Diagnostic>, Vec<Diagnostic>, usize) {
        self.findings.sort_by(|a, b| a.place.cmp(&b.place));
        let (errors, warnings): (Vec<_>, Vec<_>) = self
            .findings
            .into_iter()
            .partition(|finding| finding.severity == Severity::Error);
        let omitted = self.omitted + errors.len().saturating_sub(MAX_SHOWN);
        let diagnostics = |findings: Vec<Finding>| {
            findings
                .into_iter()
                .take(MAX_SHOWN)
                .map(|finding| diagnostic(finding, documents, words))
                .collect()
        };
        (diagnostics(errors), diagnostics(warnings), omitted)
    }
}

fn diagnostic(finding: Finding, documents: &[Document], words: &Words) -> Diagnostic {
    let hide = |text: String| words.hide(&text);
    let mut excerpts = Vec::new();
    if let Some(place) = finding.place {
        let primary = documents.get(place.document);
        let line_of = |place: &Place| Some(line_around(&primary?.text, place.span?.0));
        // Locations in the same line share an excerpt.
        let (same_line, other_lines): (Vec<_>, Vec<_>) = finding.also.into_iter().partition(|(also, _)| {
            also.document == place.document && line_of(also).is_some() && line_of(also) == line_of(&place)
        });
        let marks = std::iter::once((place, finding.label))
            .chain(same_line)
            .map(|(place, label)| (place, hide(label)));
        excerpts.extend(excerpt(marks.collect(), documents));
        excerpts.extend(
            other_lines
                .into_iter()
                .filter_map(|(place, label)| excerpt(vec![(place, hide(label))], documents)),
        );
    }
    Diagnostic {
        problem: finding.problem,
        severity: finding.severity,
        title: hide(finding.title),
        excerpts,
        notes: finding.notes.into_iter().map(hide).collect(),
        help: finding.help.map(hide),
    }
}

/// Returns the excerpt for marks that are all in the same line.
fn excerpt(marks: Vec<(Place, String)>, documents: &[Document]) -> Option<Excerpt> {
    let document = documents.get(marks.first()?.0.document)?;
    let spans: Option<Vec<_>> = marks
        .into_iter()
        .map(|(place, label)| place.span.map(|(start, end)| (start..end, label)))
        .collect();
    let line = spans.map(|spans| line(document, spans));
    Some(Excerpt {
        file: document.path.clone(),
        line,
    })
}

/// Returns the range of the line with this offset, without its line break. Offsets after the last line belong to the last line.
fn line_around(text: &str, offset: usize) -> Range<usize> {
    let mut offset = boundary(text, offset.min(text.len()));
    if offset == text.len() && text.ends_with('\n') {
        offset -= 1;
    }
    let start = text
        .get(..offset)
        .and_then(|before| before.rfind('\n'))
        .map_or(0, |found| found + 1);
    let end = text
        .get(offset..)
        .and_then(|rest| rest.find('\n'))
        .map_or(text.len(), |found| offset + found);
    let shown = text.get(start..end).unwrap_or_default();
    start..start + shown.strip_suffix('\r').unwrap_or(shown).len()
}

fn line(document: &Document, marks: Vec<(Range<usize>, String)>) -> Line {
    let text = document.text.as_str();
    let first = marks.first().map_or(0, |(span, _)| span.start);
    let line = line_around(text, first);
    let start = boundary(text, first.clamp(line.start, line.end));
    let column = text.get(line.start..start).unwrap_or_default().chars().count() + 1;
    let window = if start - line.start > BEFORE {
        boundary(text, start - BEFORE)
    } else {
        line.start
    }..boundary(text, line.end.min(start + FROM));
    let (spans, labels): (Vec<_>, Vec<_>) = marks
        .into_iter()
        .map(|(span, label)| {
            // A value of several lines is marked to the end of its first line, without trailing blanks.
            let start = boundary(text, span.start.clamp(window.start, window.end));
            let end = boundary(text, span.end.clamp(start, window.end));
            (
                start..start + text.get(start..end).unwrap_or_default().trim_end().len(),
                label,
            )
        })
        .unzip();
    let (mut shown, moved) = document.redaction.show(text, window.clone(), &spans);
    let mut shift = 0;
    if window.start > line.start {
        shown.insert_str(0, CUT);
        shift = CUT.len();
    }
    if window.end < line.end {
        shown.push_str(CUT);
    }
    let mut marks: Vec<_> = moved
        .into_iter()
        .zip(labels)
        .map(|(mark, label)| (mark.start + shift..mark.end + shift, label))
        .collect();
    for (mark, _) in &mut marks {
        if mark.start >= mark.end {
            // A mark needs at least one character: the next one, or a blank after the line.
            let next = shown
                .get(mark.start..)
                .and_then(|rest| rest.chars().next())
                .map_or(1, char::len_utf8);
            if mark.start >= shown.len() {
                shown.push(' ');
            }
            mark.end = mark.start + next;
        }
    }
    Line {
        number: line_of(text, start),
        column,
        text: shown,
        marks,
    }
}

fn boundary(text: &str, mut offset: usize) -> usize {
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}
