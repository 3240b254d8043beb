//! Spool commands while an agent runs: the command uses the agent's socket.

use std::time::Duration;

use nephoscope_admin::{AgentClient, ClientError, PublisherInfo, StartedDrain};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::Selection;
use super::report::{Content, Drained, DroppedFrom, unsupported};

/// The interval of checks whether the spools are empty.
const CHECK: Duration = Duration::from_millis(250);

/// A running agent.
pub(super) struct Running<'a> {
    client: AgentClient,
    selection: &'a Selection,
}

impl<'a> Running<'a> {
    /// Creates commands for these spools of the client's agent.
    pub(super) fn new(client: AgentClient, selection: &'a Selection) -> Self {
        Self { client, selection }
    }

    /// Returns the contents of the spools.
    pub(super) async fn list(&self) -> Result<Vec<Content>, ClientError> {
        let publishers = self.client.publishers().await?;
        let contents = publishers.into_iter().filter_map(|publisher| {
            let spool = publisher.spool?;
            let mut named = self.selection.spools.iter();
            // The agent may use an older configuration than this command.
            let named = named.find(|named| named.name == publisher.name);
            (self.selection.all || named.is_some()).then(|| Content {
                publisher: Some(publisher.name),
                batches: spool.batches,
                samples: spool.samples,
                bytes: spool.bytes,
                limit_bytes: Some(spool.limit_bytes),
                oldest: spool.oldest,
                dead_letter_batches: spool.dead_letter.batches,
                encodings: spool.encodings,
                path: named.map(|named| named.settings.path.clone()).unwrap_or_default(),
            })
        });
        Ok(contents.collect())
    }

    /// Returns the publishers for separate requests; `None` selects all publishers in one request.
    fn targets(&self) -> Vec<Option<&str>> {
        if self.selection.all {
            return vec![None];
        }
        let names = self.selection.spools.iter();
        names.map(|named| Some(named.name.as_str())).collect()
    }

    /// Drops samples that are older than `age`.
    pub(super) async fn drop_old(&self, age: Duration) -> Result<Vec<DroppedFrom>, ClientError> {
        let mut dropped = Vec::new();
        for publisher in self.targets() {
            let drops = self.client.drop_old(age, publisher).await?;
            dropped.extend(drops.into_iter().map(|drop| DroppedFrom {
                publisher: drop.name,
                dropped_batches: drop.dropped_batches,
                dropped_samples: drop.dropped_samples,
            }));
        }
        Ok(dropped)
    }

    /// Starts a drain, and waits until it is complete, or until nothing was delivered for `patience`.
    pub(super) async fn drain(&self, patience: Duration) -> Result<Vec<Drained>, ClientError> {
        let mut started = Vec::new();
        for publisher in self.targets() {
            started.extend(self.client.drain(publisher).await?);
        }
        let mut checks = interval(CHECK);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut furthest, mut progress) = (0, Instant::now());
        loop {
            checks.tick().await;
            let publishers = self.client.publishers().await?;
            let drained: Vec<Drained> = started.iter().map(|drain| drained(drain, &publishers)).collect();
            let done = drained.iter().all(Drained::is_done);
            let spools = publishers.iter().filter_map(|publisher| publisher.spool.as_ref());
            let reached: u64 = spools.map(|spool| spool.low).sum();
            if reached > furthest {
                (furthest, progress) = (reached, Instant::now());
            }
            if done || progress.elapsed() >= patience {
                return Ok(drained);
            }
        }
    }
}

/// Returns the progress of a drain.
fn drained(drain: &StartedDrain, publishers: &[PublisherInfo]) -> Drained {
    let mut named = publishers.iter();
    let publisher = named.find(|publisher| publisher.name == drain.name);
    let spool = publisher.and_then(|publisher| publisher.spool.as_ref());
    let (unsupported_samples, why) = spool.map_or((0, None), |spool| unsupported(&spool.encodings));
    let remaining = spool.filter(|spool| spool.low < drain.until && spool.samples > unsupported_samples);
    // The spool may contain unsupported samples that were stored after the start.
    let unsupported_samples = unsupported_samples.min(drain.samples);
    let deliverable = remaining.map_or(0, |spool| {
        let all = spool.samples.min(drain.samples);
        all.saturating_sub(unsupported_samples).max(1)
    });
    let error = publisher
        .filter(|_| deliverable > 0)
        .and_then(|publisher| publisher.error.clone());
    Drained {
        publisher: drain.name.clone(),
        initial_samples: drain.samples,
        remaining_samples: deliverable + unsupported_samples,
        unsupported_samples,
        error: error.or(why),
    }
}
