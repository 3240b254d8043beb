//! Parsing of the kernel's text files.
//!
//! Files are read as bytes: names of mount points and interfaces may not be UTF-8.

/// Returns the lines, without line ends.
pub(crate) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n')
}

/// Returns the words between white space.
pub(crate) fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
}

/// The value of a field in a file.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) enum Field<T> {
    /// The value.
    Value(T),
    /// An invalid value.
    Invalid,
    /// No value: this kernel does not report it.
    #[default]
    Missing,
}

impl<T> Field<T> {
    pub(crate) fn ok(self) -> Option<T> {
        match self {
            Field::Value(value) => Some(value),
            Field::Invalid | Field::Missing => None,
        }
    }

    pub(crate) fn map<U>(self, with: impl FnOnce(T) -> U) -> Field<U> {
        self.and_then(|value| Field::Value(with(value)))
    }

    pub(crate) fn and_then<U>(self, with: impl FnOnce(T) -> Field<U>) -> Field<U> {
        match self {
            Field::Value(value) => with(value),
            Field::Invalid => Field::Invalid,
            Field::Missing => Field::Missing,
        }
    }
}

/// Parses a word as an integer.
pub(crate) fn number(word: Option<&[u8]>) -> Field<u64> {
    parsed(word, |text| text.parse().ok())
}

/// Parses a word as a finite number that is not negative.
pub(crate) fn decimal(word: Option<&[u8]>) -> Field<f64> {
    let is_sound = |number: &f64| number.is_finite() && *number >= 0.0;
    parsed(word, |text| text.parse().ok().filter(is_sound))
}

fn parsed<T>(word: Option<&[u8]>, parse: impl FnOnce(&str) -> Option<T>) -> Field<T> {
    match word {
        None => Field::Missing,
        Some(word) => str::from_utf8(word)
            .ok()
            .and_then(parse)
            .map_or(Field::Invalid, Field::Value),
    }
}

/// Returns the name as text, for messages and metadata.
pub(crate) fn name(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Replaces the escapes (`\040`) with which the kernel writes spaces, tabs, line ends and backslashes in the fields of
/// its mount tables.
pub(crate) fn unescape(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        match (first, after) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..]) => {
                bytes.push(((a - b'0') << 6) | ((b - b'0') << 3) | (c - b'0'));
                rest = after;
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_replaced_by_their_bytes() {
        assert_eq!(unescape(br"/mnt/a\040b\011\134\012"), b"/mnt/a b\t\\\n");
        assert_eq!(
            unescape(br"/mnt/\9\04"),
            br"/mnt/\9\04",
            "invalid escapes are unchanged"
        );
        assert_eq!(unescape(b"/mnt/\xff\\377"), b"/mnt/\xff\xff");
    }

    #[test]
    fn only_valid_numbers_are_parsed() {
        assert_eq!(number(Some(b"18446744073709551615")), Field::Value(u64::MAX));
        assert_eq!(number(Some(b"18446744073709551616")), Field::Invalid);
        assert_eq!(number(Some(b"-1")), Field::Invalid);
        assert_eq!(number(None), Field::Missing);
        assert_eq!(decimal(Some(b"0.25")), Field::Value(0.25));
        for invalid in [b"nan".as_slice(), b"inf", b"-0.5", b"1e999", b"\xff"] {
            assert_eq!(decimal(Some(invalid)), Field::Invalid);
        }
    }
}
