//! The contents of a segment: the encoding and the kind of its payloads.

use std::fmt;

use nephoscope_model::{Encoding, EncodingId, JsonLines, OsloNotification, PayloadKind};

use super::bytes::{array, checksum};

/// The encoding and the kind of the payloads in a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// The encoding of the payloads.
    pub encoding: EncodingId,
    /// Samples or events.
    pub kind: PayloadKind,
}

/// `json-lines/1`; `json-lines/1 (events)`
impl fmt::Display for Contents {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            PayloadKind::Events => write!(out, "{} (events)", self.encoding),
            _ => self.encoding.fmt(out),
        }
    }
}

/// The length of the contents in the header of a segment: version, kind, compression, name.
pub(super) const LEN: usize = 4 + EncodingId::MAX_NAME;

/// The only compression of format 2: none.
const NOT_COMPRESSED: u8 = 0;

const SAMPLES: u8 = 1;
const EVENTS: u8 = 2;

/// Set in every mark of format 2, which distinguishes marks from codes of format 1.
const FORMAT_2: u32 = 1 << 31;

/// Why the contents in a header cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unknown {
    /// An unknown compression.
    Compression(u8),
    /// Neither samples nor events.
    Kind(u8),
    /// An invalid name of an encoding.
    Name,
}

impl Contents {
    /// Encodes the contents for a header.
    pub(super) fn bytes(&self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        let kind = match self.kind {
            PayloadKind::Events => EVENTS,
            _ => SAMPLES,
        };
        let version = self.encoding.version().to_le_bytes();
        let parts = version.iter().chain([&kind, &NOT_COMPRESSED]);
        let parts = parts.chain(self.encoding.name().as_bytes());
        for (place, byte) in bytes.iter_mut().zip(parts) {
            *place = *byte;
        }
        bytes
    }

    /// Decodes the contents of a header.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Unknown> {
        let [low, high, kind, compression] = array(bytes, 0);
        if compression != NOT_COMPRESSED {
            return Err(Unknown::Compression(compression));
        }
        let kind = match kind {
            SAMPLES => PayloadKind::Samples,
            EVENTS => PayloadKind::Events,
            other => return Err(Unknown::Kind(other)),
        };
        let name = bytes.get(4..LEN).ok_or(Unknown::Name)?;
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        let name = str::from_utf8(name).map_err(|_| Unknown::Name)?;
        let encoding = EncodingId::stored(name.to_owned(), u16::from_le_bytes([low, high]));
        if !encoding.is_valid() {
            return Err(Unknown::Name);
        }
        Ok(Self { encoding, kind })
    }

    /// The mark that each record repeats, so that its contents are known even if the header of the segment is corrupt.
    pub(super) fn mark(&self) -> u32 {
        checksum(&[&self.bytes()]) | FORMAT_2
    }

    /// The contents for a code of format 1.
    fn of_code(code: u32) -> Self {
        let encoding = match code {
            1 => JsonLines::ID,
            2 => OsloNotification::ID,
            other => EncodingId::stored(format!("format-1-code-{other}"), 0),
        };
        Self {
            encoding,
            kind: PayloadKind::Samples,
        }
    }
}

/// The known contents by their marks.
#[derive(Debug, Default)]
pub(super) struct Marks(Vec<(u32, Contents)>);

impl Marks {
    /// Registers contents; returns their mark.
    pub(super) fn register(&mut self, contents: &Contents) -> u32 {
        let mark = contents.mark();
        if !self.0.iter().any(|(known, _)| *known == mark) {
            self.0.push((mark, contents.clone()));
        }
        mark
    }

    /// Returns the mark for a field that holds a mark or a code of format 1, and registers the contents of a code.
    pub(super) fn register_code(&mut self, mark_or_code: u32) -> u32 {
        if mark_or_code & FORMAT_2 == 0 {
            self.register(&Contents::of_code(mark_or_code))
        } else {
            mark_or_code
        }
    }

    /// The contents for a mark. An unregistered mark gets a synthetic name.
    pub(super) fn contents(&self, mark: u32) -> Contents {
        let known = self.0.iter().find(|(known, _)| *known == mark);
        known.map_or_else(
            || Contents {
                encoding: EncodingId::stored(format!("unknown-{mark:08x}"), 0),
                kind: PayloadKind::Samples,
            },
            |(_, contents)| contents.clone(),
        )
    }
}

/// Returns the mark for a field that holds a mark or a code of format 1.
pub(super) fn mark_of(mark_or_code: u32) -> u32 {
    if mark_or_code & FORMAT_2 == 0 {
        Contents::of_code(mark_or_code).mark()
    } else {
        mark_or_code
    }
}

/// The contents that a publisher accepts from its spool. Other batches stay in the spool.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum AcceptedContents {
    /// All; the default until a publisher is set.
    #[default]
    All,
    /// These.
    Only(Vec<Contents>),
}

impl AcceptedContents {
    /// The contents that a publisher with this encoding accepts, given the payload kinds that it delivers.
    pub fn of(encoding: Option<&dyn Encoding>, delivers: impl Fn(PayloadKind) -> bool) -> Self {
        let kinds = [PayloadKind::Samples, PayloadKind::Events].into_iter();
        Self::Only(encoding.map_or_else(Vec::new, |encoding| {
            kinds
                .filter(|kind| delivers(*kind) && encoding.accepts(*kind))
                .map(|kind| Contents {
                    encoding: encoding.id(),
                    kind,
                })
                .collect()
        }))
    }

    /// Whether batches of these contents are accepted.
    pub fn includes(&self, contents: &Contents) -> bool {
        match self {
            Self::All => true,
            Self::Only(accepted) => accepted.contains(contents),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(name: &str, version: u16, kind: PayloadKind) -> Contents {
        Contents {
            encoding: EncodingId::stored(name.to_owned(), version),
            kind,
        }
    }

    #[test]
    fn contents_survive_a_round_trip_through_a_header() {
        let longest = "a".repeat(EncodingId::MAX_NAME);
        let all = [
            contents("json-lines", 1, PayloadKind::Samples),
            contents("json-lines", 1, PayloadKind::Events),
            contents("json-lines", 513, PayloadKind::Samples),
            contents(&longest, 2, PayloadKind::Samples),
        ];
        for one in &all {
            assert_eq!(Contents::read(&one.bytes()).as_ref(), Ok(one));
            let same = all.iter().filter(|other| other.mark() == one.mark());
            assert_eq!(same.count(), 1, "{one}");
        }
    }

    #[test]
    fn unknown_contents_are_rejected() {
        let bytes = contents("x", 1, PayloadKind::Samples).bytes();
        for (byte, value, expected) in [
            (2, 3, Unknown::Kind(3)),
            (3, 1, Unknown::Compression(1)),
            (4, b'X', Unknown::Name),
            (4, 0, Unknown::Name),
            (4, 0xff, Unknown::Name),
        ] {
            let mut other = bytes;
            other[byte] = value;
            assert_eq!(Contents::read(&other), Err(expected));
        }
    }

    #[test]
    fn codes_of_format_1_have_names() {
        let mut marks = Marks::default();
        for (code, name) in [
            (1, "json-lines/1"),
            (2, "oslo-notification/1"),
            (7, "format-1-code-7/0"),
        ] {
            let mark = marks.register_code(code);
            assert_eq!(mark, mark_of(code));
            assert_eq!(marks.contents(mark).to_string(), name);
        }
        assert_eq!(marks.contents(0x8000_00ff).to_string(), "unknown-800000ff/0");
    }
}
