//! The table of guarantees in `docs/delivery.md`, cell by cell: mode, sync, event.

use std::collections::BTreeSet;
use std::time::Duration;

use nephoscope_notifier::Outcome;
use nephoscope_notifier::spool::{Fsync, Order, SpoolMode};

use crate::sim::Sim;
use crate::world::{Agent, LONG, Place, assert_adds_up, labels, options, outcome};

/// Far fewer than are handed over, so that `overflow` stores.
const QUEUE: usize = 10;
const BATCHES: u32 = 60;

/// An agent whose publisher is away, and that has been handed everything; with the labels of what was stored.
async fn with_backlog(sim: &Sim, mode: SpoolMode, fsync: Fsync) -> (Agent, BTreeSet<String>) {
    let agent = Agent::start(sim, Place::Away, QUEUE, options(mode, fsync, Order::Fifo)).await;
    let mut handed_over = agent.submit_all(labels(0..1)).await;
    // The first is under way, again and again.
    agent.publisher.has_tried(2).await;
    handed_over.extend(agent.submit_all(labels(1..BATCHES)).await);
    let in_memory = match mode {
        SpoolMode::Always => Vec::new(),
        // The first and the newest.
        SpoolMode::Overflow => {
            let newest = BATCHES + 1 - u32::try_from(QUEUE).unwrap()..BATCHES;
            labels(0..1).chain(labels(newest)).collect()
        }
    };
    let mut stored = BTreeSet::new();
    for (label, receipt) in handed_over {
        if in_memory.contains(&label) {
            assert_eq!(receipt.known(), None, "{label} is in memory");
        } else {
            assert_eq!(outcome(receipt).await, Outcome::Stored, "{label}");
            stored.insert(label);
        }
    }
    (agent, stored)
}

/// What the next agent delivers of what is on the disk.
async fn next_agent(sim: &Sim, mode: SpoolMode, fsync: Fsync) -> Vec<String> {
    let agent = Agent::start(sim, Place::Takes, QUEUE, options(mode, fsync, Order::Fifo)).await;
    agent
        .until(|status| status.queued_batches == 0 && status.spool.as_ref().unwrap().batches == 0)
        .await;
    let (lost, taken) = (agent.status().counts.dropped_batches, agent.publisher.taken());
    if fsync != Fsync::Never {
        assert_eq!(lost, 0, "what is counted at the start is there");
    }
    agent.stop(Duration::from_secs(5)).await;
    taken
}

fn in_order_and_once(taken: &[String]) {
    assert!(taken.is_sorted(), "in order: {taken:?}");
    let distinct: BTreeSet<_> = taken.iter().collect();
    assert_eq!(distinct.len(), taken.len(), "once: {taken:?}");
}

/// What a receipt calls stored is there, whatever `fsync` is; what was in memory is lost.
async fn agent_killed(mode: SpoolMode, fsync: Fsync) {
    let sim = Sim::default();
    let (agent, stored) = with_backlog(&sim, mode, fsync).await;
    let killed = sim.after_kill();
    let taken = next_agent(&killed, mode, fsync).await;
    in_order_and_once(&taken);
    let taken: BTreeSet<_> = taken.into_iter().collect();
    assert_eq!(
        taken, stored,
        "all that was stored, and what was in memory is lost"
    );
    agent.stop(Duration::ZERO).await;
}

/// What a receipt calls stored is there where syncs are; without, only what the system happened to write.
async fn power_lost(mode: SpoolMode, fsync: Fsync) {
    let sim = Sim::default();
    let (agent, stored) = with_backlog(&sim, mode, fsync).await;
    for seed in 0..8 {
        let taken = next_agent(&sim.after_power_failure(seed), mode, fsync).await;
        in_order_and_once(&taken);
        let taken: BTreeSet<_> = taken.into_iter().collect();
        assert!(
            taken.is_subset(&labels(0..BATCHES).collect()),
            "nothing is invented"
        );
        if fsync != Fsync::Never {
            assert!(taken.is_superset(&stored), "all that was stored");
        }
    }
    agent.stop(Duration::ZERO).await;
}

/// Nothing is lost while the broker is away, and all of it arrives when it is back.
async fn broker_restarted(mode: SpoolMode, fsync: Fsync) {
    let sim = Sim::default();
    let agent = Agent::start(&sim, Place::Takes, QUEUE, options(mode, fsync, Order::Fifo)).await;
    let mut receipts = agent.submit_all(labels(0..20)).await;
    agent.publisher.now(Place::Away);
    receipts.extend(agent.submit_all(labels(20..40)).await);
    agent.publisher.now(Place::Hangs);
    receipts.extend(agent.submit_all(labels(40..60)).await);
    agent.publisher.now(Place::Takes);
    receipts.extend(agent.submit_all(labels(60..80)).await);
    let taken = agent.publisher.has_taken(80).await;
    assert_eq!(
        taken,
        labels(0..80).collect::<Vec<_>>(),
        "all, in order, and once"
    );
    for (label, receipt) in receipts {
        assert!(outcome(receipt).await <= Outcome::Stored, "{label}");
    }
    assert_eq!(agent.status().counts.dropped_samples, 0);
    agent.stop(Duration::from_secs(5)).await;
}

/// With the broker there, nothing is lost on a full disk. With the broker away as well, memory is the bound, and every
/// loss is counted; when there is room again, all goes on.
async fn disk_full(mode: SpoolMode, fsync: Fsync) {
    let sim = Sim::default();
    let agent = Agent::start(&sim, Place::Takes, QUEUE, options(mode, fsync, Order::Fifo)).await;
    sim.set_capacity(Some(sim.used()));
    let receipts = agent.submit_all(labels(0..40)).await;
    assert_eq!(agent.publisher.has_taken(40).await.len(), 40);
    for (_, receipt) in receipts {
        assert_eq!(outcome(receipt).await, Outcome::Delivered);
    }
    assert_eq!(agent.status().counts.dropped_samples, 0);
    agent.publisher.now(Place::Away);
    let receipts = agent.submit_all(labels(40..100)).await;
    let status = agent.status();
    assert_adds_up(&status);
    let dropped = status.counts.dropped_samples;
    assert!(dropped > 0, "memory is the bound");
    assert!(status.queued_samples <= 2 * QUEUE + 1, "{status:?}");
    sim.set_capacity(None);
    agent.publisher.now(Place::Takes);
    let kept = 60 - usize::try_from(dropped).unwrap();
    agent.publisher.has_taken(40 + kept).await;
    let mut lost = 0;
    for (_, receipt) in receipts {
        lost += u64::from(outcome(receipt).await == Outcome::Dropped);
    }
    assert_eq!(lost, dropped);
    // And the spool is used again, as soon as it was tried once more.
    agent.publisher.now(Place::Away);
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
    agent.publisher.now(Place::Takes);
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
