//! JSON in the two spellings of messages: for lines, and inside a string of other JSON.

use crate::python;
use crate::{Map, Value, Volume};

/// A spelling of JSON. Numbers are formatted like in Python; numbers without a JSON form are null.
pub(crate) trait Spelling {
    /// The quote around text.
    const QUOTE: &'static [u8];
    /// The separator of items.
    const COMMA: &'static [u8];
    /// The separator of a key and its value.
    const COLON: &'static [u8];
    /// The fixed parts of a metering message.
    const PARTS: Parts;

    /// Marks the first of eight bytes (in little-endian order) that needs an escape, by its highest bit. Higher bits may be set
    /// for any byte. Returns 0 if no byte needs an escape.
    fn specials(word: u64) -> u64;

    /// Appends the escape of a character.
    fn escape(out: &mut Vec<u8>, char: char);
}

/// The text between the values of a metering message, from its opening brace to its closing one.
///
/// Keys and their order are those of ceilometer's metering messages (`docs/compatibility.md`).
pub(crate) struct Parts {
    pub(crate) source: &'static str,
    pub(crate) name: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) volume: &'static str,
    pub(crate) user_id: &'static str,
    pub(crate) user_name: &'static str,
    pub(crate) project_id: &'static str,
    pub(crate) project_name: &'static str,
    pub(crate) resource_id: &'static str,
    pub(crate) timestamp: &'static str,
    pub(crate) metadata: &'static str,
    pub(crate) id: &'static str,
    pub(crate) monotonic_time: &'static str,
    pub(crate) signature: &'static str,
    pub(crate) end: &'static str,
}

/// The parts, with this quote, comma and colon.
macro_rules! parts {
    ($quote:literal, $comma:literal, $colon:literal) => {
        Parts {
            source: concat!("{", $quote, "source", $quote, $colon, $quote),
            name: concat!($quote, $comma, $quote, "counter_name", $quote, $colon, $quote),
            kind: concat!($quote, $comma, $quote, "counter_type", $quote, $colon, $quote),
            unit: concat!($quote, $comma, $quote, "counter_unit", $quote, $colon, $quote),
            volume: concat!($quote, $comma, $quote, "counter_volume", $quote, $colon),
            user_id: concat!($comma, $quote, "user_id", $quote, $colon),
            user_name: concat!($comma, $quote, "user_name", $quote, $colon),
            project_id: concat!($comma, $quote, "project_id", $quote, $colon),
            project_name: concat!($comma, $quote, "project_name", $quote, $colon),
            resource_id: concat!($comma, $quote, "resource_id", $quote, $colon),
            timestamp: concat!($comma, $quote, "timestamp", $quote, $colon, $quote),
            metadata: concat!($quote, $comma, $quote, "resource_metadata", $quote, $colon),
            id: concat!($comma, $quote, "message_id", $quote, $colon, $quote),
            monotonic_time: concat!($quote, $comma, $quote, "monotonic_time", $quote, $colon),
            signature: concat!($comma, $quote, "message_signature", $quote, $colon, $quote),
            end: concat!($quote, "}"),
        }
    };
}

/// JSON without spaces and without ASCII escapes.
pub(crate) struct Compact;

impl Spelling for Compact {
    const QUOTE: &'static [u8] = b"\"";
    const COMMA: &'static [u8] = b",";
    const COLON: &'static [u8] = b":";
    const PARTS: Parts = parts!("\"", ",", ":");

    fn specials(word: u64) -> u64 {
        controls(word) | equal(word, b'"') | equal(word, b'\\')
    }

    fn escape(out: &mut Vec<u8>, char: char) {
        match char {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            _ => control_or_unicode(out, b"\\", char),
        }
    }
}

/// JSON as Python's `json.dumps` writes it (a space after commas and colons, ASCII only), escaped again as the content of a
/// string in such JSON. Only quotes and backslashes need the second escape.
pub(crate) struct Nested;

impl Spelling for Nested {
    const QUOTE: &'static [u8] = br#"\""#;
    const COMMA: &'static [u8] = b", ";
    const COLON: &'static [u8] = b": ";
    const PARTS: Parts = parts!(r#"\""#, ", ", ": ");

    fn specials(word: u64) -> u64 {
        controls(word) | equal(word, b'"') | equal(word, b'\\') | equal(word, 0x7f) | (word & HIGHS)
    }

    fn escape(out: &mut Vec<u8>, char: char) {
        match char {
            '"' => out.extend_from_slice(br#"\\\""#),
            '\\' => out.extend_from_slice(br"\\\\"),
            _ => control_or_unicode(out, br"\\", char),
        }
    }
}

/// Appends the escape of a character other than a quote or backslash.
fn control_or_unicode(out: &mut Vec<u8>, backslash: &[u8], char: char) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let short = match char {
        '\u{8}' => b'b',
        '\t' => b't',
        '\n' => b'n',
        '\u{c}' => b'f',
        '\r' => b'r',
        _ => {
            for unit in char.encode_utf16(&mut [0; 2]) {
                out.extend_from_slice(backslash);
                out.push(b'u');
                out.extend([12, 8, 4, 0].map(|shift| HEX[usize::from(*unit >> shift & 15)]));
            }
            return;
        }
    };
    out.extend_from_slice(backslash);
    out.push(short);
}

/// One in each byte.
const ONES: u64 = u64::from_le_bytes([1; 8]);

/// The highest bit of each byte.
const HIGHS: u64 = u64::from_le_bytes([0x80; 8]);

/// Marks the bytes below a space. As in `equal`, a borrow may mark bytes above the first one, never below it.
fn controls(word: u64) -> u64 {
    word.wrapping_sub(ONES * 0x20) & !word & HIGHS
}

/// Marks the bytes equal to `byte`.
fn equal(word: u64, byte: u8) -> u64 {
    let different = word ^ (ONES * u64::from(byte));
    different.wrapping_sub(ONES) & !different & HIGHS
}

/// Returns the number of leading bytes without an escape. It checks eight at a time, since messages are mostly text.
fn plain<S: Spelling>(bytes: &[u8]) -> usize {
    const WIDTH: usize = 8;
    let first = |mask: u64| mask.trailing_zeros() as usize / 8;
    let (words, rest) = bytes.as_chunks::<WIDTH>();
    for (index, word) in words.iter().enumerate() {
        let mask = S::specials(u64::from_le_bytes(*word));
        if mask != 0 {
            return index * WIDTH + first(mask);
        }
    }
    if rest.is_empty() {
        return bytes.len();
    }
    // The last eight bytes overlap those already checked; fewer bytes are padded with spaces.
    let mut padded = [b' '; WIDTH];
    let (start, last) = match bytes.last_chunk::<WIDTH>() {
        Some(last) => (bytes.len() - WIDTH, last),
        None => {
            for (to, from) in padded.iter_mut().zip(bytes) {
                *to = *from;
            }
            (0, &padded)
        }
    };
    match S::specials(u64::from_le_bytes(*last)) {
        0 => bytes.len(),
        mask => start + first(mask),
    }
}

/// Appends text without quotes.
pub(crate) fn bare<S: Spelling>(out: &mut Vec<u8>, text: &str) {
    let mut rest = text;
    loop {
        // A special byte is ASCII or starts a character, so that the split is at the border of a character.
        let Some((copied, from)) = rest.split_at_checked(plain::<S>(rest.as_bytes())) else {
            return;
        };
        out.extend_from_slice(copied.as_bytes());
        let mut chars = from.chars();
        let Some(char) = chars.next() else {
            return;
        };
        S::escape(out, char);
        rest = chars.as_str();
    }
}

/// Appends text in quotes.
pub(crate) fn text<S: Spelling>(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(S::QUOTE);
    bare::<S>(out, text);
    out.extend_from_slice(S::QUOTE);
}

/// Appends text in quotes, or null.
pub(crate) fn optional<S: Spelling>(out: &mut Vec<u8>, value: Option<&str>) {
    match value {
        Some(value) => text::<S>(out, value),
        None => out.extend_from_slice(b"null"),
    }
}

/// Appends a floating-point number, or null for those without a JSON form.
pub(crate) fn float(out: &mut Vec<u8>, value: f64) {
    if value.is_finite() {
        python::float(out, value);
    } else {
        out.extend_from_slice(b"null");
    }
}

/// Appends a sample's number.
pub(crate) fn volume(out: &mut Vec<u8>, volume: Volume) {
    match volume {
        Volume::Int(int) => python::int(out, int),
        Volume::Uint(uint) => python::uint(out, uint),
        Volume::Float(value) => float(out, value),
    }
}

/// Appends a mapping in the order of its keys.
pub(crate) fn map<S: Spelling>(out: &mut Vec<u8>, map: &Map) {
    out.push(b'{');
    for (index, (key, item)) in map.iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(S::COMMA);
        }
        text::<S>(out, key);
        out.extend_from_slice(S::COLON);
        value::<S>(out, item);
    }
    out.push(b'}');
}

/// Appends a value.
pub(crate) fn value<S: Spelling>(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Int(int) => python::int(out, *int),
        Value::Uint(uint) => python::uint(out, *uint),
        Value::Float(number) => float(out, *number),
        Value::Text(content) => text::<S>(out, content),
        Value::List(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.extend_from_slice(S::COMMA);
                }
                self::value::<S>(out, item);
            }
            out.push(b']');
        }
        Value::Map(inner) => map::<S>(out, inner),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written<S: Spelling>(value: &Value) -> String {
        let mut out = Vec::new();
        super::value::<S>(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    fn odd() -> Value {
        Value::Map(vec![
            (
                "č 日 😀".into(),
                "q\" b\\ s/ \u{8}\t\n\u{c}\r \u{1} \u{7f} \u{2028}".into(),
            ),
            (
                "n".into(),
                Value::List(vec![
                    Value::Null,
                    true.into(),
                    1i64.into(),
                    1.0.into(),
                    1e22.into(),
                    u64::MAX.into(),
                ]),
            ),
            ("e".into(), Value::Map(Map::new())),
            ("l".into(), Value::List(Vec::new())),
        ])
    }

    #[test]
    fn nested_json_equals_that_of_python_nested_twice() {
        // json.dumps({"m": json.dumps(...)}) of Python 3.11, without the text around the inner string.
        insta::assert_snapshot!(
            written::<Nested>(&odd()),
            @r#"{\"\\u010d \\u65e5 \\ud83d\\ude00\": \"q\\\" b\\\\ s/ \\b\\t\\n\\f\\r \\u0001 \\u007f \\u2028\", \"n\": [null, true, 1, 1.0, 1e+22, 18446744073709551615], \"e\": {}, \"l\": []}"#
        );
    }

    #[test]
    fn compact_json_reads_back_and_keeps_text() {
        let text = written::<Compact>(&odd());
        assert_eq!(
            Value::from(serde_json::from_str::<serde_json::Value>(&text).unwrap()),
            odd()
        );
        assert!(
            text.starts_with("{\"č 日 😀\":\"q\\\" b\\\\ s/ \\b\\t\\n\\f\\r \\u0001 "),
            "{text}"
        );
    }

    #[test]
    fn special_bytes_are_found_at_every_position() {
        for length in 0..20 {
            for place in 0..length {
                for byte in 0..=255u8 {
                    let mut bytes = vec![b'!'; length];
                    bytes[place] = byte;
                    let special = byte < b' ' || byte == b'"' || byte == b'\\';
                    let expected = if special { place } else { length };
                    assert_eq!(plain::<Compact>(&bytes), expected, "{bytes:?}");
                    let expected = if special || byte > b'~' { place } else { length };
                    assert_eq!(plain::<Nested>(&bytes), expected, "{bytes:?}");
                }
            }
        }
    }

    #[test]
    fn numbers_without_a_json_form_are_null() {
        let value = Value::List(vec![f64::NAN.into(), f64::INFINITY.into()]);
        assert_eq!(written::<Compact>(&value), "[null,null]");
    }
}
