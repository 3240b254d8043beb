//! Pieces of the kernel's text files.
//!
//! Files are read as bytes: names of mount points and interfaces need not be UTF-8.

/// The lines, without their ends.
pub(crate) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n')
}

/// The words between spaces.
pub(crate) fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
}

/// What a file tells of a value.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) enum Told<T> {
    /// The value.
    Yes(T),
    /// Something that is no such value.
    Odd,
    /// Nothing: this kernel does not have it.
    #[default]
    No,
}

impl<T> Told<T> {
    pub(crate) fn ok(self) -> Option<T> {
        match self {
            Told::Yes(value) => Some(value),
            Told::Odd | Told::No => None,
        }
    }

    pub(crate) fn map<U>(self, with: impl FnOnce(T) -> U) -> Told<U> {
        self.and_then(|value| Told::Yes(with(value)))
    }

    pub(crate) fn and_then<U>(self, with: impl FnOnce(T) -> Told<U>) -> Told<U> {
        match self {
            Told::Yes(value) => with(value),
            Told::Odd => Told::Odd,
            Told::No => Told::No,
        }
    }
}

/// A word as a number.
pub(crate) fn number(word: Option<&[u8]>) -> Told<u64> {
    parsed(word, |text| text.parse().ok())
}

/// A word as a finite number that is not negative.
pub(crate) fn decimal(word: Option<&[u8]>) -> Told<f64> {
    let is_sound = |number: &f64| number.is_finite() && *number >= 0.0;
    parsed(word, |text| text.parse().ok().filter(is_sound))
}

fn parsed<T>(word: Option<&[u8]>, parse: impl FnOnce(&str) -> Option<T>) -> Told<T> {
    match word {
        None => Told::No,
        Some(word) => str::from_utf8(word)
            .ok()
            .and_then(parse)
            .map_or(Told::Odd, Told::Yes),
    }
}

/// The name as text, for people and messages.
pub(crate) fn name(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The bytes behind the escapes (`\040`) with which the kernel writes spaces, tabs, line ends and backslashes in
/// the fields of its mount tables.
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
    fn escapes_become_the_bytes_that_they_stand_for() {
        assert_eq!(unescape(br"/mnt/a\040b\011\134\012"), b"/mnt/a b\t\\\n");
        assert_eq!(
            unescape(br"/mnt/\9\04"),
            br"/mnt/\9\04",
            "what is no escape stays"
        );
        assert_eq!(unescape(b"/mnt/\xff\\377"), b"/mnt/\xff\xff");
    }

    #[test]
    fn only_what_can_be_published_is_a_number() {
        assert_eq!(number(Some(b"18446744073709551615")), Told::Yes(u64::MAX));
        assert_eq!(number(Some(b"18446744073709551616")), Told::Odd);
        assert_eq!(number(Some(b"-1")), Told::Odd);
        assert_eq!(number(None), Told::No);
        assert_eq!(decimal(Some(b"0.25")), Told::Yes(0.25));
        for odd in [b"nan".as_slice(), b"inf", b"-0.5", b"1e999", b"\xff"] {
            assert_eq!(decimal(Some(odd)), Told::Odd);
        }
    }
}
