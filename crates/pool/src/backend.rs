//! The coordination backend `etcd`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use nephoscope_coordination::{
    Assignment, BootTime, Coordinator, InProgress, NoPlan, Registration, Unit, Work, WorkId,
};
use nephoscope_model::CycleId;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::clock::{self, WallClock};
use crate::driver::Driver;
use crate::etcd::Store;
use crate::options::PoolOptions;
use crate::protocol::{Edge, Event, Membership, PlanAnswer, Reason, RegisteredUnits, Verdict};
use crate::shared::{Shared, name};
use crate::status::{DuplicateId, PoolStatus};

/// The time that the machine may need, beyond its timeout, to report that there is no plan.
const GRACE: Duration = Duration::from_secs(4);

/// The limit for leaving, in answer timeouts: it writes the last records and revokes the lease.
const LEAVE_TIMEOUTS: u32 = 3;

/// The backend for configurations with `coordination.endpoints`.
pub struct Pool {
    shared: Arc<Shared>,
    driver: AbortHandle,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Pool")
            .field("prefix", &self.shared.options.prefix)
            .finish_non_exhaustive()
    }
}

impl Pool {
    /// Starts an agent without units; nothing is opened. It runs on the current runtime until it leaves or is dropped.
    pub fn start(options: PoolOptions, wall: Arc<dyn WallClock>) -> Self {
        let store = Store::new(options.store.clone());
        let shared = Arc::new(Shared::new(options, store, wall));
        let driver = tokio::spawn(Driver::new(shared.clone()).run()).abort_handle();
        Self { shared, driver }
    }

    /// Returns the status of the backend.
    pub fn status(&self) -> PoolStatus {
        self.shared.status()
    }

    /// Waits until another agent has had this agent's id for `period` without interruption. Waits forever if this agent
    /// becomes a member, or need not be one.
    pub async fn duplicate_id(&self, period: Duration) -> DuplicateId {
        let mut steps = self.shared.steps();
        let mut since: Option<Instant> = None;
        loop {
            let status = self.shared.query(|machine, now| machine.status(now.boot));
            let holder = status.reasons.into_iter().find_map(|reason| match reason {
                Reason::DuplicateId { host } => Some(host),
                _ => None,
            });
            if matches!(status.membership, Membership::Member { .. } | Membership::Left) {
                return std::future::pending().await;
            }
            let Some(host) = holder else {
                since = None;
                let _ = steps.changed().await;
                continue;
            };
            let since = *since.get_or_insert_with(Instant::now);
            if since.elapsed() >= period {
                return DuplicateId { host };
            }
            let _ = timeout_at(since + period, steps.changed()).await;
        }
    }

    /// Waits at most this long until etcd has answered anything; returns whether it has. Returns true at once if this agent
    /// needs no etcd.
    pub async fn etcd_answers(&self, within: Duration) -> bool {
        let answered = async {
            let mut steps = self.shared.steps();
            loop {
                let status = self.shared.query(|machine, now| machine.status(now.boot));
                if self.shared.store.cluster().is_some() || status.membership == Membership::None {
                    return;
                }
                tokio::select! {
                    _ = steps.changed() => {}
                    // An answer of etcd need not cause a step of the machine.
                    () = sleep(Duration::from_millis(100)) => {}
                }
            }
        };
        timeout(within, answered).await.is_ok()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

#[async_trait]
impl Coordinator for Pool {
    async fn register(&self, registration: Registration) {
        let edge = |known: InProgress| {
            self.shared.record_interval(known.interval);
            Edge {
                cycle: known.cycle,
                edge: clock::on_boot_clock(known.edge),
                interval: known.interval,
            }
        };
        let in_progress = registration.in_progress.into_iter().map(edge).collect();
        self.shared.step(Event::Register(RegisteredUnits {
            units: registration.units,
            meters: registration.meters,
            in_progress,
        }));
    }

    fn prepare(&self, cycle: &CycleId, edge: Instant, interval: Duration) {
        self.shared.record_interval(interval);
        let edge = clock::on_boot_clock(edge);
        self.shared.edge_is_near(edge, interval);
        self.shared.step(Event::Prepare(Edge {
            cycle: cycle.clone(),
            edge,
            interval,
        }));
    }

    async fn plan(&self, cycle: &CycleId) -> Result<Assignment, NoPlan> {
        let no_plan = |reason: String| NoPlan { reason };
        let mut steps = self.shared.steps();
        let answered = async {
            loop {
                steps.borrow_and_update();
                let answer =
                    self.shared
                        .query_assignment(cycle, |machine, now| match machine.plan(now, cycle) {
                            PlanAnswer::Assigned(division) => Ok(division),
                            PlanAnswer::Wait => Err(None),
                            PlanAnswer::NoShare(why) => Err(Some(why)),
                        });
                match answer {
                    Ok(assignment) => return Ok(assignment),
                    Err(Some(why)) => return Err(no_plan(why.to_string())),
                    Err(None) => {}
                }
                let _ = steps.changed().await;
            }
        };
        timeout(self.shared.options.agent.answer_timeout() + GRACE, answered)
            .await
            .unwrap_or_else(|_| Err(no_plan("the plan request timed out".to_owned())))
    }

    async fn next_work(&self) -> Work {
        self.shared.next_work().await
    }

    async fn may_hand_over(&self, work: &WorkId, units: &[Unit], finished: BootTime) -> bool {
        let work = name(work);
        let query = || {
            self.shared
                .query(|machine, now| machine.may_hand_over(now.boot, &work, units, finished))
        };
        let decided = |verdict| match verdict {
            Verdict::Allow => Some(true),
            Verdict::Reject => Some(false),
            Verdict::Unconfirmed => None,
        };
        let mut verdict = decided(query());
        if verdict.is_none() {
            let mut steps = self.shared.steps();
            self.shared.step(Event::ConfirmLease);
            let answered = async {
                loop {
                    steps.borrow_and_update();
                    if let Some(verdict) = decided(query()) {
                        return verdict;
                    }
                    let _ = steps.changed().await;
                }
            };
            verdict = timeout(self.shared.options.agent.answer_timeout(), answered)
                .await
                .ok();
        }
        let may = verdict.unwrap_or_else(|| {
            self.shared
                .query(|machine, now| machine.unanswered(now.boot, &work, units, finished))
        });
        if !may {
            self.shared.count_fenced();
        }
        may
    }

    fn finished(&self, work: &WorkId, unit: &Unit) {
        let (work, unit) = (name(work), unit.clone());
        self.shared.step(Event::Finished { work, unit });
    }

    fn gave_up(&self, work: &WorkId, unit: &Unit) {
        let (work, unit) = (name(work), unit.clone());
        self.shared.step(Event::GaveUp { work, unit });
    }

    fn skipped(&self, cycle: &CycleId) {
        self.shared.step(Event::Skipped(cycle.clone()));
    }

    async fn stopping(&self) {
        self.shared.step(Event::Stopping);
    }

    async fn leave(&self) {
        self.shared.step(Event::Leave);
        let _ = timeout(
            LEAVE_TIMEOUTS * self.shared.options.agent.answer_timeout(),
            self.shared.left.cancelled(),
        )
        .await;
        self.driver.abort();
    }
}
