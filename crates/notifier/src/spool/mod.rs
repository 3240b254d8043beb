//! The spool: a bounded queue of batches on disk, for each publisher that has one.
//!
//! A [`Spool`] runs a thread that owns a [`Log`], the queue of records. The log accesses the file system through [`Disk`];
//! [`Folder`] is the real implementation. `docs/spool-format.md` describes the files, `docs/delivery.md` the guarantees.

mod bytes;
mod contents;
mod cursor;
mod dead_letter;
mod disk;
mod error;
mod events;
mod folder;
mod frame;
mod handle;
mod log;
mod mailbox;
mod options;
mod ranges;
mod segment;
mod worker;

pub use contents::{AcceptedContents, Contents};
pub use dead_letter::DeadLetterStatus;
pub use disk::{Disk, DiskFile, ReadAt, is_full};
pub use error::{AppendError, OpenError};
pub use folder::{Folder, FolderError, has_segments};
pub use frame::MAX_PAYLOAD;
pub(crate) use handle::Next;
pub use handle::{Spool, SpoolStatus};
pub use log::{Log, LogCounts, LogStatus, Record, Stored, StoredContents};
pub use mailbox::Dropped;
pub(crate) use mailbox::{Incoming, Outgoing};
pub use options::{
    DEAD_LETTER_BYTES, DEFAULT_MAX_BYTES, Fsync, LogOptions, MIN_BYTES, Order, SYNC_INTERVAL, SpoolMode,
    SpoolOptions,
};
pub use segment::{FORMAT_VERSION, inspect};
