//! A scripted coordinator that records its calls.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use nephoscope_coordination::{
    Assignment, BootTime, Coordinator, NoPlan, Plan, Registration, Share, Unit, Work, WorkId,
};
use nephoscope_model::{CycleId, ScheduleId};
use nephoscope_plugin::PartitionMode;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::EDGE;

type FenceFn = Arc<dyn Fn(&WorkId, &[Unit], BootTime) -> bool + Send + Sync>;

/// A pool of several agents, seen by one of them.
pub(crate) struct Pool {
    state: Mutex<State>,
    work: mpsc::Sender<Work>,
    waiting: tokio::sync::Mutex<mpsc::Receiver<Work>>,
}

struct State {
    division: Division,
    no_plan: Option<&'static str>,
    /// How long a plan takes.
    delay: Duration,
    fence: FenceFn,
    calls: Vec<String>,
    meters: Vec<u64>,
    prepared: Vec<(i64, Instant, Instant, Duration)>,
}

/// The division of work.
#[derive(Clone)]
pub(crate) struct Division {
    /// The keys, and the listings divided as a whole, that belong to this agent.
    mine: Vec<&'static str>,
    /// The listings that plans list for this agent; `None`: those that it carries.
    listed: Option<Vec<&'static str>>,
    cancelled: CancellationToken,
}

impl Default for Pool {
    fn default() -> Self {
        let (work, waiting) = mpsc::channel(16);
        Self {
            state: Mutex::new(State {
                division: Division {
                    mine: Vec::new(),
                    listed: None,
                    cancelled: CancellationToken::new(),
                },
                no_plan: None,
                delay: Duration::ZERO,
                fence: Arc::new(|_, _, _| true),
                calls: Vec::new(),
                meters: Vec::new(),
                prepared: Vec::new(),
            }),
            work,
            waiting: tokio::sync::Mutex::new(waiting),
        }
    }
}

impl Pool {
    /// Creates a pool in which these keys, and listings divided as a whole, belong to this agent.
    pub(crate) fn with(mine: &[&'static str]) -> Arc<Self> {
        let pool = Self::default();
        pool.state.lock().division.mine = mine.to_vec();
        Arc::new(pool)
    }

    /// Sets the reason why there is no plan; `None`: there is a plan.
    pub(crate) fn no_plan(&self, reason: Option<&'static str>) {
        self.state.lock().no_plan = reason;
    }

    /// Sets how long plans take.
    pub(crate) fn delay_plans(&self, by: Duration) {
        self.state.lock().delay = by;
    }

    /// Sets the listings that plans list for this agent; `None`: those that it carries.
    pub(crate) fn lists(&self, listings: Option<&[&'static str]>) {
        self.state.lock().division.listed = listings.map(<[_]>::to_vec);
    }

    /// Sets the function that decides about each batch.
    pub(crate) fn fence(&self, fence: impl Fn(&WorkId, &[Unit], BootTime) -> bool + Send + Sync + 'static) {
        self.state.lock().fence = Arc::new(fence);
    }

    /// Cancels the work of all plans so far: it belongs to other agents now.
    pub(crate) fn cancel(&self) {
        self.state.lock().division.cancelled.cancel();
    }

    /// The announced edges: the cycle, the time of the announcement, the edge, and the interval.
    pub(crate) fn prepared(&self) -> Vec<(i64, Instant, Instant, Duration)> {
        self.state.lock().prepared.clone()
    }

    /// The received digests of collected meters.
    pub(crate) fn meters(&self) -> Vec<u64> {
        self.state.lock().meters.clone()
    }

    /// The calls since the last call of this function, without plans.
    pub(crate) fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().calls)
    }

    /// Assigns work to the agent.
    pub(crate) async fn assign(&self, work: Work) {
        self.work.send(work).await.unwrap();
    }

    /// Assigns a takeover in the cycle with this start: these keys of these listings, until this many seconds from now.
    pub(crate) async fn takeover(
        &self,
        number: u64,
        start: i64,
        listings: &[&str],
        mine: &[&'static str],
        until: u64,
    ) -> CancellationToken {
        let cancelled = CancellationToken::new();
        let units = listings.iter().map(|listing| unit(listing)).collect();
        let division = Division {
            mine: mine.to_vec(),
            listed: None,
            cancelled: cancelled.clone(),
        };
        let id = WorkId {
            cycle: cycle(start),
            takeover: Some(number),
        };
        self.assign(Work::Takeover {
            id,
            until: Instant::now() + Duration::from_secs(until),
            units,
            assignment: division.assignment(),
        })
        .await;
        cancelled
    }

    fn record_call(&self, text: String) {
        self.state.lock().calls.push(text);
    }
}

impl Division {
    fn assignment(&self) -> Assignment {
        Assignment {
            plan: Arc::new(self.clone()),
            cancelled: self.cancelled.clone(),
        }
    }
}

/// The cycle of `every 10s` that starts this many seconds after the edge.
pub(crate) fn cycle(start: i64) -> CycleId {
    CycleId::new(
        ScheduleId::new("every:10:0"),
        super::at(start as f64),
        (EDGE + start) / 10,
    )
}

/// A unit of `every 10s`, divided by resource.
pub(crate) fn unit(listing: &str) -> Unit {
    Unit {
        scope: nephoscope_model::Scope::Shared,
        schedule: ScheduleId::new("every:10:0"),
        discovery: listing.into(),
        mode: PartitionMode::Resource,
    }
}

/// A short form: `10` is the work of the cycle that starts 10 s after the edge, `10/2` its takeover number 2.
fn short(work: &WorkId) -> String {
    let start = work.cycle.start.as_millis() / 1000 - EDGE;
    match work.takeover {
        Some(number) => format!("{start}/{number}"),
        None => start.to_string(),
    }
}

impl Plan for Division {
    fn lists(&self, units: &[Unit]) -> bool {
        let Some(listed) = &self.listed else {
            return true;
        };
        let mut listed: Vec<_> = listed.iter().map(|listing| (*listing).to_owned()).collect();
        let mut registration: Vec<_> = units.iter().map(|unit| unit.discovery.to_string()).collect();
        listed.sort();
        registration.sort();
        listed == registration
    }

    fn share(&self, unit: &Unit) -> Share {
        let mine = self.mine.clone();
        match unit.mode {
            PartitionMode::Resource => Share::Resources(Arc::new(move |key| mine.contains(&key))),
            PartitionMode::Listing if mine.contains(&&*unit.discovery) => Share::All,
            PartitionMode::Listing => Share::None,
        }
    }

    fn members(&self, _unit: &Unit) -> NonZeroUsize {
        NonZeroUsize::new(3).unwrap()
    }
}

#[async_trait]
impl Coordinator for Pool {
    async fn register(&self, registration: Registration) {
        self.state.lock().meters.push(registration.meters);
        for unit in &registration.units {
            self.record_call(format!("register {unit}"));
        }
    }

    fn prepare(&self, cycle: &CycleId, edge: Instant, interval: Duration) {
        let start = cycle.start.as_millis() / 1000 - EDGE;
        self.state
            .lock()
            .prepared
            .push((start, Instant::now(), edge, interval));
    }

    async fn plan(&self, _cycle: &CycleId) -> Result<Assignment, NoPlan> {
        let delay = self.state.lock().delay;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let state = self.state.lock();
        match state.no_plan {
            Some(reason) => Err(NoPlan {
                reason: reason.into(),
            }),
            None => Ok(state.division.assignment()),
        }
    }

    async fn next_work(&self) -> Work {
        match self.waiting.lock().await.recv().await {
            Some(work) => work,
            None => std::future::pending().await,
        }
    }

    async fn may_hand_over(&self, work: &WorkId, units: &[Unit], finished: BootTime) -> bool {
        let fence = self.state.lock().fence.clone();
        fence(work, units, finished)
    }

    fn finished(&self, work: &WorkId, unit: &Unit) {
        self.record_call(format!("finished {} of {}", unit.discovery, short(work)));
    }

    fn gave_up(&self, work: &WorkId, unit: &Unit) {
        self.record_call(format!("gave up {} of {}", unit.discovery, short(work)));
    }

    fn skipped(&self, cycle: &CycleId) {
        self.record_call(format!("skipped {}", short(&WorkId::of(cycle.clone()))));
    }

    async fn stopping(&self) {
        self.record_call("stopping".into());
    }

    async fn leave(&self) {
        self.record_call("leave".into());
    }
}
