//! An entry of `polling.yaml`: which meters, how often, of which resources.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::filter::MeterFilter;
use crate::schedule::Schedule;

/// A source, checked and ready for the engine.
///
/// Two sources are equal when they ask for the same work: where a source stands in its file makes no difference, so that a line
/// added above it does not look like a change when the file is read again.
#[derive(Clone, Debug)]
pub struct Source {
    /// A label for people: it need not be unique.
    pub name: String,
    /// When the source is polled.
    pub schedule: Schedule,
    /// The meters that it wants.
    pub meters: MeterFilter,
    /// Resources that are given in the file, handed to every pollster of the source.
    pub resources: Vec<StaticResource>,
    /// Discoveries that take the place of each pollster's own; none: the pollsters' own are asked.
    pub discovery: Vec<DiscoveryUrl>,
    /// How shared resources are divided; none: as each discovery declares.
    pub partition: Option<PartitionMode>,
    /// How long a pollster run may stay without a result; none: the engine's limit alone holds.
    pub timeout: Option<Duration>,
    /// Where it is written, for logs.
    pub position: Position,
}

impl PartialEq for Source {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
            && self.schedule.id() == other.schedule.id()
            && self.meters == other.meters
            && self.resources == other.resources
            && self.discovery == other.discovery
            && self.partition == other.partition
            && self.timeout == other.timeout
    }
}

/// A line of a configuration file; shows as `polling.yaml:12`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The file, as it was named by whoever asked for it.
    pub file: Arc<PathBuf>,
    /// The line, counted from 1.
    pub line: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

pub use nephoscope_plugin::PartitionMode;

/// An item of `resources:`. Any value is allowed there; pollsters decide what they make of it.
#[derive(Clone, Debug, PartialEq)]
pub struct StaticResource {
    key: String,
    value: Value,
}

impl StaticResource {
    /// Wraps the value and works out its key.
    pub fn new(value: Value) -> Self {
        let key = match &value {
            Value::String(text) => text.clone(),
            other => canonical(other).to_string(),
        };
        Self { key, value }
    }

    /// The same for equal values, whatever the order of a mapping's keys: text as it is, any other value as JSON with sorted keys.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The value as it is written.
    pub fn value(&self) -> &Value {
        &self.value
    }
}

/// The value with the keys of all its mappings in order. (Depth is bounded by whoever read the value.)
fn canonical(value: &Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.iter().map(canonical).collect()),
        Value::Object(fields) => {
            let mut sorted: Vec<_> = fields.iter().collect();
            sorted.sort_by_key(|(key, _)| *key);
            Value::Object(
                sorted
                    .into_iter()
                    .map(|(key, value)| (key.clone(), canonical(value)))
                    .collect(),
            )
        }
        other => other.clone(),
    }
}

/// An item of `discovery:`: which discovery is asked, and what for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DiscoveryUrl {
    text: String,
    name: String,
    parameter: Option<String>,
}

impl DiscoveryUrl {
    /// Takes the text apart as ceilometer does (Python's `urlparse`): a scheme is the name, in lower case, and what follows without
    /// `//`, query and fragment is the parameter. Text without a scheme is a name without a parameter; `local_node:x` is such
    /// text, because no scheme contains `_`.
    pub fn parse(text: &str) -> Self {
        // As urlparse: no control characters or blanks in front, no line breaks or tabs anywhere.
        let cleaned: String = text
            .trim_start_matches(|c: char| c <= ' ')
            .chars()
            .filter(|c| !matches!(c, '\t' | '\r' | '\n'))
            .collect();
        let (scheme, rest) = match cleaned.split_once(':') {
            Some((scheme, rest)) if is_scheme(scheme) => (Some(scheme), rest),
            _ => (None, cleaned.as_str()),
        };
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        let (name, parameter) = match scheme {
            Some(scheme) => (
                scheme.to_ascii_lowercase(),
                Some(rest.strip_prefix("//").unwrap_or(rest).to_owned()),
            ),
            None => (rest.to_owned(), None),
        };
        Self {
            text: text.to_owned(),
            name,
            parameter,
        }
    }

    /// The text as it is written; the listing's identity.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The name under which the discovery is registered.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the discovery is asked for; none when the URL is only a name, which is not the same as the empty parameter of `name://`.
    pub fn parameter(&self) -> Option<&str> {
        self.parameter.as_deref()
    }
}

impl fmt::Display for DiscoveryUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_discovery_urls_apart_as_ceilometer_does() {
        // Checked with urllib.parse.urlparse of CPython 3.11.
        let cases = [
            ("local_node", "local_node", None),
            ("endpoint:volumev3", "endpoint", Some("volumev3")),
            ("endpoint://", "endpoint", Some("")),
            ("a://b/c", "a", Some("b/c")),
            ("a:///b", "a", Some("/b")),
            ("barbican:", "barbican", Some("")),
            ("Endpoint:X", "endpoint", Some("X")),
            ("endpoint:compute?x=1#f", "endpoint", Some("compute")),
            ("a:b#c?d", "a", Some("b")),
            ("a://b?c/d", "a", Some("b")),
            ("local_node:x", "local_node:x", None),
            ("dns_zones:x", "dns_zones:x", None),
            ("local_node?x=1", "local_node", None),
            ("1a:x", "1a:x", None),
            (":x", ":x", None),
            (" a:b", "a", Some("b")),
            ("a\tb:c", "ab", Some("c")),
            ("synthetic://100", "synthetic", Some("100")),
            ("a+b-c.d1:x", "a+b-c.d1", Some("x")),
        ];
        for (text, name, parameter) in cases {
            let url = DiscoveryUrl::parse(text);
            assert_eq!((url.name(), url.parameter(), url.text()), (name, parameter, text));
        }
    }

    #[test]
    fn keys_of_static_resources_are_stable() {
        let key = |json: &str| {
            StaticResource::new(serde_json::from_str(json).expect("JSON"))
                .key()
                .to_owned()
        };
        assert_eq!(key(r#""https://example.test/""#), "https://example.test/");
        assert_eq!(
            key(r#"{"b": [1, {"d": 1, "c": null}], "a": 2}"#),
            r#"{"a":2,"b":[1,{"c":null,"d":1}]}"#
        );
        assert_eq!(key(r#"{"a": 2, "b": 1}"#), key(r#"{"b": 1, "a": 2}"#));
        assert_eq!(key("5"), "5");
    }
}
