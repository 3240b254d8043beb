//! A publisher that collects samples for the output of `once`.

use std::sync::Arc;

use nephoscope_model::Batch;
use nephoscope_notifier::{PublisherSetup, Selectors};
use nephoscope_plugin::{Accepted, PublishError, Publisher, async_trait};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// The maximum number of samples that wait for a slow reader; further samples are rejected, which is reported as an error. For
/// larger amounts, a running agent can publish to a file.
const MOST: usize = 20_000_000;

/// The URL of the collecting publisher. It has no scheme, so that no configuration can contain it.
pub(super) const PRINTER: &str = "print";

/// Published samples that were not printed yet.
#[derive(Default)]
pub(super) struct Collected {
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Default)]
struct State {
    batches: Vec<Arc<Batch>>,
    /// The number of samples in `batches`.
    waiting: usize,
    /// The number of samples received so far.
    total: u64,
    /// The number of rejected samples.
    rejected: u64,
}

impl Collected {
    /// Waits for samples.
    pub(super) async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// Returns the samples since the last call.
    pub(super) fn take(&self) -> Vec<Arc<Batch>> {
        let mut state = self.state.lock();
        state.waiting = 0;
        std::mem::take(&mut state.batches)
    }

    /// Returns the number of samples received so far.
    pub(super) fn total(&self) -> u64 {
        self.state.lock().total
    }

    /// Returns the number of samples that were rejected because too many were waiting.
    pub(super) fn rejected(&self) -> u64 {
        self.state.lock().rejected
    }
}

struct Collector(Arc<Collected>);

#[async_trait]
impl Publisher for Collector {
    async fn publish(&self, batch: Arc<Batch>) -> Result<Accepted, PublishError> {
        let count = batch.samples().len();
        {
            let mut state = self.0.state.lock();
            if state.waiting + count > MOST {
                state.rejected += count as u64;
                return Err(PublishError::rejected("too many samples wait to be printed"));
            }
            state.waiting += count;
            state.total += count as u64;
            state.batches.push(batch);
        }
        self.0.arrived.notify_one();
        Ok(Accepted::all())
    }
}

/// Returns the publisher and its collected samples.
pub(super) fn collector() -> (PublisherSetup, Arc<Collected>) {
    let collected = Arc::<Collected>::default();
    let setup = PublisherSetup {
        name: "print".into(),
        url_shown: PRINTER.to_owned(),
        publisher: Arc::new(Collector(collected.clone())),
        queue: MOST,
        spool: None,
        selectors: Selectors::default(),
    };
    (setup, collected)
}
