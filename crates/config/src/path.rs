//! Paths to values in a file.

use std::fmt;

/// A step into a mapping or a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// A key of a mapping.
    Key(String),
    /// An index of a list, counted from 0.
    Index(usize),
}

impl From<&str> for Segment {
    fn from(key: &str) -> Self {
        Self::Key(key.to_owned())
    }
}

impl From<usize> for Segment {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

/// The steps from the top level to a value. Displayed as `sources[0].meters`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ValuePath(Vec<Segment>);

impl ValuePath {
    /// Returns the path of the whole document.
    pub fn top() -> Self {
        Self::default()
    }

    /// Returns the path of a child.
    #[must_use]
    pub fn at(&self, segment: impl Into<Segment>) -> Self {
        let mut steps = self.0.clone();
        steps.push(segment.into());
        Self(steps)
    }

    /// Appends `rest` to the path.
    #[must_use]
    pub fn join(&self, rest: &Self) -> Self {
        Self(self.0.iter().chain(&rest.0).cloned().collect())
    }

    /// Returns the steps.
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// Adds a step; [`ValuePath::pop`] removes it.
    pub(crate) fn push(&mut self, segment: impl Into<Segment>) {
        self.0.push(segment.into());
    }

    /// Removes the last step.
    pub(crate) fn pop(&mut self) {
        self.0.pop();
    }
}

impl fmt::Display for ValuePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Key(key) if index == 0 => f.write_str(key)?,
                Segment::Key(key) => write!(f, ".{key}")?,
                Segment::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}
