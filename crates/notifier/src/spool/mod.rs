//! The spool: a bounded queue of batches on disk, for each publisher that has one.
//!
//! [`Log`] is the queue of records, [`Disk`] what it needs of a file system, [`Folder`] the real one. The files are
//! described in `docs/spool-format.md`, what they promise in `docs/delivery.md`.

mod bytes;
mod cursor;
mod disk;
mod error;
mod folder;
mod frame;
mod log;
mod options;
mod ranges;
mod segment;

pub use disk::{Disk, DiskFile, ReadAt, is_full};
pub use error::{AppendError, OpenError};
pub use folder::{Folder, FolderError};
pub use frame::MAX_PAYLOAD;
pub use log::{Log, LogCounts, LogStatus, Record, Stored};
pub use options::{LogOptions, MIN_BYTES, Order};
pub use segment::{FORMAT_VERSION, inspect};
