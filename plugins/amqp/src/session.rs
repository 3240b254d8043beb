//! Keeps a link up: connects, and connects again, for as long as the publisher lives.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{debug, info};

use crate::link::{Link, LinkHandle, warn_differs};
use crate::options::Settings;
use crate::trouble::Trouble;
use crate::url::Host;

/// The pause after the first failure.
const PAUSE_MIN: Duration = Duration::from_millis(100);

/// The longest pause between two attempts: how late a link comes up after its broker.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// Where a session stands.
#[derive(Clone)]
enum Condition {
    /// Attempts are made.
    Down {
        /// How many rounds over all hosts have failed, and links have ended.
        failures: u64,
        /// The last failure.
        last: Option<Trouble>,
    },
    /// Batches can be delivered.
    Up(LinkHandle),
}

/// A task that keeps a link up. It ends when this is dropped.
pub(crate) struct Session {
    condition: watch::Receiver<Condition>,
    task: JoinHandle<()>,
    stop: CancellationToken,
    _guard: DropGuard,
}

impl Session {
    /// Begins to connect, on the runtime that calls.
    pub(crate) fn start(settings: Arc<Settings>) -> Self {
        let (sender, condition) = watch::channel(Condition::Down {
            failures: 0,
            last: None,
        });
        let stop = CancellationToken::new();
        let task = tokio::spawn(keep_up(settings, sender, stop.clone()));
        Self {
            condition,
            task,
            stop: stop.clone(),
            _guard: stop.drop_guard(),
        }
    }

    /// Whether its task is gone, as with the runtime that it ran on.
    pub(crate) fn is_over(&self) -> bool {
        self.task.is_finished()
    }

    /// The link, when it is up. The trouble as soon as an attempt has failed since the call, or after `limit`.
    pub(crate) async fn link(&self, limit: Duration) -> Result<LinkHandle, Trouble> {
        let until = Instant::now() + limit;
        let mut condition = self.condition.clone();
        let mut before = None;
        loop {
            let trouble = match &*condition.borrow_and_update() {
                Condition::Up(link) => return Ok(link.clone()),
                Condition::Down { failures, last } => {
                    let trouble = last.clone().unwrap_or(Trouble::Waiting);
                    if *before.get_or_insert(*failures) != *failures {
                        return Err(trouble);
                    }
                    trouble
                }
            };
            match timeout_at(until, condition.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(Trouble::Closed),
                Err(_) => return Err(trouble),
            }
        }
    }

    /// Ends the link in good order. The link itself bounds how long that takes.
    pub(crate) async fn close(&self) {
        self.stop.cancel();
        let mut condition = self.condition.clone();
        // The task drops its sender at its end.
        while condition.changed().await.is_ok() {}
    }
}

async fn keep_up(settings: Arc<Settings>, condition: watch::Sender<Condition>, stop: CancellationToken) {
    let mut random = Random::default();
    let hosts = random.shuffled(&settings.hosts);
    let mut warned = HashSet::new();
    let mut failures = 0_u64;
    // Failures since a batch was delivered.
    let mut in_a_row = 0_u32;
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
        let trouble = match opened {
            Ok((mut link, handle)) => {
                info!(
                    publisher = settings.publisher,
                    host = host.shown(),
                    "connected to the broker"
                );
                condition.send_replace(Condition::Up(handle));
                let end = link.run(&stop).await;
                let trouble = end.trouble.clone().unwrap_or(Trouble::Closed);
                if end.delivered {
                    in_a_row = 0;
                    // Another member may be up: it is asked without a pause.
                    tried = 0;
                }
                failures += 1;
                condition.send_replace(Condition::Down {
                    failures,
                    last: Some(trouble.clone()),
                });
                link.leave(&end).await;
                if end.trouble.is_none() {
                    return;
                }
                trouble
            }
            Err(trouble) => trouble,
        };
        debug!(publisher = settings.publisher, host = host.shown(), %trouble, "no connection to the broker");
        let round = tried >= hosts.len();
        if round {
            failures += 1;
        }
        condition.send_replace(Condition::Down {
            failures,
            last: Some(trouble),
        });
        if !round {
            continue;
        }
        tried = 0;
        in_a_row = in_a_row.saturating_add(1);
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(random.pause(in_a_row)) => {}
        }
    }
}

/// Numbers that differ between processes, so that agents that failed together do not come back together; nothing
/// secret hangs on them.
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

    /// Between the half and the whole of the shortest pause, doubled with each failure in a row (from 1).
    fn pause(&mut self, in_a_row: u32) -> Duration {
        let doublings = in_a_row.saturating_sub(1).min(16);
        let half = PAUSE_MIN.saturating_mul(1 << doublings).min(PAUSE_MAX) / 2;
        let share = u32::from(self.draw() as u16);
        half + half * share / u32::from(u16::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_are_spread() {
        let mut random = Random::default();
        for in_a_row in 1..40 {
            let whole = (PAUSE_MIN * 2_u32.pow(in_a_row.min(16) - 1)).min(PAUSE_MAX);
            let pause = random.pause(in_a_row);
            assert!(pause >= whole / 2 && pause <= whole, "{in_a_row}: {pause:?}");
        }
        let drawn: HashSet<_> = (0..100).map(|_| random.pause(9)).collect();
        assert!(drawn.len() > 50, "agents are spread: {}", drawn.len());
    }
}
