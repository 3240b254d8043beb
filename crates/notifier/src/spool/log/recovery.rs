//! Opening a log, with recovery after a crash.

use std::collections::{BTreeMap, VecDeque};
use std::io;

use super::ledger::Ledger;
use super::position::Reader;
use super::status::LogCounts;
use super::{Log, MAX_UNSYNCED, Segment, UNKNOWN_MARK};
use crate::spool::contents::Marks;
use crate::spool::cursor::{self, CursorError};
use crate::spool::disk::{Disk, ReadAt, read_full};
use crate::spool::error::OpenError;
use crate::spool::frame::Frame;
use crate::spool::options::LogOptions;
use crate::spool::ranges::Ranges;
use crate::spool::segment::{
    self, FIRST_PART, FORMAT_VERSION, Found, HEADER_LEN, Header, HeaderRead, Scanner, Window,
};

impl Log {
    /// Opens the log in a folder, or creates it.
    ///
    /// Accepts every state that a crash can leave: truncates incomplete records at the end, and checks other records when they
    /// are read. Reads the whole last segment, and the header of each record in segments of format 1.
    pub fn open(disk: Box<dyn Disk>, options: LogOptions) -> Result<Self, OpenError> {
        let io_error = |what| move |source| OpenError::Io { what, source };
        let (cursor, position) = cursor::load(&*disk).map_err(|error| match error {
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
            cursor_outdated: false,
            next: 1,
            samples_total: 0,
            last_time: i64::MIN,
            done: Ranges::below(1),
            in_flight: BTreeMap::new(),
            newest: Reader::at(1),
            backlog: Reader::at(1),
            backlog_end: 1,
            expire_before: i64::MIN,
            marks: Marks::default(),
            accepted_marks: None,
            exhausted: false,
            ledger: Ledger::default(),
            bytes: 0,
            counts: LogCounts::default(),
            buffer: Vec::new(),
        };
        for first in firsts {
            log.add_segment(first)?;
        }
        log.find_end()?;
        if let Some(position) = position {
            log.next = log.next.max(position.next).max(position.done.end());
            log.done = position.done;
        }
        let oldest = log.segments.front().map_or(log.next, |segment| segment.first);
        log.done.insert(0, oldest);
        log.count_records();
        log.backlog_end = log.next;
        log.newest.go_to(log.next);
        log.backlog.go_to(log.done.low());
        log.bytes = log.segments.iter().map(|segment| segment.len).sum();
        log.sweep_all();
        log.sync_recovered();
        if log.cursor.is_none() {
            // On a full disk the next save tries again.
            log.cursor = cursor::create(&*log.disk).ok();
            log.cursor_outdated = true;
            log.try_save_cursor();
        }
        Ok(log)
    }

    /// Adds an existing segment.
    fn add_segment(&mut self, first: u64) -> Result<(), OpenError> {
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
        let read = match read_full(&*file, &mut bytes, 0) {
            Ok(read) => read,
            Err(error) if segment::is_unreadable(&error) => 0,
            Err(error) => return Err(failed(error)),
        };
        let header = match Header::read(bytes.get(..read).unwrap_or_default(), first) {
            HeaderRead::Valid(header) => Some(header),
            HeaderRead::OtherVersion(found) => return Err(other_version(name, found)),
            HeaderRead::OtherCompression(found) => {
                return Err(OpenError::OtherCompression { file: name, found });
            }
            HeaderRead::OtherKind(found) => return Err(OpenError::OtherKind { file: name, found }),
            HeaderRead::Corrupt => None,
        };
        let known = header.as_ref().map(|header| (header.samples_before, header.time));
        let known = match known {
            Some(known) => Some(known),
            None => first_record(&*file, first, len)
                .map_err(failed)?
                .map(|frame| (frame.samples_before, frame.time)),
        };
        let Some((samples_before, time)) = known else {
            // It has no readable record. If the removal fails, the next opening repeats it.
            self.count_truncated(len);
            let _ = self.disk.remove(&name);
            return Ok(());
        };
        let (mark, mixed) = match header.as_ref().and_then(|header| header.contents.as_ref()) {
            Some(contents) => (self.marks.register(contents), false),
            None => self.read_marks(&*file, first, len).map_err(failed)?,
        };
        self.segments.push_back(Segment {
            first,
            samples_before,
            time,
            len,
            header: header.map_or(FIRST_PART, |header| header.len()),
            mark,
            mixed,
        });
        Ok(())
    }

    /// Reads the marks of the records of a segment; returns the first mark, and whether there are several or none.
    fn read_marks(&mut self, file: &dyn ReadAt, first: u64, len: u64) -> io::Result<(u32, bool)> {
        let mut scanner = Scanner::new(first, FIRST_PART);
        let mut window = Window::for_headers();
        let (mut found, mut mixed) = (None, false);
        loop {
            match scanner.step(file, len, &mut window, |_| false)? {
                Found::Record(frame, _) => {
                    let mark = self.marks.register_code(frame.mark);
                    mixed |= *found.get_or_insert(mark) != mark;
                }
                Found::Corrupt(_) => {}
                Found::End => return Ok((found.unwrap_or(UNKNOWN_MARK), mixed || found.is_none())),
            }
        }
    }

    /// Finds the last record, and truncates the segment after it.
    fn find_end(&mut self) -> Result<(), OpenError> {
        let failed = |source| OpenError::Io {
            what: "read the last segment",
            source,
        };
        while let Some(segment) = self.segments.back().copied() {
            self.next = self.next.max(segment.first);
            let name = segment::name(segment.first);
            let file = self.disk.open(&name).map_err(failed)?;
            let mut scanner = Scanner::new(segment.first, segment.header);
            let mut window = Window::default();
            let mut last = None;
            loop {
                match scanner
                    .step(&*file, segment.len, &mut window, |_| true)
                    .map_err(failed)?
                {
                    Found::Record(frame, _) => last = Some((frame, scanner.offset)),
                    Found::Corrupt(_) => {}
                    Found::End => break,
                }
            }
            let Some((frame, end)) = last else {
                self.count_truncated(segment.len.saturating_sub(segment.header));
                let _ = self.disk.remove(&name);
                self.segments.pop_back();
                continue;
            };
            if segment.len > end {
                self.count_truncated(segment.len - end);
                // If this fails, reads still stop at `len`.
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

    /// Syncs the records of an earlier process, so that the number of unsynced segments stays limited. If this fails, the next
    /// sync reports the error.
    fn sync_recovered(&mut self) {
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

    fn count_truncated(&mut self, bytes: u64) {
        if bytes > 0 {
            self.counts.truncated += 1;
            self.counts.truncated_bytes += bytes;
        }
    }

    /// Counts the records that are not completed.
    fn count_records(&mut self) {
        for index in 0..self.segments.len() {
            for (mark, records, samples) in self.remaining_by_mark(index) {
                self.ledger.add(mark, records, samples);
            }
        }
    }
}

fn other_version(file: String, found: u32) -> OpenError {
    OpenError::OtherVersion {
        file,
        found,
        known: FORMAT_VERSION,
    }
}

/// Returns the first record of a segment with a corrupt header.
fn first_record(file: &dyn ReadAt, segment: u64, len: u64) -> io::Result<Option<Frame>> {
    let mut scanner = Scanner::new(segment, FIRST_PART);
    let mut window = Window::default();
    loop {
        match scanner.step(file, len, &mut window, |_| true)? {
            Found::Record(frame, _) => return Ok(Some(frame)),
            Found::Corrupt(_) => {}
            Found::End => return Ok(None),
        }
    }
}
