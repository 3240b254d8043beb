//! Bookkeeping: existing and completed records, and files to remove.

use std::io;

use super::{Ledger, Log, Segment, UNKNOWN_MARK, mark_of};
#[cfg(feature = "failpoints")]
use crate::failpoint::Failpoint;
use crate::spool::frame::Frame;
use crate::spool::segment::{self, Found, Scanner, Window};

impl Log {
    /// Returns the number after the last record of a segment, and the number of samples in all records before that.
    pub(super) fn segment_end(&self, index: usize) -> (u64, u64) {
        self.segments
            .get(index + 1)
            .map_or((self.next, self.samples_total), |next| {
                (next.first, next.samples_before)
            })
    }

    /// Whether all records of `start..end` are completed or in flight.
    pub(super) fn settled(&self, start: u64, end: u64) -> bool {
        let in_flight = self.in_flight.range(start..end.max(start)).count() as u64;
        self.done.count(start, end) + in_flight >= end.saturating_sub(start)
    }

    /// Counts the records of a segment that are neither completed nor in flight, and their samples.
    pub(super) fn remaining_in(&self, index: usize) -> (u64, u64) {
        let Some(segment) = self.segments.get(index) else {
            return (0, 0);
        };
        let (end, samples_at_end) = self.segment_end(index);
        let all = end.saturating_sub(segment.first);
        let in_flight = self
            .in_flight
            .range(segment.first..end.max(segment.first))
            .count() as u64;
        let left = all.saturating_sub(self.done.count(segment.first, end) + in_flight);
        let samples_all = samples_at_end.saturating_sub(segment.samples_before);
        if left == 0 {
            return (0, 0);
        }
        if left == all {
            return (left, samples_all);
        }
        (left, self.remaining_samples(segment).unwrap_or(samples_all))
    }

    /// As [`Log::remaining_in`], by the marks of their contents.
    pub(super) fn remaining_by_mark(&self, index: usize) -> Vec<(u32, u64, u64)> {
        let (records, samples) = self.remaining_in(index);
        let Some(segment) = self.segments.get(index) else {
            return Vec::new();
        };
        let mut left = Ledger::default();
        if segment.mixed {
            // Records that cannot be read count as the segment's first contents.
            let _ = self.for_each_remaining(segment, |frame| {
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

    /// Counts the samples of the remaining records of a segment by reading their headers.
    fn remaining_samples(&self, segment: &Segment) -> io::Result<u64> {
        let mut samples = 0;
        self.for_each_remaining(segment, |frame| samples += u64::from(frame.samples))?;
        Ok(samples)
    }

    /// Reads the header of each record of a segment that is neither completed nor in flight.
    pub(super) fn for_each_remaining(
        &self,
        segment: &Segment,
        mut look: impl FnMut(&Frame),
    ) -> io::Result<()> {
        let file = self.disk.open(&segment::name(segment.first))?;
        let mut scanner = Scanner::new(segment.first, segment.header);
        let mut window = Window::for_headers();
        loop {
            match scanner.step(&*file, segment.len, &mut window, |_| false)? {
                Found::Record(frame, _) => {
                    if !self.done.contains(frame.number) && !self.in_flight.contains_key(&frame.number) {
                        look(&frame);
                    }
                }
                Found::Corrupt(_) => {}
                Found::End => return Ok(()),
            }
        }
    }

    /// Counts the records of `start..end` that are neither completed nor in flight as lost. `samples` covers the whole range.
    pub(super) fn lose(&mut self, start: u64, end: u64, samples: Option<u64>) {
        let all = end.saturating_sub(start);
        let in_flight = self
            .in_flight
            .range(start..end.max(start))
            .map(|(_, record)| u64::from(record.samples));
        let (in_flight, in_flight_samples) =
            in_flight.fold((0, 0), |(count, sum), samples| (count + 1, sum + samples));
        let lost = all.saturating_sub(self.done.count(start, end) + in_flight);
        if lost == 0 {
            return;
        }
        // Completed records had their share of the samples.
        let samples = samples.unwrap_or(0).saturating_sub(in_flight_samples);
        let samples = samples
            .saturating_mul(lost)
            .checked_div(all.saturating_sub(in_flight))
            .unwrap_or(samples);
        self.counts.corrupt += 1;
        self.counts.lost_records += lost;
        self.counts.lost_samples += samples;
        let segment = self.segments.get(self.segment_index(start));
        self.ledger.remove(
            segment.map_or(UNKNOWN_MARK, |segment| segment.mark),
            lost,
            samples,
        );
        self.settle(start, end);
    }

    /// Completes all records of `start..end` that are not in flight.
    pub(super) fn settle(&mut self, start: u64, end: u64) {
        let mut from = start;
        for number in self
            .in_flight
            .range(start..end.max(start))
            .map(|(number, _)| *number)
        {
            self.done.insert(from, number);
            from = number + 1;
        }
        self.done.insert(from, end);
        self.cursor_outdated = true;
        self.sweep(self.segment_index(start));
    }

    /// Returns the index of the segment of a record.
    pub(super) fn segment_index(&self, number: u64) -> usize {
        let found = self.segments.partition_point(|segment| segment.first <= number);
        found.saturating_sub(1)
    }

    /// Removes a segment if all its records are completed. The segment that still grows stays.
    pub(super) fn sweep(&mut self, index: usize) {
        let Some(segment) = self.segments.get(index) else {
            return;
        };
        let (end, _) = self.segment_end(index);
        let grows = self.writer.is_some() && index + 1 == self.segments.len();
        if grows || self.done.count(segment.first, end) < end.saturating_sub(segment.first) {
            return;
        }
        if index > 0 {
            // Otherwise a crash would make its records appear as lost.
            self.try_save_cursor();
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
            // An open file occupies its space until it is closed.
            for reader in [&mut self.newest, &mut self.backlog] {
                reader.place.take_if(|place| place.segment == segment.first);
            }
            self.unsynced.retain(|(first, _)| *first != segment.first);
            // If this fails, the next opening finds the file and its records as completed.
            let _ = self.disk.remove(&segment::name(segment.first));
            #[cfg(feature = "failpoints")]
            Failpoint::SegmentRemoved.reach();
        }
    }
}
