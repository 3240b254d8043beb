//! The notifier: one lane for each publisher, and what is done with all of them.

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
use crate::routes::{Routes, Takes};
use crate::spool::Spool;
use crate::status::{PublisherEnd, PublisherStatus, ShutdownReport};

/// What a publisher's task may take beyond its own deadlines before nobody waits for it any more.
const GRACE: Duration = Duration::from_millis(100);

/// Gets batches to publishers. Cheap to clone; all clones are the same notifier.
///
/// Dropping the last clone empties the queues as a reload does that removes every publisher; use
/// [`Notifier::shutdown`] to know what became of them.
#[derive(Clone)]
pub struct Notifier(Arc<Inner>);

struct Inner {
    options: Arc<NotifierOptions>,
    runtime: Handle,
    /// Samples and events that no publisher took.
    filtered: AtomicU64,
    /// Held while a batch is offered to lanes, never while anything is waited for: once a reload has changed
    /// the list, a lane that is no longer in it gets no further batches.
    lanes: RwLock<Lanes>,
}

struct Lanes {
    /// Those of the configuration.
    active: Routes,
    /// Removed by a reload, not yet stopped.
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
            let (selectors, takes) = (setup.selectors.clone(), Takes::of(&*setup.publisher));
            routes.add(inner.launch(setup), selectors, takes);
        }
        inner.lanes.write().active = routes;
        Notifier(Arc::new(inner))
    }

    /// What signs the samples of batches that are made for it ([`NotifierOptions::signer`]).
    pub fn signer(&self) -> Option<Arc<Signer>> {
        self.0.options.signer.clone()
    }

    /// Hands a batch to the queues of the publishers that take its kind of payload, each as its [`Selectors`] say: where they
    /// select a part, a batch of that. The receipt waits for these publishers. What no publisher takes is counted
    /// ([`Notifier::filtered`]) and warned about once.
    ///
    /// [`Selectors`]: crate::Selectors
    ///
    /// It waits only where a queue is full: while that publisher takes batches, and then for
    /// [`NotifierOptions::patience`]; after that the publisher counts as blocked, and its oldest batches make room
    /// without waiting until it takes something again. The other publishers have the batch by then.
    ///
    /// Whoever drops this future while it waits loses the batch for the publishers that it waits for; it is counted.
    ///
    /// Without publishers, and without samples, a batch counts as delivered, and so does what no publisher takes; after [`Notifier::shutdown`] as dropped.
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

    /// Samples and events that no publisher took, since the start.
    pub fn filtered(&self) -> u64 {
        self.0.filtered.load(Ordering::Relaxed)
    }

    /// The sources that each publisher selects which does not get those of all.
    pub fn source_selections(&self) -> Vec<BTreeSet<Arc<str>>> {
        self.0.lanes.read().active.source_selections().cloned().collect()
    }

    /// Whether any publisher hears of runs: then [`Notifier::run_began`] and [`Notifier::run_ended`] must be called, and batches
    /// must say of which resources they are.
    pub fn follows_runs(&self) -> bool {
        self.0.lanes.read().active.follow_runs()
    }

    /// Tells the publishers that follow runs that one begins, at once. `owns` says whether this agent polls the resource with a
    /// key, by the plan of the cycle.
    pub fn run_began(&self, run: &Arc<Run>, owns: &dyn Fn(&str) -> bool) {
        for lane in self.followers(run) {
            lane.run_began(run, owns);
        }
    }

    /// Tells the publishers that follow runs that one has ended, each when it has settled the batches of the run that were handed
    /// over before. A batch that was stored in a spool is settled.
    pub fn run_ended(&self, run: &Arc<Run>, end: RunEnd) {
        let end = Arc::new(end);
        for lane in self.followers(run) {
            lane.run_ended(run.clone(), end.clone());
        }
    }

    /// Taken out of the list: a publisher that blocks holds up its caller alone.
    fn followers(&self, run: &Run) -> Vec<Arc<Lane>> {
        self.0.lanes.read().active.followers(run).cloned().collect()
    }

    /// Every publisher in the order of the configuration, then those that a reload has removed and that are being
    /// emptied.
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

    /// The publisher of this name, for a reload that leaves it as it is: pass it to [`Notifier::reconfigure`] again
    /// instead of building another.
    pub fn publisher(&self, name: &str) -> Option<Arc<dyn Publisher>> {
        let lanes = self.0.lanes.read();
        lanes
            .active
            .lanes()
            .find(|lane| &**lane.name() == name)
            .map(|lane| lane.publisher())
    }

    /// The spool of the publisher of this name, for a reload that leaves its folder as it is: pass it to
    /// [`Notifier::reconfigure`] again instead of opening it twice.
    pub fn spool(&self, name: &str) -> Option<Spool> {
        let lanes = self.0.lanes.read();
        let lane = lanes.active.lanes().find(|lane| &**lane.name() == name);
        lane.and_then(|lane| lane.spool().cloned())
    }

    /// Delivers what the spool of this publisher holds as soon as may be: the next retry need not wait, and what is fresh does
    /// until the spool is empty. Whether there is such a publisher with a spool.
    pub fn deliver_backlog(&self, name: &str) -> bool {
        let lanes = self.0.lanes.read();
        let mut lanes = lanes.active.lanes().filter(|lane| &**lane.name() == name);
        let lane = lanes.find(|lane| lane.spool().is_some());
        lane.is_some_and(|lane| {
            lane.hurry();
            true
        })
    }

    /// Takes over the publishers of a reload; from the call on, cycles hand over to them.
    ///
    /// A name that is known keeps its queue and its counts. If its publisher is the same ([`Notifier::publisher`]),
    /// nothing else changes; another one takes its place as soon as what is under way has ended, after
    /// [`NotifierOptions::drain_timeout`] at the latest (what is then still under way is published again by the new
    /// one). A publisher that is no longer named delivers its queue within the same bound, and what is left is
    /// dropped. Publishers that leave are closed.
    ///
    /// Resolves when all that is done; it goes on by itself when this future is dropped. Does nothing after
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
                let (selectors, takes) = (setup.selectors.clone(), Takes::of(&*setup.publisher));
                let lane = match former.iter().position(same) {
                    Some(place) => {
                        let lane = former.remove(place);
                        swaps.extend(lane.update(setup));
                        lane
                    }
                    None => self.0.launch(setup),
                };
                lanes.active.add(lane, selectors, takes);
            }
            lanes.retiring.extend(former.iter().cloned());
            former
        };
        for lane in &removed {
            lane.drain(until);
        }
        let done = async {
            join_all(removed.iter().map(|lane| lane.stopped())).await;
            // A swap that was itself overtaken by the next reload is done with, too.
            join_all(swaps).await;
        };
        if timeout_at(until + CLOSE_TIMEOUT + GRACE, done).await.is_err() {
            // A publisher that holds its thread: its queue is not left to it.
            removed.iter().for_each(|lane| lane.stop());
        }
    }

    /// Empties the queues until `deadline`; what is left then is stored where there is a spool (which has a part of the
    /// time, two seconds at most), else dropped, counted and logged. Publishers are closed, which may take a second more;
    /// a publisher that holds its thread and has a spool may take one more. Nothing makes this last longer.
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
            // Publishers that hold their threads: their queues are not left to them.
            let stuck = all.iter().filter(|lane| !lane.has_stopped());
            join_all(stuck.map(|lane| lane.put_away())).await;
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
