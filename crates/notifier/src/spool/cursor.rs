//! The file that says which records are done with.
//!
//! It has two places that are written in turns and over old bytes: one of them is always whole, and a full disk
//! does not keep it from being written.

use std::io;

use super::bytes::{checksum, u32_at, u64_at};
use super::disk::{Disk, DiskFile, read_full, write_all};
use super::ranges::Ranges;
use super::segment::{FORMAT_VERSION, OLDEST_VERSION, is_unreadable};
#[cfg(feature = "failpoints")]
use crate::failpoint::Failpoint;

/// The name of the file.
pub(super) const NAME: &str = "cursor";

/// Each of the two places, in bytes.
const SLOT: usize = 8192;
const MAGIC: [u8; 8] = *b"NPHSCURS";
/// Magic, version, checksum, turn, next number, low mark, count of ranges.
const FIXED: usize = 48;
/// How many ranges above the low mark are kept. Of more than that, the smallest are forgotten: a restart then
/// delivers their records once more.
const MAX_RANGES: usize = (SLOT - FIXED) / 16;

/// What the file says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) done: Ranges,
    /// The number that the next record was to have.
    pub(super) next: u64,
    turn: u64,
}

/// Why the file cannot be used.
#[derive(Debug)]
pub(super) enum CursorError {
    OtherVersion(u32),
    Io(io::Error),
}

/// The open file.
pub(super) struct Cursor {
    file: Box<dyn DiskFile>,
    turn: u64,
}

/// What the folder has of a cursor: the file, if it can be written to, and the position that it says, if it says one.
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
        // The medium has lost it; records are delivered once more.
        Err(error) if is_unreadable(&error) => 0,
        Err(error) => return Err(CursorError::Io(error)),
    };
    let mut newest: Option<Position> = None;
    for slot in bytes.chunks(SLOT) {
        if let Some(position) = decode(slot)?
            && newest.as_ref().is_none_or(|other| position.turn > other.turn)
        {
            newest = Some(position);
        }
    }
    // A file without a position, or without all of its place on the disk, is made anew. One that cannot be synced
    // may lose what it says now when its other place is written: the same.
    let usable = read == bytes.len() && file.sync().is_ok();
    let cursor = newest.as_ref().filter(|_| usable).map(|position| Cursor {
        turn: position.turn,
        file,
    });
    Ok((cursor, newest))
}

/// Makes the file, with all the place on the disk that it will ever take.
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
        // Half a file is as bad as none; the next attempt removes what is left.
        let _ = disk.remove(NAME);
        return Err(error);
    }
    Ok(Cursor { file, turn: 0 })
}

impl Cursor {
    /// Writes a position over the older of the two; `durable` also syncs it.
    pub(super) fn save(&mut self, done: &Ranges, next: u64, durable: bool) -> io::Result<()> {
        let turn = self.turn + 1;
        let slot = encode(done, next, turn);
        let place = if turn.is_multiple_of(2) { 0 } else { SLOT as u64 };
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
        self.turn = turn;
        Ok(())
    }
}

fn encode(done: &Ranges, next: u64, turn: u64) -> Vec<u8> {
    let mut ranges: Vec<(u64, u64)> = done.above().collect();
    if ranges.len() > MAX_RANGES {
        ranges.sort_by_key(|(start, end)| std::cmp::Reverse(end - start));
        ranges.truncate(MAX_RANGES);
        ranges.sort_unstable();
    }
    let mut rest = Vec::with_capacity(SLOT);
    rest.extend_from_slice(&turn.to_le_bytes());
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

/// A slot's position; none if it is damaged or was never written.
fn decode(slot: &[u8]) -> Result<Option<Position>, CursorError> {
    let Some((start, rest)) = slot.split_at_checked(16) else {
        return Ok(None);
    };
    let whole = rest.len() == SLOT - 16
        && start.starts_with(&MAGIC)
        && start
            .get(..12)
            .is_some_and(|first| u32_at(start, 12) == checksum(&[first, rest]));
    if !whole {
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
        turn: u64_at(rest, 0),
    }))
}
