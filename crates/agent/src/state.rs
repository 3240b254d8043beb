//! The state folder: private to the agent's user, and locked by one agent at a time.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;

/// The lock file of the folder.
const LOCK: &str = "agent.lock";

/// The permission bit for writes by others.
const WRITABLE_BY_OTHERS: u32 = 0o002;

/// An error of the state folder; completes "failed to use the state folder: ...".
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateError {
    /// The folder does not exist and cannot be created.
    #[error("cannot create `{}` (`agent.state_dir`)", path.display())]
    Create {
        /// The folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The folder belongs to another user.
    #[error("`{}` belongs to the user id {owner} instead of the current user; set `agent.state_dir`", path.display())]
    Owner {
        /// The folder.
        path: PathBuf,
        /// The user id of the owner.
        owner: u32,
    },
    /// Everybody may write to the folder.
    #[error("`{}` is writable by everybody; set `agent.state_dir` to a private folder", path.display())]
    WorldWritable {
        /// The folder.
        path: PathBuf,
    },
    /// The lock failed for another reason than another agent.
    #[error("cannot lock `{}`", path.display())]
    Lock {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Another agent uses the folder.
    #[error("another agent{} uses `{}`; stop it, or set `agent.state_dir` and `agent.id`", process(.pid), path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
        /// The process id of the other agent, if it is known.
        pid: Option<u32>,
    },
}

fn process(pid: &Option<u32>) -> String {
    pid.map(|pid| format!(" with the process id {pid}"))
        .unwrap_or_default()
}

/// The state folder, locked until this is dropped.
#[derive(Debug)]
pub(crate) struct StateDir {
    path: PathBuf,
    /// The lock ends with this file, or with the process.
    _lock: File,
}

impl StateDir {
    /// Creates the folder if it does not exist, and locks it.
    pub(crate) fn acquire(path: &Path) -> Result<Self, StateError> {
        let path = path.to_owned();
        let create = |source| StateError::Create {
            path: path.clone(),
            source,
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .map_err(create)?;
        let folder = fs::metadata(&path).map_err(create)?;
        if folder.uid() != rustix::process::geteuid().as_raw() {
            return Err(StateError::Owner {
                path,
                owner: folder.uid(),
            });
        }
        if folder.permissions().mode() & WRITABLE_BY_OTHERS != 0 {
            return Err(StateError::WorldWritable { path });
        }
        let lock = lock(&path)?;
        Ok(Self { path, _lock: lock })
    }

    /// Returns the folder.
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
            return Err(StateError::InUse {
                path: folder.to_owned(),
                pid: holder(&file),
            });
        }
        Err(error) => return Err(failed(error.into())),
    }
    // The process id is for the error message of other agents.
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
    fn a_folder_is_created_for_its_user_and_locked_by_one_agent() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a/b");
        let held = StateDir::acquire(&path).unwrap();
        assert_eq!(
            fs::metadata(held.path()).unwrap().permissions().mode() & 0o777,
            0o700
        );
        assert_eq!(
            fs::metadata(path.join(LOCK)).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let pid = std::process::id();
        match StateDir::acquire(&path) {
            Err(StateError::InUse {
                pid: Some(holder), ..
            }) => assert_eq!(holder, pid),
            other => panic!("{other:?}"),
        }
        drop(held);
        StateDir::acquire(&path).unwrap();
    }

    #[test]
    fn a_lock_file_that_is_a_link_is_not_followed() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("state");
        DirBuilder::new().mode(0o700).create(&path).unwrap();
        let target = root.path().join("precious");
        fs::write(&target, "keep").unwrap();
        std::os::unix::fs::symlink(&target, path.join(LOCK)).unwrap();
        assert!(matches!(StateDir::acquire(&path), Err(StateError::Lock { .. })));
        assert_eq!(fs::read_to_string(target).unwrap(), "keep");
    }

    #[test]
    fn a_world_writable_folder_is_rejected() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("state");
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(
            StateDir::acquire(&path),
            Err(StateError::WorldWritable { .. })
        ));
    }
}
