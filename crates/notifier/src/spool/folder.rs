//! The folder of a spool on a real file system: private, locked, and not reachable through a symbolic link.

use std::fs::{DirBuilder, File};
use std::io::{self, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, FileExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, FlockOperation, Mode, OFlags};

use super::disk::{Disk, DiskFile, ReadAt};
use super::segment;

/// The lock file. It contains the id of the process that holds the lock.
const LOCK: &str = "lock";

/// A folder that is locked by this process until it is dropped.
#[derive(Debug)]
pub struct Folder {
    folder: OwnedFd,
    /// Holds the lock.
    _lock: File,
}

/// Why a folder cannot be used; completes "failed to open the spool: ...".
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Another process holds the lock.
    #[error("{} is in use by {}", path.display(), holder(*pid))]
    InUse {
        /// The folder.
        path: PathBuf,
        /// The id of that process, if it is known.
        pid: Option<u32>,
    },
    /// It belongs to another user, who could change its contents.
    #[error("{} belongs to user {owner}, not to the user of this process", path.display())]
    NotOurs {
        /// The folder.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// It cannot be created, opened or locked.
    #[error("cannot {what} {}", path.display())]
    Io {
        /// The operation.
        what: &'static str,
        /// The folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or("another process".to_owned(), |pid| format!("process {pid}"))
}

impl Folder {
    /// Opens the folder at `path`, creates it with mode 0700 if it does not exist, and locks it.
    ///
    /// Rejects a symbolic link as the last component. Removes the access of other users.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        let failure = |what| {
            let path = path.to_owned();
            move |source: io::Error| FolderError::Io { what, path, source }
        };
        let made = DirBuilder::new().mode(0o700).recursive(true).create(path);
        // This accepts a link to a folder; opening rejects it.
        made.map_err(failure("create"))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = rustix::fs::open(path, flags, Mode::empty())
            .map_err(io::Error::from)
            .map_err(failure("open"))?;
        let found = rustix::fs::fstat(&folder)
            .map_err(io::Error::from)
            .map_err(failure("inspect"))?;
        if found.st_uid != rustix::process::geteuid().as_raw() {
            return Err(FolderError::NotOurs {
                path: path.to_owned(),
                owner: found.st_uid,
            });
        }
        if found.st_mode & 0o077 != 0 {
            rustix::fs::fchmod(&folder, Mode::RWXU)
                .map_err(io::Error::from)
                .map_err(failure("remove the access of other users from"))?;
        }
        let mut lock = open_at(&folder, LOCK, OFlags::CREATE).map_err(failure("lock"))?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut text = [0; 16];
                let read = FileExt::read_at(&lock, &mut text, 0).unwrap_or(0);
                // The holder may not have written its id yet.
                let text = text.get(..read).and_then(|text| str::from_utf8(text).ok());
                return Err(FolderError::InUse {
                    path: path.to_owned(),
                    pid: text.and_then(|text| text.trim().parse().ok()),
                });
            }
            Err(error) => return Err(failure("lock")(error.into())),
        }
        // Only for the error message of another process, so that a failure is ignored.
        let _ = lock
            .set_len(0)
            .and_then(|()| lock.write_all(format!("{}\n", std::process::id()).as_bytes()));
        Ok(Self { folder, _lock: lock })
    }
}

/// Whether the folder at `path` contains segments of a spool. Does not open or lock it.
pub fn has_segments(path: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(path) else {
        return false;
    };
    let mut names = entries.flatten().map(|entry| entry.file_name());
    names.any(|name| name.to_str().and_then(segment::parse_name).is_some())
}

fn open_at(folder: &impl AsFd, name: &str, flags: OFlags) -> io::Result<File> {
    // Without NONBLOCK, opening a named pipe would wait for its other end.
    let flags = flags | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(folder, name, flags, Mode::RUSR | Mode::WUSR)?;
    let found = rustix::fs::fstat(&file)?;
    if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
        return Err(io::Error::other("it is not a regular file"));
    }
    Ok(file.into())
}

impl Disk for Folder {
    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.folder)? {
            // A name that is not UTF-8 is not a name of the spool's files.
            if let Ok(name) = entry?.file_name().to_str() {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(open_at(&self.folder, name, OFlags::empty())?))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(open_at(
            &self.folder,
            name,
            OFlags::CREATE | OFlags::EXCL,
        )?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.folder, from, &self.folder, to)?)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.folder, name, AtFlags::empty())?)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.folder)?)
    }
}

impl ReadAt for File {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, bytes, offset)
    }
}

impl DiskFile for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        FileExt::write_at(self, bytes, offset)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}
