//! A precise timer for one instant, or tokio's timer as a fallback.
//!
//! tokio's timer has a resolution of a millisecond and rounds up. A kernel timer (timerfd) has the resolution of the
//! hardware, and is awaited through the same poll as all other I/O.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, sleep_until};

/// A timer that waits for one instant at a time.
#[derive(Debug)]
pub struct Alarm(Option<AsyncFd<OwnedFd>>);

impl Alarm {
    /// Creates a kernel timer, or uses tokio's timer if the kernel provides none. Must be called on a runtime.
    pub fn exact() -> Self {
        match timer() {
            Ok(timer) => Self(Some(timer)),
            Err(error) => {
                tracing::debug!(%error, "no kernel timer available; cycles start up to a millisecond later");
                Self(None)
            }
        }
    }

    /// Uses tokio's clock, which tests pause.
    pub fn coarse() -> Self {
        Self(None)
    }

    /// Waits until `instant`. The future can be dropped at any time, and another wait started.
    pub async fn until(&self, instant: Instant) {
        if let Some(timer) = &self.0
            && wait(timer, instant).await.is_ok()
        {
            return;
        }
        sleep_until(instant).await;
    }
}

fn timer() -> io::Result<AsyncFd<OwnedFd>> {
    let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
    let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
    #[allow(
        unsafe_code,
        reason = "tokio requires a guarantee that the descriptor stays open"
    )]
    // SAFETY: an `OwnedFd` keeps its one descriptor open until it is dropped, and `AsyncFd` owns it.
    let registered = unsafe { AsyncFd::register_with_interest(timer, Interest::READABLE) };
    Ok(registered?)
}

async fn wait(timer: &AsyncFd<OwnedFd>, instant: Instant) -> io::Result<()> {
    loop {
        let left = instant.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        // Setting the timer clears an earlier expiration, which is never read from the descriptor.
        timerfd_settime(timer, TimerfdTimerFlags::empty(), &after(left)?)?;
        // Readiness left over from an earlier wait can end this one early, once.
        timer.readable().await?.clear_ready();
    }
}

/// A timer specification that expires once, after `left`.
fn after(left: Duration) -> io::Result<Itimerspec> {
    Ok(Itimerspec {
        it_interval: Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        },
        it_value: left.try_into().map_err(|_| io::ErrorKind::InvalidInput)?,
    })
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn an_alarm_never_fires_early_and_can_be_reused() {
        for alarm in [Alarm::exact(), Alarm::coarse()] {
            for millis in [5, 0, 1] {
                let instant = Instant::now() + Duration::from_millis(millis);
                // Dropped before it fires, as the scheduler does when another event comes first.
                let later = alarm.until(instant + Duration::from_secs(3600));
                assert!(timeout(Duration::ZERO, later).await.is_err());
                timeout(Duration::from_secs(30), alarm.until(instant))
                    .await
                    .expect("the alarm fires");
                assert!(Instant::now() >= instant);
            }
        }
    }
}
