//! The table of guarantees in `docs/delivery.md`: one test for each mode, sync option and event.

use std::collections::BTreeSet;
use std::time::Duration;

use nephoscope_notifier::Outcome;
use nephoscope_notifier::spool::{Fsync, Order, SpoolMode};

use crate::sim::Sim;
use crate::world::{Agent, Destination, LONG, assert_adds_up, labels, options, outcome};

/// Much smaller than the number of batches, so that `overflow` stores some.
const QUEUE: usize = 10;
const BATCHES: u32 = 60;

/// Starts an agent with an unreachable destination and submits all batches; returns the labels of the stored ones.
async fn with_backlog(sim: &Sim, mode: SpoolMode, fsync: Fsync) -> (Agent, BTreeSet<String>) {
    let agent = Agent::start(
        sim,
        Destination::Unreachable,
        QUEUE,
        options(mode, fsync, Order::Fifo),
    )
    .await;
    let mut submitted = agent.submit_all(labels(0..1)).await;
    // The first batch is in flight and retried.
    agent.publisher.has_tried(2).await;
    submitted.extend(agent.submit_all(labels(1..BATCHES)).await);
    let in_memory = match mode {
        SpoolMode::Always => Vec::new(),
        // The first batch and the newest ones.
        SpoolMode::Overflow => {
            let newest = BATCHES + 1 - u32::try_from(QUEUE).unwrap()..BATCHES;
            labels(0..1).chain(labels(newest)).collect()
        }
    };
    let mut stored = BTreeSet::new();
    for (label, receipt) in submitted {
        if in_memory.contains(&label) {
            assert_eq!(receipt.known(), None, "{label} is in memory");
        } else {
            assert_eq!(outcome(receipt).await, Outcome::Stored, "{label}");
            stored.insert(label);
        }
    }
    (agent, stored)
}

/// Starts the next agent on the disk; returns what it delivers.
async fn next_agent(sim: &Sim, mode: SpoolMode, fsync: Fsync) -> Vec<String> {
    let agent = Agent::start(
        sim,
        Destination::Accepts,
        QUEUE,
        options(mode, fsync, Order::Fifo),
    )
    .await;
    agent
        .until(|status| status.queued_batches == 0 && status.spool.as_ref().unwrap().batches == 0)
        .await;
    let (lost, accepted) = (agent.status().counts.dropped_batches, agent.publisher.accepted());
    if fsync != Fsync::Never {
        assert_eq!(lost, 0, "every record that the opening counted is present");
    }
    agent.stop(Duration::from_secs(5)).await;
    accepted
}

fn in_order_and_once(accepted: &[String]) {
    assert!(accepted.is_sorted(), "in order: {accepted:?}");
    let distinct: BTreeSet<_> = accepted.iter().collect();
    assert_eq!(distinct.len(), accepted.len(), "once: {accepted:?}");
}

/// Batches with a stored receipt survive with every `fsync` option; batches in memory are lost.
async fn agent_killed(mode: SpoolMode, fsync: Fsync) {
    let sim = Sim::default();
    let (agent, stored) = with_backlog(&sim, mode, fsync).await;
    let killed = sim.after_kill();
    let accepted = next_agent(&killed, mode, fsync).await;
    in_order_and_once(&accepted);
    let accepted: BTreeSet<_> = accepted.into_iter().collect();
    assert_eq!(accepted, stored, "all stored batches, and none from memory");
    agent.stop(Duration::ZERO).await;
}

/// Batches with a stored receipt survive if they were synced; with `fsync: never` any part of them may survive.
async fn power_lost(mode: SpoolMode, fsync: Fsync) {
    let sim = Sim::default();
    let (agent, stored) = with_backlog(&sim, mode, fsync).await;
    for seed in 0..8 {
        let accepted = next_agent(&sim.after_power_failure(seed), mode, fsync).await;
        in_order_and_once(&accepted);
        let accepted: BTreeSet<_> = accepted.into_iter().collect();
        assert!(
            accepted.is_subset(&labels(0..BATCHES).collect()),
            "no batch is invented"
        );
        if fsync != Fsync::Never {
            assert!(accepted.is_superset(&stored), "all stored batches");
        }
    }
    agent.stop(Duration::ZERO).await;
}

/// Nothing is lost while the broker is unreachable, and everything is delivered afterwards.
async fn broker_restarted(mode: SpoolMode, fsync: Fsync) {
    let sim = Sim::default();
    let agent = Agent::start(
        &sim,
        Destination::Accepts,
        QUEUE,
        options(mode, fsync, Order::Fifo),
    )
    .await;
    let mut receipts = agent.submit_all(labels(0..20)).await;
    agent.publisher.now(Destination::Unreachable);
    receipts.extend(agent.submit_all(labels(20..40)).await);
    agent.publisher.now(Destination::Hangs);
    receipts.extend(agent.submit_all(labels(40..60)).await);
    agent.publisher.now(Destination::Accepts);
    receipts.extend(agent.submit_all(labels(60..80)).await);
    let accepted = agent.publisher.has_accepted(80).await;
    assert_eq!(
        accepted,
        labels(0..80).collect::<Vec<_>>(),
        "all batches, in order, once"
    );
    for (label, receipt) in receipts {
        assert!(outcome(receipt).await <= Outcome::Stored, "{label}");
    }
    assert_eq!(agent.status().counts.dropped_samples, 0);
    agent.stop(Duration::from_secs(5)).await;
}

/// If the broker is reachable, nothing is lost on a full disk. Otherwise memory is the limit and every loss is counted. With free
/// space the spool recovers.
async fn disk_full(mode: SpoolMode, fsync: Fsync) {
    let sim = Sim::default();
    let agent = Agent::start(
        &sim,
        Destination::Accepts,
        QUEUE,
        options(mode, fsync, Order::Fifo),
    )
    .await;
    sim.set_capacity(Some(sim.used()));
    let receipts = agent.submit_all(labels(0..40)).await;
    assert_eq!(agent.publisher.has_accepted(40).await.len(), 40);
    for (_, receipt) in receipts {
        assert_eq!(outcome(receipt).await, Outcome::Delivered);
    }
    assert_eq!(agent.status().counts.dropped_samples, 0);
    agent.publisher.now(Destination::Unreachable);
    let receipts = agent.submit_all(labels(40..100)).await;
    let status = agent.status();
    assert_adds_up(&status);
    let dropped = status.counts.dropped_samples;
    assert!(dropped > 0, "memory is the bound");
    assert!(dropped > 0, "memory is the limit");
    sim.set_capacity(None);
    agent.publisher.now(Destination::Accepts);
    let stored = 60 - usize::try_from(dropped).unwrap();
    agent.publisher.has_accepted(40 + stored).await;
    let mut lost = 0;
    for (_, receipt) in receipts {
        lost += u64::from(outcome(receipt).await == Outcome::Dropped);
    }
    assert_eq!(lost, dropped);
    // The spool is used again after the next probe.
    agent.publisher.now(Destination::Unreachable);
    let mut next = 100;
    while agent.status().spool.unwrap().stored_batches == 0 {
        drop(agent.submit_all(labels(next..next + 1)).await);
        next += 1;
        tokio::task::yield_now().await;
    }
    let dropped = agent.status().counts.dropped_samples;
    let mut receipts = agent.submit_all(labels(next..next + 30)).await;
    assert_eq!(outcome(receipts.remove(10).1).await, Outcome::Stored);
    assert_eq!(agent.status().counts.dropped_samples, dropped);
    agent.publisher.now(Destination::Accepts);
    agent
        .until(|status| status.queued_batches == 0 && status.spool.as_ref().unwrap().batches == 0)
        .await;
    agent.stop(LONG).await;
}

macro_rules! cells {
    ($($name:ident: $mode:ident, $fsync:ident;)*) => {
        $(mod $name {
            use super::{Fsync, SpoolMode};

            #[tokio::test]
            async fn agent_killed() {
                super::agent_killed(SpoolMode::$mode, Fsync::$fsync).await;
            }

            #[tokio::test]
            async fn power_lost() {
                super::power_lost(SpoolMode::$mode, Fsync::$fsync).await;
            }

            #[tokio::test]
            async fn broker_restarted() {
                super::broker_restarted(SpoolMode::$mode, Fsync::$fsync).await;
            }

            #[tokio::test]
            async fn disk_full() {
                super::disk_full(SpoolMode::$mode, Fsync::$fsync).await;
            }
        })*
    };
}

cells! {
    always_synced: Always, Always;
    always_interval: Always, Interval;
    always_never: Always, Never;
    overflow_synced: Overflow, Always;
    overflow_interval: Overflow, Interval;
    overflow_never: Overflow, Never;
}
