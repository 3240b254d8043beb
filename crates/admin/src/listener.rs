//! The listeners of the admin API: a unix socket or a TCP address.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::time::timeout;

/// The maximum length of a socket path: `sun_path` of unix(7) has 108 bytes, including the final NUL.
const LONGEST_PATH: usize = 107;

/// The mode of the socket: the agent's user and group may connect.
const SOCKET_MODE: u32 = 0o660;

/// The timeout for resolving the name of a TCP address.
const LOOKUP: Duration = Duration::from_secs(5);

/// The backlog of pending connections.
const BACKLOG: i32 = 64;

/// An error of a listener of the admin API.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The path is too long for a socket.
    #[error(
        "listen at {}: the path has {length} bytes; the maximum is {LONGEST_PATH}; set a shorter `agent.admin`",
        path.display()
    )]
    PathTooLong {
        /// The path.
        path: PathBuf,
        /// The length of the path.
        length: usize,
    },
    /// The path exists and is not a socket. It may be a symbolic link.
    #[error("listen at {}: the path exists and is not a socket", .0.display())]
    NotASocket(PathBuf),
    /// Another process listens at the path.
    #[error("listen at {}: another process, possibly another agent, listens there", .0.display())]
    InUse(PathBuf),
    /// A system call failed.
    #[error("listen at {}", path.display())]
    Unix {
        /// The path.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The address is in use, unavailable or cannot be resolved.
    #[error("listen at {address}")]
    Tcp {
        /// The address.
        address: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

/// A listening socket. The file of a unix socket is removed on drop.
#[derive(Debug)]
pub(crate) struct Listener(Kind);

#[derive(Debug)]
enum Kind {
    Unix {
        listener: UnixListener,
        file: SocketFile,
    },
    Tcp {
        listener: TcpListener,
        address: SocketAddr,
        /// The host as configured.
        host: String,
    },
}

/// A client connection.
pub(crate) enum Connection {
    /// A connection on the unix socket.
    Unix(UnixStream),
    /// A TCP connection.
    Tcp(TcpStream),
}

impl Listener {
    /// Listens at a unix socket that the user and the group of the process may use. A stale socket of a dead agent is replaced.
    /// Other files are not changed, and symbolic links are not followed.
    ///
    /// Must be called within a runtime.
    pub(crate) fn unix(path: &Path) -> Result<Self, ListenError> {
        let length = path.as_os_str().len();
        if length > LONGEST_PATH {
            return Err(ListenError::PathTooLong {
                path: path.to_owned(),
                length,
            });
        }
        let failed = |source: io::Error| ListenError::Unix {
            path: path.to_owned(),
            source,
        };
        let address = SocketAddrUnix::new(path).map_err(|error| failed(error.into()))?;
        let socket = match bind(&address) {
            Err(Errno::ADDRINUSE) => {
                remove_stale(path, &address)?;
                // Another agent may have bound the path meanwhile.
                bind(&address).map_err(|error| match error {
                    Errno::ADDRINUSE => ListenError::InUse(path.to_owned()),
                    error => failed(error.into()),
                })?
            }
            bound => bound.map_err(|error| failed(error.into()))?,
        };
        let file = SocketFile::open(path).map_err(failed)?;
        rustix::net::listen(&socket, BACKLOG).map_err(|error| failed(error.into()))?;
        let listener = UnixListener::from_std(socket.into()).map_err(failed)?;
        Ok(Self(Kind::Unix { listener, file }))
    }

    /// Listens at `HOST:PORT`.
    pub(crate) async fn tcp(address: &str) -> Result<Self, ListenError> {
        let failed = |source: io::Error| ListenError::Tcp {
            address: address.to_owned(),
            source,
        };
        let listener = match timeout(LOOKUP, TcpListener::bind(address)).await {
            Ok(bound) => bound.map_err(failed)?,
            Err(_) => return Err(failed(io::ErrorKind::TimedOut.into())),
        };
        let host = address
            .rsplit_once(':')
            .map_or(address, |(host, _)| host)
            .to_owned();
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self(Kind::Tcp {
            listener,
            address,
            host,
        }))
    }

    /// Returns the address as in the configuration: `unix:PATH` or `tcp:ADDRESS:PORT`.
    pub(crate) fn address(&self) -> String {
        match &self.0 {
            Kind::Unix { file, .. } => format!("unix:{}", file.path.display()),
            Kind::Tcp { address, .. } => format!("tcp:{address}"),
        }
    }

    /// Returns the host of the TCP address as configured.
    pub(crate) fn host(&self) -> Option<&str> {
        match &self.0 {
            Kind::Unix { .. } => None,
            Kind::Tcp { host, .. } => Some(host),
        }
    }

    pub(crate) async fn accept(&self) -> io::Result<Connection> {
        match &self.0 {
            Kind::Unix { listener, .. } => Ok(Connection::Unix(listener.accept().await?.0)),
            Kind::Tcp { listener, .. } => Ok(Connection::Tcp(listener.accept().await?.0)),
        }
    }
}

/// Binds a socket to the path. Fails if the path exists.
fn bind(address: &SocketAddrUnix) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    // Linux gives the file the mode of the socket, less the umask. Other users can never connect.
    rustix::fs::fchmod(&socket, Mode::from_raw_mode(SOCKET_MODE))?;
    rustix::net::bind(&socket, address)?;
    Ok(socket)
}

/// Removes a socket on which no process listens.
fn remove_stale(path: &Path, address: &SocketAddrUnix) -> Result<(), ListenError> {
    let failed = |source: io::Error| ListenError::Unix {
        path: path.to_owned(),
        source,
    };
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => {}
        Ok(_) => return Err(ListenError::NotASocket(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    }
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let probe = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None);
    let answered = probe.and_then(|probe| rustix::net::connect(&probe, address));
    match answered {
        Err(Errno::CONNREFUSED) => match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
            _ => Ok(()),
        },
        Err(Errno::NOENT) => Ok(()),
        // The other process listens, even if its backlog is full.
        Ok(()) | Err(Errno::AGAIN | Errno::INPROGRESS) => Err(ListenError::InUse(path.to_owned())),
        Err(error) => Err(failed(error.into())),
    }
}

/// The file of the socket.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    /// The device and inode. Another process may have replaced the file since.
    identity: (u64, u64),
}

impl SocketFile {
    /// Opens the file and sets its exact mode, independent of the umask.
    fn open(path: &Path) -> io::Result<Self> {
        // The handle does not follow links: the file at the path may have been replaced.
        let handle = rustix::fs::open(
            path,
            OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        let found = PathBuf::from(format!("/proc/self/fd/{}", handle.as_raw_fd()));
        let metadata = fs::metadata(&found)?;
        if !metadata.file_type().is_socket() {
            return Err(io::Error::other("the socket was replaced while it was created"));
        }
        fs::set_permissions(&found, fs::Permissions::from_mode(SOCKET_MODE))?;
        Ok(Self {
            path: path.to_owned(),
            identity: (metadata.dev(), metadata.ino()),
        })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours =
            fs::symlink_metadata(&self.path).is_ok_and(|found| (found.dev(), found.ino()) == self.identity);
        if ours {
            // The next agent replaces a file that remains.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[tokio::test]
    async fn the_socket_is_for_user_and_group_and_is_removed_on_drop() {
        let folder = folder();
        let path = folder.path().join("admin.sock");
        let listener = Listener::unix(&path).unwrap();
        assert_eq!(
            fs::symlink_metadata(&path).unwrap().permissions().mode() & 0o777,
            0o660
        );
        assert_eq!(listener.address(), format!("unix:{}", path.display()));
        drop(listener);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced() {
        let folder = folder();
        let path = folder.path().join("admin.sock");
        // Closing the listener leaves the file, as a killed agent does.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let _listener = Listener::unix(&path).unwrap();
        UnixStream::connect(&path).await.unwrap();
    }

    #[tokio::test]
    async fn a_socket_in_use_is_not_replaced() {
        let folder = folder();
        let path = folder.path().join("admin.sock");
        let first = Listener::unix(&path).unwrap();
        assert!(matches!(Listener::unix(&path), Err(ListenError::InUse(_))));
        UnixStream::connect(&path).await.unwrap();
        drop(first);
    }

    #[tokio::test]
    async fn a_replaced_file_is_not_removed_on_drop() {
        let folder = folder();
        let path = folder.path().join("admin.sock");
        let listener = Listener::unix(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "mine").unwrap();
        drop(listener);
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    }

    #[tokio::test]
    async fn files_and_links_are_not_touched() {
        let folder = folder();
        let path = folder.path().join("admin.sock");
        fs::write(&path, "precious").unwrap();
        assert!(matches!(Listener::unix(&path), Err(ListenError::NotASocket(_))));
        let link = folder.path().join("link.sock");
        let target = folder.path().join("target.sock");
        // A link to a stale socket is not followed either.
        drop(std::os::unix::net::UnixListener::bind(&target).unwrap());
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert!(matches!(Listener::unix(&link), Err(ListenError::NotASocket(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        assert!(target.exists() && link.symlink_metadata().unwrap().is_symlink());
    }

    #[tokio::test]
    async fn errors_contain_the_address_and_the_cause() {
        let long = PathBuf::from(format!("/tmp/{}/admin.sock", "x".repeat(100)));
        let shown = Listener::unix(&long)
            .unwrap_err()
            .to_string()
            .replace(&"x".repeat(100), "xxx");
        insta::assert_snapshot!(shown, @"listen at /tmp/xxx/admin.sock: the path has 116 bytes; the maximum is 107; set a shorter `agent.admin`");
        let error = Listener::unix(Path::new("/nonexistent/admin.sock")).unwrap_err();
        insta::assert_snapshot!(error, @"listen at /nonexistent/admin.sock");
        let taken = Listener::tcp("127.0.0.1:0").await.unwrap();
        let address = taken.address().strip_prefix("tcp:").unwrap().to_owned();
        let error = Listener::tcp(&address).await.unwrap_err();
        assert_eq!(error.to_string(), format!("listen at {address}"));
    }
}
