//! Problems of definitions.

use std::fmt;
use std::sync::Arc;

use crate::{Location, OptionsError};

/// The consequence of a [`DefinitionProblem`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProblemSeverity {
    /// The configuration cannot be used.
    Error,
    /// This definition is not loaded; all others are. `check` fails; an agent logs it once and continues.
    Rejected,
}

/// The place of a [`DefinitionProblem`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProblemPlace {
    /// An option of the family, such as `definitions[0]`; `.` for all options.
    Option(String),
    /// A location in a file that the family read.
    File(Location),
}

/// A problem of a definition, or of the file or option that it is read from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct DefinitionProblem {
    /// The family of the definition. The catalog sets it.
    pub family: &'static str,
    /// The consequence.
    pub severity: ProblemSeverity,
    /// The name of the definition, if known.
    pub definition: Option<Arc<str>>,
    /// The attribute of the definition.
    pub attribute: Option<String>,
    /// What is wrong, on one line and without secrets.
    pub message: String,
    /// The place.
    pub place: ProblemPlace,
    /// What would be valid there, such as `expected gauge, delta or cumulative`.
    pub expected: Option<String>,
    /// A related location, with its label.
    pub also: Option<(Location, String)>,
    /// How to fix it.
    pub help: Option<String>,
}

impl DefinitionProblem {
    /// An error: the configuration cannot be used.
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

    /// A rejected definition: it is not loaded, and all others are.
    pub fn rejected(place: impl Into<ProblemPlace>, message: impl Into<String>) -> Self {
        Self {
            severity: ProblemSeverity::Rejected,
            ..Self::error(place, message)
        }
    }

    /// Sets the name of the definition.
    #[must_use]
    pub fn definition(mut self, name: impl Into<Arc<str>>) -> Self {
        self.definition = Some(name.into());
        self
    }

    /// Sets the attribute of the definition.
    #[must_use]
    pub fn attribute(mut self, attribute: impl Into<String>) -> Self {
        self.attribute = Some(attribute.into());
        self
    }

    /// Sets what would be valid there.
    #[must_use]
    pub fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    /// Sets a related location with its label.
    #[must_use]
    pub fn also(mut self, location: Location, label: impl Into<String>) -> Self {
        self.also = Some((location, label.into()));
        self
    }

    /// Sets how to fix it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The location, if the problem is in a file.
    pub fn location(&self) -> Option<&Location> {
        match &self.place {
            ProblemPlace::File(location) => Some(location),
            ProblemPlace::Option(_) => None,
        }
    }

    /// What is wrong, on one line, without the place.
    pub fn title(&self) -> String {
        match &self.definition {
            Some(name) => format!("`{name}`: {}", self.reason()),
            None => self.reason(),
        }
    }

    /// What is wrong, on one line, without the place and the definition.
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
    /// One line, with the place.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            ProblemPlace::Option(path) if path == "." => write!(out, "plugins.{}", self.family)?,
            ProblemPlace::Option(path) => write!(out, "plugins.{}.{path}", self.family)?,
            ProblemPlace::File(location) => write!(out, "{location}")?,
        }
        write!(out, ": {}", self.title())
    }
}
