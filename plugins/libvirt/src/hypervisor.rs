//! The hypervisor of this host: one call for everything in a cycle, which never blocks the agent.
//!
//! A domain whose QEMU does not answer blocks the call that asks for it. So the call has a third of the time. Then its
//! thread and its connection are left behind, and it is made again on a new connection, without waiting for what is busy:
//! the domain that is locked gives what does not need its QEMU, and the others everything. As long as the call that was
//! left behind still runs, cycles begin with the one that does not wait, so that no further one is left behind for the
//! same domain. A connection that cannot even be opened is told by a name of its own: then libvirt itself hangs, and
//! nothing is asked until it comes back.

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

/// The call that waits for domains that are busy.
const STATS: &str = "libvirt.stats";

/// The call that does not. Each that is left behind has a name of its own: as many domains may lock up one after the
/// other before nothing is asked any more. Whoever sees that should look for what they have in common, mostly storage.
const NOWAIT: [&str; 3] = ["libvirt.nowait", "libvirt.nowait-2", "libvirt.nowait-3"];

const OPEN: &str = "libvirt.open";

const DEFINITIONS: &str = "libvirt.definitions";

/// The call that waits has this part of the time.
const PART: u32 = 3;

/// How often a connection is tried in a cycle.
const TRIES: u32 = 5;

/// The wait after the first try; it doubles after each.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// Why there is no snapshot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Trouble {
    /// No connection.
    #[error("libvirt cannot be reached at {uri}")]
    NoConnection {
        uri: String,
        #[source]
        source: session::Error,
    },
    /// A connection, but no statistics.
    #[error("libvirt gives no statistics")]
    Refused(#[source] session::Error),
    /// A call that does not end.
    #[error("libvirt does not answer")]
    Hangs(#[source] BlockingError),
}

impl From<&Trouble> for Failure {
    fn from(trouble: &Trouble) -> Self {
        let failure = match trouble {
            Trouble::NoConnection { .. } | Trouble::Hangs(_) => Failure::unreachable(trouble.to_string()),
            Trouble::Refused(_) => Failure::transient(trouble.to_string()),
        };
        match trouble.clone() {
            Trouble::NoConnection { source, .. } | Trouble::Refused(source) => failure.caused_by(source),
            Trouble::Hangs(source) => failure.caused_by(source),
        }
    }
}

/// The hypervisor, for all plugins of the family.
pub(crate) struct Hypervisor {
    uri: String,
    opener: Arc<Opener>,
    definitions: Arc<Definitions>,
    blocking: BlockingPool,
    /// The connection that nobody uses at the moment.
    kept: Mutex<Option<Box<dyn Session>>>,
    /// Held by the one call that may wait.
    waiting: tokio::sync::Mutex<()>,
}

impl Hypervisor {
    /// `opener` makes the connections, which tell `changes` of definitions that change.
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
            kept: Mutex::default(),
            waiting: tokio::sync::Mutex::default(),
        }
    }

    /// The domains as all plugins of a cycle see them, with at least these statistics.
    pub(crate) async fn of_cycle(
        &self,
        cache: &CycleCache,
        groups: Groups,
        deadline: Instant,
    ) -> Arc<Result<Snapshot, Trouble>> {
        let make = || self.snapshot(groups, deadline);
        let snapshot = cache.get_or_init("libvirt", make).await;
        match snapshot.as_ref() {
            // Whoever made it did not know what is wanted.
            Ok(made) if !made.groups.contains(groups) => cache.get_or_init("libvirt, more", make).await,
            _ => snapshot,
        }
    }

    /// The domains now.
    pub(crate) async fn snapshot(&self, groups: Groups, deadline: Instant) -> Result<Snapshot, Trouble> {
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

    async fn stats(&self, groups: Groups, deadline: Instant) -> Result<Vec<DomainStats>, Trouble> {
        let left = deadline.saturating_duration_since(Instant::now());
        let until = Instant::now() + left / PART;
        let abandoned = self.blocking.abandoned();
        if !abandoned.iter().any(|name| name == STATS) {
            // Where another cycle's call still waits, this one has waited as long as it may.
            if let Ok(_waiting) = timeout_at(until, self.waiting.lock()).await {
                match self.ask(STATS, groups, until).await {
                    Err(Trouble::Hangs(BlockingError::TimedOut | BlockingError::StillRunning)) => {
                        events::call_left_behind(&shown(&self.uri));
                    }
                    answer => return answer,
                }
            }
        }
        let free = NOWAIT
            .into_iter()
            .find(|name| !abandoned.iter().any(|known| known == name));
        let name = free.ok_or(Trouble::Hangs(BlockingError::StillRunning))?;
        // What is left is for definitions and reports.
        let left = deadline.saturating_duration_since(Instant::now());
        self.ask(name, groups, Instant::now() + left / 2).await
    }

    /// Makes the call on the kept connection, or a new one; once more on a new one where the kept one turns out to be
    /// dead.
    async fn ask(
        &self,
        name: &'static str,
        groups: Groups,
        until: Instant,
    ) -> Result<Vec<DomainStats>, Trouble> {
        loop {
            let kept = self.kept.lock().take();
            let is_new = kept.is_none();
            let mut session = match kept {
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
                .map_err(Trouble::Hangs)?;
            match answer {
                Ok(stats) => {
                    *self.kept.lock() = Some(session);
                    return Ok(stats);
                }
                Err(error) if is_new => return Err(Trouble::Refused(error)),
                Err(_) => {}
            }
        }
    }

    /// A new connection, tried again while there is time: libvirt may just be starting.
    async fn open(&self, until: Instant) -> Result<Box<dyn Session>, Trouble> {
        let mut wait = FIRST_WAIT;
        for attempt in 1.. {
            let opener = self.opener.clone();
            let opened = self.blocking.call(OPEN, until, move || opener()).await;
            let source = match opened.map_err(Trouble::Hangs)? {
                Ok(session) => return Ok(session),
                Err(source) => source,
            };
            let wait_now = wait + self.jitter(wait, attempt);
            if attempt >= TRIES || Instant::now() + wait_now >= until {
                let uri = shown(&self.uri);
                return Err(Trouble::NoConnection { uri, source });
            }
            sleep(wait_now).await;
            wait *= 2;
        }
        // The loop has no end of its own.
        Err(Trouble::Hangs(BlockingError::TimedOut))
    }

    /// Up to a quarter of a wait, so that what waits for the same does not come all at once.
    fn jitter(&self, wait: Duration, attempt: u32) -> Duration {
        let mut hasher = DefaultHasher::new();
        (std::ptr::from_ref(self).addr(), attempt).hash(&mut hasher);
        wait.mul_f64((hasher.finish() % 256) as f64 / 1024.0)
    }

    /// Reads definitions on the kept connection. What is not read by the deadline is due again in the next cycle.
    async fn read(&self, due: Vec<(Uuid, Shape)>, deadline: Instant) {
        let Some(mut session) = self.kept.lock().take() else {
            // Another cycle has taken it; it is back when the next one asks.
            return;
        };
        let count = due.len();
        let definitions = self.definitions.clone();
        let call = move || {
            for (domain, shape) in due {
                match session.definition(&domain) {
                    Ok(text) => definitions.put(domain, shape, &text),
                    Err(error) if error.is_gone => definitions.forget(&domain),
                    Err(error) => events::definition_not_read(&domain, &error),
                }
            }
            session
        };
        match self.blocking.call(DEFINITIONS, deadline, call).await {
            Ok(session) => *self.kept.lock() = Some(session),
            Err(error) => events::definitions_not_read(count, &error),
        }
    }
}

/// The URI without what may be a name and a password.
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

/// The time on the monotonic clock.
pub(crate) fn monotonic_seconds() -> f64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::lab::{Fault, Lab, instance};

    /// So long that a hang is found out soon, and calls that answer have time enough.
    const SHORT: Duration = Duration::from_secs(3);

    fn all(_: &str) -> bool {
        true
    }

    /// How many samples came, and what went wrong.
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
    async fn a_cycle_is_one_call_on_the_kept_connection() {
        let lab = Lab::new([instance()]);
        assert_eq!(cycle(&lab, 1).await, fine(49));
        assert_eq!(lab.calls(), "open, stats, definition instance-0000000a");
        for number in 2..5 {
            assert_eq!(cycle(&lab, number).await, fine(53));
            assert_eq!(lab.calls(), "stats");
        }
    }

    #[tokio::test]
    async fn only_what_is_wanted_is_asked_for() {
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
    async fn a_locked_domain_costs_one_call_and_cycles_go_on_without_waiting_until_it_is_free() {
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
        assert_eq!(lab.blocking.abandoned(), [STATS], "there is never a second one");
        drop(release);
        while !lab.blocking.abandoned().is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(cycle(&lab, 6).await, fine(53));
        assert_eq!(lab.calls(), "stats");
    }

    #[tokio::test]
    async fn domains_that_lock_up_one_after_the_other_cost_a_call_each_until_nothing_is_asked() {
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
            "libvirt does not answer: the call did not end by its deadline".to_owned(),
        );
        lock();
        lock();
        assert_eq!(cycle(&lab, 2).await, silent);
        assert_eq!(cycle(&lab, 3).await, fine(53), "both are known to be locked");
        for number in 4..6 {
            lock();
            assert_eq!(cycle(&lab, number).await, silent);
        }
        let refused = (
            0,
            "libvirt does not answer: an earlier call still hangs".to_owned(),
        );
        assert_eq!(cycle(&lab, 6).await, refused);
        assert_eq!(lab.blocking.abandoned().len(), 1 + NOWAIT.len());
    }

    #[tokio::test]
    async fn a_daemon_that_hangs_costs_two_threads_and_is_asked_again_when_it_is_back() {
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
                "libvirt does not answer: the call did not end by its deadline".to_owned()
            )
        );
        for number in 3..6 {
            assert_eq!(
                cycle(&lab, number).await,
                (
                    0,
                    "libvirt does not answer: an earlier call still hangs".to_owned()
                )
            );
        }
        assert_eq!(lab.blocking.abandoned(), [OPEN, STATS]);
        drop((one, other));
        while !lab.blocking.abandoned().is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(cycle(&lab, 6).await, fine(53));
    }

    #[tokio::test]
    async fn a_connection_that_has_died_is_made_anew_in_the_same_cycle() {
        let lab = Lab::new([instance()]);
        cycle(&lab, 1).await;
        lab.calls();
        lab.host.lock().at_stats.push_back(Fault::Fails("end of file"));
        assert_eq!(cycle(&lab, 2).await, fine(53));
        assert_eq!(lab.calls(), "stats, open, stats");
    }

    #[tokio::test]
    async fn a_daemon_that_starts_is_waited_for_and_one_that_is_away_is_not_for_long() {
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
    async fn a_call_that_is_refused_on_a_new_connection_fails_the_cycle_and_no_more() {
        let lab = Lab::new([instance()]);
        lab.host.lock().at_stats.push_back(Fault::Fails("access denied"));
        assert_eq!(
            cycle(&lab, 1).await,
            (0, "libvirt gives no statistics: access denied".to_owned())
        );
        assert_eq!(cycle(&lab, 2).await, fine(49));
    }

    #[tokio::test]
    async fn a_definition_that_hangs_costs_what_is_not_known_yet() {
        let mut second = instance();
        second.uuid = crate::identity::uuid("22222222-2222-2222-2222-222222222222").unwrap();
        let lab = Lab::new([instance(), second]);
        let (hang, release) = Fault::hang();
        lab.host.lock().at_definition.push_back(hang);
        assert_eq!(cycle(&lab, 1).await.0, 0);
        assert_eq!(lab.blocking.abandoned(), [DEFINITIONS]);
        drop(release);
        while !lab.blocking.abandoned().is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(cycle(&lab, 2).await.0, 98);
    }

    #[test]
    fn a_uri_is_shown_without_names_and_passwords() {
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
