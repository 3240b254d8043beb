//! The timer noise of the machine: a thread that only sleeps and measures how late it wakes up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::time::{Instant, sleep_until};

use crate::error::{BenchError, Context};
use crate::figure::{Budget, Figure, Unit};
use crate::stats::p99;

/// The time between wake-ups.
const PERIOD: Duration = Duration::from_millis(50);

/// A timer next to a benchmark.
pub(crate) struct Noise {
    ends: Arc<AtomicBool>,
    thread: JoinHandle<Vec<f64>>,
}

impl Noise {
    pub(crate) fn begin() -> Result<Self, BenchError> {
        let runtime = Builder::new_current_thread()
            .enable_time()
            .build()
            .context("start a runtime")?;
        let ends = Arc::new(AtomicBool::new(false));
        let ended = ends.clone();
        let thread = std::thread::spawn(move || runtime.block_on(wake(&ended)));
        Ok(Self { ends, thread })
    }

    /// Returns its lateness as a figure.
    pub(crate) fn end(self) -> Result<Figure, BenchError> {
        self.ends.store(true, Ordering::Relaxed);
        let late = self
            .thread
            .join()
            .map_err(|_| BenchError::new("the noise timer panicked"))?;
        Ok(Figure::new(
            "a bare timer meanwhile, p99",
            Unit::Milliseconds,
            Budget::None,
            p99(late),
            "a separate thread that only sleeps, every 50 ms: the noise of the machine; much more than \
             1 ms means that the machine is busy and that it dominates the other figures",
        ))
    }
}

async fn wake(ended: &AtomicBool) -> Vec<f64> {
    let mut late = Vec::new();
    let mut next = Instant::now();
    while !ended.load(Ordering::Relaxed) {
        next += PERIOD;
        sleep_until(next).await;
        late.push(next.elapsed().as_secs_f64() * 1e3);
    }
    late
}
