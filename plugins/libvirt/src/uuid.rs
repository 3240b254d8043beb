//! The identity of a domain.

use std::fmt;

/// The UUID of a domain, which is the id of its instance.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Uuid([u8; 16]);

impl Uuid {
    pub(crate) const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// From its 36 characters.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.len() != 36 {
            return None;
        }
        let mut bytes = [0; 16];
        let mut digits = text.bytes().enumerate().filter(|(place, byte)| {
            // The four dashes.
            !([8, 13, 18, 23].contains(place) && *byte == b'-')
        });
        for byte in &mut bytes {
            let high = char::from(digits.next()?.1).to_digit(16)?;
            let low = char::from(digits.next()?.1).to_digit(16)?;
            *byte = u8::try_from(high * 16 + low).ok()?;
        }
        digits.next().is_none().then_some(Self(bytes))
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, byte) in self.0.iter().enumerate() {
            if [4, 6, 8, 10].contains(&place) {
                out.write_str("-")?;
            }
            write!(out, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_read_as_the_same() {
        let text = "5a1c0000-0000-4000-8000-0000000000f1";
        assert_eq!(Uuid::parse(text).unwrap().to_string(), text);
        let upper = "5A1C0000-0000-4000-8000-0000000000F1";
        assert_eq!(Uuid::parse(upper), Uuid::parse(text));
        for odd in [
            "",
            "5a1c",
            "5a1c0000-0000-4000-8000-0000000000fg",
            "5a1c0000x0000-4000-8000-0000000000f1",
        ] {
            assert_eq!(Uuid::parse(odd), None, "{odd}");
        }
    }
}
