//! Selection of the records to read: those that the publisher accepts. Other records stay until a publisher accepts them or they
//! reach a limit.

use super::{InFlightRecord, Log, StoredContents, UNKNOWN_MARK};
use crate::spool::contents::{AcceptedContents, Contents};

impl Log {
    /// Restricts reading to records with accepted contents. The in-flight records in `returned` are read again if they are
    /// accepted.
    pub fn set_accepted(&mut self, accepts: &AcceptedContents, returned: &[u64]) {
        for number in returned {
            if let Some(record) = self.in_flight.remove(number) {
                self.return_unfinished(*number, record);
            }
        }
        self.accepted_marks = match accepts {
            AcceptedContents::All => None,
            AcceptedContents::Only(contents) => {
                // Registered, so that a segment with a corrupt header is identified, too.
                Some(
                    contents
                        .iter()
                        .map(|contents| self.marks.register(contents))
                        .collect(),
                )
            }
        };
        self.read_again();
    }

    /// The amount of each kind of contents.
    pub fn stored_contents(&self) -> Vec<StoredContents> {
        let contents = self.ledger.entries().map(|entry| StoredContents {
            contents: self.marks.contents(entry.mark),
            batches: entry.records,
            samples: entry.samples,
            unsupported: !self.accepts(entry.mark),
        });
        contents.collect()
    }

    /// Whether the log holds records with unsupported contents.
    pub(in crate::spool) fn has_unsupported(&self) -> bool {
        self.ledger.entries().any(|entry| !self.accepts(entry.mark))
    }

    /// The contents for a mark.
    pub(super) fn contents(&self, mark: u32) -> Contents {
        self.marks.contents(mark)
    }

    /// Whether records with these contents are read.
    pub(super) fn accepts(&self, mark: u32) -> bool {
        mark == UNKNOWN_MARK
            || self
                .accepted_marks
                .as_ref()
                .is_none_or(|accepted| accepted.contains(&mark))
    }

    /// Reads all records that are neither completed nor in flight again.
    pub(super) fn read_again(&mut self) {
        self.move_to_backlog();
        self.backlog.go_to(self.done.low());
    }

    /// The number of records that can be read.
    pub(super) fn unread(&self) -> u64 {
        if self.exhausted {
            return 0;
        }
        let accepted = self.ledger.entries().filter(|entry| self.accepts(entry.mark));
        accepted
            .map(|entry| entry.records.saturating_sub(entry.in_flight))
            .sum()
    }

    /// The number of the first record that is neither completed nor unsupported.
    pub(super) fn low(&self) -> u64 {
        let mut low = self.done.low();
        if !self.has_unsupported() {
            return low;
        }
        for (index, segment) in self.segments.iter().enumerate() {
            let (end, _) = self.segment_end(index);
            if segment.mixed || self.accepts(segment.mark) {
                low = self.done.next_missing(low.max(segment.first));
                if low < end {
                    return low;
                }
            }
            low = low.max(end);
        }
        self.next
    }

    /// Returns an in-flight record to the log.
    pub(super) fn return_unfinished(&mut self, number: u64, record: InFlightRecord) {
        let InFlightRecord { samples, mark } = record;
        self.ledger.remove_in_flight(mark);
        // A limit dropped its segment while it was in flight.
        if self.segments.front().is_none_or(|segment| number < segment.first) {
            self.drop_record(number, samples, mark);
        }
    }
}
