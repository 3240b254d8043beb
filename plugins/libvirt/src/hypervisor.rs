//! The hypervisor of this host: one call per cycle for all domains, which never blocks the agent.
//!
//! A domain whose QEMU does not respond blocks the call for all domains. The call therefore has a third of the time. Then its
//! thread and its connection are abandoned, and the call is repeated on a new connection with NOWAIT: the locked domain
//! yields the values that do not need its QEMU, and the others yield all. While the first call hangs, cycles start with the
//! NOWAIT call, so that no further call hangs on the same domain. Opening a connection is a call of its own name: if it
//! hangs, libvirt itself hangs, and no calls are made until it recovers.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use nephoscope_plugin::{BlockingError, BlockingPool, CycleCache, Failure};
use parking_lot::Mutex;
use rustix::time::{ClockId, clock_gettime};
use tokio::time::{Instant, sleep, timeout_at};
use uuid::Uuid;

use crate::changes::Changes;
use crate::definitions::Definitions;
use crate::events;
use crate::groups::Groups;
use crate::options::Options;
use crate::session::{self, Opener, Session};
use crate::snapshot::{Domain, Snapshot};
use crate::stats::{DomainStats, Shape};

/// The call that waits for busy domains.
const STATS: &str = "libvirt.stats";

/// The NOWAIT calls. Each one that hangs occupies its name: this many more domains may lock up before no more calls are
/// made. The usual cause of several locked domains is shared storage.
const NOWAIT: [&str; 3] = ["libvirt.nowait", "libvirt.nowait-2", "libvirt.nowait-3"];

const OPEN: &str = "libvirt.open";

const DEFINITIONS: &str = "libvirt.definitions";

/// The call that waits gets this fraction (1/n) of the time.
const WAIT_DIVISOR: u32 = 3;

/// How often connecting is tried per cycle.
const TRIES: u32 = 5;

/// The pause after the first try; it doubles after each.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// Why there is no snapshot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SnapshotError {
    /// No connection.
    #[error("libvirt cannot be reached at {uri}")]
    NoConnection {
        uri: String,
        #[source]
        source: session::Error,
    },
    /// Connected, but no statistics.
    #[error("cannot get statistics from libvirt")]
    StatsFailed(#[source] session::Error),
    /// A call hangs.
    #[error("libvirt does not respond")]
    Hung(#[source] BlockingError),
}

impl From<&SnapshotError> for Failure {
    fn from(error: &SnapshotError) -> Self {
        let failure = match error {
            SnapshotError::NoConnection { .. } | SnapshotError::Hung(_) => {
                Failure::unreachable(error.to_string())
            }
            SnapshotError::StatsFailed(_) => Failure::transient(error.to_string()),
        };
        match error.clone() {
            SnapshotError::NoConnection { source, .. } | SnapshotError::StatsFailed(source) => {
                failure.caused_by(source)
            }
            SnapshotError::Hung(source) => failure.caused_by(source),
        }
    }
}

/// The hypervisor, shared by all plugins of the family.
pub(crate) struct Hypervisor {
    uri: String,
    opener: Arc<Opener>,
    definitions: Arc<Definitions>,
    blocking: BlockingPool,
    /// The connection while it is idle.
    idle: Mutex<Option<Box<dyn Session>>>,
    /// Locked by the one call that may wait.
    wait_lock: tokio::sync::Mutex<()>,
}

impl Hypervisor {
    /// Creates the hypervisor. `opener` connects, and reports changed definitions to `changes`.
    pub(crate) fn new(
        options: &Options,
        opener: Arc<Opener>,
        changes: Arc<Changes>,
        blocking: BlockingPool,
    ) -> Self {
        let check = options.definition_check.0;
        Self {
            uri: options.uri.clone(),
            opener,
            definitions: Arc::new(Definitions::new(changes, check)),
            blocking,
            idle: Mutex::default(),
            wait_lock: tokio::sync::Mutex::default(),
        }
    }

    /// Returns the snapshot that all plugins of a cycle share, with at least these statistics.
    pub(crate) async fn of_cycle(
        &self,
        cache: &CycleCache,
        groups: Groups,
        deadline: Instant,
    ) -> Arc<Result<Snapshot, SnapshotError>> {
        let make = || self.snapshot(groups, deadline);
        let snapshot = cache.get_or_init("libvirt", make).await;
        match snapshot.as_ref() {
            // The plugin that created the snapshot requested other groups.
            Ok(made) if !made.groups.contains(groups) => cache.get_or_init("libvirt, more", make).await,
            _ => snapshot,
        }
    }

    /// Queries the domains.
    pub(crate) async fn snapshot(
        &self,
        groups: Groups,
        deadline: Instant,
    ) -> Result<Snapshot, SnapshotError> {
        let mut stats = self.stats(groups, deadline).await?;
        let at = monotonic_seconds();
        let due = self.definitions.due(&stats);
        if !due.is_empty() {
            self.read(due, deadline).await;
        }
        stats.sort_unstable_by_key(|domain| domain.uuid);
        let domains = stats.into_iter().map(|stats| Domain {
            definition: self.definitions.get(&stats.uuid),
            stats,
        });
        Ok(Snapshot {
            groups,
            domains: domains.collect(),
            at,
        })
    }

    async fn stats(&self, groups: Groups, deadline: Instant) -> Result<Vec<DomainStats>, SnapshotError> {
        let left = deadline.saturating_duration_since(Instant::now());
        let until = Instant::now() + left / WAIT_DIVISOR;
        let abandoned = self.blocking.hung_calls();
        if !abandoned.iter().any(|name| name == STATS) {
            // If another cycle's call still waits, the time for waiting is used up.
            if let Ok(_lock) = timeout_at(until, self.wait_lock.lock()).await {
                match self.call(STATS, groups, until).await {
                    Err(SnapshotError::Hung(BlockingError::TimedOut | BlockingError::StillRunning)) => {
                        events::call_hung(&shown(&self.uri));
                    }
                    answer => return answer,
                }
            }
        }
        let free = NOWAIT
            .into_iter()
            .find(|name| !abandoned.iter().any(|known| known == name));
        let name = free.ok_or(SnapshotError::Hung(BlockingError::StillRunning))?;
        // The remaining time is for definitions and reports.
        let left = deadline.saturating_duration_since(Instant::now());
        self.call(name, groups, Instant::now() + left / 2).await
    }

    /// Makes the call on the idle connection or a new one; if the idle one is dead, once more on a new one.
    async fn call(
        &self,
        name: &'static str,
        groups: Groups,
        until: Instant,
    ) -> Result<Vec<DomainStats>, SnapshotError> {
        loop {
            let idle = self.idle.lock().take();
            let is_new = idle.is_none();
            let mut session = match idle {
                Some(session) => session,
                None => self.open(until).await?,
            };
            let call = move || {
                let answer = session.stats(groups, name != STATS);
                (answer, session)
            };
            let (answer, session) = self
                .blocking
                .call(name, until, call)
                .await
                .map_err(SnapshotError::Hung)?;
            match answer {
                Ok(stats) => {
                    *self.idle.lock() = Some(session);
                    return Ok(stats);
                }
                Err(error) if is_new => return Err(SnapshotError::StatsFailed(error)),
                Err(_) => {}
            }
        }
    }

    /// Opens a connection, with retries while there is time: libvirt may be starting.
    async fn open(&self, until: Instant) -> Result<Box<dyn Session>, SnapshotError> {
        let mut wait = FIRST_WAIT;
        for attempt in 1.. {
            let opener = self.opener.clone();
            let opened = self.blocking.call(OPEN, until, move || opener()).await;
            let source = match opened.map_err(SnapshotError::Hung)? {
                Ok(session) => return Ok(session),
                Err(source) => source,
            };
            let wait_now = wait + self.jitter(wait, attempt);
            if attempt >= TRIES || Instant::now() + wait_now >= until {
                let uri = shown(&self.uri);
                return Err(SnapshotError::NoConnection { uri, source });
            }
            sleep(wait_now).await;
            wait *= 2;
        }
        // Unreachable: the loop returns.
        Err(SnapshotError::Hung(BlockingError::TimedOut))
    }

    /// Returns up to a quarter of a pause, so that concurrent retries are spread.
    fn jitter(&self, wait: Duration, attempt: u32) -> Duration {
        let mut hasher = DefaultHasher::new();
        (std::ptr::from_ref(self).addr(), attempt).hash(&mut hasher);
        wait.mul_f64((hasher.finish() % 256) as f64 / 1024.0)
    }

    /// Reads definitions on the idle connection. Those that are not read by the deadline are due in the next cycle.
    async fn read(&self, due: Vec<(Uuid, Shape)>, deadline: Instant) {
        let Some(mut session) = self.idle.lock().take() else {
            // Another cycle uses it; it is idle again in the next cycle.
            return;
        };
        let count = due.len();
        let definitions = self.definitions.clone();
        let call = move || {
            for (domain, shape) in due {
                match session.definition(&domain) {
                    Ok(text) => definitions.put(domain, shape, &text),
                    Err(error) if error.is_gone => definitions.forget(&domain),
                    Err(error) => events::definition_failed(&domain, &error),
                }
            }
            session
        };
        match self.blocking.call(DEFINITIONS, deadline, call).await {
            Ok(session) => *self.idle.lock() = Some(session),
            Err(error) => events::definitions_failed(count, &error),
        }
    }
}

/// Returns the URI without user and password.
pub(crate) fn shown(uri: &str) -> String {
    let Some((scheme, rest)) = uri.split_once("://") else {
        return uri.to_owned();
    };
    let authority = rest.find('/').map_or(rest, |end| rest.split_at(end).0);
    match authority.rfind('@') {
        Some(end) => format!("{scheme}://***{}", rest.split_at(end).1),
        None => uri.to_owned(),
    }
}

/// Returns the time of the monotonic clock.
pub(crate) fn monotonic_seconds() -> f64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::lab::{Fault, Lab, instance};

    /// Long enough for calls that answer, and short enough for tests of hanging ones.
    const SHORT: Duration = Duration::from_secs(3);

    fn all(_: &str) -> bool {
        true
    }

    /// Returns the number of samples, and the errors.
    async fn cycle(lab: &Lab, number: i64) -> (usize, String) {
        let polled = lab.cycle_within(number, SHORT, all).await;
        (
            polled.samples.len(),
            polled.error.unwrap_or_else(|| polled.failures.join("\n")),
        )
    }

    fn fine(samples: usize) -> (usize, String) {
        (samples, String::new())
    }

    #[tokio::test]
    async fn a_cycle_is_one_call_on_the_idle_connection() {
        let lab = Lab::new([instance()]);
        assert_eq!(cycle(&lab, 1).await, fine(49));
        assert_eq!(lab.calls(), "open, stats, definition instance-0000000a");
        for number in 2..5 {
            assert_eq!(cycle(&lab, number).await, fine(53));
            assert_eq!(lab.calls(), "stats");
        }
    }

    #[tokio::test]
    async fn only_groups_of_wanted_meters_are_requested() {
        let lab = Lab::new([instance()]);
        let polled = lab
            .cycle_within(1, SHORT, |meter| meter.starts_with("network."))
            .await;
        assert_eq!(polled.samples.len(), 20);
        assert_eq!(lab.host.lock().groups, Some(Groups::STATE | Groups::INTERFACE));
        lab.cycle_within(2, SHORT, |meter| meter == "disk.root.size")
            .await;
        assert_eq!(lab.host.lock().groups, Some(Groups::STATE));
        lab.cycle_within(3, SHORT, |meter| ["cpu", "memory"].contains(&meter))
            .await;
        let groups = Groups::STATE | Groups::CPU | Groups::VCPU | Groups::BALLOON;
        assert_eq!(lab.host.lock().groups, Some(groups));
    }

    #[tokio::test]
    async fn a_locked_domain_hangs_one_call_and_cycles_do_not_wait_until_it_is_free() {
        let lab = Lab::new([instance()]);
        cycle(&lab, 1).await;
        lab.calls();
        let (hang, release) = Fault::hang();
        lab.host.lock().at_stats.push_back(hang);
        assert_eq!(cycle(&lab, 2).await, fine(53), "in the same cycle");
        assert_eq!(lab.calls(), "stats, open, stats nowait");
        for number in 3..6 {
            assert_eq!(cycle(&lab, number).await, fine(53));
            assert_eq!(lab.calls(), "stats nowait");
        }
        assert_eq!(lab.blocking.hung_calls(), [STATS], "no second call hangs");
        drop(release);
        while !lab.blocking.hung_calls().is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(cycle(&lab, 6).await, fine(53));
        assert_eq!(lab.calls(), "stats");
    }

    #[tokio::test]
    async fn domains_that_lock_up_one_after_another_hang_one_call_each_up_to_the_limit() {
        let lab = Lab::new([instance()]);
        cycle(&lab, 1).await;
        let mut releases = Vec::new();
        let mut lock = || {
            let (hang, release) = Fault::hang();
            lab.host.lock().at_stats.push_back(hang);
            releases.push(release);
        };
        let silent = (
            0,
            "libvirt does not respond: the call did not end by its deadline".to_owned(),
        );
        lock();
        lock();
        assert_eq!(cycle(&lab, 2).await, silent);
        assert_eq!(cycle(&lab, 3).await, fine(53), "both calls are known to hang");
        for number in 4..6 {
            lock();
            assert_eq!(cycle(&lab, number).await, silent);
        }
        let refused = (
            0,
            "libvirt does not respond: an earlier call still hangs".to_owned(),
        );
        assert_eq!(cycle(&lab, 6).await, refused);
        assert_eq!(lab.blocking.hung_calls().len(), 1 + NOWAIT.len());
    }

    #[tokio::test]
    async fn a_hanging_daemon_occupies_two_threads_and_is_queried_again_when_it_recovers() {
        let lab = Lab::new([instance()]);
        cycle(&lab, 1).await;
        let (first, one) = Fault::hang();
        let (second, other) = Fault::hang();
        lab.host.lock().at_stats.push_back(first);
        lab.host.lock().at_open.push_back(second);
        assert_eq!(
            cycle(&lab, 2).await,
            (
                0,
                "libvirt does not respond: the call did not end by its deadline".to_owned()
            )
        );
        for number in 3..6 {
            assert_eq!(
                cycle(&lab, number).await,
                (
                    0,
                    "libvirt does not respond: an earlier call still hangs".to_owned()
                )
            );
        }
        assert_eq!(lab.blocking.hung_calls(), [OPEN, STATS]);
        drop((one, other));
        while !lab.blocking.hung_calls().is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(cycle(&lab, 6).await, fine(53));
    }

    #[tokio::test]
    async fn a_dead_connection_is_replaced_in_the_same_cycle() {
        let lab = Lab::new([instance()]);
        cycle(&lab, 1).await;
        lab.calls();
        lab.host.lock().at_stats.push_back(Fault::Fails("end of file"));
        assert_eq!(cycle(&lab, 2).await, fine(53));
        assert_eq!(lab.calls(), "stats, open, stats");
    }

    #[tokio::test]
    async fn connecting_is_retried_a_few_times() {
        let refused = || Fault::Fails("connection refused");
        let lab = Lab::new([instance()]);
        lab.host.lock().at_open.push_back(refused());
        let polled = lab.cycle(1).await;
        assert_eq!((polled.samples.len(), polled.error), (49, None));
        assert_eq!(lab.calls(), "open, open, stats, definition instance-0000000a");

        let lab = Lab::new([instance()]);
        lab.host.lock().at_open.extend((0..TRIES).map(|_| refused()));
        let (samples, error) = cycle(&lab, 1).await;
        assert_eq!(samples, 0);
        insta::assert_snapshot!(error, @"libvirt cannot be reached at qemu:///system: connection refused");
        lab.host.lock().at_open.clear();
        assert_eq!(cycle(&lab, 2).await, fine(49), "the next cycle tries again");
    }

    #[tokio::test]
    async fn a_failed_call_on_a_new_connection_fails_only_its_cycle() {
        let lab = Lab::new([instance()]);
        lab.host.lock().at_stats.push_back(Fault::Fails("access denied"));
        assert_eq!(
            cycle(&lab, 1).await,
            (0, "cannot get statistics from libvirt: access denied".to_owned())
        );
        assert_eq!(cycle(&lab, 2).await, fine(49));
    }

    #[tokio::test]
    async fn a_hanging_definition_delays_only_unknown_definitions() {
        let mut second = instance();
        second.uuid = crate::identity::uuid("22222222-2222-2222-2222-222222222222").unwrap();
        let lab = Lab::new([instance(), second]);
        let (hang, release) = Fault::hang();
        lab.host.lock().at_definition.push_back(hang);
        assert_eq!(cycle(&lab, 1).await.0, 0);
        assert_eq!(lab.blocking.hung_calls(), [DEFINITIONS]);
        drop(release);
        while !lab.blocking.hung_calls().is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(cycle(&lab, 2).await.0, 98);
    }

    #[test]
    fn a_uri_is_shown_without_user_and_password() {
        for (uri, expected) in [
            ("qemu:///system", "qemu:///system"),
            (
                "qemu+tls://user:pass@host:1/system",
                "qemu+tls://***@host:1/system",
            ),
            (
                "qemu+unix:///system?socket=/a@b",
                "qemu+unix:///system?socket=/a@b",
            ),
        ] {
            assert_eq!(shown(uri), expected);
        }
    }
}
