//! What goes into the log, and what comes out of it.

use crate::spool::contents::Contents;

/// A record to be appended.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// What its payload is.
    pub contents: &'a Contents,
    /// How many samples or events it stands for.
    pub samples: u32,
    /// When it was made, milliseconds since 1970 UTC.
    pub time: i64,
    /// The bytes.
    pub payload: &'a [u8],
}

/// A record that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// What [`Log::done`](super::Log::done) knows it by.
    pub number: u64,
    /// What its payload is.
    pub contents: Contents,
    /// How many samples or events it stands for.
    pub samples: u32,
    /// When it was made, milliseconds since 1970 UTC.
    pub time: i64,
    /// As it was appended.
    pub payload: Vec<u8>,
}
