//! Numbers and byte strings in Python's notation, which ceilometer signs and sends.

/// The number from which Python's `repr` of a float changes to scientific notation.
const SCIENTIFIC_FROM: f64 = 1e16;

/// The number below which Python's `repr` of a float changes to scientific notation.
const FIXED_FROM: f64 = 1e-4;

/// The maximum of digits before the point in fixed notation.
const MAX_WHOLE_DIGITS: i32 = 16;

/// The maximum of zeros between the point and the first digit in fixed notation.
const MAX_LEADING_ZEROS: i32 = 3;

/// Appends a whole number in decimal.
pub(crate) fn int(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends a whole number in decimal.
pub(crate) fn uint(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends `repr(value)`: the shortest decimal with the same value, always with a point or an exponent; `inf`, `-inf`, `nan`.
/// `json.dumps` formats finite numbers equally.
pub(crate) fn float(out: &mut Vec<u8>, value: f64) {
    if value.is_nan() {
        out.extend_from_slice(b"nan");
        return;
    }
    if value.is_infinite() {
        out.extend_from_slice(if value < 0.0 { b"-inf" } else { b"inf" });
        return;
    }
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(value);
    let size = value.abs();
    let fixed = size == 0.0 || (FIXED_FROM..SCIENTIFIC_FROM).contains(&size);
    if fixed && !text.contains('e') {
        out.extend_from_slice(text.as_bytes());
    } else {
        reformat(out, text);
    }
}

/// Converts a number in any notation to the notation of Python.
fn reformat(out: &mut Vec<u8>, text: &str) {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    if unsigned.len() < text.len() {
        out.push(b'-');
    }
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut digits = [whole, fraction].concat();
    // The point is before the digit with this index.
    let mut point = exponent.parse().unwrap_or(0) + i32::try_from(whole.len()).unwrap_or(0);
    let zeros = digits.len() - digits.trim_start_matches('0').len();
    digits.drain(..zeros);
    point -= i32::try_from(zeros).unwrap_or(0);
    digits.truncate(digits.trim_end_matches('0').len());
    if digits.is_empty() {
        out.extend_from_slice(b"0.0");
        return;
    }
    let zeros = |out: &mut Vec<u8>, count: i32| {
        out.extend(std::iter::repeat_n(b'0', usize::try_from(count).unwrap_or(0)));
    };
    if (-MAX_LEADING_ZEROS..=0).contains(&point) {
        out.extend_from_slice(b"0.");
        zeros(out, -point);
        out.extend_from_slice(digits.as_bytes());
    } else if (1..=MAX_WHOLE_DIGITS).contains(&point) {
        match digits.split_at_checked(usize::try_from(point).unwrap_or(0)) {
            Some((whole, fraction)) => {
                out.extend_from_slice(whole.as_bytes());
                out.push(b'.');
                out.extend_from_slice(if fraction.is_empty() { "0" } else { fraction }.as_bytes());
            }
            None => {
                out.extend_from_slice(digits.as_bytes());
                zeros(out, point - i32::try_from(digits.len()).unwrap_or(0));
                out.extend_from_slice(b".0");
            }
        }
    } else {
        let (first, rest) = digits.split_at_checked(1).unwrap_or((&digits, ""));
        out.extend_from_slice(first.as_bytes());
        if !rest.is_empty() {
            out.push(b'.');
            out.extend_from_slice(rest.as_bytes());
        }
        let exponent = point - 1;
        out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
        let exponent = exponent.unsigned_abs();
        if exponent < 10 {
            out.push(b'0');
        }
        uint(out, exponent.into());
    }
}

/// Appends the literal of a byte string, `b'...'`.
pub(crate) fn bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let quote = if bytes.contains(&b'\'') && !bytes.contains(&b'"') {
        b'"'
    } else {
        b'\''
    };
    out.extend_from_slice(&[b'b', quote]);
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~') && *byte != quote && *byte != b'\\';
    let mut rest = bytes;
    loop {
        let plain = rest.iter().position(|byte| !is_plain(byte)).unwrap_or(rest.len());
        let Some((copied, [special, behind @ ..])) = rest.split_at_checked(plain) else {
            break;
        };
        out.extend_from_slice(copied);
        match special {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            // Only if both kinds of quotes occur.
            b'\'' => out.extend_from_slice(b"\\'"),
            _ => out.extend_from_slice(&[
                b'\\',
                b'x',
                HEX[usize::from(special >> 4)],
                HEX[usize::from(special & 15)],
            ]),
        }
        rest = behind;
    }
    out.extend_from_slice(rest);
    out.push(quote);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn float_text(value: f64) -> String {
        let mut out = Vec::new();
        float(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn floats_are_formatted_like_pythons_repr() {
        // The output of `repr` in Python 3.11.
        for (value, expected) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (-1.5, "-1.5"),
            (0.1, "0.1"),
            (100_000.0, "100000.0"),
            (1e-3, "0.001"),
            (1e-4, "0.0001"),
            (1.25e-4, "0.000125"),
            (9.999_999_999_999_999e-5, "9.999999999999999e-05"),
            (1e-5, "1e-05"),
            (1.5e-5, "1.5e-05"),
            (-1.5e-10, "-1.5e-10"),
            (1e15, "1000000000000000.0"),
            (123_456_789.123_456_79, "123456789.12345679"),
            (9_007_199_254_740_993.0, "9007199254740992.0"),
            (9_999_999_999_999_998.0, "9999999999999998.0"),
            // The middle between two decimals of the same length: rounded to the even one.
            (-4_449_706_585_147_061.0 / 4.0, "-1112426646286765.2"),
            (1e16, "1e+16"),
            (1.234_567_890_123_456_8e17, "1.2345678901234568e+17"),
            (1e22, "1e+22"),
            (1e23, "1e+23"),
            (1e100, "1e+100"),
            (5e-324, "5e-324"),
            (2.225_073_858_507_201_4e-308, "2.2250738585072014e-308"),
            (f64::MAX, "1.7976931348623157e+308"),
            (1_819_980.131_767_362, "1819980.131767362"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
        ] {
            assert_eq!(float_text(value), expected);
        }
    }

    #[test]
    fn every_notation_of_the_digits_is_accepted() {
        for (text, expected) in [
            ("1e22", "1e+22"),
            ("12.5e20", "1.25e+21"),
            ("0.00001", "1e-05"),
            ("1e3", "1000.0"),
            ("125e-2", "1.25"),
            ("1.25e-4", "0.000125"),
            ("-0", "-0.0"),
        ] {
            let mut out = Vec::new();
            reformat(&mut out, text);
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn byte_strings_are_formatted_like_pythons_literals() {
        for (text, expected) in [
            ("", "b''"),
            ("it's", "b\"it's\""),
            ("say \"hi\"", "b'say \"hi\"'"),
            ("both'\"", "b'both\\'\"'"),
            ("č\u{7f}\u{1}", "b'\\xc4\\x8d\\x7f\\x01'"),
        ] {
            let mut out = Vec::new();
            bytes(&mut out, text.as_bytes());
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
