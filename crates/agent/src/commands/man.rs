//! `nephoscope man`: prints the manual page.

use clap::CommandFactory;
use clap_mangen::Man;

use crate::cli::Cli;
use crate::error::{Exit, ProgramError};
use crate::output::print;

/// Prints the manual page, for `man -l -`.
pub(crate) fn man() -> Result<Exit, ProgramError> {
    let mut page = Vec::new();
    Man::new(Cli::command()).render(&mut page)?;
    print(&page)?;
    Ok(Exit::Done)
}
