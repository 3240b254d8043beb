//! What goes into the log, and what comes out of it.

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
    /// What [`Log::done`](super::Log::done) knows it by.
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
