//! Which records are read: those that the publisher takes. The others are kept, until a publisher comes that takes them or they go at
//! a bound.

use super::{Held, Log, Taken, UNSEEN};
use crate::spool::contents::{Contents, Takes};

impl Log {
    /// From now on only records are read that are taken. The records under way that are named in `returned` are read again if they are
    /// among them.
    pub fn serve(&mut self, takes: &Takes, returned: &[u64]) {
        for number in returned {
            if let Some(taken) = self.taken.remove(number) {
                self.give_back(*number, taken);
            }
        }
        self.takes = match takes {
            Takes::All => None,
            Takes::Only(contents) => {
                // A segment whose header is damaged is recognised, too.
                Some(
                    contents
                        .iter()
                        .map(|contents| self.marks.learn(contents))
                        .collect(),
                )
            }
        };
        self.read_again();
    }

    /// What it holds, by contents.
    pub fn held(&self) -> Vec<Held> {
        let held = self.ledger.entries().map(|entry| Held {
            contents: self.marks.contents(entry.mark),
            batches: entry.records,
            samples: entry.samples,
            kept: !self.takes(entry.mark),
        });
        held.collect()
    }

    /// Whether it holds records that are not read.
    pub(in crate::spool) fn keeps(&self) -> bool {
        self.ledger.entries().any(|entry| !self.takes(entry.mark))
    }

    /// What a mark stands for.
    pub(super) fn contents(&self, mark: u32) -> Contents {
        self.marks.contents(mark)
    }

    /// Whether records of these contents are read.
    pub(super) fn takes(&self, mark: u32) -> bool {
        mark == UNSEEN || self.takes.as_ref().is_none_or(|takes| takes.contains(&mark))
    }

    /// Everything that is neither done with nor under way is read once more.
    pub(super) fn read_again(&mut self) {
        self.turn_over();
        self.backlog.go_to(self.done.low());
    }

    /// How many records can be read.
    pub(super) fn unread(&self) -> u64 {
        if self.exhausted {
            return 0;
        }
        let taken = self.ledger.entries().filter(|entry| self.takes(entry.mark));
        taken.map(|entry| entry.records.saturating_sub(entry.taken)).sum()
    }

    /// The number of the first record that is neither done with nor kept.
    pub(super) fn low(&self) -> u64 {
        let mut low = self.done.low();
        if !self.keeps() {
            return low;
        }
        for (index, segment) in self.segments.iter().enumerate() {
            let (end, _) = self.end_of(index);
            if segment.mixed || self.takes(segment.mark) {
                low = self.done.next_missing(low.max(segment.first));
                if low < end {
                    return low;
                }
            }
            low = low.max(end);
        }
        self.next
    }

    /// A record is no longer under way, and not done with either.
    pub(super) fn give_back(&mut self, number: u64, taken: Taken) {
        let Taken { samples, mark } = taken;
        self.ledger.land(mark);
        // Dropped at a bound while it was under way: there is no further chance.
        if self.segments.front().is_none_or(|segment| number < segment.first) {
            self.drop_record(number, samples, mark);
        }
    }
}
