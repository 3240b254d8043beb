//! Tracks which shared units of a work item are done, and reports each to the coordinator as soon as it is known.

use std::future::Future;
use std::sync::Arc;

use nephoscope_coordination::{Coordinator, Unit, WorkId};
use nephoscope_notifier::ReceiptSet;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::listing::Listing;

/// The tasks that wait for receipts after the polls have ended.
#[derive(Debug, Clone)]
pub struct Settlements {
    tasks: TaskTracker,
    runtime: Handle,
    /// Cancelled when no receipt is awaited any more.
    cancelled: CancellationToken,
}

impl Settlements {
    /// Creates a tracker whose tasks run on this runtime.
    pub fn on(runtime: Handle) -> Self {
        Self {
            tasks: TaskTracker::new(),
            runtime,
            cancelled: CancellationToken::new(),
        }
    }

    /// Spawns a task that waits for receipts.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn_on(work, &self.runtime);
    }

    /// Runs `work`; returns `None` if waiting is cancelled first.
    pub async fn until_cancelled<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        self.cancelled.run_until_cancelled(work).await
    }

    /// Waits until all tasks have ended. No new task may be spawned.
    pub async fn wait(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Cancels all waiting; receipts that are not complete count as not delivered.
    pub async fn cancel(&self) {
        self.cancelled.cancel();
        self.wait().await;
    }
}

/// The shared units of one work item.
pub struct Ledger {
    work: Arc<WorkId>,
    coordinator: Arc<dyn Coordinator>,
    settlements: Settlements,
    entries: Vec<Entry>,
}

struct Entry {
    unit: Unit,
    listing: Arc<Listing>,
    /// The runs that poll it and have not ended.
    runs: usize,
    receipts: Vec<Arc<ReceiptSet>>,
    undone: bool,
}

impl Ledger {
    /// An empty ledger.
    pub fn new(work: Arc<WorkId>, coordinator: Arc<dyn Coordinator>, settlements: Settlements) -> Self {
        Self {
            work,
            coordinator,
            settlements,
            entries: Vec::new(),
        }
    }

    /// Registers another run that polls this agent's share of the listing.
    pub fn run_started(&mut self, listing: &Arc<Listing>) {
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

    /// Whether no unit remains to be polled.
    pub fn is_settled(&self) -> bool {
        self.entries.is_empty()
    }

    /// Settles a unit that no run of this agent polls: its share is empty, or the unit is unknown.
    pub fn settle_unstarted(&self, unit: &Unit, known: bool) {
        if self.entries.iter().any(|entry| entry.unit == *unit) {
            return;
        }
        if known {
            self.coordinator.finished(&self.work, unit);
        } else {
            self.coordinator.gave_up(&self.work, unit);
        }
    }

    /// Registers the end of a run that polls `units`.
    pub fn run_ended(&mut self, units: &[Unit], receipts: &Arc<ReceiptSet>, undone: bool) {
        for entry in &mut self.entries {
            if units.contains(&entry.unit) {
                entry.runs = entry.runs.saturating_sub(1);
                entry.undone |= undone;
                entry.receipts.push(receipts.clone());
            }
        }
        for entry in self.entries.extract_if(.., |entry| entry.runs == 0) {
            // Whether the service was reachable is known now, since its readers have ended.
            if entry.undone || entry.listing.is_unreachable() {
                self.coordinator.gave_up(&self.work, &entry.unit);
            } else {
                settle(entry, &self.work, &self.coordinator, &self.settlements);
            }
        }
    }
}

impl Drop for Ledger {
    /// Gives up every unit with a run that did not end regularly.
    fn drop(&mut self) {
        for entry in &self.entries {
            self.coordinator.gave_up(&self.work, &entry.unit);
        }
    }
}

/// Waits for the receipts of a polled unit.
fn settle(entry: Entry, work: &Arc<WorkId>, coordinator: &Arc<dyn Coordinator>, settlements: &Settlements) {
    let Entry { unit, receipts, .. } = entry;
    if receipts.iter().all(|receipts| receipts.open() == 0) {
        coordinator.finished(work, &unit);
        return;
    }
    let (work, coordinator) = (work.clone(), coordinator.clone());
    let waiting = settlements.clone();
    settlements.spawn(async move {
        let all = async {
            for receipts in &receipts {
                // A dropped sample is lost: polling the unit again would duplicate the others.
                receipts.outcome().await;
            }
        };
        match waiting.until_cancelled(all).await {
            Some(()) => coordinator.finished(&work, &unit),
            None => coordinator.gave_up(&work, &unit),
        }
    });
}
