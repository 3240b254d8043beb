//! The growing end of the log: appending records and making them durable.

use std::io;

use super::record::Record;
use super::{Log, MAX_UNSYNCED, Segment};
#[cfg(feature = "failpoints")]
use crate::failpoint::Failpoint;
use crate::spool::bytes::checksum;
use crate::spool::contents::Contents;
use crate::spool::disk::write_all;
use crate::spool::error::AppendError;
use crate::spool::frame::{FRAME_LEN, Frame, MAX_PAYLOAD};
use crate::spool::segment::{self, HEADER_LEN, Header};

impl Log {
    /// Appends a record; returns its number.
    ///
    /// Drops the oldest segments to stay below `max_bytes`.
    pub fn append(&mut self, record: Record<'_>) -> Result<u64, AppendError> {
        let whole = (FRAME_LEN + record.payload.len()) as u64;
        let too_large = AppendError::TooLarge {
            bytes: record.payload.len(),
        };
        if record.payload.len() > MAX_PAYLOAD || whole + HEADER_LEN > self.options.max_bytes() {
            return Err(too_large);
        }
        let length = u32::try_from(record.payload.len()).map_err(|_| too_large)?;
        if !record.contents.encoding.is_valid() {
            let encoding = record.contents.encoding.clone();
            return Err(AppendError::Encoding { encoding });
        }
        let mark = self.marks.register(record.contents);
        let full = self.segments.back().is_some_and(|segment| {
            segment.len > segment.header && segment.len + whole > self.options.segment_bytes()
        });
        // All records of a segment have the same contents.
        let other = self.segments.back().is_some_and(|segment| segment.mark != mark);
        if full || (other && self.writer.is_some()) {
            self.finish_segment();
        }
        while self.bytes + whole + HEADER_LEN > self.options.max_bytes() && self.drop_oldest() {}
        if self.writer.is_none() {
            self.begin_segment(record.time, record.contents)
                .map_err(AppendError::from_io)?;
        }
        let (Some(file), Some(segment)) = (&self.writer, self.segments.back_mut()) else {
            return Err(AppendError::Io(io::Error::other("there is no segment")));
        };
        let frame = Frame {
            number: self.next,
            samples_before: self.samples_total,
            time: record.time,
            samples: record.samples,
            length,
            mark,
            payload_checksum: checksum(&[record.payload]),
        };
        self.buffer.clear();
        frame.write(segment.first, segment.len, &mut self.buffer);
        self.buffer.extend_from_slice(record.payload);
        #[cfg(feature = "failpoints")]
        Failpoint::RecordHalf.reach_after(|| {
            let half = self.buffer.len() / 2;
            let _ = write_all(&**file, self.buffer.get(..half).unwrap_or_default(), segment.len);
        });
        let written = write_all(&**file, &self.buffer, segment.len);
        #[cfg(feature = "failpoints")]
        Failpoint::RecordWritten.reach();
        // Frees the memory of a large record.
        self.buffer.shrink_to(1 << 20);
        if let Err(error) = written {
            if file.set_length(segment.len).is_err() {
                // The bytes after the end are not a record; nothing must be appended after them.
                self.writer = None;
            }
            // A finished segment frees its space when its records are completed, a growing one does not. On a full disk this
            // may be the only space to become free.
            self.finish_segment();
            return Err(AppendError::from_io(error));
        }
        self.writer_unsynced = true;
        segment.len += whole;
        self.bytes += whole;
        self.next += 1;
        self.samples_total += u64::from(record.samples);
        self.last_time = self.last_time.max(record.time);
        self.ledger.add(mark, 1, u64::from(record.samples));
        self.exhausted = false;
        Ok(frame.number)
    }

    fn begin_segment(&mut self, time: i64, contents: &Contents) -> io::Result<()> {
        let (first, samples_before) = (self.next, self.samples_total);
        let header = Header::bytes(first, samples_before, time, contents);
        let name = segment::name(self.next);
        let file = match self.disk.create(&name) {
            // Left by a failed append: no record in it has a number.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.disk.remove(&name)?;
                self.disk.create(&name)?
            }
            other => other?,
        };
        #[cfg(feature = "failpoints")]
        Failpoint::SegmentMade.reach();
        // A last segment without a record has the same name: it is the one that was removed.
        if let Some(segment) = self.segments.pop_back_if(|segment| segment.first == first) {
            self.bytes -= segment.len;
        }
        if let Err(error) = write_all(&*file, &header, 0) {
            let _ = self.disk.remove(&name);
            return Err(error);
        }
        self.segments.push_back(Segment {
            first,
            samples_before,
            time,
            len: HEADER_LEN,
            header: HEADER_LEN,
            mark: contents.mark(),
            mixed: false,
        });
        self.bytes += HEADER_LEN;
        self.writer = Some(file);
        self.writer_unsynced = true;
        self.names_unsynced = true;
        Ok(())
    }

    /// Finishes the growing segment; the next record begins a new one.
    pub(super) fn finish_segment(&mut self) {
        #[cfg(feature = "failpoints")]
        Failpoint::SegmentFinished.reach();
        if let Some(file) = self.writer.take()
            && std::mem::take(&mut self.writer_unsynced)
            && self.options.durable
            && let Some(segment) = self.segments.back()
        {
            self.unsynced.push((segment.first, file));
        }
        if let Some(index) = self.segments.len().checked_sub(1) {
            self.sweep(index);
        }
        if self.unsynced.len() >= MAX_UNSYNCED {
            // The next call of `sync` reports the error.
            self.sync_failed = self.sync().err();
        }
    }

    /// Makes all appended records durable.
    ///
    /// After an error, a power failure may lose any record appended since the last success, and another sync does not change
    /// that. The records can still be read.
    pub fn sync(&mut self) -> io::Result<()> {
        let mut result = self.sync_failed.take().map_or(Ok(()), Err);
        if std::mem::take(&mut self.writer_unsynced)
            && let Some(file) = &self.writer
            && let Err(error) = file.sync()
        {
            // The kernel has discarded what it could not write: nothing must be appended after it.
            self.writer = None;
            result = Err(error);
        }
        for (_, file) in std::mem::take(&mut self.unsynced) {
            result = file.sync().and(result);
        }
        if self.names_unsynced {
            let synced = self.disk.sync();
            self.names_unsynced = synced.is_err();
            result = result.and(synced);
        }
        result
    }
}
