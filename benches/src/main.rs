//! Benchmarks: each figure beside its budget, in one table.
//!
//! Started by `benches/run`, which builds the program first. Every benchmark runs in a process of its own, so that
//! what one leaves behind (memory, hung threads) is not in the figures of the next.

use std::process::ExitCode;

use crate::bench::{Bench, Effort};
use crate::figure::Figure;
use crate::trouble::Trouble;

mod agreement;
mod bench;
mod blocked;
mod central;
mod clocks;
mod compute;
mod crew;
mod doubles;
mod drain;
mod encoding;
mod figure;
mod hang;
mod heap;
mod instances;
mod lateness;
mod memory;
mod neighbours;
mod noise;
mod oslo;
mod ownership;
mod place;
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
mod trouble;
mod world;

const USAGE: &str = "\
usage: benches/run [--quick] [--list] [NAME...]

Prints a table: figure, budget, measured, verdict; then how each was measured. Without names, all benchmarks.
Ends with 1 when a budget is missed or a benchmark fails.

  --quick   fewer and shorter runs
  --list    the names, and what each measures";

enum Request {
    /// Print the usage.
    Help,
    /// Print the names.
    List,
    /// Run these, each in a process of its own.
    All(Vec<Bench>, Effort),
    /// Run this one here, and print its figures for the process that asked.
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
        Err(trouble) => {
            table::print_error(&format!("{}\n\n{USAGE}", trouble.chain()));
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

fn parse(arguments: impl Iterator<Item = String>) -> Result<Request, Trouble> {
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
                    .ok_or_else(|| Trouble::new(format!("there is no benchmark `{name}`")))?,
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
        Err(trouble) => {
            table::print_error(&trouble.chain());
            1
        }
    };
    // Threads that a benchmark hung on purpose must not keep the process.
    std::process::exit(code)
}

fn all(benches: &[Bench], effort: Effort) -> ExitCode {
    let mut figures = Vec::new();
    let mut failed = false;
    for bench in benches {
        table::print_error(&format!("{}: {} ...", bench.name(), bench.about()));
        match bench.run_apart(effort) {
            Ok(found) => figures.extend(found),
            Err(trouble) => {
                failed = true;
                table::print_error(&format!("{}: {}", bench.name(), trouble.chain()));
            }
        }
    }
    table::print_line(&table::render(&figures));
    if failed || figures.iter().any(Figure::is_over) {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
