//! The memory of the idle program, compared with other idle agents in the same run.

use std::process::Stdio;
use std::time::Duration;

use nephoscope_tests::rabbitmq::{Broker, Client};
use tokio::time::sleep;

use crate::bench::Effort;
use crate::error::BenchError;
use crate::figure::{Budget, Figure, Unit};
use crate::neighbours::Neighbour;
use crate::process::Memory;
use crate::program::{Program, runtime};
use crate::rabbitmq::{purge, url};
use crate::stats::median;
use crate::table::print_error;
use crate::world::World;

/// When the idle memory is read.
const IDLE: Duration = Duration::from_secs(30);

/// When it is read again, to show that it does not grow.
const STEADY: Duration = Duration::from_secs(300);

/// The memory budgets of an idle program.
const BUDGETS: Budgets = Budgets {
    pss: Budget::AtMost(9.0),
    private_dirty: Budget::AtMost(3.0),
};

/// Measures the idle program.
pub(crate) fn idle(effort: Effort) -> Result<Vec<Figure>, BenchError> {
    let runs = effort.of(3, 1);
    let runtime = runtime()?;
    let wait = |time| runtime.block_on(async { sleep(time).await });
    let mut found = Vec::new();
    let mut last = None;
    for _ in 0..runs {
        // Two processes would share pages.
        drop(last.take());
        let program = Program::start(Stdio::null(), "")?;
        wait(IDLE);
        found.push(program.memory()?);
        last = Some(program);
    }
    let how = format!(
        "Pss and Private_Dirty of /proc/PID/smaps_rollup 30 s after the start of the program with the default file and \
         the admin socket, stdout to /dev/null, 10^6 bytes; median of {runs}"
    );
    let mut figures = figures("idle memory", BUDGETS, middle(&found), &how);
    if let (Effort::Full, Some(program)) = (effort, &last) {
        wait(STEADY - IDLE);
        let how = "the last of these programs, still idle";
        figures.extend(self::figures("after 5 minutes", BUDGETS, program.memory()?, how));
    }
    drop(last);
    for neighbour in Neighbour::ALL {
        let Some(running) = neighbour.start()? else {
            print_error(&format!(
                "{} is not installed: apt-get install {}",
                neighbour.name(),
                neighbour.package()
            ));
            continue;
        };
        let memory = runtime.block_on(running.after(IDLE))?;
        figures.extend(self::figures(
            &format!("  {}", neighbour.name()),
            Budgets::NONE,
            memory,
            &format!("the same of {}", neighbour.about()),
        ));
    }
    Ok(figures)
}

/// Measures a program that publishes to RabbitMQ.
pub(crate) fn connected(effort: Effort) -> Result<Vec<Figure>, BenchError> {
    let runs = effort.of(3, 1);
    let world = World::new()?;
    let mut broker = world.core.block_on(Broker::start());
    let sections = format!(
        "notifier:\n  publishers:\n  - name: rabbit\n    url: {}\n",
        url(broker.port)
    );
    let mut found = Vec::new();
    for _ in 0..runs {
        let program = Program::start(Stdio::null(), &sections)?;
        let sent = world.core.block_on(async {
            sleep(IDLE).await;
            purge(&Client::connect(&broker, "/").await).await
        })?;
        if sent == 0 {
            return Err(BenchError::new("the program sent nothing to the broker"));
        }
        found.push(program.memory()?);
    }
    world.core.block_on(broker.kill());
    let budgets = Budgets {
        pss: Budget::AtMost(10.0),
        private_dirty: Budget::None,
    };
    let how =
        format!("as idle memory, with a publisher that has sent its samples to a RabbitMQ; median of {runs}");
    Ok(figures(
        "idle, connected to RabbitMQ",
        budgets,
        middle(&found),
        &how,
    ))
}

/// The budget of each part of the memory.
#[derive(Debug, Clone, Copy)]
struct Budgets {
    pss: Budget,
    private_dirty: Budget,
}

impl Budgets {
    /// For other programs.
    const NONE: Self = Self {
        pss: Budget::None,
        private_dirty: Budget::None,
    };
}

fn figures(name: &str, budgets: Budgets, memory: Memory, how: &str) -> Vec<Figure> {
    [
        ("PSS", budgets.pss, memory.pss),
        ("private dirty", budgets.private_dirty, memory.private_dirty),
    ]
    .into_iter()
    .map(|(part, budget, bytes)| {
        Figure::new(
            format!("{name} ({part})"),
            Unit::Megabytes,
            budget,
            bytes / 1e6,
            how,
        )
    })
    .collect()
}

/// Returns the median of each part.
fn middle(found: &[Memory]) -> Memory {
    let of = |part: fn(&Memory) -> f64| median(found.iter().map(part).collect());
    Memory {
        pss: of(|memory| memory.pss),
        private_dirty: of(|memory| memory.private_dirty),
    }
}
