//! A segment file of the spool: a header and records, which stay readable after corrupt bytes.

use std::io;

use super::bytes::{checksum, i64_at, u32_at, u64_at};
use super::contents::{self, Contents, Unknown};
use super::disk::{ReadAt, read_full};
use super::frame::{FRAME_LEN, Frame, MARKER};

/// The version of the format that this program writes.
pub const FORMAT_VERSION: u32 = 2;

/// The oldest supported version.
pub(super) const OLDEST_VERSION: u32 = 1;

/// The length of a segment's header in bytes.
pub(super) const HEADER_LEN: u64 = 128;

/// The length of a header of format 1, and of the first part of later headers. The first part has its own checksum.
pub(super) const FIRST_PART: u64 = 64;

const MAGIC: [u8; 8] = *b"NPHSPOOL";
const SUFFIX: &str = ".spool";

/// The size of a read in bytes.
const READ: usize = 128 * 1024;

/// The size of a read in bytes when payloads are skipped.
const READ_HEADERS: usize = 4096;

/// Returns the file name of a segment, given the number of its first record.
pub(super) fn name(segment: u64) -> String {
    format!("{segment:016x}{SUFFIX}")
}

/// Returns the number of a segment's first record, given its file name.
pub(super) fn parse_name(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX)?;
    let number = u64::from_str_radix(digits, 16).ok()?;
    // Rejects other spellings, such as capitals or a sign.
    (self::name(number) == *name).then_some(number)
}

/// The header of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    /// The number of its first record, which identifies the segment.
    pub(super) first: u64,
    /// The number of samples in all earlier records.
    pub(super) samples_before: u64,
    /// Its creation, in milliseconds since 1970 UTC.
    pub(super) time: i64,
    /// The contents of its records; `None` in format 1, where each record has its own.
    pub(super) contents: Option<Contents>,
}

/// The result of reading a header.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum HeaderRead {
    Valid(Header),
    /// An unsupported version of the format.
    OtherVersion(u32),
    /// An unsupported compression.
    OtherCompression(u8),
    /// An unsupported kind of payload.
    OtherKind(u8),
    Corrupt,
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

    /// Encodes a header in the current format.
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

    /// Decodes the header at the start of a segment.
    pub(super) fn read(bytes: &[u8], segment: u64) -> HeaderRead {
        let Some((before, rest)) = bytes
            .get(..FIRST_PART as usize)
            .and_then(|header| header.split_at_checked(16))
        else {
            return HeaderRead::Corrupt;
        };
        let whole = before.starts_with(&MAGIC)
            && before
                .get(..12)
                .is_some_and(|start| u32_at(before, 12) == checksum(&[start, rest]));
        if !whole {
            return HeaderRead::Corrupt;
        }
        let version = u32_at(before, 8);
        if !(OLDEST_VERSION..=FORMAT_VERSION).contains(&version) {
            return HeaderRead::OtherVersion(version);
        }
        if u64_at(rest, 0) != segment {
            return HeaderRead::Corrupt;
        }
        let contents = if version == OLDEST_VERSION {
            None
        } else {
            let second = bytes.get(FIRST_PART as usize..HEADER_LEN as usize);
            let Some(second) = second.filter(|second| u32_at(rest, 24) == checksum(&[second])) else {
                return HeaderRead::Corrupt;
            };
            match Contents::read(second.get(..contents::LEN).unwrap_or_default()) {
                Ok(contents) => Some(contents),
                Err(Unknown::Compression(found)) => return HeaderRead::OtherCompression(found),
                Err(Unknown::Kind(found)) => return HeaderRead::OtherKind(found),
                Err(Unknown::Name) => return HeaderRead::Corrupt,
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
    /// The size of a read in bytes.
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

    /// Creates a window for reading headers only.
    pub(super) fn for_headers() -> Self {
        Self::of(READ_HEADERS)
    }

    /// Clears the window and frees the memory of a large record.
    pub(super) fn clear(&mut self) {
        self.start = 0;
        self.bytes.clear();
        self.bytes.shrink_to(self.read);
    }

    /// Returns the bytes from `offset`: at least `least` of them, or all up to `end`.
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

/// The next item of a scanner.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A record and its offset.
    Record(Frame, u64),
    /// A number of bytes that are not a record.
    Corrupt(u64),
    /// The end of the segment.
    End,
}

/// Iterates over the records of one segment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scanner {
    segment: u64,
    pub(super) offset: u64,
}

impl Scanner {
    /// Creates a scanner that begins at `offset`.
    pub(super) fn new(segment: u64, offset: u64) -> Self {
        Self { segment, offset }
    }

    /// Returns the next item before `end`. Checks the payload of a record only if it is `wanted`.
    ///
    /// After corrupt bytes it continues at the next valid header at its original position.
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
            // Truncated, or its length was never written. Records may still follow.
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
                // The header is valid, and so is its length.
                self.offset = behind;
                return Ok(Found::Corrupt(frame.whole_len()));
            }
        }
        self.offset = behind;
        Ok(Found::Record(frame, began))
    }

    /// Returns the payload of a record that begins at `began`.
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
                    return Ok(Found::Corrupt(self.offset - began));
                }
                Err(error) => return Err(error),
            };
            if bytes.len() < FRAME_LEN {
                self.offset = end;
                return Ok(Found::Corrupt(end - began));
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
                    return Ok(Found::Corrupt(at - began));
                }
                from = place + 1;
            }
            offset += last_start as u64 + 1;
        }
    }

    /// Skips a block that the medium cannot read.
    fn skip_unreadable(&mut self, end: u64) -> io::Result<Found> {
        const BLOCK: u64 = 4096;
        let began = self.offset;
        self.offset = ((began / BLOCK + 1) * BLOCK).min(end);
        Ok(Found::Corrupt(self.offset - began))
    }
}

/// Reads the bytes of a segment like the log: returns the numbers and payload lengths of valid records, and the number of corrupt
/// bytes. For tests and fuzzing; it accepts any bytes.
pub fn inspect(first: u64, bytes: &[u8]) -> (Vec<(u64, u32)>, u64) {
    let (records_at, mut damaged) = match Header::read(bytes, first) {
        HeaderRead::Valid(header) => (header.len(), 0),
        _ => (FIRST_PART, FIRST_PART.min(bytes.len() as u64)),
    };
    let mut records = Vec::new();
    let mut scanner = Scanner::new(first, records_at);
    let mut window = Window::default();
    // Reading from memory does not fail.
    while let Ok(found) = scanner.step(&Memory(bytes), bytes.len() as u64, &mut window, |_| true) {
        match found {
            Found::Record(frame, _) => records.push((frame.number, frame.length)),
            Found::Corrupt(length) => damaged += length,
            Found::End => break,
        }
    }
    (records, damaged)
}

/// A byte slice as a file.
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

/// Whether an error is permanent for the medium, so that a retry fails, too.
pub(super) fn is_unreadable(error: &io::Error) -> bool {
    use rustix::io::Errno;
    error.raw_os_error().is_some_and(|code| {
        [Errno::IO, Errno::NODATA, Errno::UCLEAN, Errno::ILSEQ]
            .iter()
            .any(|errno| errno.raw_os_error() == code)
    })
}
