//! The exit codes of the program, and the errors that lead to them.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use nephoscope_admin::{ClientError, ListenError};
use nephoscope_plugin::CatalogError;

use crate::commands::PartitionError;
use crate::coordination::CoordinationError;
use crate::publishers::PublishersError;
use crate::settings::SettingsError;
use crate::state::StateError;

/// The result of a subcommand that did its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The subcommand succeeded.
    Done,
    /// A poll or request failed.
    Failed,
    /// A second signal terminated the program.
    Signal(u8),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Done => Self::SUCCESS,
            Exit::Failed => Self::from(1),
            // Shells report a program that a signal has terminated with this code.
            Exit::Signal(number) => Self::from(128_u8.saturating_add(number)),
        }
    }
}

/// An error that kept a subcommand from its work; completes "failed to ...".
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProgramError {
    /// The configuration has errors.
    #[error("use the configuration")]
    Settings(#[from] SettingsError),
    /// A publisher cannot be built.
    #[error("set up the publishers")]
    Publishers(#[from] PublishersError),
    /// The discovery does not exist.
    #[error("find the discovery `{name}`{}", hint(.near))]
    UnknownDiscovery {
        /// The name on the command line.
        name: String,
        /// The most similar name.
        near: Option<String>,
    },
    /// The discovery does not work on this machine.
    #[error("load the discovery `{name}`: {reason}")]
    UnavailableDiscovery {
        /// The name on the command line.
        name: String,
        /// The reason.
        reason: String,
    },
    /// The publisher does not exist or has no spool.
    #[error("find the spool of `{name}`{}", spool_hint(.near))]
    NoSpool {
        /// The name on the command line.
        name: String,
        /// The most similar name.
        near: Option<String>,
    },
    /// The running agent does not listen at a unix socket.
    #[error("query the running agent: it uses `{}` and does not listen at a unix socket; set `agent.admin` to `unix:` and restart it", state_dir.display())]
    NoSocket {
        /// The state folder of the agent.
        state_dir: PathBuf,
    },
    /// A request to the running agent failed.
    #[error("query the running agent")]
    Agent(#[from] ClientError),
    /// The plugins of this program conflict.
    #[error("combine the plugins of this program")]
    Catalog(#[from] CatalogError),
    /// The state folder cannot be used.
    #[error("use the state folder")]
    State(#[from] StateError),
    /// The admin API or the metrics listener cannot be opened.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The agent cannot share work.
    #[error(transparent)]
    Coordination(#[from] CoordinationError),
    /// The division of work cannot be shown.
    #[error(transparent)]
    Partition(#[from] PartitionError),
    /// The threads of the program cannot be started.
    #[error("start the threads of the program")]
    Runtime(#[source] io::Error),
    /// The signal handlers cannot be installed.
    #[error("install the signal handlers")]
    Signals(#[source] io::Error),
    /// Standard output cannot be written.
    #[error("write to standard output")]
    Output(#[from] io::Error),
}

fn hint(near: &Option<String>) -> String {
    near.as_ref().map_or_else(
        || ": `nephoscope plugins` lists the discoveries".to_owned(),
        |near| format!(": did you mean `{near}`?"),
    )
}

fn spool_hint(near: &Option<String>) -> String {
    near.as_ref().map_or_else(
        || ": `nephoscope spool` lists the spools".to_owned(),
        |near| format!(": did you mean `{near}`?"),
    )
}

impl ProgramError {
    /// Returns the exit code.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Settings(_) | Self::UnknownDiscovery { .. } | Self::NoSpool { .. } => 2,
            Self::Publishers(error) if error.is_configuration() => 2,
            Self::Partition(error) if error.is_usage() => 2,
            // The reader has closed the pipe, as in `nephoscope ... | head`.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            _ => 3,
        }
    }

    /// Returns the log lines: one per configuration error, or one for any other error.
    pub(crate) fn lines(&self) -> Vec<String> {
        match self {
            Self::Settings(error) => error.lines(),
            error => vec![format!("failed to {}", chain(error))],
        }
    }
}

/// Returns an error and its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_pipe_is_not_an_error() {
        let closed = ProgramError::Output(io::ErrorKind::BrokenPipe.into());
        let full = ProgramError::Output(io::ErrorKind::StorageFull.into());
        assert_eq!((closed.code(), full.code()), (0, 3));
    }

    #[test]
    fn the_chain_contains_every_cause() {
        let error = ProgramError::Runtime(io::Error::other("no memory"));
        assert_eq!(chain(&error), "start the threads of the program: no memory");
    }

    #[test]
    fn an_unknown_discovery_is_bad_usage_with_a_suggestion() {
        let error = ProgramError::UnknownDiscovery {
            name: "synthetik".into(),
            near: Some("synthetic".into()),
        };
        assert_eq!(error.code(), 2);
        assert_eq!(
            error.to_string(),
            "find the discovery `synthetik`: did you mean `synthetic`?"
        );
    }
}
