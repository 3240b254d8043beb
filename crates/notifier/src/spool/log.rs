//! The queue on disk: records are appended at one end, read from the other, and done with in any order.
//!
//! Segments are named after their first record, and numbers only grow: files that a crash brings back cannot pass
//! for newer ones. Memory holds a few dozen bytes for each segment and the ranges of numbers that are done with.

use std::collections::{BTreeMap, VecDeque};
use std::io;

use super::bytes::checksum;
use super::cursor::{self, Cursor, CursorError};
use super::disk::{Disk, DiskFile, write_all};
use super::error::{AppendError, OpenError};
use super::frame::{FRAME_LEN, Frame, MAX_PAYLOAD};
use super::options::{LogOptions, Order};
use super::ranges::Ranges;
use super::segment::{self, FORMAT_VERSION, Found, HEADER_LEN, Header, HeaderRead, Scanner, Window};
#[cfg(feature = "failpoints")]
use crate::failpoint::Failpoint;

/// How many finished segments may wait for a sync; the next one waits for them.
const MAX_UNSYNCED: usize = 16;

/// A record to be appended.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// The form of its payload; not looked at here.
    pub form: u8,
    /// How many samples it stands for.
    pub samples: u32,
    /// When it was made, milliseconds since 1970 UTC.
    pub time: i64,
    /// What it is.
    pub payload: &'a [u8],
}

/// A record that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// What [`Log::done`] knows it by.
    pub number: u64,
    /// As it was appended.
    pub form: u8,
    /// How many samples it stands for.
    pub samples: u32,
    /// When it was made, milliseconds since 1970 UTC.
    pub time: i64,
    /// As it was appended.
    pub payload: Vec<u8>,
}

/// What happened to records since the log was opened.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct LogCounts {
    /// Records that went at the bounds of size or age, or were dropped by hand.
    pub dropped_records: u64,
    /// Samples of these records.
    pub dropped_samples: u64,
    /// Records that were damaged or missing.
    pub lost_records: u64,
    /// Samples of these records.
    pub lost_samples: u64,
    /// Places at which records were damaged or missing.
    pub damaged: u64,
    /// Ends of the log that were cut off when it was opened, since no record stood there.
    pub torn: u64,
    /// Bytes of these ends.
    pub torn_bytes: u64,
}

/// What is in a log at one moment.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct LogStatus {
    /// Bytes of all segments.
    pub bytes: u64,
    /// Records that are not done with, those under way included.
    pub records: u64,
    /// Samples of these records.
    pub samples: u64,
    /// Records that nobody has read yet.
    pub unread: u64,
    /// About when the oldest of them was made, milliseconds since 1970 UTC.
    pub oldest: Option<i64>,
    /// How many files it has.
    pub segments: usize,
    /// Every record with a smaller number is done with.
    pub low: u64,
    /// The number of the next record.
    pub next: u64,
}

/// A bounded queue of records in a folder.
pub struct Log<D: Disk> {
    disk: D,
    options: LogOptions,
    segments: VecDeque<Segment>,
    /// The file of the last segment, if it may grow.
    writer: Option<D::File>,
    writer_unsynced: bool,
    /// Finished, not yet synced: the numbers of segments and their files.
    unsynced: Vec<(u64, D::File)>,
    names_unsynced: bool,
    /// A sync that nobody has been told of yet.
    sync_failed: Option<io::Error>,
    cursor: Option<Cursor<D::File>>,
    /// Whether the cursor's file says less than is known.
    cursor_behind: bool,
    /// The number of the next record.
    next: u64,
    /// Samples of all records so far.
    samples_total: u64,
    last_time: i64,
    done: Ranges,
    /// Records that were read and are not done with, and their samples.
    taken: BTreeMap<u64, u32>,
    fresh: Reader<D::File>,
    backlog: Reader<D::File>,
    /// What comes before is backlog.
    split: u64,
    /// Records from before are too old.
    horizon: i64,
    queued_records: u64,
    queued_samples: u64,
    bytes: u64,
    counts: LogCounts,
    buffer: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Segment {
    first: u64,
    samples_before: u64,
    time: i64,
    len: u64,
}

#[derive(Debug)]
struct Reader<F> {
    /// The number of the record that it looks for.
    number: u64,
    /// Samples of all records before that one, where they are known.
    samples_before: Option<u64>,
    place: Option<Place<F>>,
    window: Window,
}

#[derive(Debug)]
struct Place<F> {
    segment: u64,
    file: F,
    offset: u64,
}

impl<F> Reader<F> {
    fn at(number: u64) -> Self {
        Self {
            number,
            samples_before: None,
            place: None,
            window: Window::default(),
        }
    }

    fn go_to(&mut self, number: u64) {
        self.number = number;
        self.samples_before = None;
        self.place = None;
        self.window.clear();
    }
}

impl<D: Disk> Log<D> {
    /// Opens what is in the folder, or begins.
    ///
    /// Whatever a crash has left, it opens: what is no record at the end is cut off, the rest is checked when it is
    /// read. Only the last segment is read as a whole.
    pub fn open(disk: D, options: LogOptions) -> Result<Self, OpenError> {
        let io_error = |what| move |source| OpenError::Io { what, source };
        let (cursor, position) = cursor::load(&disk).map_err(|error| match error {
            CursorError::OtherVersion(found) => other_version(cursor::NAME.to_owned(), found),
            CursorError::Io(source) => OpenError::Io {
                what: "read its cursor",
                source,
            },
        })?;
        let names = disk.names().map_err(io_error("list its files"))?;
        let mut firsts: Vec<u64> = names
            .iter()
            .filter_map(|name| segment::parse_name(name))
            .collect();
        firsts.sort_unstable();
        let mut log = Self {
            disk,
            options,
            segments: VecDeque::with_capacity(firsts.len()),
            writer: None,
            writer_unsynced: false,
            unsynced: Vec::new(),
            names_unsynced: false,
            sync_failed: None,
            cursor,
            cursor_behind: false,
            next: 1,
            samples_total: 0,
            last_time: i64::MIN,
            done: Ranges::below(1),
            taken: BTreeMap::new(),
            fresh: Reader::at(1),
            backlog: Reader::at(1),
            split: 1,
            horizon: i64::MIN,
            queued_records: 0,
            queued_samples: 0,
            bytes: 0,
            counts: LogCounts::default(),
            buffer: Vec::new(),
        };
        for first in firsts {
            log.recognise(first)?;
        }
        log.find_end()?;
        if let Some(position) = position {
            log.next = log.next.max(position.next).max(position.done.end());
            log.done = position.done;
        }
        let oldest = log.segments.front().map_or(log.next, |segment| segment.first);
        log.done.insert(0, oldest);
        log.take_stock();
        log.split = log.next;
        log.fresh.go_to(log.next);
        log.backlog.go_to(log.done.low());
        log.bytes = log.segments.iter().map(|segment| segment.len).sum();
        log.sweep_all();
        log.sync_what_was_left();
        if log.cursor.is_none() {
            // On a full disk the next attempt is at the next save.
            log.cursor = cursor::create(&log.disk).ok();
            log.cursor_behind = true;
            log.save_cursor_quietly();
        }
        Ok(log)
    }

    /// Notes a segment that was found.
    fn recognise(&mut self, first: u64) -> Result<(), OpenError> {
        let name = segment::name(first);
        let failed = |source| OpenError::Io {
            what: "read a segment",
            source,
        };
        let file = match self.disk.open(&name) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(failed(error)),
        };
        let len = file.length().map_err(failed)?;
        let mut bytes = [0; HEADER_LEN as usize];
        let read = match super::disk::read_full(&file, &mut bytes, 0) {
            Ok(read) => read,
            Err(error) if segment::is_unreadable(&error) => 0,
            Err(error) => return Err(failed(error)),
        };
        let found = match Header::read(bytes.get(..read).unwrap_or_default(), first) {
            HeaderRead::Valid(header) => Some((header.samples_before, header.time)),
            HeaderRead::OtherVersion(found) => return Err(other_version(name, found)),
            HeaderRead::Damaged => first_record(&file, first, len)
                .map_err(failed)?
                .map(|frame| (frame.samples_before, frame.time)),
        };
        match found {
            Some((samples_before, time)) => self.segments.push_back(Segment {
                first,
                samples_before,
                time,
                len,
            }),
            // Nothing in it can be read. What does not go now goes the next time.
            None => {
                self.cut(len);
                let _ = self.disk.remove(&name);
            }
        }
        Ok(())
    }

    /// Finds the last record, and cuts off what comes behind it.
    fn find_end(&mut self) -> Result<(), OpenError> {
        let failed = |source| OpenError::Io {
            what: "read the last segment",
            source,
        };
        while let Some(segment) = self.segments.back().copied() {
            self.next = self.next.max(segment.first);
            let name = segment::name(segment.first);
            let file = self.disk.open(&name).map_err(failed)?;
            let mut scanner = Scanner::new(segment.first, HEADER_LEN);
            let mut window = Window::default();
            let mut last = None;
            loop {
                match scanner
                    .step(&file, segment.len, &mut window, |_| true)
                    .map_err(failed)?
                {
                    Found::Record(frame, _) => last = Some((frame, scanner.offset)),
                    Found::Damage(_) => {}
                    Found::End => break,
                }
            }
            let Some((frame, end)) = last else {
                self.cut(segment.len.saturating_sub(HEADER_LEN));
                let _ = self.disk.remove(&name);
                self.segments.pop_back();
                continue;
            };
            if segment.len > end {
                self.cut(segment.len - end);
                // Reading stops at `len` in any case.
                let _ = file.set_length(end);
            }
            if let Some(segment) = self.segments.back_mut() {
                segment.len = end;
            }
            self.next = self.next.max(frame.number.saturating_add(1));
            self.samples_total = frame.samples_before.saturating_add(u64::from(frame.samples));
            self.last_time = frame.time;
            break;
        }
        Ok(())
    }

    /// What the process before had not synced when it died is made durable, so that only so many segments ever
    /// wait for a sync. A disk that does not do it now fails the next sync, too.
    fn sync_what_was_left(&mut self) {
        if !self.options.durable {
            return;
        }
        let last = self.segments.iter().rev().take(MAX_UNSYNCED + 1);
        let files = last.filter_map(|segment| {
            let file = self.disk.open(&segment::name(segment.first)).ok()?;
            Some((segment.first, file))
        });
        self.unsynced = files.collect();
        self.names_unsynced = true;
        self.sync_failed = self.sync().err();
    }

    fn cut(&mut self, bytes: u64) {
        if bytes > 0 {
            self.counts.torn += 1;
            self.counts.torn_bytes += bytes;
        }
    }

    /// Counts what is not done with.
    fn take_stock(&mut self) {
        for index in 0..self.segments.len() {
            let (records, samples) = self.left_in(index);
            self.queued_records += records;
            self.queued_samples += samples;
        }
    }

    /// Appends a record; its number.
    ///
    /// Where it would not fit below `max_bytes`, the oldest segments go first.
    pub fn append(&mut self, record: Record<'_>) -> Result<u64, AppendError> {
        let whole = (FRAME_LEN + record.payload.len()) as u64;
        let too_large = AppendError::TooLarge {
            bytes: record.payload.len(),
        };
        if record.payload.len() > MAX_PAYLOAD || whole + HEADER_LEN > self.options.max_bytes() {
            return Err(too_large);
        }
        let length = u32::try_from(record.payload.len()).map_err(|_| too_large)?;
        let full = self.segments.back().is_some_and(|segment| {
            segment.len > HEADER_LEN && segment.len + whole > self.options.segment_bytes()
        });
        if full {
            self.finish_segment();
        }
        while self.bytes + whole + HEADER_LEN > self.options.max_bytes() && self.drop_oldest() {}
        if self.writer.is_none() {
            self.begin_segment(record.time).map_err(AppendError::from_io)?;
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
            form: record.form,
            payload_checksum: checksum(&[record.payload]),
        };
        self.buffer.clear();
        frame.write(segment.first, segment.len, &mut self.buffer);
        self.buffer.extend_from_slice(record.payload);
        #[cfg(feature = "failpoints")]
        Failpoint::RecordHalf.reach_after(|| {
            let half = self.buffer.len() / 2;
            let _ = write_all(file, self.buffer.get(..half).unwrap_or_default(), segment.len);
        });
        let written = write_all(file, &self.buffer, segment.len);
        #[cfg(feature = "failpoints")]
        Failpoint::RecordWritten.reach();
        // The memory of a large record is given back.
        self.buffer.shrink_to(1 << 20);
        if let Err(error) = written {
            if file.set_length(segment.len).is_err() {
                // What is behind its end now is no record; nothing must follow it.
                self.writer = None;
            }
            // It gives its place back when its records are done with, which one that may grow does not: nothing else
            // might ever make room on this disk.
            self.finish_segment();
            return Err(AppendError::from_io(error));
        }
        self.writer_unsynced = true;
        segment.len += whole;
        self.bytes += whole;
        self.next += 1;
        self.samples_total += u64::from(record.samples);
        self.last_time = self.last_time.max(record.time);
        self.queued_records += 1;
        self.queued_samples += u64::from(record.samples);
        Ok(frame.number)
    }

    fn begin_segment(&mut self, time: i64) -> io::Result<()> {
        let header = Header {
            first: self.next,
            samples_before: self.samples_total,
            time,
        };
        let name = segment::name(self.next);
        let file = match self.disk.create(&name) {
            // Left behind by an append that failed: nothing in it has a number.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.disk.remove(&name)?;
                self.disk.create(&name)?
            }
            other => other?,
        };
        #[cfg(feature = "failpoints")]
        Failpoint::SegmentMade.reach();
        // A last segment without a record has the same name, and is the one that was just removed.
        if let Some(segment) = self.segments.pop_back_if(|segment| segment.first == header.first) {
            self.bytes -= segment.len;
        }
        if let Err(error) = write_all(&file, &header.bytes(), 0) {
            let _ = self.disk.remove(&name);
            return Err(error);
        }
        self.segments.push_back(Segment {
            first: header.first,
            samples_before: header.samples_before,
            time,
            len: HEADER_LEN,
        });
        self.bytes += HEADER_LEN;
        self.writer = Some(file);
        self.writer_unsynced = true;
        self.names_unsynced = true;
        Ok(())
    }

    /// The next record begins a new segment.
    fn finish_segment(&mut self) {
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
            // Told by the next sync.
            self.sync_failed = self.sync().err();
        }
    }

    /// Makes everything durable that was appended.
    ///
    /// After an error, whatever was appended since the last success may be lost by a power failure, and a further
    /// sync does not change that. It can be read.
    pub fn sync(&mut self) -> io::Result<()> {
        let mut result = self.sync_failed.take().map_or(Ok(()), Err);
        if std::mem::take(&mut self.writer_unsynced)
            && let Some(file) = &self.writer
            && let Err(error) = file.sync()
        {
            // The kernel has forgotten what it could not write: nothing must follow it.
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

    /// Reads the record that leaves next. It counts as under way until [`Log::done`].
    ///
    /// Damaged records are counted and passed over. An error is one of the moment, such as too many open files.
    pub fn take(&mut self) -> io::Result<Option<Stored>> {
        if self.options.order == Order::FreshFirst {
            let mut reader = std::mem::replace(&mut self.fresh, Reader::at(0));
            let stored = self.read(&mut reader, self.next);
            self.fresh = reader;
            if let Some(stored) = stored? {
                return Ok(Some(stored));
            }
        }
        let limit = match self.options.order {
            Order::FreshFirst => self.split,
            Order::Fifo => self.next,
        };
        let mut reader = std::mem::replace(&mut self.backlog, Reader::at(0));
        let stored = self.read(&mut reader, limit);
        self.backlog = reader;
        stored
    }

    /// Everything that was appended so far is backlog: what comes now goes before it, if fresh records go first.
    pub fn turn_over(&mut self) {
        self.split = self.next;
        self.fresh.go_to(self.next);
        if self.options.order == Order::FreshFirst {
            self.backlog.go_to(self.done.low());
        }
    }

    fn read(&mut self, reader: &mut Reader<D::File>, limit: u64) -> io::Result<Option<Stored>> {
        while reader.number < limit {
            let found = self
                .segments
                .partition_point(|segment| segment.first <= reader.number);
            let index = found.saturating_sub(1);
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
            if self.settled(reader.number, until) {
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
                            offset: HEADER_LEN,
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
            let (frame, began) = match scanner.step(&place.file, segment.len, &mut reader.window, wanted)? {
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
                self.drop_numbers(frame.number, frame.number + 1, u64::from(frame.samples));
                continue;
            }
            let payload = scanner.payload(&place.file, &frame, began, segment.len, &mut reader.window)?;
            let payload = payload.to_vec();
            self.taken.insert(frame.number, frame.samples);
            #[cfg(feature = "failpoints")]
            Failpoint::RecordRead.reach();
            return Ok(Some(Stored {
                number: frame.number,
                form: frame.form,
                samples: frame.samples,
                time: frame.time,
                payload,
            }));
        }
        Ok(None)
    }

    /// A record that was taken is done with: it is not read again, and its segment goes with its last record.
    pub fn done(&mut self, number: u64) {
        let Some(samples) = self.taken.remove(&number) else {
            return;
        };
        self.queued_records = self.queued_records.saturating_sub(1);
        self.queued_samples = self.queued_samples.saturating_sub(u64::from(samples));
        #[cfg(feature = "failpoints")]
        Failpoint::Done.reach();
        self.settle(number, number + 1);
    }

    /// The samples of a record that was taken and is not done with.
    pub(super) fn samples_under_way(&self, number: u64) -> u32 {
        self.taken.get(&number).copied().unwrap_or(0)
    }

    /// Counts a record that had no place at all as dropped.
    pub(super) fn count_dropped(&mut self, samples: u64) {
        self.counts.dropped_records += 1;
        self.counts.dropped_samples += samples;
    }

    /// Writes down which records are done with, if that has changed.
    pub fn save_cursor(&mut self) -> io::Result<()> {
        if !self.cursor_behind {
            return Ok(());
        }
        if self.cursor.is_none() {
            self.cursor = Some(cursor::create(&self.disk)?);
        }
        if let Some(cursor) = &mut self.cursor {
            cursor.save(&self.done, self.next, self.options.durable)?;
            self.cursor_behind = false;
        }
        Ok(())
    }

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

    /// The folder, for what stands beside the log.
    pub fn disk(&self) -> &D {
        &self.disk
    }

    /// What is in it.
    pub fn status(&self) -> LogStatus {
        LogStatus {
            bytes: self.bytes,
            records: self.queued_records,
            samples: self.queued_samples,
            unread: self.queued_records.saturating_sub(self.taken.len() as u64),
            oldest: self
                .segments
                .front()
                .filter(|_| self.queued_records > 0)
                .map(|segment| segment.time),
            segments: self.segments.len(),
            low: self.done.low(),
            next: self.next,
        }
    }

    /// What happened to records since it was opened.
    pub fn counts(&self) -> LogCounts {
        self.counts
    }

    /// Takes over other bounds.
    pub fn set_options(&mut self, options: LogOptions) {
        if options.order != self.options.order {
            self.options = options;
            self.turn_over();
            self.backlog.go_to(self.done.low());
        } else {
            self.options = options;
        }
    }

    /// Makes everything durable, as the last thing that is done with a log. An empty one leaves no segments behind;
    /// what was taken and is not done with comes again after the next opening.
    pub fn close(&mut self) -> io::Result<()> {
        for (number, samples) in std::mem::take(&mut self.taken) {
            // Dropped at a bound while it was under way: there is no further chance.
            if self.segments.front().is_none_or(|segment| number < segment.first) {
                self.counts.dropped_records += 1;
                self.counts.dropped_samples += u64::from(samples);
                self.queued_records = self.queued_records.saturating_sub(1);
                self.queued_samples = self.queued_samples.saturating_sub(u64::from(samples));
            }
        }
        #[cfg(feature = "failpoints")]
        Failpoint::Closing.reach();
        let synced = if self.options.durable { self.sync() } else { Ok(()) };
        let saved = self.save_cursor();
        self.writer = None;
        self.sweep_all();
        synced.and(saved)
    }

    // Bookkeeping.

    /// The number behind the last record of a segment, and samples of all records before that.
    fn end_of(&self, index: usize) -> (u64, u64) {
        self.segments
            .get(index + 1)
            .map_or((self.next, self.samples_total), |next| {
                (next.first, next.samples_before)
            })
    }

    /// Whether all of `start..end` are done with or under way.
    fn settled(&self, start: u64, end: u64) -> bool {
        let taken = self.taken.range(start..end.max(start)).count() as u64;
        self.done.count(start, end) + taken >= end.saturating_sub(start)
    }

    /// Records of a segment that are neither done with nor under way, and their samples.
    fn left_in(&self, index: usize) -> (u64, u64) {
        let Some(segment) = self.segments.get(index) else {
            return (0, 0);
        };
        let (end, samples_at_end) = self.end_of(index);
        let all = end.saturating_sub(segment.first);
        let taken = self.taken.range(segment.first..end.max(segment.first)).count() as u64;
        let left = all.saturating_sub(self.done.count(segment.first, end) + taken);
        let samples_all = samples_at_end.saturating_sub(segment.samples_before);
        if left == 0 {
            return (0, 0);
        }
        if left == all {
            return (left, samples_all);
        }
        (left, self.samples_left(segment).unwrap_or(samples_all))
    }

    /// Samples of the records of a segment that are neither done with nor under way, by looking.
    fn samples_left(&self, segment: &Segment) -> io::Result<u64> {
        let mut samples = 0;
        self.each_left(segment, |frame| samples += u64::from(frame.samples))?;
        Ok(samples)
    }

    /// Looks at the header of each record of a segment that is neither done with nor under way.
    fn each_left(&self, segment: &Segment, mut look: impl FnMut(&Frame)) -> io::Result<()> {
        let file = self.disk.open(&segment::name(segment.first))?;
        let mut scanner = Scanner::new(segment.first, HEADER_LEN);
        let mut window = Window::default();
        loop {
            match scanner.step(&file, segment.len, &mut window, |_| false)? {
                Found::Record(frame, _) => {
                    if !self.done.contains(frame.number) && !self.taken.contains_key(&frame.number) {
                        look(&frame);
                    }
                }
                Found::Damage(_) => {}
                Found::End => return Ok(()),
            }
        }
    }

    /// Removes the oldest segment with whatever is in it; false if there is none.
    fn drop_oldest(&mut self) -> bool {
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
    fn drop_numbers(&mut self, start: u64, end: u64, samples: u64) {
        self.counts.dropped_records += end - start;
        self.counts.dropped_samples += samples;
        self.queued_records = self.queued_records.saturating_sub(end - start);
        self.queued_samples = self.queued_samples.saturating_sub(samples);
        self.settle(start, end);
    }

    /// What of `start..end` is neither done with nor under way was not there. `samples` are those of the whole range.
    fn lose(&mut self, start: u64, end: u64, samples: Option<u64>) {
        let all = end.saturating_sub(start);
        let taken = self
            .taken
            .range(start..end.max(start))
            .map(|(_, samples)| u64::from(*samples));
        let (taken, taken_samples) = taken.fold((0, 0), |(count, sum), samples| (count + 1, sum + samples));
        let lost = all.saturating_sub(self.done.count(start, end) + taken);
        if lost == 0 {
            return;
        }
        // Those that are done with had their share.
        let samples = samples.unwrap_or(0).saturating_sub(taken_samples);
        let samples = samples
            .saturating_mul(lost)
            .checked_div(all.saturating_sub(taken))
            .unwrap_or(samples);
        self.counts.damaged += 1;
        self.counts.lost_records += lost;
        self.counts.lost_samples += samples;
        self.queued_records = self.queued_records.saturating_sub(lost);
        self.queued_samples = self.queued_samples.saturating_sub(samples);
        self.settle(start, end);
    }

    /// All of `start..end` that is not under way is done with.
    fn settle(&mut self, start: u64, end: u64) {
        let mut from = start;
        for number in self.taken.range(start..end.max(start)).map(|(number, _)| *number) {
            self.done.insert(from, number);
            from = number + 1;
        }
        self.done.insert(from, end);
        self.cursor_behind = true;
        let found = self.segments.partition_point(|segment| segment.first <= start);
        self.sweep(found.saturating_sub(1));
        if self.queued_records == 0 {
            // Nothing is there: what could not be counted is not there either.
            self.queued_samples = 0;
        }
    }

    /// Removes a segment if all of its records are done with. The one that grows stays.
    fn sweep(&mut self, index: usize) {
        let Some(segment) = self.segments.get(index) else {
            return;
        };
        let (end, _) = self.end_of(index);
        let grows = self.writer.is_some() && index + 1 == self.segments.len();
        if grows || self.done.count(segment.first, end) < end.saturating_sub(segment.first) {
            return;
        }
        if index > 0 {
            // Otherwise a crash would make its records look lost.
            self.save_cursor_quietly();
        }
        self.remove(index);
    }

    fn sweep_all(&mut self) {
        for index in (0..self.segments.len()).rev() {
            self.sweep(index);
        }
    }

    fn remove(&mut self, index: usize) {
        if let Some(segment) = self.segments.remove(index) {
            self.bytes = self.bytes.saturating_sub(segment.len);
            // A file that is open keeps its place on the disk, and a reader stays where it is until there is more.
            for reader in [&mut self.fresh, &mut self.backlog] {
                reader.place.take_if(|place| place.segment == segment.first);
            }
            self.unsynced.retain(|(first, _)| *first != segment.first);
            // A file that stays is found at the next opening, and its records are known to be done with.
            let _ = self.disk.remove(&segment::name(segment.first));
            #[cfg(feature = "failpoints")]
            Failpoint::SegmentRemoved.reach();
        }
    }

    /// Where the cursor matters only for what a crash would repeat or miscount.
    fn save_cursor_quietly(&mut self) {
        let _ = self.save_cursor();
    }
}

fn other_version(file: String, found: u32) -> OpenError {
    OpenError::OtherVersion {
        file,
        found,
        known: FORMAT_VERSION,
    }
}

/// The first record of a segment without a header.
fn first_record<F: DiskFile>(file: &F, segment: u64, len: u64) -> io::Result<Option<Frame>> {
    let mut scanner = Scanner::new(segment, HEADER_LEN);
    let mut window = Window::default();
    loop {
        match scanner.step(file, len, &mut window, |_| true)? {
            Found::Record(frame, _) => return Ok(Some(frame)),
            Found::Damage(_) => {}
            Found::End => return Ok(None),
        }
    }
}
