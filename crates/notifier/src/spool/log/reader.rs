//! Reading: which record leaves next.

use std::io;

use super::record::Stored;
use super::{Log, Taken, mark_of};
#[cfg(feature = "failpoints")]
use crate::failpoint::Failpoint;
use crate::spool::disk::DiskFile;
use crate::spool::frame::Frame;
use crate::spool::options::Order;
use crate::spool::segment::{self, Found, Scanner, Window};

/// A place in the order of departures.
pub(super) struct Reader {
    /// The number of the record that it looks for.
    number: u64,
    /// Samples of all records before that one, where they are known.
    samples_before: Option<u64>,
    pub(super) place: Option<Place>,
    window: Window,
}

/// A place in a file.
pub(super) struct Place {
    pub(super) segment: u64,
    file: Box<dyn DiskFile>,
    offset: u64,
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

impl Log {
    /// Reads the record that leaves next. It counts as under way until [`Log::done`].
    ///
    /// Damaged records are counted and passed over. An error is one of the moment, such as too many open files.
    pub fn take(&mut self) -> io::Result<Option<Stored>> {
        if self.options.order == Order::NewestFirst {
            let mut reader = std::mem::replace(&mut self.fresh, Reader::at(0));
            let stored = self.read(&mut reader, self.next);
            self.fresh = reader;
            if let Some(stored) = stored? {
                return Ok(Some(stored));
            }
        }
        let limit = match self.options.order {
            Order::NewestFirst => self.split,
            Order::Fifo => self.next,
        };
        let mut reader = std::mem::replace(&mut self.backlog, Reader::at(0));
        let stored = self.read(&mut reader, limit);
        self.backlog = reader;
        self.exhausted = matches!(stored, Ok(None));
        stored
    }

    /// Everything that was appended so far is backlog: what comes now goes before it, if fresh records go first.
    pub fn turn_over(&mut self) {
        self.exhausted = false;
        self.split = self.next;
        self.fresh.go_to(self.next);
        if self.options.order == Order::NewestFirst {
            self.backlog.go_to(self.done.low());
        }
    }

    fn read(&mut self, reader: &mut Reader, limit: u64) -> io::Result<Option<Stored>> {
        while reader.number < limit {
            let index = self.place_of(reader.number);
            let Some(segment) = self.segments.get(index).copied() else {
                self.lose(reader.number, limit, None);
                reader.go_to(limit);
                break;
            };
            if reader.number < segment.first {
                let until = segment.first.min(limit);
                self.lose(reader.number, until, None);
                reader.go_to(until);
                continue;
            }
            let (end, samples_at_end) = self.end_of(index);
            let until = end.min(limit);
            let kept = !segment.mixed && !self.takes(segment.mark);
            if kept || self.settled(reader.number, until) {
                reader.go_to(until);
                continue;
            }
            if reader
                .place
                .as_ref()
                .is_none_or(|place| place.segment != segment.first)
            {
                match self.disk.open(&segment::name(segment.first)) {
                    Ok(file) => {
                        reader.window.clear();
                        reader.place = Some(Place {
                            segment: segment.first,
                            file,
                            offset: segment.header,
                        });
                        if reader.number == segment.first {
                            reader.samples_before = Some(segment.samples_before);
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        self.lose(reader.number, until, None);
                        reader.go_to(until);
                        continue;
                    }
                    Err(error) => return Err(error),
                }
            }
            let Some(place) = &mut reader.place else { break };
            let mut scanner = Scanner::new(segment.first, place.offset);
            let (done, taken, number) = (&self.done, &self.taken, reader.number);
            let wanted = |frame: &Frame| {
                (number..limit).contains(&frame.number)
                    && !done.contains(frame.number)
                    && !taken.contains_key(&frame.number)
            };
            let (frame, began) = match scanner.step(&*place.file, segment.len, &mut reader.window, wanted)? {
                Found::Record(frame, began) if frame.number < limit => (frame, began),
                // Those that it looked for are not there.
                Found::Record(..) | Found::End => {
                    let samples = (until == end)
                        .then(|| samples_at_end.checked_sub(reader.samples_before?))
                        .flatten();
                    self.lose(reader.number, until, samples);
                    reader.go_to(until);
                    continue;
                }
                Found::Damage(_) => {
                    place.offset = scanner.offset;
                    continue;
                }
            };
            place.offset = scanner.offset;
            if frame.number < reader.number {
                if frame.number + 1 == reader.number {
                    reader.samples_before = Some(frame.samples_before + u64::from(frame.samples));
                }
                continue;
            }
            let between = reader
                .samples_before
                .and_then(|before| frame.samples_before.checked_sub(before));
            self.lose(reader.number, frame.number, between);
            reader.number = frame.number + 1;
            reader.samples_before = Some(frame.samples_before + u64::from(frame.samples));
            if self.done.contains(frame.number) || self.taken.contains_key(&frame.number) {
                continue;
            }
            if frame.time < self.horizon {
                self.drop_record(frame.number, frame.samples, mark_of(frame.mark));
                continue;
            }
            let mark = mark_of(frame.mark);
            if !self.takes(mark) {
                continue;
            }
            let payload = scanner.payload(&*place.file, &frame, began, segment.len, &mut reader.window)?;
            let payload = payload.to_vec();
            let samples = frame.samples;
            self.taken.insert(frame.number, Taken { samples, mark });
            self.ledger.take(mark);
            #[cfg(feature = "failpoints")]
            Failpoint::RecordRead.reach();
            return Ok(Some(Stored {
                number: frame.number,
                contents: self.contents(mark),
                samples,
                time: frame.time,
                payload,
            }));
        }
        Ok(None)
    }
}
