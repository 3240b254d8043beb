//! Whether anybody still reads standard output.

use std::future::pending;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use tokio::io::Interest;
use tokio::net::unix::pipe;

/// Resolves when the reader of standard output is gone: the other end of a pipe, or a terminal. Never for a
/// file, which has no reader.
pub(crate) async fn stdout_closed() {
    match watched(io::stdout().as_fd().try_clone_to_owned()) {
        Ok(stdout) => closed(&stdout).await,
        Err(_) => pending().await,
    }
}

/// Only asks the kernel for events: nothing is written here, so it need be neither a pipe nor non-blocking (which
/// would be so for everybody who has the same standard output).
fn watched(fd: io::Result<OwnedFd>) -> io::Result<pipe::Sender> {
    pipe::Sender::from_owned_fd_unchecked(fd?)
}

async fn closed(fd: &pipe::Sender) {
    // An error here is one of the runtime, which ends: nobody waits any more.
    while fd
        .ready(Interest::ERROR)
        .await
        .is_ok_and(|ready| !ready.is_error())
    {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_pipe_without_a_reader_is_closed() {
        let (reader, writer) = io::pipe().unwrap();
        let writer = watched(Ok(OwnedFd::from(writer))).unwrap();
        let mut waiting = std::pin::pin!(closed(&writer));
        tokio::select! {
            biased;
            () = &mut waiting => panic!("the reader is still there"),
            () = tokio::task::yield_now() => {}
        }
        drop(reader);
        tokio::time::timeout(std::time::Duration::from_secs(60), waiting)
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn a_file_has_no_reader() {
        let file = tempfile::tempfile().unwrap();
        assert!(watched(Ok(OwnedFd::from(file))).is_err());
    }
}
