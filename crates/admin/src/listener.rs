//! Where the admin API listens: a unix socket, or a TCP address.

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

/// The longest path of a socket: `sun_path` of unix(7) has 108 bytes, one of which ends it.
const LONGEST_PATH: usize = 107;

/// Who may talk to the agent: its user and its group.
const SOCKET_MODE: u32 = 0o660;

/// How long looking up the name of a TCP address may take.
const LOOKUP: Duration = Duration::from_secs(5);

/// Connections that wait to be accepted.
const BACKLOG: i32 = 64;

/// Why the admin API does not listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The kernel takes no path of this length.
    #[error(
        "listen at {}: the path has {length} bytes, and a socket's may have {LONGEST_PATH}; give a shorter one as `agent.admin`",
        path.display()
    )]
    PathTooLong {
        /// The path.
        path: PathBuf,
        /// Its length.
        length: usize,
    },
    /// Something that is no socket stands there; it may be a link.
    #[error("listen at {}: something that is not a socket is there already", .0.display())]
    NotASocket(PathBuf),
    /// Another process listens there.
    #[error("listen at {}: another process, perhaps another agent, listens there", .0.display())]
    InUse(PathBuf),
    /// The kernel refused.
    #[error("listen at {}", path.display())]
    Unix {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The address is not ours, in use, or not to be had.
    #[error("listen at {address}")]
    Tcp {
        /// The address.
        address: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A place that clients can connect to. A socket's file goes when this is dropped.
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
        /// The host as it was asked for.
        host: String,
    },
}

/// A connection of a client.
pub(crate) enum Connection {
    /// On the unix socket.
    Unix(UnixStream),
    /// On TCP.
    Tcp(TcpStream),
}

impl Listener {
    /// Listens at a unix socket that the user and the group of the process may use. What an agent left behind there when it
    /// died is replaced, anything else is not touched, and no link is followed.
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
                // Whoever was quicker has it.
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

    /// Where it listens, as in the configuration: `unix:PATH` or `tcp:ADDRESS:PORT`.
    pub(crate) fn place(&self) -> String {
        match &self.0 {
            Kind::Unix { file, .. } => format!("unix:{}", file.path.display()),
            Kind::Tcp { address, .. } => format!("tcp:{address}"),
        }
    }

    /// The host of the TCP address as it was asked for.
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

/// Makes a socket there, which fails if anything is there.
fn bind(address: &SocketAddrUnix) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    // Linux gives the file the mode of the socket, less the umask: at no time may others connect.
    rustix::fs::fchmod(&socket, Mode::from_raw_mode(SOCKET_MODE))?;
    rustix::net::bind(&socket, address)?;
    Ok(socket)
}

/// Removes a socket that nobody answers on.
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
        // Its backlog is full.
        Ok(()) | Err(Errno::AGAIN | Errno::INPROGRESS) => Err(ListenError::InUse(path.to_owned())),
        Err(error) => Err(failed(error.into())),
    }
}

/// The file of our socket.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    /// Device and inode: another process may have put its own there since.
    identity: (u64, u64),
}

impl SocketFile {
    /// Finds the file, and gives it the exact mode, whatever the umask was.
    fn open(path: &Path) -> io::Result<Self> {
        // By a handle that follows no link: what stands at the path may have been exchanged.
        let handle = rustix::fs::open(
            path,
            OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        let found = PathBuf::from(format!("/proc/self/fd/{}", handle.as_raw_fd()));
        let metadata = fs::metadata(&found)?;
        if !metadata.file_type().is_socket() {
            return Err(io::Error::other("the socket was replaced while it was made"));
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
            // One that stays is found stale by the next agent.
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
    async fn the_socket_is_for_user_and_group_and_goes_at_the_end() {
        let folder = folder();
        let path = folder.path().join("admin.sock");
        let listener = Listener::unix(&path).unwrap();
        assert_eq!(
            fs::symlink_metadata(&path).unwrap().permissions().mode() & 0o777,
            0o660
        );
        assert_eq!(listener.place(), format!("unix:{}", path.display()));
        drop(listener);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_socket_that_nobody_answers_on_is_replaced() {
        let folder = folder();
        let path = folder.path().join("admin.sock");
        // Closing it leaves the file, as an agent does that was killed.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let _listener = Listener::unix(&path).unwrap();
        UnixStream::connect(&path).await.unwrap();
    }

    #[tokio::test]
    async fn a_socket_in_use_is_left_alone() {
        let folder = folder();
        let path = folder.path().join("admin.sock");
        let first = Listener::unix(&path).unwrap();
        assert!(matches!(Listener::unix(&path), Err(ListenError::InUse(_))));
        UnixStream::connect(&path).await.unwrap();
        drop(first);
    }

    #[tokio::test]
    async fn a_file_of_another_is_not_removed_at_the_end() {
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
        // Even a link to a stale socket.
        drop(std::os::unix::net::UnixListener::bind(&target).unwrap());
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert!(matches!(Listener::unix(&link), Err(ListenError::NotASocket(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        assert!(target.exists() && link.symlink_metadata().unwrap().is_symlink());
    }

    #[tokio::test]
    async fn errors_say_where_and_why() {
        let long = PathBuf::from(format!("/tmp/{}/admin.sock", "x".repeat(100)));
        let shown = Listener::unix(&long)
            .unwrap_err()
            .to_string()
            .replace(&"x".repeat(100), "xxx");
        insta::assert_snapshot!(shown, @"listen at /tmp/xxx/admin.sock: the path has 116 bytes, and a socket's may have 107; give a shorter one as `agent.admin`");
        let error = Listener::unix(Path::new("/nonexistent/admin.sock")).unwrap_err();
        insta::assert_snapshot!(error, @"listen at /nonexistent/admin.sock");
        let taken = Listener::tcp("127.0.0.1:0").await.unwrap();
        let address = taken.place().strip_prefix("tcp:").unwrap().to_owned();
        let error = Listener::tcp(&address).await.unwrap_err();
        assert_eq!(error.to_string(), format!("listen at {address}"));
    }
}
