//! The spools of publishers while an agent runs: it is asked through its socket.

use std::time::Duration;

use nephoscope_admin::{AgentClient, BegunDrain, ClientError, PublisherSeen};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::Chosen;
use super::report::{Content, Drained, DroppedFrom, kept};

/// How often a running agent is asked whether spools are empty.
const ASK: Duration = Duration::from_millis(250);

/// An agent that runs.
pub(super) struct Running<'a> {
    client: AgentClient,
    chosen: &'a Chosen,
}

impl<'a> Running<'a> {
    /// The agent of this client, asked for these spools.
    pub(super) fn new(client: AgentClient, chosen: &'a Chosen) -> Self {
        Self { client, chosen }
    }

    /// What is in the spools.
    pub(super) async fn list(&self) -> Result<Vec<Content>, ClientError> {
        let publishers = self.client.publishers().await?;
        let contents = publishers.into_iter().filter_map(|publisher| {
            let spool = publisher.spool?;
            let mut named = self.chosen.spools.iter();
            // The agent may not have taken the configuration over that is read here.
            let named = named.find(|named| named.name == publisher.name);
            (self.chosen.all || named.is_some()).then(|| Content {
                publisher: Some(publisher.name),
                batches: spool.batches,
                samples: spool.samples,
                bytes: spool.bytes,
                limit_bytes: Some(spool.limit_bytes),
                oldest: spool.oldest,
                quarantined_batches: spool.quarantine.batches,
                encodings: spool.encodings,
                path: named.map(|named| named.settings.path.clone()).unwrap_or_default(),
            })
        });
        Ok(contents.collect())
    }

    /// The publishers to ask for, each by itself: one without a name stands for all.
    fn targets(&self) -> Vec<Option<&str>> {
        if self.chosen.all {
            return vec![None];
        }
        let names = self.chosen.spools.iter();
        names.map(|named| Some(named.name.as_str())).collect()
    }

    /// Drops what was stored longer ago than `age`.
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

    /// Has the agent drain, and waits until what the spools held is gone, or nothing of it went for `patience`.
    pub(super) async fn drain(&self, patience: Duration) -> Result<Vec<Drained>, ClientError> {
        let mut begun = Vec::new();
        for publisher in self.targets() {
            begun.extend(self.client.drain(publisher).await?);
        }
        let mut looks = interval(ASK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut furthest, mut progress) = (0, Instant::now());
        loop {
            looks.tick().await;
            let publishers = self.client.publishers().await?;
            let drained: Vec<Drained> = begun.iter().map(|drain| drained(drain, &publishers)).collect();
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

/// How far a drain has come.
fn drained(drain: &BegunDrain, publishers: &[PublisherSeen]) -> Drained {
    let mut named = publishers.iter();
    let publisher = named.find(|publisher| publisher.name == drain.name);
    let spool = publisher.and_then(|publisher| publisher.spool.as_ref());
    let (kept_samples, why) = spool.map_or((0, None), |spool| kept(&spool.encodings));
    let left = spool.filter(|spool| spool.low < drain.until && spool.samples > kept_samples);
    // Others may have come since.
    let kept_samples = kept_samples.min(drain.samples);
    let deliverable = left.map_or(0, |spool| {
        let all = spool.samples.min(drain.samples);
        all.saturating_sub(kept_samples).max(1)
    });
    let error = publisher
        .filter(|_| deliverable > 0)
        .and_then(|publisher| publisher.error.clone());
    Drained {
        publisher: drain.name.clone(),
        held_samples: drain.samples,
        left_samples: deliverable + kept_samples,
        kept_samples,
        error: error.or(why),
    }
}
