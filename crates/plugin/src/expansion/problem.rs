//! What is wrong with a definition.

use std::fmt;
use std::sync::Arc;

use crate::{Location, OptionsError};

/// What follows from a [`DefinitionProblem`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProblemSeverity {
    /// The configuration cannot be used.
    Error,
    /// This definition is not loaded, and all others are. `check` fails; an agent says it once and goes on.
    SetAside,
}

/// Where a [`DefinitionProblem`] is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProblemPlace {
    /// An option of the family, as in `definitions[0]`; `.` for all of them.
    Option(String),
    /// A place in a file that the family read.
    File(Location),
}

/// Something that is wrong with a definition, or with what definitions are read from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct DefinitionProblem {
    /// The family that read it; the catalog says it.
    pub family: &'static str,
    /// What follows from it.
    pub severity: ProblemSeverity,
    /// The name of the definition, where it is known.
    pub definition: Option<Arc<str>>,
    /// The attribute of the definition.
    pub attribute: Option<String>,
    /// What is wrong, in one line and without secrets.
    pub message: String,
    /// Where.
    pub place: ProblemPlace,
    /// What would be right there, as in `expected gauge, delta or cumulative`.
    pub expected: Option<String>,
    /// Another place that belongs to it, and what is there.
    pub also: Option<(Location, String)>,
    /// A way out.
    pub help: Option<String>,
}

impl DefinitionProblem {
    /// The configuration cannot be used.
    pub fn error(place: impl Into<ProblemPlace>, message: impl Into<String>) -> Self {
        Self {
            family: "",
            severity: ProblemSeverity::Error,
            definition: None,
            attribute: None,
            message: message.into(),
            place: place.into(),
            expected: None,
            also: None,
            help: None,
        }
    }

    /// The definition is not loaded, and all others are.
    pub fn set_aside(place: impl Into<ProblemPlace>, message: impl Into<String>) -> Self {
        Self {
            severity: ProblemSeverity::SetAside,
            ..Self::error(place, message)
        }
    }

    /// The name of the definition.
    #[must_use]
    pub fn definition(mut self, name: impl Into<Arc<str>>) -> Self {
        self.definition = Some(name.into());
        self
    }

    /// The attribute of the definition.
    #[must_use]
    pub fn attribute(mut self, attribute: impl Into<String>) -> Self {
        self.attribute = Some(attribute.into());
        self
    }

    /// What would be right there.
    #[must_use]
    pub fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    /// Another place that belongs to it, and what is there.
    #[must_use]
    pub fn also(mut self, location: Location, label: impl Into<String>) -> Self {
        self.also = Some((location, label.into()));
        self
    }

    /// A way out.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The location, if it is in a file.
    pub fn location(&self) -> Option<&Location> {
        match &self.place {
            ProblemPlace::File(location) => Some(location),
            ProblemPlace::Option(_) => None,
        }
    }

    /// What is wrong, in one line, without its place.
    pub fn title(&self) -> String {
        match &self.definition {
            Some(name) => format!("`{name}`: {}", self.reason()),
            None => self.reason(),
        }
    }

    /// What is wrong, in one line, without its place and its definition.
    pub fn reason(&self) -> String {
        match &self.attribute {
            Some(attribute) => format!("`{attribute}`: {}", self.message),
            None => self.message.clone(),
        }
    }
}

impl From<Location> for ProblemPlace {
    fn from(location: Location) -> Self {
        Self::File(location)
    }
}

impl From<OptionsError> for DefinitionProblem {
    fn from(error: OptionsError) -> Self {
        Self::error(ProblemPlace::Option(error.path), error.message)
    }
}

impl fmt::Display for DefinitionProblem {
    /// In one line, with its place.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            ProblemPlace::Option(path) if path == "." => write!(out, "plugins.{}", self.family)?,
            ProblemPlace::Option(path) => write!(out, "plugins.{}.{path}", self.family)?,
            ProblemPlace::File(location) => write!(out, "{location}")?,
        }
        write!(out, ": {}", self.title())
    }
}
