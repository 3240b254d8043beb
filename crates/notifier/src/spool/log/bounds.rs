//! Dropping records: at the limits of size and age, and manually.

use std::io;

use super::{Log, Segment, mark_of};

impl Log {
    /// Drops records older than `max_age` at `now` (milliseconds since 1970 UTC): whole segments immediately, other records when
    /// they are read.
    pub fn expire(&mut self, now: i64) {
        // Follows a clock that is set back: later records are not old.
        self.expire_before = self.options.max_age.map_or(i64::MIN, |age| {
            now.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX))
        });
        self.drop_segments_older_than(self.expire_before);
    }

    /// Drops all records from before `time` (milliseconds since 1970 UTC) that are not in flight.
    ///
    /// Reads the record headers of segments that are old in part. Errors are transient; unread records stay.
    pub fn drop_older_than(&mut self, time: i64) -> io::Result<()> {
        self.drop_segments_older_than(time);
        let begin_before = |segment: &&Segment| segment.time < time;
        let partly_old: Vec<Segment> = self.segments.iter().take_while(begin_before).copied().collect();
        for segment in partly_old {
            let mut old = Vec::new();
            self.for_each_remaining(&segment, |frame| {
                if frame.time < time {
                    old.push((frame.number, frame.samples, mark_of(frame.mark)));
                }
            })?;
            for (number, samples, mark) in old {
                self.drop_record(number, samples, mark);
            }
        }
        Ok(())
    }

    fn drop_segments_older_than(&mut self, time: i64) {
        while let Some(front) = self.segments.front() {
            let newest = match self.segments.get(1) {
                Some(next) => next.time.max(front.time),
                None => self.last_time,
            };
            if newest >= time || !self.drop_oldest() {
                break;
            }
        }
    }

    /// Removes the oldest segment with all its records; returns false if there is none.
    pub(super) fn drop_oldest(&mut self) -> bool {
        let Some(front) = self.segments.front().copied() else {
            return false;
        };
        let left = self.remaining_by_mark(0);
        let (end, _) = self.segment_end(0);
        if self.segments.len() == 1 {
            self.writer = None;
            self.writer_unsynced = false;
        }
        for (mark, records, samples) in left {
            self.counts.dropped_records += records;
            self.counts.dropped_samples += samples;
            self.ledger.remove(mark, records, samples);
        }
        self.settle(front.first, end);
        // Also if some of its records are still in flight.
        if self
            .segments
            .front()
            .is_some_and(|segment| segment.first == front.first)
        {
            self.remove(0);
        }
        true
    }

    /// Drops a record.
    pub(super) fn drop_record(&mut self, number: u64, samples: u32, mark: u32) {
        self.counts.dropped_records += 1;
        self.counts.dropped_samples += u64::from(samples);
        self.ledger.remove(mark, 1, u64::from(samples));
        self.settle(number, number + 1);
    }
}
