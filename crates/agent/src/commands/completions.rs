//! `nephoscope completions SHELL`: prints a completion script.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::error::{Exit, ProgramError};
use crate::output::print;

/// Prints the script of a shell.
pub(crate) fn completions(shell: Shell) -> Result<Exit, ProgramError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "nephoscope", &mut script);
    print(&script)?;
    Ok(Exit::Done)
}
