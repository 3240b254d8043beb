//! The queue on disk: how fast batches are appended, and the cost of a backlog at the start.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use nephoscope_model::{Batch, Encoding, OsloNotification, PayloadKind};
use nephoscope_notifier::spool::{
    Contents, Folder, Log, LogOptions, Order, Record, Spool, SpoolMode, SpoolOptions,
};
use nephoscope_notifier::{
    DEFAULT_QUEUE, Notifier, NotifierOptions, Outcome, PublisherSetup, ReceiptSet, Selectors,
};
use nephoscope_plugin::{Accepted, PublishError, Publisher};
use tokio::time::{Instant, sleep, timeout};

use crate::bench::Effort;
use crate::clocks;
use crate::error::{BenchError, Context};
use crate::figure::{Budget, Figure, Unit};
use crate::instances::{BATCH, instance_samples};
use crate::stats::median;
use crate::world::World;

/// The bytes of a backlog: the default maximum of a spool.
const BACKLOG: u64 = 1 << 30;

/// The bytes that are appended in a run.
const APPENDED: u64 = 512 << 20;

/// The budget, if the disk is fast enough.
const APPEND_BUDGET: f64 = 200e6;

/// The number of different batches.
const BATCHES: usize = 200;

/// The interval of checks whether everything is written.
const CHECK_INTERVAL: Duration = Duration::from_millis(1);

/// The timeout of the last sync.
const PATIENCE: Duration = Duration::from_secs(60);

/// The time before the memory of an agent with a backlog is read.
const SETTLE: Duration = Duration::from_secs(2);

pub(crate) fn run(effort: Effort) -> Result<Vec<Figure>, BenchError> {
    let disk = crate::folders::on_disk()?;
    // First: it compares the memory of this process before and after.
    let mut figures = backlog(disk.path())?;
    figures.extend(append(disk.path(), effort)?);
    Ok(figures)
}

fn backlog(disk: &Path) -> Result<Vec<Figure>, BenchError> {
    let folder = disk.join("backlog");
    let batches = encoded()?;
    fill(&folder, &batches, BACKLOG)?;
    drop(batches);
    let world = World::new()?;
    let before = clocks::resident()?;
    let began = Instant::now();
    let spool = world
        .core
        .block_on(open(&folder, SpoolOptions::default()))
        .context("open the spool")?;
    let opened = began.elapsed();
    let notifier = notifier(&world, spool.clone());
    let after = world.core.block_on(async {
        sleep(SETTLE).await;
        clocks::resident()
    })?;
    let held = spool.status().bytes;
    drop(notifier);
    Ok(vec![
        Figure::new(
            "a backlog of 1 GiB opens in",
            Unit::Milliseconds,
            Budget::AtMost(1000.0),
            opened.as_secs_f64() * 1e3,
            format!(
                "{held} bytes of notifications of {BATCH} samples, which were written just before (the page cache has \
                 them)"
            ),
        ),
        Figure::new(
            "  and uses in memory",
            Unit::Megabytes,
            Budget::AtMost(16.0),
            (after - before) / 1e6,
            "resident memory after, less that before, with a publisher that never confirms",
        ),
    ])
}

fn append(disk: &Path, effort: Effort) -> Result<Vec<Figure>, BenchError> {
    let runs = effort.of(5, 2);
    let batches: Vec<_> = encoded()?.into_iter().map(Arc::new).collect();
    let world = World::new()?;
    let (mut ours, mut plain) = (Vec::new(), Vec::new());
    for run in 0..runs {
        let folder = disk.join(format!("append-{run}"));
        ours.push(world.core.block_on(append_once(&world, &folder, &batches))?);
        std::fs::remove_dir_all(&folder).context("remove a spool")?;
        plain.push(dd(&disk.join("plain"))?);
    }
    let (ours, plain) = (median(ours), median(plain));
    Ok(vec![
        Figure::new(
            "spool, appended a second",
            Unit::Megabytes,
            Budget::AtLeast(APPEND_BUDGET.min(0.8 * plain) / 1e6),
            ours / 1e6,
            format!(
                "notifications of {BATCH} samples through the notifier until the last is synced and the spool closed (mode: \
                 always, fsync: interval, which syncs every second meanwhile), {} MiB; median of {runs}",
                APPENDED >> 20
            ),
        ),
        Figure::new(
            "  dd conv=fdatasync",
            Unit::Megabytes,
            Budget::None,
            plain / 1e6,
            "as many zeros into one file on the same disk, alternating with the runs above",
        ),
    ])
}

/// Returns bytes per second into a new spool.
async fn append_once(world: &World, folder: &Path, batches: &[Arc<Batch>]) -> Result<f64, BenchError> {
    let options = SpoolOptions {
        mode: SpoolMode::Always,
        max_bytes: 4 * APPENDED,
        ..SpoolOptions::default()
    };
    let spool = open(folder, options).await.context("open a spool")?;
    let notifier = notifier(world, spool.clone());
    let began = Instant::now();
    let (mut bytes, mut count) = (0, 0);
    let receipts = ReceiptSet::new();
    for batch in batches.iter().cycle() {
        if bytes >= APPENDED {
            break;
        }
        bytes += batch.encoded(&OsloNotification).unwrap_or_default().len() as u64;
        count += 1;
        receipts.add(notifier.submit(batch.clone()).await);
    }
    while spool.status().stored_batches < count {
        sleep(CHECK_INTERVAL).await;
    }
    // The publisher holds the first batch and never answers; the spool syncs and is closed.
    notifier.shutdown(Instant::now()).await;
    match timeout(PATIENCE, receipts.outcome())
        .await
        .context("sync what was stored")?
    {
        Outcome::Stored => {}
        other => return Err(BenchError::new(format!("a batch was not stored: {other:?}"))),
    }
    let passed = began.elapsed();
    Ok(bytes as f64 / passed.as_secs_f64())
}

async fn open(folder: &Path, options: SpoolOptions) -> Result<Spool, nephoscope_notifier::spool::OpenError> {
    Spool::open("bench".into(), folder.to_owned(), options).await
}

fn notifier(world: &World, spool: Spool) -> Notifier {
    let setup = PublisherSetup {
        name: "bench".into(),
        url_shown: "bench:".to_owned(),
        publisher: Arc::new(Stuck),
        queue: DEFAULT_QUEUE,
        spool: Some(spool),
        selectors: Selectors::default(),
    };
    Notifier::start(vec![setup], NotifierOptions::default(), world.core.handle())
}

/// A publisher that never answers.
struct Stuck;

#[async_trait]
impl Publisher for Stuck {
    async fn publish(&self, _batch: Arc<Batch>) -> Result<Accepted, PublishError> {
        std::future::pending().await
    }

    fn encoding(&self) -> Option<Arc<dyn Encoding>> {
        Some(Arc::new(OsloNotification))
    }
}

/// Returns batches with encoded notifications.
fn encoded() -> Result<Vec<Batch>, BenchError> {
    let samples = instance_samples(BATCHES * BATCH, 10)?;
    let batches = samples.chunks(BATCH).map(|samples| {
        let batch = Batch::new(samples.to_vec(), "openstack".into());
        batch.encoded(&OsloNotification).unwrap_or_default();
        batch
    });
    Ok(batches.collect())
}

/// Fills the spool in `folder` with this many bytes of the batches, repeated; returns the number of samples.
pub(crate) fn fill(folder: &Path, batches: &[Batch], bytes: u64) -> Result<u64, BenchError> {
    let folder = Folder::open(folder).context("make a spool")?;
    let options = LogOptions {
        max_bytes: 2 * bytes,
        max_age: None,
        order: Order::Fifo,
        durable: false,
        segment_bytes: None,
    };
    let mut log = Log::open(Box::new(folder), options).context("open a spool")?;
    let time = clocks::wall().as_micros();
    let contents = Contents {
        encoding: OsloNotification::ID,
        kind: PayloadKind::Samples,
    };
    let (mut written, mut samples) = (0, 0);
    for batch in batches.iter().cycle() {
        if written >= bytes {
            break;
        }
        let record = Record {
            contents: &contents,
            samples: u32::try_from(batch.len()).unwrap_or(u32::MAX),
            time,
            payload: batch.encoded(&OsloNotification).unwrap_or_default(),
        };
        log.append(record).context("fill a spool")?;
        written += batch.encoded(&OsloNotification).unwrap_or_default().len() as u64;
        samples += batch.len() as u64;
    }
    Ok(samples)
}

/// Returns the bytes per second that `dd` writes and syncs.
fn dd(file: &Path) -> Result<f64, BenchError> {
    let began = Instant::now();
    let status = Command::new("dd")
        .arg("if=/dev/zero")
        .arg(format!("of={}", file.display()))
        .args(["bs=1M", "conv=fdatasync"])
        .arg(format!("count={}", APPENDED >> 20))
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .context("start dd")?;
    let passed = began.elapsed();
    std::fs::remove_file(file).context("remove a file")?;
    if status.success() {
        return Ok(APPENDED as f64 / passed.as_secs_f64());
    }
    Err(BenchError::new(format!("dd ended with {status}")))
}
