//! Reading records: selection of the next one.

use std::io;

use super::position::{Place, Reader};
use super::record::Stored;
use super::{InFlightRecord, Log, mark_of};
#[cfg(feature = "failpoints")]
use crate::failpoint::Failpoint;
use crate::spool::frame::Frame;
use crate::spool::options::Order;
use crate::spool::segment::{self, Found, Scanner};

impl Log {
    /// Reads the next record. It is in flight until [`Log::done`].
    ///
    /// Corrupt records are counted and skipped. Errors are transient, such as too many open files.
    pub fn take(&mut self) -> io::Result<Option<Stored>> {
        if self.options.order == Order::NewestFirst {
            let mut reader = std::mem::replace(&mut self.newest, Reader::at(0));
            let stored = self.read(&mut reader, self.next);
            self.newest = reader;
            if let Some(stored) = stored? {
                return Ok(Some(stored));
            }
        }
        let limit = match self.options.order {
            Order::NewestFirst => self.backlog_end,
            Order::Fifo => self.next,
        };
        let mut reader = std::mem::replace(&mut self.backlog, Reader::at(0));
        let stored = self.read(&mut reader, limit);
        self.backlog = reader;
        self.exhausted = matches!(stored, Ok(None));
        stored
    }

    /// Makes all records backlog: with [`Order::NewestFirst`] later records precede them.
    pub fn move_to_backlog(&mut self) {
        self.exhausted = false;
        self.backlog_end = self.next;
        self.newest.go_to(self.next);
        if self.options.order == Order::NewestFirst {
            self.backlog.go_to(self.done.low());
        }
    }

    fn read(&mut self, reader: &mut Reader, limit: u64) -> io::Result<Option<Stored>> {
        while reader.number < limit {
            let index = self.segment_index(reader.number);
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
            let (end, samples_at_end) = self.segment_end(index);
            let until = end.min(limit);
            let unsupported = !segment.mixed && !self.accepts(segment.mark);
            if unsupported || self.settled(reader.number, until) {
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
            let (done, in_flight, number) = (&self.done, &self.in_flight, reader.number);
            let wanted = |frame: &Frame| {
                (number..limit).contains(&frame.number)
                    && !done.contains(frame.number)
                    && !in_flight.contains_key(&frame.number)
            };
            let (frame, began) = match scanner.step(&*place.file, segment.len, &mut reader.window, wanted)? {
                Found::Record(frame, began) if frame.number < limit => (frame, began),
                // The records up to here are missing.
                Found::Record(..) | Found::End => {
                    let samples = (until == end)
                        .then(|| samples_at_end.checked_sub(reader.samples_before?))
                        .flatten();
                    self.lose(reader.number, until, samples);
                    reader.go_to(until);
                    continue;
                }
                Found::Corrupt(_) => {
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
            if self.done.contains(frame.number) || self.in_flight.contains_key(&frame.number) {
                continue;
            }
            if frame.time < self.expire_before {
                self.drop_record(frame.number, frame.samples, mark_of(frame.mark));
                continue;
            }
            let mark = mark_of(frame.mark);
            if !self.accepts(mark) {
                continue;
            }
            let payload = scanner.payload(&*place.file, &frame, began, segment.len, &mut reader.window)?;
            let payload = payload.to_vec();
            let samples = frame.samples;
            self.in_flight
                .insert(frame.number, InFlightRecord { samples, mark });
            self.ledger.add_in_flight(mark);
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
