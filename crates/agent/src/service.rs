//! What a service manager is told: ready, reloading, stopping, and that the scheduler is alive.

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

/// Where the service manager listens (sd_notify(3)).
const SOCKET: &str = "NOTIFY_SOCKET";

/// How long the service manager may take to make room for a message. It is quick; one that is stopped and whose queue is full must
/// not stop the agent, which goes on untold.
const PATIENCE: Duration = Duration::from_secs(1);

/// Longer without a wake-up, and the scheduler counts as stuck, in seconds: it wakes once a second.
const STUCK: f64 = 3.0;

/// The service manager that started this program; nobody is told anything where there is none.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    socket: Option<OsString>,
    /// The last message did not get there, and that was logged.
    troubled: Arc<AtomicBool>,
}

impl Service {
    /// The one that the environment names.
    pub(crate) fn of_environment() -> Self {
        Self::at(env::var_os(SOCKET))
    }

    fn at(socket: Option<OsString>) -> Self {
        Self {
            socket,
            troubled: Arc::default(),
        }
    }

    /// All sources are being polled.
    pub(crate) async fn ready(&self, status: &str) {
        self.tell(&[NotifyState::Ready, NotifyState::Status(status)])
            .await;
    }

    /// The configuration is being read again; [`Service::ready`] ends that, whatever came of it.
    pub(crate) async fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.tell(&[NotifyState::Reloading, now]).await,
            // Without the time newer service managers would end the program.
            Err(error) => self.told(Err(error)),
        }
    }

    /// The program stops.
    pub(crate) async fn stopping(&self) {
        self.tell(&[NotifyState::Stopping, NotifyState::Status("stopping")])
            .await;
    }

    /// Tells the watchdog that all is well, twice as often as it asks for, while the scheduler is alive.
    pub(crate) async fn keep_alive(self, engine: Engine) {
        if let Some(asked) = sd_notify::watchdog_enabled().filter(|asked| *asked > Duration::ZERO) {
            self.ping(asked / 2, || engine.scheduler().since_tick).await;
        }
    }

    async fn ping(&self, every: Duration, since_tick: impl Fn() -> f64) {
        let mut pings = interval(every);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut alive = true;
        loop {
            pings.tick().await;
            let since_tick = since_tick();
            let was_alive = std::mem::replace(&mut alive, since_tick < STUCK);
            if alive {
                self.tell(&[NotifyState::Watchdog]).await;
            } else if was_alive {
                events::watchdog_withheld(since_tick);
            }
        }
    }

    async fn tell(&self, state: &[NotifyState<'_>]) {
        let Some(socket) = &self.socket else {
            return;
        };
        let mut message = String::new();
        for state in state {
            // A text takes everything.
            let _ = writeln!(message, "{state}");
        }
        let sent = async { connect(socket)?.send(message.as_bytes()).await };
        let outcome = match timeout(PATIENCE, sent).await {
            Ok(sent) => sent.map(|_| ()),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "it does not read")),
        };
        self.told(outcome);
    }

    /// Logs that a message did not get there: once, until one does.
    fn told(&self, outcome: io::Result<()>) {
        let was_troubled = self.troubled.swap(outcome.is_err(), Ordering::Relaxed);
        if let (Err(error), false) = (outcome, was_troubled) {
            events::service_not_told(&error);
        }
    }
}

/// A socket that sends to the service manager: to a path, or with an `@` in front to a name that is no file.
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
    async fn a_manager_that_does_not_read_holds_nothing_up() {
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
        assert!(service.troubled.load(Ordering::Relaxed));
        for _ in 0..fill {
            assert_eq!(received(&manager), "fill");
        }
        service.ready("all is well").await;
        assert_eq!(received(&manager), "READY=1\nSTATUS=all is well\n");
        assert!(!service.troubled.load(Ordering::Relaxed));
    }

    #[tokio::test(start_paused = true)]
    async fn the_watchdog_is_not_told_while_the_scheduler_is_stuck() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = StdDatagram::bind(&path).unwrap();
        manager.set_nonblocking(true).unwrap();
        let service = Service::at(Some(path.into()));
        let stuck = AtomicBool::new(false);
        let since_tick = || if stuck.load(Ordering::Relaxed) { STUCK } else { 0.5 };
        let told = async || {
            let pings = service.ping(Duration::from_secs(1), since_tick);
            let _ = timeout(Duration::from_secs(5), pings).await;
            let mut count = 0;
            while manager.recv(&mut [0; 64]).is_ok() {
                count += 1;
            }
            count
        };
        assert!(told().await > 3);
        stuck.store(true, Ordering::Relaxed);
        assert_eq!(told().await, 0);
        stuck.store(false, Ordering::Relaxed);
        assert!(told().await > 3);
    }

    #[tokio::test]
    async fn a_manager_may_listen_at_a_name_that_is_no_file() {
        let name = format!("nephoscope-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = StdDatagram::bind_addr(&address).unwrap();
        Service::at(Some(format!("@{name}").into()))
            .ready("all is well")
            .await;
        assert_eq!(received(&manager), "READY=1\nSTATUS=all is well\n");
    }
}
