//! Selection of devices by name.

use serde::{Deserialize, Serialize, Serializer};

/// A list of names, or prefixes of names with a trailing `*`; a leading `!` excludes.
///
/// A name passes if no entry excludes it, and an entry includes it or no entry includes any name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub(crate) struct NameFilter {
    include: Vec<Pattern>,
    exclude: Vec<Pattern>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Pattern {
    Exact(String),
    Prefix(String),
}

/// An invalid entry.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum FilterError {
    /// A `*` before the end.
    #[error("`{0}`: `*` is only allowed at the end")]
    Star(String),
    /// No name.
    #[error("`{0}`: the name is missing")]
    Empty(String),
}

impl NameFilter {
    /// Excludes names with these prefixes.
    pub(crate) fn without(prefixes: &[&str]) -> Self {
        Self {
            include: Vec::new(),
            exclude: prefixes
                .iter()
                .map(|prefix| Pattern::Prefix((*prefix).to_owned()))
                .collect(),
        }
    }

    pub(crate) fn passes(&self, name: &str) -> bool {
        let matches = |pattern: &Pattern| match pattern {
            Pattern::Exact(exact) => exact == name,
            Pattern::Prefix(prefix) => name.starts_with(prefix.as_str()),
        };
        (self.include.is_empty() || self.include.iter().any(matches)) && !self.exclude.iter().any(matches)
    }
}

impl TryFrom<Vec<String>> for NameFilter {
    type Error = FilterError;

    fn try_from(entries: Vec<String>) -> Result<Self, FilterError> {
        let mut filter = Self::default();
        for entry in entries {
            match entry.strip_prefix('!') {
                Some(name) => filter.exclude.push(pattern(name, &entry)?),
                None => filter.include.push(pattern(&entry, &entry)?),
            }
        }
        Ok(filter)
    }
}

impl Serialize for NameFilter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = |mark: &'static str| {
            move |pattern: &Pattern| match pattern {
                Pattern::Exact(name) => format!("{mark}{name}"),
                Pattern::Prefix(name) => format!("{mark}{name}*"),
            }
        };
        let included = self.include.iter().map(text(""));
        serializer.collect_seq(included.chain(self.exclude.iter().map(text("!"))))
    }
}

fn pattern(name: &str, entry: &str) -> Result<Pattern, FilterError> {
    let (name, is_prefix) = match name.strip_suffix('*') {
        Some(prefix) => (prefix, true),
        None => (name, false),
    };
    if name.contains('*') {
        return Err(FilterError::Star(entry.to_owned()));
    }
    match (name.is_empty(), is_prefix) {
        (true, false) => Err(FilterError::Empty(entry.to_owned())),
        (_, true) => Ok(Pattern::Prefix(name.to_owned())),
        (false, false) => Ok(Pattern::Exact(name.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(entries: &[&str]) -> Result<NameFilter, FilterError> {
        entries
            .iter()
            .map(|entry| (*entry).to_owned())
            .collect::<Vec<_>>()
            .try_into()
    }

    fn passing(entries: &[&str]) -> Vec<&'static str> {
        let filter = filter(entries).unwrap();
        let names = ["eth0", "eth1", "lo", "tap-eth0"];
        names.into_iter().filter(|name| filter.passes(name)).collect()
    }

    #[test]
    fn included_names_that_are_not_excluded_pass() {
        assert_eq!(passing(&[]), ["eth0", "eth1", "lo", "tap-eth0"]);
        assert_eq!(passing(&["eth*"]), ["eth0", "eth1"]);
        assert_eq!(passing(&["eth*", "!eth1"]), ["eth0"]);
        assert_eq!(passing(&["!tap*", "!lo"]), ["eth0", "eth1"]);
        assert_eq!(passing(&["*", "!lo"]), ["eth0", "eth1", "tap-eth0"]);
        assert_eq!(passing(&["!*"]), [""; 0]);
    }

    #[test]
    fn invalid_entries_are_rejected() {
        assert_eq!(filter(&["*0"]), Err(FilterError::Star("*0".into())));
        assert_eq!(filter(&["!e*h*"]), Err(FilterError::Star("!e*h*".into())));
        assert_eq!(filter(&["!"]), Err(FilterError::Empty("!".into())));
        assert_eq!(filter(&[""]), Err(FilterError::Empty("".into())));
    }

    #[test]
    fn a_filter_is_serialized_as_it_is_written() {
        let filter = filter(&["!b*", "a", "c*"]).unwrap();
        assert_eq!(serde_json::to_string(&filter).unwrap(), r#"["a","c*","!b*"]"#);
    }
}
