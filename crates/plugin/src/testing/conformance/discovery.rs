//! Checks of discovery runs: the same keys each time, no duplicates, and an end when cancelled.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::check::{Check, DEADLINE, MAX_RESOURCES, PATIENCE, ended_context, open_context};
use crate::testing::kit::split;
use crate::{Discovery, DiscoveryDefinition, DiscoveryRun, DiscoveryRunParts, PollContext};

/// The maximum length of a key.
const MAX_KEY_LENGTH: usize = 1024;

impl Check {
    pub(super) async fn check_discovery(&mut self, plugin: &DiscoveryDefinition, url: &str) {
        // Two instances in two cycles: keys that do not change are stable.
        let mut runs = Vec::new();
        for number in [1, 2] {
            let kit = self.fresh_kit();
            let discovered = kit
                .discovery(url)
                .cycle(number)
                .deadline(DEADLINE)
                .limit(MAX_RESOURCES)
                .list()
                .await;
            match discovered {
                Ok(resources) => runs.push(resources),
                Err(failure) => {
                    self.find(format!(
                        "the discovery run `{url}` failed: {}: {}",
                        failure.kind(),
                        failure.chain()
                    ));
                    return;
                }
            }
        }
        let mut keys = Vec::new();
        for resources in &runs {
            let mut seen = HashSet::new();
            for resource in resources {
                let key = resource.key();
                if key.is_empty() || key.len() > MAX_KEY_LENGTH || key.chars().any(char::is_control) {
                    self.find(format!(
                        "the discovery run `{url}` returns the invalid key {key:?}"
                    ));
                }
                if !seen.insert(key.clone()) {
                    self.find(format!(
                        "the discovery run `{url}` returns the duplicate key `{key}`"
                    ));
                }
            }
            keys.push(seen);
        }
        if let [first, second] = keys.as_slice()
            && let Some(key) = first.symmetric_difference(second).min()
        {
            self.find(format!(
                "the keys of the discovery run `{url}` are not stable: `{key}`"
            ));
        }
        self.check_discovery_ends(plugin, url).await;
    }

    async fn check_discovery_ends(&mut self, plugin: &DiscoveryDefinition, url: &str) {
        let Ok(discovery) = self.fresh_kit().build_discovery(plugin) else {
            return;
        };
        // Cancelled and past its deadline from the start.
        let context = ended_context();
        if !ends_when_cancelled(discovery.clone(), url.to_owned(), context).await {
            self.find(format!(
                "the discovery run `{url}` does not end when it is cancelled before it starts"
            ));
        }
        // Cancelled while it runs, at its first await point.
        let context = open_context();
        let cancellation = context.cancellation.clone();
        let run = tokio::spawn(ends_when_cancelled(discovery, url.to_owned(), context));
        tokio::task::yield_now().await;
        cancellation.cancel();
        if !run.await.unwrap_or(false) {
            self.find(format!(
                "the discovery run `{url}` does not end when it is cancelled"
            ));
        }
    }
}

/// Whether a discovery run ends in time once it is cancelled and its pages are no longer received.
async fn ends_when_cancelled(discovery: Arc<dyn Discovery>, url: String, context: PollContext) -> bool {
    let (pages, mut received) = mpsc::channel(1);
    let cancellation = context.cancellation.clone();
    let parts = DiscoveryRunParts::new(
        context.cycle,
        context.deadline,
        context.cancellation,
        context.cache,
        pages,
    );
    let mut run = DiscoveryRun::new(parts.parameter(split(&url).1).members(context.members));
    let mut task = tokio::spawn(async move { discovery.discover(&mut run).await });
    let drained = async { while received.recv().await.is_some() {} };
    tokio::select! {
        biased;
        () = cancellation.cancelled() => {}
        () = drained => {}
    }
    drop(received);
    let in_time = timeout_at(Instant::now() + PATIENCE, &mut task).await.is_ok();
    task.abort();
    in_time
}
