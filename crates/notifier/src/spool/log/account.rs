//! Bookkeeping: which records are there, which are done with, and which files may go.

use std::io;

use super::{Ledger, Log, Segment, UNSEEN, mark_of};
#[cfg(feature = "failpoints")]
use crate::failpoint::Failpoint;
use crate::spool::frame::Frame;
use crate::spool::segment::{self, Found, Scanner, Window};

impl Log {
    /// The number behind the last record of a segment, and samples of all records before that.
    pub(super) fn end_of(&self, index: usize) -> (u64, u64) {
        self.segments
            .get(index + 1)
            .map_or((self.next, self.samples_total), |next| {
                (next.first, next.samples_before)
            })
    }

    /// Whether all of `start..end` are done with or under way.
    pub(super) fn settled(&self, start: u64, end: u64) -> bool {
        let taken = self.taken.range(start..end.max(start)).count() as u64;
        self.done.count(start, end) + taken >= end.saturating_sub(start)
    }

    /// Records of a segment that are neither done with nor under way, and their samples.
    pub(super) fn left_in(&self, index: usize) -> (u64, u64) {
        let Some(segment) = self.segments.get(index) else {
            return (0, 0);
        };
        let (end, samples_at_end) = self.end_of(index);
        let all = end.saturating_sub(segment.first);
        let taken = self.taken.range(segment.first..end.max(segment.first)).count() as u64;
        let left = all.saturating_sub(self.done.count(segment.first, end) + taken);
        let samples_all = samples_at_end.saturating_sub(segment.samples_before);
        if left == 0 {
            return (0, 0);
        }
        if left == all {
            return (left, samples_all);
        }
        (left, self.samples_left(segment).unwrap_or(samples_all))
    }

    /// As [`Log::left_in`], by the marks of their contents.
    pub(super) fn left_by_mark(&self, index: usize) -> Vec<(u32, u64, u64)> {
        let (records, samples) = self.left_in(index);
        let Some(segment) = self.segments.get(index) else {
            return Vec::new();
        };
        let mut left = Ledger::default();
        if segment.mixed {
            // What cannot be looked at counts as the first of them.
            let _ = self.each_left(segment, |frame| {
                left.add(mark_of(frame.mark), 1, u64::from(frame.samples));
            });
        }
        let (records, samples) = (
            records.saturating_sub(left.records()),
            samples.saturating_sub(left.samples()),
        );
        left.add(segment.mark, records, samples);
        left.entries()
            .map(|entry| (entry.mark, entry.records, entry.samples))
            .collect()
    }

    /// Samples of the records of a segment that are neither done with nor under way, by looking.
    fn samples_left(&self, segment: &Segment) -> io::Result<u64> {
        let mut samples = 0;
        self.each_left(segment, |frame| samples += u64::from(frame.samples))?;
        Ok(samples)
    }

    /// Looks at the header of each record of a segment that is neither done with nor under way.
    pub(super) fn each_left(&self, segment: &Segment, mut look: impl FnMut(&Frame)) -> io::Result<()> {
        let file = self.disk.open(&segment::name(segment.first))?;
        let mut scanner = Scanner::new(segment.first, segment.header);
        let mut window = Window::for_headers();
        loop {
            match scanner.step(&*file, segment.len, &mut window, |_| false)? {
                Found::Record(frame, _) => {
                    if !self.done.contains(frame.number) && !self.taken.contains_key(&frame.number) {
                        look(&frame);
                    }
                }
                Found::Damage(_) => {}
                Found::End => return Ok(()),
            }
        }
    }

    /// What of `start..end` is neither done with nor under way was not there. `samples` are those of the whole range.
    pub(super) fn lose(&mut self, start: u64, end: u64, samples: Option<u64>) {
        let all = end.saturating_sub(start);
        let taken = self
            .taken
            .range(start..end.max(start))
            .map(|(_, taken)| u64::from(taken.samples));
        let (taken, taken_samples) = taken.fold((0, 0), |(count, sum), samples| (count + 1, sum + samples));
        let lost = all.saturating_sub(self.done.count(start, end) + taken);
        if lost == 0 {
            return;
        }
        // Those that are done with had their share.
        let samples = samples.unwrap_or(0).saturating_sub(taken_samples);
        let samples = samples
            .saturating_mul(lost)
            .checked_div(all.saturating_sub(taken))
            .unwrap_or(samples);
        self.counts.damaged += 1;
        self.counts.lost_records += lost;
        self.counts.lost_samples += samples;
        let segment = self.segments.get(self.place_of(start));
        self.ledger
            .remove(segment.map_or(UNSEEN, |segment| segment.mark), lost, samples);
        self.settle(start, end);
    }

    /// All of `start..end` that is not under way is done with.
    pub(super) fn settle(&mut self, start: u64, end: u64) {
        let mut from = start;
        for number in self.taken.range(start..end.max(start)).map(|(number, _)| *number) {
            self.done.insert(from, number);
            from = number + 1;
        }
        self.done.insert(from, end);
        self.cursor_behind = true;
        self.sweep(self.place_of(start));
    }

    /// Where the segment stands that a record belongs to.
    pub(super) fn place_of(&self, number: u64) -> usize {
        let found = self.segments.partition_point(|segment| segment.first <= number);
        found.saturating_sub(1)
    }

    /// Removes a segment if all of its records are done with. The one that grows stays.
    pub(super) fn sweep(&mut self, index: usize) {
        let Some(segment) = self.segments.get(index) else {
            return;
        };
        let (end, _) = self.end_of(index);
        let grows = self.writer.is_some() && index + 1 == self.segments.len();
        if grows || self.done.count(segment.first, end) < end.saturating_sub(segment.first) {
            return;
        }
        if index > 0 {
            // Otherwise a crash would make its records look lost.
            self.save_cursor_quietly();
        }
        self.remove(index);
    }

    pub(super) fn sweep_all(&mut self) {
        for index in (0..self.segments.len()).rev() {
            self.sweep(index);
        }
    }

    pub(super) fn remove(&mut self, index: usize) {
        if let Some(segment) = self.segments.remove(index) {
            self.bytes = self.bytes.saturating_sub(segment.len);
            // A file that is open keeps its place on the disk, and a reader stays where it is until there is more.
            for reader in [&mut self.fresh, &mut self.backlog] {
                reader.place.take_if(|place| place.segment == segment.first);
            }
            self.unsynced.retain(|(first, _)| *first != segment.first);
            // A file that stays is found at the next opening, and its records are known to be done with.
            let _ = self.disk.remove(&segment::name(segment.first));
            #[cfg(feature = "failpoints")]
            Failpoint::SegmentRemoved.reach();
        }
    }
}
