//! Whatever publishers do, in whatever order: every sample is accounted for.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use nephoscope_notifier::{Outcome, Receipt};
use proptest::collection::vec;
use proptest::prelude::*;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::doubles::{Act, Double, assert_adds_up, batch, setup, start, status};

#[derive(Debug, Clone)]
enum Step {
    /// Hands a batch of so many samples over, and waits until that is done.
    Submit(usize),
    /// Hands it over beside what goes on.
    SubmitBeside(usize),
    /// Hands it over and goes away after so many milliseconds.
    GiveUp(usize, u64),
    /// Tells a publisher what to do next.
    Script(usize, Vec<Act>),
    /// Lets time pass.
    Pass(u64),
    /// A reload that changes a bound.
    Bound(usize, usize),
    /// A reload that replaces a publisher.
    Replace(usize),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => Just(Act::Take),
        3 => (1..3000u64).prop_map(|ms| Act::TakeAfter(Duration::from_millis(ms))),
        2 => Just(Act::Retry),
        1 => Just(Act::Refuse),
        1 => Just(Act::TakePart),
        1 => (0..2000u64).prop_map(|ms| Act::RetryAfter(Duration::from_millis(ms))),
        1 => Just(Act::Hang),
        1 => Just(Act::Panic),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1..9usize).prop_map(Step::Submit),
        4 => (1..9usize).prop_map(Step::SubmitBeside),
        1 => (1..9usize, 0..2000u64).prop_map(|(samples, ms)| Step::GiveUp(samples, ms)),
        4 => (0..2usize, vec(act(), 1..6)).prop_map(|(publisher, acts)| Step::Script(publisher, acts)),
        4 => (0..5000u64).prop_map(Step::Pass),
        1 => (0..2usize, 1..40usize).prop_map(|(publisher, bound)| Step::Bound(publisher, bound)),
        1 => (0..2usize).prop_map(Step::Replace),
    ]
}

#[derive(Debug, Clone)]
struct Case {
    bounds: [usize; 2],
    in_flight: [usize; 2],
    steps: Vec<Step>,
    /// How long the stop may take in the end; without one the outages end before it.
    stop_within: Option<u64>,
}

fn case() -> impl Strategy<Value = Case> {
    let bounds = [1..40usize, 1..40usize];
    let in_flight = [1..2usize, 1..5usize];
    (
        bounds,
        in_flight,
        vec(step(), 1..60),
        proptest::option::of(0..4000u64),
    )
        .prop_map(|(bounds, in_flight, steps, stop_within)| Case {
            bounds,
            in_flight,
            steps,
            stop_within,
        })
}

async fn run(case: Case) {
    let mut bounds = case.bounds;
    // Publishers that were replaced stay in the account.
    let mut doubles: [Vec<Arc<Double>>; 2] = case
        .in_flight
        .map(|in_flight| vec![Double::with_in_flight(Act::Take, in_flight)]);
    let newest = |doubles: &[Vec<Arc<Double>>; 2], place: usize| doubles[place].last().unwrap().clone();
    let setups = |doubles: &[Vec<Arc<Double>>; 2], bounds: [usize; 2]| {
        vec![
            setup("0", &newest(doubles, 0), bounds[0]),
            setup("1", &newest(doubles, 1), bounds[1]),
        ]
    };
    let notifier = start(setups(&doubles, bounds));
    let mut receipts: Vec<(String, Receipt)> = Vec::new();
    let mut beside: Vec<(String, JoinHandle<Receipt>)> = Vec::new();
    let mut handed_over = 0;
    let mut largest = 0;
    let mut in_order = true;
    for (number, step) in case.steps.into_iter().enumerate() {
        let label = number.to_string();
        match step {
            Step::Submit(samples) => {
                handed_over += samples as u64;
                largest = largest.max(samples);
                let receipt = notifier.submit(batch(&label, samples)).await;
                receipts.push((label, receipt));
            }
            Step::SubmitBeside(samples) => {
                handed_over += samples as u64;
                largest = largest.max(samples);
                in_order = false;
                let notifier = notifier.clone();
                let batch = batch(&label, samples);
                beside.push((label, tokio::spawn(async move { notifier.submit(batch).await })));
            }
            Step::GiveUp(samples, ms) => {
                handed_over += samples as u64;
                largest = largest.max(samples);
                let submit = notifier.submit(batch(&label, samples));
                _ = tokio::time::timeout(Duration::from_millis(ms), submit).await;
            }
            Step::Script(place, acts) => newest(&doubles, place).next(acts),
            Step::Pass(ms) => sleep(Duration::from_millis(ms)).await,
            Step::Bound(place, bound) => {
                bounds[place] = bound;
                notifier.reconfigure(setups(&doubles, bounds)).await;
            }
            Step::Replace(place) => {
                let in_flight = case.in_flight[place];
                doubles[place].push(Double::with_in_flight(Act::Take, in_flight));
                notifier.reconfigure(setups(&doubles, bounds)).await;
            }
        }
        for name in ["0", "1"] {
            let status = status(&notifier, name);
            let counts = status.counts;
            assert_eq!(
                counts.submitted_samples,
                counts.delivered_samples
                    + counts.dropped_samples
                    + counts.refused_samples
                    + status.queued_samples as u64,
            );
        }
    }
    for (label, hand_over) in beside {
        receipts.push((label, hand_over.await.unwrap()));
    }
    let report = match case.stop_within {
        Some(ms) => {
            notifier
                .shutdown(Instant::now() + Duration::from_millis(ms))
                .await
        }
        None => {
            for double in doubles.iter().flatten() {
                double.then(Act::Take);
            }
            notifier
                .shutdown(Instant::now() + Duration::from_secs(3600))
                .await
        }
    };
    if case.stop_within.is_none() {
        assert_eq!(report.dropped_samples(), 0);
    }
    let mut delivered_everywhere: Option<HashSet<String>> = None;
    for (place, name) in ["0", "1"].into_iter().enumerate() {
        let status = status(&notifier, name);
        let counts = status.counts;
        assert_adds_up(&status);
        assert_eq!(status.queued_samples, 0);
        assert_eq!(counts.submitted_samples, handed_over, "every hand-over counts");
        let records: Vec<_> = doubles[place].iter().map(|double| double.record()).collect();
        let taken: Vec<_> = records.iter().flat_map(|record| record.taken.clone()).collect();
        let taken_samples: u64 = records.iter().map(|record| record.taken_samples).sum();
        let refused_samples: u64 = records.iter().map(|record| record.refused_samples).sum();
        assert_eq!(
            counts.delivered_samples, taken_samples,
            "what the publisher took is what counts"
        );
        assert_eq!(counts.refused_samples, refused_samples);
        let distinct: HashSet<_> = taken.iter().cloned().collect();
        assert_eq!(
            distinct.len(),
            taken.len(),
            "a batch that was confirmed is not published again"
        );
        if in_order && case.in_flight[place] == 1 {
            assert!(
                taken
                    .iter()
                    .map(|label| label.parse::<u32>().unwrap())
                    .is_sorted(),
                "one at a time keeps the order: {taken:?}"
            );
        }
        for record in &records {
            assert!(record.most_under_way <= case.in_flight[place]);
            assert_eq!(record.under_way, 0);
            assert_eq!(record.closed, 1);
        }
        delivered_everywhere = Some(match delivered_everywhere {
            None => distinct,
            Some(others) => &others & &distinct,
        });
    }
    let delivered_everywhere = delivered_everywhere.unwrap();
    for (label, receipt) in receipts {
        let expected = if delivered_everywhere.contains(&label) {
            Outcome::Delivered
        } else {
            Outcome::Dropped
        };
        assert_eq!(receipt.known(), Some(expected), "batch {label}");
    }
}

proptest! {
    #[test]
    fn every_sample_is_accounted_for(case in case()) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(run(case));
    }
}
