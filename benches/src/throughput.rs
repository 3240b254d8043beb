//! Samples through the engine: discovery, deduplication, poll, message ids, batches, queue, publisher.

use std::sync::Arc;
use std::time::Duration;

use nephoscope_coordination::Local;
use nephoscope_notifier::Notifier;
use nephoscope_polling::engine::once;
use nephoscope_polling::plugins::Plugins;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::bench::Effort;
use crate::clocks;
use crate::doubles::Counting;
use crate::error::{BenchError, Context};
use crate::figure::{Budget, Figure, Unit};
use crate::stats::median;
use crate::world::{World, engine_options, synthetic, synthetic_source};

/// Meters of a synthetic resource.
const METERS: u64 = 3;

/// The timeout of a cycle.
const PATIENCE: Duration = Duration::from_secs(300);

pub(crate) fn run(effort: Effort) -> Result<Vec<Figure>, BenchError> {
    let runs = effort.of(7, 3);
    let mut figures = Vec::new();
    figures.push(Figure::new(
        "engine to discard:, per CPU second",
        Unit::SamplesPerSecond,
        Budget::AtLeast(1_000_000.0),
        to("discard:", 200_000, runs)?,
        format!(
            "synthetic://200000 x 3 meters through one cycle of the engine until delivered, message ids included; \
             samples / CPU time of the process; median of {runs}"
        ),
    ));
    let folder = tempfile::tempdir().context("make a folder")?;
    let url = format!("file://{}", folder.path().join("samples").display());
    figures.push(Figure::new(
        "engine to file://, per CPU second",
        Unit::SamplesPerSecond,
        Budget::None,
        to(&url, 50_000, runs)?,
        format!(
            "the same with 50,000 resources, into a file in the folder for temporary files; median of {runs}"
        ),
    ));
    Ok(figures)
}

fn to(url: &str, resources: usize, runs: usize) -> Result<f64, BenchError> {
    let world = World::new()?;
    let line = Line::new(&world, url)?;
    // The first cycle finds cold caches and an empty allocator.
    world.core.block_on(line.cycle(&world, resources))?;
    let mut figures = Vec::new();
    for _ in 0..runs {
        let passed = world.core.block_on(line.cycle(&world, resources))?;
        figures.push((resources as u64 * METERS) as f64 / passed.cpu.as_secs_f64());
    }
    Ok(median(figures))
}

/// A path from the synthetic resources to a publisher.
pub(crate) struct Line {
    plugins: Plugins,
    publisher: Arc<Counting>,
    notifier: Notifier,
}

/// The duration of a cycle until everything was delivered.
pub(crate) struct Passed {
    pub(crate) cpu: Duration,
    pub(crate) wall: Duration,
}

impl Line {
    pub(crate) fn new(world: &World, url: &str) -> Result<Self, BenchError> {
        let publisher = Counting::new(world.publisher(url)?);
        Ok(Self {
            plugins: synthetic()?,
            notifier: world.notifier(publisher.clone()),
            publisher,
        })
    }

    /// Runs one cycle.
    pub(crate) async fn cycle(&self, world: &World, resources: usize) -> Result<Passed, BenchError> {
        let sources = [synthetic_source(resources)?];
        let parts = world.parts(Arc::new(Local), self.notifier.clone());
        let samples = resources as u64 * METERS;
        let (cpu, began) = (clocks::cpu(), Instant::now());
        let records = timeout(
            PATIENCE,
            once(
                &engine_options(),
                parts,
                &sources,
                &self.plugins,
                &CancellationToken::new(),
            ),
        )
        .await
        .context("poll in time")?;
        let handed_over: u64 = records.iter().map(|record| record.samples).sum();
        if handed_over != samples {
            return Err(BenchError::new(format!(
                "{handed_over} samples arrived instead of {samples}: {records:?}"
            )));
        }
        timeout(PATIENCE, self.publisher.delivered(samples))
            .await
            .context("deliver in time")?;
        Ok(Passed {
            cpu: clocks::cpu().saturating_sub(cpu),
            wall: began.elapsed(),
        })
    }
}
