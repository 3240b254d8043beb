//! What the checks find, and its way to a diagnostic: places become lines, secrets are taken out, all are put in order.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::PathBuf;

use serde_json::{Map, Value};

use crate::diagnostic::{Diagnostic, Excerpt, Line, MAX_SHOWN, Severity};
use crate::path::ValuePath;
use crate::position::{Found, Tree};
use crate::problem::Problem;
use crate::redact::{Redaction, Words};

/// Findings beyond this number are counted only.
const MAX_KEPT: usize = 1_000;

/// Of a longer line only the part around the mark is shown (bytes before it, and from its start on).
const BEFORE: usize = 100;
const FROM: usize = 200;

/// Stands for the parts of a line that are not shown.
const CUT: &str = " ... ";

/// A file that was read, or the built-in text. It has no `Debug`: the text may hold secrets.
pub(crate) struct Document {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
    /// None if the parser that tells positions could not read the text.
    pub(crate) tree: Option<Tree>,
    /// The top-level keys.
    pub(crate) values: Map<String, Value>,
    /// Made when the whole configuration is known.
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

/// Which part of an entry is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Key,
    Value,
}

/// A place in one of the documents.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    document: usize,
    /// None for the document as a whole.
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

    /// Of a value, or of the key that it stands under.
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

/// Something that a check found.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub(crate) problem: Problem,
    pub(crate) severity: Severity,
    pub(crate) title: String,
    /// None if it is about no file.
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

/// All findings so far.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    kept: Vec<Finding>,
    errors: usize,
    omitted: usize,
    muted: BTreeSet<Place>,
}

impl Findings {
    /// From now on nothing is added about this very place: what is wrong with it has been said.
    pub(crate) fn mute(&mut self, place: Place) {
        self.muted.insert(place);
    }

    pub(crate) fn add(&mut self, finding: Finding) {
        if finding
            .place
            .as_ref()
            .is_some_and(|place| self.muted.contains(place))
        {
            return;
        }
        let error = finding.severity == Severity::Error;
        self.errors += usize::from(error);
        if self.kept.len() < MAX_KEPT {
            self.kept.push(finding);
        } else {
            self.omitted += usize::from(error);
        }
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// The errors and the warnings in the order of their places, and how many errors were left out.
    pub(crate) fn finish(
        mut self,
        documents: &[Document],
        words: &Words,
    ) -> (Vec<Diagnostic>, Vec<Diagnostic>, usize) {
        self.kept.sort_by(|a, b| a.place.cmp(&b.place));
        let (errors, warnings): (Vec<_>, Vec<_>) = self
            .kept
            .into_iter()
            .partition(|finding| finding.severity == Severity::Error);
        let omitted = self.omitted + errors.len().saturating_sub(MAX_SHOWN);
        let bake = |findings: Vec<Finding>| {
            findings
                .into_iter()
                .take(MAX_SHOWN)
                .map(|finding| diagnostic(finding, documents, words))
                .collect()
        };
        (bake(errors), bake(warnings), omitted)
    }
}

fn diagnostic(finding: Finding, documents: &[Document], words: &Words) -> Diagnostic {
    let hide = |text: String| words.hide(&text);
    let mut excerpts = Vec::new();
    if let Some(place) = finding.place {
        let primary = documents.get(place.document);
        let line_of = |place: &Place| Some(line_around(&primary?.text, place.span?.0));
        // What stands in the same line is shown in the same line.
        let (beside, apart): (Vec<_>, Vec<_>) = finding.also.into_iter().partition(|(also, _)| {
            also.document == place.document && line_of(also).is_some() && line_of(also) == line_of(&place)
        });
        let marks = std::iter::once((place, finding.label))
            .chain(beside)
            .map(|(place, label)| (place, hide(label)));
        excerpts.extend(excerpt(marks.collect(), documents));
        excerpts.extend(
            apart
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

/// The excerpt with marks that all stand in the line of the first.
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

/// The line that the offset is in, without its break. Behind the last line it is the last.
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
            // A value of several lines is marked to the end of its first; blanks at the end are never meant.
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
            // Something has to be underlined: the character there, or the place behind the line.
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
