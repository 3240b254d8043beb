//! Errors and warnings of a configuration: file, line, column, an excerpt and a fix.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use annotate_snippets::renderer::Renderer;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Snippet};

use crate::problem::Problem;

/// The maximum number of shown errors. Further errors are counted.
pub const MAX_SHOWN: usize = 100;

/// The severity of a diagnostic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// The configuration can be used, but probably contains a mistake.
    Warning,
}

/// A diagnostic of a configuration. Secrets are masked when it is created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    pub(crate) problem: Problem,
    pub(crate) severity: Severity,
    pub(crate) title: String,
    /// The primary location comes first.
    pub(crate) excerpts: Vec<Excerpt>,
    pub(crate) notes: Vec<String>,
    pub(crate) help: Option<String>,
}

/// An excerpt of a file with marks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Excerpt {
    pub(crate) file: PathBuf,
    /// `None` for the file as a whole.
    pub(crate) line: Option<Line>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// The line number, counted from 1.
    pub(crate) number: usize,
    /// The column in characters, counted from 1.
    pub(crate) column: usize,
    /// The masked text of the line.
    pub(crate) text: String,
    /// The underlined ranges in bytes of `text`, with their labels.
    pub(crate) marks: Vec<(Range<usize>, String)>,
}

impl Diagnostic {
    /// Returns the kind of problem.
    pub fn problem(&self) -> Problem {
        self.problem
    }

    /// Returns the severity.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// Returns the title, which is one line.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Returns the file, if there is one.
    pub fn file(&self) -> Option<&Path> {
        self.excerpts.first().map(|excerpt| excerpt.file.as_path())
    }

    /// Returns the line and the column in characters, both counted from 1, if the diagnostic has a location.
    pub fn place(&self) -> Option<(usize, usize)> {
        self.excerpts
            .first()?
            .line
            .as_ref()
            .map(|line| (line.number, line.column))
    }

    /// Renders the full message without a trailing line break. `color` is for terminals.
    pub fn render(&self, color: bool) -> String {
        let renderer = if color {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut group = Group::with_title(level.primary_title(self.title.as_str()).id(self.problem.code()));
        let mut kind = AnnotationKind::Primary;
        for excerpt in &self.excerpts {
            let path = excerpt.file.to_string_lossy().into_owned();
            let Some(line) = &excerpt.line else {
                group = group.element(Origin::path(path));
                continue;
            };
            let mut snippet = Snippet::source(line.text.as_str()).line_start(line.number);
            for (mark, label) in &line.marks {
                snippet = snippet.annotation(kind.span(mark.clone()).label(label.as_str()));
                kind = AnnotationKind::Context;
            }
            group = group
                .element(Origin::path(path).line(line.number).char_column(line.column))
                .element(snippet);
        }
        for note in &self.notes {
            group = group.element(Level::NOTE.message(note.as_str()));
        }
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        without_empty_origins(&renderer.render(&[group]))
    }

    /// Returns the message in one line, for logs: `polling.yaml:3:5: unknown key`.
    pub fn one_line(&self) -> String {
        let mut line = String::new();
        if let Some(file) = self.file() {
            line.push_str(&file.to_string_lossy());
            if let Some((number, column)) = self.place() {
                line.push_str(&format!(":{number}:{column}"));
            }
            line.push_str(": ");
        }
        line.push_str(&self.title);
        line
    }
}

/// Removes the ` ::: ` that the renderer adds between an origin and its snippet. (The snippet has no path, because the renderer would
/// count columns in the masked line.)
fn without_empty_origins(rendered: &str) -> String {
    let is_empty_origin = |line: &&str| {
        // Ignores color sequences: ESC [ ... m.
        let mut parts = line.split('\u{1b}');
        let first = parts.next().unwrap_or_default().to_owned();
        let visible = parts.fold(first, |text, part| {
            text + part.split_once('m').map_or("", |(_, visible)| visible)
        });
        visible.trim() == ":::"
    };
    rendered
        .lines()
        .filter(|line| !is_empty_origin(line))
        .collect::<Vec<_>>()
        .join("\n")
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

/// All errors of a configuration, in the order of the files.
#[derive(Clone, Debug)]
pub struct ConfigErrors {
    pub(crate) errors: Vec<Diagnostic>,
    pub(crate) warnings: Vec<Diagnostic>,
    pub(crate) omitted: usize,
}

impl ConfigErrors {
    /// Returns the errors: at least one, at most [`MAX_SHOWN`].
    pub fn errors(&self) -> &[Diagnostic] {
        &self.errors
    }

    /// Returns the warnings.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    /// Returns the number of further errors.
    pub fn omitted(&self) -> usize {
        self.omitted
    }

    /// Renders all messages with blank lines between them, warnings first, without a trailing line break.
    pub fn render(&self, color: bool) -> String {
        let mut parts: Vec<String> = self
            .warnings
            .iter()
            .chain(&self.errors)
            .map(|diagnostic| diagnostic.render(color))
            .collect();
        if self.omitted > 0 {
            parts.push(format!("... and {} more", self.omitted));
        }
        parts.join("\n\n")
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for ConfigErrors {}
