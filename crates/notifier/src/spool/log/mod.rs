//! The queue on disk: records are appended at one end, read from the other, and done with in any order.
//!
//! Segments are named after their first record, and numbers only grow: files that a crash brings back cannot pass
//! for newer ones. Memory holds a few dozen bytes for each segment and the ranges of numbers that are done with.

mod account;
mod append;
mod bounds;
mod ledger;
mod reader;
mod record;
mod recovery;
mod serving;
mod status;

use std::collections::{BTreeMap, VecDeque};
use std::io;

use self::ledger::Ledger;
use self::reader::Reader;
pub use self::record::{Record, Stored};
pub use self::status::{Held, LogCounts, LogStatus};
use super::contents::{Marks, mark_of};
use super::cursor::{self, Cursor};
use super::disk::{Disk, DiskFile};
use super::options::LogOptions;
use super::ranges::Ranges;
#[cfg(feature = "failpoints")]
use crate::failpoint::Failpoint;

/// How many finished segments may wait for a sync; the next one waits for them.
const MAX_UNSYNCED: usize = 16;

/// The mark of a segment of which no record can be recognised: they are lost when they are read.
const UNSEEN: u32 = 0;

/// A bounded queue of records in a folder.
pub struct Log {
    disk: Box<dyn Disk>,
    options: LogOptions,
    segments: VecDeque<Segment>,
    /// The file of the last segment, if it may grow.
    writer: Option<Box<dyn DiskFile>>,
    writer_unsynced: bool,
    /// Finished, not yet synced: the numbers of segments and their files.
    unsynced: Vec<(u64, Box<dyn DiskFile>)>,
    names_unsynced: bool,
    /// A sync that nobody has been told of yet.
    sync_failed: Option<io::Error>,
    cursor: Option<Cursor>,
    /// Whether the cursor's file says less than is known.
    cursor_behind: bool,
    /// The number of the next record.
    next: u64,
    /// Samples of all records so far.
    samples_total: u64,
    last_time: i64,
    done: Ranges,
    /// Records that were read and are not done with.
    taken: BTreeMap<u64, Taken>,
    fresh: Reader,
    backlog: Reader,
    /// What comes before is backlog.
    split: u64,
    /// Records from before are too old.
    horizon: i64,
    marks: Marks,
    /// The marks of what is read; none: all.
    takes: Option<Vec<u32>>,
    /// Whether nothing is left to read until something comes.
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
    /// Where its records begin.
    header: u64,
    /// What its records are.
    mark: u32,
    /// Whether its records are of several contents, or nobody knows: each says it. Only in format 1.
    mixed: bool,
}

/// A record that is under way.
#[derive(Debug, Clone, Copy)]
struct Taken {
    samples: u32,
    mark: u32,
}

impl Log {
    /// A record that was taken is done with: it is not read again, and its segment goes with its last record.
    pub fn done(&mut self, number: u64) {
        let Some(Taken { samples, mark }) = self.taken.remove(&number) else {
            return;
        };
        self.ledger.land(mark);
        self.ledger.remove(mark, 1, u64::from(samples));
        #[cfg(feature = "failpoints")]
        Failpoint::Done.reach();
        self.settle(number, number + 1);
    }

    /// The samples of a record that was taken and is not done with.
    pub(in crate::spool) fn samples_under_way(&self, number: u64) -> u32 {
        self.taken.get(&number).map_or(0, |taken| taken.samples)
    }

    /// Counts a record that had no place at all as dropped.
    pub(in crate::spool) fn count_dropped(&mut self, samples: u64) {
        self.counts.dropped_records += 1;
        self.counts.dropped_samples += samples;
    }

    /// Writes down which records are done with, if that has changed.
    pub fn save_cursor(&mut self) -> io::Result<()> {
        if !self.cursor_behind {
            return Ok(());
        }
        if self.cursor.is_none() {
            self.cursor = Some(cursor::create(&*self.disk)?);
        }
        if let Some(cursor) = &mut self.cursor {
            cursor.save(&self.done, self.next, self.options.durable)?;
            self.cursor_behind = false;
        }
        Ok(())
    }

    /// Where the cursor matters only for what a crash would repeat or miscount.
    fn save_cursor_quietly(&mut self) {
        let _ = self.save_cursor();
    }

    /// The folder, for what stands beside the log.
    pub fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    /// What is in it.
    pub fn status(&self) -> LogStatus {
        LogStatus {
            bytes: self.bytes,
            records: self.ledger.records(),
            samples: self.ledger.samples(),
            unread: self.unread(),
            oldest: self
                .segments
                .front()
                .filter(|_| self.ledger.records() > 0)
                .map(|segment| segment.time),
            segments: self.segments.len(),
            low: self.low(),
            next: self.next,
        }
    }

    /// What happened to records since it was opened.
    pub fn counts(&self) -> LogCounts {
        self.counts
    }

    /// Takes over other bounds.
    pub fn set_options(&mut self, options: LogOptions) {
        if options.order != self.options.order {
            self.options = options;
            self.read_again();
        } else {
            self.options = options;
        }
    }

    /// Makes everything durable, as the last thing that is done with a log. An empty one leaves no segments behind;
    /// what was taken and is not done with comes again after the next opening.
    pub fn close(&mut self) -> io::Result<()> {
        for (number, taken) in std::mem::take(&mut self.taken) {
            self.give_back(number, taken);
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
