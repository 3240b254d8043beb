//! The memory of the idle program, beside that of other agents that are idle in the same run.

use std::process::Stdio;
use std::time::Duration;

use nephoscope_tests::rabbitmq::{Broker, Client};
use tokio::time::sleep;

use crate::bench::Effort;
use crate::figure::{Budget, Figure, Unit};
use crate::neighbours::Neighbour;
use crate::process::Memory;
use crate::program::{Program, runtime};
use crate::rabbitmq::{purge, url};
use crate::stats::median;
use crate::table::print_error;
use crate::trouble::Trouble;
use crate::world::World;

/// When the idle memory is read.
const IDLE: Duration = Duration::from_secs(30);

/// When it is read again: what is idle stays so.
const STEADY: Duration = Duration::from_secs(300);

/// What an idle program may take.
const BUDGETS: Budgets = Budgets {
    pss: Budget::AtMost(9.0),
    private_dirty: Budget::AtMost(3.0),
};

/// The memory of the idle program.
pub(crate) fn idle(effort: Effort) -> Result<Vec<Figure>, Trouble> {
    let runs = effort.of(3, 1);
    let runtime = runtime()?;
    let wait = |time| runtime.block_on(async { sleep(time).await });
    let mut found = Vec::new();
    let mut last = None;
    for _ in 0..runs {
        // Two of them would share pages.
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
        let how = "the last of these programs, left to itself";
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

/// The memory of a program that publishes to RabbitMQ.
pub(crate) fn connected(effort: Effort) -> Result<Vec<Figure>, Trouble> {
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
            return Err(Trouble::new("the program has sent nothing to the broker"));
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

/// What each part of the memory may be.
#[derive(Debug, Clone, Copy)]
struct Budgets {
    pss: Budget,
    private_dirty: Budget,
}

impl Budgets {
    /// For what stands beside the program.
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

/// The median of each part.
fn middle(found: &[Memory]) -> Memory {
    let of = |part: fn(&Memory) -> f64| median(found.iter().map(part).collect());
    Memory {
        pss: of(|memory| memory.pss),
        private_dirty: of(|memory| memory.private_dirty),
    }
}
