//! What wakes the scheduler once a second.
//!
//! The scheduler works out edges and exact starts itself; all it needs is to be woken often enough to see the
//! next edges coming, whatever the wall clock does. In the program that is one cron job of tokio-cron-scheduler
//! (why one, and which of its traps are fenced: `docs/decisions/0001-scheduler.md`).

use async_trait::async_trait;
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

    /// Starts anew; called when no wake-up came for some seconds.
    async fn restart(&mut self);
}

/// One cron job that comes true every second.
pub struct CronTicker {
    scheduler: Option<JobScheduler>,
    ticks: mpsc::Receiver<()>,
}

impl CronTicker {
    /// Starts the job. Where that fails, no wake-up comes, and the scheduler's own watch restarts the ticker.
    pub async fn start() -> Self {
        let (sender, ticks) = mpsc::channel(QUEUE);
        let scheduler = match timeout(PATIENCE, run(sender)).await {
            Ok(Ok(scheduler)) => Some(scheduler),
            Ok(Err(error)) => {
                tracing::warn!(%error, "the job scheduler did not start");
                None
            }
            Err(_) => {
                tracing::warn!("the job scheduler did not start in time");
                None
            }
        };
        Self { scheduler, ticks }
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
        if self.ticks.recv().await.is_none() {
            // The job is gone; only `restart` brings wake-ups back.
            std::future::pending::<()>().await;
        }
    }

    async fn restart(&mut self) {
        if let Some(mut old) = self.scheduler.take()
            && timeout(PATIENCE, old.shutdown()).await.is_err()
        {
            tracing::warn!("the job scheduler did not stop in time; it is left behind");
        }
        *self = Self::start().await;
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

    async fn restart(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_cron_job_wakes_every_second_and_again_after_a_restart() {
        let mut ticker = CronTicker::start().await;
        for _ in 0..2 {
            timeout(Duration::from_secs(30), ticker.tick())
                .await
                .expect("a wake-up");
        }
        ticker.restart().await;
        timeout(Duration::from_secs(30), ticker.tick())
            .await
            .expect("a wake-up after the restart");
    }
}
