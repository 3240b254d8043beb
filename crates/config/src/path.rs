//! The way from the top of a file to one of its values.

use std::fmt;

/// A step down: into a mapping or into a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// Under a key.
    Key(String),
    /// At a place of a list, counted from 0.
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

/// The steps from the top; shows as `sources[0].meters`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ValuePath(Vec<Segment>);

impl ValuePath {
    /// The whole document.
    pub fn top() -> Self {
        Self::default()
    }

    /// One step further down.
    #[must_use]
    pub fn at(&self, segment: impl Into<Segment>) -> Self {
        let mut steps = self.0.clone();
        steps.push(segment.into());
        Self(steps)
    }

    /// The way through `self` and then through `rest`.
    #[must_use]
    pub fn join(&self, rest: &Self) -> Self {
        Self(self.0.iter().chain(&rest.0).cloned().collect())
    }

    /// The steps.
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// Goes a step down; [`ValuePath::pop`] goes back.
    pub(crate) fn push(&mut self, segment: impl Into<Segment>) {
        self.0.push(segment.into());
    }

    /// Goes back up a step.
    pub(crate) fn pop(&mut self) {
        self.0.pop();
    }
}

impl fmt::Display for ValuePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Key(key) if place == 0 => f.write_str(key)?,
                Segment::Key(key) => write!(f, ".{key}")?,
                Segment::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}
