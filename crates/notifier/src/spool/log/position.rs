//! Positions of reading in the log.

use crate::spool::disk::DiskFile;
use crate::spool::segment::Window;

/// A reading position in the order of records.
pub(super) struct Reader {
    /// The number of the next record.
    pub(super) number: u64,
    /// The number of samples in all records before it, if it is known.
    pub(super) samples_before: Option<u64>,
    pub(super) place: Option<Place>,
    pub(super) window: Window,
}

/// A position in a segment file.
pub(super) struct Place {
    pub(super) segment: u64,
    pub(super) file: Box<dyn DiskFile>,
    pub(super) offset: u64,
}

impl Reader {
    pub(super) fn at(number: u64) -> Self {
        Self {
            number,
            samples_before: None,
            place: None,
            window: Window::default(),
        }
    }

    pub(super) fn go_to(&mut self, number: u64) {
        self.number = number;
        self.samples_before = None;
        self.place = None;
        self.window.clear();
    }
}
