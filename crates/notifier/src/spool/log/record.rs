//! Records of the log, before and after storage.

use crate::spool::contents::Contents;

/// A record to be appended.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// The contents of its payload.
    pub contents: &'a Contents,
    /// The number of its samples or events.
    pub samples: u32,
    /// Its creation, in milliseconds since 1970 UTC.
    pub time: i64,
    /// The payload.
    pub payload: &'a [u8],
}

/// A record that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The number that identifies it in [`Log::done`](super::Log::done).
    pub number: u64,
    /// The contents of its payload.
    pub contents: Contents,
    /// The number of its samples or events.
    pub samples: u32,
    /// Its creation, in milliseconds since 1970 UTC.
    pub time: i64,
    /// The payload.
    pub payload: Vec<u8>,
}
