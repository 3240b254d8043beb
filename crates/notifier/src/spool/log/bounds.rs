//! What goes at the bounds of size and age, and by hand.

use std::io;

use super::{Log, Segment};

impl Log {
    /// Drops what is older than `max_age` at `now` (milliseconds since 1970 UTC): whole segments at once, the rest when it is come
    /// to.
    pub fn expire(&mut self, now: i64) {
        // It follows a clock that is set back: what comes then is not old.
        self.horizon = self.options.max_age.map_or(i64::MIN, |age| {
            now.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX))
        });
        self.drop_segments_older_than(self.horizon);
    }

    /// Drops every record that was made before `time` (milliseconds since 1970 UTC) and is not under way.
    ///
    /// Reads the headers of records in segments that are old in part. An error is one of the moment; what could not be read stays.
    pub fn drop_older_than(&mut self, time: i64) -> io::Result<()> {
        self.drop_segments_older_than(time);
        let begin_before = |segment: &&Segment| segment.time < time;
        let partly_old: Vec<Segment> = self.segments.iter().take_while(begin_before).copied().collect();
        for segment in partly_old {
            let mut old = Vec::new();
            self.each_left(&segment, |frame| {
                if frame.time < time {
                    old.push((frame.number, frame.samples));
                }
            })?;
            for (number, samples) in old {
                self.drop_numbers(number, number + 1, u64::from(samples));
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

    /// Removes the oldest segment with whatever is in it; false if there is none.
    pub(super) fn drop_oldest(&mut self) -> bool {
        let Some(front) = self.segments.front().copied() else {
            return false;
        };
        let (records, samples) = self.left_in(0);
        let (end, _) = self.end_of(0);
        if self.segments.len() == 1 {
            self.writer = None;
            self.writer_unsynced = false;
        }
        self.counts.dropped_records += records;
        self.counts.dropped_samples += samples;
        self.queued_records = self.queued_records.saturating_sub(records);
        self.queued_samples = self.queued_samples.saturating_sub(samples);
        self.settle(front.first, end);
        // Also when some of it is still under way.
        if self
            .segments
            .front()
            .is_some_and(|segment| segment.first == front.first)
        {
            self.remove(0);
        }
        true
    }

    /// Records were dropped.
    pub(super) fn drop_numbers(&mut self, start: u64, end: u64, samples: u64) {
        self.counts.dropped_records += end - start;
        self.counts.dropped_samples += samples;
        self.queued_records = self.queued_records.saturating_sub(end - start);
        self.queued_samples = self.queued_samples.saturating_sub(samples);
        self.settle(start, end);
    }
}
