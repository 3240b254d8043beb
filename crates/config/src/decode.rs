//! Decodes the bytes of a file: UTF-8 without characters that YAML forbids.

use std::ops::Range;

use crate::problem::Problem;

/// An error of a file's encoding, with a lossy text for the excerpt.
#[derive(Debug)]
pub(crate) struct DecodeError {
    pub(crate) problem: Problem,
    pub(crate) title: String,
    pub(crate) help: &'static str,
    /// A part of the file, and the position of the error in it.
    pub(crate) shown: Option<(String, Range<usize>)>,
    pub(crate) label: String,
}

/// Decodes a text, without its byte order mark.
pub(crate) fn decode(bytes: Vec<u8>) -> Result<String, DecodeError> {
    if let Some(encoding) = wide(&bytes) {
        return Err(DecodeError {
            problem: Problem::Encoding,
            title: format!("the file is {encoding}, not UTF-8"),
            help: "save it as UTF-8",
            shown: None,
            label: String::new(),
        });
    }
    let mut text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => return Err(not_utf8(error.as_bytes(), error.utf8_error().valid_up_to())),
    };
    if text.starts_with('\u{feff}') {
        text.drain(..'\u{feff}'.len_utf8());
    }
    match text
        .char_indices()
        .find(|(_, character)| is_forbidden(*character))
    {
        None => Ok(text),
        Some((offset, character)) => Err(DecodeError {
            problem: Problem::ControlCharacter,
            title: format!(
                "the file contains the control character U+{:04X}",
                u32::from(character)
            ),
            help: "remove it, or write it as an escape between double quotation marks",
            shown: Some((text, offset..offset + character.len_utf8())),
            label: "here".to_owned(),
        }),
    }
}

/// Detects UTF-16 and UTF-32 by their byte order marks or by the zero bytes of ASCII characters.
fn wide(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => Some("UTF-32"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some("UTF-16"),
        [first, 0, 0, 0, ..] | [0, 0, 0, first, ..] if *first != 0 => Some("UTF-32"),
        [first, 0, second, 0, ..] | [0, first, 0, second, ..] if *first != 0 && *second != 0 => {
            Some("UTF-16")
        }
        _ => None,
    }
}

fn not_utf8(bytes: &[u8], valid: usize) -> DecodeError {
    let before = String::from_utf8_lossy(bytes.get(..valid).unwrap_or_default()).into_owned();
    let start = if before.starts_with('\u{feff}') {
        '\u{feff}'.len_utf8()
    } else {
        0
    };
    // The excerpt ends with the line.
    let after = bytes.get(valid..).unwrap_or_default();
    let after = after.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let text = format!(
        "{}{}",
        before.get(start..).unwrap_or_default(),
        String::from_utf8_lossy(after)
    );
    // Replacements have the same length, so that positions do not change.
    let visible = |c: char| {
        if is_forbidden(c) {
            "?".repeat(c.len_utf8())
        } else {
            c.to_string()
        }
    };
    let text: String = text.chars().map(visible).collect();
    let offset = valid - start;
    let byte = bytes.get(valid).copied().unwrap_or_default();
    let latin = char::from(byte);
    DecodeError {
        problem: Problem::Encoding,
        title: format!("the file is not UTF-8: byte {valid} is 0x{byte:02X}"),
        help: "save the file as UTF-8",
        label: if latin.is_alphanumeric() {
            format!("`{latin}` if the file is Latin-1")
        } else {
            "here".to_owned()
        },
        shown: Some((text, offset..offset + '\u{fffd}'.len_utf8())),
    }
}

/// Returns whether YAML forbids the character.
fn is_forbidden(character: char) -> bool {
    match character {
        '\t' | '\n' | '\r' | '\u{85}' => false,
        '\u{fffe}' | '\u{ffff}' => true,
        other => other.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn title(bytes: &[u8]) -> String {
        decode(bytes.to_vec()).map_or_else(|error| error.title, |text| format!("text {text:?}"))
    }

    #[test]
    fn bytes_are_decoded_or_rejected() {
        assert_eq!(title("ä: 1\n".as_bytes()), "text \"ä: 1\\n\"");
        assert_eq!(title(b"\xef\xbb\xbfa: 1"), "text \"a: 1\"");
        assert_eq!(title(b"\xff\xfea\0"), "the file is UTF-16, not UTF-8");
        assert_eq!(title(b"a\0:\0"), "the file is UTF-16, not UTF-8");
        assert_eq!(title(b"\0a\0:"), "the file is UTF-16, not UTF-8");
        assert_eq!(title(b"\xff\xfe\0\0a\0\0\0"), "the file is UTF-32, not UTF-8");
        assert_eq!(title(b"a: \xe9\n"), "the file is not UTF-8: byte 3 is 0xE9");
        assert_eq!(title(b"a: \0"), "the file contains the control character U+0000");
        assert_eq!(
            title(b"a: \x1b[31m"),
            "the file contains the control character U+001B"
        );
    }
}
