//! The order of delivery.

use std::time::Duration;

use nephoscope_notifier::Outcome;
use nephoscope_notifier::spool::{Fsync, Order, SpoolMode};

use crate::sim::Sim;
use crate::world::{Agent, Destination, labels, options, outcome};

#[tokio::test]
async fn fifo_keeps_the_order_through_outages() {
    for mode in [SpoolMode::Overflow, SpoolMode::Always] {
        let sim = Sim::default();
        let agent = Agent::start(
            &sim,
            Destination::Accepts,
            7,
            options(mode, Fsync::Never, Order::Fifo),
        )
        .await;
        for round in 0..10 {
            let first = round * 50;
            drop(agent.submit_all(labels(first..first + 20)).await);
            agent.publisher.now(if round % 2 == 0 {
                Destination::Unreachable
            } else {
                Destination::Hangs
            });
            drop(agent.submit_all(labels(first + 20..first + 45)).await);
            agent.publisher.now(Destination::Accepts);
            drop(agent.submit_all(labels(first + 45..first + 50)).await);
        }
        let accepted = agent.publisher.has_accepted(500).await;
        assert_eq!(accepted, labels(0..500).collect::<Vec<_>>(), "{mode:?}");
        agent.stop(Duration::from_secs(5)).await;
    }
}

#[tokio::test]
async fn the_backlog_is_delivered_first_on_request() {
    let sim = Sim::default();
    let bounds = options(SpoolMode::Overflow, Fsync::Always, Order::NewestFirst);
    let before = Agent::start(&sim, Destination::Unreachable, 10, bounds.clone()).await;
    drop(before.submit_all(labels(0..100)).await);
    before.stop(Duration::ZERO).await;
    let agent = Agent::start(&sim.after_kill(), Destination::Hangs, 10, bounds).await;
    agent.publisher.has_tried(1).await;
    drop(agent.submit_all((0..5).map(|n| format!("new {n}"))).await);
    assert!(agent.notifier.deliver_backlog("p"));
    assert!(!agent.notifier.deliver_backlog("another"));
    agent.publisher.now(Destination::Accepts);
    let accepted = agent.publisher.has_accepted(105).await;
    assert!(
        accepted.iter().take(100).all(|label| !label.starts_with("new")),
        "{accepted:?}"
    );
    agent.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn new_batches_precede_the_backlog_of_an_outage() {
    for mode in [SpoolMode::Overflow, SpoolMode::Always] {
        let sim = Sim::default();
        let bounds = options(mode, Fsync::Always, Order::NewestFirst);
        let before = Agent::start(&sim, Destination::Unreachable, 10, bounds.clone()).await;
        drop(before.submit_all(labels(0..500)).await);
        before.stop(Duration::ZERO).await;
        let agent = Agent::start(&sim.after_kill(), Destination::Hangs, 10, bounds).await;
        let (_, newest) = agent.submit_all(["new".to_owned()]).await.remove(0);
        if mode == SpoolMode::Always {
            // It is stored first.
            assert_eq!(outcome(newest).await, Outcome::Stored);
        }
        agent.publisher.now(Destination::Accepts);
        let accepted = agent.publisher.has_accepted(501).await;
        let index = accepted.iter().position(|label| label == "new").unwrap();
        assert!(index < 20, "{mode:?}: after {index} prefetched batches");
        let backlog: Vec<_> = accepted.into_iter().filter(|label| label != "new").collect();
        assert_eq!(backlog.len(), 500);
        // The batch in flight at the stop is stored after the batches that overflowed before.
        let steps_back = backlog.windows(2).filter(|pair| pair[0] > pair[1]).count();
        assert!(
            steps_back <= usize::from(mode == SpoolMode::Overflow),
            "{backlog:?}"
        );
        agent.stop(Duration::from_secs(5)).await;
    }
}
