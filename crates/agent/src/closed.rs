//! Detects that nobody reads standard output.

use std::fs::File;
use std::future::pending;
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;

use tokio::io::Interest;
use tokio::net::unix::pipe;

/// Resolves when the reader of standard output is gone: the other end of a pipe, or a terminal. Never resolves for a file,
/// which has no reader, or for a socket, so that a restart of the journal does not end the agent.
pub(crate) async fn stdout_closed() {
    match io::stdout().as_fd().try_clone_to_owned().and_then(watched) {
        Ok(Some(stdout)) => closed(&stdout).await,
        Ok(None) | Err(_) => pending().await,
    }
}

/// Registers for events only. Nothing is written here, so that the descriptor need not be non-blocking, which would affect all
/// processes with the same standard output.
fn watched(fd: OwnedFd) -> io::Result<Option<pipe::Sender>> {
    let file = File::from(fd);
    if !file.is_terminal() && !file.metadata()?.file_type().is_fifo() {
        return Ok(None);
    }
    pipe::Sender::from_owned_fd_unchecked(file.into()).map(Some)
}

async fn closed(fd: &pipe::Sender) {
    // An error here means that the runtime is shutting down.
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
        let writer = watched(OwnedFd::from(writer)).unwrap().unwrap();
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
    async fn a_file_and_a_socket_are_not_watched() {
        let file = tempfile::tempfile().unwrap();
        assert!(watched(OwnedFd::from(file)).unwrap().is_none());
        let (socket, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(watched(OwnedFd::from(socket)).unwrap().is_none());
    }
}
