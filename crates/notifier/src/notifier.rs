//! The notifier: one lane for each publisher, and the operations on all of them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::join_all;
use nephoscope_model::{Batch, Run, Signer};
use nephoscope_plugin::{Publisher, RunEnd};
use parking_lot::RwLock;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout_at};

use crate::lane::{self, Lane};
use crate::options::{CLOSE_TIMEOUT, NotifierOptions, PublisherSetup};
use crate::receipt::Receipt;
use crate::routes::{AcceptedKinds, Routes};
use crate::spool::Spool;
use crate::status::{PublisherEnd, PublisherStatus, ShutdownReport};

/// Grace period for a publisher's task beyond its own deadlines.
const GRACE: Duration = Duration::from_millis(100);

/// Delivers batches to publishers. Cheap to clone; all clones share one notifier.
///
/// Dropping the last clone drains the queues like a reload that removes every publisher. Use [`Notifier::shutdown`] to get
/// a report.
#[derive(Clone)]
pub struct Notifier(Arc<Inner>);

struct Inner {
    options: Arc<NotifierOptions>,
    runtime: Handle,
    /// Samples and events that no publisher selected.
    filtered: AtomicU64,
    /// Locked while a batch is offered to lanes, never across an await: once a reload has changed the list, a removed lane gets
    /// no further batches.
    lanes: RwLock<Lanes>,
}

struct Lanes {
    /// The lanes of the current configuration.
    active: Routes,
    /// Removed by a reload and still draining.
    retiring: Vec<Arc<Lane>>,
    shut_down: bool,
}

impl Notifier {
    /// Starts a task for each publisher on `runtime`.
    pub fn start(setups: Vec<PublisherSetup>, options: NotifierOptions, runtime: &Handle) -> Notifier {
        let inner = Inner {
            options: Arc::new(options),
            runtime: runtime.clone(),
            filtered: AtomicU64::new(0),
            lanes: RwLock::new(Lanes {
                active: Routes::default(),
                retiring: Vec::new(),
                shut_down: false,
            }),
        };
        let mut routes = Routes::default();
        for setup in setups {
            let (selectors, accepts) = (setup.selectors.clone(), AcceptedKinds::of(&*setup.publisher));
            routes.add(inner.launch(setup), selectors, accepts);
        }
        inner.lanes.write().active = routes;
        Notifier(Arc::new(inner))
    }

    /// Signs the samples of new batches ([`NotifierOptions::signer`]).
    pub fn signer(&self) -> Option<Arc<Signer>> {
        self.0.options.signer.clone()
    }

    /// Submits a batch to the queues of the publishers that accept its payload kind, filtered by each publisher's
    /// [`Selectors`]. The receipt covers these publishers. Samples that no publisher selects are counted
    /// ([`Notifier::filtered`]) and logged once.
    ///
    /// [`Selectors`]: crate::Selectors
    ///
    /// Waits only for publishers whose queue is full: as long as such a publisher accepts batches, and then for
    /// [`NotifierOptions::full_queue_timeout`]. After that the publisher counts as blocked, and its oldest batches are dropped
    /// without a wait until it accepts a batch again. All other publishers have the batch before the wait begins.
    ///
    /// Dropping this future during the wait loses the batch for the publishers that it waits for. The loss is counted.
    ///
    /// An empty batch, a batch without publishers and samples that no publisher selects count as delivered. After
    /// [`Notifier::shutdown`] every batch counts as dropped.
    pub async fn submit(&self, batch: Arc<Batch>) -> Receipt {
        let (receipt, ticket) = Receipt::open();
        if batch.is_empty() {
            ticket.confirm();
            return receipt;
        }
        let mut waiting = Vec::new();
        {
            let lanes = self.0.lanes.read();
            let division = lanes.active.divide(&batch);
            if division.filtered > 0 {
                let filtered = division.filtered as u64;
                self.0.filtered.fetch_add(filtered, Ordering::Relaxed);
            }
            for (lane, part) in lanes.active.parts(&division, batch.kind()) {
                waiting.extend(lane.offer(part, ticket.another()));
            }
            if !lanes.shut_down {
                ticket.confirm();
            }
        }
        drop(batch);
        match waiting.len() {
            0 => {}
            1 => {
                for offered in waiting {
                    offered.wait().await;
                }
            }
            _ => _ = join_all(waiting.into_iter().map(|offered| offered.wait())).await,
        }
        receipt
    }

    /// The number of samples and events that no publisher has selected since the start.
    pub fn filtered(&self) -> u64 {
        self.0.filtered.load(Ordering::Relaxed)
    }

    /// The source selections of all publishers that select sources.
    pub fn source_selections(&self) -> Vec<BTreeSet<Arc<str>>> {
        self.0.lanes.read().active.source_selections().cloned().collect()
    }

    /// Whether any publisher follows runs. If so, the caller must call [`Notifier::run_started`] and [`Notifier::run_ended`], and
    /// must attach the run to its batches.
    pub fn follows_runs(&self) -> bool {
        self.0.lanes.read().active.follow_runs()
    }

    /// Notifies the publishers that follow runs of the start of a run, immediately. `owns` returns whether this agent polls the
    /// resource with a key in this cycle.
    pub fn run_started(&self, run: &Arc<Run>, owns: &dyn Fn(&str) -> bool) {
        for lane in self.followers(run) {
            lane.run_started(run, owns);
        }
    }

    /// Notifies the publishers that follow runs of the end of a run. Each publisher is notified after all earlier batches of the
    /// run are settled. A batch in a spool is settled.
    pub fn run_ended(&self, run: &Arc<Run>, end: RunEnd) {
        let end = Arc::new(end);
        for lane in self.followers(run) {
            lane.run_ended(run.clone(), end.clone());
        }
    }

    /// The lanes are cloned out of the lock, so that a publisher that blocks delays only its caller.
    fn followers(&self, run: &Run) -> Vec<Arc<Lane>> {
        self.0.lanes.read().active.followers(run).cloned().collect()
    }

    /// Returns the status of every publisher in the order of the configuration, then of the removed publishers that still drain.
    pub fn status(&self) -> Vec<PublisherStatus> {
        let lanes = self.0.lanes.read();
        let retiring = lanes.retiring.iter().filter(|lane| !lane.has_stopped());
        lanes
            .active
            .lanes()
            .chain(retiring)
            .map(|lane| lane.status())
            .collect()
    }

    /// Returns the publisher with this name. A reload passes an unchanged publisher to [`Notifier::reconfigure`] again.
    pub fn publisher(&self, name: &str) -> Option<Arc<dyn Publisher>> {
        let lanes = self.0.lanes.read();
        lanes
            .active
            .lanes()
            .find(|lane| &**lane.name() == name)
            .map(|lane| lane.publisher())
    }

    /// Returns the spool of the publisher with this name. A reload passes an unchanged spool to [`Notifier::reconfigure`]
    /// again, since a folder can be opened only once.
    pub fn spool(&self, name: &str) -> Option<Spool> {
        let lanes = self.0.lanes.read();
        let lane = lanes.active.lanes().find(|lane| &**lane.name() == name);
        lane.and_then(|lane| lane.spool().cloned())
    }

    /// Delivers the spool of this publisher first: retries immediately, and sends no new batches until the spool is empty.
    /// Returns false if there is no such publisher or it has no spool.
    pub fn deliver_backlog(&self, name: &str) -> bool {
        let lanes = self.0.lanes.read();
        let mut lanes = lanes.active.lanes().filter(|lane| &**lane.name() == name);
        let lane = lanes.find(|lane| lane.spool().is_some());
        lane.is_some_and(|lane| {
            lane.prioritize_backlog();
            true
        })
    }

    /// Applies the publishers of a reload. New batches are submitted to them from this call on.
    ///
    /// A publisher with a known name keeps its queue and its counts. If the publisher itself is unchanged
    /// ([`Notifier::publisher`]), nothing else happens. Otherwise the new publisher replaces the old one when all in-flight
    /// batches have ended, or after [`NotifierOptions::drain_timeout`]; it publishes unfinished batches again. A publisher
    /// that is no longer configured drains its queue within the same time, and the rest is dropped. Replaced and removed
    /// publishers are closed.
    ///
    /// Resolves when the reload is complete. The reload continues if this future is dropped. Does nothing after
    /// [`Notifier::shutdown`].
    pub async fn reconfigure(&self, setups: Vec<PublisherSetup>) {
        let until = Instant::now() + self.0.options.drain_timeout;
        let mut swaps = Vec::new();
        let removed = {
            let mut lanes = self.0.lanes.write();
            if lanes.shut_down {
                return;
            }
            lanes.retiring.retain(|lane| !lane.has_stopped());
            let mut former: Vec<_> = std::mem::take(&mut lanes.active).lanes().cloned().collect();
            for setup in setups {
                let same =
                    |lane: &Arc<Lane>| *lane.name() == setup.name && lane.has_spool(setup.spool.as_ref());
                let (selectors, accepts) = (setup.selectors.clone(), AcceptedKinds::of(&*setup.publisher));
                let lane = match former.iter().position(same) {
                    Some(place) => {
                        let lane = former.remove(place);
                        swaps.extend(lane.update(setup));
                        lane
                    }
                    None => self.0.launch(setup),
                };
                lanes.active.add(lane, selectors, accepts);
            }
            lanes.retiring.extend(former.iter().cloned());
            former
        };
        for lane in &removed {
            lane.drain(until);
        }
        let done = async {
            join_all(removed.iter().map(|lane| lane.stopped())).await;
            // A later reload may have superseded a swap; its channel is closed then.
            join_all(swaps).await;
        };
        if timeout_at(until + CLOSE_TIMEOUT + GRACE, done).await.is_err() {
            // A publisher blocks its thread: stop its lane from here.
            removed.iter().for_each(|lane| lane.stop());
        }
    }

    /// Drains the queues until `deadline`. A lane with a spool stores the remaining batches (reserving up to two seconds of the
    /// time); other lanes drop, count and log them. Closing the publishers may take one more second, and a publisher with a
    /// spool that blocks its thread another one. No other delay is possible.
    ///
    /// May be called again with an earlier deadline while it runs.
    pub async fn shutdown(&self, deadline: Instant) -> ShutdownReport {
        let all: Vec<_> = {
            let mut lanes = self.0.lanes.write();
            lanes.shut_down = true;
            lanes.active.lanes().chain(&lanes.retiring).cloned().collect()
        };
        for lane in &all {
            lane.drain(deadline);
        }
        let stopped = join_all(all.iter().map(|lane| lane.stopped()));
        let latest = deadline.max(Instant::now()) + CLOSE_TIMEOUT + GRACE;
        if timeout_at(latest, stopped).await.is_err() {
            // Publishers block their threads: store and stop their lanes from here.
            let stuck = all.iter().filter(|lane| !lane.has_stopped());
            join_all(stuck.map(|lane| lane.store_remaining())).await;
            all.iter().for_each(|lane| lane.stop());
        }
        let ends: Vec<PublisherEnd> = all.iter().filter_map(|lane| lane.end()).collect();
        ShutdownReport { publishers: ends }
    }
}

impl Inner {
    fn launch(&self, setup: PublisherSetup) -> Arc<Lane> {
        let lane = Lane::new(setup, self.options.clone());
        self.runtime.spawn(lane::run(lane.clone()));
        lane
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let until = Instant::now() + self.options.drain_timeout;
        for lane in self.lanes.get_mut().active.lanes() {
            lane.drain(until);
        }
    }
}
