//! The cursor file: which records are completed.
//!
//! It has two slots that are overwritten in turns. One of them is always valid, and since both slots are preallocated, a full
//! disk does not prevent a write.

use std::io;

use super::bytes::{checksum, u32_at, u64_at};
use super::disk::{Disk, DiskFile, read_full, write_all};
use super::ranges::Ranges;
use super::segment::{FORMAT_VERSION, OLDEST_VERSION, is_unreadable};
#[cfg(feature = "failpoints")]
use crate::failpoint::Failpoint;

/// The name of the file.
pub(super) const NAME: &str = "cursor";

/// The size of each slot in bytes.
const SLOT: usize = 8192;
const MAGIC: [u8; 8] = *b"NPHSCURS";
/// Magic, version, checksum, sequence, next number, low mark, count of ranges.
const FIXED: usize = 48;
/// The limit on stored ranges above the low mark. Beyond it, the smallest ranges are left out, and their records are delivered
/// again after a restart.
const MAX_RANGES: usize = (SLOT - FIXED) / 16;

/// The content of the cursor file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) done: Ranges,
    /// The number of the next record.
    pub(super) next: u64,
    sequence: u64,
}

/// Why the cursor file cannot be used.
#[derive(Debug)]
pub(super) enum CursorError {
    OtherVersion(u32),
    Io(io::Error),
}

/// The open file.
pub(super) struct Cursor {
    file: Box<dyn DiskFile>,
    sequence: u64,
}

/// The cursor file if it is writable, and its newest position if there is one.
pub(super) type Loaded = (Option<Cursor>, Option<Position>);

/// Reads the cursor.
pub(super) fn load(disk: &dyn Disk) -> Result<Loaded, CursorError> {
    let file = match disk.open(NAME) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((None, None)),
        Err(error) => return Err(CursorError::Io(error)),
    };
    let mut bytes = vec![0; 2 * SLOT];
    let read = match read_full(&*file, &mut bytes, 0) {
        Ok(read) => read,
        // Lost by the medium; records are delivered again.
        Err(error) if is_unreadable(&error) => 0,
        Err(error) => return Err(CursorError::Io(error)),
    };
    let mut newest: Option<Position> = None;
    for slot in bytes.chunks(SLOT) {
        if let Some(position) = decode(slot)?
            && newest
                .as_ref()
                .is_none_or(|other| position.sequence > other.sequence)
        {
            newest = Some(position);
        }
    }
    // A file without a valid slot or with an incomplete size is created again. So is one that cannot be synced: its content
    // may be lost with the next write.
    let usable = read == bytes.len() && file.sync().is_ok();
    let cursor = newest.as_ref().filter(|_| usable).map(|position| Cursor {
        sequence: position.sequence,
        file,
    });
    Ok((cursor, newest))
}

/// Creates the file with its final size, so that later writes need no space.
pub(super) fn create(disk: &dyn Disk) -> io::Result<Cursor> {
    match disk.remove(NAME) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = disk.create(NAME)?;
    let placed = write_all(&*file, &[0; 2 * SLOT], 0)
        .and_then(|()| file.sync())
        .and_then(|()| disk.sync());
    if let Err(error) = placed {
        // An incomplete file is useless. The next attempt removes it if this fails.
        let _ = disk.remove(NAME);
        return Err(error);
    }
    Ok(Cursor { file, sequence: 0 })
}

impl Cursor {
    /// Writes a position to the older slot and syncs it if `durable` is set.
    pub(super) fn save(&mut self, done: &Ranges, next: u64, durable: bool) -> io::Result<()> {
        let sequence = self.sequence + 1;
        let slot = encode(done, next, sequence);
        let place = if sequence.is_multiple_of(2) {
            0
        } else {
            SLOT as u64
        };
        #[cfg(feature = "failpoints")]
        Failpoint::CursorHalf.reach_after(|| {
            let _ = write_all(&*self.file, slot.get(..slot.len() / 2).unwrap_or_default(), place);
        });
        write_all(&*self.file, &slot, place)?;
        #[cfg(feature = "failpoints")]
        Failpoint::CursorWritten.reach();
        if durable {
            self.file.sync()?;
        }
        self.sequence = sequence;
        Ok(())
    }
}

fn encode(done: &Ranges, next: u64, sequence: u64) -> Vec<u8> {
    let mut ranges: Vec<(u64, u64)> = done.above().collect();
    if ranges.len() > MAX_RANGES {
        ranges.sort_by_key(|(start, end)| std::cmp::Reverse(end - start));
        ranges.truncate(MAX_RANGES);
        ranges.sort_unstable();
    }
    let mut rest = Vec::with_capacity(SLOT);
    rest.extend_from_slice(&sequence.to_le_bytes());
    rest.extend_from_slice(&next.to_le_bytes());
    rest.extend_from_slice(&done.low().to_le_bytes());
    rest.extend_from_slice(&(ranges.len() as u64).to_le_bytes());
    for (start, end) in ranges {
        rest.extend_from_slice(&start.to_le_bytes());
        rest.extend_from_slice(&end.to_le_bytes());
    }
    rest.resize(SLOT - 16, 0);
    let version = FORMAT_VERSION.to_le_bytes();
    let checksum = checksum(&[&MAGIC, &version, &rest]).to_le_bytes();
    [&MAGIC[..], &version, &checksum, &rest].concat()
}

/// Returns the position in a slot; `None` if the slot is corrupt or was never written.
fn decode(slot: &[u8]) -> Result<Option<Position>, CursorError> {
    let Some((start, rest)) = slot.split_at_checked(16) else {
        return Ok(None);
    };
    let valid = rest.len() == SLOT - 16
        && start.starts_with(&MAGIC)
        && start
            .get(..12)
            .is_some_and(|first| u32_at(start, 12) == checksum(&[first, rest]));
    if !valid {
        return Ok(None);
    }
    let version = u32_at(start, 8);
    if !(OLDEST_VERSION..=FORMAT_VERSION).contains(&version) {
        return Err(CursorError::OtherVersion(version));
    }
    let mut done = Ranges::below(u64_at(rest, 16));
    let count = usize::try_from(u64_at(rest, 24)).unwrap_or(usize::MAX);
    for range in rest.get(32..).unwrap_or_default().chunks_exact(16).take(count) {
        done.insert(u64_at(range, 0), u64_at(range, 8));
    }
    Ok(Some(Position {
        done,
        next: u64_at(rest, 8),
        sequence: u64_at(rest, 0),
    }))
}
