//! The backend as the engine sees it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use nephoscope_coordination::{
    Agreed, BootTime, Carried, Coordinator, InProgress, NoPlan, Unit, Work, WorkId,
};
use nephoscope_model::CycleId;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::clock::{self, WallClock};
use crate::driver::Driver;
use crate::etcd::Store;
use crate::options::PoolOptions;
use crate::protocol::{Carry, Edge, Event, Membership, PlanAnswer, Reason, Verdict};
use crate::shared::{Shared, name};
use crate::status::{Holder, PoolStatus};

/// How much longer than its patience the machine may take to say that there is no plan, which it says by itself.
const GRACE: Duration = Duration::from_secs(4);

/// How long leaving may take, in times of the patience with one request: the last records, and the end of the lease.
const LEAVING: u32 = 3;

/// The backend that is used where `coordination.endpoints` are named.
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
    /// An agent that carries nothing yet; nothing is opened. Within a runtime, on which it lives until it leaves or is dropped.
    pub fn start(options: PoolOptions, wall: Arc<dyn WallClock>) -> Self {
        let store = Store::new(options.store.clone());
        let shared = Arc::new(Shared::new(options, store, wall));
        let driver = tokio::spawn(Driver::new(shared.clone()).run()).abort_handle();
        Self { shared, driver }
    }

    /// How it stands.
    pub fn status(&self) -> PoolStatus {
        self.shared.status()
    }

    /// Waits until another agent has had this one's id for `patience` without a break. It waits for ever if this agent becomes a
    /// member, or needs not be one.
    pub async fn id_is_taken(&self, patience: Duration) -> Holder {
        let mut steps = self.shared.steps();
        let mut since: Option<Instant> = None;
        loop {
            let status = self.shared.ask(|machine, now| machine.status(now.boot));
            let taken = status.reasons.into_iter().find_map(|reason| match reason {
                Reason::IdTaken { host } => Some(host),
                _ => None,
            });
            if matches!(status.membership, Membership::Member { .. } | Membership::Left) {
                return std::future::pending().await;
            }
            let Some(host) = taken else {
                since = None;
                let _ = steps.changed().await;
                continue;
            };
            let since = *since.get_or_insert_with(Instant::now);
            if since.elapsed() >= patience {
                return Holder { host };
            }
            let _ = timeout_at(since + patience, steps.changed()).await;
        }
    }

    /// Waits until etcd has answered anything, at most this long; whether it has. At once if this agent asks nothing of etcd.
    pub async fn etcd_answers(&self, within: Duration) -> bool {
        let answered = async {
            let mut steps = self.shared.steps();
            loop {
                let status = self.shared.ask(|machine, now| machine.status(now.boot));
                if self.shared.store.cluster().is_some() || status.membership == Membership::None {
                    return;
                }
                tokio::select! {
                    _ = steps.changed() => {}
                    // An answer need not be news for the machine.
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
    async fn carry(&self, carried: Carried) {
        let edge = |known: InProgress| {
            self.shared.interval(known.interval);
            Edge {
                cycle: known.cycle,
                edge: clock::on_boot_clock(known.edge),
                interval: known.interval,
            }
        };
        let in_progress = carried.in_progress.into_iter().map(edge).collect();
        self.shared.step(Event::Carry(Carry {
            units: carried.units,
            meters: carried.meters,
            in_progress,
        }));
    }

    fn prepare(&self, cycle: &CycleId, edge: Instant, interval: Duration) {
        self.shared.interval(interval);
        let edge = clock::on_boot_clock(edge);
        self.shared.edge_is_near(edge, interval);
        self.shared.step(Event::Prepare(Edge {
            cycle: cycle.clone(),
            edge,
            interval,
        }));
    }

    async fn plan(&self, cycle: &CycleId) -> Result<Agreed, NoPlan> {
        let no_plan = |reason: String| NoPlan { reason };
        let mut steps = self.shared.steps();
        let asked = async {
            loop {
                steps.borrow_and_update();
                let answer = self
                    .shared
                    .ask_for_part(cycle, |machine, now| match machine.plan(now, cycle) {
                        PlanAnswer::Agreed(division) => Ok(division),
                        PlanAnswer::Wait => Err(None),
                        PlanAnswer::Nothing(why) => Err(Some(why)),
                    });
                match answer {
                    Ok(agreed) => return Ok(agreed),
                    Err(Some(why)) => return Err(no_plan(why.to_string())),
                    Err(None) => {}
                }
                let _ = steps.changed().await;
            }
        };
        timeout(self.shared.options.agent.patience() + GRACE, asked)
            .await
            .unwrap_or_else(|_| Err(no_plan("the question for the plan got no answer".to_owned())))
    }

    async fn next_work(&self) -> Work {
        self.shared.next_work().await
    }

    async fn may_hand_over(&self, work: &WorkId, units: &[Unit], finished: BootTime) -> bool {
        let work = name(work);
        let ask = || {
            self.shared
                .ask(|machine, now| machine.may_hand_over(now.boot, &work, units, finished))
        };
        let decided = |verdict| match verdict {
            Verdict::HandOver => Some(true),
            Verdict::Refuse => Some(false),
            Verdict::Ask => None,
        };
        let mut verdict = decided(ask());
        if verdict.is_none() {
            let mut steps = self.shared.steps();
            self.shared.step(Event::Doubt);
            let answered = async {
                loop {
                    steps.borrow_and_update();
                    if let Some(verdict) = decided(ask()) {
                        return verdict;
                    }
                    let _ = steps.changed().await;
                }
            };
            verdict = timeout(self.shared.options.agent.patience(), answered).await.ok();
        }
        let may = verdict.unwrap_or_else(|| {
            self.shared
                .ask(|machine, now| machine.unanswered(now.boot, &work, units, finished))
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
            LEAVING * self.shared.options.agent.patience(),
            self.shared.left.cancelled(),
        )
        .await;
        self.driver.abort();
    }
}
