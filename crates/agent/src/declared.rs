//! The declarations of the program, for its documentation.
//!
//! `cargo xtask references` generates the reference documentation from this module, from the plugins'
//! [`Catalog`](nephoscope_plugin::Catalog) and from `nephoscope_admin`. A program with other plugins can generate its own reference.

use clap::CommandFactory;

use crate::cli::Cli;

pub use crate::settings::{families as family_options, publishers as publisher_options};

/// Returns the command line: subcommands, options and their help.
pub fn command_line() -> clap::Command {
    Cli::command()
}
