//! Random behaviour of publisher and disk: every sample is accounted for, also across restarts.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use nephoscope_notifier::Outcome;
use nephoscope_notifier::spool::{Fsync, Order, SpoolMode};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::sim::Sim;
use crate::world::{Agent, Destination, Double, Other, assert_adds_up, options};

#[derive(Debug, Clone)]
enum Step {
    /// Submits this number of batches.
    Submit(u8),
    Destination(Destination),
    /// Sets the free space of the disk; `None`: no limit.
    Room(Option<u16>),
    /// Stops within this number of milliseconds, and starts again.
    Restart(u16),
    /// Reloads with a publisher of the other encoding.
    Reload,
}

fn destination() -> impl Strategy<Value = Destination> {
    prop_oneof![
        3 => Just(Destination::Accepts),
        2 => Just(Destination::Unreachable),
        1 => Just(Destination::Hangs),
        1 => Just(Destination::RejectsX),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..20u8).prop_map(Step::Submit),
        4 => destination().prop_map(Step::Destination),
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

fn publisher(other: bool, destination: Destination) -> Arc<Double> {
    if other {
        Double::of(Arc::new(Other), destination, 1)
    } else {
        Double::new(destination, 1)
    }
}

/// Waits until all accepted batches are delivered.
async fn arrives(agent: &Agent) {
    let arrives = async {
        loop {
            let status = agent.status();
            assert_adds_up(&status);
            let spool = status.spool.unwrap();
            let unsupported: u64 = spool.unsupported().map(|stored| stored.batches).sum();
            if status.queued_batches == 0 && spool.batches == unsupported {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    if tokio::time::timeout(Duration::from_secs(60), arrives)
        .await
        .is_err()
    {
        panic!("batches remain: {:#?}", agent.status());
    }
}

async fn run(case: Case) {
    let bounds = options(case.mode, case.fsync, case.order);
    let mut sim = Sim::default();
    let mut agent = Agent::start(&sim, Destination::Accepts, case.queue, bounds.clone()).await;
    let mut destination = Destination::Accepts;
    let mut other = false;
    let mut next = 0u32;
    let mut arrived: Vec<String> = Vec::new();
    let mut receipts = Vec::new();
    let (mut dropped, mut rejected) = (0, 0);
    for step in case.steps {
        match step {
            Step::Submit(batches) => {
                for _ in 0..batches {
                    // Every fifth batch may be rejected.
                    let label = if next.is_multiple_of(5) {
                        format!("x{next}")
                    } else {
                        next.to_string()
                    };
                    receipts.push((label.clone(), agent.submit(&label).await));
                    next += 1;
                }
            }
            Step::Destination(now) => {
                destination = now;
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
                rejected += counts.rejected_batches;
                arrived.extend(agent.publisher.accepted());
                sim = sim.after_kill();
                agent = Agent::start(&sim, destination, case.queue, bounds.clone()).await;
                if other {
                    agent.reload(publisher(other, destination), case.queue).await;
                }
            }
            // The reload would wait for a hanging publisher.
            Step::Reload if destination == Destination::Hangs => {}
            Step::Reload => {
                other = !other;
                let former = agent.publisher.clone();
                agent.reload(publisher(other, destination), case.queue).await;
                arrived.extend(former.accepted());
            }
        }
        assert_adds_up(&agent.status());
    }
    // In the end all faults are gone, and every stored batch is delivered.
    sim.set_capacity(None);
    agent.publisher.now(Destination::Accepts);
    arrives(&agent).await;
    // The other publisher delivers the unsupported batches.
    let former = agent.publisher.clone();
    agent
        .reload(publisher(!other, Destination::Accepts), case.queue)
        .await;
    arrived.extend(former.accepted());
    agent
        .until(|status| status.queued_batches == 0 && status.spool.as_ref().unwrap().batches == 0)
        .await;
    let report = agent.stop(Duration::from_secs(5)).await;
    assert_eq!(report.dropped_samples(), 0);
    let counts = agent.status().counts;
    dropped += counts.dropped_batches;
    rejected += counts.rejected_batches;
    arrived.extend(agent.publisher.accepted());
    let distinct: BTreeSet<_> = arrived.iter().cloned().collect();
    assert_eq!(
        distinct.len(),
        arrived.len(),
        "no batch is delivered twice without a crash"
    );
    assert_eq!(
        distinct.len() as u64 + dropped + rejected,
        u64::from(next),
        "every batch is accounted for"
    );
    for (label, receipt) in receipts {
        let known = receipt.known().expect("every receipt is resolved");
        if known == Outcome::Delivered {
            assert!(distinct.contains(&label), "{label} is delivered");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        // Each case starts several agents in real time.
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
