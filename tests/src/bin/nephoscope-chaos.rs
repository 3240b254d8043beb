//! Injects random faults into a pool of real agents and reports the results: `tests/chaos`.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is a test, and its output is for people"
)]

use std::process::ExitCode;

use nephoscope_tests::Deadline;
use nephoscope_tests::chaos::{Draw, Kind, Scene, Setting};

/// The parsed command line.
struct Arguments {
    minutes: u64,
    seed: u64,
    setting: Setting,
    kinds: Vec<Kind>,
}

/// Parses the arguments.
fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut parsed = Arguments {
        minutes: 10,
        // A different seed for each process.
        seed: u64::from(std::process::id()),
        setting: Setting {
            agents: 5,
            resources: 200,
            side: 100,
            interval: 8,
            lease: 5,
            pauses: false,
            nodes: 3,
            without: None,
        },
        kinds: Vec::new(),
    };
    while let Some(option) = arguments.next() {
        if option == "--pause" {
            parsed.setting.pauses = true;
            continue;
        }
        let value = arguments.next().ok_or(format!("{option} requires a value"))?;
        let number = || {
            value
                .parse::<u32>()
                .map_err(|error| format!("{option} {value}: {error}"))
        };
        match option.as_str() {
            "--minutes" => parsed.minutes = number()?.into(),
            "--seed" => parsed.seed = number()?.into(),
            "--agents" => parsed.setting.agents = number()? as usize,
            "--resources" => {
                parsed.setting.side = number()? as usize / 3;
                parsed.setting.resources = number()? as usize - parsed.setting.side;
            }
            "--interval" => parsed.setting.interval = number()?,
            "--lease" => parsed.setting.lease = number()?,
            "--nodes" => parsed.setting.nodes = number()? as usize,
            "--fault" => parsed.kinds.push(
                Kind::ALL
                    .into_iter()
                    .find(|kind| kind.name() == value)
                    .ok_or_else(|| {
                        let names = Kind::ALL.map(Kind::name).join("`, `");
                        format!("unknown fault `{value}`: expected one of `{names}`")
                    })?,
            ),
            _ => return Err(format!("unknown option {option}")),
        }
    }
    if parsed.kinds.is_empty() {
        parsed.kinds = Kind::ALL.to_vec();
    }
    parsed.kinds.retain(|kind| kind.fits(&parsed.setting));
    if parsed.kinds.is_empty() || parsed.setting.agents < 2 {
        return Err("no fault fits such a pool".to_owned());
    }
    Ok(parsed)
}

fn main() -> ExitCode {
    let parsed = match parse(std::env::args().skip(1)) {
        Ok(parsed) => parsed,
        Err(error) => {
            eprintln!("tests/chaos: {error}");
            return ExitCode::from(2);
        }
    };
    println!("seed {}, {} minutes", parsed.seed, parsed.minutes);
    let mut draw = Draw::new(parsed.seed);
    let mut scene = Scene::begin(parsed.setting);
    let begin = scene.now();
    let deadline = Deadline::after(std::time::Duration::from_secs(60 * parsed.minutes));
    let mut round = Vec::new();
    while !deadline.has_passed() {
        // Each kind occurs once per round, in random order.
        if round.is_empty() {
            round = draw.some(parsed.kinds.len(), parsed.kinds.len());
        }
        let kind = parsed.kinds[round.pop().expect("a round has kinds")];
        scene.rest(draw.seconds(0.0, 2.0 * f64::from(parsed.setting.interval)));
        let incident = scene.inject(kind, &mut draw);
        println!(
            "{:8.1} s: {kind}, for {:.1} s; a plan with all agents {} s later",
            incident.from - begin,
            incident.end - incident.from,
            incident
                .listed
                .map_or("no".to_owned(), |after| format!("{after:.1}"))
        );
    }
    let report = scene.end();
    println!("{report}");
    if report.violations().is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("{}", report.details());
    println!(
        "guarantees were violated; repeat the same faults with: tests/chaos --minutes {} --seed {}",
        parsed.minutes, parsed.seed
    );
    ExitCode::FAILURE
}
