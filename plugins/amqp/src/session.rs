//! The session: keeps a link open, and reconnects for as long as the publisher exists.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{debug, info};

use crate::error::BrokerError;
use crate::link::{Link, LinkHandle, warn_differs};
use crate::options::Settings;
use crate::url::Host;

/// The pause after the first failure.
const PAUSE_MIN: Duration = Duration::from_millis(100);

/// The longest pause between two attempts, and the longest delay of a reconnection after the broker is back.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// The state of a session.
#[derive(Clone)]
enum Condition {
    /// Connecting.
    Down {
        /// The number of failed rounds over all hosts, and of ended links.
        failures: u64,
        /// The last failure.
        last: Option<BrokerError>,
    },
    /// Batches can be delivered.
    Up(LinkHandle),
}

/// A task that keeps a link open. Dropping the session ends it.
pub(crate) struct Session {
    condition: watch::Receiver<Condition>,
    task: JoinHandle<()>,
    stop: CancellationToken,
    _guard: DropGuard,
}

impl Session {
    /// Starts to connect, on the current runtime.
    pub(crate) fn start(settings: Arc<Settings>) -> Self {
        let (sender, condition) = watch::channel(Condition::Down {
            failures: 0,
            last: None,
        });
        let stop = CancellationToken::new();
        let task = tokio::spawn(run(settings, sender, stop.clone()));
        Self {
            condition,
            task,
            stop: stop.clone(),
            _guard: stop.drop_guard(),
        }
    }

    /// Whether its task has ended, for example with its runtime.
    pub(crate) fn is_over(&self) -> bool {
        self.task.is_finished()
    }

    /// Returns the link when it is open. Fails as soon as an attempt fails after the call, or after `limit`.
    pub(crate) async fn link(&self, limit: Duration) -> Result<LinkHandle, BrokerError> {
        let until = Instant::now() + limit;
        let mut condition = self.condition.clone();
        let mut before = None;
        loop {
            let failure = match &*condition.borrow_and_update() {
                Condition::Up(link) => return Ok(link.clone()),
                Condition::Down { failures, last } => {
                    let failure = last.clone().unwrap_or(BrokerError::NotConnected);
                    if *before.get_or_insert(*failures) != *failures {
                        return Err(failure);
                    }
                    failure
                }
            };
            match timeout_at(until, condition.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(BrokerError::Closed),
                Err(_) => return Err(failure),
            }
        }
    }

    /// Closes the link gracefully. The link limits the duration.
    pub(crate) async fn close(&self) {
        self.stop.cancel();
        let mut condition = self.condition.clone();
        // The task drops its sender at its end.
        while condition.changed().await.is_ok() {}
    }
}

async fn run(settings: Arc<Settings>, condition: watch::Sender<Condition>, stop: CancellationToken) {
    let mut random = Random::default();
    let hosts = random.shuffled(&settings.hosts);
    let mut warned = HashSet::new();
    let mut failures = 0_u64;
    // Failures since the last delivered batch.
    let mut consecutive = 0_u32;
    let mut tried = 0_usize;
    for host in hosts.iter().cycle() {
        let differs = |kind: &'static str, name: &str| {
            if warned.insert((kind, name.to_owned())) {
                warn_differs(&settings.publisher, kind, name);
            }
        };
        let opened = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            opened = Link::open(&settings, host, differs) => opened,
        };
        tried += 1;
        let failure = match opened {
            Ok((mut link, handle)) => {
                info!(
                    publisher = settings.publisher,
                    host = host.shown(),
                    "connected to the broker"
                );
                condition.send_replace(Condition::Up(handle));
                let end = link.run(&stop).await;
                let failure = end.failure.clone().unwrap_or(BrokerError::Closed);
                if end.delivered {
                    consecutive = 0;
                    // Another member may be reachable: try it without a pause.
                    tried = 0;
                }
                failures += 1;
                condition.send_replace(Condition::Down {
                    failures,
                    last: Some(failure.clone()),
                });
                link.close(&end).await;
                if end.failure.is_none() {
                    return;
                }
                failure
            }
            Err(failure) => failure,
        };
        debug!(publisher = settings.publisher, host = host.shown(), error = %failure, "no connection to the broker");
        let round_failed = tried >= hosts.len();
        if round_failed {
            failures += 1;
        }
        condition.send_replace(Condition::Down {
            failures,
            last: Some(failure),
        });
        if !round_failed {
            continue;
        }
        tried = 0;
        consecutive = consecutive.saturating_add(1);
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(random.pause(consecutive)) => {}
        }
    }
}

/// Random numbers that differ between processes, so that agents that failed together do not reconnect together. They need not be
/// cryptographically secure.
#[derive(Default)]
struct Random {
    state: RandomState,
    drawn: u64,
}

impl Random {
    fn draw(&mut self) -> u64 {
        self.drawn = self.drawn.wrapping_add(1);
        self.state.hash_one(self.drawn)
    }

    fn shuffled(&mut self, hosts: &[Host]) -> Vec<Host> {
        let mut keyed: Vec<_> = hosts.iter().map(|host| (self.draw(), host.clone())).collect();
        keyed.sort_by_key(|(key, _)| *key);
        keyed.into_iter().map(|(_, host)| host).collect()
    }

    /// Returns a pause between half and all of the shortest pause, doubled with each consecutive failure (from 1).
    fn pause(&mut self, consecutive: u32) -> Duration {
        let doublings = consecutive.saturating_sub(1).min(16);
        let half = PAUSE_MIN.saturating_mul(1 << doublings).min(PAUSE_MAX) / 2;
        let share = u32::from(self.draw() as u16);
        half + half * share / u32::from(u16::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_with_jitter() {
        let mut random = Random::default();
        for consecutive in 1..40 {
            let whole = (PAUSE_MIN * 2_u32.pow(consecutive.min(16) - 1)).min(PAUSE_MAX);
            let pause = random.pause(consecutive);
            assert!(pause >= whole / 2 && pause <= whole, "{consecutive}: {pause:?}");
        }
        let drawn: HashSet<_> = (0..100).map(|_| random.pause(9)).collect();
        assert!(drawn.len() > 50, "pauses vary: {}", drawn.len());
    }
}
