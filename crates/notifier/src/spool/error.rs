//! Why the spool cannot do something.

use std::io;

use nephoscope_model::EncodingId;

use super::folder::FolderError;

/// Why a spool cannot be opened; completes "failed to ...".
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its folder cannot be used.
    #[error("use the folder of the spool")]
    Folder(#[source] FolderError),
    /// A later version of this program has written it.
    #[error("read the spool: `{file}` has format {found}, this program reads formats up to {known}")]
    OtherVersion {
        /// The file.
        file: String,
        /// The version that it has.
        found: u32,
        /// The latest version that is read.
        known: u32,
    },
    /// A later version of this program has compressed it.
    #[error("read the spool: `{file}` has compression {found}, this program reads what is not compressed")]
    OtherCompression {
        /// The file.
        file: String,
        /// The compression that it has.
        found: u8,
    },
    /// A later version of this program has stored something else than samples or events.
    #[error("read the spool: `{file}` has payloads of kind {found}, this program reads samples and events")]
    OtherKind {
        /// The file.
        file: String,
        /// The kind that it has.
        found: u8,
    },
    /// The disk does not answer as it should.
    #[error("read the spool: cannot {what}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Why a record was not appended; completes "failed to ...". The spool is as it was before.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The disk, or the user's share of it, is full.
    #[error("append to the spool: the disk is full")]
    DiskFull,
    /// It is larger than the spool may be.
    #[error("append to the spool: {bytes} bytes are more than the spool may hold")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// The name of its encoding is none that a spool stores.
    #[error("append to the spool: `{encoding}` is no name of an encoding")]
    Encoding {
        /// The encoding.
        encoding: EncodingId,
    },
    /// The disk does not take it.
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
