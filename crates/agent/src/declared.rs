//! What the program declares of itself, for those who document it.
//!
//! The references of the documentation are made of this by `cargo xtask references`; what plugins declare is in
//! [`Catalog`](nephoscope_plugin::Catalog), and what the admin API answers in `nephoscope_admin`. A program that is linked with
//! other plugins can make references of its own.

use clap::CommandFactory;

use crate::cli::Cli;

pub use crate::settings::{families as family_options, publishers as publisher_options};

/// The command line: subcommands, options and their help.
pub fn command_line() -> clap::Command {
    Cli::command()
}
