//! The order in which batches arrive.

use std::time::Duration;

use nephoscope_notifier::Outcome;
use nephoscope_notifier::spool::{Fsync, Order, SpoolMode};

use crate::sim::Sim;
use crate::world::{Agent, Place, labels, options, outcome};

#[tokio::test]
async fn fifo_keeps_the_order_through_outages() {
    for mode in [SpoolMode::Overflow, SpoolMode::Always] {
        let sim = Sim::default();
        let agent = Agent::start(&sim, Place::Takes, 7, options(mode, Fsync::Never, Order::Fifo)).await;
        for round in 0..10 {
            let first = round * 50;
            drop(agent.submit_all(labels(first..first + 20)).await);
            agent
                .publisher
                .now(if round % 2 == 0 { Place::Away } else { Place::Hangs });
            drop(agent.submit_all(labels(first + 20..first + 45)).await);
            agent.publisher.now(Place::Takes);
            drop(agent.submit_all(labels(first + 45..first + 50)).await);
        }
        let taken = agent.publisher.has_taken(500).await;
        assert_eq!(taken, labels(0..500).collect::<Vec<_>>(), "{mode:?}");
        agent.stop(Duration::from_secs(5)).await;
    }
}

#[tokio::test]
async fn the_backlog_goes_first_when_somebody_asks_for_that() {
    let sim = Sim::default();
    let bounds = options(SpoolMode::Overflow, Fsync::Always, Order::NewestFirst);
    let before = Agent::start(&sim, Place::Away, 10, bounds.clone()).await;
    drop(before.submit_all(labels(0..100)).await);
    before.stop(Duration::ZERO).await;
    let agent = Agent::start(&sim.after_kill(), Place::Hangs, 10, bounds).await;
    agent.publisher.has_tried(1).await;
    drop(agent.submit_all((0..5).map(|n| format!("fresh {n}"))).await);
    assert!(agent.notifier.deliver_backlog("p"));
    assert!(!agent.notifier.deliver_backlog("another"));
    agent.publisher.now(Place::Takes);
    let taken = agent.publisher.has_taken(105).await;
    assert!(
        taken.iter().take(100).all(|label| !label.starts_with("fresh")),
        "{taken:?}"
    );
    agent.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn fresh_batches_go_before_the_backlog_of_an_outage() {
    for mode in [SpoolMode::Overflow, SpoolMode::Always] {
        let sim = Sim::default();
        let bounds = options(mode, Fsync::Always, Order::NewestFirst);
        let before = Agent::start(&sim, Place::Away, 10, bounds.clone()).await;
        drop(before.submit_all(labels(0..500)).await);
        before.stop(Duration::ZERO).await;
        let agent = Agent::start(&sim.after_kill(), Place::Hangs, 10, bounds).await;
        let (_, fresh) = agent.submit_all(["fresh".to_owned()]).await.remove(0);
        if mode == SpoolMode::Always {
            // It takes its place on the disk first.
            assert_eq!(outcome(fresh).await, Outcome::Stored);
        }
        agent.publisher.now(Place::Takes);
        let taken = agent.publisher.has_taken(501).await;
        let place = taken.iter().position(|label| label == "fresh").unwrap();
        assert!(place < 20, "{mode:?}: after {place} that were on their way");
        let backlog: Vec<_> = taken.into_iter().filter(|label| label != "fresh").collect();
        assert_eq!(backlog.len(), 500);
        // What was under way at the stop, one batch, was stored behind what had overflowed before.
        let steps_back = backlog.windows(2).filter(|pair| pair[0] > pair[1]).count();
        assert!(
            steps_back <= usize::from(mode == SpoolMode::Overflow),
            "{backlog:?}"
        );
        agent.stop(Duration::from_secs(5)).await;
    }
}
