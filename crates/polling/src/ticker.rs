//! Wakes the scheduler once a second.
//!
//! The scheduler computes edges and exact starts itself. It only needs to wake up often enough to see the next edges, regardless
//! of the wall clock. The program uses one cron job of tokio-cron-scheduler
//! (`docs/decisions/0001-scheduler.md` explains why only one, and how its defects are contained).

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::{Duration, timeout};
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

/// Ticks are not counted: one pending tick is enough.
const QUEUE: usize = 1;

/// The size of the job scheduler's broadcast channel. One job a second needs few slots, which are allocated in advance.
const CHANNEL: usize = 16;

/// The timeout for starting and stopping a job scheduler.
const PATIENCE: Duration = Duration::from_secs(5);

/// A source of ticks about once a second.
#[async_trait]
pub trait Ticker: Send + 'static {
    /// Waits for the next tick.
    async fn tick(&mut self);

    /// Restarts the source without waiting; called when no tick arrived for some seconds.
    fn restart(&mut self);
}

/// A cron job that fires every second.
pub struct CronTicker {
    sender: mpsc::Sender<()>,
    ticks: mpsc::Receiver<()>,
    scheduler: Arc<Mutex<Option<JobScheduler>>>,
}

impl CronTicker {
    /// Starts the job in the background of the current runtime. If that fails, no tick arrives, and the caller of
    /// [`Ticker::tick`] calls [`Ticker::restart`].
    pub fn start() -> Self {
        let (sender, ticks) = mpsc::channel(QUEUE);
        let ticker = Self {
            sender,
            ticks,
            scheduler: Arc::default(),
        };
        ticker.run_job();
        ticker
    }

    fn run_job(&self) {
        let (sender, handle) = (self.sender.clone(), self.scheduler.clone());
        tokio::spawn(async move {
            match timeout(PATIENCE, run(sender)).await {
                Ok(Ok(scheduler)) => *handle.lock() = Some(scheduler),
                Ok(Err(error)) => tracing::warn!(%error, "cannot start the job scheduler"),
                Err(_) => tracing::warn!("the job scheduler did not start within {PATIENCE:?}"),
            }
        });
    }
}

async fn run(ticks: mpsc::Sender<()>) -> Result<JobScheduler, JobSchedulerError> {
    let scheduler = JobScheduler::new_with_channel_size(CHANNEL).await?;
    let job = Job::new("* * * * * *", move |_, _| {
        // A full queue already holds a tick.
        let _ = ticks.try_send(());
    })?;
    scheduler.add(job).await?;
    scheduler.start().await?;
    Ok(scheduler)
}

#[async_trait]
impl Ticker for CronTicker {
    async fn tick(&mut self) {
        // The ticker owns a sender, so the channel never closes.
        let _ = self.ticks.recv().await;
    }

    fn restart(&mut self) {
        let old = self.scheduler.lock().take();
        if let Some(mut old) = old {
            tokio::spawn(async move {
                if timeout(PATIENCE, old.shutdown()).await.is_err() {
                    tracing::warn!("the job scheduler did not stop within {PATIENCE:?}; it is abandoned");
                }
            });
        }
        self.run_job();
    }
}

/// A ticker on tokio's (paused) time, for tests.
pub struct IntervalTicker(tokio::time::Interval);

impl Default for IntervalTicker {
    fn default() -> Self {
        let mut interval = tokio::time::interval(Duration::from_secs(1));
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        Self(interval)
    }
}

#[async_trait]
impl Ticker for IntervalTicker {
    async fn tick(&mut self) {
        self.0.tick().await;
    }

    fn restart(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_cron_job_ticks_every_second_and_after_a_restart() {
        let mut ticker = CronTicker::start();
        for _ in 0..2 {
            timeout(Duration::from_secs(30), ticker.tick())
                .await
                .expect("a tick");
        }
        ticker.restart();
        timeout(Duration::from_secs(30), ticker.tick())
            .await
            .expect("a tick after the restart");
    }
}
