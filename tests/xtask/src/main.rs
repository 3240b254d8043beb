//! Tasks of the repository that are no part of the program: `cargo xtask TASK`.

mod references;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use nephoscope_plugin::{Registry, RegistryError};

use crate::references::{Committed, ReferencesError};

/// Tasks of the repository.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Check that docs/reference is what the code generates, and show what differs
    References {
        /// Write docs/reference instead
        #[arg(long)]
        update: bool,
    },
}

/// Why a task could not be done; completes "failed to ...".
#[derive(Debug, thiserror::Error)]
enum TaskError {
    #[error("put the plugins of this program together")]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    References(#[from] ReferencesError),
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            say(&format!("error: failed to {}", chain(&error)));
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<ExitCode, TaskError> {
    let Task::References { update } = cli.task;
    let registry = Registry::collect()?;
    let committed = Committed::at(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference"));
    if update {
        committed.update(&registry)?;
        say("docs/reference is up to date");
        return Ok(ExitCode::SUCCESS);
    }
    let differences = committed.differences(&registry)?;
    if differences.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    differences.iter().for_each(|difference| say(difference));
    say(
        "docs/reference is not what the code generates: run `cargo xtask references --update` and commit what changes",
    );
    Ok(ExitCode::FAILURE)
}

/// A line on standard error, for the person who has called.
fn say(line: &str) {
    // Without a standard error nobody reads it.
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// An error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
