//! Listings: the same keys each time, none twice, and an end when cancelled.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::check::{AT_MOST, Check, DEADLINE, PATIENCE, ended_context, open_context};
use crate::testing::kit::split;
use crate::{Discovery, DiscoveryDefinition, DiscoveryRun, DiscoveryRunParts, PollContext};

/// The longest key that keeps the agent's bounds.
const LONGEST_KEY: usize = 1024;

impl Check {
    pub(super) async fn check_listing(&mut self, plugin: &DiscoveryDefinition, url: &str) {
        // Another instance and the next cycle: what stays the same is stable.
        let mut listings = Vec::new();
        for number in [1, 2] {
            let kit = self.fresh_kit();
            let listing = kit
                .discovery(url)
                .cycle(number)
                .deadline(DEADLINE)
                .at_most(AT_MOST)
                .list()
                .await;
            match listing {
                Ok(resources) => listings.push(resources),
                Err(failure) => {
                    self.find(format!(
                        "the listing `{url}` failed: {}: {}",
                        failure.kind(),
                        failure.chain()
                    ));
                    return;
                }
            }
        }
        let mut keys = Vec::new();
        for listing in &listings {
            let mut seen = HashSet::new();
            for resource in listing {
                let key = resource.key();
                if key.is_empty() || key.len() > LONGEST_KEY || key.chars().any(char::is_control) {
                    self.find(format!("the listing `{url}` has the key {key:?}"));
                }
                if !seen.insert(key.clone()) {
                    self.find(format!("the listing `{url}` has `{key}` twice"));
                }
            }
            keys.push(seen);
        }
        if let [first, second] = keys.as_slice()
            && let Some(key) = first.symmetric_difference(second).min()
        {
            self.find(format!("the keys of the listing `{url}` are not stable: `{key}`"));
        }
        self.check_listing_ends(plugin, url).await;
    }

    async fn check_listing_ends(&mut self, plugin: &DiscoveryDefinition, url: &str) {
        let Ok(discovery) = self.fresh_kit().build_discovery(plugin) else {
            return;
        };
        // Cancelled and late from the start.
        let context = ended_context();
        if !ends_when_cancelled(discovery.clone(), url.to_owned(), context).await {
            self.find(format!(
                "the listing `{url}` does not end when it is cancelled before it begins"
            ));
        }
        // Cancelled when it is under way: the first moment at which it waits for anything.
        let context = open_context();
        let cancellation = context.cancellation.clone();
        let listing = tokio::spawn(ends_when_cancelled(discovery, url.to_owned(), context));
        tokio::task::yield_now().await;
        cancellation.cancel();
        if !listing.await.unwrap_or(false) {
            self.find(format!("the listing `{url}` does not end when it is cancelled"));
        }
    }
}

/// Whether a listing ends in time once it is cancelled and nobody takes its pages any more.
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
    let mut listing = tokio::spawn(async move { discovery.discover(&mut run).await });
    let took_all = async { while received.recv().await.is_some() {} };
    tokio::select! {
        biased;
        () = cancellation.cancelled() => {}
        () = took_all => {}
    }
    drop(received);
    let in_time = timeout_at(Instant::now() + PATIENCE, &mut listing).await.is_ok();
    listing.abort();
    in_time
}
