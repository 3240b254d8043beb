//! The entry point of the program.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use nephoscope_plugin::Catalog;

use crate::cli::{Cli, Command, RunArgs};
use crate::error::{Exit, ProgramError, chain};
use crate::output::stderr_is_styled;
use crate::settings::Origin;
use crate::{commands, run};

/// Runs the program with the plugins that are linked into it, and returns its exit code.
///
/// ```no_run
/// // use my_plugin as _;
///
/// fn main() -> std::process::ExitCode {
///     nephoscope_agent::main()
/// }
/// ```
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are written to standard output, errors to standard error. Write errors are ignored.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let runs = matches!(cli.command, None | Some(Command::Run(_)));
    match dispatch(cli) {
        Ok(exit) => exit.into(),
        Err(error) => {
            report(&error, runs);
            ExitCode::from(error.code())
        }
    }
}

fn dispatch(cli: Cli) -> Result<Exit, ProgramError> {
    let origin = Origin::new(Catalog::collect()?, cli.options);
    match cli.command.unwrap_or(Command::Run(RunArgs::default())) {
        Command::Run(args) => run::run(origin, args),
        Command::Once(args) => commands::once(&origin, &args),
        Command::Check(args) => commands::check(&origin, &args),
        Command::Plugins(printing) => commands::plugins(&origin, printing),
        Command::Discover(args) => commands::discover(&origin, &args),
        Command::Spool(args) => commands::spool(&origin, &args),
        Command::Partition(args) => commands::partition(&origin, &args),
        Command::Schema => commands::schema(&origin),
        Command::Completions { shell } => commands::completions(shell),
        Command::Man => commands::man(),
    }
}

/// Reports an error: in the log for `run`, otherwise on standard error.
fn report(error: &ProgramError, runs: bool) {
    if error.code() == 0 {
        return;
    }
    let mut text = match error {
        ProgramError::Settings(error) => error.render(stderr_is_styled()),
        error if runs && tracing::dispatcher::has_been_set() => {
            tracing::error!("failed to {}", chain(error));
            return;
        }
        error => format!("error: failed to {}", chain(error)),
    };
    text.push('\n');
    // A closed standard error is ignored.
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}
