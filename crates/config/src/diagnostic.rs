//! Errors and warnings as people see them: file, line, column, the offending text underlined, and a way out.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use annotate_snippets::renderer::Renderer;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Snippet};

use crate::problem::Problem;

/// More errors than this are counted, not shown.
pub const MAX_SHOWN: usize = 100;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can be used, and something about it is probably not what was meant.
    Warning,
}

/// One thing about a configuration, safe to show: secrets were taken out when it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    pub(crate) problem: Problem,
    pub(crate) severity: Severity,
    pub(crate) title: String,
    /// The place it is about comes first.
    pub(crate) excerpts: Vec<Excerpt>,
    pub(crate) notes: Vec<String>,
    pub(crate) help: Option<String>,
}

/// A line of a file, with a part of it marked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Excerpt {
    pub(crate) file: PathBuf,
    /// None where the file as a whole is meant.
    pub(crate) line: Option<Line>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// Counted from 1.
    pub(crate) number: usize,
    /// In characters, counted from 1.
    pub(crate) column: usize,
    /// The line as it may be shown.
    pub(crate) text: String,
    /// What is underlined, in bytes of `text`, with what is said about it.
    pub(crate) marks: Vec<(Range<usize>, String)>,
}

impl Diagnostic {
    /// What kind of problem it is.
    pub fn problem(&self) -> Problem {
        self.problem
    }

    /// How bad it is.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// What is wrong, in one line.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// The file, if it is about one.
    pub fn file(&self) -> Option<&Path> {
        self.excerpts.first().map(|excerpt| excerpt.file.as_path())
    }

    /// Line and column, both counted from 1, the column in characters; if it is about a certain place.
    pub fn place(&self) -> Option<(usize, usize)> {
        self.excerpts
            .first()?
            .line
            .as_ref()
            .map(|line| (line.number, line.column))
    }

    /// The whole message of several lines, without a line break at its end; `color` for terminals.
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

    /// The message in one line, for logs: `polling.yaml:3:5: unknown key`.
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

/// Takes out the ` ::: ` that the renderer puts between an origin and its snippet. (The snippet has no path of its own, because
/// the renderer would count columns in the line as it is shown, not as it is written.)
fn without_empty_origins(rendered: &str) -> String {
    let is_empty_origin = |line: &&str| {
        // Without the escape sequences of colours: ESC [ ... m.
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

/// Why a configuration cannot be used: everything that is wrong with it, in the order of the files.
#[derive(Clone, Debug)]
pub struct ConfigErrors {
    pub(crate) errors: Vec<Diagnostic>,
    pub(crate) warnings: Vec<Diagnostic>,
    pub(crate) omitted: usize,
}

impl ConfigErrors {
    /// The errors; at least one, at most [`MAX_SHOWN`].
    pub fn errors(&self) -> &[Diagnostic] {
        &self.errors
    }

    /// What was noticed beside the errors.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    /// How many more errors there are.
    pub fn omitted(&self) -> usize {
        self.omitted
    }

    /// All messages with blank lines between them, warnings first, without a line break at the end.
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
