//! A publisher that keeps samples for the command that prints them.

use std::sync::Arc;

use nephoscope_model::Batch;
use nephoscope_notifier::{PublisherSetup, Selectors};
use nephoscope_plugin::{Accepted, PublishError, Publisher, async_trait};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Samples that are kept for a reader that is slow; further ones are refused, which is told as an error. An
/// operator who sees it reached should let a running agent publish to a file instead.
const MOST: usize = 20_000_000;

/// Stands for the URL of the publisher that prints: no configuration can have it, for it has no scheme.
pub(super) const PRINTER: &str = "print";

/// Samples that were published and not taken yet.
#[derive(Default)]
pub(super) struct Collected {
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Default)]
struct State {
    batches: Vec<Arc<Batch>>,
    /// Samples in `batches`.
    kept: usize,
    /// Samples that ever came.
    total: u64,
    /// Samples that were refused.
    refused: u64,
}

impl Collected {
    /// Waits until there is something to take.
    pub(super) async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// Takes what came since the last call.
    pub(super) fn take(&self) -> Vec<Arc<Batch>> {
        let mut state = self.state.lock();
        state.kept = 0;
        std::mem::take(&mut state.batches)
    }

    /// How many samples have come.
    pub(super) fn total(&self) -> u64 {
        self.state.lock().total
    }

    /// How many samples were refused, since too many were kept.
    pub(super) fn refused(&self) -> u64 {
        self.state.lock().refused
    }
}

struct Collector(Arc<Collected>);

#[async_trait]
impl Publisher for Collector {
    async fn publish(&self, batch: Arc<Batch>) -> Result<Accepted, PublishError> {
        let count = batch.samples().len();
        {
            let mut state = self.0.state.lock();
            if state.kept + count > MOST {
                state.refused += count as u64;
                return Err(PublishError::rejected("too many samples wait to be printed"));
            }
            state.kept += count;
            state.total += count as u64;
            state.batches.push(batch);
        }
        self.0.arrived.notify_one();
        Ok(Accepted::all())
    }
}

/// The publisher, and where its samples arrive.
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
