//! A service manager: a socket that receives the program's state notifications.

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use crate::deadline::{Deadline, PATIENCE};

/// The maximum length of a message.
const LONGEST: usize = 4096;

/// The receiving end of `NOTIFY_SOCKET`.
#[derive(Debug)]
pub struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Manager {
    /// Listens at a path.
    #[must_use]
    pub fn listen(path: PathBuf) -> Self {
        let socket = UnixDatagram::bind(&path).expect("a socket can be created");
        Self { socket, path }
    }

    /// The value of `NOTIFY_SOCKET`.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits for a message that contains `line`, and returns all lines received so far.
    pub fn wait_for(&self, line: &str) -> Vec<String> {
        let deadline = Deadline::start();
        let mut lines = Vec::new();
        loop {
            assert!(!deadline.has_passed(), "waited for {line}, and got {lines:?}");
            self.socket
                .set_read_timeout(Some(deadline.left().min(PATIENCE)))
                .expect("a socket has a timeout");
            let mut message = [0; LONGEST];
            let length = match self.socket.recv(&mut message) {
                Ok(length) => length,
                Err(error) => panic!("waited for {line}, and got {lines:?}: {error}"),
            };
            let text = String::from_utf8_lossy(message.get(..length).unwrap_or_default()).into_owned();
            let found = text.lines().any(|found| found == line);
            lines.extend(text.lines().map(str::to_owned));
            if found {
                return lines;
            }
        }
    }
}
