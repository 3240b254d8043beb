//! The queue on disk: records are appended at one end, read from the other, and done with in any order.
//!
//! Segments are named after their first record, and numbers only grow: files that a crash brings back cannot pass
//! for newer ones. Memory holds a few dozen bytes for each segment and the ranges of numbers that are done with.

mod account;
mod append;
mod bounds;
mod reader;
mod record;
mod recovery;
mod status;

use std::collections::{BTreeMap, VecDeque};
use std::io;

use self::reader::Reader;
pub use self::record::{Record, Stored};
pub use self::status::{LogCounts, LogStatus};
use super::cursor::{self, Cursor};
use super::disk::{Disk, DiskFile};
use super::options::LogOptions;
use super::ranges::Ranges;
#[cfg(feature = "failpoints")]
use crate::failpoint::Failpoint;

/// How many finished segments may wait for a sync; the next one waits for them.
const MAX_UNSYNCED: usize = 16;

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
    /// Records that were read and are not done with, and their samples.
    taken: BTreeMap<u64, u32>,
    fresh: Reader,
    backlog: Reader,
    /// What comes before is backlog.
    split: u64,
    /// Records from before are too old.
    horizon: i64,
    queued_records: u64,
    queued_samples: u64,
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
}

impl Log {
    /// A record that was taken is done with: it is not read again, and its segment goes with its last record.
    pub fn done(&mut self, number: u64) {
        let Some(samples) = self.taken.remove(&number) else {
            return;
        };
        self.queued_records = self.queued_records.saturating_sub(1);
        self.queued_samples = self.queued_samples.saturating_sub(u64::from(samples));
        #[cfg(feature = "failpoints")]
        Failpoint::Done.reach();
        self.settle(number, number + 1);
    }

    /// The samples of a record that was taken and is not done with.
    pub(in crate::spool) fn samples_under_way(&self, number: u64) -> u32 {
        self.taken.get(&number).copied().unwrap_or(0)
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
            records: self.queued_records,
            samples: self.queued_samples,
            unread: self.queued_records.saturating_sub(self.taken.len() as u64),
            oldest: self
                .segments
                .front()
                .filter(|_| self.queued_records > 0)
                .map(|segment| segment.time),
            segments: self.segments.len(),
            low: self.done.low(),
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
            self.turn_over();
            self.backlog.go_to(self.done.low());
        } else {
            self.options = options;
        }
    }

    /// Makes everything durable, as the last thing that is done with a log. An empty one leaves no segments behind;
    /// what was taken and is not done with comes again after the next opening.
    pub fn close(&mut self) -> io::Result<()> {
        for (number, samples) in std::mem::take(&mut self.taken) {
            // Dropped at a bound while it was under way: there is no further chance.
            if self.segments.front().is_none_or(|segment| number < segment.first) {
                self.counts.dropped_records += 1;
                self.counts.dropped_samples += u64::from(samples);
                self.queued_records = self.queued_records.saturating_sub(1);
                self.queued_samples = self.queued_samples.saturating_sub(u64::from(samples));
            }
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
