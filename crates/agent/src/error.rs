//! How the program ends: exit codes, and the errors that lead to them.

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

/// How a subcommand ended that was not kept from its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All is well.
    Done,
    /// Something that was polled, or asked for, failed.
    Failed,
    /// A second signal ended the program at once.
    Signal(u8),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Done => Self::SUCCESS,
            Exit::Failed => Self::from(1),
            // As shells report a program that a signal has ended.
            Exit::Signal(number) => Self::from(128_u8.saturating_add(number)),
        }
    }
}

/// Why a subcommand could not do its work; completes "failed to ...".
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProgramError {
    /// The configuration is wrong.
    #[error("use the configuration")]
    Settings(#[from] SettingsError),
    /// A publisher cannot be made.
    #[error("set up the publishers")]
    Publishers(#[from] PublishersError),
    /// There is no such discovery.
    #[error("find the discovery `{name}`{}", hint(.near))]
    UnknownDiscovery {
        /// As it was asked for.
        name: String,
        /// What was perhaps meant.
        near: Option<String>,
    },
    /// A discovery is there and cannot work on this machine.
    #[error("load the discovery `{name}`: {reason}")]
    UnavailableDiscovery {
        /// As it was asked for.
        name: String,
        /// Why.
        reason: String,
    },
    /// There is no such publisher, or it has no spool.
    #[error("find the spool of `{name}`{}", spool_hint(.near))]
    NoSpool {
        /// As it was asked for.
        name: String,
        /// What was perhaps meant.
        near: Option<String>,
    },
    /// An agent runs, and listens elsewhere or nowhere.
    #[error("ask the running agent: it holds `{}` and does not listen at a unix socket; set `agent.admin` to `unix:` and restart it", state_dir.display())]
    NoSocket {
        /// The state folder that it holds.
        state_dir: PathBuf,
    },
    /// The agent that runs does not answer as it should.
    #[error("ask the running agent")]
    Agent(#[from] ClientError),
    /// Plugins that cannot live in one program.
    #[error("put the plugins of this program together")]
    Catalog(#[from] CatalogError),
    /// The state folder is not ours.
    #[error("take the state folder")]
    State(#[from] StateError),
    /// The admin API or the metrics cannot be served.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Other agents, or etcd, are in the way.
    #[error(transparent)]
    Coordination(#[from] CoordinationError),
    /// How the pool divides its work cannot be told.
    #[error(transparent)]
    Partition(#[from] PartitionError),
    /// No threads.
    #[error("start the threads of the program")]
    Runtime(#[source] io::Error),
    /// No signals.
    #[error("listen to signals")]
    Signals(#[source] io::Error),
    /// Standard output takes nothing.
    #[error("write to standard output")]
    Output(#[from] io::Error),
}

fn hint(near: &Option<String>) -> String {
    near.as_ref().map_or_else(
        || ": `nephoscope plugins` lists what there is".to_owned(),
        |near| format!(": did you mean `{near}`?"),
    )
}

fn spool_hint(near: &Option<String>) -> String {
    near.as_ref().map_or_else(
        || ": `nephoscope spool` lists those that there are".to_owned(),
        |near| format!(": did you mean `{near}`?"),
    )
}

impl ProgramError {
    /// The exit code.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Settings(_) | Self::UnknownDiscovery { .. } | Self::NoSpool { .. } => 2,
            Self::Publishers(error) if error.is_configuration() => 2,
            Self::Partition(error) if error.is_usage() => 2,
            // Whoever reads has had enough: the usual end of `nephoscope ... | head`.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            _ => 3,
        }
    }

    /// What to log: a line for each thing that is wrong with a configuration, or one.
    pub(crate) fn lines(&self) -> Vec<String> {
        match self {
            Self::Settings(error) => error.lines(),
            error => vec![format!("failed to {}", chain(error))],
        }
    }
}

/// An error and its causes in one line.
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
    fn a_reader_that_has_had_enough_is_no_error() {
        let closed = ProgramError::Output(io::ErrorKind::BrokenPipe.into());
        let full = ProgramError::Output(io::ErrorKind::StorageFull.into());
        assert_eq!((closed.code(), full.code()), (0, 3));
    }

    #[test]
    fn the_chain_names_every_cause() {
        let error = ProgramError::Runtime(io::Error::other("no memory"));
        assert_eq!(chain(&error), "start the threads of the program: no memory");
    }

    #[test]
    fn an_unknown_discovery_is_bad_usage_and_says_what_was_meant() {
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
