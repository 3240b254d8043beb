//! Notifications for the service manager: ready, reloading, stopping, and the watchdog.

use std::env;
use std::ffi::OsString;
use std::fmt::Write;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram as StdDatagram};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nephoscope_polling::engine::Engine;
use sd_notify::NotifyState;
use tokio::net::UnixDatagram;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::events;

/// The variable with the socket of the service manager (sd_notify(3)).
const SOCKET: &str = "NOTIFY_SOCKET";

/// The timeout of a notification. A service manager that is stopped and whose queue is full must not block the agent, which then
/// continues without the notification.
const PATIENCE: Duration = Duration::from_secs(1);

/// The scheduler is stuck after this time without a wakeup, in seconds. It wakes up every second.
const STUCK: f64 = 3.0;

/// The service manager that started this program. Without one, notifications are not sent.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    socket: Option<OsString>,
    /// Whether the last notification failed, which was logged.
    failing: Arc<AtomicBool>,
}

impl Service {
    /// Returns the service manager that the environment names.
    pub(crate) fn from_environment() -> Self {
        Self::at(env::var_os(SOCKET))
    }

    fn at(socket: Option<OsString>) -> Self {
        Self {
            socket,
            failing: Arc::default(),
        }
    }

    /// Notifies that the agent polls all sources.
    pub(crate) async fn ready(&self, status: &str) {
        self.notify(&[NotifyState::Ready, NotifyState::Status(status)])
            .await;
    }

    /// Notifies that the agent reloads the configuration. [`Service::ready`] ends the reload.
    pub(crate) async fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.notify(&[NotifyState::Reloading, now]).await,
            // Without the time, newer service managers would terminate the program.
            Err(error) => self.report(Err(error)),
        }
    }

    /// Notifies that the agent stops.
    pub(crate) async fn stopping(&self) {
        self.notify(&[NotifyState::Stopping, NotifyState::Status("stopping")])
            .await;
    }

    /// Notifies the watchdog twice per requested interval while the scheduler is alive.
    pub(crate) async fn keep_alive(self, engine: Engine) {
        if let Some(watchdog) = sd_notify::watchdog_enabled().filter(|watchdog| *watchdog > Duration::ZERO) {
            self.ping(watchdog / 2, || engine.scheduler().last_tick_age_seconds)
                .await;
        }
    }

    async fn ping(&self, every: Duration, last_tick_age: impl Fn() -> f64) {
        let mut pings = interval(every);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut alive = true;
        loop {
            pings.tick().await;
            let last_tick_age = last_tick_age();
            let was_alive = std::mem::replace(&mut alive, last_tick_age < STUCK);
            if alive {
                self.notify(&[NotifyState::Watchdog]).await;
            } else if was_alive {
                events::watchdog_withheld(last_tick_age);
            }
        }
    }

    async fn notify(&self, state: &[NotifyState<'_>]) {
        let Some(socket) = &self.socket else {
            return;
        };
        let mut message = String::new();
        for state in state {
            // Writing to a string does not fail.
            let _ = writeln!(message, "{state}");
        }
        let sent = async { connect(socket)?.send(message.as_bytes()).await };
        let outcome = match timeout(PATIENCE, sent).await {
            Ok(sent) => sent.map(|_| ()),
            Err(_) => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the service manager does not read",
            )),
        };
        self.report(outcome);
    }

    /// Logs a failed notification once, until a notification succeeds.
    fn report(&self, outcome: io::Result<()>) {
        let was_failing = self.failing.swap(outcome.is_err(), Ordering::Relaxed);
        if let (Err(error), false) = (outcome, was_failing) {
            events::service_notification_failed(&error);
        }
    }
}

/// Opens a socket to the service manager: to a path, or with the prefix `@` to an abstract name.
fn connect(socket: &OsString) -> io::Result<UnixDatagram> {
    let address = match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    let sender = StdDatagram::unbound()?;
    sender.set_nonblocking(true)?;
    sender.connect_addr(&address)?;
    UnixDatagram::from_std(sender)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(manager: &StdDatagram) -> String {
        let mut message = [0; 256];
        let length = manager.recv(&mut message).unwrap();
        String::from_utf8_lossy(&message[..length]).into_owned()
    }

    #[tokio::test(start_paused = true)]
    async fn a_manager_that_does_not_read_does_not_block() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = StdDatagram::bind(&path).unwrap();
        let filler = StdDatagram::unbound().unwrap();
        filler.set_nonblocking(true).unwrap();
        let mut fill = 0;
        while filler.send_to(b"fill", &path).is_ok() {
            fill += 1;
        }
        let service = Service::at(Some(path.into()));
        service.stopping().await;
        assert!(service.failing.load(Ordering::Relaxed));
        for _ in 0..fill {
            assert_eq!(received(&manager), "fill");
        }
        service.ready("all is well").await;
        assert_eq!(received(&manager), "READY=1\nSTATUS=all is well\n");
        assert!(!service.failing.load(Ordering::Relaxed));
    }

    #[tokio::test(start_paused = true)]
    async fn the_watchdog_is_not_notified_while_the_scheduler_is_stuck() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = StdDatagram::bind(&path).unwrap();
        manager.set_nonblocking(true).unwrap();
        let service = Service::at(Some(path.into()));
        let stuck = AtomicBool::new(false);
        let last_tick_age = || if stuck.load(Ordering::Relaxed) { STUCK } else { 0.5 };
        let notifications = async || {
            let pings = service.ping(Duration::from_secs(1), last_tick_age);
            let _ = timeout(Duration::from_secs(5), pings).await;
            let mut count = 0;
            while manager.recv(&mut [0; 64]).is_ok() {
                count += 1;
            }
            count
        };
        assert!(notifications().await > 3);
        stuck.store(true, Ordering::Relaxed);
        assert_eq!(notifications().await, 0);
        stuck.store(false, Ordering::Relaxed);
        assert!(notifications().await > 3);
    }

    #[tokio::test]
    async fn a_manager_may_listen_at_an_abstract_name() {
        let name = format!("nephoscope-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = StdDatagram::bind_addr(&address).unwrap();
        Service::at(Some(format!("@{name}").into()))
            .ready("all is well")
            .await;
        assert_eq!(received(&manager), "READY=1\nSTATUS=all is well\n");
    }
}
