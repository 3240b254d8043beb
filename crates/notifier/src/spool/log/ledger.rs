//! The amount of each kind of contents in a log.

/// Records of the same contents that are not completed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    /// The mark of their contents.
    pub(super) mark: u32,
    pub(super) records: u64,
    pub(super) samples: u64,
    /// The number of these records that are in flight.
    pub(super) in_flight: u64,
}

/// Records that are not completed, including those in flight, by the mark of their contents.
#[derive(Debug, Default)]
pub(super) struct Ledger(Vec<Entry>);

impl Ledger {
    pub(super) fn records(&self) -> u64 {
        self.0.iter().map(|entry| entry.records).sum()
    }

    pub(super) fn samples(&self) -> u64 {
        self.0.iter().map(|entry| entry.samples).sum()
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.0.iter().filter(|entry| entry.records > 0)
    }

    fn entry(&mut self, mark: u32) -> Option<&mut Entry> {
        self.0.iter_mut().find(|entry| entry.mark == mark)
    }

    /// Adds records.
    pub(super) fn add(&mut self, mark: u32, records: u64, samples: u64) {
        match self.entry(mark) {
            Some(entry) => {
                entry.records += records;
                entry.samples += samples;
            }
            None => self.0.push(Entry {
                mark,
                records,
                samples,
                in_flight: 0,
            }),
        }
    }

    /// Removes completed records. If these contents have fewer records, the rest is removed from others: in a corrupt segment of
    /// format 1 the contents of a record are unknown.
    pub(super) fn remove(&mut self, mark: u32, mut records: u64, mut samples: u64) {
        let first = self.0.iter().position(|entry| entry.mark == mark);
        let others = (0..self.0.len()).filter(|place| Some(*place) != first);
        for place in first.into_iter().chain(others) {
            if records == 0 {
                return;
            }
            let Some(entry) = self.0.get_mut(place) else {
                return;
            };
            let gone = entry.records.min(records);
            records -= gone;
            entry.records -= gone;
            let gone = entry.samples.min(samples);
            samples -= gone;
            entry.samples -= gone;
            if entry.records == 0 {
                // Without records there are no samples, even if the count was inexact.
                entry.samples = 0;
            }
        }
    }

    /// Counts a record as in flight.
    pub(super) fn add_in_flight(&mut self, mark: u32) {
        if let Some(entry) = self.entry(mark) {
            entry.in_flight += 1;
        }
    }

    /// Counts a record as no longer in flight.
    pub(super) fn remove_in_flight(&mut self, mark: u32) {
        if let Some(entry) = self.entry(mark) {
            entry.in_flight = entry.in_flight.saturating_sub(1);
        }
    }
}
