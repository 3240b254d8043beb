//! A million resources: time and memory per resource.

use crate::bench::Effort;
use crate::error::BenchError;
use crate::figure::{Budget, Figure, Unit};
use crate::heap;
use crate::stats::median;
use crate::throughput::Line;
use crate::world::World;

const FEW: usize = 1_000;
const MANY: usize = 1_000_000;

pub(crate) fn run(effort: Effort) -> Result<Vec<Figure>, BenchError> {
    let (runs_few, runs_many) = (effort.of(500, 100), effort.of(5, 2));
    let world = World::new()?;
    let line = Line::new(&world, "discard:")?;
    // The first cycles find cold caches.
    for _ in 0..20 {
        world.core.block_on(line.cycle(&world, FEW))?;
    }
    let few = times(&world, &line, FEW, runs_few)?;
    let many = times(&world, &line, MANY, runs_many)?;
    let mut held = Vec::new();
    for _ in 0..effort.of(3, 1) {
        heap::begin();
        let cycle = world.core.block_on(line.cycle(&world, MANY));
        let peak = heap::end();
        cycle?;
        held.push(peak as f64 / MANY as f64);
    }
    let how = format!(
        "one cycle of synthetic://N x 3 meters to discard: until delivered, wall time / N; medians of {runs_few} and {runs_many}"
    );
    Ok(vec![
        Figure::new(
            "time per resource at 1,000",
            Unit::Microseconds,
            Budget::None,
            few,
            how.clone(),
        ),
        Figure::new(
            "time per resource at 1,000,000",
            Unit::Microseconds,
            Budget::None,
            many,
            how.clone(),
        ),
        Figure::new(
            "the second / the first",
            Unit::Times,
            Budget::AtMost(2.0),
            many / few,
            how,
        ),
        Figure::new(
            "bytes held per key at 1,000,000",
            Unit::Bytes,
            Budget::AtMost(80.0),
            median(held),
            "the peak of heap bytes during the cycle minus those before it / 1,000,000: keys, pages and queues; \
             a counting allocator",
        ),
    ])
}

/// Returns the median time per resource in microseconds.
fn times(world: &World, line: &Line, resources: usize, runs: usize) -> Result<f64, BenchError> {
    let mut times = Vec::new();
    for _ in 0..runs {
        let passed = world.core.block_on(line.cycle(world, resources))?;
        times.push(passed.wall.as_secs_f64() * 1e6 / resources as f64);
    }
    Ok(median(times))
}
