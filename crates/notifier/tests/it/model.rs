//! Random behaviour of publishers: every sample is accounted for.

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
    /// Submits a batch of this size and waits for the submission.
    Submit(usize),
    /// Submits it concurrently.
    SubmitConcurrently(usize),
    /// Submits it and cancels the submission after this number of milliseconds.
    Cancel(usize, u64),
    /// Sets the next results of a publisher.
    Script(usize, Vec<Act>),
    /// Waits for this number of milliseconds.
    Pass(u64),
    /// Reloads with another limit.
    Bound(usize, usize),
    /// Reloads with another publisher.
    Replace(usize),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => Just(Act::Accept),
        3 => (1..3000u64).prop_map(|ms| Act::AcceptAfter(Duration::from_millis(ms))),
        2 => Just(Act::Retry),
        1 => Just(Act::Reject),
        1 => Just(Act::AcceptPart),
        1 => (0..2000u64).prop_map(|ms| Act::RetryAfter(Duration::from_millis(ms))),
        1 => Just(Act::Hang),
        1 => Just(Act::Panic),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1..9usize).prop_map(Step::Submit),
        4 => (1..9usize).prop_map(Step::SubmitConcurrently),
        1 => (1..9usize, 0..2000u64).prop_map(|(samples, ms)| Step::Cancel(samples, ms)),
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
    /// The time for the final stop in milliseconds; without it, all publishers recover before the stop.
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
    // Replaced publishers are still counted.
    let mut doubles: [Vec<Arc<Double>>; 2] = case
        .in_flight
        .map(|in_flight| vec![Double::with_in_flight(Act::Accept, in_flight)]);
    let newest = |doubles: &[Vec<Arc<Double>>; 2], place: usize| doubles[place].last().unwrap().clone();
    let setups = |doubles: &[Vec<Arc<Double>>; 2], bounds: [usize; 2]| {
        vec![
            setup("0", &newest(doubles, 0), bounds[0]),
            setup("1", &newest(doubles, 1), bounds[1]),
        ]
    };
    let notifier = start(setups(&doubles, bounds));
    let mut receipts: Vec<(String, Receipt)> = Vec::new();
    let mut concurrent: Vec<(String, JoinHandle<Receipt>)> = Vec::new();
    let mut submitted = 0;
    let mut largest = 0;
    let mut in_order = true;
    for (number, step) in case.steps.into_iter().enumerate() {
        let label = number.to_string();
        match step {
            Step::Submit(samples) => {
                submitted += samples as u64;
                largest = largest.max(samples);
                let receipt = notifier.submit(batch(&label, samples)).await;
                receipts.push((label, receipt));
            }
            Step::SubmitConcurrently(samples) => {
                submitted += samples as u64;
                largest = largest.max(samples);
                in_order = false;
                let notifier = notifier.clone();
                let batch = batch(&label, samples);
                concurrent.push((label, tokio::spawn(async move { notifier.submit(batch).await })));
            }
            Step::Cancel(samples, ms) => {
                submitted += samples as u64;
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
                doubles[place].push(Double::with_in_flight(Act::Accept, in_flight));
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
                    + counts.rejected_samples
                    + status.queued_samples as u64,
            );
        }
    }
    for (label, submission) in concurrent {
        receipts.push((label, submission.await.unwrap()));
    }
    let report = match case.stop_within {
        Some(ms) => {
            notifier
                .shutdown(Instant::now() + Duration::from_millis(ms))
                .await
        }
        None => {
            for double in doubles.iter().flatten() {
                double.then(Act::Accept);
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
        assert_eq!(counts.submitted_samples, submitted, "every submission counts");
        let records: Vec<_> = doubles[place].iter().map(|double| double.record()).collect();
        let accepted: Vec<_> = records
            .iter()
            .flat_map(|record| record.accepted.clone())
            .collect();
        let accepted_samples: u64 = records.iter().map(|record| record.accepted_samples).sum();
        let rejected_samples: u64 = records.iter().map(|record| record.rejected_samples).sum();
        assert_eq!(
            counts.delivered_samples, accepted_samples,
            "the counts match the publisher's record"
        );
        assert_eq!(counts.rejected_samples, rejected_samples);
        let distinct: HashSet<_> = accepted.iter().cloned().collect();
        assert_eq!(
            distinct.len(),
            accepted.len(),
            "a confirmed batch is not published again"
        );
        if in_order && case.in_flight[place] == 1 {
            assert!(
                accepted
                    .iter()
                    .map(|label| label.parse::<u32>().unwrap())
                    .is_sorted(),
                "a single batch in flight keeps the order: {accepted:?}"
            );
        }
        for record in &records {
            assert!(record.max_in_flight <= case.in_flight[place]);
            assert_eq!(record.in_flight, 0);
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
