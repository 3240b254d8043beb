//! Safe reading of files that others wrote: regular files only, bounded, without blocking on open.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The file does not exist.
    #[error("it does not exist")]
    NotFound,
    /// The path is not a regular file, for example a pipe.
    #[error("it is {0}, not a regular file")]
    NotRegular(&'static str),
    /// The file has more bytes than this.
    #[error("it is larger than {0} bytes")]
    TooLarge(u64),
    /// The folder has more files than this.
    #[error("it has more than {0} files")]
    TooMany(usize),
    /// The file is not UTF-8.
    #[error("it is not UTF-8 at byte {0}")]
    NotText(usize),
    /// The operating system returned an error.
    #[error("{0}")]
    Io(io::Error),
}

impl From<io::Error> for FileError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::NotFound,
            _ => Self::Io(error),
        }
    }
}

/// Reads a regular file of at most `limit` bytes.
///
/// A pipe, a device or a socket is rejected before it is opened. If the path becomes one in between, the open does not block.
///
/// # Errors
///
/// When the file could not be read.
pub fn read_file(path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    check(&fs::metadata(path)?, limit)?;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC | libc::O_NOCTTY)
        .open(path)?;
    check(&file.metadata()?, limit)?;
    read_bounded(file, limit)
}

fn read_bounded(file: File, limit: u64) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    // One byte more than allowed detects a file that has grown, or reports no size, such as those of /proc.
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(FileError::TooLarge(limit));
    }
    Ok(bytes)
}

fn check(metadata: &fs::Metadata, limit: u64) -> Result<(), FileError> {
    let kind = metadata.file_type();
    if kind.is_file() {
        return if metadata.len() > limit {
            Err(FileError::TooLarge(limit))
        } else {
            Ok(())
        };
    }
    Err(FileError::NotRegular(if kind.is_dir() {
        "a folder"
    } else if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_regular_files_only() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("file");
        fs::write(&path, "12345").expect("write");
        assert_eq!(read_file(&path, 5).expect("read"), b"12345");
        assert!(matches!(read_file(&path, 4), Err(FileError::TooLarge(4))));
        assert!(matches!(
            read_file(folder.path(), 5),
            Err(FileError::NotRegular("a folder"))
        ));
        assert!(matches!(
            read_file(Path::new("/dev/zero"), 5),
            Err(FileError::NotRegular("a device"))
        ));
        assert!(matches!(
            read_file(&folder.path().join("none"), 5),
            Err(FileError::NotFound)
        ));
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .expect("mkfifo");
        assert!(made.success());
        assert!(matches!(
            read_file(&pipe, 5),
            Err(FileError::NotRegular("a pipe"))
        ));
    }

    #[test]
    fn a_file_without_a_size_is_bounded_too() {
        assert!(matches!(
            read_file(Path::new("/proc/self/status"), 10),
            Err(FileError::TooLarge(10))
        ));
    }
}
