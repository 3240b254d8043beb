//! Which shared units of a work are done: told to the coordinator unit by unit, as soon as it is known.

use std::future::Future;
use std::sync::Arc;

use nephoscope_coordination::{Coordinator, Unit, WorkId};
use nephoscope_notifier::ReceiptSet;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::listing::Listing;

/// Where receipts are waited for, after the polls that they belong to.
#[derive(Debug, Clone)]
pub struct Settlements {
    tasks: TaskTracker,
    runtime: Handle,
    /// Nobody waits any more.
    over: CancellationToken,
}

impl Settlements {
    /// Waits on this runtime.
    pub fn on(runtime: Handle) -> Self {
        Self {
            tasks: TaskTracker::new(),
            runtime,
            over: CancellationToken::new(),
        }
    }

    /// Runs `work` for as long as receipts are waited for.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn_on(work, &self.runtime);
    }

    /// `work`, or `None` if nobody waits for it any more.
    pub async fn patiently<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        self.over.run_until_cancelled(work).await
    }

    /// When everything that is waited for has come. Nothing new may come.
    pub async fn done(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Ends all waiting; what has not come counts as not delivered.
    pub async fn end(&self) {
        self.over.cancel();
        self.done().await;
    }
}

/// The shared units of one work.
pub struct Ledger {
    work: Arc<WorkId>,
    coordinator: Arc<dyn Coordinator>,
    settlements: Settlements,
    entries: Vec<Entry>,
}

struct Entry {
    unit: Unit,
    listing: Arc<Listing>,
    /// Runs that poll it and have not ended.
    runs: usize,
    receipts: Vec<Arc<ReceiptSet>>,
    undone: bool,
}

impl Ledger {
    /// No units yet.
    pub fn new(work: Arc<WorkId>, coordinator: Arc<dyn Coordinator>, settlements: Settlements) -> Self {
        Self {
            work,
            coordinator,
            settlements,
            entries: Vec::new(),
        }
    }

    /// One more run polls this agent's share of the listing.
    pub fn run_begins(&mut self, listing: &Arc<Listing>) {
        let unit = listing.unit();
        match self.entries.iter_mut().find(|entry| entry.unit == *unit) {
            Some(entry) => entry.runs += 1,
            None => self.entries.push(Entry {
                unit: unit.clone(),
                listing: listing.clone(),
                runs: 1,
                receipts: Vec::new(),
                undone: false,
            }),
        }
    }

    /// Whether nothing is left to be polled.
    pub fn is_settled(&self) -> bool {
        self.entries.is_empty()
    }

    /// No run of this agent polls `unit`: it has nothing of it, or does not know it.
    pub fn end_unbegun(&self, unit: &Unit, known: bool) {
        if self.entries.iter().any(|entry| entry.unit == *unit) {
            return;
        }
        if known {
            self.coordinator.finished(&self.work, unit);
        } else {
            self.coordinator.gave_up(&self.work, unit);
        }
    }

    /// A run that polls `units` has ended.
    pub fn run_ended(&mut self, units: &[Unit], receipts: &Arc<ReceiptSet>, undone: bool) {
        for entry in &mut self.entries {
            if units.contains(&entry.unit) {
                entry.runs = entry.runs.saturating_sub(1);
                entry.undone |= undone;
                entry.receipts.push(receipts.clone());
            }
        }
        for entry in self.entries.extract_if(.., |entry| entry.runs == 0) {
            // Whether its service could be reached is known by now: its readers have ended.
            if entry.undone || entry.listing.is_unreachable() {
                self.coordinator.gave_up(&self.work, &entry.unit);
            } else {
                settle(entry, &self.work, &self.coordinator, &self.settlements);
            }
        }
    }
}

impl Drop for Ledger {
    /// A unit with a run that never ended as it should is not done.
    fn drop(&mut self) {
        for entry in &self.entries {
            self.coordinator.gave_up(&self.work, &entry.unit);
        }
    }
}

/// Waits for the receipts of a unit that was polled.
fn settle(entry: Entry, work: &Arc<WorkId>, coordinator: &Arc<dyn Coordinator>, settlements: &Settlements) {
    let Entry { unit, receipts, .. } = entry;
    if receipts.iter().all(|receipts| receipts.open() == 0) {
        coordinator.finished(work, &unit);
        return;
    }
    let (work, coordinator) = (work.clone(), coordinator.clone());
    let patience = settlements.clone();
    settlements.spawn(async move {
        let all = async {
            for receipts in &receipts {
                // What a bound has dropped is gone: polling it again would not bring it back, but double the rest.
                receipts.outcome().await;
            }
        };
        match patience.patiently(all).await {
            Some(()) => coordinator.finished(&work, &unit),
            None => coordinator.gave_up(&work, &unit),
        }
    });
}
