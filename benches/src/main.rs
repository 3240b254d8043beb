//! Benchmarks: a table of figures with their budgets.
//!
//! `benches/run` builds the program and starts this one. Every benchmark runs in a separate process, so that its residue
//! (memory, hung threads) does not affect the next.

use std::process::ExitCode;

use crate::bench::{Bench, Effort};
use crate::error::BenchError;
use crate::figure::Figure;

mod agreement;
mod bench;
mod blocked;
mod central;
mod clocks;
mod compute;
mod doubles;
mod drain;
mod encoding;
mod error;
mod figure;
mod folders;
mod hang;
mod heap;
mod instances;
mod lateness;
mod members;
mod memory;
mod neighbours;
mod noise;
mod oslo;
mod ownership;
mod process;
mod program;
mod python;
mod rabbitmq;
mod scale;
mod scheduler;
mod spool;
mod stats;
mod table;
mod throughput;
mod traffic;
mod world;

const USAGE: &str = "\
usage: benches/run [--quick] [--list] [NAME...]

Prints a table: figure, budget, measured, verdict; then the method of each figure. Without names, runs all benchmarks.
Exits with 1 if a figure exceeds its budget or a benchmark fails.

  --quick   fewer and shorter runs
  --list    the names and descriptions";

enum Request {
    /// Print the usage.
    Help,
    /// Print the names.
    List,
    /// Run these, each in a separate process.
    All(Vec<Bench>, Effort),
    /// Run this one here, and print its figures for the parent process.
    Here(Bench, Effort),
}

fn main() -> ExitCode {
    match parse(std::env::args().skip(1)) {
        Ok(Request::Help) => table::print_line(USAGE),
        Ok(Request::List) => {
            for bench in Bench::ALL {
                table::print_line(&format!("{:<12} {}", bench.name(), bench.about()));
            }
        }
        Ok(Request::Here(bench, effort)) => return here(bench, effort),
        Ok(Request::All(benches, effort)) => return all(&benches, effort),
        Err(error) => {
            table::print_error(&format!("{}\n\n{USAGE}", error.chain()));
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

fn parse(arguments: impl Iterator<Item = String>) -> Result<Request, BenchError> {
    let mut effort = Effort::Full;
    let mut here = false;
    let mut benches = Vec::new();
    for argument in arguments {
        match argument.as_str() {
            "--quick" => effort = Effort::Quick,
            "--list" => return Ok(Request::List),
            "--help" | "-h" => return Ok(Request::Help),
            "--here" => here = true,
            name => benches.push(
                Bench::ALL
                    .into_iter()
                    .find(|bench| bench.name() == name)
                    .ok_or_else(|| BenchError::new(format!("unknown benchmark `{name}`")))?,
            ),
        }
    }
    if here && let [bench] = benches.as_slice() {
        return Ok(Request::Here(*bench, effort));
    }
    if benches.is_empty() {
        benches = Bench::ALL.to_vec();
    }
    Ok(Request::All(benches, effort))
}

fn here(bench: Bench, effort: Effort) -> ExitCode {
    let figures = bench.run(effort).and_then(|figures| Figure::write_all(&figures));
    let code = match figures {
        Ok(text) => {
            table::print_line(&text);
            0
        }
        Err(error) => {
            table::print_error(&error.chain());
            1
        }
    };
    // Intentionally hung threads must not keep the process alive.
    std::process::exit(code)
}

fn all(benches: &[Bench], effort: Effort) -> ExitCode {
    let mut figures = Vec::new();
    let mut failed = false;
    for bench in benches {
        table::print_error(&format!("{}: {} ...", bench.name(), bench.about()));
        match bench.run_apart(effort) {
            Ok(found) => figures.extend(found),
            Err(error) => {
                failed = true;
                table::print_error(&format!("{}: {}", bench.name(), error.chain()));
            }
        }
    }
    table::print_line(&table::render(&figures));
    if failed || figures.iter().any(Figure::is_over) {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
