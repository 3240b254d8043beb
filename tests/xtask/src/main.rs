//! Tasks of the repository, apart from the program: `cargo xtask TASK`.

mod policy;
mod prose;
mod references;
mod site;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
// The linker drops a crate that no code names.
use nephoscope_plugin::{Catalog, CatalogError};
use nephoscope_stock as _;

use crate::policy::PolicyError;
use crate::prose::ProseError;
use crate::references::{Committed, ReferencesError};
use crate::site::SiteError;

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
    /// Render the documentation as a site, and check its links
    Site {
        /// The folder of the site
        #[arg(long, default_value = "target/site")]
        into: PathBuf,
    },
    /// Check licences, banned crates, wildcards and sources by the rules of deny.toml
    Policy {
        /// The manifests whose packages are checked [default: the workspace's]
        manifests: Vec<PathBuf>,
    },
    /// Check that no tracked text file contains a banned phrase (tests/xtask/prose/banned.txt)
    Prose,
}

/// An error of a task; completes "failed to ...".
#[derive(Debug, thiserror::Error)]
enum TaskError {
    #[error("collect the plugins of this program")]
    Catalog(#[from] CatalogError),
    #[error(transparent)]
    References(#[from] ReferencesError),
    #[error(transparent)]
    Policy(#[from] PolicyError),
    #[error(transparent)]
    Site(#[from] SiteError),
    #[error(transparent)]
    Prose(#[from] ProseError),
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
    match &cli.task {
        Task::References { update } => references(*update),
        Task::Policy { manifests } => policy(manifests),
        Task::Site { into } => site(into),
        Task::Prose => prose(),
    }
}

/// The top of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn policy(manifests: &[PathBuf]) -> Result<ExitCode, TaskError> {
    let own = [root().join("Cargo.toml")];
    let manifests = if manifests.is_empty() { &own } else { manifests };
    let violations = policy::violations(&root().join("deny.toml"), manifests)?;
    violations.iter().for_each(|violation| say(violation));
    Ok(if violations.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn site(into: &Path) -> Result<ExitCode, TaskError> {
    let findings = site::build(&root(), into)?;
    findings.iter().for_each(|finding| say(finding));
    if !findings.is_empty() {
        return Ok(ExitCode::FAILURE);
    }
    say(&format!("open {}", into.join("index.html").display()));
    Ok(ExitCode::SUCCESS)
}

fn prose() -> Result<ExitCode, TaskError> {
    let report = prose::check(&root())?;
    if report.is_clean() {
        return Ok(ExitCode::SUCCESS);
    }
    report.lines().iter().for_each(|line| say(line));
    for (directory, count) in report.directories() {
        say(&format!("{count:6} {directory}"));
    }
    say("replace these phrases, or list an exception with its reason in tests/xtask/prose/exceptions.txt");
    Ok(ExitCode::FAILURE)
}

fn references(update: bool) -> Result<ExitCode, TaskError> {
    let catalog = Catalog::collect()?;
    let committed = Committed::at(&root().join("docs/reference"));
    if update {
        committed.update(&catalog)?;
        say("docs/reference is up to date");
        return Ok(ExitCode::SUCCESS);
    }
    let differences = committed.differences(&catalog)?;
    if differences.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    differences.iter().for_each(|difference| say(difference));
    say(
        "docs/reference differs from what the code generates: run `cargo xtask references --update` and commit the changes",
    );
    Ok(ExitCode::FAILURE)
}

/// Prints a line on standard error.
fn say(line: &str) {
    // A closed standard error is no reason to fail.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_references_match_the_code() {
        let committed = Committed::at(&root().join("docs/reference"));
        let differences = committed.differences(&Catalog::collect().unwrap()).unwrap();
        assert!(
            differences.is_empty(),
            "run `cargo xtask references --update` and commit the changes:\n{}",
            differences.join("\n")
        );
    }

    #[test]
    fn the_dependencies_keep_the_rules_of_deny_toml() {
        let manifests = ["Cargo.toml", "tests/protoc/Cargo.toml"].map(|manifest| root().join(manifest));
        let violations = policy::violations(&root().join("deny.toml"), &manifests).unwrap();
        assert_eq!(violations, Vec::<String>::new());
    }

    #[test]
    fn no_text_contains_a_banned_phrase() {
        let report = prose::check(&root()).unwrap();
        assert!(
            report.is_clean(),
            "run `cargo xtask prose`: {:#?}\n{}",
            report.directories(),
            report.lines().join("\n")
        );
    }
}
