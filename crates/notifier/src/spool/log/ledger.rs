//! How much of each kind of contents a log holds.

/// Records of the same contents that are not done with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    /// The mark of their contents.
    pub(super) mark: u32,
    pub(super) records: u64,
    pub(super) samples: u64,
    /// How many of them are under way.
    pub(super) taken: u64,
}

/// Records that are not done with, those under way included, by the mark of their contents.
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

    /// Records have come.
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
                taken: 0,
            }),
        }
    }

    /// Records are done with. What these contents do not have of them goes from the others: in a segment of format 1 that is damaged,
    /// nobody knows which they were.
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
                // What could not be counted is not there either.
                entry.samples = 0;
            }
        }
    }

    /// A record is under way.
    pub(super) fn take(&mut self, mark: u32) {
        if let Some(entry) = self.entry(mark) {
            entry.taken += 1;
        }
    }

    /// A record is no longer under way.
    pub(super) fn land(&mut self, mark: u32) {
        if let Some(entry) = self.entry(mark) {
            entry.taken = entry.taken.saturating_sub(1);
        }
    }
}
