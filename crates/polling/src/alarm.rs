//! Waits for an instant: as exactly as the machine can, or as tokio's timer does.
//!
//! tokio's timer has a resolution of a millisecond, and rounds up. A timer of the kernel has that of the hardware, and
//! tells it through the same wait as all other input.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, sleep_until};

/// Waits for one instant at a time.
#[derive(Debug)]
pub struct Alarm(Option<AsyncFd<OwnedFd>>);

impl Alarm {
    /// As exact as the machine is; as exact as tokio where the kernel gives no timer. Call it on a runtime.
    pub fn exact() -> Self {
        match timer() {
            Ok(timer) => Self(Some(timer)),
            Err(error) => {
                tracing::debug!(%error, "no timer of the kernel; cycles start up to a millisecond later");
                Self(None)
            }
        }
    }

    /// On tokio's clock, which tests pause.
    pub fn coarse() -> Self {
        Self(None)
    }

    /// Waits until `instant`. May be dropped at any time, and called again with another.
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
    // SAFETY: an `OwnedFd` keeps its one descriptor open until it is dropped, and `AsyncFd` owns it.
    #[allow(unsafe_code, reason = "tokio cannot know that an `OwnedFd` is what it says")]
    let registered = unsafe { AsyncFd::register_with_interest(timer, Interest::READABLE) };
    Ok(registered?)
}

async fn wait(timer: &AsyncFd<OwnedFd>, instant: Instant) -> io::Result<()> {
    loop {
        let left = instant.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        // Forgets what it had to tell before: nothing is ever read from it.
        timerfd_settime(timer, TimerfdTimerFlags::empty(), &after(left)?)?;
        // What an earlier wait has left ends this one early, once.
        timer.readable().await?.clear_ready();
    }
}

/// Once, after so long.
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
    async fn an_alarm_never_comes_early_and_can_be_set_again() {
        for alarm in [Alarm::exact(), Alarm::coarse()] {
            for millis in [5, 0, 1] {
                let instant = Instant::now() + Duration::from_millis(millis);
                // Given up before it came, as the scheduler does when something else happens.
                let later = alarm.until(instant + Duration::from_secs(3600));
                assert!(timeout(Duration::ZERO, later).await.is_err());
                timeout(Duration::from_secs(30), alarm.until(instant))
                    .await
                    .expect("it comes");
                assert!(Instant::now() >= instant);
            }
        }
    }
}
