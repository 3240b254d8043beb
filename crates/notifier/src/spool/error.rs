//! Errors of the spool.

use std::io;

use nephoscope_model::EncodingId;

use super::folder::FolderError;

/// A failure to open a spool; completes "failed to ...".
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder cannot be used.
    #[error("use the folder of the spool")]
    Folder(#[source] FolderError),
    /// A later version of this program wrote it.
    #[error("read the spool: `{file}` has format {found}; this program supports formats up to {known}")]
    OtherVersion {
        /// The file.
        file: String,
        /// The version of the file.
        found: u32,
        /// The newest supported version.
        known: u32,
    },
    /// A later version of this program compressed it.
    #[error("read the spool: `{file}` has compression {found}; this program supports uncompressed payloads")]
    OtherCompression {
        /// The file.
        file: String,
        /// The compression of the file.
        found: u8,
    },
    /// A later version of this program stored another kind of payload.
    #[error(
        "read the spool: `{file}` has payloads of kind {found}; this program supports samples and events"
    )]
    OtherKind {
        /// The file.
        file: String,
        /// The kind of the payloads.
        found: u8,
    },
    /// An I/O operation failed.
    #[error("read the spool: cannot {what}")]
    Io {
        /// The operation.
        what: &'static str,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

/// A failure to append a record; completes "failed to ...". The spool is unchanged.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The disk or the user's quota is full.
    #[error("append to the spool: the disk is full")]
    DiskFull,
    /// The record exceeds the size limit of the spool.
    #[error("append to the spool: {bytes} bytes exceed the size limit of the spool")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// The name of its encoding is invalid.
    #[error("append to the spool: `{encoding}` is not a valid name of an encoding")]
    Encoding {
        /// The encoding.
        encoding: EncodingId,
    },
    /// An I/O operation failed.
    #[error("append to the spool")]
    Io(#[source] io::Error),
}

impl AppendError {
    pub(super) fn from_io(error: io::Error) -> Self {
        if super::disk::is_full(&error) {
            Self::DiskFull
        } else {
            Self::Io(error)
        }
    }
}
