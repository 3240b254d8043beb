//! The spool: a bounded queue of batches on disk, for each publisher that has one.
//!
//! [`Spool`] is what a publisher has: a thread that serves a [`Log`]. [`Log`] is the queue of records, [`Disk`] what it needs of a file system, [`Folder`] the real one. The files are
//! described in `docs/spool-format.md`, what they promise in `docs/delivery.md`.

mod bytes;
mod contents;
mod cursor;
mod disk;
mod error;
mod events;
mod folder;
mod frame;
mod log;
mod options;
mod port;
mod quarantine;
mod ranges;
mod segment;
mod worker;

pub use contents::{Contents, Takes};
pub use disk::{Disk, DiskFile, ReadAt, is_full};
pub use error::{AppendError, OpenError};
pub use folder::{Folder, FolderError, has_segments};
pub use frame::MAX_PAYLOAD;
pub use log::{Held, Log, LogCounts, LogStatus, Record, Stored};
pub use options::{
    DEFAULT_MAX_BYTES, Fsync, LogOptions, MIN_BYTES, Order, QUARANTINE_BYTES, SYNC_INTERVAL, SpoolMode,
    SpoolOptions,
};
pub use port::{Dropped, Spool, SpoolStatus};
pub(crate) use port::{Incoming, Next, Outgoing};
pub use quarantine::QuarantineStatus;
pub use segment::{FORMAT_VERSION, inspect};
