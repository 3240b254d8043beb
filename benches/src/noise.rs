//! What the machine itself does to timers meanwhile: a thread that only sleeps and sees how late it wakes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::time::{Instant, sleep_until};

use crate::figure::{Budget, Figure, Unit};
use crate::stats::p99;
use crate::trouble::{During, Trouble};

/// From one wake-up to the next.
const PERIOD: Duration = Duration::from_millis(50);

/// A timer beside a benchmark.
pub(crate) struct Noise {
    ends: Arc<AtomicBool>,
    thread: JoinHandle<Vec<f64>>,
}

impl Noise {
    pub(crate) fn begin() -> Result<Self, Trouble> {
        let runtime = Builder::new_current_thread()
            .enable_time()
            .build()
            .during("start a runtime")?;
        let ends = Arc::new(AtomicBool::new(false));
        let ended = ends.clone();
        let thread = std::thread::spawn(move || runtime.block_on(wake(&ended)));
        Ok(Self { ends, thread })
    }

    /// How late it woke, as a figure.
    pub(crate) fn end(self) -> Result<Figure, Trouble> {
        self.ends.store(true, Ordering::Relaxed);
        let late = self
            .thread
            .join()
            .map_err(|_| Trouble::new("the timer beside the benchmark panicked"))?;
        Ok(Figure::new(
            "a bare timer meanwhile, p99",
            Unit::Milliseconds,
            Budget::None,
            p99(late),
            "a thread of its own that only sleeps, every 50 ms: what the machine does to any timer; much more than \
             1 ms says that it is busy, and that the figures beside it are the machine's",
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
