//! Batches that were refused for good, set aside with the reason for a person to look at.
//!
//! Two files, the newer and the older one, one JSON object a line. When the newer is full it becomes the older, and
//! what that held is gone: the bound holds, and the latest refusals are there.

use std::io;

use nephoscope_model::EncodingId;
use serde_json::json;

use super::disk::{Disk, write_all};

const NEWER: &str = "quarantine.jsonl";
const OLDER: &str = "quarantine.old.jsonl";

/// What is set aside.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refusal<'a> {
    pub(super) time: i64,
    pub(super) reason: &'a str,
    /// How the body is encoded, where anybody knows.
    pub(super) encoding: Option<&'a EncodingId>,
    pub(super) samples: usize,
    pub(super) body: &'a [u8],
}

/// What is in the files.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct QuarantineStatus {
    /// Batches in both files.
    pub batches: u64,
    /// Bytes of both files.
    pub bytes: u64,
    /// Batches that were not set aside, or whose file made room for newer ones, since the spool was opened.
    pub lost: u64,
}

#[derive(Debug, Default)]
pub(super) struct Quarantine {
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

impl Quarantine {
    /// Takes stock of what is there.
    pub(super) fn open(disk: &dyn Disk, max_bytes: u64) -> Self {
        Self {
            newer: measure(disk, NEWER),
            older: measure(disk, OLDER),
            lost: 0,
            max_bytes,
        }
    }

    /// Changes the bound of both files together, in bytes.
    pub(super) fn set_bound(&mut self, max_bytes: u64) {
        self.max_bytes = max_bytes;
    }

    /// Sets a batch aside.
    pub(super) fn add(&mut self, disk: &dyn Disk, refusal: Refusal<'_>) -> io::Result<()> {
        let mut line = json!({
            "time_ms": refusal.time,
            "reason": refusal.reason,
            "encoding": refusal.encoding.map(ToString::to_string),
            "samples": refusal.samples,
            "body": String::from_utf8_lossy(refusal.body),
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
            return Err(io::Error::other("it is larger than the quarantine may become"));
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
        // Where it ends in truth: somebody may have taken it away to read it.
        let end = file.length()?;
        if end < self.newer.bytes {
            self.newer = Part::default();
        }
        if let Err(error) = write_all(&*file, line, end) {
            // Half a line would spoil the next one.
            let _ = file.set_length(end);
            return Err(error);
        }
        self.newer.batches += 1;
        self.newer.bytes = end + length;
        // It is the only copy. A sync that fails changes nothing: the line is there.
        let _ = file.sync();
        Ok(())
    }

    pub(super) fn status(&self) -> QuarantineStatus {
        QuarantineStatus {
            batches: self.newer.batches + self.older.batches,
            bytes: self.newer.bytes + self.older.bytes,
            lost: self.lost,
        }
    }
}

/// How much there is; nothing of what cannot be read.
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
