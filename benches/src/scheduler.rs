//! The scheduler alone: a thousand schedules whose cycles do nothing.

use std::sync::Arc;
use std::time::Duration;

use nephoscope_polling::clock::SystemClock;
use nephoscope_polling::scheduler::{Entry, Scheduler};
use nephoscope_polling::ticker::CronTicker;
use nephoscope_sources::Schedule;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::bench::Effort;
use crate::clocks;
use crate::doubles::Times;
use crate::error::BenchError;
use crate::figure::{Budget, Figure, Unit};
use crate::lateness::{one_edge, spread};
use crate::stats::{median, p99};
use crate::world::World;

/// The time until ticks and heaps are stable.
const SETTLE: Duration = Duration::from_secs(3);

pub(crate) fn run(effort: Effort) -> Result<Vec<Figure>, BenchError> {
    let (windows, window) = (effort.of(5, 2), Duration::from_secs(effort.of(12, 6)));
    let world = World::new()?;
    let times = Arc::new(Times::default());
    let spread = spread(1_000)?;
    let handle = world.core.handle().clone();
    let (cpu, starts) = world.core.block_on(async {
        let stop = CancellationToken::new();
        let scheduler = Scheduler::start(Arc::new(SystemClock), CronTicker::start(), stop.clone(), &handle);
        scheduler.set(entries(spread, &times)).await;
        sleep(SETTLE).await;
        let begin = clocks::wall();
        let mut shares = Vec::new();
        for _ in 0..windows {
            let (cpu, began) = (clocks::cpu(), Instant::now());
            sleep(window).await;
            let used = clocks::cpu().saturating_sub(cpu);
            shares.push(100.0 * used.as_secs_f64() / began.elapsed().as_secs_f64());
        }
        stop.cancel();
        let starts = times.take_after(begin).len() as f64 / (window * windows).as_secs_f64();
        (median(shares), starts)
    });
    let rounds = effort.of(15, 4);
    let handle = world.core.handle().clone();
    let late = world.core.block_on(async {
        let stop = CancellationToken::new();
        let scheduler = Scheduler::start(Arc::new(SystemClock), CronTicker::start(), stop.clone(), &handle);
        let mut found = Vec::new();
        for _ in 0..rounds {
            let begin = clocks::wall();
            let (_, schedules) = one_edge(1_000)?;
            scheduler.set(entries(schedules, &times)).await;
            sleep(SETTLE).await;
            found.push(p99(times.take_after(begin)));
        }
        stop.cancel();
        Ok::<_, BenchError>(median(found))
    })?;
    let how = format!(
        "CPU time of a process with the scheduler, its job and 1,000 spread schedules ({starts:.0} starts a second) \
         whose cycles are empty, of one CPU; median of {windows} x {} s",
        window.as_secs()
    );
    Ok(vec![
        Figure::new(
            "scheduler, 1,000 schedules",
            Unit::Percent,
            Budget::AtMost(0.1),
            cpu,
            how,
        ),
        Figure::new(
            "its lateness p99, 1,000 on one edge",
            Unit::Milliseconds,
            Budget::None,
            late,
            format!("from the edge to the scheduler's call; p99 of an edge, median of {rounds} edges"),
        ),
    ])
}

fn entries(schedules: Vec<Schedule>, times: &Arc<Times>) -> Vec<Entry> {
    let entry = |schedule| {
        let times = times.clone();
        Entry {
            schedule,
            delay: Duration::ZERO,
            run_in_progress: false,
            expected: false,
            counters: Arc::default(),
            prepare: None,
            start: Arc::new(move |start| {
                times.add(start.cycle.start);
                None
            }),
        }
    };
    schedules.into_iter().map(entry).collect()
}
