//! The state folder: made for the agent's user alone, and held by one agent at a time.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;

/// The file whose lock says that an agent uses the folder.
const LOCK: &str = "agent.lock";

/// Others may not write into the folder.
const WRITABLE_BY_OTHERS: u32 = 0o002;

/// Why the state folder cannot be used; completes "failed to take the state folder: ...".
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateError {
    /// It is not there and cannot be made.
    #[error("cannot make `{}` (`agent.state_dir`)", path.display())]
    Make {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is somebody else's.
    #[error("`{}` belongs to the user with the id {owner}, not to the one who runs this; set `agent.state_dir`", path.display())]
    Owner {
        /// The folder.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
    },
    /// Anybody could put files there.
    #[error("everybody may write to `{}`; set `agent.state_dir` to a folder of its own", path.display())]
    Open {
        /// The folder.
        path: PathBuf,
    },
    /// Its lock cannot be taken for a reason that is not another agent.
    #[error("cannot lock `{}`", path.display())]
    Lock {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another agent works with it.
    #[error("another agent{} uses `{}`; stop it, or set `agent.state_dir` and `agent.id`", process(.pid), path.display())]
    Held {
        /// The folder.
        path: PathBuf,
        /// The process id of the other agent, if it has said so.
        pid: Option<u32>,
    },
}

fn process(pid: &Option<u32>) -> String {
    pid.map(|pid| format!(" with the process id {pid}"))
        .unwrap_or_default()
}

/// The state folder, held until this is dropped.
#[derive(Debug)]
pub(crate) struct StateDir {
    path: PathBuf,
    /// Its lock ends with it, or with the process.
    _lock: File,
}

impl StateDir {
    /// Makes the folder if need be, and takes it.
    pub(crate) fn take(path: &Path) -> Result<Self, StateError> {
        let path = path.to_owned();
        let make = |source| StateError::Make {
            path: path.clone(),
            source,
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .map_err(make)?;
        let folder = fs::metadata(&path).map_err(make)?;
        if folder.uid() != rustix::process::geteuid().as_raw() {
            return Err(StateError::Owner {
                path,
                owner: folder.uid(),
            });
        }
        if folder.permissions().mode() & WRITABLE_BY_OTHERS != 0 {
            return Err(StateError::Open { path });
        }
        let lock = lock(&path)?;
        Ok(Self { path, _lock: lock })
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

fn lock(folder: &Path) -> Result<File, StateError> {
    let path = folder.join(LOCK);
    let failed = |source| StateError::Lock {
        path: path.clone(),
        source,
    };
    let no_link = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default();
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(no_link)
        .open(&path)
        .map_err(failed)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => {
            return Err(StateError::Held {
                path: folder.to_owned(),
                pid: holder(&file),
            });
        }
        Err(error) => return Err(failed(error.into())),
    }
    // For whoever comes next and finds it held.
    let write = |file: &mut File| {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())
    };
    write(&mut file).map_err(failed)?;
    Ok(file)
}

fn holder(file: &File) -> Option<u32> {
    /// A process id has fewer digits.
    const LONGEST: u64 = 20;
    let mut text = String::new();
    file.take(LONGEST).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_made_for_its_user_alone_and_held_by_one_agent() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a/b");
        let held = StateDir::take(&path).unwrap();
        assert_eq!(
            fs::metadata(held.path()).unwrap().permissions().mode() & 0o777,
            0o700
        );
        assert_eq!(
            fs::metadata(path.join(LOCK)).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let pid = std::process::id();
        match StateDir::take(&path) {
            Err(StateError::Held {
                pid: Some(holder), ..
            }) => assert_eq!(holder, pid),
            other => panic!("{other:?}"),
        }
        drop(held);
        StateDir::take(&path).unwrap();
    }

    #[test]
    fn a_lock_that_is_a_link_is_not_followed() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("state");
        DirBuilder::new().mode(0o700).create(&path).unwrap();
        let target = root.path().join("precious");
        fs::write(&target, "keep").unwrap();
        std::os::unix::fs::symlink(&target, path.join(LOCK)).unwrap();
        assert!(matches!(StateDir::take(&path), Err(StateError::Lock { .. })));
        assert_eq!(fs::read_to_string(target).unwrap(), "keep");
    }

    #[test]
    fn a_folder_that_everybody_may_write_to_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("state");
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(StateDir::take(&path), Err(StateError::Open { .. })));
    }
}
