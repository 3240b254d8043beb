//! Dead letters: permanently rejected batches with the reason, for inspection.
//!
//! Two files with one JSON object per line. When the newer file is full it replaces the older one, whose batches are lost: the
//! size stays limited, and the latest rejections are present.

use std::io;

use nephoscope_model::EncodingId;
use serde_json::json;

use super::disk::{Disk, write_all};

const NEWER: &str = "dead_letter.jsonl";
const OLDER: &str = "dead_letter.old.jsonl";

/// A batch to add.
#[derive(Debug, Clone, Copy)]
pub(super) struct DeadLetter<'a> {
    pub(super) time: i64,
    pub(super) reason: &'a str,
    /// The encoding of the body, if it is known.
    pub(super) encoding: Option<&'a EncodingId>,
    pub(super) samples: usize,
    pub(super) body: &'a [u8],
}

/// The status of the dead letters.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct DeadLetterStatus {
    /// Batches in both files.
    pub batches: u64,
    /// Bytes of both files.
    pub bytes: u64,
    /// Batches that could not be written, or were removed for newer ones, since the spool was opened.
    pub lost: u64,
}

#[derive(Debug, Default)]
pub(super) struct DeadLetters {
    newer: Part,
    older: Part,
    lost: u64,
    max_bytes: u64,
}

#[derive(Debug, Default, Clone, Copy)]
struct Part {
    batches: u64,
    bytes: u64,
}

impl DeadLetters {
    /// Opens the files and counts their batches.
    pub(super) fn open(disk: &dyn Disk, max_bytes: u64) -> Self {
        Self {
            newer: measure(disk, NEWER),
            older: measure(disk, OLDER),
            lost: 0,
            max_bytes,
        }
    }

    /// Changes the maximum size of both files together in bytes.
    pub(super) fn set_bound(&mut self, max_bytes: u64) {
        self.max_bytes = max_bytes;
    }

    /// Adds a batch.
    pub(super) fn add(&mut self, disk: &dyn Disk, letter: DeadLetter<'_>) -> io::Result<()> {
        let mut line = json!({
            "time_ms": letter.time,
            "reason": letter.reason,
            "encoding": letter.encoding.map(ToString::to_string),
            "samples": letter.samples,
            "body": String::from_utf8_lossy(letter.body),
        })
        .to_string()
        .into_bytes();
        line.push(b'\n');
        let added = self.write(disk, &line);
        if added.is_err() {
            self.lost += 1;
        }
        added
    }

    fn write(&mut self, disk: &dyn Disk, line: &[u8]) -> io::Result<()> {
        let length = line.len() as u64;
        let half = self.max_bytes / 2;
        if length > half {
            return Err(io::Error::other(
                "it exceeds the maximum size of the dead letters",
            ));
        }
        if self.newer.bytes + length > half {
            disk.rename(NEWER, OLDER)?;
            self.lost += self.older.batches;
            self.older = std::mem::take(&mut self.newer);
        }
        let file = match disk.open(NEWER) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => disk.create(NEWER)?,
            other => other?,
        };
        // The actual end: an operator may have moved the file away.
        let end = file.length()?;
        if end < self.newer.bytes {
            self.newer = Part::default();
        }
        if let Err(error) = write_all(&*file, line, end) {
            // A partial line would corrupt the next one.
            let _ = file.set_length(end);
            return Err(error);
        }
        self.newer.batches += 1;
        self.newer.bytes = end + length;
        // The only copy. A failed sync changes nothing: the line is written.
        let _ = file.sync();
        Ok(())
    }

    pub(super) fn status(&self) -> DeadLetterStatus {
        DeadLetterStatus {
            batches: self.newer.batches + self.older.batches,
            bytes: self.newer.bytes + self.older.bytes,
            lost: self.lost,
        }
    }
}

/// Counts the batches and bytes of a file, up to the first read error.
fn measure(disk: &dyn Disk, name: &str) -> Part {
    let mut part = Part::default();
    let Ok(file) = disk.open(name) else { return part };
    let mut bytes = vec![0; 64 * 1024];
    loop {
        match file.read_at(&mut bytes, part.bytes) {
            Ok(0) | Err(_) => return part,
            Ok(read) => {
                let found = bytes.iter().take(read).filter(|byte| **byte == b'\n');
                part.batches += found.count() as u64;
                part.bytes += read as u64;
            }
        }
    }
}
