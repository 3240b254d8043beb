//! Whatever the publisher and the disk do: every sample is accounted for, also across restarts.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use nephoscope_notifier::Outcome;
use nephoscope_notifier::spool::{Fsync, Order, SpoolMode};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::sim::Sim;
use crate::world::{Agent, Double, Other, Place, assert_adds_up, options};

#[derive(Debug, Clone)]
enum Step {
    /// Hands so many batches over.
    Submit(u8),
    Place(Place),
    /// The disk has so much room left, or any.
    Room(Option<u16>),
    /// A stop within so many milliseconds, and a start.
    Restart(u16),
    /// A reload with a publisher of the other encoding.
    Reload,
}

fn place() -> impl Strategy<Value = Place> {
    prop_oneof![
        3 => Just(Place::Takes),
        2 => Just(Place::Away),
        1 => Just(Place::Hangs),
        1 => Just(Place::RefusesX),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..20u8).prop_map(Step::Submit),
        4 => place().prop_map(Step::Place),
        1 => proptest::option::of(0..5000u16).prop_map(Step::Room),
        1 => (0..50u16).prop_map(Step::Restart),
        1 => Just(Step::Reload),
    ]
}

#[derive(Debug, Clone)]
struct Case {
    mode: SpoolMode,
    fsync: Fsync,
    order: Order,
    queue: usize,
    steps: Vec<Step>,
}

fn case() -> impl Strategy<Value = Case> {
    let mode = prop_oneof![Just(SpoolMode::Overflow), Just(SpoolMode::Always)];
    let fsync = prop_oneof![Just(Fsync::Always), Just(Fsync::Never)];
    let order = prop_oneof![Just(Order::Fifo), Just(Order::NewestFirst)];
    (mode, fsync, order, 1..30usize, vec(step(), 1..12)).prop_map(|(mode, fsync, order, queue, steps)| Case {
        mode,
        fsync,
        order,
        queue,
        steps,
    })
}

fn publisher(other: bool, place: Place) -> Arc<Double> {
    if other {
        Double::of(Arc::new(Other), place, 1)
    } else {
        Double::new(place, 1)
    }
}

/// Waits until everything has arrived that the publisher takes.
async fn arrives(agent: &Agent) {
    let arrives = async {
        loop {
            let status = agent.status();
            assert_adds_up(&status);
            let spool = status.spool.unwrap();
            let kept: u64 = spool.kept().map(|held| held.batches).sum();
            if status.queued_batches == 0 && spool.batches == kept {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    if tokio::time::timeout(Duration::from_secs(60), arrives)
        .await
        .is_err()
    {
        panic!("something stays: {:#?}", agent.status());
    }
}

async fn run(case: Case) {
    let bounds = options(case.mode, case.fsync, case.order);
    let mut sim = Sim::default();
    let mut agent = Agent::start(&sim, Place::Takes, case.queue, bounds.clone()).await;
    let mut place = Place::Takes;
    let mut other = false;
    let mut next = 0u32;
    let mut arrived: Vec<String> = Vec::new();
    let mut receipts = Vec::new();
    let (mut dropped, mut refused) = (0, 0);
    for step in case.steps {
        match step {
            Step::Submit(batches) => {
                for _ in 0..batches {
                    // Every fifth is one that may be refused.
                    let label = if next.is_multiple_of(5) {
                        format!("x{next}")
                    } else {
                        next.to_string()
                    };
                    receipts.push((label.clone(), agent.submit(&label).await));
                    next += 1;
                }
            }
            Step::Place(now) => {
                place = now;
                agent.publisher.now(now);
            }
            Step::Room(room) => {
                let used = sim.used();
                sim.set_capacity(room.map(|room| used + u64::from(room)));
            }
            Step::Restart(within) => {
                agent.stop(Duration::from_millis(u64::from(within))).await;
                let counts = agent.status().counts;
                dropped += counts.dropped_batches;
                refused += counts.refused_batches;
                arrived.extend(agent.publisher.taken());
                sim = sim.after_kill();
                agent = Agent::start(&sim, place, case.queue, bounds.clone()).await;
                if other {
                    agent.reload(publisher(other, place), case.queue).await;
                }
            }
            // A hanging one would be waited for.
            Step::Reload if place == Place::Hangs => {}
            Step::Reload => {
                other = !other;
                let former = agent.publisher.clone();
                agent.reload(publisher(other, place), case.queue).await;
                arrived.extend(former.taken());
            }
        }
        assert_adds_up(&agent.status());
    }
    // In the end all is well, and everything that is somewhere arrives.
    sim.set_capacity(None);
    agent.publisher.now(Place::Takes);
    arrives(&agent).await;
    // What the one does not take is there for the other.
    let former = agent.publisher.clone();
    agent.reload(publisher(!other, Place::Takes), case.queue).await;
    arrived.extend(former.taken());
    agent
        .until(|status| status.queued_batches == 0 && status.spool.as_ref().unwrap().batches == 0)
        .await;
    let report = agent.stop(Duration::from_secs(5)).await;
    assert_eq!(report.dropped_samples(), 0);
    let counts = agent.status().counts;
    dropped += counts.dropped_batches;
    refused += counts.refused_batches;
    arrived.extend(agent.publisher.taken());
    let distinct: BTreeSet<_> = arrived.iter().cloned().collect();
    assert_eq!(
        distinct.len(),
        arrived.len(),
        "nothing arrives twice without a crash"
    );
    assert_eq!(
        distinct.len() as u64 + dropped + refused,
        u64::from(next),
        "everything is somewhere"
    );
    for (label, receipt) in receipts {
        let known = receipt.known().expect("nothing is open in the end");
        if known == Outcome::Delivered {
            assert!(distinct.contains(&label), "{label} is delivered");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        // Each case starts several agents, in real time.
        cases: ProptestConfig::default().cases.min(4096) / 8,
        max_shrink_iters: 200,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_sample_is_accounted_for(case in case()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(run(case));
    }
}
