//! What a service manager is told: ready, reloading, stopping, and that the scheduler is alive.

use std::time::Duration;

use nephoscope_polling::engine::Engine;
use sd_notify::NotifyState;

use crate::events;

/// Longer without a wake-up, and the scheduler counts as stuck, in seconds: it wakes once a second.
const STUCK: f64 = 3.0;

/// The service manager that started this program; nobody is told anything where there is none.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Service;

impl Service {
    /// All sources are being polled.
    pub(crate) fn ready(self, status: &str) {
        tell(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    /// The configuration is being read again; [`Service::ready`] ends that, whatever came of it.
    pub(crate) fn reloading(self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => tell(&[NotifyState::Reloading, now]),
            // Without the time newer service managers would end the program.
            Err(error) => events::service_not_told(&error),
        }
    }

    /// The program stops.
    pub(crate) fn stopping(self) {
        tell(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
    }

    /// Tells the watchdog that all is well, twice as often as it asks for, while the scheduler is alive.
    pub(crate) async fn keep_alive(self, engine: Engine) {
        let Some(asked) = sd_notify::watchdog_enabled().filter(|asked| *asked > Duration::ZERO) else {
            return;
        };
        let mut pings = tokio::time::interval(asked / 2);
        let mut alive = true;
        loop {
            pings.tick().await;
            let since_tick = engine.scheduler().since_tick;
            let was_alive = std::mem::replace(&mut alive, since_tick < STUCK);
            if alive {
                tell(&[NotifyState::Watchdog]);
            } else if was_alive {
                events::watchdog_withheld(since_tick);
            }
        }
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        events::service_not_told(&error);
    }
}
