//! The queue on disk: records are appended at one end, read from the other, and completed in any order.
//!
//! A segment is named after its first record, and record numbers only grow: a file that reappears after a crash cannot be
//! mistaken for a newer one. Memory holds a few dozen bytes for each segment and the ranges of completed records.

mod account;
mod append;
mod bounds;
mod ledger;
mod position;
mod reader;
mod record;
mod recovery;
mod serving;
mod status;

use std::collections::{BTreeMap, VecDeque};
use std::io;

use self::ledger::Ledger;
use self::position::Reader;
pub use self::record::{Record, Stored};
pub use self::status::{LogCounts, LogStatus, StoredContents};
use super::contents::{Marks, mark_of};
use super::cursor::{self, Cursor};
use super::disk::{Disk, DiskFile};
use super::options::LogOptions;
use super::ranges::Ranges;
#[cfg(feature = "failpoints")]
use crate::failpoint::Failpoint;

/// The limit on finished segments without a sync. The next one syncs them.
const MAX_UNSYNCED: usize = 16;

/// The mark of a segment without a readable record. Its records are counted as lost when they are read.
const UNKNOWN_MARK: u32 = 0;

/// A bounded queue of records in a folder.
pub struct Log {
    disk: Box<dyn Disk>,
    options: LogOptions,
    segments: VecDeque<Segment>,
    /// The file of the last segment, if it still grows.
    writer: Option<Box<dyn DiskFile>>,
    writer_unsynced: bool,
    /// Finished segments without a sync: their first records and their files.
    unsynced: Vec<(u64, Box<dyn DiskFile>)>,
    names_unsynced: bool,
    /// The error of an internal sync, for the next call of `sync`.
    sync_failed: Option<io::Error>,
    cursor: Option<Cursor>,
    /// Whether the cursor file is outdated.
    cursor_outdated: bool,
    /// The number of the next record.
    next: u64,
    /// The number of samples in all records so far.
    samples_total: u64,
    last_time: i64,
    done: Ranges,
    /// Records that were read and are not completed.
    in_flight: BTreeMap<u64, InFlightRecord>,
    newest: Reader,
    backlog: Reader,
    /// Records with smaller numbers are backlog.
    backlog_end: u64,
    /// Records from before this time are too old.
    expire_before: i64,
    marks: Marks,
    /// The marks of the accepted contents; `None`: all.
    accepted_marks: Option<Vec<u32>>,
    /// Whether nothing is left to read until the next append.
    exhausted: bool,
    ledger: Ledger,
    bytes: u64,
    counts: LogCounts,
    buffer: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Segment {
    first: u64,
    samples_before: u64,
    time: i64,
    len: u64,
    /// The offset of its first record.
    header: u64,
    /// The contents of its records.
    mark: u32,
    /// Whether its records have several or unknown contents, so that each record's mark decides. Only in format 1.
    mixed: bool,
}

/// A record in flight.
#[derive(Debug, Clone, Copy)]
struct InFlightRecord {
    samples: u32,
    mark: u32,
}

impl Log {
    /// Completes a record in flight: it is not read again, and its segment is removed after its last record.
    pub fn done(&mut self, number: u64) {
        let Some(InFlightRecord { samples, mark }) = self.in_flight.remove(&number) else {
            return;
        };
        self.ledger.remove_in_flight(mark);
        self.ledger.remove(mark, 1, u64::from(samples));
        #[cfg(feature = "failpoints")]
        Failpoint::Done.reach();
        self.settle(number, number + 1);
    }

    /// The number of samples of a record in flight.
    pub(in crate::spool) fn samples_in_flight(&self, number: u64) -> u32 {
        self.in_flight.get(&number).map_or(0, |record| record.samples)
    }

    /// Counts a record that could not be appended as dropped.
    pub(in crate::spool) fn count_dropped(&mut self, samples: u64) {
        self.counts.dropped_records += 1;
        self.counts.dropped_samples += samples;
    }

    /// Writes the cursor file if it is outdated.
    pub fn save_cursor(&mut self) -> io::Result<()> {
        if !self.cursor_outdated {
            return Ok(());
        }
        if self.cursor.is_none() {
            self.cursor = Some(cursor::create(&*self.disk)?);
        }
        if let Some(cursor) = &mut self.cursor {
            cursor.save(&self.done, self.next, self.options.durable)?;
            self.cursor_outdated = false;
        }
        Ok(())
    }

    /// Saves the cursor and ignores errors: without it a crash only repeats or miscounts records.
    fn try_save_cursor(&mut self) {
        let _ = self.save_cursor();
    }

    /// The folder, for the files next to the log.
    pub fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    /// The current status.
    pub fn status(&self) -> LogStatus {
        LogStatus {
            bytes: self.bytes,
            records: self.ledger.records(),
            samples: self.ledger.samples(),
            unread: self.unread(),
            oldest_time: self
                .segments
                .front()
                .filter(|_| self.ledger.records() > 0)
                .map(|segment| segment.time),
            segments: self.segments.len(),
            low: self.low(),
            next: self.next,
        }
    }

    /// The counts since the log was opened.
    pub fn counts(&self) -> LogCounts {
        self.counts
    }

    /// Changes the options.
    pub fn set_options(&mut self, options: LogOptions) {
        if options.order != self.options.order {
            self.options = options;
            self.read_again();
        } else {
            self.options = options;
        }
    }

    /// Makes everything durable and closes the log. An empty log leaves no segments behind. Records in flight are delivered
    /// again after the next opening.
    pub fn close(&mut self) -> io::Result<()> {
        for (number, record) in std::mem::take(&mut self.in_flight) {
            self.return_unfinished(number, record);
        }
        #[cfg(feature = "failpoints")]
        Failpoint::Closing.reach();
        let synced = if self.options.durable { self.sync() } else { Ok(()) };
        let saved = self.save_cursor();
        self.writer = None;
        self.sweep_all();
        synced.and(saved)
    }
}
