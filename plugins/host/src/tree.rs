//! The locations of the kernel's files, and reading one as a whole.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nephoscope_plugin::Failure;

use crate::options::Options;

/// The largest file that is read. The largest on real machines, a list of 10,000 mounts, has 2 MiB.
const MAX_FILE: u64 = 16 << 20;

/// The locations of the kernel's files.
#[derive(Debug)]
pub(crate) struct Tree {
    proc: PathBuf,
    sys: PathBuf,
    root: PathBuf,
    /// The process whose mounts and interfaces are measured.
    process: &'static str,
}

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// This kernel, or this container, does not have the file.
    #[error("{0} does not exist")]
    Missing(PathBuf),
    /// It cannot be read.
    #[error("cannot read {path}")]
    Io { path: PathBuf, source: io::Error },
    /// It is longer than [`MAX_FILE`].
    #[error("{0} is longer than {MAX_FILE} bytes")]
    TooLong(PathBuf),
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        let message = error.to_string();
        match error {
            ReadError::Missing(_) => Failure::not_supported(message),
            ReadError::Io { source, .. } => Failure::transient(message).caused_by(source),
            ReadError::TooLong(_) => Failure::transient(message),
        }
    }
}

impl Tree {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            // `self` in the proc file system of another machine or container is the agent.
            process: if is_default(options) { "self" } else { "1" },
            proc: options.proc.clone(),
            sys: options.sys.clone(),
            root: options.root.clone(),
        }
    }

    /// Whether the agent is in the namespaces that it measures.
    pub(crate) fn is_own(&self) -> bool {
        self.process == "self"
    }

    /// `/proc/<name>`.
    pub(crate) fn proc(&self, name: &str) -> PathBuf {
        self.proc.join(name)
    }

    /// `/proc/<process>/<name>` of the process whose mounts and interfaces are measured.
    pub(crate) fn process(&self, name: &str) -> PathBuf {
        self.proc.join(self.process).join(name)
    }

    /// `/sys/class/net/<interface>/<name>`.
    pub(crate) fn interface(&self, interface: &OsStr, name: &str) -> PathBuf {
        self.sys.join("class/net").join(interface).join(name)
    }

    /// Returns where the agent finds an absolute path of the measured machine.
    pub(crate) fn rooted(&self, path: &[u8]) -> PathBuf {
        let path = Path::new(OsStr::from_bytes(path));
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }
}

/// Reads a whole file into `buffer`, which is cleared first.
pub(crate) fn read(path: PathBuf, buffer: &mut Vec<u8>) -> Result<(), ReadError> {
    buffer.clear();
    let outcome = File::open(&path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(buffer));
    match outcome {
        Ok(length) if length as u64 > MAX_FILE => Err(ReadError::TooLong(path)),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(ReadError::Missing(path)),
        Err(source) => Err(ReadError::Io { path, source }),
    }
}

fn is_default(options: &Options) -> bool {
    options.proc == Path::new("/proc")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_another_root_are_below_it() {
        let own = Tree::new(&Options::default());
        assert_eq!(own.rooted(b"/var/log"), Path::new("/var/log"));
        assert_eq!(own.process("mountinfo"), Path::new("/proc/self/mountinfo"));
        let other = Tree::new(&Options {
            proc: "/host/proc".into(),
            root: "/host".into(),
            ..Options::default()
        });
        assert_eq!(other.rooted(b"/var/log"), Path::new("/host/var/log"));
        assert_eq!(other.rooted(b"/"), Path::new("/host"));
        assert_eq!(other.process("mountinfo"), Path::new("/host/proc/1/mountinfo"));
    }

    #[test]
    fn a_missing_file_is_not_supported_and_an_unreadable_one_is_transient() {
        let kind = |path: &str| {
            let error = read(path.into(), &mut Vec::new()).unwrap_err();
            Failure::from(error).kind().as_str()
        };
        assert_eq!(kind("/nowhere/stat"), "not_supported");
        assert_eq!(kind("/"), "transient");
    }

    #[test]
    fn an_endless_file_is_not_read_forever() {
        let mut buffer = Vec::new();
        let error = read("/dev/zero".into(), &mut buffer).unwrap_err();
        assert_eq!(error.to_string(), "/dev/zero is longer than 16777216 bytes");
    }
}
