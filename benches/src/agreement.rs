//! How early a plan is known, and how many requests it needs.

use nephoscope_pool::protocol::lead;

use crate::bench::Effort;
use crate::error::BenchError;
use crate::figure::{Budget, Figure, Unit};
use crate::members::{INTERVAL, Members};
use crate::stats::p99;
use crate::traffic::Traffic;

/// The maximum time after the edge at which the last of 100 members knows the plan, in milliseconds.
const BEFORE_THE_EDGE: Budget = Budget::AtMost(0.0);

/// The maximum time of a single agent from the due time of a plan until it knows the plan, in milliseconds.
const ALONE: Budget = Budget::AtMost(20.0);

/// Requests of an agent per schedule and cycle, without keepalives and watch events.
const REQUESTS: Budget = Budget::AtMost(3.0);

pub(crate) fn run(effort: Effort) -> Result<Vec<Figure>, BenchError> {
    let mut figures = alone(effort.of(5, 2))?;
    figures.extend(together(100, 5, effort.of(6, 2), true)?);
    figures.extend(together(1_000, 1, effort.of(6, 2), false)?);
    Ok(figures)
}

fn alone(cycles: u32) -> Result<Vec<Figure>, BenchError> {
    const SCHEDULES: usize = 100;
    let pool = Members::gather(1, SCHEDULES)?;
    let ahead = lead(INTERVAL).as_secs_f64() * 1e3;
    let known = pool.cycles(cycles)?;
    let took: Vec<_> = known.into_iter().flatten().map(|after| after + ahead).collect();
    let how = format!(
        "one agent on one etcd node with its disk, {} plans of {SCHEDULES} schedules: from {ahead:.0} ms before the edge, when a plan is \
         due, until the agent knows it",
        took.len()
    );
    Ok(vec![Figure::new(
        "plan of a single agent, p99",
        Unit::Milliseconds,
        ALONE,
        p99(took),
        how,
    )])
}

fn together(members: usize, schedules: usize, cycles: u32, judged: bool) -> Result<Vec<Figure>, BenchError> {
    let pool = Members::gather(members, schedules)?;
    let before = Traffic::read(&pool)?;
    let known = pool.cycles(cycles)?;
    let traffic = Traffic::read(&pool)?.since(&before);
    let plans = known.len();
    let last = known
        .iter()
        .map(|members| members.iter().copied().fold(f64::NEG_INFINITY, f64::max));
    let last = last.fold(f64::NEG_INFINITY, f64::max);
    let how = format!(
        "{members} members in one process, each with its own client, and one etcd node on the same cores; interval {} s; the latest of \
         all members in {plans} plans (a plan is due {} ms before the edge); requests as etcd counts them",
        INTERVAL.as_secs(),
        lead(INTERVAL).as_millis()
    );
    let budget = |budget| if judged { budget } else { Budget::None };
    let per_agent = traffic.requests / (members * plans) as f64;
    Ok(vec![
        Figure::new(
            format!("plan known to all of {members}, after the edge"),
            Unit::Milliseconds,
            budget(BEFORE_THE_EDGE),
            last,
            how.clone(),
        ),
        Figure::new(
            "requests an agent, schedule and cycle",
            Unit::Times,
            budget(REQUESTS),
            per_agent,
            how,
        ),
    ])
}
