//! A file of the spool: a header, then records; and how it is read when parts of it are damaged.

use std::io;

use super::bytes::{checksum, i64_at, u32_at, u64_at};
use super::contents::{self, Contents, Unknown};
use super::disk::{ReadAt, read_full};
use super::frame::{FRAME_LEN, Frame, MARKER};

/// The version of the format of segments and cursor that this program writes.
pub const FORMAT_VERSION: u32 = 2;

/// The oldest version that it reads.
pub(super) const OLDEST_VERSION: u32 = 1;

/// The header of a segment, in bytes.
pub(super) const HEADER_LEN: u64 = 128;

/// The header of a segment of format 1; the first part of that of every later format, with a checksum of its own.
pub(super) const FIRST_PART: u64 = 64;

const MAGIC: [u8; 8] = *b"NPHSPOOL";
const SUFFIX: &str = ".spool";

/// How much is read at once.
const READ: usize = 128 * 1024;

/// How much is read at once where payloads are passed over.
const READ_HEADERS: usize = 4096;

/// The name of the file of the segment whose first record has this number.
pub(super) fn name(segment: u64) -> String {
    format!("{segment:016x}{SUFFIX}")
}

/// The number of the first record of the segment whose file has this name.
pub(super) fn parse_name(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX)?;
    let number = u64::from_str_radix(digits, 16).ok()?;
    // Anything else is none of ours, such as capitals or a sign.
    (self::name(number) == *name).then_some(number)
}

/// What the header of a segment says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    /// The number of its first record, by which it is known.
    pub(super) first: u64,
    /// Samples of all records before it.
    pub(super) samples_before: u64,
    /// When it was begun, milliseconds since 1970 UTC.
    pub(super) time: i64,
    /// What all of its records are; none in format 1, where each record says it.
    pub(super) contents: Option<Contents>,
}

/// What stands where the header of a segment should.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum HeaderRead {
    Valid(Header),
    /// Written in another version of the format.
    OtherVersion(u32),
    /// Of a compression that this program does not know.
    OtherCompression(u8),
    /// Of a kind of payload that this program does not know.
    OtherKind(u8),
    Damaged,
}

impl Header {
    /// Its length in bytes.
    pub(super) fn len(&self) -> u64 {
        if self.contents.is_some() {
            HEADER_LEN
        } else {
            FIRST_PART
        }
    }

    /// The header in the present format.
    pub(super) fn bytes(first: u64, samples_before: u64, time: i64, contents: &Contents) -> Vec<u8> {
        let mut second = contents.bytes().to_vec();
        second.resize((HEADER_LEN - FIRST_PART) as usize, 0);
        let mut rest = Vec::with_capacity(HEADER_LEN as usize);
        rest.extend_from_slice(&first.to_le_bytes());
        rest.extend_from_slice(&samples_before.to_le_bytes());
        rest.extend_from_slice(&time.to_le_bytes());
        rest.extend_from_slice(&checksum(&[&second]).to_le_bytes());
        rest.resize(FIRST_PART as usize - 16, 0);
        let version = FORMAT_VERSION.to_le_bytes();
        let checksum = checksum(&[&MAGIC, &version, &rest]).to_le_bytes();
        [&MAGIC[..], &version, &checksum, &rest, &second].concat()
    }

    /// The header that begins the bytes of a segment.
    pub(super) fn read(bytes: &[u8], segment: u64) -> HeaderRead {
        let Some((before, rest)) = bytes
            .get(..FIRST_PART as usize)
            .and_then(|header| header.split_at_checked(16))
        else {
            return HeaderRead::Damaged;
        };
        let whole = before.starts_with(&MAGIC)
            && before
                .get(..12)
                .is_some_and(|start| u32_at(before, 12) == checksum(&[start, rest]));
        if !whole {
            return HeaderRead::Damaged;
        }
        let version = u32_at(before, 8);
        if !(OLDEST_VERSION..=FORMAT_VERSION).contains(&version) {
            return HeaderRead::OtherVersion(version);
        }
        if u64_at(rest, 0) != segment {
            return HeaderRead::Damaged;
        }
        let contents = if version == OLDEST_VERSION {
            None
        } else {
            let second = bytes.get(FIRST_PART as usize..HEADER_LEN as usize);
            let Some(second) = second.filter(|second| u32_at(rest, 24) == checksum(&[second])) else {
                return HeaderRead::Damaged;
            };
            match Contents::read(second.get(..contents::LEN).unwrap_or_default()) {
                Ok(contents) => Some(contents),
                Err(Unknown::Compression(found)) => return HeaderRead::OtherCompression(found),
                Err(Unknown::Kind(found)) => return HeaderRead::OtherKind(found),
                Err(Unknown::Name) => return HeaderRead::Damaged,
            }
        };
        HeaderRead::Valid(Self {
            first: segment,
            samples_before: u64_at(rest, 8),
            time: i64_at(rest, 16),
            contents,
        })
    }
}

/// A part of a file in memory.
#[derive(Debug)]
pub(super) struct Window {
    start: u64,
    bytes: Vec<u8>,
    /// How much is read at once.
    read: usize,
}

impl Default for Window {
    fn default() -> Self {
        Self::of(READ)
    }
}

impl Window {
    fn of(read: usize) -> Self {
        Self {
            start: 0,
            bytes: Vec::new(),
            read,
        }
    }

    /// For passing over payloads.
    pub(super) fn for_headers() -> Self {
        Self::of(READ_HEADERS)
    }

    /// Forgets what was read, and gives the memory of a large record back.
    pub(super) fn clear(&mut self) {
        self.start = 0;
        self.bytes.clear();
        self.bytes.shrink_to(self.read);
    }

    /// The bytes from `offset`, at least `least` of them unless `end` comes before.
    fn get(&mut self, file: &dyn ReadAt, offset: u64, least: usize, end: u64) -> io::Result<&[u8]> {
        let available = usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX);
        let least = least.min(available);
        let held = offset
            .checked_sub(self.start)
            .and_then(|skip| usize::try_from(skip).ok())
            .and_then(|skip| self.bytes.get(skip..))
            .is_some_and(|rest| rest.len() >= least);
        if !held {
            let wanted = least.max(self.read).min(available);
            self.bytes.clear();
            self.bytes.shrink_to(self.read.max(wanted));
            self.bytes.resize(wanted, 0);
            self.start = offset;
            match read_full(file, &mut self.bytes, offset) {
                Ok(read) => self.bytes.truncate(read),
                Err(error) => {
                    self.bytes.clear();
                    return Err(error);
                }
            }
        }
        let skip = usize::try_from(offset.saturating_sub(self.start)).unwrap_or(usize::MAX);
        Ok(self.bytes.get(skip..).unwrap_or_default())
    }
}

/// What a scanner comes to next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A record, and where it begins.
    Record(Frame, u64),
    /// So many bytes that are no record.
    Damage(u64),
    /// The end.
    End,
}

/// Goes from record to record of one segment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scanner {
    segment: u64,
    pub(super) offset: u64,
}

impl Scanner {
    /// From `offset` on.
    pub(super) fn new(segment: u64, offset: u64) -> Self {
        Self { segment, offset }
    }

    /// What comes next, up to `end`. The payload of a record is checked only if it is `wanted`.
    ///
    /// After damage it goes on with the next header that is whole and stands where it was written.
    pub(super) fn step(
        &mut self,
        file: &dyn ReadAt,
        end: u64,
        window: &mut Window,
        wanted: impl Fn(&Frame) -> bool,
    ) -> io::Result<Found> {
        if self.offset >= end {
            return Ok(Found::End);
        }
        let began = self.offset;
        let bytes = match window.get(file, began, FRAME_LEN, end) {
            Ok(bytes) => bytes,
            Err(error) if is_unreadable(&error) => return self.skip_unreadable(end),
            Err(error) => return Err(error),
        };
        let Some(frame) = Frame::read(bytes, self.segment, began) else {
            return self.resync(file, end, window);
        };
        let behind = began.saturating_add(frame.whole_len());
        if behind > end {
            // Cut off, or its length was never written: what follows may be records all the same.
            return self.resync(file, end, window);
        }
        if wanted(&frame) {
            let sound = match self.payload(file, &frame, began, end, window) {
                Ok(payload) => {
                    payload.len() == frame.length as usize && checksum(&[payload]) == frame.payload_checksum
                }
                Err(error) if is_unreadable(&error) => false,
                Err(error) => return Err(error),
            };
            if !sound {
                // The header is whole, so its length is right.
                self.offset = behind;
                return Ok(Found::Damage(frame.whole_len()));
            }
        }
        self.offset = behind;
        Ok(Found::Record(frame, began))
    }

    /// The payload of a record that begins at `began`.
    pub(super) fn payload<'w>(
        &self,
        file: &dyn ReadAt,
        frame: &Frame,
        began: u64,
        end: u64,
        window: &'w mut Window,
    ) -> io::Result<&'w [u8]> {
        let length = FRAME_LEN + frame.length as usize;
        let bytes = window.get(file, began, length, end)?;
        Ok(bytes.get(FRAME_LEN..length).unwrap_or_default())
    }

    fn resync(&mut self, file: &dyn ReadAt, end: u64, window: &mut Window) -> io::Result<Found> {
        let began = self.offset;
        let mut offset = began + 1;
        loop {
            let bytes = match window.get(file, offset, FRAME_LEN, end) {
                Ok(bytes) => bytes,
                Err(error) if is_unreadable(&error) => {
                    self.offset = offset;
                    self.skip_unreadable(end)?;
                    return Ok(Found::Damage(self.offset - began));
                }
                Err(error) => return Err(error),
            };
            if bytes.len() < FRAME_LEN {
                self.offset = end;
                return Ok(Found::Damage(end - began));
            }
            let last_start = bytes.len() - FRAME_LEN;
            let mut from = 0;
            while let Some(step) = bytes.get(from..).and_then(find_marker) {
                let place = from + step;
                if place > last_start {
                    break;
                }
                let candidate = bytes.get(place..).unwrap_or_default();
                let at = offset + place as u64;
                if Frame::read(candidate, self.segment, at).is_some_and(|frame| at + frame.whole_len() <= end)
                {
                    self.offset = at;
                    return Ok(Found::Damage(at - began));
                }
                from = place + 1;
            }
            offset += last_start as u64 + 1;
        }
    }

    /// Leaves a block behind that the medium does not give any more.
    fn skip_unreadable(&mut self, end: u64) -> io::Result<Found> {
        const BLOCK: u64 = 4096;
        let began = self.offset;
        self.offset = ((began / BLOCK + 1) * BLOCK).min(end);
        Ok(Found::Damage(self.offset - began))
    }
}

/// What a segment's bytes hold, as the log reads them: the numbers and payload lengths of whole records, and how many
/// bytes are no record. For tests and fuzzing; every byte string has an answer.
pub fn inspect(first: u64, bytes: &[u8]) -> (Vec<(u64, u32)>, u64) {
    let (records_at, mut damaged) = match Header::read(bytes, first) {
        HeaderRead::Valid(header) => (header.len(), 0),
        _ => (FIRST_PART, FIRST_PART.min(bytes.len() as u64)),
    };
    let mut records = Vec::new();
    let mut scanner = Scanner::new(first, records_at);
    let mut window = Window::default();
    // Reading memory does not fail.
    while let Ok(found) = scanner.step(&Memory(bytes), bytes.len() as u64, &mut window, |_| true) {
        match found {
            Found::Record(frame, _) => records.push((frame.number, frame.length)),
            Found::Damage(length) => damaged += length,
            Found::End => break,
        }
    }
    (records, damaged)
}

/// Bytes as a file that can be read.
struct Memory<'a>(&'a [u8]);

impl ReadAt for Memory<'_> {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = usize::try_from(offset)
            .ok()
            .and_then(|offset| self.0.get(offset..));
        let rest = rest.unwrap_or_default();
        for (place, byte) in bytes.iter_mut().zip(rest) {
            *place = *byte;
        }
        Ok(rest.len().min(bytes.len()))
    }
}

fn find_marker(bytes: &[u8]) -> Option<usize> {
    let [first, ..] = MARKER;
    let mut from = 0;
    loop {
        let rest = bytes.get(from..)?;
        let place = from + rest.iter().position(|byte| *byte == first)?;
        if bytes.get(place..)?.starts_with(&MARKER) {
            return Some(place);
        }
        from = place + 1;
    }
}

/// Whether an error is the medium's: trying again gives nothing else.
pub(super) fn is_unreadable(error: &io::Error) -> bool {
    use rustix::io::Errno;
    error.raw_os_error().is_some_and(|code| {
        [Errno::IO, Errno::NODATA, Errno::UCLEAN, Errno::ILSEQ]
            .iter()
            .any(|errno| errno.raw_os_error() == code)
    })
}
