//! The program drains a spool into a RabbitMQ, compared with the same samples without a spool.

use std::path::Path;
use std::process::{Command, Stdio};

use nephoscope_model::{Batch, OsloNotification};
use nephoscope_tests::rabbitmq::{Broker, Client};
use tokio::time::Instant;

use crate::bench::Effort;
use crate::error::{BenchError, Context};
use crate::figure::{Budget, Figure, Unit};
use crate::folders;
use crate::instances::{BATCH, instance_samples};
use crate::program::{DEFAULT_FILE, binary};
use crate::rabbitmq::{Sender, batches, purge, url};
use crate::spool::fill;
use crate::stats::median;
use crate::world::World;

/// Samples of a run.
const SAMPLES: usize = 40_000;

/// The number of unconfirmed batches in both cases.
const PIPELINING: usize = 1;

pub(crate) fn run(effort: Effort) -> Result<Vec<Figure>, BenchError> {
    let world = World::new()?;
    let mut broker = world.core.block_on(Broker::start());
    let figures = measure(&world, &broker, effort);
    world.core.block_on(broker.kill());
    figures
}

fn measure(world: &World, broker: &Broker, effort: Effort) -> Result<Vec<Figure>, BenchError> {
    let runs = effort.of(5, 2);
    let samples = instance_samples(SAMPLES, 10)?;
    let batches = batches(&samples);
    let disk = folders::on_disk()?;
    let sender = Sender::new(world, broker, PIPELINING)?;
    let client = world.core.block_on(async {
        sender.ours(samples.get(..BATCH).unwrap_or_default()).await?;
        let client = Client::connect(broker, "/").await;
        purge(&client).await?;
        Ok::<_, BenchError>(client)
    })?;
    let (mut direct, mut drained) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        direct.push(world.core.block_on(sender.ours(&samples))?);
        empty(world, &client, samples.len().div_ceil(BATCH))?;
        let stored = store(disk.path(), &batches)?;
        let began = Instant::now();
        drain(disk.path(), broker.port)?;
        drained.push(stored as f64 / began.elapsed().as_secs_f64());
        empty(world, &client, batches.len())?;
    }
    let (direct, drained) = (median(direct), median(drained));
    Ok(vec![
        Figure::new(
            "nephoscope spool --drain to RabbitMQ",
            Unit::SamplesPerSecond,
            Budget::None,
            drained,
            format!(
                "{SAMPLES} samples, {BATCH} a batch, from the start of the program to its end; pipelining {PIPELINING}; \
                 median of {runs}"
            ),
        ),
        Figure::new(
            "  the same samples without a spool",
            Unit::SamplesPerSecond,
            Budget::None,
            direct,
            "through a connected notifier, alternating with the runs above",
        ),
        Figure::new(
            "  the first / the second",
            Unit::Times,
            Budget::AtLeast(0.8),
            drained / direct,
            "including the start of the program, the spool's opening and the connection in the first",
        ),
    ])
}

/// Writes the batches into the spool; returns the number of samples.
fn store(disk: &Path, batches: &[Batch]) -> Result<u64, BenchError> {
    let bytes = batches
        .iter()
        .map(|batch| batch.encoded(&OsloNotification).unwrap_or_default().len() as u64)
        .sum();
    fill(&disk.join("spool"), batches, bytes)
}

fn drain(disk: &Path, port: u16) -> Result<(), BenchError> {
    let file = disk.join("drain.yaml");
    let text = format!(
        "agent: {{namespaces: [host], state_dir: {state}}}\n\
         notifier:\n  publishers:\n  - name: rabbit\n    url: {url}\n    pipelining: {PIPELINING}\n    \
         spool: {{path: {spool}, max_bytes: 4294967296}}\n",
        state = disk.join("state").display(),
        url = url(port),
        spool = disk.join("spool").display(),
    );
    std::fs::write(&file, text).context("write a configuration")?;
    let output = Command::new(binary()?)
        .args(["spool", "--drain", "--config", DEFAULT_FILE, "--config"])
        .arg(&file)
        .stdin(Stdio::null())
        .output()
        .context("start the program")?;
    if output.status.success() {
        return Ok(());
    }
    Err(BenchError::new(format!(
        "`nephoscope spool --drain` ended with {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim_end()
    )))
}

/// Empties the queue, which must contain this many messages.
fn empty(world: &World, client: &Client, messages: usize) -> Result<(), BenchError> {
    let found = world.core.block_on(purge(client))?;
    if usize::try_from(found).is_ok_and(|found| found == messages) {
        return Ok(());
    }
    Err(BenchError::new(format!(
        "the broker received {found} of {messages} batches"
    )))
}
