//! What wakes the scheduler once a second.
//!
//! The scheduler works out edges and exact starts itself; all it needs is to be woken often enough to see the
//! next edges coming, whatever the wall clock does. In the program that is one cron job of tokio-cron-scheduler
//! (why one, and which of its traps are fenced: `docs/decisions/0001-scheduler.md`).

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::{Duration, timeout};
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

/// Wake-ups are not counted: one that waits says all that two would.
const QUEUE: usize = 1;

/// The scheduler's broadcast channel. One job a second needs few slots; each is allocated in advance.
const CHANNEL: usize = 16;

/// How long starting or stopping a job scheduler may take before it is given up.
const PATIENCE: Duration = Duration::from_secs(5);

/// Wakes somebody about once a second.
#[async_trait]
pub trait Ticker: Send + 'static {
    /// Waits for the next wake-up.
    async fn tick(&mut self);

    /// Starts anew, without waiting for it; called when no wake-up came for some seconds.
    fn restart(&mut self);
}

/// One cron job that comes true every second.
pub struct CronTicker {
    sender: mpsc::Sender<()>,
    ticks: mpsc::Receiver<()>,
    scheduler: Arc<Mutex<Option<JobScheduler>>>,
}

impl CronTicker {
    /// Starts the job, in the background of the current runtime. Where that fails, no wake-up comes, and the
    /// one who waits for them calls [`Ticker::restart`].
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
        let (sender, place) = (self.sender.clone(), self.scheduler.clone());
        tokio::spawn(async move {
            match timeout(PATIENCE, run(sender)).await {
                Ok(Ok(scheduler)) => *place.lock() = Some(scheduler),
                Ok(Err(error)) => tracing::warn!(%error, "the job scheduler did not start"),
                Err(_) => tracing::warn!("the job scheduler did not start in time"),
            }
        });
    }
}

async fn run(ticks: mpsc::Sender<()>) -> Result<JobScheduler, JobSchedulerError> {
    let scheduler = JobScheduler::new_with_channel_size(CHANNEL).await?;
    let job = Job::new("* * * * * *", move |_, _| {
        // A full queue holds a wake-up already.
        let _ = ticks.try_send(());
    })?;
    scheduler.add(job).await?;
    scheduler.start().await?;
    Ok(scheduler)
}

#[async_trait]
impl Ticker for CronTicker {
    async fn tick(&mut self) {
        // The ticker holds a sender itself: the channel never closes.
        let _ = self.ticks.recv().await;
    }

    fn restart(&mut self) {
        let old = self.scheduler.lock().take();
        if let Some(mut old) = old {
            tokio::spawn(async move {
                if timeout(PATIENCE, old.shutdown()).await.is_err() {
                    tracing::warn!("the job scheduler did not stop in time; it is left behind");
                }
            });
        }
        self.run_job();
    }
}

/// A ticker on tokio's own (paused) time, for tests.
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
    async fn the_cron_job_wakes_every_second_and_again_after_a_restart() {
        let mut ticker = CronTicker::start();
        for _ in 0..2 {
            timeout(Duration::from_secs(30), ticker.tick())
                .await
                .expect("a wake-up");
        }
        ticker.restart();
        timeout(Duration::from_secs(30), ticker.tick())
            .await
            .expect("a wake-up after the restart");
    }
}
