//! Meter filters: ceilometer's lists of patterns, compiled once.

use thiserror::Error;

/// The `meters:` list of a source.
///
/// The rules are ceilometer's. A pattern is a Python `fnmatch` pattern. It is case-sensitive and must match the whole name:
/// `*` matches any sequence of characters (including dots), `?` one character, `[abc]` and `[a-c]` one of these, `[!abc]`
/// one that is not listed; a `[` without a `]` is literal. A pattern that begins with `!` excludes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeterFilter {
    written: Vec<String>,
    included: Vec<Pattern>,
    excluded: Vec<Pattern>,
}

impl MeterFilter {
    /// Compiles a list of patterns in the given order.
    ///
    /// # Errors
    /// The first rule of [`MeterFilterError`] that the list violates.
    pub fn new(patterns: impl IntoIterator<Item = impl Into<String>>) -> Result<Self, MeterFilterError> {
        let written: Vec<String> = patterns.into_iter().map(Into::into).collect();
        if written.is_empty() {
            return Err(MeterFilterError::Empty);
        }
        if let Some(index) = written.iter().position(String::is_empty) {
            return Err(MeterFilterError::EmptyPattern { index });
        }
        // Only these patterns count for the two mixing rules: `*.bytes` begins with a star, so it can be mixed with any.
        let plain = written.iter().position(|text| !text.starts_with(['!', '*']));
        let exclusion = written.iter().position(|text| text.starts_with('!'));
        let wildcard = written.iter().position(|text| text == "*");
        match (plain, exclusion, wildcard) {
            (Some(included), Some(excluded), _) => {
                return Err(MeterFilterError::Mixed { included, excluded });
            }
            (Some(included), None, Some(wildcard)) => {
                return Err(MeterFilterError::MixedWithWildcard { included, wildcard });
            }
            _ => {}
        }
        let (excluded, included): (Vec<_>, Vec<_>) = written.iter().partition(|text| text.starts_with('!'));
        Ok(Self {
            included: included.into_iter().map(|text| Pattern::compile(text)).collect(),
            excluded: excluded
                .into_iter()
                .map(|text| Pattern::compile(text.strip_prefix('!').unwrap_or(text)))
                .collect(),
            written,
        })
    }

    /// The patterns as written.
    pub fn patterns(&self) -> &[String] {
        &self.written
    }

    /// Whether the source collects the meter of this name.
    pub fn matches(&self, name: &str) -> bool {
        if self.excluded.iter().any(|pattern| pattern.matches(name)) {
            return false;
        }
        self.included.is_empty() || self.included.iter().any(|pattern| pattern.matches(name))
    }
}

/// A list of patterns that ceilometer rejects as well. Indices are positions in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MeterFilterError {
    /// The list is empty.
    #[error("the list of meters is empty")]
    Empty,
    /// A pattern is empty and matches no meter.
    #[error("a pattern is empty")]
    EmptyPattern {
        /// The empty pattern.
        index: usize,
    },
    /// Some patterns include meters, others exclude meters.
    #[error("meters are both included and excluded")]
    Mixed {
        /// The first pattern that includes meters.
        included: usize,
        /// The first pattern that excludes meters.
        excluded: usize,
    },
    /// `*` already includes every meter, so other names are redundant.
    #[error("`*` is combined with other meters")]
    MixedWithWildcard {
        /// The first pattern that includes meters.
        included: usize,
        /// The pattern `*`.
        wildcard: usize,
    },
}

/// A Python `fnmatch` pattern.
///
/// Matching backtracks only to the last `*`, so it takes at most (pattern length) x (name length) steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    /// A pattern without special characters: a comparison.
    Literal(Box<str>),
    Tokens(Box<[Token]>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Any,
    One,
    Char(char),
    Set {
        negated: bool,
        ranges: Box<[(char, char)]>,
    },
}

impl Pattern {
    /// Compiles a pattern. Every text is valid.
    pub fn compile(text: &str) -> Self {
        if !text.contains(['*', '?', '[']) {
            return Self(Kind::Literal(text.into()));
        }
        let chars: Vec<char> = text.chars().collect();
        let mut tokens = Vec::with_capacity(chars.len());
        let mut rest = chars.as_slice();
        while let Some((&first, after)) = rest.split_first() {
            rest = after;
            tokens.push(match first {
                '*' => {
                    if tokens.last() == Some(&Token::Any) {
                        continue;
                    }
                    Token::Any
                }
                '?' => Token::One,
                '[' => match Token::set(after) {
                    Some((set, after)) => {
                        rest = after;
                        set
                    }
                    None => Token::Char('['),
                },
                other => Token::Char(other),
            });
        }
        Self(Kind::Tokens(tokens.into()))
    }

    /// Whether the pattern has no wildcards and so matches one name only.
    pub fn is_literal(&self) -> bool {
        match &self.0 {
            Kind::Literal(_) => true,
            Kind::Tokens(tokens) => tokens.iter().all(|token| matches!(token, Token::Char(_))),
        }
    }

    /// Whether the pattern matches the whole name.
    pub fn matches(&self, name: &str) -> bool {
        match &self.0 {
            Kind::Literal(literal) => **literal == *name,
            Kind::Tokens(tokens) => matches_tokens(tokens, name),
        }
    }
}

fn matches_tokens(tokens: &[Token], name: &str) -> bool {
    let mut tokens_left = tokens;
    let mut name_left = name.chars();
    // The retry position: after the last star, with the name one character further than at the last attempt.
    let mut retry = None;
    loop {
        match tokens_left.split_first() {
            Some((Token::Any, after)) => {
                tokens_left = after;
                if after.is_empty() {
                    return true;
                }
                retry = Some((after, name_left.clone()));
                continue;
            }
            Some((token, after)) => {
                let mut ahead = name_left.clone();
                if ahead.next().is_some_and(|character| token.accepts(character)) {
                    (tokens_left, name_left) = (after, ahead);
                    continue;
                }
            }
            None => {
                if name_left.as_str().is_empty() {
                    return true;
                }
            }
        }
        let Some((after, mut from)) = retry else {
            return false;
        };
        if from.next().is_none() {
            return false;
        }
        (tokens_left, name_left) = (after, from.clone());
        retry = Some((after, from));
    }
}

impl Token {
    fn accepts(&self, character: char) -> bool {
        match self {
            Self::Any | Self::One => true,
            Self::Char(expected) => *expected == character,
            Self::Set { negated, ranges } => {
                ranges
                    .iter()
                    .any(|&(low, high)| (low..=high).contains(&character))
                    != *negated
            }
        }
    }

    /// Parses a set after its `[`. Returns the set and the text after its `]`, or `None` if there is no `]`.
    fn set(text: &[char]) -> Option<(Self, &[char])> {
        let negated = text.first() == Some(&'!');
        let body = text.get(usize::from(negated)..)?;
        // A `]` at the start belongs to the set.
        let end = 1 + body.get(1..)?.iter().position(|&character| character == ']')?;
        let (mut items, after) = (body.get(..end)?, body.get(end + 1..)?);
        let mut ranges = Vec::new();
        loop {
            items = match *items {
                [low, '-', high, ref left @ ..] => {
                    // Python ignores a reversed range.
                    if low <= high {
                        ranges.push((low, high));
                    }
                    left
                }
                [single, ref left @ ..] => {
                    ranges.push((single, single));
                    left
                }
                [] => break,
            };
        }
        Some((
            Self::Set {
                negated,
                ranges: ranges.into(),
            },
            after,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(patterns: &[&str]) -> Result<MeterFilter, MeterFilterError> {
        MeterFilter::new(patterns.iter().copied())
    }

    #[test]
    fn filters_as_ceilometer_does() {
        let cases: &[(&[&str], &str, bool)] = &[
            (&["*"], "cpu", true),
            (&["*"], "network.incoming.bytes", true),
            (&["!a"], "b", true),
            (&["!a"], "a", false),
            (&["!disk.*"], "disk.x", false),
            (&["!disk.*"], "cpu", true),
            (&["storage.*"], "storage.a.b", true),
            (&["storage.*"], "storage", false),
            (&["cpu"], "CPU", false),
            (&["cpu"], "cpu", true),
            (&["cpu"], "cpu_util", false),
            (&["c[pq]u"], "cpu", true),
            (&["c[!p]u"], "cpu", false),
            (&["c[!p]u"], "cqu", true),
            (&["[cpu"], "[cpu", true),
            (&["*", "!a"], "a", false),
            (&["*", "!a"], "b", true),
            (&["*.bytes", "cpu"], "cpu", true),
            (&["*.bytes", "!disk.*"], "disk.read.bytes", false),
            (&["*.bytes", "!disk.*"], "network.bytes", true),
            (&["*.bytes", "!disk.*"], "cpu", false),
            (&["!*"], "cpu", false),
            (&["!"], "cpu", true),
            (&["dynamic.req.{category}"], "dynamic.req.{category}", true),
        ];
        for (patterns, name, expected) in cases {
            assert_eq!(
                filter(patterns).map(|filter| filter.matches(name)),
                Ok(*expected),
                "{patterns:?} {name}"
            );
        }
    }

    #[test]
    fn matches_as_python_does() {
        // Each case was verified with fnmatch.fnmatchcase of CPython 3.11.
        let cases = [
            ("", "", true),
            ("", "a", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("?", "é", true),
            ("a.c", "abc", false),
            ("[]a]", "]", true),
            ("[!]a]", "]", false),
            ("[!]a]", "b", true),
            ("[a-c]", "b", true),
            ("[a-]", "-", true),
            ("[-a]", "-", true),
            ("[c-a]", "b", false),
            ("[!c-a]", "b", true),
            ("[a-c-e]", "-", true),
            ("[a-c-e]", "d", false),
            ("[a-c--e]", "3", true),
            ("[^a]", "^", true),
            ("[^a]", "b", false),
            ("[\\]", "\\", true),
            ("a[", "a[", true),
            ("[]", "[]", true),
            ("[!]", "[!]", true),
            ("*[0-9]", "disk.device.9", true),
            ("**b*", "aab", true),
            ("*a*b", "xaxbx", false),
            ("a*", "a\nb", true),
            ("[[]x", "[x", true),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(
                Pattern::compile(pattern).matches(name),
                expected,
                "{pattern} {name:?}"
            );
        }
    }

    #[test]
    fn rejects_the_lists_that_ceilometer_rejects() {
        assert_eq!(filter(&[]), Err(MeterFilterError::Empty));
        assert_eq!(
            filter(&["a", ""]),
            Err(MeterFilterError::EmptyPattern { index: 1 })
        );
        assert_eq!(
            filter(&["a", "!b"]),
            Err(MeterFilterError::Mixed {
                included: 0,
                excluded: 1
            })
        );
        assert_eq!(
            filter(&["!b", "a*"]),
            Err(MeterFilterError::Mixed {
                included: 1,
                excluded: 0
            })
        );
        assert_eq!(
            filter(&["*", "a"]),
            Err(MeterFilterError::MixedWithWildcard {
                included: 1,
                wildcard: 0
            })
        );
        for accepted in [
            &["*", "!a"][..],
            &["!a", "!b"],
            &["a*", "b"],
            &["*.x", "cpu"],
            &["!*"],
            &["*", "*.x"],
        ] {
            assert!(filter(accepted).is_ok(), "{accepted:?}");
        }
    }

    #[test]
    fn hostile_patterns_terminate() {
        let pattern = Pattern::compile(&format!("{}b", "*a".repeat(5_000)));
        assert!(!pattern.matches(&"a".repeat(20_000)));
    }

    #[test]
    fn stores_the_patterns_as_written() {
        let written = ["!disk.*", "*"];
        assert_eq!(
            filter(&written).map(|filter| filter.patterns().to_vec()),
            Ok(written.map(String::from).to_vec())
        );
        assert!(Pattern::compile("[cpu").is_literal() && !Pattern::compile("cpu*").is_literal());
    }
}
