//! Discovery URLs: the name of a discovery and its parameter.

use std::fmt;

/// An item of `discovery:`: the name of a discovery and its parameter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DiscoveryUrl {
    text: String,
    name: String,
    parameter: Option<String>,
}

impl DiscoveryUrl {
    /// Parses the text as ceilometer does (Python's `urlparse`). A scheme is the name, in lowercase, and the rest without `//`,
    /// query and fragment is the parameter. Text without a scheme is a name without a parameter; `local_node:x` is such
    /// text, because no scheme contains `_`.
    pub fn parse(text: &str) -> Self {
        // As in urlparse: leading control characters and spaces, and all line breaks and tabs, are removed.
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

    /// The text as written. It identifies the discovery run within a cycle.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The name under which the discovery is registered.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The parameter; `None` if the URL is only a name, which differs from the empty parameter of `name://`.
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
    fn parses_discovery_urls_as_ceilometer_does() {
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
}
