//! Does random things to a pool of real agents for some minutes, and says what came of it: `tests/chaos`.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is a test, and its output is for people"
)]

use std::process::ExitCode;

use nephoscope_tests::Deadline;
use nephoscope_tests::chaos::{Draw, Kind, Scene, Setting};

/// What the command line asks for.
struct Wish {
    minutes: u64,
    seed: u64,
    setting: Setting,
    kinds: Vec<Kind>,
}

/// The wish that the arguments are.
fn wish(mut arguments: impl Iterator<Item = String>) -> Result<Wish, String> {
    let mut wish = Wish {
        minutes: 10,
        // Another one for each process.
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
            wish.setting.pauses = true;
            continue;
        }
        let value = arguments.next().ok_or(format!("{option} wants a value"))?;
        let number = || {
            value
                .parse::<u32>()
                .map_err(|error| format!("{option} {value}: {error}"))
        };
        match option.as_str() {
            "--minutes" => wish.minutes = number()?.into(),
            "--seed" => wish.seed = number()?.into(),
            "--agents" => wish.setting.agents = number()? as usize,
            "--resources" => {
                wish.setting.side = number()? as usize / 3;
                wish.setting.resources = number()? as usize - wish.setting.side;
            }
            "--interval" => wish.setting.interval = number()?,
            "--lease" => wish.setting.lease = number()?,
            "--nodes" => wish.setting.nodes = number()? as usize,
            "--fault" => wish.kinds.push(
                Kind::ALL
                    .into_iter()
                    .find(|kind| kind.name() == value)
                    .ok_or_else(|| {
                        let names = Kind::ALL.map(Kind::name).join("`, `");
                        format!("no fault `{value}`; they are `{names}`")
                    })?,
            ),
            _ => return Err(format!("no option {option}")),
        }
    }
    if wish.kinds.is_empty() {
        wish.kinds = Kind::ALL.to_vec();
    }
    wish.kinds.retain(|kind| kind.fits(&wish.setting));
    if wish.kinds.is_empty() || wish.setting.agents < 2 {
        return Err("nothing can be done to such a pool".to_owned());
    }
    Ok(wish)
}

fn main() -> ExitCode {
    let wish = match wish(std::env::args().skip(1)) {
        Ok(wish) => wish,
        Err(error) => {
            eprintln!("tests/chaos: {error}");
            return ExitCode::from(2);
        }
    };
    println!("seed {}, {} minutes", wish.seed, wish.minutes);
    let mut draw = Draw::new(wish.seed);
    let mut scene = Scene::begin(wish.setting);
    let begin = scene.now();
    let deadline = Deadline::after(std::time::Duration::from_secs(60 * wish.minutes));
    let mut round = Vec::new();
    while !deadline.has_passed() {
        // Each kind once before any comes again, in another order each time.
        if round.is_empty() {
            round = draw.some(wish.kinds.len(), wish.kinds.len());
        }
        let kind = wish.kinds[round.pop().expect("a round has kinds")];
        scene.rest(draw.seconds(0.0, 2.0 * f64::from(wish.setting.interval)));
        let incident = scene.suffer(kind, &mut draw);
        println!(
            "{:8.1} s: {kind}, for {:.1} s; a plan with all agents {} s after that",
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
        "promises were broken; the same faults again: tests/chaos --minutes {} --seed {}",
        wish.minutes, wish.seed
    );
    ExitCode::FAILURE
}
